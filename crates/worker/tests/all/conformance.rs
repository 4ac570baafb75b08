//! What any worker must do, whatever it runs. Every case runs against every worker here; a case that needs more than
//! the required names the capability it needs, and is left out for a worker only if its `hello` does not declare it.

use crate::common::{Bench, Kind};
use actum_worker::protocol::Stream;
use actum_worker::session::{EndReason, Ending, Event, Execute, Options, SessionError};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The code of a case in the language of a worker.
struct Words {
    one_and_one: &'static str,
    value_two: &'static str,
    print_then_value: &'static str,
    both_streams: &'static str,
    large_output: &'static str,
    fails: &'static str,
    malformed: &'static str,
    waits: &'static str,
    keeps: &'static str,
    kept: &'static str,
}

const PYTHON: Words = Words {
    one_and_one: "1 + 1",
    value_two: "{'a': [1, 'ä', None, True]}",
    print_then_value: "print('out')\n7",
    both_streams: "import sys\nfor i in range(50):\n    print('o', i)\n    print('e', i, file=sys.stderr)",
    large_output: "print('x' * 2_000_000)",
    fails: "raise ValueError('told')",
    malformed: "1 +",
    waits: "import asyncio\nprint('ready')\nawait asyncio.sleep(1000)",
    keeps: "kept = 5",
    kept: "kept",
};

const JAVASCRIPT: Words = Words {
    one_and_one: "1 + 1",
    value_two: "({a: [1, 'ä', null, true]})",
    print_then_value: "console.log('out'); 7",
    both_streams: "for (let i = 0; i < 50; i++) { console.log('o', i); console.error('e', i); }",
    large_output: "console.log('x'.repeat(2000000))",
    fails: "throw new Error('told')",
    malformed: "1 +",
    waits: "console.log('ready'); new Promise(() => setTimeout(() => {}, 1000000))",
    keeps: "globalThis.kept = 5; undefined",
    kept: "kept",
};

const SHELL: Words = Words {
    one_and_one: "exit_code_two() { return 2; }; exit_code_two",
    value_two: "false",
    print_then_value: "echo out; (exit 7)",
    both_streams: "i=0; while [ $i -lt 50 ]; do echo o $i; echo e $i >&2; i=$((i+1)); done",
    large_output: "head -c 2000000 /dev/zero | tr '\\0' x; echo",
    fails: "",
    malformed: "if",
    waits: "echo ready; sleep 1000",
    keeps: "kept=5",
    kept: "(exit $kept)",
};

/// A case under way.
type Running = Pin<Box<dyn Future<Output = ()>>>;

struct Case {
    name: &'static str,
    needs: &'static str,
    run: fn(Bench, &'static Words) -> Running,
}

macro_rules! cases {
    ($($name:ident $needs:literal;)*) => {
        const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            needs: $needs,
            run: |bench, words| Box::pin($name(bench, words)),
        },)*];
    };
}

cases! {
    a_value_comes_back "execute";
    output_comes_before_the_result "execute";
    each_stream_is_whole_and_in_order "execute";
    a_small_window_loses_nothing "execute";
    a_failure_is_told_and_the_session_goes_on "execute";
    names_stay "execute";
    executions_run_one_after_the_other "execute";
    acknowledgements_come_first "execute";
    a_cancelled_execution_ends "cancel";
    a_queued_one_is_cancelled_out_of_turn "cancel";
    what_is_not_offered_is_refused_here "execute";
    leaving_is_prompt "execute";
}

async fn a_value_comes_back(mut bench: Bench, words: &'static Words) {
    let value = bench.run(words.one_and_one).await.value();
    assert_eq!(value, serde_json::json!(2));
    if bench.session.offers("shell") {
        assert_eq!(bench.run(words.value_two).await.value(), serde_json::json!(1));
    } else {
        let value = bench.run(words.value_two).await.value();
        assert_eq!(value, serde_json::json!({"a": [1, "ä", null, true]}));
    }
}

async fn output_comes_before_the_result(mut bench: Bench, words: &'static Words) {
    for _ in 0..20 {
        let told = bench.run(words.print_then_value).await;
        assert_eq!(
            (told.text().as_str(), told.value()),
            ("out\n", serde_json::json!(7))
        );
    }
}

async fn each_stream_is_whole_and_in_order(mut bench: Bench, words: &'static Words) {
    let told = bench.run(words.both_streams).await;
    let expected = |letter: &str| (0..50).map(|i| format!("{letter} {i}\n")).collect::<String>();
    assert_eq!((told.text(), told.errors()), (expected("o"), expected("e")));
    let told = bench.run(words.large_output).await;
    assert_eq!(told.stdout.len(), 2_000_001);
}

