//! The demo does what it says, and says so when it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed step of a test ends it"
)]

mod common;

use common::{actum, ran, run};

#[test]
fn the_demo_tells_only_what_happened() {
    let said = run(["demo", "--json"]).ended(0).json();
    assert_eq!(said["ok"], true, "{said}");
    assert_eq!(
        (&said["inDoubt"], &said["duplicated"], &said["lost"]),
        (&1.into(), &0.into(), &0.into())
    );
    assert_eq!(said["digest"].as_str().map(str::len), Some(64));
    assert!(said["elapsedMs"].as_u64().unwrap() < 20_000, "{said}");
}

#[test]
fn the_demo_reads_well_and_keeps_its_folder_where_asked() {
    let said = run(["demo", "--keep"]).ended(0);
    for word in [
        "IDENTITY_CONFLICT",
        "SIGKILL",
        "1 in doubt",
        "0 duplicated",
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
    run(["verify", "--data", &format!("{kept}/data")]).ended(0);
    run(["replay", "--verify", "--data", &format!("{kept}/data")]).ended(0);
    std::fs::remove_dir_all(kept).unwrap();
}

#[test]
fn without_python_it_says_what_is_missing() {
    let said = ran(actum().arg("demo").env("PATH", "")).ended(1);
    assert!(
        said.err.contains("python3") && said.err.contains("hint: "),
        "{}",
        said.err
    );
}
