//! Data classes on the road a user takes: personal values are sealed, opened and erased; prohibited ones never land.

use crate::common::{Daemon, Ran, block_on, follow, over, run, until, web};
use actum_client::Client;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// About a person: as it is, in base64, in hex.
const VALUE: &str = "ann.smith-1138@example.org";
const FORMS: [&str; 3] = [
    VALUE,
    "YW5uLnNtaXRoLTExMzhAZXhhbXBsZS5vcmc",
    "616e6e2e736d6974682d31313338406578616d706c652e6f7267",
];
const SUBJECT: &str = "customer Ann Smith";
const CARD: &str = "4111111111111111";

#[track_caller]
fn hold_none(place: &str, bytes: &[u8], forms: &[&str]) {
    for form in forms {
        let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "`{form}` is in {place}");
    }
}

/// Looks into every file below a folder; gives how many there are.
#[track_caller]
fn search(folder: &Path, forms: &[&str]) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += search(&path, forms);
        } else {
            hold_none(&path.display().to_string(), &std::fs::read(&path).unwrap(), forms);
            files += 1;
        }
    }
    files
}

/// The content of every file below a folder.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push(std::fs::read(&path).unwrap());
        }
    }
    found
}

fn personal(value: impl Into<Value>) -> Value {
    let value: Value = value.into();
    json!({"$personal": {"subject": SUBJECT, "value": value}})
}

fn shell(id: &str, payload: impl Into<Value>) -> Value {
    let payload: Value = payload.into();
    json!({"type": "shell.run", "id": id, "sessionId": "web", "payload": payload})
}

fn annotate(id: &str, value: impl Into<Value>) -> Value {
    let value: Value = value.into();
    json!({"type": "session.annotate", "id": id, "sessionId": "web", "payload": {"key": "who", "value": value}})
}

fn erase(id: &str) -> Value {
    json!({"type": "subject.erase", "id": id, "payload": {"subject": SUBJECT}})
}

async fn done(client: &Client, command: &Value) -> Value {
    let answer = client.submit(command).await.unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    answer
}

async fn code(client: &Client, command: &Value) -> String {
    let answer = client.submit(command).await.unwrap();
    answer["error"]["code"].as_str().unwrap_or("none").to_owned()
}

async fn open(client: &Client, reference: &str) -> Value {
    client
        .submit(&json!({"type": "personal.get", "payload": {"ref": reference}}))
        .await
        .unwrap()
}

/// The marker in the session's annotation.
async fn annotated(client: &Client) -> String {
    let answer = client
        .submit(&json!({"type": "session.get", "sessionId": "web", "payload": {}}))
        .await
        .unwrap();
    let marker = &answer["data"]["metadata"]["who"];
    assert_eq!(marker["$redacted"], "personal", "{answer}");
    marker["ref"].as_str().unwrap().to_owned()
}

#[track_caller]
fn whole(data: &Path) {
    over(data, &["verify"]).ended(0);
    over(data, &["replay", "--verify"]).ended(0);
}

