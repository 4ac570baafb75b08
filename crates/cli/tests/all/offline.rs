//! Proof without a daemon: on a copy, beside a running daemon, and on damaged data.

use crate::common::{Daemon, annotations, copy, history, over, web};
use actum_engine::Recovery;
use actum_journal::{FileStorage, Options};
use actum_kernel::advance;
use actum_model::event::SessionAnnotated;
use actum_model::ids::Tenant;
use actum_model::input::Boot;
use actum_model::{Event, Input, Json, RealmConfig, SessionId, Stamped, contract};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Flips a bit in the middle of what is used of the first segment.
fn flip(data: &Path) -> PathBuf {
    let view = over(data, &["journal", "inspect", "--json"]).json();
    let segment = &view["segments"][0];
    let path = data.join("journal").join(segment["name"].as_str().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = usize::try_from(segment["usedBytes"].as_u64().unwrap()).unwrap() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_copy_proves_the_same_as_the_original_even_while_the_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::dev(&data);
    daemon.run(&["session", "create", "web"]).ended(0);
    daemon
        .run(&[
            "call",
            "shell.run",
            "--session",
            "web",
            "--id",
            "a",
            "--",
            "echo",
            "hi",
        ])
        .ended(0);
    let live = daemon.run(&["verify", "--json"]).ended(0).json();
    let taken = folder.path().join("copy");
    copy(&data, &taken);
    let copied = over(&taken, &["verify", "--json"]).ended(0).json();
    assert!(over(&data, &["verify"]).ended(0).out.contains("in use"));
    assert!(
        !over(&taken, &["verify"]).ended(0).out.contains("in use"),
        "nobody holds the copy"
    );
    assert_eq!(live["root"], copied["root"]);
    assert_eq!(live["whole"], true);
    let digest =
        |data: &Path| over(data, &["replay", "--verify", "--json"]).ended(0).json()["digest"].clone();
    assert_eq!(digest(&data), digest(&taken));
    let (status, _) = daemon.end();
    assert!(status.success());
    assert_eq!(
        over(&data, &["verify", "--json"]).ended(0).json()["records"],
        copied["records"].as_u64().unwrap() + 1
    );
}

#[test]
fn replay_lists_lanes_and_outcomes_and_goes_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let data = history(folder.path(), 3);
    let said = over(&data, &["replay", "--print", "--json"]).ended(0).json();
    let outcomes = said["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 4, "{said}");
    let places: Vec<u64> = outcomes
        .iter()
        .map(|row| row["laneSeq"].as_u64().unwrap())
        .collect();
    assert_eq!(places, [1, 2, 3, 4]);
    let said = over(&data, &["replay", "--print"]).ended(0).out;
    assert!(
        said.contains("session:web #2") && said.contains("a-0") && said.contains("succeeded"),
        "{said}"
    );
    let said = over(&data, &["replay", "--step", "--from", "2", "--to", "2"])
        .ended(0)
        .out;
    assert!(
        said.starts_with("record 2") && said.contains("session_annotated") && said.contains("digest"),
        "{said}"
    );
    assert!(!said.contains("record 3"), "{said}");
}

#[test]
fn a_flipped_byte_is_refused_everywhere_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = history(folder.path(), 200);
    let path = flip(&data);
    let file = format!("journal/{}", path.file_name().unwrap().to_str().unwrap());
    let view = over(&data, &["journal", "inspect", "--json"]).ended(1).json();
    let problem = &view["problems"][0];
    let (offset, idx) = (
        problem["offset"].as_u64().unwrap(),
        problem["idx"].as_u64().unwrap(),
    );
    assert_eq!(problem["acknowledged"], true, "{view}");
    let place = format!("`{file}` at offset {offset}, record {idx}");
    for refused in [
        &["verify"][..],
        &["replay"],
        &["export"],
        &["dev", "--listen", ":0"],
        &["journal", "inspect"],
    ] {
        let said = over(&data, refused).ended(1);
        assert!(
            said.err.contains("error[JOURNAL_DAMAGED]"),
            "{refused:?}: {}",
            said.err
        );
        assert!(
            said.err.contains(&place),
            "{refused:?}: {} lacks {place}",
            said.err
        );
    }
    assert!(!data.join("daemon.json").exists());
}

