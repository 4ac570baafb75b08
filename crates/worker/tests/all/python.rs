//! What Python code may rely on in a session: values, names, awaiting, tracebacks, input, transactions, checkpoints.

use crate::common::{Bench, Kind, rounds};
use actum_worker::protocol::{Mime, Transaction};
use actum_worker::session::{Event, Execute, Options};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_trailing_expression_is_evaluated_once_and_is_the_value() {
    let mut bench = Bench::start(Kind::Python).await;
    bench.run("y = []").await;
    let told = bench
        .run("def add():\n    y.append(1)\n    return y\nadd()")
        .await;
    assert_eq!(told.value(), json!([1]));
    assert_eq!(bench.run("y").await.value(), json!([1]));
    assert_eq!(bench.run("y.append(1)").await.repr(), "");
    assert_eq!(bench.run("y").await.value(), json!([1, 1]));
    assert_eq!(bench.run("x = 5").await.value(), json!("no value"));
}

#[tokio::test]
async fn names_stay_and_history_hides_nothing() {
    let mut bench = Bench::start(Kind::Python).await;
    bench.run("a = 20").await;
    bench.run("a + 1").await;
    assert_eq!(bench.run("_ * 2").await.value(), json!(42));
    assert_eq!(bench.run("[_, __, _2]").await.value(), json!([42, 21, 21]));
    bench.run("for _ in range(3): pass").await;
    bench.run("'later'").await;
    assert_eq!(
        bench.run("_").await.value(),
        json!(2),
        "a name of the user's own wins"
    );
}

#[tokio::test]
async fn the_last_hundred_values_have_numbers_from_the_first_time_one_is_named() {
    let mut bench = Bench::start(Kind::Python).await;
    for number in 1..=105 {
        bench.run(&format!("{number}")).await;
    }
    assert_eq!(bench.run("[_6, _105]").await.value(), json!([6, 105]));
    assert_eq!(bench.run("_106 + [_]").await.repr(), "[6, 105, [6, 105]]");
    let gone = bench.run("_5").await;
    assert_eq!(gone.failure().error_type, "NameError");
    assert_eq!(
        bench.run("_107[0]").await.value(),
        json!(6),
        "named later, kept all the same"
    );
}

#[tokio::test]
async fn code_that_takes_many_reads_arrives_whole() {
    let mut bench = Bench::start(Kind::Python).await;
    let code = format!("len('{}')", "ä".repeat(1_500_000));
    assert_eq!(bench.run(&code).await.value(), json!(1_500_000));
}

#[tokio::test]
async fn awaiting_works_everywhere() {
    let mut bench = Bench::start(Kind::Python).await;
    let cases = [
        ("import asyncio\nawait asyncio.sleep(0)\n5", json!(5)),
        (
            "async def f():\n    await asyncio.sleep(0)\n    return 7\nf()",
            json!(7),
        ),
        ("await f() + 1", json!(8)),
        (
            "async def g():\n    yield 1\n    yield 2\n[x async for x in g()]",
            json!([1, 2]),
        ),
        ("r = []\nasync for x in g():\n    r.append(x)\nr", json!([1, 2])),
        ("async with asyncio.Lock():\n    r = 'held'\nr", json!("held")),
        ("asyncio.run(f())", json!(7)),
        ("t = asyncio.ensure_future(f())\nawait t", json!(7)),
        ("sum(await asyncio.gather(f(), f()))", json!(14)),
    ];
    for (code, value) in cases {
        assert_eq!(bench.run(code).await.value(), value, "{code}");
    }
}

#[tokio::test]
async fn values_that_json_has_no_form_for_have_a_bounded_representation_and_say_why() {
    let mut bench = Bench::start(Kind::Python).await;
    let cases = [
        ("float('nan')", "not finite"),
        ("2**53 + 1", "2^53"),
        ("{1: 2}", "key of type int"),
        ("b'raw'", "bytes"),
        ("object()", "object"),
        ("x = []\nx.append(x)\nx", "nested deeper"),
        ("'a' * 50_000_000", "too large"),
        ("list(range(1_000_000))", "too large"),
        ("'\\ud800'", "no valid Unicode"),
    ];
    for (code, why) in cases {
        let told = bench.run(code).await;
        let actum_worker::session::Ending::Succeeded(success) = told.ending() else {
            panic!("{code}: {:?}", told.ending());
        };
        assert_eq!(success.value, None, "{code}");
        assert!(
            success.value_omitted.as_deref().unwrap().contains(why),
            "{code}: {:?}",
            success.value_omitted
        );
        assert!(success.repr.len() < 300_000, "{code}");
    }
    assert_eq!(
        bench
            .run("[None, True, -5, 2**53, 1.5, 'ä', {'k': (1,)}]")
            .await
            .value(),
        json!([null, true, -5, 9_007_199_254_740_992_i64, 1.5, "ä", {"k": [1]}])
    );
    let told = bench
        .run("class R:\n    def __repr__(self): raise ValueError\nR()")
        .await;
    assert!(told.repr().contains("repr raised ValueError"));
}

