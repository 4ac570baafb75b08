//! `actum py`, `sh`, `session`, `promise`, `pool` and `doctor` as people use them, over a real daemon with real sessions.

use crate::common::{self, Daemon, Ran, actum, ran};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

struct Place {
    outer: tempfile::TempDir,
    daemon: Daemon,
}

impl Place {
    fn new() -> Place {
        let outer = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::create_dir(outer.path().join("work")).unwrap();
        let daemon = Daemon::caged(&outer.path().join("data"), &outer.path().join("work"));
        Place { outer, daemon }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = actum();
        command
            .args(["--data"])
            .arg(&self.daemon.data)
            .args(args)
            .current_dir(self.outer.path().join("work"));
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    fn typed(&self, args: &[&str], text: &str) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[test]
fn a_value_is_printed_and_a_traceback_is_whole_on_standard_error() {
    let place = Place::new();
    let ran = place
        .run(&["py", "print('a')\nopen('made', 'w').write('x')\n'it is'"])
        .ended(0);
    assert_eq!(ran.out, "a\n'it is'\n");
    assert_eq!(
        std::fs::read_to_string(place.outer.path().join("work/made")).unwrap(),
        "x"
    );
    let ran = place.run(&["py", "def f():\n    return 1 / 0\nf()"]).ended(1);
    assert!(
        ran.err.contains("return 1 / 0") && ran.err.contains("ZeroDivisionError: division by zero"),
        "{ran:?}"
    );
    let left = place.run(&["session", "list", "--json"]).ended(0).json();
    assert_eq!(left["sessions"].as_array().unwrap().len(), 0, "{left}");
}

#[test]
fn code_comes_from_a_file_and_from_standard_input_and_asks_for_lines() {
    let place = Place::new();
    std::fs::write(place.outer.path().join("work/script.py"), "x = 6 * 7\nx").unwrap();
    assert_eq!(place.run(&["py", "script.py"]).ended(0).out, "42\n");
    assert_eq!(place.typed(&["py", "-"], "1 + 1\n").ended(0).out, "2\n");
    let asked = place.typed(&["py", "input('name? ') * 2"], "bob\n").ended(0);
    assert_eq!(asked.out, "'bobbob'\n");
    assert!(asked.err.contains("name? "), "{asked:?}");
    let over = place.run(&["py", "input()"]).ended(1);
    assert!(over.err.contains("EOFError"), "{over:?}");
    place.run(&["py", "missing.py"]).ended(1);
}

#[test]
fn a_named_session_is_made_once_and_keeps_its_names_until_it_is_closed() {
    let place = Place::new();
    place.run(&["py", "--session", "lab", "x = 20"]).ended(0);
    assert_eq!(
        place.run(&["py", "--session", "lab", "x + 1"]).ended(0).out,
        "21\n"
    );
    let shown = place.run(&["session", "show", "lab"]).ended(0).out;
    for word in ["python", "live", "full", "seccomp", "is /work, to write"] {
        assert!(shown.contains(word), "`{word}` is missing in {shown}");
    }
    let saved = place.run(&["session", "checkpoint", "lab"]).ended(0);
    assert!(saved.err.contains("saved x"), "{saved:?}");
    place.run(&["session", "reset", "lab"]).ended(0);
    place.run(&["py", "--session", "lab", "x"]).ended(1);
    place
        .run(&["session", "restore", "lab", saved.out.trim()])
        .ended(0);
    assert_eq!(place.run(&["py", "--session", "lab", "x"]).ended(0).out, "20\n");
    let pool = place.run(&["pool"]).ended(0).out;
    assert!(pool.contains("lab") && pool.contains("RESIDENT"), "{pool}");
    assert!(
        place
            .run(&["session", "interrupt", "lab"])
            .ended(1)
            .err
            .contains("NOTHING_RUNS")
    );
    place.run(&["session", "close", "lab"]).ended(0);
    place.run(&["session", "close", "lab"]).ended(0);
}

#[test]
fn the_prompt_keeps_names_takes_blocks_and_goes_on_after_errors() {
    let place = Place::new();
    let ran = place
        .typed(
            &["py", "-i"],
            "x = 2\ndef f():\n    return x * 21\n\n1/0\nf()\ninput('? ')\nfrom here\n",
        )
        .ended(0);
    assert_eq!(ran.out, "42\n'from here'\n", "{ran:?}");
    assert!(
        ran.err.contains("ZeroDivisionError") && ran.err.contains("is /work"),
        "{ran:?}"
    );
    let ran = place.typed(&["sh", "-i"], "A=1\necho $A\n").ended(0);
    assert_eq!(ran.out, "1\n", "{ran:?}");
}

#[test]
fn who_attaches_sees_output_and_answers_for_the_code() {
    let place = Place::new();
    place
        .run(&["session", "create", "lab", "--kind", "python"])
        .ended(0);
    let mut attached = place
        .command(&["session", "attach", "lab"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(attached.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("session lab"), "{line}");
    attached
        .stdin
        .take()
        .unwrap()
        .write_all(b"from outside\n")
        .unwrap();
    let code = "print('before')\nprint(input('who? '))";
    let ran = place
        .run(&[
            "call",
            "code.run",
            "--session",
            "lab",
            "--json",
            &format!("code={code}"),
        ])
        .ended(0);
    assert_eq!(ran.json()["data"]["stdout"]["text"], "before\nfrom outside\n");
    place.run(&["session", "close", "lab"]).ended(0);
    let output = attached.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    for word in ["before", "from outside", "promise_created", "session_deleted"] {
        assert!(shown.contains(word), "`{word}` is missing in {shown}");
    }
}

#[test]
fn a_promise_is_waited_for_and_settled_once() {
    let place = Place::new();
    let made = place
        .run(&[
            "promise",
            "create",
            "go",
            "--timeout",
            "1h",
            "--tag",
            "for=deploy",
        ])
        .ended(0);
    assert_eq!(made.out, "go\n");
    place.run(&["promise", "wait", "go", "--timeout", "1ms"]).ended(3);
    place
        .run(&["promise", "resolve", "go", "{\"by\":\"ana\"}"])
        .ended(0);
    assert_eq!(
        place.run(&["promise", "wait", "go"]).ended(0).out,
        "{\"by\":\"ana\"}\n"
    );
    let listed = place
        .run(&["promise", "list", "--tag", "for=deploy"])
        .ended(0)
        .out;
    assert!(listed.contains("go") && listed.contains("resolved"), "{listed}");
    let shown = place.run(&["promise", "show", "go"]).ended(0).out;
    assert!(shown.contains("ana") && shown.contains("settled by"), "{shown}");
    place.run(&["promise", "create", "no"]).ended(0);
    place.run(&["promise", "reject", "no", "not today"]).ended(0);
    assert!(
        place
            .run(&["promise", "wait", "no"])
            .ended(1)
            .err
            .contains("not today")
    );
    place.run(&["promise", "create", "up"]).ended(0);
    place.run(&["promise", "cancel", "up"]).ended(0);
    assert_eq!(
        place.run(&["promise", "show", "up", "--json"]).ended(0).json()["state"],
        "cancelled"
    );
}

#[test]
fn the_doctor_tells_the_sandbox_and_what_would_work() {
    let folder = tempfile::tempdir().unwrap();
    let found = common::over(folder.path(), &["doctor", "--json"]).json();
    let find = |name: &str| {
        let checks = found["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["check"] == name)
            .unwrap()
            .clone()
    };
    let level = find("sandbox")["found"]
        .as_str()
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    assert!(["full", "partial", "none"].contains(&level.as_str()), "{found}");
    assert!(
        find("--sandbox")["found"].as_str().unwrap().contains("none"),
        "{found}"
    );
}
