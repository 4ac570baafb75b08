//! The front door for agents over time: long commands, large ones, progress, cancellations, daemons that die, clients
//! that go.

use crate::common::mcp::{Place, code_of, id_of, mark, sh, stands, times};
use crate::common::{Daemon, actum};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[test]
fn a_command_that_takes_long_is_waited_for_by_its_id() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    let mut ask = sh(format!("cat {}", gate.display()));
    ask["waitMs"] = json!(0);
    let going = mcp.call(1, "shell_run", ask);
    assert_eq!(going["isError"], false, "{going}");
    stands(&going, "running");
    assert!(
        going["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("command_wait")
    );
    let id = id_of(&going);
    // In the same lane, so behind it.
    let behind = mcp.call(2, "shell_run", json!({"argv": ["true"], "waitMs": 0}));
    stands(&behind, "queued");
    let still = mcp.call(3, "command_wait", json!({"id": id, "waitMs": 0}));
    stands(&still, "running");
    assert_eq!(still["isError"], false);
    mcp.begin(4, "command_wait", json!({"id": id}));
    std::fs::write(&gate, "the end").unwrap();
    let over = mcp.answer(&json!(4))["result"].clone();
    stands(&over, "succeeded");
    assert_eq!(over["structuredContent"]["result"]["stdout"]["text"], "the end");
    stands(
        &mcp.call(5, "command_wait", json!({"id": id_of(&behind)})),
        "succeeded",
    );
    drop(daemon);
}

#[test]
fn progress_grows_and_ends_before_the_result() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    let script = sh(format!("echo first; cat {}; seq 1 20000", gate.display()));
    let params = json!({"name": "shell_run", "arguments": script, "_meta": {"progressToken": "p-1"}});
    mcp.request(&json!(1), "tools/call", params);
    loop {
        let message = mcp.next().unwrap();
        assert_eq!(message["method"], "notifications/progress", "{message}");
        let first = message["params"]["message"] == "first";
        mcp.told.push(message);
        if first {
            break;
        }
    }
    std::fs::write(&gate, "").unwrap();
    stands(&mcp.answer(&json!(1))["result"], "succeeded");
    let told = std::mem::take(&mut mcp.told);
    let numbers: Vec<f64> = told
        .iter()
        .map(|one| one["params"]["progress"].as_f64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(told.iter().all(|one| one["params"]["progressToken"] == "p-1"));
    assert!(told.len() < 100, "{} notifications", told.len());
    // Without a token nothing is told, and nothing of the first call comes behind its result.
    stands(&mcp.call(2, "shell_run", sh("echo quiet")), "succeeded");
    assert!(mcp.told.is_empty(), "{:?}", mcp.told);
    drop(daemon);
}

#[test]
fn a_cancelled_call_cancels_its_command() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let script = sh("echo going; sleep 600");
    let params = json!({"name": "shell_run", "arguments": script, "_meta": {"progressToken": 1}});
    mcp.request(&json!(1), "tools/call", params);
    while mcp.next().unwrap()["params"]["message"] != "going" {}
    mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "no"}}));
    let rows = mcp.call(2, "history", json!({"kind": "shell.run"}));
    let id = rows["structuredContent"]["result"]["commands"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = mcp.call(3, "command_wait", json!({"id": id}));
    stands(&ended, "cancelled");
    assert_eq!(ended["isError"], true);
    assert_eq!(
        ended["structuredContent"]["result"]["stdout"]["text"], "going\n",
        "what it wrote is kept"
    );
    drop(daemon);
}

#[test]
fn a_cancellation_never_overtakes_the_call() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    mcp.begin(1, "shell_run", sh(format!("cat {}", gate.display())));
    let file = place.file("marks");
    for id in 2..40 {
        mcp.begin(id, "shell_run", mark(&file));
        mcp.send(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
        );
    }
    // Behind all of them, and so told once they are settled.
    mcp.begin(40, "shell_run", json!({"argv": ["true"]}));
    loop {
        let rows = mcp.call(
            100,
            "history",
            json!({"outcome": "unfinished", "kind": "shell.run", "limit": 100}),
        );
        let left = rows["structuredContent"]["result"]["commands"]
            .as_array()
            .unwrap()
            .len();
        if left <= 2 {
            break;
        }
    }
    std::fs::write(&gate, "").unwrap();
    let (first, last) = (mcp.next().unwrap(), mcp.next().unwrap());
    assert_eq!(
        (&first["id"], &last["id"]),
        (&json!(1), &json!(40)),
        "{first} {last}"
    );
    assert_eq!(times(&file), 0, "none of the cancelled ones ran");
    drop(daemon);
}

#[test]
fn a_large_output_is_bounded_and_named() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let result = mcp.call(1, "shell_run", json!({"argv": ["seq", "1", "2000000"]}));
    stands(&result, "succeeded");
    assert!(result.to_string().len() < 200_000, "{}", result.to_string().len());
    let blob = result["structuredContent"]["result"]["stdout"]["blob"]
        .as_str()
        .unwrap();
    assert!(result["content"][0]["text"].as_str().unwrap().contains(blob));
    drop(daemon);
}

