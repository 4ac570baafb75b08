//! Output: all of it before the result, in order, whoever wrote it, bounded on this side however slow it is read.

use crate::common::{self, Bench, Kind};
use actum_worker::protocol::{Backpressure, Stream};
use actum_worker::session::{Event, Options};
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test]
async fn what_python_c_code_and_children_write_comes_in_order_and_before_the_result() {
    let mut bench = Bench::start(Kind::Python).await;
    // Another session keeps a processor busy meanwhile.
    let mut busy = Bench::start(Kind::Python).await;
    busy.send("print('ready')\nwhile True: pass").await;
    busy.until_output("ready").await;
    bench
        .run("import os, sys, subprocess, ctypes\nc = ctypes.CDLL(None)")
        .await;
    let code = "print('python')\nos.write(1, b'raw\\n')\nc.puts(b'c')\nsubprocess.run(['echo', 'child'])\n\
                print('again')\nc.printf(b'no newline')";
    for round in 0..1000 {
        let told = bench.run(code).await;
        assert_eq!(
            told.text(),
            "python\nraw\nc\nchild\nagain\nno newline",
            "round {round}"
        );
    }
    busy.session.shutdown().await;
}

#[tokio::test]
async fn a_child_that_lives_on_with_our_output_holds_no_result() {
    let mut bench = Bench::start(Kind::Python).await;
    let told = bench
        .run("import subprocess, os\np = subprocess.Popen(['sh', '-c', 'echo begun; exec sleep 1000'])\nq = subprocess.Popen(['yes'])\nimport time\nprint('done')\np.pid")
        .await;
    let child = told.value().as_i64().unwrap();
    assert!(told.text().contains("done"));
    assert!(common::lives(child));
    let told = bench.run("print('next')\nq.kill()\nq.wait()").await;
    let rest = told.text().replace("y\n", "").replace('y', "");
    assert!(rest.contains("next"), "{rest:.100}");
    bench.session.shutdown().await;
    assert!(
        !common::lives(child),
        "nothing is left of a session that is closed"
    );
}

#[tokio::test]
async fn fifty_megabytes_come_through_whole() {
    let mut bench = Bench::start(Kind::Python).await;
    let told = bench
        .run("import sys\nfor i in range(500_000): print(f'{i:099d}')")
        .await;
    assert_eq!(told.stdout.len(), 50_000_000);
    for (number, line) in told.stdout.chunks(100).enumerate().step_by(997) {
        assert_eq!(line, format!("{number:099}\n").as_bytes());
    }
}

#[tokio::test]
async fn a_consumer_that_does_not_read_blocks_the_writer_and_nothing_is_lost() {
    let windows = BTreeMap::from([(Stream::Stdout, 64 * 1024), (Stream::Stderr, 64 * 1024)]);
    let options = Options {
        windows,
        ..Options::default()
    };
    let mut bench = Bench::with(Kind::Python, options).await;
    let code = "import os\nfor i in range(64):\n    os.write(1, b'x' * 65536)\n    os.write(2, b'%d ' % i)";
    let id = bench.send(code).await;
    // Wait for the first output, then take nothing more until a question asked on the side is answered.
    bench.until_output("x").await;
    assert!(
        bench
            .session
            .interrupt("no such execution")
            .await
            .is_ok_and(|found| !found)
    );
    let told = bench.finish(&id).await;
    let seen = told.stdout.len();
    assert!((63 * 65536..=64 * 65536).contains(&seen), "{seen}");
    assert!(told.errors().ends_with("63 "));
    assert_eq!(told.ending().ended().unwrap().dropped.len(), 0);
}

