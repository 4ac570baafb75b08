//! The demo does what it says, and says so when it cannot.

use crate::common::{actum, ran, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Processes that have `folder` in their command line or work beneath it.
fn processes_about(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if !entry
            .file_name()
            .as_encoded_bytes()
            .iter()
            .all(u8::is_ascii_digit)
        {
            continue;
        }
        // It may end while it is looked at, and is then none that was left.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let works = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(folder.to_str().unwrap()) || works.starts_with(folder) {
            found.push(line);
        }
    }
    found
}

/// A demo whose folder is beneath `temp`.
fn demo(temp: &Path, flags: &[&str]) -> Command {
    let mut command = actum();
    command.arg("demo").args(flags).env("TMPDIR", temp);
    command
}

#[test]
fn the_demo_tells_only_what_happened() {
    let temp = tempfile::tempdir().unwrap();
    let said = ran(&mut demo(temp.path(), &["--json"])).ended(0).json();
    let expected = serde_json::json!({"ok": true, "sandbox": "full", "killed": 1, "charges": 1, "probed": 1,
        "interrupted": 1, "inDoubt": 0, "lost": 0, "duplicated": 0});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&said[name], value, "{name} in {said}");
    }
    assert_eq!(said["digest"].as_str().map(str::len), Some(64));
    assert!(said["elapsedMs"].as_u64().is_some(), "{said}");
    assert_eq!(processes_about(temp.path()), Vec::<String>::new());
    assert_eq!(
        std::fs::read_dir(temp.path()).unwrap().count(),
        0,
        "its folder is gone"
    );
}

#[test]
fn the_demo_reads_well_and_keeps_its_folder_where_asked() {
    let temp = tempfile::tempdir().unwrap();
    let said = ran(&mut demo(temp.path(), &["--keep"])).ended(0);
    for word in [
        "in a cage",
        "full: ",
        "No such file or directory",
        "HOST_REFUSED",
        "IDENTITY_CONFLICT",
        "SIGKILL",
        "1 interrupted, 1 probe",
        "its probe found that it happened",
        "INTERRUPTED",
        "SESSION_LOST",
        "1 charge, 0 duplicated",
        "no difference",
        "paid once",
    ] {
        assert!(said.out.contains(word), "`{word}` is missing in {}", said.out);
    }
    assert!(!said.out.contains('\u{1b}'), "colours are for terminals");
    let kept = said
        .err
        .lines()
        .find_map(|line| line.strip_prefix("kept: "))
        .unwrap();
    assert_eq!(processes_about(Path::new(kept)), Vec::<String>::new());
    let log = std::fs::read_to_string(format!("{kept}/payments/charges.log")).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    let charge: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(charge["key"], "INV-1007");
    let data = format!("{kept}/data");
    run(["verify", "--data", &data]).ended(0);
    run(["replay", "--verify", "--data", &data]).ended(0);
}

/// A host without user namespaces, and a caller without the rights to do without, made here for this one process.
#[test]
fn without_a_cage_it_says_what_it_leaves_out_and_the_charge_is_still_made_once() {
    let temp = tempfile::tempdir().unwrap();
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
        exec setpriv --bounding-set=-all --inh-caps=-all \"$0\" demo --json";
    let program = actum().get_program().to_owned();
    let mut command = Command::new("unshare");
    command
        .args(["-Ur", "sh", "-c", script])
        .arg(program)
        .env("TMPDIR", temp.path());
    let said = ran(&mut command).ended(0).json();
    assert_eq!(said["sandbox"], "none", "{said}");
    assert_eq!(
        (&said["charges"], &said["probed"], &said["interrupted"]),
        (&1.into(), &1.into(), &0.into()),
        "{said}"
    );
    assert_eq!(processes_about(temp.path()), Vec::<String>::new());
}

#[test]
fn without_python_it_says_what_is_missing() {
    let said = ran(actum().arg("demo").env("PATH", "")).ended(1);
    assert!(
        said.err.contains("python3") && said.err.contains("skipped") && said.err.contains("hint: "),
        "{}",
        said.err
    );
}

#[test]
fn the_payments_server_ends_with_whoever_started_it() {
    let temp = tempfile::tempdir().unwrap();
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/payments/payments.py");
    let mut child = Command::new("python3")
        .arg(server)
        .args(["--log", "charges.log", "--until-stdin-ends"])
        .current_dir(temp.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
