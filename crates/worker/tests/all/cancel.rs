//! Stopping: whatever the code does, it ends in its grace time, what it wrote is kept, and nothing is left running.

use crate::common::{Bench, Kind, Told, lives, rounds};
use actum_worker::session::{EndReason, Ending};
use serde_json::json;
use std::time::Duration;

/// Long where the session is to survive, so that a busy machine kills nothing; nothing waits for it to pass.
const GENEROUS: Duration = Duration::from_secs(30);
/// Short where it is to pass.
const SHORT: Duration = Duration::from_millis(150);

/// Starts code that says `ready`, cancels it, and gives what it came to.
async fn stop(bench: &mut Bench, code: &str, grace: Duration) -> Told {
    let id = bench.send(code).await;
    bench.until_output("ready").await;
    assert!(bench.session.cancel(&id, grace).await.unwrap());
    bench.finish(&id).await
}

#[tokio::test]
async fn loops_sleeps_reads_and_awaits_are_stopped_and_the_session_survives() {
    let mut bench = Bench::start(Kind::Python).await;
    bench
        .run("import time, socket, asyncio, subprocess, os, threading, queue\nkept = 'kept'")
        .await;
    let cases = [
        "print('ready')\nwhile True: pass",
        "print('ready')\ntime.sleep(100)",
        "a, b = socket.socketpair()\nprint('ready')\na.recv(1)",
        "print('ready')\nawait asyncio.sleep(100)",
        "async def f():\n    print('ready')\n    time.sleep(100)\nawait f()",
        "print('ready')\nthreading.Event().wait()",
        "print('ready')\nqueue.Queue().get()",
        "print('ready')\nsubprocess.run(['sleep', '100'])",
        "print('ready', flush=True)\nos.system('sleep 100')",
        "print('ready')\nasyncio.run(asyncio.sleep(100))",
        "print('ready')\ninput()",
        "import actum\nprint('ready')\nactum.files.read('x')",
        "print('ready')\nawait actum.files.read('x')",
        "print('ready')\nwhile True: print('x' * 100)",
    ];
    for round in 0..rounds(1, 10) {
        for code in cases {
            // `system` ignores interrupts while it waits: its child is killed at half of the time.
            let grace = if code.contains("os.system") {
                Duration::from_secs(2)
            } else {
                GENEROUS
            };
            let told = stop(&mut bench, code, grace).await;
            assert_eq!(
                told.code(),
                Some("CANCELLED"),
                "round {round}: {code}: {:?}",
                told.ending()
            );
            assert!(told.kept(), "{code}");
            assert_eq!(bench.run("kept").await.value(), json!("kept"), "after {code}");
        }
    }
}

#[tokio::test]
async fn partial_output_is_kept() {
    let mut bench = Bench::start(Kind::Python).await;
    let id = bench.send("import time\nprint('first')\nprint('unfinished', end='')\nprint('e', flush=True)\ntime.sleep(100)").await;
    bench.until_output("unfinished").await;
    bench.session.cancel(&id, GENEROUS).await.unwrap();
    assert_eq!(bench.finish(&id).await.code(), Some("CANCELLED"));
}

#[tokio::test]
async fn code_that_swallows_one_interrupt_is_pressed_again() {
    let mut bench = Bench::start(Kind::Python).await;
    let code = "import time\ntry:\n    print('ready')\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    print('swallowed')\ntime.sleep(100)";
    let told = stop(&mut bench, code, Duration::from_secs(2)).await;
    assert_eq!(told.code(), Some("CANCELLED"));
    assert!(told.kept());
    assert_eq!(told.text(), "swallowed\n");
}

/// The bug: what was in the pipes of a worker that had no chance to send it went with the worker.
#[tokio::test]
async fn what_was_written_just_before_code_that_lets_nothing_else_run_is_not_lost() {
    let mut bench = Bench::start(Kind::Python).await;
    let code = "import re, sys, actum\nprint('ready')\nactum.display(0)\nfor n in range(1000): print('line', n)\n\
        print('last words', file=sys.stderr)\nre.match('(a*)*b', 'a' * 200)";
    let told = stop(&mut bench, code, SHORT).await;
    assert!(!told.kept());
    let lines: Vec<String> = (0..1000).map(|n| format!("line {n}\n")).collect();
    assert!(told.text().contains(&lines.concat()), "{}", told.text());
    assert_eq!(told.errors(), "last words\n");
}

