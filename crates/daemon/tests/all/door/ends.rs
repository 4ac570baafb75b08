//! How commands end: by themselves, by a signal, by a stop; alone and by the hundred.

use super::support::{Bench, GRACE, job, marked};
use actum_model::effect::SettledAs;
use actum_model::{ErrorCode, Fault};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_failure_says_its_code() {
    let mut bench = Bench::new();
    let done = bench.sh("echo partial; exit 3").await;
    done.expect(SettledAs::Failed);
    let fault = done.settlement.fault.as_ref().unwrap();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (ErrorCode::CommandFailed, "exit code 3")
    );
    assert_eq!(fault.details.as_ref().unwrap().as_str(), r#"{"exitCode":3}"#);
    assert_eq!((done.stdout(), &done.data["exitCode"]), ("partial\n", &3.into()));
}

#[tokio::test]
async fn a_death_by_signal_says_which() {
    let mut bench = Bench::new();
    let done = bench.sh("kill -9 $$").await;
    assert_eq!(done.expect(SettledAs::Failed).message(), "killed by signal 9");
    assert_eq!(
        (&done.data["signal"], done.data.get("exitCode")),
        (&9.into(), None)
    );
}

#[tokio::test]
async fn a_program_may_tidy_up_within_the_grace() {
    let mut bench = Bench::new();
    let tidy = job(&[
        "sh",
        "-c",
        "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done",
    ]);
    let seq = tidy.seq;
    bench.door.start(tidy);
    bench.output(seq, "up", 1).await;
    bench.door.stop(seq, Duration::from_secs(60));
    let done = bench.settled(seq).await;
    assert_eq!(done.expect(SettledAs::Stopped).stdout(), "up\nbye\n");
    assert_eq!(done.data["exitCode"], 0);
}

#[tokio::test]
async fn the_second_stop_can_only_come_sooner() {
    let mut bench = Bench::new();
    let stubborn = job(&["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done"]);
    let seq = stubborn.seq;
    bench.door.start(stubborn);
    bench.output(seq, "up", 1).await;
    bench.door.stop(seq, Duration::from_secs(600));
    bench.door.stop(seq, Duration::ZERO);
    bench.door.stop(seq, Duration::from_secs(600));
    assert_eq!(
        bench.settled(seq).await.expect(SettledAs::Stopped).data["signal"],
        9
    );
}

#[tokio::test]
async fn a_stop_before_the_start_starts_nothing() {
    let mut bench = Bench::new();
    let never = job(&["sh", "-c", "echo ran"]);
    let seq = never.seq;
    // On one thread the task of the job cannot have run yet.
    bench.door.start(never);
    bench.door.stop(seq, GRACE);
    let done = bench.settled(seq).await;
    assert!(done.expect(SettledAs::Stopped).settlement.data.is_none());
}

#[tokio::test]
async fn a_stop_while_the_job_is_still_being_made_is_not_lost() {
    let mut bench = Bench::new();
    let (go, wait) = std::sync::mpsc::channel();
    let late = job(&["sh", "-c", "echo ran"]);
    let seq = late.seq;
    bench.door.start_with(seq, move || {
        wait.recv().unwrap();
        Ok(late)
    });
    bench.door.stop(seq, GRACE);
    go.send(()).unwrap();
    let done = bench.settled(seq).await;
    assert!(done.expect(SettledAs::Stopped).settlement.data.is_none());
    let fault = Fault::new(ErrorCode::SecretUnavailable, "gone");
    bench.door.start_with(seq, move || Err(fault));
    assert_eq!(
        bench.settled(seq).await.expect(SettledAs::Failed).message(),
        "gone"
    );
}

#[tokio::test]
async fn a_stop_of_what_does_not_run_is_nothing() {
    let mut bench = Bench::new();
    bench.door.stop(u64::MAX, GRACE);
    let done = bench.sh("true").await;
    bench.door.stop(1, GRACE);
    done.expect(SettledAs::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_settle_once_each() {
    let mut bench = Bench::new();
    let jobs: Vec<_> = (0..100)
        .map(|i| job(&["sh", "-c", &format!("echo {i}; exit $(({i} % 2))")]))
        .collect();
    let mut open: BTreeSet<u64> = jobs.iter().map(|job| job.seq).collect();
    let (begun, mut expected) = (Instant::now(), 50);
    for job in jobs {
        bench.door.start(job);
    }
    assert_eq!(bench.door.running(), 100);
    let mut failures = Vec::new();
    while !open.is_empty() {
        let (seq, settlement) = bench.any_settled().await;
        assert!(open.remove(&seq), "{seq} settled twice");
        failures.extend(settlement.fault.map(|fault| fault.message));
    }
    failures.retain(|message| {
        message != "exit code 1" || {
            expected -= 1;
            false
        }
    });
    assert_eq!((expected, failures), (0, Vec::<String>::new()));
    println!("100 commands at once took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_stops_all_and_waits_for_all() {
    let mut bench = Bench::new();
    let jobs: Vec<_> = (0..20)
        .map(|_| job(&["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done"]))
        .collect();
    let all: Vec<_> = jobs.iter().map(|job| (job.seq, job.effect)).collect();
    for job in jobs {
        let seq = job.seq;
        bench.door.start(job);
        bench.output(seq, "up", 1).await;
    }
    let begun = Instant::now();
    bench.door.close(GRACE).await;
    println!(
        "20 stubborn commands closed in {:?} with a grace of {GRACE:?}",
        begun.elapsed()
    );
    for (_, effect) in &all {
        assert_eq!(marked(*effect), [0; 0]);
        let (seq, settlement) = bench.any_settled().await;
        assert!(all.iter().any(|(known, _)| *known == seq));
        assert_eq!(settlement.settled, SettledAs::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_others_in_this_process_keep_their_exit_status() {
    let mut bench = Bench::new();
    for round in 0..20 {
        // In a session of its own it looks like an orphan of a command.
        let mut stranger = tokio::process::Command::new("setsid")
            .args(["sh", "-c", "exit 7"])
            .spawn()
            .unwrap();
        let done = bench
            .sh("(setsid sh -c 'exit 1' &) ; (sh -c 'exit 1' &) ; exit 0")
            .await;
        done.expect(SettledAs::Succeeded);
        assert_eq!(stranger.wait().await.unwrap().code(), Some(7), "round {round}");
    }
}