#[test]
fn repair_cuts_where_it_is_told_keeps_a_copy_and_refuses_more() {
    let folder = tempfile::tempdir().unwrap();
    let data = history(folder.path(), 200);
    flip(&data);
    let view = over(&data, &["journal", "inspect", "--json"]).ended(1).json();
    let idx = view["problems"][0]["idx"].as_u64().unwrap();
    let said = over(&data, &["journal", "repair", "--to", &idx.to_string()])
        .ended(1)
        .err;
    assert!(
        said.contains("error[JOURNAL_DAMAGED]") && said.contains("journal inspect"),
        "{said}"
    );
    over(&data, &["journal", "repair", "--to", "99999"]).ended(1);
    let last = idx - 1;
    let done = over(&data, &["journal", "repair", "--to", &last.to_string(), "--json"])
        .ended(0)
        .json();
    assert_eq!(done["head"], last);
    for kept in done["copies"].as_array().unwrap() {
        assert!(data.join(kept.as_str().unwrap()).exists(), "{kept}");
    }
    let whole = over(&data, &["verify", "--json"]).ended(0).json();
    assert_eq!(whole["records"], last + 1);
    let daemon = Daemon::dev(&data);
    daemon
        .run(&[
            "call",
            "session.annotate",
            "--session",
            "web",
            "key=after",
            "value=repair",
        ])
        .ended(0);
}

#[test]
fn an_export_holds_every_record_and_redacts_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = history(folder.path(), 5);
    let file = folder.path().join("out.ndjson");
    over(&data, &["export", "--out", file.to_str().unwrap()]).ended(0);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let whole = over(&data, &["verify", "--json"]).ended(0).json();
    assert_eq!(lines.len() as u64, whole["records"].as_u64().unwrap() + 2);
    assert_eq!(lines[0]["realm"], whole["realm"]);
    assert_eq!(lines.last().unwrap()["headHash"], whole["headHash"]);
    assert_eq!(lines[1]["idx"], 0);
    assert!(text.contains("\"value\":4"), "{text}");
    let said = over(&data, &["export", "--redact"]).ended(0).out;
    assert!(
        !said.contains("\"value\":4") && said.contains("$redacted") && said.contains("a-4"),
        "{said}"
    );
}

/// Adds a record with an event to a history, as another version of the program could have written it.
fn add(data: &Path, event: Event) -> u64 {
    let storage = Arc::new(FileStorage::open(data).unwrap());
    let mut recovery = Recovery::new();
    let mut opened = actum_journal::open(storage, &Options::default(), &mut recovery).unwrap();
    let state = recovery.finish().state;
    let input = serde_ipld_dagcbor::to_vec(&Input::Tick).unwrap();
    let ticket = opened
        .stager
        .stage(state.at, state.elapsed, &input, &[event])
        .unwrap();
    let _written = opened.writer.flush(opened.stager.seal()).unwrap();
    opened.writer.close().unwrap();
    ticket.idx()
}

#[test]
fn an_export_applies_the_rules_of_today_to_what_was_stored_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::dev(&data);
    daemon.run(&["session", "create", "web"]).ended(0);
    let lines = folder.path().join("lines.jsonl");
    let submitted = json!({"type": "session.annotate", "id": "a", "sessionId": "web",
        "payload": {"key": "login", "value": {"apiKey": "taken-out-before-it-was-stored"}}});
    std::fs::write(&lines, submitted.to_string()).unwrap();
    daemon.run(&["submit", lines.to_str().unwrap()]).ended(0);
    assert!(daemon.end().0.success());
    // A version without the rules would have stored these as they are.
    let (named, shaped) = ("stored-under-a-name", format!("ghp_{}", "a1B2".repeat(9)));
    let value =
        json!({"password": named, "note": format!("log in with {named} or {shaped}"), "step": "plain words"});
    let event = Event::SessionAnnotated(SessionAnnotated {
        tenant: Tenant::main(),
        session: SessionId::parse("web").unwrap(),
        key: "old".into(),
        value: Some(Json::from_value(&value).unwrap()),
    });
    let idx = add(&data, event);
    let file = folder.path().join("out.ndjson");
    over(&data, &["export", "--out", file.to_str().unwrap()]).ended(0);
    let written = std::fs::read_to_string(&file).unwrap();
    let said = over(&data, &["export"]).ended(0).out;
    assert_eq!(said, written);
    for secret in [named, shaped.as_str(), "taken-out-before-it-was-stored"] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let row = lines.iter().find(|line| line["idx"] == idx).unwrap();
    let value = &row["events"][0]["session_annotated"]["value"];
    assert_eq!(value["password"]["$redacted"], "secret", "{row}");
    assert_eq!(value["step"], "plain words", "{row}");
    let kept = lines
        .iter()
        .find(|line| line["input"]["submit"]["envelope"]["id"] == "a")
        .unwrap();
    assert!(
        kept.to_string()
            .contains(r#""apiKey":{"$redacted":"secret","ref":"s1"}"#),
        "{kept}"
    );
    assert!(!kept["hash"].as_str().unwrap().contains("redacted"));
}