#[tokio::test]
async fn what_cannot_be_stopped_is_killed_and_the_session_is_said_to_be_lost() {
    let mask = "import signal, actum\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n";
    let cases = [
        "import time\nwhile True:\n    try:\n        print('ready')\n        time.sleep(100)\n    except BaseException: pass",
        "import signal, time\nsignal.signal(signal.SIGINT, lambda *a: None)\nprint('ready')\ntime.sleep(1000)",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\nimport time\nprint('ready')\ntime.sleep(1000)",
        // These hold the interpreter: the worker cannot even read the cancel. What is shown makes `ready` go out first.
        &format!("{mask}import re\nprint('ready')\nactum.display(0)\nre.match('(a*)*b', 'a' * 200)"),
        &format!("{mask}print('ready')\nactum.display(0)\nx = pow(7, 10**9)"),
        &format!("{mask}import ctypes\nprint('ready')\nactum.display(0)\nctypes.PyDLL(None).sleep(1000)"),
        &format!("{mask}import os\nprint('ready')\nactum.display(0)\nos.kill(os.getpid(), 19)"),
    ];
    for code in cases {
        let mut bench = Bench::start(Kind::Python).await;
        let waiting = {
            let id = bench.send(code).await;
            bench.until_output("ready").await;
            let behind = bench.send("'never runs'").await;
            bench.session.cancel(&id, SHORT).await.unwrap();
            (id, behind)
        };
        let mut ends = Vec::new();
        loop {
            match bench.next().await {
                actum_worker::session::Event::Finished(outcome) => {
                    assert!(!outcome.session_kept, "{code}: {outcome:?}");
                    ends.push(outcome);
                }
                actum_worker::session::Event::Ended { reason } => {
                    assert_eq!(
                        reason,
                        EndReason::CancelOverdue {
                            execution: waiting.0.clone()
                        },
                        "{code}"
                    );
                    break;
                }
                _ => {}
            }
        }
        let ids: Vec<&str> = ends.iter().map(|outcome| outcome.execution.as_str()).collect();
        assert_eq!(ids, [&waiting.0, &waiting.1], "{code}");
        assert!(
            ends.iter()
                .all(|outcome| !outcome.session_kept && matches!(outcome.ending, Ending::Lost(_)))
        );
        assert_eq!(ends[0].ending.code(), Some("CANCELLED"));
        assert!(!lives(i64::from(bench.session.pid())), "{code}");
        assert!(bench.events.next().await.is_none());
        assert!(
            bench
                .session
                .execute(actum_worker::session::Execute::new("x", "1"))
                .is_err()
        );
    }
}

#[tokio::test]
async fn children_that_ignore_everything_die_with_their_execution_and_older_ones_stay() {
    let mut bench = Bench::start(Kind::Python).await;
    let older = bench
        .run("import subprocess, os, signal, time, sys\nserver = subprocess.Popen(['sleep', '1000'])\ntime.sleep(0.05)\nserver.pid")
        .await
        .value();
    let stubborn = "def stubborn():\n    for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(n, signal.SIG_IGN)\n\
                    \x20   while True: time.sleep(1000)\n";
    let code = format!(
        "{stubborn}pids = []\nr, w = os.pipe()\n\
         if (p := os.fork()) == 0:\n    os.setsid()\n    q = os.fork()\n    if q: os.write(w, b'%d ' % q); os._exit(0)\n    stubborn()\n\
         os.waitpid(p, 0)\npids.append(int(os.read(r, 100)))\n\
         if (p := os.fork()) == 0: stubborn()\npids.append(p)\n\
         pids.append(subprocess.Popen(['sh', '-c', 'trap \"\" TERM INT; sleep 1000; sleep 1000']).pid)\n\
         print(*pids, 'ready')\nwhile True: time.sleep(100)"
    );
    let id = bench.send(&code).await;
    let mut text = String::new();
    while !text.contains("ready") {
        if let actum_worker::session::Event::Output { data, .. } = bench.next().await {
            text.push_str(&String::from_utf8_lossy(&data));
        }
    }
    let pids: Vec<i64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(pids.len(), 3);
    bench.session.cancel(&id, GENEROUS).await.unwrap();
    let told = bench.finish(&id).await;
    assert_eq!((told.code(), told.kept()), (Some("CANCELLED"), true));
    for pid in pids {
        assert!(!lives(pid), "{pid}");
    }
    assert!(
        lives(older.as_i64().unwrap()),
        "what an earlier execution started is not this one's"
    );
    bench.session.shutdown().await;
    assert!(!lives(older.as_i64().unwrap()));
}

