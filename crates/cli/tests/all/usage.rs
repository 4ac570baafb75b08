//! The command line itself: help, wrong flags, exit codes, reference, completions. No daemon runs here.

use crate::common::{self, actum, over, ran, run};
use std::path::Path;

#[test]
fn a_wrong_flag_is_refused_with_a_code_and_exit_code_1() {
    for wrong in [
        &["verify", "--nope"][..],
        &["nope"],
        &["dev", "--listen", "somewhere"],
        &["resolve", "x"],
        &["dev", "--segment-mib", "0"],
    ] {
        let said = run(wrong).ended(1);
        assert!(
            said.err.starts_with("error[INVALID_INPUT]: "),
            "{wrong:?}: {}",
            said.err
        );
        assert_eq!(said.out, "");
    }
}

#[test]
fn help_is_there_for_everything_and_documents_the_exit_codes() {
    let help = run(["--help"]).ended(0).out;
    assert!(
        help.contains("Exit codes:") && help.contains("3  not over"),
        "{help}"
    );
    for command in [
        "dev", "serve", "submit", "call", "replay", "journal", "demo", "doctor", "token", "events",
    ] {
        let help = run([command, "--help"]).ended(0).out;
        assert!(help.contains("Usage: actum"), "{command}: {help}");
    }
    assert!(run(["--version"]).ended(0).out.starts_with("actum "));
}

#[test]
fn the_reference_of_commands_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let made = run(["commands", "--markdown"]).ended(0).out;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/commands.md is old: run `actum commands --markdown > docs/commands.md`"
    );
}

#[test]
fn an_error_code_is_explained_with_its_page() {
    let said = run(["explain", "in-doubt"]).ended(0).out;
    assert!(
        said.starts_with("IN_DOUBT\n") && said.contains("What to do"),
        "{said}"
    );
    let said = run(["explain", "IDENTITY"]).ended(1).err;
    assert!(said.contains("did you mean IDENTITY_CONFLICT?"), "{said}");
    let all = run(["explain", "--output", "jsonl"]).ended(0).out;
    assert_eq!(all.lines().count(), actum_model::ErrorCode::ALL.len());
}

#[test]
fn a_kind_is_shown_with_its_arguments() {
    let said = run(["commands", "shell.run"]).ended(0).out;
    assert!(said.contains("argv") && said.contains("required"), "{said}");
    assert_eq!(
        run(["commands", "shell.run", "--json"]).ended(0).json()["effect"],
        "external"
    );
    assert!(
        run(["commands", "shell.go"])
            .ended(1)
            .err
            .contains("did you mean shell.run?")
    );
}

#[test]
fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(["completions", shell]).ended(0).out;
        assert!(script.contains("actum") && script.contains("replay"), "{shell}");
    }
    run(["completions", "abacus"]).ended(1);
}

#[test]
fn where_no_daemon_and_no_data_are_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = over(folder.path(), &["history"]).ended(1).err;
    assert!(
        said.contains("error[DAEMON_UNREACHABLE]") && said.contains("actum dev"),
        "{said}"
    );
    for offline in [
        &["verify"][..],
        &["replay"],
        &["export"],
        &["journal", "inspect"],
        &["journal", "compact"],
    ] {
        let said = over(folder.path(), offline).ended(1).err;
        assert!(said.contains("error[DATA_MISSING]"), "{offline:?}: {said}");
    }
    assert!(!folder.path().join("journal").exists(), "looking makes nothing");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "\"$0\" explain | head -n 1 >&2; exit ${PIPESTATUS:-0}",
            common::ACTUM,
        ])
        .output()
        .unwrap();
    assert!(
        !String::from_utf8_lossy(&status.stderr).contains("error"),
        "{status:?}"
    );
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let made = over(folder.path(), &["token", "create", "ci"]).ended(0);
    assert!(
        made.out.starts_with("actum_") && made.out.lines().count() == 1,
        "{made:?}"
    );
    over(folder.path(), &["token", "create", "ci"]).ended(1);
    over(folder.path(), &["token", "create", "dev"]).ended(1);
    let list = over(folder.path(), &["token", "list", "--json"]).ended(0).json();
    assert_eq!(list["tokens"][0]["name"], "ci");
    assert!(
        !list.to_string().contains(made.out.trim()),
        "a token is shown once"
    );
    over(folder.path(), &["token", "revoke", "ci"]).ended(0);
    over(folder.path(), &["token", "revoke", "ci"]).ended(1);
}

#[test]
fn the_doctor_finds_a_healthy_machine_and_a_bad_folder() {
    let folder = tempfile::tempdir().unwrap();
    let said = over(folder.path(), &["doctor", "--json"]).ended(0).json();
    let checks = said["checks"].as_array().unwrap();
    assert!(
        checks.len() >= 10 && checks.iter().all(|check| check["state"] != "fail"),
        "{said}"
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = over(&file, &["doctor"]).ended(1).out;
    assert!(
        said.contains("fail  data directory") && said.contains("fix: "),
        "{said}"
    );
}

#[test]
fn colours_are_only_for_terminals() {
    let said = ran(actum().args(["commands"]).env("CLICOLOR_FORCE", "1")).ended(0);
    assert!(!said.out.contains('\u{1b}'));
}