#[tokio::test]
async fn a_traceback_shows_the_users_own_line_and_nothing_of_the_worker() {
    let mut bench = Bench::start(Kind::Python).await;
    bench.run("def deep(x):\n    return 1 / x  # the very line").await;
    for code in [
        "deep(0)",
        "import asyncio\nawait asyncio.sleep(0)\ndeep(0)",
        "async def f():\n    deep(0)\nf()",
    ] {
        let told = bench.run(code).await;
        let failure = told.failure();
        assert_eq!(failure.error_type, "ZeroDivisionError");
        assert!(
            failure.traceback.contains("return 1 / x  # the very line"),
            "{}",
            failure.traceback
        );
        assert!(!failure.traceback.contains("worker.py"), "{}", failure.traceback);
        assert!(!failure.traceback.contains("asyncio/"), "{}", failure.traceback);
    }
    let told = bench
        .execute(Execute {
            source: Some("mine.py".into()),
            ..Execute::new("s", "1 +")
        })
        .await;
    assert!(told.failure().traceback.contains("File \"mine.py\", line 1"));
}

#[tokio::test]
async fn hostile_exceptions_are_told_all_the_same() {
    let mut bench = Bench::start(Kind::Python).await;
    let hostile =
        "class E(Exception):\n    def __str__(self): raise ValueError\n    __repr__ = __str__\nraise E()";
    assert_eq!(bench.run(hostile).await.failure().error_type, "E");
    let noted = "e = ValueError('x')\ne.__notes__ = ['first', 'second']\nraise e";
    assert_eq!(bench.run(noted).await.failure().notes, ["first", "second"]);
    let told = bench.run("def r(): r()\nr()").await;
    assert_eq!(told.failure().error_type, "RecursionError");
    assert!(told.failure().traceback.len() < 200_000);
    let told = bench.run("raise ValueError('x' * 10_000_000)").await;
    assert!(told.failure().message.len() < 20_000);
    assert_eq!(
        bench.run("import sys\nsys.exit(3)").await.failure().ended.exit,
        Some(3)
    );
    assert_eq!(bench.run("sys.exit()").await.repr(), "");
    assert_eq!(
        bench.run("raise KeyboardInterrupt").await.failure().code,
        "EXCEPTION"
    );
    assert_eq!(
        bench.run("raise GeneratorExit").await.failure().error_type,
        "GeneratorExit"
    );
    assert_eq!(bench.run("1").await.value(), json!(1));
}

#[tokio::test]
async fn input_works_in_the_first_and_in_the_tenth_execution_with_end_and_deadline() {
    let mut bench = Bench::start(Kind::Python).await;
    for round in 0..10 {
        let id = bench
            .send("print('before')\nname = input('who? ')\nname.upper()")
            .await;
        let request = loop {
            if let Event::InputRequest {
                id,
                prompt,
                execution,
                ..
            } = bench.next().await
            {
                assert_eq!((prompt.as_str(), execution), ("who? ", format!("e{}", round + 1)));
                break id;
            }
        };
        assert!(bench.session.input(&request, Some("ada\n".into())).await.unwrap());
        assert!(!bench.session.input(&request, Some("twice".into())).await.unwrap());
        assert_eq!(bench.finish(&id).await.value(), json!("ADA"));
    }
    let id = bench.send("input()").await;
    let request = loop {
        if let Event::InputRequest { id, .. } = bench.next().await {
            break id;
        }
    };
    bench.session.input(&request, None).await.unwrap();
    let told = bench.finish(&id).await;
    assert_eq!(told.failure().error_type, "EOFError");
    assert!(told.failure().notes[0].contains("request e11:input:1"));
    let told = bench.run("input('quick', timeout=0.01)").await;
    assert_eq!(told.failure().error_type, "TimeoutError");
    assert!(told.failure().notes[0].contains("execution e12"));
    let id = bench.send("import sys\nsys.stdin.readline()").await;
    let request = loop {
        if let Event::InputRequest { id, .. } = bench.next().await {
            break id;
        }
    };
    bench.session.input(&request, Some("line".into())).await.unwrap();
    assert_eq!(bench.finish(&id).await.value(), json!("line\n"));
}

