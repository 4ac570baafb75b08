//! SIGKILL of the real binary at each of its named crash points: what was acknowledged stays, nothing is done
//! twice, and what nobody can know is said to be in doubt.

use crate::common::{Daemon, actum, annotations, block_on, over, web};
use actum_client::Client;
use actum_daemon::core::CRASH_POINTS;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

const SIGKILL: i32 = 9;
const RUNS: usize = 3;

/// A daemon that dies at its crash point, which may be before it is ready.
struct Armed {
    child: Child,
    url: Option<String>,
}

impl Armed {
    fn start(data: &Path, point: &str, passage: u32) -> Armed {
        let mut child = actum()
            .args([
                "dev",
                "--sandbox",
                "none",
                "--listen",
                "127.0.0.1:0",
                "--segment-mib",
                "1",
                "--snapshot-every",
                "10",
                "--json",
            ])
            .arg("--data")
            .arg(data)
            .env("ACTUM_CRASH_AT", format!("{point}:{passage}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        let url = ready.map(|ready| ready["url"].as_str().unwrap().to_owned());
        Armed { child, url }
    }

    /// Sends what it may; gives the answers that came and how the daemon ended.
    fn work(mut self, commands: &[Value]) -> (Vec<Value>, ExitStatus) {
        let mut answers = Vec::new();
        if let Some(url) = &self.url {
            block_on(async {
                let Ok(client) = Client::connect(url, None).await else {
                    return;
                };
                let Ok((sender, mut receiver)) = client.submit_ndjson().await else {
                    return;
                };
                for command in commands {
                    if sender.send(command).await.is_err() {
                        break;
                    }
                }
                drop(sender);
                while let Ok(Some(answer)) = receiver.next().await {
                    answers.push(answer);
                }
            });
            if self.child.try_wait().unwrap().is_none() {
                let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            }
        }
        (answers, self.child.wait().unwrap())
    }
}

/// One line into a file of its own, and more output than a record holds.
fn run(folder: &Path, n: usize) -> Value {
    let file = folder.join(format!("effect-{n}"));
    let script = format!(
        "echo done >> {}; head -c 40000 /dev/zero | tr '\\0' {n}",
        file.display()
    );
    json!({"type": "shell.run", "id": format!("run-{n}"), "sessionId": "web",
        "payload": {"argv": ["sh", "-c", script]}})
}

fn times_done(folder: &Path, n: usize) -> usize {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(folder.join(format!("effect-{n}"))) {
        file.read_to_string(&mut text).unwrap();
    }
    text.lines().count()
}

async fn get(client: &Client, id: &str) -> Value {
    client
        .submit(&json!({"type": "command.get", "payload": {"id": id}}))
        .await
        .unwrap()
}

/// Dies at `point`, comes back, and is held to what it said.
fn crash_at(point: &str, passage: u32) -> ExitStatus {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let commands: Vec<Value> = std::iter::once(web())
        .chain(annotations("before", 15))
        .chain((0..RUNS).map(|n| run(folder.path(), n)))
        .chain(annotations("after", 15))
        .collect();
    let (answers, status) = Armed::start(&data, point, passage).work(&commands);
    let acknowledged: BTreeMap<&str, &Value> = answers
        .iter()
        .map(|answer| (answer["id"].as_str().unwrap(), answer))
        .collect();

    let again = Daemon::dev(&data);
    block_on(async {
        let client = again.client().await;
        for (id, answer) in &acknowledged {
            let row = get(&client, id).await;
            assert_eq!(row["data"]["finishedIdx"], answer["idx"], "{point}: {id}: {row}");
            assert_eq!(row["data"]["state"], answer["outcome"], "{point}: {id}: {row}");
        }
        for n in 0..RUNS {
            let id = format!("run-{n}");
            if get(&client, &id).await["data"]["state"] == "in_doubt" {
                let found = if times_done(folder.path(), n) == 1 {
                    "landed"
                } else {
                    "did_not_happen"
                };
                let resolve = json!({"type": "command.resolve",
                    "payload": {"id": id, "as": found, "note": "its file was looked at"}});
                assert_eq!(
                    client.submit(&resolve).await.unwrap()["success"],
                    true,
                    "{point}: {id}"
                );
            }
        }
        for command in &commands {
            let answer = client.submit(command).await.unwrap();
            let resolved = answer["error"]["code"] == "DID_NOT_HAPPEN";
            assert!(resolved || answer["success"] == true, "{point}: {answer}");
        }
        for n in 0..RUNS {
            let answer = get(&client, &format!("run-{n}")).await;
            let expected = usize::from(answer["data"]["success"] == true);
            assert_eq!(
                times_done(folder.path(), n),
                expected,
                "{point}: run-{n} {answer}"
            );
        }
    });
    let (ended, said) = again.end();
    assert!(ended.success(), "{point}: {said}");
    over(&data, &["verify"]).ended(0);
    over(&data, &["replay", "--verify"]).ended(0);
    status
}

fn dies_at(points: &[&str], passages: &[u32]) {
    for point in points {
        for passage in passages {
            let status = crash_at(point, *passage);
            assert_eq!(
                status.signal(),
                Some(SIGKILL),
                "`{point}` was not passed {passage} time(s): {status}"
            );
        }
    }
}

const JOURNAL: &[&str] = &[
    "decided",
    "journal_written_in_part",
    "journal_written",
    "journal_synced",
    "released",
];
const EFFECTS: &[&str] = &["effect_prepared", "effect_settled", "blob_put"];
const REST: &[&str] = &[
    "segment_created",
    "snapshot_put",
    "snapshot_recorded",
    "closing",
    "closed_marked",
];

const SUBJECTS: &[&str] = &["subject_key_made", "subject_erase_recorded", "subject_key_zeroed"];

fn about_ann() -> Value {
    json!({"type": "session.annotate", "id": "ann", "sessionId": "web",
        "payload": {"key": "who", "value": {"$personal": {"subject": "Ann", "value": "ann@example.org"}}}})
}

fn erase_ann() -> Value {
    json!({"type": "subject.erase", "id": "erase", "payload": {"subject": "Ann"}})
}

/// What `personal.get` answers for the annotation.
async fn opened(client: &Client) -> Value {
    let session = json!({"type": "session.get", "sessionId": "web", "payload": {}});
    let session = client.submit(&session).await.unwrap();
    let reference = &session["data"]["metadata"]["who"]["ref"];
    let open = json!({"type": "personal.get", "payload": {"ref": reference}});
    client.submit(&open).await.unwrap()
}

#[test]
fn between_the_key_of_a_subject_and_the_record_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (_, status) = Armed::start(&data, SUBJECTS[0], 1).work(&[web(), about_ann()]);
    assert_eq!(status.signal(), Some(SIGKILL));
    let again = Daemon::dev(&data);
    assert_eq!(again.run(&["subject", "list"]).ended(0).out.lines().count(), 1);
    block_on(async {
        let client = again.client().await;
        let known = get(&client, "ann").await;
        assert_eq!(known["error"]["code"], "COMMAND_NOT_FOUND", "{known}");
        for command in [web(), about_ann()] {
            assert_eq!(client.submit(&command).await.unwrap()["success"], true);
        }
        assert_eq!(opened(&client).await["data"]["value"], "ann@example.org");
    });
    again.end();
    over(&data, &["verify"]).ended(0);
}

#[test]
fn between_the_record_of_an_erasure_and_the_end_of_the_key() {
    for point in &SUBJECTS[1..] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let before = Daemon::dev(&data);
        block_on(async {
            let client = before.client().await;
            for command in [web(), about_ann()] {
                assert_eq!(client.submit(&command).await.unwrap()["success"], true);
            }
            assert_eq!(opened(&client).await["data"]["value"], "ann@example.org");
        });
        before.end();
        let (answers, status) = Armed::start(&data, point, 1).work(&[erase_ann()]);
        assert_eq!(status.signal(), Some(SIGKILL), "{point}");
        assert!(
            answers.is_empty(),
            "{point}: nobody was told before the key was gone"
        );
        assert_eq!(
            over(&data, &["subject", "list"]).ended(0).out.lines().count(),
            1,
            "{point}"
        );
        let again = Daemon::dev(&data);
        assert_eq!(again.run(&["subject", "list"]).ended(0).out, "", "{point}");
        block_on(async {
            let client = again.client().await;
            assert_eq!(
                opened(&client).await["error"]["code"],
                "PERSONAL_DATA_ERASED",
                "{point}"
            );
            let answer = client.submit(&erase_ann()).await.unwrap();
            assert_eq!(answer["replayed"], true, "{point}: it is on the record: {answer}");
        });
        again.end();
        over(&data, &["verify"]).ended(0);
        over(&data, &["replay", "--verify"]).ended(0);
    }
}

#[test]
fn at_the_points_of_a_batch() {
    dies_at(JOURNAL, &[1, 3]);
}

#[test]
fn at_the_points_of_an_effect() {
    dies_at(EFFECTS, &[1, 2]);
}

#[test]
fn at_the_points_of_segments_snapshots_and_the_end() {
    dies_at(REST, &[1]);
}

#[test]
fn every_crash_point_is_died_at() {
    let mut tested = [JOURNAL, EFFECTS, REST, SUBJECTS].concat();
    let mut known = CRASH_POINTS.to_vec();
    tested.sort_unstable();
    known.sort_unstable();
    assert_eq!(tested, known);
}
