//! SIGKILL of the real binary while commands stream through it: what was acknowledged is there afterwards.
//!
//! Where it is killed is drawn from a seed, which is printed; `ACTUM_TEST_SEED` repeats a run.

use crate::common::{Daemon, Random, annotations, block_on, over, seed, web};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ROUNDS: usize = 5;
const COMMANDS: usize = 3000;

/// Streams commands and kills the daemon after `after` answers; gives the answers that came.
async fn stream_and_kill(daemon: Daemon, commands: &[Value], after: usize) -> Vec<Value> {
    let client = daemon.client().await;
    let (sender, mut receiver) = client.submit_ndjson().await.unwrap();
    let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
    let feeding = tokio::spawn(async move {
        for line in lines {
            if sender.send_text(line).await.is_err() {
                return;
            }
        }
    });
    let mut answers = Vec::new();
    while answers.len() < after {
        answers.push(
            receiver
                .next()
                .await
                .unwrap()
                .expect("the daemon ended the answers"),
        );
    }
    daemon.kill();
    // What was on its way when it died counts as acknowledged too.
    while let Ok(Some(answer)) = receiver.next().await {
        answers.push(answer);
    }
    feeding.await.unwrap();
    answers
}

#[test]
fn every_acknowledged_outcome_survives_sigkill_at_random_points() {
    let mut random = Random(seed());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut acknowledged: BTreeMap<String, Value> = BTreeMap::new();
    let mut version = 0;
    for round in 0..ROUNDS {
        let commands: Vec<Value> = std::iter::once(web())
            .chain(annotations(&format!("round-{round}"), COMMANDS))
            .collect();
        let after = 1 + random.below(COMMANDS - 1);
        let daemon = Daemon::dev(&data);
        let answers = block_on(stream_and_kill(daemon, &commands, after));
        for answer in answers {
            assert_eq!(answer["success"], true, "{answer}");
            version = version.max(answer["sessionVersion"].as_u64().unwrap());
            acknowledged.insert(answer["id"].as_str().unwrap().to_owned(), answer);
        }

        let again = Daemon::dev(&data);
        assert_eq!(again.ready["recovery"]["cleanShutdown"], false);
        block_on(async {
            let client = again.client().await;
            let asked: Vec<Value> = acknowledged
                .keys()
                .map(|id| json!({"type": "command.get", "payload": {"id": id}}))
                .collect();
            let (sender, mut receiver) = client.submit_ndjson().await.unwrap();
            let asking = tokio::spawn(async move {
                for question in asked {
                    sender.send(&question).await.unwrap();
                }
            });
            let mut found = BTreeSet::new();
            while let Some(row) = receiver.next().await.unwrap() {
                let row = &row["data"];
                let id = row["id"].as_str().unwrap();
                let answer = &acknowledged[id];
                assert_eq!(row["state"], answer["outcome"], "round {round}, {id}: {row}");
                assert_eq!(row["finishedIdx"], answer["idx"], "round {round}, {id}: {row}");
                assert_eq!(row["laneSeq"], answer["laneSeq"], "round {round}, {id}: {row}");
                assert_eq!(
                    row["sessionVersion"], answer["sessionVersion"],
                    "round {round}, {id}: {row}"
                );
                found.insert(id.to_owned());
            }
            asking.await.unwrap();
            assert!(
                found.iter().eq(acknowledged.keys()),
                "round {round}: none is missing"
            );
            // Sent again, all of it is done exactly once.
            let (sender, mut receiver) = client.submit_ndjson().await.unwrap();
            for command in &commands {
                sender.send(command).await.unwrap();
            }
            drop(sender);
            while let Some(answer) = receiver.next().await.unwrap() {
                assert_eq!(answer["success"], true, "{answer}");
                if acknowledged.contains_key(answer["id"].as_str().unwrap()) {
                    assert_eq!(answer["replayed"], true, "{answer}");
                }
                acknowledged.insert(answer["id"].as_str().unwrap().to_owned(), answer);
            }
            let session = client
                .submit(&json!({"type": "session.get", "sessionId": "web", "payload": {}}))
                .await;
            let now = session.unwrap()["data"]["version"].as_u64().unwrap();
            assert_eq!(
                now,
                ((round + 1) * COMMANDS) as u64,
                "each annotation counts once"
            );
            assert!(now >= version);
        });
        again.kill();
    }
    over(&data, &["verify"]).ended(0);
    over(&data, &["replay", "--verify"]).ended(0);
}