#[test]
fn a_personal_value_is_in_no_byte_of_data_log_or_export_and_opens_for_its_readers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (daemon, log) = Daemon::talkative(&data);
    let seen = folder.path().join("seen");
    let print = format!(
        "printf %s \"$1\" > {}; echo \"$1\"; echo \"$MAIL\" >&2; printf %s $MAIL | base64; cat",
        seen.display()
    );
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        done(&client, &web()).await;
        let note = annotate("note", personal(VALUE));
        let within = json!({"mail": personal(VALUE), "again": format!("write to {VALUE}"), "n": [personal(1_138_000)]});
        let commands = [
            note.clone(),
            json!({"type": "session.annotate", "id": "within", "sessionId": "web", "payload": {"key": "in", "value": within}}),
            shell(
                "small",
                json!({"argv": ["sh", "-c", print, "sh", personal(VALUE)], "env": {"MAIL": personal(VALUE)},
                    "stdin": format!("once more {VALUE}\n")}),
            ),
            shell(
                "large",
                json!({"argv": ["cat"], "stdin": personal(format!("{VALUE}\n").repeat(2000))}),
            ),
        ];
        for command in &commands {
            let answer = done(&client, command).await;
            hold_none("an answer", answer.to_string().as_bytes(), &FORMS);
        }
        let output = until(&mut events, "command_finished", "large").await;
        hold_none("an event", output.to_string().as_bytes(), &FORMS);
        assert_eq!(
            std::fs::read_to_string(&seen).unwrap(),
            VALUE,
            "the program had it"
        );
        let missing = client
            .submit(&shell(
                "missing",
                json!({"argv": [personal(format!("/no/{VALUE}"))]}),
            ))
            .await
            .unwrap();
        assert_eq!(missing["error"]["code"], "SPAWN_FAILED");
        hold_none("a refusal", missing.to_string().as_bytes(), &FORMS);

        // The same again is the same, although every sealing differs; something else is a conflict.
        assert_eq!(done(&client, &note).await["replayed"], true);
        let other = annotate("note", personal("somebody.else@example.org"));
        assert_eq!(code(&client, &other).await, "IDENTITY_CONFLICT");

        let reference = annotated(&client).await;
        assert_eq!(open(&client, &reference).await["data"]["value"], VALUE);
        let read = client
            .get(&format!("/v1/personal/{reference}"), &[])
            .await
            .unwrap();
        assert_eq!(read["data"]["value"], VALUE, "{read}");
        assert_eq!(open(&client, &"0".repeat(64)).await["error"]["code"], "NOT_FOUND");
    });
    for args in [
        &["history", "--all", "--json"][..],
        &["export"],
        &["export", "--redact"],
        &["replay", "--step"],
        &["session", "show", "web", "--json"],
        &["show", "small"],
        &["show", "large", "--json"],
        &["show", "missing"],
        &["subject", "list"],
    ] {
        let said = daemon.run(args).ended(0);
        assert!(!said.out.is_empty(), "{args:?}");
        hold_none(&format!("{args:?}"), said.out.as_bytes(), &FORMS);
        hold_none(&format!("{args:?}"), said.out.as_bytes(), &[SUBJECT]);
    }
    for args in [
        &["show", "small", "--reveal"][..],
        &["show", "within", "--reveal"],
    ] {
        let said = daemon.run(args).ended(0);
        assert!(said.out.contains(VALUE), "{args:?}: {said:?}");
    }
    let revealed = daemon.run(&["export", "--reveal-personal"]).ended(0);
    assert!(revealed.out.contains(VALUE));
    assert!(
        revealed.err.contains("warning: --reveal-personal"),
        "{}",
        revealed.err
    );
    let forms = [&FORMS[..], &[SUBJECT]].concat();
    search(&data, &forms);
    daemon.signal(rustix::process::Signal::TERM);
    let log = log.join().unwrap();
    hold_none("the log", &log, &forms);
    over(&data, &["journal", "compact"]).ended(0);
    assert!(search(&data, &forms) > 5, "journal, snapshot, blobs, index, keys");
    whole(&data);
}

