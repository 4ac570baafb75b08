//! Ways out of a granted folder, and things in it that are no files.

use super::common::{call, code, good, grants};
use super::{Place, run};
use actum_model::ErrorCode;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn no_path_leads_out_of_a_granted_folder() {
    let place = Place::new();
    std::fs::create_dir(place.root.join("d")).unwrap();
    symlink("../outside", place.root.join("relative")).unwrap();
    symlink(place.outside(), place.root.join("absolute")).unwrap();
    symlink("..", place.root.join("up")).unwrap();
    symlink("/proc/self/root", place.root.join("magic")).unwrap();
    let outside = place.outside().to_str().unwrap().to_owned();
    let sibling = format!("{}-sibling/x", place.root.display());
    for (path, expected) in [
        ("../outside", ErrorCode::PathOutside),
        ("d/../../outside", ErrorCode::PathOutside),
        ("relative", ErrorCode::PathOutside),
        ("absolute", ErrorCode::PathOutside),
        ("up/outside", ErrorCode::PathOutside),
        ("d/../up/outside", ErrorCode::PathOutside),
        ("magic/etc/passwd", ErrorCode::PathOutside),
        (outside.as_str(), ErrorCode::NotGranted),
        (sibling.as_str(), ErrorCode::NotGranted),
        ("/etc/passwd", ErrorCode::NotGranted),
        (concat!("/proc/self/root", "/etc/passwd"), ErrorCode::NotGranted),
    ] {
        assert_eq!(
            code(place.run("file.read", json!({"path": path}))),
            expected,
            "read {path}"
        );
        let content = json!({"path": path, "content": "x"});
        let written = code(place.run("file.write", content));
        assert!(
            [expected, ErrorCode::FileRefused].contains(&written),
            "write {path}: {written}"
        );
    }
    for path in [".", "..", "d/..", "/", ""] {
        let refused = code(place.run("file.remove", json!({"path": path})));
        let outside = [
            ErrorCode::PathOutside,
            ErrorCode::NotGranted,
            ErrorCode::InvalidInput,
        ];
        assert!(outside.contains(&refused), "remove {path:?}: {refused}");
    }
    assert_eq!(std::fs::read_to_string(place.outside()).unwrap(), "outside");
}

#[test]
fn links_that_stay_within_are_followed_for_reading_and_not_written_through() {
    let place = Place::new();
    std::fs::create_dir(place.root.join("d")).unwrap();
    std::fs::write(place.root.join("d/a"), "abc").unwrap();
    symlink("d/a", place.root.join("file")).unwrap();
    symlink("d", place.root.join("folder")).unwrap();
    assert_eq!(
        good(place.run("file.read", json!({"path": "file"})))["content"],
        "abc"
    );
    assert_eq!(
        good(place.run("file.read", json!({"path": "folder/a"})))["content"],
        "abc"
    );
    let through = json!({"path": "file", "content": "x"});
    assert_eq!(code(place.run("file.write", through)), ErrorCode::FileRefused);
    good(place.run("file.write", json!({"path": "folder/b", "content": "in d"})));
    assert_eq!(std::fs::read_to_string(place.root.join("d/b")).unwrap(), "in d");
}

