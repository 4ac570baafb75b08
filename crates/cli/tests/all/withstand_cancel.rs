//! Code that does not want to be stopped, through the real daemon: by `command.cancel` and by its time. It is always over
//! soon, what it had written is kept, nothing of it is left on the machine, and the session goes on or says that it cannot.

use crate::common::{block_on, follow, until};
use crate::withstand_support::*;
use actum_client::Client;
use serde_json::{Value, json};

/// Code that never ends by itself, and whether its session must survive its cancel. `MARK` stands for a mark of its own.
const NASTY: [(&str, &str, bool); 10] = [
    ("a busy loop", "while True: pass", true),
    ("a long sleep", "import time; time.sleep(1000)", true),
    (
        "a blocking read of a socket",
        "import socket; a, b = socket.socketpair(); a.recv(1)",
        true,
    ),
    ("a question", "input('never answered? ')", true),
    (
        "a handler that swallows the interrupt",
        "import signal, time\nsignal.signal(signal.SIGINT, lambda *a: None)\nwhile True:\n    try:\n        time.sleep(1000)\n    except BaseException: pass",
        false,
    ),
    (
        "a loop in C",
        "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')",
        false,
    ),
    (
        "a child that ignores TERM",
        "import subprocess; subprocess.run(['sh', '-c', 'trap \"\" TERM INT HUP; sleep 1000; : MARK'])",
        true,
    ),
    (
        "a fork that ignores TERM and leaves its group",
        "import os, signal, time, subprocess\nif os.fork() == 0:\n    os.setsid()\n    signal.signal(15, signal.SIG_IGN)\n    subprocess.run(['sh', '-c', 'sleep 1000; : MARK'])\ntime.sleep(1000)",
        true,
    ),
    (
        "an await that swallows its cancel",
        "import asyncio\nasync def never():\n    while True:\n        try: await asyncio.sleep(1000)\n        except BaseException: pass\nawait never()",
        false,
    ),
    (
        "a repr without an end",
        "class A:\n    def __repr__(self):\n        while True: pass\nA()",
        true,
    ),
];

/// With words before it. What was written gets a moment to leave the interpreter, since a loop in C never lets go of it.
fn prelude(text: &str, mark: &str) -> String {
    let text = text.replace("MARK", mark);
    format!("import time\nprint('partial', flush=True)\ntime.sleep(0.05)\n{text}")
}

fn kept_or_lost(answer: &Value) -> bool {
    match answer["data"]["session"].as_str() {
        Some("kept") => true,
        Some("lost") => false,
        _ => panic!("the answer does not say what became of the session: {answer}"),
    }
}

/// What must hold after a nasty execution is over.
async fn goes_on(client: &Client, session: &str, what: &str, answer: &Value, mark: &str) {
    assert_eq!(answer["data"]["stdout"]["text"], "partial\n", "{what}: {answer}");
    nothing_is_left_of(mark);
    let next = code(client, session, "before").await;
    if kept_or_lost(answer) {
        assert_eq!(value_of(&next), 41, "{what}: its names are kept");
    } else {
        assert_eq!(next["error"]["code"], "SESSION_LOST", "{what}: {next}");
        assert!(
            listed(client).await.iter().all(|(name, _)| name != session),
            "{what}"
        );
        let reset = ask(client, "session.reset", session, json!({})).await;
        assert_eq!(reset["outcome"], "succeeded", "{what}: {reset}");
        assert_eq!(
            value_of(&code(client, session, "before = 41\nbefore").await),
            41,
            "{what}"
        );
    }
}

#[test]
fn whatever_runs_is_cancelled_and_the_session_says_what_became_of_it() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        let other = ground.daemon.client().await;
        python(&client, "s").await;
        value_of(&code(&client, "s", "before = 41").await);
        let mut events = follow(&client).await;
        for (what, text, must_keep) in NASTY {
            let mark = fresh(&format!("cancelled-{}", std::process::id()));
            let text = prelude(text, &mark);
            let run = command("code.run", "s", json!({"code": text}));
            let id = run["id"].as_str().unwrap().to_owned();
            let stop = async {
                until(&mut events, "output", &id).await;
                let cancel = json!({"type": "command.cancel", "id": fresh("x"), "payload": {"id": id}});
                other.submit(&cancel).await.unwrap()
            };
            let (ran, stopped) = tokio::join!(client.submit(&run), stop);
            let ran = ran.unwrap();
            assert_eq!(stopped["outcome"], "succeeded", "{what}: {stopped}");
            assert_eq!(ran["outcome"], "cancelled", "{what}: {ran}");
            assert!(!must_keep || kept_or_lost(&ran), "{what}: {ran}");
            goes_on(&client, "s", what, &ran, &mark).await;
        }
    });
}