#[test]
fn an_erased_subject_is_readable_nowhere_and_the_history_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::dev(&data);
    let first = block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        done(&client, &web()).await;
        done(&client, &annotate("note", personal(VALUE))).await;
        let reference = annotated(&client).await;
        // One that waits for its turn while its subject is erased does not run with the value.
        let gate = folder.path().join("gate");
        let hold = format!("echo up; until [ -e {} ]; do :; done", gate.display());
        let mut holds = shell("holds", json!({"argv": ["sh", "-c", hold]}));
        holds["detach"] = true.into();
        let mut waits = shell("waits", json!({"argv": ["echo", personal(VALUE)]}));
        waits["detach"] = true.into();
        done(&client, &holds).await;
        done(&client, &waits).await;
        let erased = done(&client, &erase("erase-1")).await;
        assert!(erased["data"]["key"].is_string(), "{erased}");
        std::fs::write(&gate, "").unwrap();
        let end = until(&mut events, "command_finished", "waits").await;
        assert_eq!(end["error"]["code"], "PERSONAL_DATA_ERASED", "{end}");

        assert_eq!(
            open(&client, &reference).await["error"]["code"],
            "PERSONAL_DATA_ERASED"
        );
        let gone = client
            .get(&format!("/v1/personal/{reference}"), &[])
            .await
            .unwrap();
        assert_eq!(gone["error"]["code"], "PERSONAL_DATA_ERASED");
        let again = done(&client, &erase("erase-2")).await;
        assert!(again["data"]["key"].is_null(), "{again}");
        assert_eq!(done(&client, &erase("erase-1")).await["replayed"], true);

        // A later value of the same subject has a key of its own.
        done(&client, &annotate("later", personal("later@example.org"))).await;
        let later = annotated(&client).await;
        assert_eq!(open(&client, &later).await["data"]["value"], "later@example.org");
        assert_eq!(
            open(&client, &reference).await["error"]["code"],
            "PERSONAL_DATA_ERASED"
        );
        (reference, later)
    });
    let shown = daemon.run(&["show", "note", "--reveal"]).ended(0);
    assert!(shown.err.contains("PERSONAL_DATA_ERASED"), "{shown:?}");
    let status = http(&daemon.url(), &format!("/v1/personal/{}", first.0));
    assert_eq!(status, 410);
    daemon.end();
    whole(&data);
    over(&data, &["journal", "compact"]).ended(0);
    whole(&data);
    let again = Daemon::dev(&data);
    block_on(async {
        let client = again.client().await;
        assert_eq!(
            open(&client, &first.0).await["error"]["code"],
            "PERSONAL_DATA_ERASED"
        );
        assert_eq!(
            open(&client, &first.1).await["data"]["value"],
            "later@example.org",
            "an old erasure spares the new key at the next start"
        );
    });
    let said = again.run(&["history", "--json"]).ended(0);
    assert!(said.out.contains("subject.erase"));
    // By the form that the list shows, as somebody does who has only the data directory.
    let listed = again.run(&["subject", "list"]).ended(0);
    again.run(&["subject", "erase", listed.out.trim()]).ended(0);
    assert_eq!(again.run(&["subject", "list"]).ended(0).out, "");
    let revealed = again.run(&["export", "--reveal-personal"]).ended(0);
    hold_none(
        "an export",
        revealed.out.as_bytes(),
        &[VALUE, "later@example.org", SUBJECT],
    );
    search(&data, &[VALUE, "later@example.org", SUBJECT]);
    again.end();
    whole(&data);
}

/// The status of a `GET`.
fn http(url: &str, path: &str) -> u16 {
    use std::io::Write;
    let host = url.strip_prefix("http://").unwrap().trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Leaves a command with a personal value queued behind one that is killed with the daemon.
fn left_behind(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("data");
    let daemon = Daemon::dev(&data);
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        done(&client, &web()).await;
        let mut holds = shell("holds", json!({"argv": ["sh", "-c", "echo up; exec sleep 600"]}));
        holds["detach"] = true.into();
        done(&client, &holds).await;
        until(&mut events, "output", "holds").await;
        let file = folder.join("seen").display().to_string();
        let mut waits = shell(
            "waits",
            json!({"argv": ["sh", "-c", "printf '%s' \"$1\" > \"$2\"; echo \"$1\"", "sh", personal(VALUE), file],
                "stdin": "x".repeat(20_000)}),
        );
        waits["detach"] = true.into();
        done(&client, &waits).await;
    });
    daemon.kill();
    search(&data, &FORMS);
    data
}

fn resolve() -> Value {
    json!({"type": "command.resolve", "payload": {"id": "holds", "as": "did_not_happen", "note": "it only slept"}})
}

#[test]
fn a_value_is_unsealed_for_a_dispatch_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = left_behind(folder.path());
    let daemon = Daemon::dev(&data);
    block_on(async {
        let client = daemon.client().await;
        done(&client, &resolve()).await;
        let wait = json!({"type": "command.wait", "payload": {"id": "waits"}});
        let end = done(&client, &wait).await;
        assert_eq!(end["data"]["state"], "succeeded", "{end}");
        let said = end["data"]["data"]["stdout"]["text"].as_str().unwrap();
        assert!(said.starts_with("[redacted:personal:"), "{said}");
    });
    assert_eq!(
        std::fs::read_to_string(folder.path().join("seen")).unwrap(),
        VALUE
    );
    search(&data, &FORMS);
}

#[test]
fn what_was_erased_before_its_dispatch_fails_with_a_clear_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = left_behind(folder.path());
    let daemon = Daemon::dev(&data);
    block_on(async {
        let client = daemon.client().await;
        done(&client, &erase("erase")).await;
        done(&client, &resolve()).await;
        let wait = json!({"type": "command.wait", "payload": {"id": "waits"}});
        let end = done(&client, &wait).await;
        assert_eq!(end["data"]["state"], "failed", "{end}");
        assert_eq!(end["data"]["error"]["code"], "PERSONAL_DATA_ERASED", "{end}");
    });
    assert!(!folder.path().join("seen").exists());
    daemon.end();
    whole(&data);
}