#[tokio::test]
async fn a_killed_session_leaves_no_child_behind() {
    let mut bench = Bench::start(Kind::Python).await;
    let code = "import os, signal, time\nif os.fork() == 0:\n    os.setsid()\n    signal.signal(15, signal.SIG_IGN)\n    print(os.getpid(), flush=True)\n    time.sleep(1000)\n\
                while True:\n    try: time.sleep(100)\n    except BaseException: pass";
    let id = bench.send(code).await;
    let pid: i64 = loop {
        if let actum_worker::session::Event::Output { data, .. } = bench.next().await {
            break String::from_utf8_lossy(&data).trim().parse().unwrap();
        }
    };
    bench.session.cancel(&id, SHORT).await.unwrap();
    assert!(matches!(bench.end().await, EndReason::CancelOverdue { .. }));
    assert!(!lives(pid));
}

#[tokio::test]
async fn a_queued_execution_is_taken_out_of_the_queue() {
    let mut bench = Bench::start(Kind::Python).await;
    let first = bench.send("import time\nprint('ready')\ntime.sleep(100)").await;
    let second = bench.send("ran = True").await;
    bench.until_output("ready").await;
    assert!(bench.session.cancel(&second, GENEROUS).await.unwrap());
    let told = bench.finish(&second).await;
    assert_eq!((told.code(), told.kept()), (Some("CANCELLED"), true));
    bench.session.cancel(&first, GENEROUS).await.unwrap();
    bench.finish(&first).await;
    assert_eq!(bench.run("'ran' in globals()").await.value(), json!(false));
    assert!(
        !bench.session.cancel(&first, GENEROUS).await.unwrap(),
        "it has ended"
    );
}

#[tokio::test]
async fn an_interrupt_is_one_control_c() {
    let mut bench = Bench::start(Kind::Python).await;
    let id = bench.send("import time\ntry:\n    print('ready')\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    r = 'caught'\nr").await;
    bench.until_output("ready").await;
    bench.session.interrupt(&id).await.unwrap();
    assert_eq!(bench.finish(&id).await.value(), json!("caught"));
    let id = bench.send("print('ready')\ntime.sleep(100)").await;
    bench.until_output("ready").await;
    bench.session.interrupt(&id).await.unwrap();
    let told = bench.finish(&id).await;
    assert_eq!(told.failure().code, "INTERRUPTED");
    assert!(told.failure().traceback.contains("line ") && !told.failure().traceback.contains("worker.py"));
}

#[tokio::test]
async fn a_cancel_at_any_moment_gives_one_outcome_and_a_session_that_works() {
    let mut bench = Bench::start(Kind::Python).await;
    bench.run("import actum").await;
    for round in 0..rounds(150, 3000) {
        let id = bench
            .send("for i in range(200): print(i)\nactum.display([1])\nsum(range(2000))")
            .await;
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        bench.session.cancel(&id, GENEROUS).await.unwrap();
        let told = bench.finish(&id).await;
        assert!(
            matches!(told.code(), None | Some("CANCELLED")),
            "round {round}: {:?}",
            told.ending()
        );
        assert_eq!(bench.run(&format!("{round}")).await.value(), json!(round));
    }
}
