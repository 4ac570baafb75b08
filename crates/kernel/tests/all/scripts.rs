//! The kernel by its transcripts: every file of `scripts/` holds commands (lines that start with `> `) and
//! what followed from them. `UPDATE=1` rewrites the transcripts; read the difference before you keep it.
//!
//! Besides what is printed, every step is checked: deciding twice is the same, `apply` alone comes to the
//! same state, no record is longer than its bound, and a snapshot of the end is the end.

use crate::script;
use std::fs;
use std::path::Path;

#[test]
fn every_script_gives_its_transcript() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let found = script::run(&name, &text);
        if found == text {
            continue;
        }
        if update {
            fs::write(path, found).unwrap();
        } else {
            wrong.push(script::difference(&name, &text, &found));
        }
    }
    assert!(!paths.is_empty());
    assert!(
        wrong.is_empty(),
        "{}\nif that is right, run again with UPDATE=1",
        wrong.join("\n")
    );
}