#[test]
fn a_sweep_keeps_the_sealed_values_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let blobs = || contents(&data.join("blobs")).len();
    let daemon = Daemon::dev(&data);
    let reference = block_on(async {
        let client = daemon.client().await;
        done(&client, &web()).await;
        let note = annotate("note", personal(VALUE));
        done(&client, &note).await;
        // Arguments large enough to lie in a blob, which then names the sealed value.
        let argv = json!(["true", "x".repeat(20_000), personal("within@example.org")]);
        done(&client, &shell("large", json!({"argv": argv}))).await;
        let named = blobs();
        assert_eq!(named, 3, "two sealed values and the arguments");
        done(&client, &note).await;
        assert_eq!(
            blobs(),
            named + 1,
            "a repetition sealed it once more, for nothing"
        );
        annotated(&client).await
    });
    daemon.end();
    over(&data, &["journal", "compact"]).ended(0);
    assert_eq!(blobs(), 3);
    let again = Daemon::dev(&data);
    block_on(async {
        let client = again.client().await;
        assert_eq!(open(&client, &reference).await["data"]["value"], VALUE);
    });
    let arguments = contents(&data.join("blobs"))
        .into_iter()
        .filter_map(|bytes| String::from_utf8(bytes).ok())
        .find(|text| text.starts_with('{'))
        .unwrap();
    let at = arguments.find("\"ref\":\"").unwrap() + 7;
    block_on(async {
        let client = again.client().await;
        let within = open(&client, &arguments[at..at + 64]).await;
        assert_eq!(within["data"]["value"], "within@example.org", "{within}");
    });
}

#[test]
fn another_tenant_opens_and_erases_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let token = |name: &str, tenant: &str| {
        let made = over(&data, &["token", "create", name, "--tenant", tenant, "--json"]).ended(0);
        made.json()["token"].as_str().unwrap().to_owned()
    };
    let (ours, theirs) = (token("us", "main"), token("them", "other"));
    let daemon = Daemon::start(&data, &["serve", "--listen", "127.0.0.1:0"]);
    block_on(async {
        let us = Client::connect(&daemon.url(), Some(&ours)).await.unwrap();
        let them = Client::connect(&daemon.url(), Some(&theirs)).await.unwrap();
        done(&us, &web()).await;
        done(&us, &annotate("note", personal(VALUE))).await;
        let reference = annotated(&us).await;
        assert_eq!(open(&them, &reference).await["error"]["code"], "NOT_FOUND");
        let erased = done(&them, &erase("erase")).await;
        assert!(
            erased["data"]["key"].is_null(),
            "the same name is another subject there: {erased}"
        );
        assert_eq!(open(&us, &reference).await["data"]["value"], VALUE);
    });
}

#[test]
fn an_erasure_is_never_answered_relaxed() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "dev",
        "--sandbox",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--durability",
        "batched",
        "--keep-outcomes",
        "1",
    ];
    let daemon = Daemon::start(folder.path(), &args);
    block_on(async {
        let client = daemon.client().await;
        done(&client, &web()).await;
        let note = done(&client, &annotate("note", personal(VALUE))).await;
        assert_eq!(note["durability"], "batched", "{note}");
        let erased = done(&client, &erase("erase")).await;
        assert_eq!(erased["durability"], Value::Null, "{erased}");
        assert!(erased["data"]["key"].is_string(), "{erased}");
        let reference = annotated(&client).await;
        assert_eq!(
            open(&client, &reference).await["error"]["code"],
            "PERSONAL_DATA_ERASED"
        );
    });
}

/// The bug: the key was replaced by a marker, the kernel found no key, and the command ended in nothing; its caller
/// was given the answer of the one behind it.
#[test]
fn an_argument_that_is_taken_for_a_secret_ends_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        done(&client, &web()).await;
        let mut command = annotate("key", 1);
        command["payload"]["key"] = "AKIAIOSFODNN7EXAMPLE".into();
        let answer = client.submit(&command).await.unwrap();
        assert_eq!(answer["id"], "key", "{answer}");
        assert_eq!(answer["error"]["code"], "INVALID_INPUT", "{answer}");
        assert_eq!(answer["outcome"], "failed", "{answer}");
        done(&client, &annotate("next", 2)).await;
    });
}