#[test]
fn whatever_runs_is_over_when_its_time_is_and_never_in_doubt() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        value_of(&code(&client, "s", "before = 41").await);
        for (what, text, must_keep) in NASTY {
            let mark = fresh(&format!("timed-{}", std::process::id()));
            let text = prelude(text, &mark);
            let ran = limited(&client, "s", &text, 700).await;
            assert_eq!(ran["outcome"], "timed_out", "{what}: {ran}");
            assert_eq!(ran["error"]["code"], "TIMED_OUT", "{what}: {ran}");
            assert!(!must_keep || kept_or_lost(&ran), "{what}: {ran}");
            goes_on(&client, "s", what, &ran, &mark).await;
        }
    });
}

#[test]
fn a_checkpoint_that_never_ends_is_stopped_when_its_time_is_over() {
    // A bug once: pickling runs code of the user's, and nothing but code could be stopped. The session, and the daemon
    // that was asked to end, waited for ever.
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let text =
            "import time\nclass A:\n    def __reduce__(self):\n        while True: time.sleep(1)\na = A()";
        value_of(&code(&client, "s", text).await);
        let mut checkpoint = command("session.checkpoint", "s", json!({}));
        checkpoint["timeoutMs"] = 300.into();
        let answer = client.submit(&checkpoint).await.unwrap();
        assert_eq!(answer["outcome"], "timed_out", "{answer}");
        let next = code(&client, "s", "1").await;
        assert_eq!(next["error"]["code"], "SESSION_LOST", "{next}");
        let reset = ask(&client, "session.reset", "s", json!({})).await;
        assert_eq!(reset["outcome"], "succeeded", "{reset}");
        assert_eq!(value_of(&code(&client, "s", "1").await), 1);
        let good = ask(&client, "session.checkpoint", "s", json!({})).await;
        assert_eq!(good["outcome"], "succeeded", "{good}");
    });
}

#[test]
fn an_interrupt_is_an_exception_that_code_may_catch() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        let other = ground.daemon.client().await;
        python(&client, "s").await;
        let mut events = follow(&client).await;
        let text = "import time\nprint('begun', flush=True)\ntry:\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    caught = 'caught'\ncaught";
        let run = command("code.run", "s", json!({"code": text}));
        let id = run["id"].as_str().unwrap().to_owned();
        let interrupt = async {
            until(&mut events, "output", &id).await;
            ask(&other, "session.interrupt", "s", json!({})).await
        };
        let (ran, interrupted) = tokio::join!(client.submit(&run), interrupt);
        assert_eq!(interrupted["data"]["id"], id, "{interrupted}");
        assert_eq!(value_of(&ran.unwrap()), "caught");
    });
}

#[test]
fn a_program_in_its_cage_is_cancelled_with_all_it_started() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        let other = ground.daemon.client().await;
        session_of(&client, "s", json!({})).await;
        let mut events = follow(&client).await;
        let mark = fresh(&format!("program-{}", std::process::id()));
        let script = format!(
            "trap '' TERM INT HUP; echo partial; (setsid sh -c 'trap \"\" TERM; sleep 1000; : {mark}' &) ; sleep 1000; : {mark}"
        );
        let run = command("shell.run", "s", json!({"argv": ["sh", "-c", script]}));
        let id = run["id"].as_str().unwrap().to_owned();
        let stop = async {
            until(&mut events, "output", &id).await;
            let cancel = json!({"type": "command.cancel", "id": fresh("x"), "payload": {"id": id}});
            other.submit(&cancel).await.unwrap()
        };
        let (ran, _) = tokio::join!(client.submit(&run), stop);
        let ran = ran.unwrap();
        assert_eq!(ran["outcome"], "cancelled", "{ran}");
        assert_eq!(ran["data"]["stdout"]["text"], "partial\n", "{ran}");
        nothing_is_left_of(&mark);
    });
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
