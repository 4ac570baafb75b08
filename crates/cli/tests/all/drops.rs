//! Connections that break at random, in the middle of what either side says: a client that sends again under
//! the same ids gets every outcome, and everything is done exactly once.
//!
//! Where they break is drawn from a seed, which is printed; `ACTUM_TEST_SEED` repeats the draws.

use crate::common::{Daemon, Random, block_on, seed};
use actum_client::{Client, ClientError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

const SESSIONS: usize = 4;
const COMMANDS: usize = 600;
/// Bytes after which a connection breaks, at most.
const LIFE_BYTES: usize = 60_000;
/// Rounds after which a client that gets nowhere is given up.
const ROUNDS: usize = 2_000;

/// Passes bytes on until the connection's life is over, then cuts both ways, often within a message.
fn pass(mut from: TcpStream, mut to: TcpStream, life: &AtomicI64) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let left = life.fetch_sub(i64::try_from(count).unwrap(), Ordering::Relaxed);
        let whole = usize::try_from(left.max(0)).unwrap().min(count);
        if to.write_all(&buffer[..whole]).is_err() || whole < count {
            break;
        }
    }
    let _gone = from.shutdown(Shutdown::Both);
    let _gone = to.shutdown(Shutdown::Both);
}

/// Connections to the listener reach the daemon and break after a number of bytes that the seed draws.
fn break_at_random(listener: TcpListener, daemon: SocketAddr, random: Arc<Mutex<Random>>) {
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(daemon).unwrap());
            let life = 200 + random.lock().unwrap().below(LIFE_BYTES);
            let life = Arc::new(AtomicI64::new(i64::try_from(life).unwrap()));
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let life = Arc::clone(&life);
                std::thread::spawn(move || pass(from, to, &life));
            }
        }
    });
}

/// Sends everything in one of three ways and takes what answers come until the connection breaks.
async fn attempt(
    url: &str,
    way: usize,
    commands: &[Value],
    answers: &mut Vec<Value>,
) -> Result<(), ClientError> {
    let client = Client::connect(url, None).await?;
    match way {
        0 => {
            for command in commands {
                answers.push(client.submit(command).await?);
            }
        }
        1 => {
            let (sender, mut receiver) = client.submit_ndjson().await?;
            let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
            let sending = tokio::spawn(async move {
                for line in lines {
                    if sender.send_text(line).await.is_err() {
                        return;
                    }
                }
            });
            while let Some(answer) = receiver.next().await? {
                answers.push(answer);
            }
            sending.await.unwrap();
        }
        _ => {
            let (mut sender, mut receiver) = client.socket().await?.split();
            let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
            let count = lines.len();
            let sending = tokio::spawn(async move {
                for line in lines {
                    if sender.feed(line).await.is_err() || sender.flush().await.is_err() {
                        return;
                    }
                }
            });
            let mut taken = 0;
            while taken < count {
                let Some(text) = receiver.next().await? else { break };
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == "response" {
                    answers.push(message);
                    taken += 1;
                }
            }
            sending.await.unwrap();
        }
    }
    Ok(())
}

#[test]
fn connections_that_break_anywhere_lose_and_double_nothing() {
    let random = Arc::new(Mutex::new(Random(seed())));
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let between = listener.local_addr().unwrap().to_string();
    let args = [
        "dev",
        "--sandbox",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--host",
        &between,
    ];
    let daemon = Daemon::start(&folder.path().join("data"), &args);
    let address: SocketAddr = daemon.url().strip_prefix("http://").unwrap().parse().unwrap();
    break_at_random(listener, address, Arc::clone(&random));
    let url = format!("http://{between}");
    let creations = (0..SESSIONS).map(|session| {
        json!({"type": "session.create", "id": format!("create-{session}"),
            "sessionId": format!("s{session}"), "payload": {}})
    });
    let annotations = (0..COMMANDS).map(|n| {
        let session = n % SESSIONS;
        json!({"type": "session.annotate", "id": format!("a-{n}"), "sessionId": format!("s{session}"),
            "dependsOn": [format!("create-{session}")], "idempotencyKey": format!("k-{n}"),
            "payload": {"key": "n", "value": n}})
    });
    let commands: Vec<Value> = creations.chain(annotations).collect();
    let mut outcomes: BTreeMap<String, Value> = BTreeMap::new();
    let mut broken = 0;
    block_on(async {
        for round in 0.. {
            let open = |command: &&Value| !outcomes.contains_key(command["id"].as_str().unwrap());
            let pending: Vec<Value> = commands.iter().filter(open).cloned().collect();
            if pending.is_empty() {
                break;
            }
            assert!(round < ROUNDS, "{} commands got no answer", pending.len());
            let way = random.lock().unwrap().below(3);
            let mut answers = Vec::new();
            let ended = attempt(&url, way, &pending, &mut answers).await;

            broken += usize::from(ended.is_err());
            for answer in answers {
                // A dependent may come before what it depends on was accepted: it is refused and sent again.
                if answer["error"]["code"] == "DEPENDENCY_UNKNOWN" {
                    continue;
                }
                assert_eq!(answer["success"], true, "{answer}");
                outcomes.insert(answer["id"].as_str().unwrap().to_owned(), answer);
            }
        }
        println!("{broken} connections broke");
        assert!(broken > 0, "nothing broke, so nothing was shown");

        let client = daemon.client().await;
        for session in 0..SESSIONS {
            let path = format!("s{session}");
            let command = json!({"type": "session.get", "sessionId": path, "payload": {}});
            let row = client.submit(&command).await.unwrap();
            assert_eq!(row["data"]["version"], COMMANDS / SESSIONS, "{row}");
        }
        for (id, answer) in &outcomes {
            let row = client
                .submit(&json!({"type": "command.get", "payload": {"id": id}}))
                .await
                .unwrap();
            assert_eq!(row["data"]["finishedIdx"], answer["idx"], "{id}: {row}");
        }
    });
}