#[test]
fn a_mark_of_the_wrong_shape_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        done(&client, &web()).await;
        for (command, pointer) in [
            (
                annotate("a", json!({"$personal": {"value": 1}})),
                "/payload/value/$personal/subject",
            ),
            (
                annotate("a", json!({"$personal": {"subject": "", "value": 1}})),
                "/payload/value/$personal/subject",
            ),
            (
                shell("a", json!({"argv": ["echo", personal(7)]})),
                "/payload/argv/1",
            ),
            (
                json!({"type": "session.annotate", "id": "a", "sessionId": "web", "payload": {"key": personal("x"), "value": 1}}),
                "/payload/key",
            ),
            (
                json!({"type": "session.create", "id": "a", "sessionId": "b", "payload": {"metadata": personal(1)}}),
                "/payload/metadata",
            ),
        ] {
            let answer = client.submit(&command).await.unwrap();
            assert_eq!(answer["error"]["code"], "INVALID_INPUT", "{answer}");
            assert!(
                answer["error"].to_string().contains(pointer),
                "{pointer}: {answer}"
            );
        }
    });
}

#[test]
fn prohibited_data_reaches_no_file_answer_or_output() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::dev(&data);
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEbodyOfTheKey\n-----END RSA PRIVATE KEY-----\n";
    let forms = [CARD, "4111 1111 1111 1111", "MIIEbodyOfTheKey", "NEXT-TO-IT"];
    block_on(async {
        let client = daemon.client().await;
        done(&client, &web()).await;
        for (command, pointer) in [
            (
                annotate("bad", json!({"$prohibited": "NEXT-TO-IT"})),
                "/payload/value",
            ),
            (
                annotate("bad", json!([{"n": CARD}, "NEXT-TO-IT"])),
                "/payload/value/0/n",
            ),
            (
                annotate("bad", json!(4_111_111_111_111_111_u64)),
                "/payload/value",
            ),
            (
                annotate("bad", personal(format!("card {CARD}"))),
                "/payload/value/$personal/value",
            ),
            (
                shell("bad", json!({"argv": ["echo", "4111 1111 1111 1111"]})),
                "/payload/argv/1",
            ),
            (
                shell("bad", json!({"argv": ["cat"], "stdin": key})),
                "/payload/stdin",
            ),
            (annotate(CARD, json!(1)), "/id"),
        ] {
            let answer = client.submit(&command).await.unwrap();
            assert_eq!(answer["error"]["code"], "PROHIBITED_DATA", "{answer}");
            assert_eq!(answer["error"]["details"]["pointer"], pointer, "{answer}");
            assert_eq!(answer["outcome"], Value::Null, "nothing was stored: {answer}");
            hold_none("an answer", answer["error"].to_string().as_bytes(), &forms);
        }
        // The id is not used up.
        done(&client, &annotate("bad", json!("order 4929123412341235"))).await;

        // What a program writes, in pieces, into both streams, and more than a record or memory holds.
        let print = "a=41111111 d=-----; printf $a; printf 11111111; printf ' %sBEGIN RSA PRIV' $d; \
            printf 'ATE KEY%s\\nMIIEbody' $d; printf 'OfTheKey\\n%sEND RSA PRIVATE KEY%s end\\n' $d $d; \
            printf '4111-1111-' >&2; printf '1111-1111' >&2";
        let answer = done(&client, &shell("small", json!({"argv": ["sh", "-c", print]}))).await;
        let expected = "[redacted:prohibited] [redacted:prohibited] end\n";
        assert_eq!(answer["data"]["stdout"]["text"], expected);
        assert_eq!(answer["data"]["stderr"]["text"], "[redacted:prohibited]");
        let much = "a=4111; i=0; while [ $i -lt 30000 ]; do echo \"$i is $a$a\"1111\"1111 or so\"; i=$((i+1)); done | sed 's/41114111/41111111/'";
        let answer = done(&client, &shell("large", json!({"argv": ["sh", "-c", much]}))).await;
        let head = answer["data"]["stdout"]["head"].as_str().unwrap();
        assert!(head.contains("0 is [redacted:prohibited] or so"), "{head}");
    });
    for args in [
        &["export"][..],
        &["history", "--json"],
        &["show", "large", "--json"],
    ] {
        hold_none(
            &format!("{args:?}"),
            daemon.run(args).ended(0).out.as_bytes(),
            &forms,
        );
    }
    search(&data, &forms);
    daemon.end();
    search(&data, &forms);
    whole(&data);
}