#[test]
fn a_daemon_that_dies_leaves_a_command_that_can_be_asked_for() {
    let place = Place::new();
    let mut command = actum();
    command
        .args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--allow-uncaged",
            "--json",
            "--data",
        ])
        .arg(place.data())
        .env("ACTUM_CRASH_AT", "effect_settled");
    let mut daemon = Daemon::spawn(command, &place.data());
    let mut mcp = place.mcp();
    let file = place.file("marks");
    let lost = mcp.call(1, "shell_run", mark(&file));
    daemon.wait();
    assert_eq!(times(&file), 1);
    assert_eq!(lost["isError"], true);
    stands(&lost, "unknown");
    let hint = lost["structuredContent"]["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("command_wait") && hint.contains("do not do it again"),
        "{hint}"
    );
    let id = id_of(&lost);
    let gone = mcp.call(2, "shell_run", mark(&file));
    assert_eq!(code_of(&gone), "DAEMON_UNREACHABLE", "{gone}");
    stands(&gone, "refused");

    // The next one is found where it is, at another port.
    let daemon = place.daemon();
    let doubt = mcp.call(3, "command_wait", json!({"id": id}));
    assert_eq!(code_of(&doubt), "IN_DOUBT", "{doubt}");
    stands(&doubt, "in_doubt");
    assert!(doubt["structuredContent"]["because"].is_array(), "{doubt}");
    // Its lane is held: that is told at once, not after a wait.
    let held = mcp.call(4, "shell_run", json!({"argv": ["true"], "waitMs": 600_000}));
    stands(&held, "queued");
    assert!(
        held["structuredContent"]["because"].to_string().contains(&id),
        "{held}"
    );
    // The same request again is the same command, not another run.
    let again = mcp.call(1, "shell_run", mark(&file));
    assert_eq!(id_of(&again), id);
    stands(&again, "in_doubt");
    assert_eq!(times(&file), 1);
    mcp.begin(5, "command_wait", json!({"id": id_of(&held)}));
    daemon
        .run(&[
            "resolve",
            &id,
            "--as",
            "landed",
            "--note",
            "the file has the line",
        ])
        .ended(0);
    stands(&mcp.answer(&json!(5))["result"], "succeeded");
    stands(&mcp.call(6, "command_wait", json!({"id": id})), "succeeded");
}

#[test]
fn names_that_are_gone_are_said_once_and_the_session_goes_on() {
    let place = Place::new();
    let daemon = Daemon::dev(&place.data());
    let (mut code, mut programs) = (place.mcp(), place.mcp());
    for mcp in [&mut code, &mut programs] {
        stands(&mcp.call(1, "code_run", json!({"code": "x = 1"})), "succeeded");
    }
    daemon.kill();
    let daemon = Daemon::dev(&place.data());
    let lost = code.call(2, "code_run", json!({"code": "x"}));
    assert_eq!(code_of(&lost), "SESSION_LOST", "{lost}");
    let hint = lost["structuredContent"]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("define what you need"), "{hint}");
    let anew = code.call(3, "code_run", json!({"code": "'x' in globals()"}));
    assert_eq!(anew["structuredContent"]["result"]["repr"], "False", "{anew}");
    // The same request again does not start it anew once more.
    stands(&code.call(4, "code_run", json!({"code": "x = 2"})), "succeeded");
    assert_eq!(
        code_of(&code.call(2, "code_run", json!({"code": "x"}))),
        "SESSION_LOST"
    );
    let kept = code.call(5, "code_run", json!({"code": "x"}));
    assert_eq!(kept["structuredContent"]["result"]["repr"], "2", "{kept}");
    // A program counts on no names.
    stands(
        &programs.call(2, "shell_run", json!({"argv": ["true"]})),
        "succeeded",
    );
    drop(daemon);
}

#[test]
fn a_client_that_goes_takes_what_it_waits_for_with_it() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    let mut ask = sh(format!("cat {}", gate.display()));
    ask["waitMs"] = json!(0);
    let kept = id_of(&mcp.call(1, "shell_run", ask));
    mcp.begin(2, "shell_run", json!({"argv": ["sleep", "600"]}));
    let id = loop {
        let rows = mcp.call(3, "history", json!({"outcome": "unfinished", "limit": 1}));
        let row = rows["structuredContent"]["result"]["commands"][0].clone();
        if row["id"] != json!(kept) {
            break row["id"].as_str().unwrap().to_owned();
        }
    };
    let pid = Pid::from_raw(i32::try_from(mcp.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let (status, _) = mcp.leave();
    assert!(status.success(), "{status:?}");
    daemon.run(&["wait", &id]).ended(1);
    let row = daemon.run(&["show", &id, "--json"]).ended(0).json();
    assert_eq!(row["state"], "cancelled", "{row}");
    // What was handed back by its id goes on.
    std::fs::write(&gate, "").unwrap();
    daemon.run(&["wait", &kept]).ended(0);
}

#[test]
fn what_was_asked_before_the_client_went_is_answered() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    mcp.begin(1, "shell_run", json!({"argv": ["echo", "last"]}));
    let (status, rest) = mcp.leave();
    assert!(status.success());
    let answer: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["result"]["stdout"]["text"], "last\n",
        "{rest}"
    );
    drop(daemon);
}