#[test]
fn compaction_keeps_the_state_and_what_it_cannot_know_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let fill = |prefix: &str| {
        let daemon = Daemon::start(&data, &["dev", "--listen", ":0", "--snapshot-every", "0"]);
        let mut lines = vec![web()];
        for (n, mut line) in annotations(prefix, 60).into_iter().enumerate() {
            line["payload"]["value"] = format!("{n}{}", "x".repeat(40_000)).into();
            lines.push(line);
        }
        let file = folder.path().join("lines.jsonl");
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        daemon.run(&["submit", file.to_str().unwrap()]).ended(0);
        assert!(daemon.end().0.success());
    };
    fill("first");
    over(&data, &["journal", "compact"]).ended(0);
    fill("second");
    let before = over(&data, &["replay", "--from-snapshot", "--json"])
        .ended(0)
        .json()["digest"]
        .clone();
    let done = over(&data, &["journal", "compact", "--json"]).ended(0).json();
    assert!(done["segmentsRemoved"].as_u64().unwrap() >= 1, "{done}");
    assert_eq!(done["digest"], before);
    over(&data, &["verify"]).ended(0);
    let said = over(&data, &["replay"]).ended(1).err;
    assert!(
        said.contains("error[RECORD_GONE]") && said.contains("--from-snapshot"),
        "{said}"
    );
    over(&data, &["replay", "--verify", "--from-snapshot"]).ended(0);
    let daemon = Daemon::dev(&data);
    let row = daemon.run(&["show", "first-3", "--json"]).ended(0).json();
    assert_eq!(row["state"], "succeeded");
}

#[test]
fn compaction_sweeps_blobs_that_nothing_names_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = |more: &[&str]| {
        let usual = ["dev", "--listen", ":0", "--snapshot-every", "0"];
        Daemon::start(&data, &[&usual, more].concat())
    };
    let large = |daemon: &Daemon, id: &str, from: &str| {
        let args = [
            "call",
            "shell.run",
            "--id",
            id,
            "--json",
            "--",
            "seq",
            from,
            "30000",
        ];
        let said = daemon.run(&args).ended(0).json();
        said["data"]["stdout"]["blob"].as_str().unwrap().to_owned()
    };
    let fill = |daemon: &Daemon, prefix: &str| {
        let mut lines = vec![web()];
        for (n, mut line) in annotations(prefix, 60).into_iter().enumerate() {
            line["payload"]["value"] = format!("{n}{}", "x".repeat(40_000)).into();
            lines.push(line);
        }
        let file = folder.path().join("lines.jsonl");
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        daemon.run(&["submit", file.to_str().unwrap()]).ended(0);
    };
    let compact = || over(&data, &["journal", "compact", "--json"]).ended(0).json();
    let blob = |hash: &str| data.join("blobs").join(&hash[..2]).join(hash);

    let daemon = start(&[]);
    let first = large(&daemon, "first", "1");
    fill(&daemon, "a");
    assert!(daemon.end().0.success());
    // Sealed for a record that never came, as when the daemon dies in between.
    let orphan = actum_model::Hash::of(b"orphan").to_string();
    std::fs::create_dir_all(blob(&orphan).parent().unwrap()).unwrap();
    std::fs::write(blob(&orphan), b"orphan").unwrap();
    let done = compact();
    assert_eq!(done["blobsRemoved"], 1, "{done}");
    assert!(!blob(&orphan).exists());

    let daemon = start(&[]);
    fill(&daemon, "b");
    let second = large(&daemon, "second", "2");
    assert!(daemon.end().0.success());
    let done = compact();
    assert!(done["segmentsRemoved"].as_u64().unwrap() >= 1, "{done}");
    assert!(
        done["firstIdx"].as_u64().unwrap() > 20,
        "the record of `first` is gone: {done}"
    );
    assert_eq!(done["blobsRemoved"], 0, "its outcome is kept: {done}");

    // Now no outcome is kept but the last; the record of `second` is there still.
    let daemon = start(&["--keep-outcomes", "1"]);
    let third = large(&daemon, "third", "3");
    assert!(daemon.end().0.success());
    let said = over(&data, &["journal", "compact"]).ended(0).out;
    assert!(said.contains("1 blob removed"), "{said}");
    assert!(!blob(&first).exists());
    let daemon = Daemon::dev(&data);
    for (hash, lines) in [(second, 29_999), (third, 29_998)] {
        let whole = daemon.run(&["blob", &hash]).ended(0).out;
        assert_eq!(whole.lines().count(), lines, "{hash}");
    }
}