#[test]
fn devices_fifos_sockets_and_views_into_the_system_are_refused_at_once() {
    let place = Place::new();
    mknodat(
        CWD,
        place.root.join("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _listening = std::os::unix::net::UnixListener::bind(place.root.join("socket")).unwrap();
    for path in ["fifo", "socket"] {
        for kind in ["file.read", "file.remove"] {
            assert_eq!(
                code(place.run(kind, json!({"path": path}))),
                ErrorCode::FileRefused,
                "{kind} {path}"
            );
        }
        let write = json!({"path": path, "content": "x", "mode": "append"});
        assert_eq!(code(place.run("file.write", write)), ErrorCode::FileRefused);
        assert_eq!(
            good(place.run("file.stat", json!({"path": path})))["kind"],
            "other"
        );
        let to = json!({"from": path, "to": "elsewhere"});
        assert_eq!(code(place.run("file.move", to)), ErrorCode::FileRefused);
    }
    let all = grants(&["/:rw".to_owned()], &[]);
    for path in [
        "/dev/zero",
        "/dev/null",
        "/proc/self/environ",
        "/proc/self/mem",
        concat!("/proc/self/root", "/etc/passwd"),
        "/proc/self/fd/0",
        "/proc/self/cwd",
        "/sys/kernel/notes",
    ] {
        assert_eq!(
            code(run(call("file.read", json!({"path": path}), &all))),
            ErrorCode::FileRefused,
            "{path}"
        );
    }
    for path in ["/proc/self/oom_score_adj", "/dev/null"] {
        let write = call("file.write", json!({"path": path, "content": "0"}), &all);
        assert_eq!(code(run(write)), ErrorCode::FileRefused, "{path}");
    }
}

#[test]
fn hidden_folders_are_out_of_reach_by_every_way() {
    let mut place = Place::new();
    std::fs::create_dir_all(place.root.join("x/data")).unwrap();
    std::fs::write(place.root.join("x/data/secret"), "secret").unwrap();
    symlink("x/data/secret", place.root.join("link")).unwrap();
    symlink("x/data", place.root.join("folder")).unwrap();
    place.grants.hidden.push(place.root.join("x/data"));
    for path in [
        "x/data/secret",
        "x/data",
        "link",
        "folder/secret",
        "x/../x/data/secret",
    ] {
        let stat = json!({"path": path});
        if path != "link" {
            assert_eq!(
                code(place.run("file.stat", stat.clone())),
                ErrorCode::PathOutside,
                "{path}"
            );
        }
        assert_eq!(
            code(place.run("file.read", stat)),
            ErrorCode::PathOutside,
            "{path}"
        );
    }
    for path in ["x/data/new", "folder/new", "x/data"] {
        let write = json!({"path": path, "content": "x"});
        assert_eq!(
            code(place.run("file.write", write)),
            ErrorCode::PathOutside,
            "{path}"
        );
    }
    // Moved away, it would be found under a path that is not hidden.
    for from in ["x", "x/data"] {
        let away = json!({"from": from, "to": "away"});
        assert_eq!(code(place.run("file.move", away)), ErrorCode::PathOutside);
        assert_eq!(
            code(place.run("file.remove", json!({"path": from}))),
            ErrorCode::PathOutside
        );
    }
    let listed = good(place.run("file.list", json!({"path": place.root, "recursive": true})));
    let text = listed.to_string();
    assert!(text.contains("\"x\"") && !text.contains("data"), "{text}");
}

#[test]
fn a_folder_granted_for_reading_stays_so_within_one_granted_for_writing() {
    let mut place = Place::new();
    std::fs::create_dir(place.root.join("fixed")).unwrap();
    std::fs::write(place.root.join("fixed/a"), "abc").unwrap();
    symlink("fixed", place.root.join("way")).unwrap();
    place.grants.allow_files(&place.path("fixed")).unwrap();
    for path in ["fixed/a", "way/a", "nowhere/../fixed/a", "./fixed/a"] {
        let path = place.path(path);
        let write = code(place.run("file.write", json!({"path": path, "content": "x"})));
        assert!(
            [ErrorCode::NotGranted, ErrorCode::FileNotFound].contains(&write),
            "{path}: {write}"
        );
    }
    let remove = json!({"path": place.path("way/a")});
    assert_eq!(code(place.run("file.remove", remove)), ErrorCode::NotGranted);
    let away = json!({"from": place.path("fixed"), "to": place.path("free")});
    assert!(place.run("file.move", away).is_err());
    assert_eq!(
        std::fs::read_to_string(place.root.join("fixed/a")).unwrap(),
        "abc"
    );
}

#[test]
fn exchanging_a_folder_for_a_link_while_it_is_opened_leads_nowhere() {
    let place = Place::new();
    let other = place.around.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("f"), "outside").unwrap();
    std::fs::create_dir(place.root.join("d")).unwrap();
    std::fs::write(place.root.join("d/f"), "inside").unwrap();
    symlink(&other, place.root.join("e")).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (stop, root) = (Arc::clone(&over), place.root.clone());
    let racer = std::thread::spawn(move || {
        let mut swaps = 0u64;
        while !stop.load(Ordering::Relaxed) {
            renameat_with(CWD, root.join("d"), CWD, root.join("e"), RenameFlags::EXCHANGE).unwrap();
            swaps += 1;
        }
        swaps
    });
    let (mut inside, mut refused) = (0, 0);
    // Both sides of the exchange must have been met often, whatever the machine is busy with.
    while inside < 300 || refused < 300 {
        match place.run("file.read", json!({"path": "d/f"})) {
            Ok(read) => {
                assert!(
                    read["content"].as_str().unwrap().starts_with("inside"),
                    "{read:?}"
                );
                inside += 1;
            }
            Err(_) => refused += 1,
        }
        let content = format!("inside {inside} {refused}");
        let _ = place.run("file.write", json!({"path": "d/f", "content": content}));
    }
    over.store(true, Ordering::Relaxed);
    assert!(racer.join().unwrap() > 0);
    assert_eq!(std::fs::read_to_string(other.join("f")).unwrap(), "outside");
    assert_eq!(super::names(&other), ["f"]);
}
