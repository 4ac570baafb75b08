//! Shell sessions: one shell that lives from execution to execution.

use crate::common::{Bench, Kind};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn directory_variables_and_functions_stay() {
    let mut bench = Bench::start(Kind::Shell).await;
    bench
        .run("cd /tmp; name=\"it's\"; export SHOWN=yes; greet() { echo \"hello $1\"; }")
        .await;
    let told = bench
        .run("pwd; echo \"$name\"; sh -c 'echo $SHOWN'; greet you")
        .await;
    assert_eq!(
        (told.text().as_str(), told.errors().as_str()),
        ("/tmp\nit's\nyes\nhello you\n", "")
    );
    assert_eq!(bench.run("false").await.value(), json!(1));
    assert_eq!(bench.run("true").await.value(), json!(0));
    assert_eq!(bench.run("cat <<X\n$name !x\nX").await.text(), "it's !x\n");
    assert_eq!(
        bench.run("cat; echo end").await.text(),
        "end\n",
        "there is nothing to read"
    );
}

#[tokio::test]
async fn what_cannot_be_parsed_is_an_exit_code_and_leaving_starts_anew() {
    let mut bench = Bench::start(Kind::Shell).await;
    let told = bench.run("if then").await;
    assert_ne!(told.value(), json!(0));
    assert!(
        told.errors().contains("syntax error") || told.errors().contains("unexpected"),
        "{}",
        told.errors()
    );
    bench.run("x=1").await;
    let told = bench.run("echo bye; exit 3").await;
    assert_eq!((told.text().as_str(), told.value()), ("bye\n", json!(3)));
    assert!(told.ending().ended().unwrap().restarted);
    assert_eq!(bench.run("echo \"[$x]\"").await.text(), "[]\n");
    let told = bench.run("kill -9 $$").await;
    assert_eq!(told.value(), json!(137));
    assert_eq!(bench.run("echo on").await.text(), "on\n");
}

#[tokio::test]
async fn a_cancel_ends_what_runs_and_keeps_the_shell() {
    let mut bench = Bench::start(Kind::Shell).await;
    bench.run("kept=kept").await;
    let cases = [
        "echo ready; sleep 1000; echo after",
        "echo ready; while :; do :; done",
        "echo ready; sleep 1000 | cat; echo after",
        "echo ready; sh -c 'trap \"\" TERM INT; sleep 1000; sleep 1000'",
        "(sleep 1000; echo late) & echo ready; wait",
        "echo ready; for i in 1 2 3; do sleep 1000; done",
    ];
    for code in cases {
        let id = bench.send(code).await;
        bench.until_output("ready").await;
        // What ignores the first signal is killed at half of the time.
        bench.session.cancel(&id, Duration::from_secs(2)).await.unwrap();
        let told = bench.finish(&id).await;
        assert_eq!((told.code(), told.kept()), (Some("CANCELLED"), true), "{code}");
        assert!(!told.text().contains("after"), "{code}");
        assert_eq!(bench.run("echo $kept").await.text(), "kept\n", "after {code}");
    }
    assert_eq!(bench.run("true").await.value(), json!(0));
    let id = bench.send("echo ready; sleep 1000").await;
    bench.until_output("ready").await;
    bench.session.interrupt(&id).await.unwrap();
    assert_eq!(bench.finish(&id).await.code(), Some("INTERRUPTED"));
}