/// Adds a record to a history that nobody decided: a session out of nowhere, at a tick. With `build`, a start of that
/// version of the program comes before it.
fn add_what_nobody_decided(data: &Path, build: Option<&str>) -> u64 {
    if let Some(build) = build {
        let storage = Arc::new(FileStorage::open(data).unwrap());
        let mut recovery = Recovery::new();
        let mut opened = actum_journal::open(storage, &Options::default(), &mut recovery).unwrap();
        let mut state = recovery.finish().state;
        let boot = Boot {
            realm: state.realm.to_vec(),
            incarnation: state.incarnation.to_vec(),
            node: "here".into(),
            build: build.into(),
            contracts: contract::table_hash(),
            classes: None,
            config: RealmConfig::default(),
        };
        let stamped = Stamped {
            at: state.at,
            elapsed: state.elapsed,
            input: Input::Boot(boot),
        };
        let decision = advance(&mut state, &stamped);
        let input = serde_ipld_dagcbor::to_vec(&stamped.input).unwrap();
        opened
            .stager
            .stage(decision.head.at, decision.head.elapsed, &input, &decision.events)
            .unwrap();
        let _written = opened.writer.flush(opened.stager.seal()).unwrap();
        opened.writer.close().unwrap();
    }
    let session = SessionId::parse("nowhere").unwrap();
    add(
        data,
        Event::SessionCreated {
            tenant: Tenant::main(),
            session,
            spec: None,
        },
    )
}

#[test]
fn drift_is_told_with_its_record_and_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let data = history(folder.path(), 2);
    let idx = add_what_nobody_decided(&data, None);
    over(&data, &["verify"]).ended(0);
    over(&data, &["replay"]).ended(0);
    let said = over(&data, &["replay", "--verify"]).ended(1);
    assert!(
        said.err
            .contains(&format!("error[REPLAY_DRIFT]: record {idx} drifts")),
        "{}",
        said.err
    );
    assert!(
        said.out.contains("recorded") && said.out.contains("nowhere"),
        "{}",
        said.out
    );
    assert!(said.out.contains("decided now  nothing"), "{}", said.out);
}

#[test]
fn what_another_version_decided_is_told_from_drift() {
    let folder = tempfile::tempdir().unwrap();
    let data = history(folder.path(), 2);
    let idx = add_what_nobody_decided(&data, Some("0.0.1"));
    let said = over(&data, &["replay", "--verify"]).ended(1).err;
    let expected = format!("record {idx} was decided by another engine version (0.0.1)");
    assert!(
        said.contains(&expected) && said.contains("hint: replay it with version 0.0.1"),
        "{said}"
    );
    let said = over(&data, &["replay", "--verify", "--json"]).ended(1).json();
    assert_eq!((&said["otherVersion"], &said["idx"]), (&true.into(), &idx.into()));
}
