//! `actum run` as people use it: a program in the cage whose output, exit code and end are those of the command line.

use crate::common::{Daemon, Ran, actum, block_on, follow, ran, until};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// A folder that a cage can show at its own path, which it cannot with one beneath `/tmp`.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

struct Place {
    outer: tempfile::TempDir,
    daemon: Daemon,
}

impl Place {
    fn new() -> Place {
        let outer = place();
        std::fs::create_dir(outer.path().join("work")).unwrap();
        let daemon = Daemon::caged(&outer.path().join("data"), &outer.path().join("work"));
        Place { outer, daemon }
    }

    fn work(&self) -> std::path::PathBuf {
        std::fs::canonicalize(self.outer.path().join("work")).unwrap()
    }

    fn command(&self, args: &[&str], from: &Path) -> Command {
        let mut command = actum();
        command
            .args(["--data"])
            .arg(&self.daemon.data)
            .args(args)
            .current_dir(from);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args, &self.work()))
    }
}

#[test]
fn streams_exit_code_and_folder_are_those_of_the_program() {
    let place = Place::new();
    let ran = place
        .run(&[
            "run",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; pwd; echo made > made; exit 3",
        ])
        .ended(3);
    let work = place.work();
    assert_eq!(ran.out, format!("out\n{}\n", work.display()));
    assert!(ran.err.starts_with("err\n"), "{ran:?}");
    assert!(ran.err.contains("failed · exit code 3 · sandbox full"), "{ran:?}");
    assert!(
        ran.err.contains(&format!("wrote to {}", work.display())),
        "{ran:?}"
    );
    assert_eq!(std::fs::read_to_string(work.join("made")).unwrap(), "made\n");
    let left = place.run(&["session", "list", "--json"]).ended(0).json();
    assert_eq!(left["sessions"].as_array().unwrap().len(), 0, "{left}");
}

#[test]
fn where_nothing_is_granted_it_gets_a_private_folder_and_says_so() {
    let place = Place::new();
    let elsewhere = self::place();
    let ran = ran(&mut place.command(
        &["run", "--", "sh", "-c", "pwd; echo kept > kept"],
        elsewhere.path(),
    ))
    .ended(0);
    assert_eq!(ran.out, "/work\n");
    assert!(
        ran.err.contains("is not granted, so it gets a private folder"),
        "{ran:?}"
    );
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    let said = ran.err.lines().last().unwrap();
    let folder = said
        .split("wrote to ")
        .nth(1)
        .unwrap()
        .split(" (")
        .next()
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(Path::new(folder).join("kept")).unwrap(),
        "kept\n"
    );
    let session = said
        .split("session close ")
        .nth(1)
        .unwrap()
        .trim_end_matches("`)");
    place.run(&["session", "close", session]).ended(0);
    let again = place.run(&["session", "close", session]).ended(0);
    assert!(again.out.contains("gone already"), "{again:?}");
    let named = place
        .command(&["run", "--workspace", "/usr", "--", "true"], elsewhere.path())
        .output()
        .unwrap();
    assert_eq!(named.status.code(), Some(125));
}

#[test]
fn what_cannot_be_run_is_told_from_what_failed() {
    let place = Place::new();
    assert!(
        place
            .run(&["run", "--", "no-such-program"])
            .ended(125)
            .err
            .contains("error[SPAWN_FAILED]")
    );
    place
        .run(&["run", "--timeout", "50ms", "--", "sleep", "60"])
        .ended(124);
    place.run(&["run", "--", "sh", "-c", "kill -KILL $$"]).ended(137);
    place.run(&["run", "--env", "nothing", "--", "true"]).ended(1);
    actum_without_daemon().ended(125);
}

fn actum_without_daemon() -> Ran {
    let folder = tempfile::tempdir().unwrap();
    ran(actum()
        .arg("--data")
        .arg(folder.path())
        .args(["run", "--", "true"]))
}

#[test]
fn environment_and_standard_input_go_to_the_program_and_profiles_hide_the_folder() {
    let place = Place::new();
    let mut child = place
        .command(
            &[
                "run",
                "--stdin",
                "--env",
                "MODE=fast",
                "--",
                "sh",
                "-c",
                "cat; echo $MODE",
            ],
            &place.work(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"given\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "given\nfast\n");
    std::fs::write(place.work().join("seen"), "x").unwrap();
    place
        .run(&["run", "--profile", "read", "--", "cat", "seen"])
        .ended(0);
    place
        .run(&["run", "--profile", "read", "--", "sh", "-c", "echo > new"])
        .ended(2);
    let look = format!("test ! -e {}", place.work().join("seen").display());
    place
        .run(&["run", "--profile", "pure", "--", "sh", "-c", &look])
        .ended(0);
}

#[test]
fn more_than_comes_live_is_whole_on_standard_output() {
    let place = Place::new();
    let ran = place
        .run(&[
            "run",
            "--",
            "sh",
            "-c",
            "head -c 9000000 /dev/zero | tr '\\0' a; echo end",
        ])
        .ended(0);
    assert_eq!(ran.out.len(), 9_000_004);
    assert!(ran.out.ends_with("aend\n"));
}

#[test]
fn an_interrupt_cancels_the_command_and_not_the_daemon() {
    let place = Place::new();
    let mut child = place
        .command(
            &[
                "run",
                "--id",
                "slow",
                "--",
                "sh",
                "-c",
                "echo ready; exec sleep 1000",
            ],
            &place.work(),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    // The line came while the program runs.
    assert_eq!(line, "ready\n");
    kill_process(
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        Signal::INT,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("cancelled · "), "{said}");
    let shown = place.run(&["show", "slow", "--json"]).json();
    assert_eq!(
        shown["outcome"].as_str().or(shown["state"].as_str()),
        Some("cancelled"),
        "{shown}"
    );
    place.run(&["run", "--", "true"]).ended(0);
}

#[test]
fn when_nobody_reads_its_output_any_more_the_command_is_cancelled() {
    let place = Place::new();
    block_on(async {
        let client = place.daemon.client().await;
        let mut events = follow(&client).await;
        let mut child = place
            .command(&["run", "--id", "endless", "--", "yes"], &place.work())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "y\n");
        let end = until(&mut events, "command_finished", "endless").await;
        assert_eq!(end["outcome"], "cancelled", "{end}");
        child.wait().unwrap();
    });
}

#[test]
fn as_json_there_is_one_document_and_the_same_exit_code() {
    let place = Place::new();
    let ran = place
        .run(&["--json", "run", "--", "sh", "-c", "echo out; exit 7"])
        .ended(7);
    let answer = ran.json();
    assert_eq!(answer["data"]["stdout"]["text"], "out\n");
    assert_eq!(answer["data"]["exitCode"], 7);
    let lines = place
        .run(&["--output", "jsonl", "run", "--", "echo", "out"])
        .ended(0)
        .out;
    assert!(
        lines.lines().any(|line| line.contains("\"type\":\"output\"")),
        "{lines}"
    );
}

#[test]
fn in_a_session_it_waits_its_turn_and_sees_its_folder() {
    let place = Place::new();
    let work = place.work();
    let folder = work.display().to_string();
    place
        .run(&["session", "create", "web", "--workspace", &folder])
        .ended(0);
    let ran = place.run(&["run", "--session", "web", "--", "pwd"]).ended(0);
    assert_eq!(ran.out, format!("{folder}\n"));
    place.run(&["run", "--session", "nobody", "--", "pwd"]).ended(125);
}
