//! What programs write: all of it, in order, bounded, redacted, and as the bytes it was.

use super::support::{Bench, GRACE, job};
use actum_daemon::door::WorkEvent;
use actum_daemon::redact::Secret;
use actum_model::effect::SettledAs;
use actum_model::limits::{OUTPUT_BYTES_MAX, OUTPUT_EDGE_BYTES};
use serde_json::json;

/// Live output that may wait to be taken.
const WINDOW: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn both_streams_are_told_apart() {
    let mut bench = Bench::new();
    let done = bench.sh("echo out; echo err >&2").await;
    assert_eq!(done.data["stdout"], json!({"bytes": 4, "text": "out\n"}));
    assert_eq!(done.data["stderr"], json!({"bytes": 4, "text": "err\n"}));
    assert_eq!(
        (done.live["stdout"].as_str(), done.live["stderr"].as_str()),
        ("out\n", "err\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_are_kept_whole() {
    let mut bench = Bench::new();
    let done = bench
        .sh("head -c 50000000 /dev/zero | tr '\\0' x; echo end")
        .await;
    done.expect(SettledAs::Succeeded);
    let stdout = &done.data["stdout"];
    assert_eq!(stdout["bytes"], 50_000_004);
    assert_eq!(stdout["head"].as_str().unwrap().len(), OUTPUT_EDGE_BYTES);
    assert!(stdout["tail"].as_str().unwrap().ends_with("xend\n"));
    let blob = bench.blob(stdout);
    assert_eq!(
        (blob.len(), stdout.get("text"), stdout.get("dropped")),
        (50_000_004, None, None)
    );
    assert_eq!(done.live["stdout"].as_bytes(), blob);
    assert_eq!(
        std::fs::read_dir(bench.spool.path()).unwrap().count(),
        0,
        "the spool has no names"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_limit_is_counted() {
    let mut bench = Bench::new();
    let done = bench
        .sh(&format!("head -c {} /dev/zero", OUTPUT_BYTES_MAX + 1000))
        .await;
    done.expect(SettledAs::Succeeded);
    assert_eq!(done.data["stdout"]["bytes"], OUTPUT_BYTES_MAX);
    assert_eq!(done.data["stdout"]["dropped"], 1000);
    assert_eq!(bench.blob(&done.data["stdout"]).len(), OUTPUT_BYTES_MAX);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_flagged_and_kept() {
    let mut bench = Bench::new();
    let done = bench.sh("printf 'a\\377b\\000c'").await;
    assert_eq!(
        done.data["stdout"],
        json!({"bytes": 5, "text": "a\u{fffd}b\0c", "lossy": true})
    );
    assert_eq!(done.live["stdout"], "a\u{fffd}b\0c");
    let done = bench.sh("head -c 100000 /dev/urandom | tee /dev/stderr").await;
    assert_eq!(done.data["stdout"]["lossy"], true);
    let blob = bench.blob(&done.data["stdout"]);
    assert_eq!(blob, bench.blob(&done.data["stderr"]));
    assert_eq!(blob.len(), 100_000);
}

#[tokio::test]
async fn secrets_are_redacted_live_in_the_record_and_in_the_blob() {
    let mut bench = Bench::new();
    let secrets = vec![Secret::new("DB", "hunter2secret")];
    let mut small = job(&[
        "sh",
        "-c",
        "printf 'x hunter2'; printf 'secret y '; printf hunter2secret | base64; printf hunter2",
    ]);
    small.secrets.clone_from(&secrets);
    let done = bench.run(small).await;
    assert_eq!(
        done.stdout(),
        "x [redacted:secret:DB] y [redacted:secret:DB]\nhunter2"
    );
    assert_eq!(done.live["stdout"], done.stdout());
    let mut large = job(&["sh", "-c", "yes hunter2secret | head -c 1000000"]);
    large.secrets = secrets;
    let done = bench.run(large).await;
    let blob = String::from_utf8(bench.blob(&done.data["stdout"])).unwrap();
    assert!(!blob.contains("hunter2secret"));
    assert_eq!(blob.matches("[redacted:secret:DB]").count(), 1_000_000 / 14);
    assert_eq!(done.live["stdout"], blob);
}

#[tokio::test]
async fn a_stop_keeps_the_output_so_far() {
    let mut bench = Bench::new();
    let busy = job(&["sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); done"]);
    let seq = busy.seq;
    bench.door.start(busy);
    let seen = bench.output(seq, "line 99\n", 1).await;
    bench.door.stop(seq, GRACE);
    let done = bench.settled(seq).await;
    done.expect(SettledAs::Stopped);
    let stdout = &done.data["stdout"];
    let start = stdout["text"].as_str().or(stdout["head"].as_str()).unwrap();
    assert!(start.starts_with("line 0\nline 1\n"));
    assert!(stdout["bytes"].as_u64().unwrap() >= seen.len() as u64);
    assert_eq!(done.data["signal"], 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_nobody_takes_slows_the_program_down_and_nothing_is_lost() {
    let mut bench = Bench::new();
    let firehose = job(&["sh", "-c", "head -c 40000000 /dev/zero | tr '\\0' y"]);
    let barrier = job(&["true"]);
    let (seq, barrier_seq) = (firehose.seq, barrier.seq);
    bench.door.start(firehose);
    let (mut taken, mut held, mut barrier) = (0, Vec::new(), Some(barrier));
    loop {
        match bench.next().await {
            WorkEvent::Output { data, credit, .. } => {
                taken += data.len();
                held.push(credit);
            }
            WorkEvent::Settled { seq, .. } if seq == barrier_seq => break,
            other => panic!("{other:?}"),
        }
        // The window is full: from here on nothing may come but what needs no room.
        if let Some(barrier) = barrier.take_if(|_| taken + 64 * 1024 > WINDOW) {
            bench.door.start(barrier);
        }
    }
    assert!(taken <= WINDOW, "{taken} bytes were told and not taken");
    drop(held);
    let done = bench.settled(seq).await;
    assert_eq!(done.data["stdout"]["bytes"], 40_000_000);
    assert_eq!(taken + done.live["stdout"].len(), 40_000_000);
}