async fn a_small_window_loses_nothing(bench: Bench, words: &'static Words) {
    // The window must hold one piece of the minimal worker; that is what the contract asks of a daemon.
    let windows = BTreeMap::from([(Stream::Stdout, 128 * 1024), (Stream::Stderr, 128 * 1024)]);
    let kind = kind_of(&bench);
    let mut bench = Bench::with(
        kind,
        Options {
            windows,
            ..Options::default()
        },
    )
    .await;
    assert_eq!(bench.run(words.large_output).await.stdout.len(), 2_000_001);
}

fn kind_of(bench: &Bench) -> Kind {
    match bench.session.worker().worker.as_str() {
        "shell" => Kind::Shell,
        name if name.starts_with("node") => Kind::Node,
        _ => Kind::Python,
    }
}

async fn a_failure_is_told_and_the_session_goes_on(mut bench: Bench, words: &'static Words) {
    if !words.fails.is_empty() {
        let told = bench.run(words.fails).await;
        assert_eq!(
            (told.failure().code.as_str(), told.failure().message.as_str()),
            ("EXCEPTION", "told")
        );
        assert!(told.failure().traceback.contains("told"));
    }
    match bench.run(words.malformed).await.ending() {
        Ending::Failed(failure) => assert_eq!(failure.error_type, "SyntaxError"),
        Ending::Succeeded(success) => assert_ne!(success.value, Some(serde_json::json!(0))),
        lost @ Ending::Lost(_) => panic!("{lost:?}"),
    }
    assert_eq!(bench.run(words.one_and_one).await.value(), serde_json::json!(2));
}

async fn names_stay(mut bench: Bench, words: &'static Words) {
    bench.run(words.keeps).await;
    assert_eq!(bench.run(words.kept).await.value(), serde_json::json!(5));
}

async fn executions_run_one_after_the_other(mut bench: Bench, words: &'static Words) {
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(bench.send(words.print_then_value).await);
    }
    for id in ids {
        assert_eq!(bench.finish(&id).await.text(), "out\n");
    }
}

async fn acknowledgements_come_first(mut bench: Bench, words: &'static Words) {
    let id = bench.send(words.print_then_value).await;
    assert_eq!(bench.next().await, Event::Acknowledged { of: id.clone() });
    bench.finish(&id).await;
}

async fn a_cancelled_execution_ends(mut bench: Bench, words: &'static Words) {
    let id = bench.send(words.waits).await;
    bench.until_output("ready").await;
    bench.session.cancel(&id, Duration::from_secs(30)).await.unwrap();
    let told = bench.finish(&id).await;
    assert_eq!((told.code(), told.kept()), (Some("CANCELLED"), true));
    assert_eq!(bench.run(words.one_and_one).await.value(), serde_json::json!(2));
}

async fn a_queued_one_is_cancelled_out_of_turn(mut bench: Bench, words: &'static Words) {
    let first = bench.send(words.waits).await;
    let second = bench.send(words.keeps).await;
    bench.until_output("ready").await;
    bench
        .session
        .cancel(&second, Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(bench.finish(&second).await.code(), Some("CANCELLED"));
    bench
        .session
        .cancel(&first, Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(bench.finish(&first).await.code(), Some("CANCELLED"));
}

async fn what_is_not_offered_is_refused_here(bench: Bench, _words: &'static Words) {
    let offers = bench.session.offers("checkpoint");
    let asked = bench.session.checkpoint("c").await;
    assert_eq!(offers, asked.is_ok());
    assert!(offers || matches!(asked, Err(SessionError::NotOffered { .. })));
}

async fn leaving_is_prompt(mut bench: Bench, words: &'static Words) {
    bench.run(words.one_and_one).await;
    bench.session.shutdown().await;
    assert_eq!(bench.end().await, EndReason::Closed);
    bench.session.shutdown().await;
    assert!(matches!(
        bench.session.execute(Execute::new("late", "")),
        Err(SessionError::Ended(_))
    ));
}

async fn conform(kind: Kind, words: &'static Words) {
    let mut ran = Vec::new();
    for case in CASES {
        let bench = Bench::start(kind).await;
        if bench.session.offers(case.needs) {
            ran.push(case.name);
            (case.run)(bench, words).await;
        }
    }
    assert!(ran.len() >= 10, "{kind:?} ran only {ran:?}");
}

#[tokio::test]
async fn the_python_worker_conforms() {
    conform(Kind::Python, &PYTHON).await;
}

#[tokio::test]
async fn the_shell_worker_conforms() {
    conform(Kind::Shell, &SHELL).await;
}

#[tokio::test]
async fn a_minimal_worker_of_another_language_conforms() {
    conform(Kind::Node, &JAVASCRIPT).await;
}
