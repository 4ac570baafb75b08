//! SIGKILL of the real daemon in the middle of everything it carries out: what dies with it, what is said of it at the
//! next start, and what outlives it.

use crate::common::{block_on, follow, over, until};
use crate::withstand_support::*;
use actum_client::{Client, Events};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The payments server of the examples, as a process of its own. It holds its answers back while a file is there, and
/// loses them while another is.
struct Payments {
    child: Child,
    port: u16,
    log: PathBuf,
    hold: PathBuf,
    held: PathBuf,
    drop: PathBuf,
}

impl Payments {
    fn start(folder: &Path) -> Payments {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/payments/payments.py");
        let at = |name: &str| folder.join(name);
        let mut child = Command::new("python3")
            .arg(program)
            .arg("--log")
            .arg(at("charges.log"))
            .arg("--hold")
            .arg(at("hold"))
            .arg("--held")
            .arg(at("held"))
            .arg("--drop")
            .arg(at("drop"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Payments {
            child,
            port: line.trim().parse().unwrap(),
            log: at("charges.log"),
            hold: at("hold"),
            held: at("held"),
            drop: at("drop"),
        }
    }

    fn charges(&self) -> usize {
        std::fs::read_to_string(&self.log).map_or(0, |text| text.lines().count())
    }

    /// Waits until an answer is held back.
    fn has_charged(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.held.exists() {
            assert!(Instant::now() < until, "nothing was charged");
            std::thread::yield_now();
        }
    }
}

impl Drop for Payments {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn detached(mut command: Value, id: &str) -> Value {
    command["id"] = id.into();
    command["detach"] = true.into();
    command
}

async fn state(client: &Client, id: &str) -> Value {
    look(client, "command.get", json!({"id": id})).await
}

/// Starts something that never ends, and returns when it has written its first words.
async fn begun(client: &Client, events: &mut Events, command: Value, id: &str) {
    client.submit(&detached(command, id)).await.unwrap();
    until(events, "output", id).await;
}

fn proves(data: &Path) {
    over(data, &["verify"]).ended(0);
    over(data, &["replay", "--verify"]).ended(0);
}

#[test]
fn nothing_survives_the_daemon_and_all_that_ran_in_cages_is_interrupted() {
    let ground = Ground::new();
    let mark = fresh(&format!("killed-{}", std::process::id()));
    let below_daemon = block_on(async {
        let client = ground.daemon.client().await;
        let mut events = follow(&client).await;
        for n in 0..3 {
            let session = format!("s{n}");
            python(&client, &session).await;
            let text = format!(
                "import os, signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                 print('begun', flush=True)\nif os.fork() == 0: os.setsid()\n\
                 subprocess.run(['sh', '-c', 'trap \"\" TERM HUP; sleep 1000; : {mark}'])"
            );
            begun(
                &client,
                &mut events,
                command("code.run", &session, json!({"code": text})),
                &format!("code-{n}"),
            )
            .await;
        }
        session_of(&client, "t", json!({})).await;
        python(&client, "idle").await;
        value_of(&code(&client, "idle", "kept = 1").await);
        let script = format!("echo begun; (setsid sleep 1000 &); sleep 1000; : {mark}");
        begun(
            &client,
            &mut events,
            command("shell.run", "t", json!({"argv": ["sh", "-c", script]})),
            "program",
        )
        .await;
        for (id, kind, payload) in [
            ("p1", "promise.create", json!({"promiseId": "settled"})),
            (
                "p2",
                "promise.resolve",
                json!({"promiseId": "settled", "value": {"n": 1}}),
            ),
            ("p3", "promise.create", json!({"promiseId": "pending"})),
        ] {
            let made = client
                .submit(&json!({"type": kind, "id": id, "payload": payload}))
                .await
                .unwrap();
            assert_eq!(made["outcome"], "succeeded", "{made}");
        }
        below(ground.daemon.child.id())
    });
    assert!(below_daemon.len() >= 8, "{} processes", below_daemon.len());
    let data = ground.data();
    // How soon is measured by `cargo xtask bench`, on a machine with nothing else to do; here it is that they end at all.
    let begin = Instant::now();
    let ground = {
        let killed = ground.killed(&[]);
        for held in &below_daemon {
            assert!(
                held.ends_within(PATIENCE_SECONDS),
                "process {} survived the daemon",
                held.pid
            );
        }
        println!(
            "{} processes were gone within {:?} of the kill, a new start included",
            below_daemon.len(),
            begin.elapsed()
        );
        killed
    };
    assert_eq!(marked(&mark).len(), 0, "something escaped the count");
    block_on(async {
        let client = ground.daemon.client().await;
        for id in ["code-0", "code-1", "code-2", "program"] {
            let row = state(&client, id).await;
            assert_eq!(row["state"], "failed", "{row}");
            assert_eq!(row["error"]["code"], "INTERRUPTED", "{row}");
        }
        for session in ["s0", "s1", "s2", "idle"] {
            let row = client
                .submit(&json!({"type": "session.get", "sessionId": session, "payload": {}}))
                .await
                .unwrap();
            assert_eq!(row["data"]["worker"]["state"], "lost", "{row}");
            let next = code(&client, session, "1").await;
            assert_eq!(next["error"]["code"], "SESSION_LOST", "{next}");
        }
        let promise = |id: &'static str| json!({"promiseId": id});
        let settled = look(&client, "promise.get", promise("settled")).await;
        assert_eq!(settled["state"], "resolved", "{settled}");
        assert_eq!(settled["value"], json!({"n": 1}), "{settled}");
        assert_eq!(
            look(&client, "promise.get", promise("pending")).await["state"],
            "pending"
        );
        let resolve =
            json!({"type": "promise.resolve", "id": "p4", "payload": {"promiseId": "pending", "value": 2}});
        assert_eq!(client.submit(&resolve).await.unwrap()["outcome"], "succeeded");
        let reset = ask(&client, "session.reset", "idle", json!({})).await;
        assert_eq!(reset["outcome"], "succeeded", "{reset}");
        assert_eq!(
            value_of(&code(&client, "idle", "'kept' in globals()").await),
            false
        );
    });
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
    proves(&data);
}

#[test]
fn a_charge_without_a_probe_is_in_doubt_and_one_with_a_probe_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let payments = Payments::start(folder.path());
    let host = format!("127.0.0.1:{}", payments.port);
    let flags = ["--grant-http", host.as_str()];
    let ground = Ground::with(&flags, &[]);
    let data = ground.data();
    std::fs::write(&payments.hold, "").unwrap();
    let url = |path: &str| format!("http://{host}{path}");
    let charge = |key: &str| {
        json!({"url": url("/charges"), "method": "POST",
            "headers": {"Idempotency-Key": key, "Content-Type": "application/json"},
            "body": "{\"amount\": 1250, \"currency\": \"EUR\"}"})
    };
    let mut probed = charge("with-probe");
    probed["probe"] = json!({"url": url("/charges/with-probe")});
    block_on(async {
        let client = ground.daemon.client().await;
        for (session, payload) in [("a", charge("no-probe")), ("b", probed)] {
            session_of(&client, session, json!({})).await;
            let _gone = std::fs::remove_file(&payments.held);
            let run = detached(command("http.fetch", session, payload), &format!("pay-{session}"));
            let answer = client.submit(&run).await.unwrap();
            assert_eq!(answer["error"], Value::Null, "{answer}");
            payments.has_charged();
        }
    });
    assert_eq!(payments.charges(), 2);
    let ground = ground.killed(&flags);
    std::fs::remove_file(&payments.hold).unwrap();
    ground.daemon.run(&["wait", "pay-b"]).ended(0);
    block_on(async {
        let client = ground.daemon.client().await;
        let unknown = state(&client, "pay-a").await;
        assert_eq!(unknown["state"], "in_doubt", "{unknown}");
        let found = state(&client, "pay-b").await;
        assert_eq!(found["state"], "succeeded", "{found}");
    });
    assert_eq!(payments.charges(), 2, "nothing was charged twice");
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
    proves(&data);
}

#[test]
fn a_charge_whose_answer_is_lost_is_found_by_its_probe_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let payments = Payments::start(folder.path());
    let host = format!("127.0.0.1:{}", payments.port);
    let ground = Ground::with(&["--grant-http", &host], &[]);
    std::fs::write(&payments.drop, "").unwrap();
    let charge = |key: &str, looked_for: &str| {
        json!({"url": format!("http://{host}/charges"), "method": "POST",
            "headers": {"Idempotency-Key": key, "Content-Type": "application/json"},
            "body": "{\"amount\": 1250, \"currency\": \"EUR\"}",
            "probe": {"url": format!("http://{host}{looked_for}")}})
    };
    let data = ground.data();
    block_on(async {
        let client = ground.daemon.client().await;
        session_of(&client, "s", json!({})).await;
        let pay = command("http.fetch", "s", charge("landed", "/charges/landed"));
        let found = client.submit(&pay).await.unwrap();
        assert_eq!(found["outcome"], "succeeded", "{found}");
        assert_eq!(found["data"]["probe"]["exitCode"], 0, "{found}");
        // Where the probe finds nothing, it did not happen, as far as it can tell.
        let pay = command("http.fetch", "s", charge("elsewhere", "/charges/nothing-of-it"));
        let none = client.submit(&pay).await.unwrap();
        assert_eq!(none["error"]["code"], "DID_NOT_HAPPEN", "{none}");
        let told = none["error"]["message"].as_str().unwrap();
        assert!(told.contains("its answer was lost"), "{none}");
        // A probe that cannot tell leaves it to a person.
        let mut pay = detached(
            command("http.fetch", "s", charge("unknown", "/charges")),
            "unknown",
        );
        pay["payload"]["probe"]["landedStatus"] = json!(299);
        pay["payload"]["probe"]["didNotHappenStatus"] = json!(298);
        client.submit(&pay).await.unwrap();
    });
    ground.daemon.run(&["wait", "unknown"]).ended(3);
    let why = ground.daemon.run(&["why", "unknown", "--json"]).ended(0).out;
    assert!(
        why.contains("answer_lost") && why.contains("could not tell"),
        "{why}"
    );
    assert_eq!(payments.charges(), 3, "each was charged once");
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
    proves(&data);
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
