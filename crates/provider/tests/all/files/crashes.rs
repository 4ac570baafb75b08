//! What is left when the process dies while it writes: the old content or the new, whole, and at most a file whose
//! name tells what it is.

use super::common::{call, good, grants};
use super::{Place, names, run};
use actum_provider::file::sweep;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

const FOLDER: &str = "ACTUM_TEST_WRITER_FOLDER";
const CONTENT_BYTES: usize = 300_000;

/// The writer that is killed: this test binary again, told so by its environment. Elsewhere it has nothing to write.
#[test]
fn writer_for_the_crash_test() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let grants = grants(&[format!("{folder}:rw")], &[]);
    for round in 0..u64::MAX {
        let content = if round % 2 == 0 { "a" } else { "b" }.repeat(CONTENT_BYTES);
        good(run(call(
            "file.write",
            json!({"path": "f", "content": content}),
            &grants,
        )));
        println!("wrote {round}");
    }
}

#[test]
fn a_writer_killed_at_any_moment_leaves_no_half_file() {
    let place = Place::new();
    let mut left_over = 0;
    for kill in 0..25usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "files::crashes::writer_for_the_crash_test",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, &place.root)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Some writes, and then a part of one that grows with each kill.
        let mut line = String::new();
        while !line.contains("wrote 3") {
            line.clear();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "the writer ended by itself"
            );
        }
        for _ in 0..kill * 40_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = Vec::new();
        lines.read_to_end(&mut rest).unwrap();
        let content = std::fs::read(place.root.join("f")).unwrap();
        assert_eq!(content.len(), CONTENT_BYTES, "kill {kill}");
        assert!(content.iter().all(|byte| *byte == content[0]), "kill {kill}");
        let others = names(&place.root).into_iter().filter(|name| name != "f").count();
        let swept = sweep(&place.grants);
        assert!(swept.complete);
        assert_eq!(
            swept.removed.len(),
            others,
            "kill {kill}: {:?}",
            names(&place.root)
        );
        left_over += others;
    }
    println!("{left_over} of 25 kills left a file on its way");
    assert_eq!(names(&place.root), ["f"]);
}

#[test]
fn a_sweep_takes_what_nobody_holds_and_nothing_else() {
    let place = Place::new();
    let name = |digit: &str| format!(".actum-tmp-{}", digit.repeat(64));
    std::fs::create_dir_all(place.root.join("d/e")).unwrap();
    std::fs::create_dir(place.root.join(name("c"))).unwrap();
    for path in [
        name("a"),
        format!("d/e/{}", name("a")),
        name("b"),
        ".actum-tmp-mine".to_owned(),
        name("G"),
    ] {
        std::fs::write(place.root.join(path), "").unwrap();
    }
    std::fs::write(place.around.path().join(name("a")), "").unwrap();
    std::os::unix::fs::symlink("..", place.root.join("up")).unwrap();
    let held = std::fs::File::open(place.root.join(name("b"))).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let mut removed = sweep(&place.grants).removed;
    removed.sort();
    assert_eq!(
        removed,
        [
            place.root.join(name("a")),
            place.root.join(format!("d/e/{}", name("a")))
        ]
    );
    assert!(place.around.path().join(name("a")).exists());
    assert_eq!(names(&place.root).len(), 6);
    drop(held);
    assert_eq!(sweep(&place.grants).removed, [place.root.join(name("b"))]);
}

#[test]
fn what_the_same_effect_left_does_not_stand_in_its_own_way() {
    let place = Place::new();
    let again = place.call("file.write", json!({"path": "f", "content": "new"}));
    std::fs::write(place.root.join(format!(".actum-tmp-{}", again.effect)), "half").unwrap();
    good(run(again));
    assert_eq!(names(&place.root), ["f"]);
    assert_eq!(std::fs::read_to_string(place.root.join("f")).unwrap(), "new");
    let own = json!({"path": format!(".actum-tmp-{}", "a".repeat(64)), "content": "x"});
    assert!(place.run("file.write", own).is_err());
}