#[tokio::test]
async fn output_that_finds_no_credit_in_time_gives_one_error_and_no_result() {
    let windows = BTreeMap::from([(Stream::Stdout, 4096)]);
    let drain = Duration::from_millis(50);
    let options = Options {
        windows,
        drain,
        ..Options::default()
    };
    let mut bench = Bench::with(Kind::Python, options).await;
    let id = bench.send("import os\nos.write(1, b'x' * 50_000)\n42").await;
    // Nothing is taken: the worker's credit runs out, then its patience. The session answers nonetheless.
    let session = bench.session.clone();
    let after = tokio::spawn(async move { session.checkpoint("after").await });
    after.await.unwrap().unwrap();
    let told = bench.finish(&id).await;
    assert_eq!(told.code(), Some("OUTPUT_DRAIN_TIMEOUT"));
    assert!(told.stdout.len() <= 4096);
    assert_eq!(bench.run("'usable'").await.value(), serde_json::json!("usable"));
}

#[tokio::test]
async fn dropping_modes_count_what_they_drop() {
    for (mode, code) in [
        (Backpressure::DropNew, None),
        (Backpressure::DropOldest, None),
        (Backpressure::Error, Some("OUTPUT_OVERFLOW")),
    ] {
        let windows = BTreeMap::from([(Stream::Stdout, 8192), (Stream::Stderr, 8192)]);
        let backpressure = BTreeMap::from([(Stream::Stdout, mode)]);
        let options = Options {
            windows,
            backpressure,
            ..Options::default()
        };
        let mut bench = Bench::with(Kind::Python, options).await;
        let told = bench
            .run("import os\nfor i in range(40): os.write(1, b'%04d' % i * 16384)\nos.write(2, b'over')")
            .await;
        assert_eq!(told.code(), code, "{mode:?}");
        let dropped = told
            .ending()
            .ended()
            .unwrap()
            .dropped
            .get("stdout")
            .copied()
            .unwrap_or(0);
        assert!(dropped > 0, "{mode:?}");
        assert_eq!(
            dropped + told.stdout.len() as u64,
            40 * 65536,
            "{mode:?}: nothing is lost uncounted"
        );
        assert_eq!(told.errors(), "over");
        if mode == Backpressure::DropOldest {
            assert!(told.text().ends_with("0039"), "the newest is kept");
        }
    }
}

#[tokio::test]
async fn what_is_written_between_executions_belongs_to_none_and_is_counted() {
    let mut bench = Bench::start(Kind::Python).await;
    bench
        .run("import threading, os\ngo = threading.Event()\ndone = threading.Event()")
        .await;
    let late = "def late():\n    go.wait()\n    os.write(1, b'late' * 100)\n    done.set()\n\
                threading.Thread(target=late, daemon=True).start()\n\
                import sys\nsys.setswitchinterval(0.0001)\n\
                threading.Timer(0.05, go.set).start()";
    bench.run(late).await;
    // The timer fires while nothing runs: a request that is no execution is served meanwhile.
    loop {
        bench.session.checkpoint("look").await.unwrap();
        let told = bench.run("done.is_set()").await;
        assert!(!told.text().contains("late") || told.text().len() == 400);
        if told.value() == serde_json::json!(true) {
            break;
        }
    }
    assert_eq!(bench.run("print('mine')").await.text(), "mine\n");
}

#[tokio::test]
async fn a_slow_consumer_keeps_no_more_than_the_window() {
    let windows = BTreeMap::from([(Stream::Stdout, 100_000)]);
    let options = Options {
        windows,
        drain: Duration::from_secs(60),
        ..Options::default()
    };
    let mut bench = Bench::with(Kind::Python, options).await;
    let id = bench
        .send("import os\nfor i in range(100): os.write(1, b'z' * 10_000)")
        .await;
    let mut waiting = 0;
    let mut seen = 0;
    loop {
        let event = match bench.events.try_next() {
            Some(event) => {
                waiting += 1;
                event
            }
            None => {
                waiting = 0;
                bench.next().await
            }
        };
        match event {
            Event::Output { data, .. } => {
                assert!(data.len() <= 100_000);
                seen += data.len();
            }
            Event::Finished(outcome) => {
                assert_eq!(outcome.execution, id);
                break;
            }
            _ => {}
        }
        assert!(waiting < 2000);
    }
    assert_eq!(seen, 1_000_000);
}
