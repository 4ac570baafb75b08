//! How programs start: what they are given, what they are not, and what is said when they cannot.

use super::support::{Bench, GRACE, job};
use actum_daemon::redact::Secret;
use actum_model::ErrorCode;
use actum_model::effect::SettledAs;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_program_that_succeeds() {
    let mut bench = Bench::new();
    let done = bench.run(job(&["echo", "hello", "$HOME; exit 1"])).await;
    done.expect(SettledAs::Succeeded);
    assert_eq!(
        done.stdout(),
        "hello $HOME; exit 1\n",
        "arguments never pass a shell"
    );
    assert_eq!(done.data["exitCode"], 0);
    assert_eq!(done.data["stderr"], json!({"bytes": 0, "text": ""}));
    assert!(done.data["durationMs"].is_u64());
    assert_eq!(done.live["stdout"], done.stdout());
    assert_eq!(bench.door.running(), 0);
}

#[tokio::test]
async fn standard_input_is_given_or_empty() {
    let mut bench = Bench::new();
    let text = "ä line\n".repeat(40_000);
    let mut with = job(&["wc", "-c"]);
    with.stdin = Some(text.clone());
    assert_eq!(bench.run(with).await.stdout().trim(), text.len().to_string());
    assert_eq!(
        bench
            .run(job(&["cat"]))
            .await
            .expect(SettledAs::Succeeded)
            .stdout(),
        ""
    );
    let mut unread = job(&["true"]);
    unread.stdin = Some(text);
    bench.run(unread).await.expect(SettledAs::Succeeded);
}

#[tokio::test]
async fn the_environment_is_an_allowlist_and_what_the_command_brings() {
    let mut bench = Bench::new();
    let mut with = job(&["env"]);
    with.env = [("MINE", "1"), ("LC_ALL", "C"), ("ACTUM_EFFECT", "forged")]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
    let effect = with.effect;
    let done = bench.run(with).await;
    for line in done.stdout().lines() {
        let name = line.split('=').next().unwrap();
        let known =
            ["PATH", "HOME", "LANG", "TZ", "MINE", "ACTUM_EFFECT"].contains(&name) || name.starts_with("LC_");
        assert!(known, "{line}");
    }
    assert!(done.stdout().contains("MINE=1\n"));
    assert!(done.stdout().contains("LC_ALL=C\n"));
    assert!(
        done.stdout().contains(&format!("ACTUM_EFFECT={effect}\n")),
        "the mark cannot be forged"
    );
}

#[tokio::test]
async fn its_own_session_and_no_inherited_descriptors_or_ignored_signals() {
    let mut bench = Bench::new();
    // This descriptor is inherited by every child that is not careful.
    let _open = rustix::io::dup(std::io::stderr()).unwrap();
    let done = bench
        .sh("cat /proc/$$/stat; ls /proc/$$/fd; grep SigIgn /proc/$$/status")
        .await;
    let mut lines = done.stdout().lines();
    let stat: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert_eq!(
        (stat[0], stat[0]),
        (stat[4], stat[5]),
        "group and session are its own"
    );
    let rest: Vec<&str> = lines.collect();
    assert_eq!(rest[..3], ["0", "1", "2"]);
    let ignored = u64::from_str_radix(rest[3].split('\t').next_back().unwrap(), 16).unwrap();
    assert_eq!(ignored, 0, "{ignored:x}");
}

#[tokio::test]
async fn the_working_directory_is_used_and_checked() {
    let mut bench = Bench::new();
    let place = bench.spool.path().canonicalize().unwrap();
    let place = place.to_str().unwrap().to_owned();
    let inside = |cwd: &str| {
        let mut pwd = job(&["pwd"]);
        pwd.cwd = Some(cwd.to_owned());
        pwd
    };
    assert_eq!(bench.run(inside(&place)).await.stdout().trim(), place);
    let missing = bench.run(inside("/no/such/place")).await;
    failed(
        &missing.settlement,
        "working directory `/no/such/place` does not exist",
    );
    let file = bench.run(inside("/etc/passwd")).await;
    failed(
        &file.settlement,
        "working directory `/etc/passwd` is not a directory",
    );
}

#[track_caller]
fn failed(settlement: &actum_model::Settlement, expected: &str) {
    assert_eq!(settlement.settled, SettledAs::Failed);
    let fault = settlement.fault.as_ref().unwrap();
    assert_eq!(fault.code, ErrorCode::SpawnFailed);
    assert!(fault.message.contains(expected), "{}", fault.message);
}

#[tokio::test]
async fn a_program_that_is_not_there_or_cannot_be_executed() {
    let mut bench = Bench::new();
    let run = bench.run(job(&["no-such-program"])).await;
    failed(
        &run.settlement,
        "cannot start `no-such-program`: no program of this name in PATH",
    );
    let run = bench.run(job(&["./no-such-file"])).await;
    failed(&run.settlement, "there is no such file");
    let run = bench.run(job(&["/etc/passwd"])).await;
    failed(&run.settlement, "not allowed to execute it");
    let run = bench.run(job(&[""])).await;
    failed(&run.settlement, "expected the name of a program");
    let script = bench.spool.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let run = bench.run(job(&[script.to_str().unwrap()])).await;
    failed(
        &run.settlement,
        "names an interpreter or loader that does not exist",
    );
    let run = bench.run(job(&["echo", &"x".repeat(3_000_000)])).await;
    failed(&run.settlement, "Argument list too long");
}

#[tokio::test]
async fn a_secret_in_a_refusal_is_redacted() {
    let mut bench = Bench::new();
    let mut secret = job(&["no-such-hunter2"]);
    secret.secrets = vec![Secret::new("s1", "hunter2")];
    failed(
        &bench.run(secret).await.settlement,
        "`no-such-[redacted:secret:s1]`",
    );
}

#[tokio::test]
async fn a_closed_door_starts_nothing() {
    let mut bench = Bench::new();
    bench.door.close(GRACE).await;
    let done = bench.run(job(&["true"])).await;
    assert_eq!(
        done.expect(SettledAs::Failed)
            .settlement
            .fault
            .as_ref()
            .unwrap()
            .code,
        ErrorCode::ShuttingDown
    );
}

#[test]
fn a_payload_becomes_a_job_unless_a_secret_is_missing() {
    let make = |payload: Value| {
        actum_daemon::door::Job::from_payload(7, actum_model::Hash::ZERO, &payload, Vec::new())
    };
    let found = make(json!({"argv": ["a", "b"], "cwd": "/", "env": {"X": "y"}, "stdin": "z"})).unwrap();
    assert_eq!(
        (found.argv.len(), found.cwd.as_deref(), found.stdin.as_deref()),
        (2, Some("/"), Some("z"))
    );
    assert_eq!(found.env["X"], "y");
    let marker = json!({"$redacted": "secret", "ref": "s1"});
    assert_eq!(
        make(json!({"argv": ["a", marker]})).unwrap_err().code,
        ErrorCode::SecretUnavailable
    );
    assert_eq!(
        make(json!({"argv": [1]})).unwrap_err().code,
        ErrorCode::InvalidInput
    );
}
