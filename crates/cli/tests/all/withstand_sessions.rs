//! What a session must withstand while it does its work, through the real daemon: thousands of executions, much output,
//! questions for input, code that is sent together. `ACTUM_DEEP=1` takes the full counts.

use crate::common::{block_on, follow, until};
use crate::withstand_support::*;
use actum_client::Client;
use serde_json::{Value, json};
use std::time::Instant;

const MIB_IN_KIB: u64 = 1024;

async fn resident(client: &Client, ground: &Ground) -> (u64, u64) {
    let daemon = i32::try_from(ground.daemon.child.id()).unwrap();
    let worker = listed(client).await[0].1;
    (resident_kib(daemon).0, resident_kib(worker).0)
}

#[test]
fn thousands_of_noisy_executions_leave_memory_where_it_was() {
    let ground = Ground::with(&["--durability", "batched"], &[]);
    let count = times(300, 10_000);
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let noisy = "import sys, os\nsys.stderr.write('noise ' * 2000)\nos.write(2, b'raw\\n')\nn = globals().get('n', 0) + 1\nn";
        let mut warm = (0, 0);
        for n in 1..=count {
            let answer = code(&client, "s", noisy).await;
            assert_eq!(value_of(&answer), n, "{answer}");
            assert_eq!(answer["data"]["stderr"]["bytes"], 12_004, "{answer}");
            if n == count / 3 {
                warm = resident(&client, &ground).await;
            }
        }
        let after = resident(&client, &ground).await;
        println!("KiB resident, daemon and worker: {warm:?} after a third, {after:?} after {count}");
        // The daemon keeps the outcomes that it was told to keep, 20 KiB each at most; the worker keeps nothing.
        let kept = u64::try_from(count).unwrap() * 20;
        assert!(after.0 < warm.0 + kept + 32 * MIB_IN_KIB, "{warm:?} {after:?}");
        assert!(after.1 < warm.1 + 8 * MIB_IN_KIB, "{warm:?} {after:?}");
    });
}

#[test]
fn a_last_line_counts_once_and_awaits_are_awaited() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let cases = [
            ("y = []", Value::Null),
            ("y.append(1)\ny", json!([1])),
            ("y", json!([1])),
            ("import asyncio\nawait asyncio.sleep(0)\n40 + 2", json!(42)),
            (
                "async def numbers():\n    for n in range(3):\n        yield n\nfound = []\nasync for n in numbers():\n    found.append(n)\nfound",
                json!([0, 1, 2]),
            ),
            (
                "async def late():\n    return 'late'\nawait late()",
                json!("late"),
            ),
            (
                "async def called():\n    return 'called'\ncalled()",
                json!("called"),
            ),
        ];
        for (text, expected) in cases {
            let answer = code(&client, "s", text).await;
            assert_eq!(value_of(&answer), expected, "{text}: {answer}");
        }
    });
}

#[test]
fn a_traceback_shows_the_line_and_an_exception_without_words_is_told() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let answer = code(&client, "s", "def f():\n    return 1 / 0  # my own line\nf()").await;
        assert_eq!(answer["outcome"], "failed", "{answer}");
        assert_eq!(answer["error"]["code"], "EXECUTION_FAILED", "{answer}");
        let told = answer["data"]["error"]["traceback"].as_str().unwrap();
        assert!(told.contains("# my own line"), "{told}");
        let answer = code(
            &client,
            "s",
            "class E(Exception):\n    def __str__(self):\n        raise ValueError('no words')\nraise E()",
        )
        .await;
        assert_eq!(answer["error"]["code"], "EXECUTION_FAILED", "{answer}");
        assert_eq!(answer["data"]["error"]["type"], "E", "{answer}");
        assert_eq!(answer["data"]["session"], "kept", "{answer}");
    });
}

/// Runs code that asks once, and answers by `answer` when it has asked.
async fn answered(client: &Client, id: &str, answer: Value) -> Value {
    let mut events = follow(client).await;
    let run = json!({"type": "code.run", "id": id, "sessionId": "s",
        "payload": {"code": "line = input('name? ')\nline"}});
    let asked = async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            let about = event.data.to_string();
            if event.name == "promise_created" && about.contains(&format!("exec:{id}:input:1")) {
                return client.submit(&answer).await.unwrap();
            }
        }
    };
    let (ran, told) = tokio::join!(client.submit(&run), asked);
    assert_eq!(told["outcome"], "succeeded", "{told}");
    ran.unwrap()
}

#[test]
fn input_is_answered_in_the_first_and_in_the_tenth_execution_by_either_way() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        for n in 1..=10 {
            let id = format!("ask-{n}");
            let answer = if n % 2 == 1 {
                command("session.input", "s", json!({"data": format!("line {n}")}))
            } else {
                json!({"type": "promise.resolve", "id": fresh("r"), "payload":
                    {"promiseId": format!("exec:{id}:input:1"), "value": {"data": format!("line {n}")}}})
            };
            let ran = answered(&client, &id, answer).await;
            assert_eq!(value_of(&ran), format!("line {n}"), "{ran}");
        }
        let eof = command("session.input", "s", json!({"eof": true}));
        let ran = answered(&client, "ask-eof", eof).await;
        assert_eq!(ran["data"]["error"]["type"], "EOFError", "{ran}");
    });
}