#[tokio::test]
async fn two_executions_sent_together_run_one_after_the_other() {
    let mut bench = Bench::start(Kind::Python).await;
    bench.run("import time\nlog = []").await;
    let first = bench
        .send("log.append('a')\nfor i in range(3): print('one', i, flush=True)\nlog.append('b')")
        .await;
    let second = bench.send("log.append('c')\nprint('two')\nlog").await;
    assert_eq!(bench.finish(&first).await.text(), "one 0\none 1\none 2\n");
    let told = bench.finish(&second).await;
    assert_eq!(
        (told.text().as_str(), told.value()),
        ("two\n", json!(["a", "b", "c"]))
    );
}

#[tokio::test]
async fn transactions_roll_the_namespace_back_even_where_it_was_changed_in_place() {
    let mut bench = Bench::start(Kind::Python).await;
    bench.run("class Box: pass\nbox = Box()\nbox.n = 1\nitems = [1]\nalias = items\ntable = {'k': [1]}\ntaken = {1}").await;
    let change =
        "items.append(2); table['k'].append(2); table['x'] = 1; taken.add(2); box.n = 2; new = 1; del alias";
    let state =
        "[items, table, sorted(taken), box.n, 'new' in globals(), 'alias' in globals() and alias is items]";
    let before = json!([[1], {"k": [1]}, [1], 1, false, true]);
    let run = |id: &str, code: String, transaction| Execute {
        transaction,
        ..Execute::new(id, code)
    };
    let failing = format!("{change}\n1/0");
    let told = bench
        .execute(run("t1", failing, Transaction::RollbackOnFailure))
        .await;
    assert!(told.failure().ended.rolled_back);
    assert_eq!(bench.run(state).await.value(), before);
    let told = bench
        .execute(run(
            "t2",
            format!("{change}\n'done'"),
            Transaction::RollbackAlways,
        ))
        .await;
    assert_eq!(told.value(), json!("done"));
    assert_eq!(bench.run(state).await.value(), before);
    let told = bench
        .execute(run("t3", change.to_owned(), Transaction::RollbackOnFailure))
        .await;
    assert!(!told.ending().ended().unwrap().rolled_back);
    let after = json!([[1, 2], {"k": [1, 2], "x": 1}, [1, 2], 2, true, false]);
    assert_eq!(bench.run(state).await.value(), after);
}

#[tokio::test]
async fn a_checkpoint_carries_names_over_and_says_what_it_could_not() {
    let mut bench = Bench::start(Kind::Python).await;
    bench
        .run("import math, os.path\nk = 3\ndef area(r, scale=k):\n    return round(math.pi * r * r * scale)")
        .await;
    bench
        .run("class P:\n    def __init__(self, x): self.x = x\np = P([1])\nshared = p.x\nlam = lambda: 1")
        .await;
    bench
        .run("lock = __import__('threading').Lock()\ngen = (i for i in range(3))")
        .await;
    let checkpoint = bench.session.checkpoint("keep").await.unwrap();
    let mut skipped: Vec<&str> = checkpoint.skipped.iter().map(|skip| skip.name.as_str()).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, ["gen", "lam", "lock"]);
    assert!(checkpoint.skipped.iter().all(|skip| !skip.why.is_empty()));

    let mut other = Bench::start(Kind::Python).await;
    other.run("stale = 1").await;
    let restored = other
        .session
        .restore("load", &checkpoint.data, true)
        .await
        .unwrap();
    assert_eq!(restored.skipped, []);
    let told = other
        .run("[area(1), p.x, shared is p.x, type(p) is P, math.floor(1.5), 'stale' in globals()]")
        .await;
    assert_eq!(told.value(), json!([9, [1], true, true, 1, false]));
    let again = other.session.checkpoint("again").await.unwrap();
    assert!(again.saved.contains(&"area".to_owned()), "{:?}", again.skipped);
    let refused = other
        .session
        .restore("bad", b"\x80garbage", false)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("RESTORE_FAILED"), "{refused}");
    assert_eq!(other.run("k").await.value(), json!(3));
}