fn rules(folder: &Path, rules: &Value) -> String {
    let path = folder.join("rules.json");
    std::fs::write(&path, rules.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn rules_that_are_wrong_are_told_before_the_daemon_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let start = |file: &str| -> Ran {
        run([
            "--data",
            &data,
            "dev",
            "--sandbox",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--classes",
            file,
        ])
    };
    let said = start(&rules(
        folder.path(),
        &json!({"version": 1, "members": {"mail": "private"}}),
    ))
    .ended(1);
    assert!(
        said.err.contains("INVALID_INPUT") && said.err.contains("/members/mail"),
        "{said:?}"
    );
    let said = start("/no/such/file").ended(1);
    assert!(said.err.contains("/no/such/file"), "{said:?}");
}

#[test]
fn the_rules_of_an_operator_class_members_and_texts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let old = Daemon::dev(&data);
    block_on(async {
        let client = old.client().await;
        done(&client, &web()).await;
        done(
            &client,
            &annotate("before", json!({"mail": "before@example.org", "room": "4b"})),
        )
        .await;
    });
    old.end();
    let file = rules(
        folder.path(),
        &json!({"version": 1,
            "members": {"mail": {"class": "personal", "subjectFrom": "customer"}, "pin": "prohibited", "door": "secret"},
            "patterns": [{"name": "badge", "pattern": "EMP-[0-9]{6}", "class": "prohibited"}]}),
    );
    let daemon = Daemon::start(
        &data,
        &[
            "dev",
            "--sandbox",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--classes",
            &file,
        ],
    );
    block_on(async {
        let client = daemon.client().await;
        let health = client.get("/v1/health", &[]).await.unwrap();
        assert_eq!(
            health["data"]["classes"].as_str().map(str::len),
            Some(64),
            "{health}"
        );
        let value = json!({"customer": "c-7", "mail": VALUE, "door": "opensesame"});
        done(&client, &annotate("now", value)).await;
        let session = client
            .submit(&json!({"type": "session.get", "sessionId": "web", "payload": {}}))
            .await
            .unwrap();
        let who = &session["data"]["metadata"]["who"];
        assert_eq!(who["mail"]["$redacted"], "personal", "{who}");
        assert_eq!(who["door"]["$redacted"], "secret", "{who}");
        let reference = who["mail"]["ref"].as_str().unwrap();
        assert_eq!(open(&client, reference).await["data"]["value"], VALUE);
        assert_eq!(
            code(&client, &annotate("no", json!({"mail": VALUE}))).await,
            "INVALID_INPUT"
        );
        assert_eq!(
            code(&client, &annotate("no", json!({"PIN": 1}))).await,
            "PROHIBITED_DATA"
        );
        assert_eq!(
            code(&client, &annotate("no", json!("by EMP-123456"))).await,
            "PROHIBITED_DATA"
        );
        let print = shell("print", json!({"argv": ["sh", "-c", "printf EMP-; echo 123456"]}));
        let answer = done(&client, &print).await;
        assert_eq!(answer["data"]["stdout"]["text"], "[redacted:prohibited]\n");
        let gone = done(
            &client,
            &json!({"type": "subject.erase", "payload": {"subject": "c-7"}}),
        )
        .await;
        assert!(gone["data"]["key"].is_string());
        assert_eq!(
            open(&client, reference).await["error"]["code"],
            "PERSONAL_DATA_ERASED"
        );
    });
    daemon.end();
    search(&data, &[VALUE, "opensesame", "EMP-123456"]);
    let export = over(&data, &["export", "--classes", &file]).ended(0);
    assert!(
        export.out.contains("\"classes\":\""),
        "the boot record names the rules"
    );
    hold_none("an export", export.out.as_bytes(), &["before@example.org"]);
    assert!(export.out.contains("4b"));
    whole(&data);
}