#[test]
fn code_that_is_sent_together_runs_strictly_one_after_the_other() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let text = "import time\nbusy = globals().get('busy', 0) + 1\nassert busy == 1\n\
                    end = time.monotonic() + 0.02\nwhile time.monotonic() < end: pass\n\
                    busy -= 1\nturns = globals().get('turns', 0) + 1\nturns";
        let other = ground.daemon.client().await;
        for n in 0..5 {
            let (one, two) = tokio::join!(code(&client, "s", text), code(&other, "s", text));
            let mut turns = [value_of(&one).as_u64().unwrap(), value_of(&two).as_u64().unwrap()];
            turns.sort_unstable();
            assert_eq!(turns, [2 * n + 1, 2 * n + 2]);
        }
    });
}

#[test]
fn fifty_megabytes_of_output_are_kept_as_a_blob_and_what_is_beyond_the_bound_is_counted() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let text = "import sys\nfor n in range(500):\n    sys.stdout.write('x' * 99_999 + '\\n')";
        let answer = code(&client, "s", text).await;
        assert_eq!(answer["outcome"], "succeeded", "{}", answer["error"]);
        let stdout = &answer["data"]["stdout"];
        assert_eq!(stdout["bytes"], 50_000_000);
        assert!(
            stdout["dropped"].is_null() || stdout["dropped"] == 0,
            "{}",
            stdout["dropped"]
        );
        assert!(answer.to_string().len() < 300_000, "the answer itself is bounded");
        let hash = stdout["blob"].as_str().unwrap();
        let kept = ground.daemon.data.join("blobs");
        assert!(holds_file_with(&kept, hash), "{hash} is in {}", kept.display());
        let text = "import sys\nfor n in range(1000):\n    sys.stdout.write('y' * 99_999 + '\\n')";
        let answer = code(&client, "s", text).await;
        assert_eq!(answer["outcome"], "succeeded", "{}", answer["error"]);
        let stdout = &answer["data"]["stdout"];
        let dropped = stdout["dropped"].as_u64().unwrap();
        assert_eq!(
            stdout["bytes"].as_u64().unwrap() + dropped,
            100_000_000,
            "{dropped}"
        );
        assert_eq!(value_of(&code(&client, "s", "1 + 1").await), 2);
    });
}

fn holds_file_with(folder: &std::path::Path, name: &str) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let found = entry.file_name().to_string_lossy().into_owned();
            name.contains(&found) && !entry.path().is_dir()
                || found.contains(name)
                || entry.path().is_dir() && holds_file_with(&entry.path(), name)
        })
}

#[test]
fn output_of_c_and_of_children_comes_in_order_and_before_the_result() {
    let ground = Ground::with(&["--durability", "batched"], &[]);
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let text = "import os, sys, ctypes, subprocess\n\
                    libc = ctypes.CDLL(None)\n\
                    print('python', flush=True)\n\
                    os.write(1, b'descriptor\\n')\n\
                    libc.printf(b'c\\n'); libc.fflush(None)\n\
                    subprocess.run(['echo', 'child'])\n\
                    print('last')";
        let load = "python"; // Another session that keeps one core busy meanwhile.
        python(&client, load).await;
        let busy = command("code.run", load, json!({"code": "while True: pass"}));
        let busy_id = busy["id"].as_str().unwrap().to_owned();
        let other = ground.daemon.client().await;
        let work = async {
            for n in 0..times(50, 1000) {
                let answer = code(&client, "s", text).await;
                assert_eq!(
                    answer["data"]["stdout"]["text"], "python\ndescriptor\nc\nchild\nlast\n",
                    "{n}: {answer}"
                );
            }
            let cancel = json!({"type": "command.cancel", "id": fresh("x"), "payload": {"id": busy_id}});
            client.submit(&cancel).await.unwrap()
        };
        let (loaded, cancelled) = tokio::join!(other.submit(&busy), work);
        assert_eq!(cancelled["outcome"], "succeeded", "{cancelled}");
        assert_eq!(loaded.unwrap()["outcome"], "cancelled");
    });
}

#[test]
fn a_session_is_deleted_only_when_its_code_has_ended_and_takes_its_process_and_folder_along() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        value_of(&code(&client, "s", "open('mine', 'w').write('x')").await);
        let worker = Held::of(listed(&client).await[0].1).unwrap();
        let mut events = follow(&client).await;
        let run = json!({"type": "code.run", "id": "long", "sessionId": "s", "payload":
            {"code": "print('begun', flush=True)\nwhile True: pass"}});
        let (a, b) = (ground.daemon.client().await, ground.daemon.client().await);
        let work = async {
            until(&mut events, "command_started", "long").await;
            let delete = command("session.delete", "s", json!({}));
            let cancel = async {
                until(&mut events, "command_accepted", delete["id"].as_str().unwrap()).await;
                ask(&client, "session.cancel", "s", json!({})).await
            };
            tokio::join!(b.submit(&delete), cancel)
        };
        let (ran, (deleted, cancelled)) = tokio::join!(a.submit(&run), work);
        assert_eq!(cancelled["outcome"], "succeeded", "{cancelled}");
        assert_eq!(ran.unwrap()["outcome"], "cancelled");
        assert_eq!(deleted.unwrap()["outcome"], "succeeded");
        assert!(worker.ends_within(PATIENCE_SECONDS), "the worker lives on");
        assert_eq!(listed(&client).await, []);
        let kept = ground.data().join("workspaces/main");
        let until = Instant::now() + PATIENCE;
        while std::fs::read_dir(&kept).unwrap().count() > 0 {
            assert!(Instant::now() < until, "the folder of the session is left");
            look(&client, "server.pool", json!({})).await;
        }
    });
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