#[tokio::test]
async fn display_and_progress_come_in_their_place() {
    let mut bench = Bench::start(Kind::Python).await;
    let code = "import actum\nprint('one')\nactum.display({'text/html': '<b>', 'image/png': b'\\x89'})\nprint('two')\n\
                actum.progress(1, 2, 'half')\nactum.progress(2, 2)\nactum.display([1])";
    let id = bench.send(code).await;
    let mut order = Vec::new();
    loop {
        match bench.next().await {
            Event::Output { data, .. } => order.push(String::from_utf8_lossy(&data).into_owned()),
            Event::Display { data, .. } => order.push(data.keys().cloned().collect::<Vec<_>>().join(",")),
            Event::Progress { step, .. } => order.push(format!("step {step}")),
            Event::Finished(outcome) => {
                assert_eq!(outcome.execution, id);
                break;
            }
            _ => {}
        }
    }
    let told: Vec<&str> = order
        .iter()
        .map(String::as_str)
        .filter(|line| !line.starts_with("step"))
        .collect();
    assert_eq!(told, ["one\n", "image/png,text/html", "two\n", "text/plain"]);
    assert!(
        order.contains(&"step 2".to_owned()),
        "the last progress is told: {order:?}"
    );
}

/// The bugs: the items of a view were counted, not its bytes, so the frame was broken; and bytes that happen to be UTF-8
/// were told as text.
#[tokio::test]
async fn a_view_of_large_items_is_shown_by_its_bytes() {
    let mut bench = Bench::start(Kind::Python).await;
    let code = "import actum, array\nactum.display({'image/png': memoryview(array.array('q', [1, 2]))})";
    bench.send(code).await;
    loop {
        match bench.next().await {
            Event::Display { data, .. } => {
                let Some(Mime::Bytes(bytes)) = data.get("image/png") else {
                    panic!("{data:?}");
                };
                assert_eq!(bytes.len(), 16);
            }
            Event::Finished(outcome) => {
                assert!(outcome.session_kept);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(bench.run("1").await.value(), json!(1));
}

#[tokio::test]
async fn a_blocking_call_does_not_stop_the_heartbeat() {
    let options = Options {
        heartbeat: Duration::from_millis(20),
        ..Options::default()
    };
    let mut bench = Bench::with(Kind::Python, options).await;
    bench.run("import time\na = b = 1").await;
    let id = bench.send("print('in')\ntime.sleep(1000)").await;
    bench.until_output("in").await;
    let mut beats = 0;
    while beats < 3 {
        if let Event::Heartbeat(beat) = bench.next().await {
            assert!(beat.rss_bytes > 1 << 20 && beat.names == 3, "{beat:?}");
            beats += 1;
        }
    }
    bench.session.cancel(&id, Duration::from_secs(20)).await.unwrap();
    assert_eq!(bench.finish(&id).await.code(), Some("CANCELLED"));
}

#[tokio::test]
async fn a_forked_child_that_reaches_the_end_of_the_cell_is_no_second_worker() {
    let mut bench = Bench::start(Kind::Python).await;
    let told = bench
        .run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('end', pid == 0, flush=True)")
        .await;
    let mut lines: Vec<String> = told.text().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["end False", "end True"]);
    assert_eq!(bench.run("1").await.value(), json!(1));
    let told = bench.run("import multiprocessing as m\nwith m.get_context('fork').Pool(2) as pool: r = pool.map(abs, [-1, 2])\nr").await;
    assert_eq!(told.value(), json!([1, 2]));
}

#[tokio::test]
async fn thousands_of_executions_with_noisy_errors_leave_memory_flat() {
    let options = Options {
        heartbeat: Duration::from_millis(50),
        ..Options::default()
    };
    let mut bench = Bench::with(Kind::Python, options).await;
    let code =
        "import sys\nfor i in range(20): print('x' * 200, file=sys.stderr)\nresult = [0] * 1000\nresult";
    let rss = "int(open('/proc/self/statm').read().split()[1]) * 4096";
    let rounds = rounds(600, 10_000);
    for _ in 0..rounds / 3 {
        assert_eq!(bench.run(code).await.stderr.len(), 20 * 201);
    }
    let before = bench.run(rss).await.value().as_i64().unwrap();
    for _ in 0..rounds - rounds / 3 {
        assert_eq!(bench.run(code).await.stderr.len(), 20 * 201);
    }
    let after = bench.run(rss).await.value().as_i64().unwrap();
    assert!(
        after - before < 8 << 20,
        "grew from {before} to {after} bytes in {rounds} executions"
    );
}
