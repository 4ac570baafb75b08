//! Writing, removing and moving: whole or not at all, what goes is kept, and twice is once.

use super::common::{code, good, means};
use super::{Place, names, run};
use actum_model::effect::ProbeAnswer;
use actum_model::{ErrorCode, Hash};
use actum_provider::Provider;
use actum_provider::file::FileProvider;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

#[test]
fn what_a_write_replaces_is_kept_first_and_told() {
    let place = Place::new();
    let made = good(place.run("file.write", json!({"path": "a", "content": "one"})));
    assert_eq!((&made["created"], &made["changed"]), (&json!(true), &json!(true)));
    assert_eq!(made.get("previous"), None);
    let (means, kept) = means();
    let mut call = place.call(
        "file.write",
        json!({"path": "a", "content": "dHdv", "encoding": "base64"}),
    );
    call.means = means;
    let written = good(run(call));
    assert_eq!(written["hash"], Hash::of(b"two").to_string());
    assert_eq!(
        written["previous"],
        json!({"hash": Hash::of(b"one").to_string(), "bytes": 3})
    );
    assert_eq!(*kept.lock().unwrap(), [b"one".to_vec()]);
    assert_eq!(std::fs::read_to_string(place.root.join("a")).unwrap(), "two");
    assert_eq!(names(&place.root), ["a"]);
}

#[test]
fn nothing_changes_where_the_previous_content_cannot_be_kept() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "one").unwrap();
    std::fs::write(place.root.join("b"), "two").unwrap();
    type Failing = fn(&actum_model::EffectId, &[u8]) -> Result<Hash, String>;
    let full: Failing = |_, _| Err("the disk is full".to_owned());
    let wrong: Failing = |_, _| Ok(Hash::of(b"other"));
    for failing in [full, wrong] {
        for (kind, arguments) in [
            ("file.write", json!({"path": "a", "content": "new"})),
            (
                "file.write",
                json!({"path": "a", "content": "new", "mode": "append"}),
            ),
            ("file.remove", json!({"path": "a"})),
            ("file.move", json!({"from": "b", "to": "a", "replace": true})),
        ] {
            let mut call = place.call(kind, arguments);
            call.means.keep = Arc::new(failing);
            assert_eq!(code(run(call)), ErrorCode::FileFailed, "{kind}");
        }
    }
    assert_eq!(names(&place.root), ["a", "b"]);
    assert_eq!(std::fs::read_to_string(place.root.join("a")).unwrap(), "one");
}

#[test]
fn a_write_done_twice_is_done_once() {
    let place = Place::new();
    let base = Hash::of(b"base").to_string();
    for (mode, arguments, after) in [
        (
            "create",
            json!({"path": "c", "content": "x", "mode": "create"}),
            "x",
        ),
        (
            "replace",
            json!({"path": "r", "content": "x", "mode": "replace", "ifHash": base}),
            "x",
        ),
        (
            "append",
            json!({"path": "p", "content": "x", "mode": "append", "ifHash": base}),
            "basex",
        ),
    ] {
        let name = arguments["path"].as_str().unwrap().to_owned();
        if mode != "create" {
            std::fs::write(place.root.join(&name), "base").unwrap();
        }
        let first = good(place.run("file.write", arguments.clone()));
        let second = good(place.run("file.write", arguments));
        assert_eq!(
            (&first["changed"], &second["changed"]),
            (&json!(true), &json!(false)),
            "{mode}"
        );
        assert_eq!(first["hash"], second["hash"]);
        assert_eq!(std::fs::read_to_string(place.root.join(&name)).unwrap(), after);
    }
}

#[test]
fn a_write_that_rests_on_other_content_is_refused() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "one").unwrap();
    let other = Hash::of(b"other").to_string();
    for (arguments, expected) in [
        (
            json!({"path": "a", "content": "x", "ifHash": other}),
            ErrorCode::FileChanged,
        ),
        (
            json!({"path": "a", "content": "x", "mode": "append", "ifHash": other}),
            ErrorCode::FileChanged,
        ),
        (
            json!({"path": "none", "content": "x", "ifHash": other}),
            ErrorCode::FileChanged,
        ),
        (
            json!({"path": "a", "content": "x", "mode": "create"}),
            ErrorCode::FileExists,
        ),
        (
            json!({"path": "a", "content": "x", "mode": "create", "ifHash": other}),
            ErrorCode::InvalidInput,
        ),
        (
            json!({"path": "a", "content": "x", "ifHash": "1234"}),
            ErrorCode::InvalidInput,
        ),
        (
            json!({"path": "a", "content": "!", "encoding": "base64"}),
            ErrorCode::InvalidInput,
        ),
        (json!({"path": "none/b", "content": "x"}), ErrorCode::FileNotFound),
        (json!({"path": "a/b", "content": "x"}), ErrorCode::FileRefused),
    ] {
        assert_eq!(
            code(place.run("file.write", arguments.clone())),
            expected,
            "{arguments}"
        );
    }
    let large = "x".repeat(2 * 1024 * 1024 + 1);
    let too_large = json!({"path": "a", "content": large});
    assert_eq!(code(place.run("file.write", too_large)), ErrorCode::TooLarge);
    assert_eq!(std::fs::read_to_string(place.root.join("a")).unwrap(), "one");
}

#[test]
fn somebody_who_writes_at_the_same_time_is_not_overwritten() {
    let place = Place::new();
    let path = place.root.join("a");
    std::fs::write(&path, "one").unwrap();
    // The moment between reading what is there and putting the new content in its place.
    let mut call = place.call("file.write", json!({"path": "a", "content": "new"}));
    let meddled = path.clone();
    call.means.keep = Arc::new(move |_, bytes| {
        std::fs::write(&meddled, "meddled").unwrap();
        Ok(Hash::of(bytes))
    });
    assert_eq!(code(run(call)), ErrorCode::FileChanged);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "meddled");
    assert_eq!(names(&place.root), ["a"]);
}

#[test]
fn a_new_content_has_the_mode_of_the_old_without_setuid() {
    let place = Place::new();
    let path = place.root.join("a");
    std::fs::write(&path, "one").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4751)).unwrap();
    good(place.run("file.write", json!({"path": "a", "content": "two"})));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o751
    );
}

#[test]
fn removing_takes_files_links_and_empty_folders_and_twice_is_once() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "one").unwrap();
    std::fs::create_dir_all(place.root.join("d/e")).unwrap();
    std::os::unix::fs::symlink("../outside", place.root.join("l")).unwrap();
    let (means, kept) = means();
    let mut call = place.call(
        "file.remove",
        json!({"path": "a", "ifHash": Hash::of(b"one").to_string()}),
    );
    call.means = means;
    let removed = good(run(call.clone()));
    assert_eq!(removed["previous"]["hash"], Hash::of(b"one").to_string());
    assert_eq!(*kept.lock().unwrap(), [b"one".to_vec()]);
    assert_eq!(good(run(call))["removed"], false);
    let link = good(place.run("file.remove", json!({"path": "l"})));
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&json!("link"), &json!("../outside"))
    );
    assert!(place.outside().exists());
    assert_eq!(
        code(place.run("file.remove", json!({"path": "d"}))),
        ErrorCode::FileRefused
    );
    assert_eq!(
        good(place.run("file.remove", json!({"path": "d/e"})))["kind"],
        "folder"
    );
    good(place.run("file.remove", json!({"path": "d"})));
    assert!(names(&place.root).is_empty());
}

#[test]
fn moving_replaces_only_what_it_is_told_to_and_keeps_it() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "one").unwrap();
    std::fs::write(place.root.join("b"), "two").unwrap();
    std::fs::create_dir(place.root.join("d")).unwrap();
    let plain = json!({"from": "a", "to": "b"});
    assert_eq!(code(place.run("file.move", plain)), ErrorCode::FileExists);
    assert_eq!(
        code(place.run("file.move", json!({"from": "none", "to": "c"}))),
        ErrorCode::FileNotFound
    );
    let onto_folder = json!({"from": "a", "to": "d", "replace": true});
    assert_eq!(code(place.run("file.move", onto_folder)), ErrorCode::FileRefused);
    let (means, kept) = means();
    let mut call = place.call("file.move", json!({"from": "a", "to": "b", "replace": true}));
    call.means = means;
    assert_eq!(good(run(call))["previous"]["bytes"], 3);
    assert_eq!(*kept.lock().unwrap(), [b"two".to_vec()]);
    good(place.run("file.move", json!({"from": "b", "to": "d/c"})));
    good(place.run("file.move", json!({"from": "d", "to": "e"})));
    assert_eq!(std::fs::read_to_string(place.root.join("e/c")).unwrap(), "one");
    assert_eq!(
        code(place.run("file.move", json!({"from": "e", "to": "e/f"}))),
        ErrorCode::InvalidInput
    );
}

#[tokio::test]
async fn the_probe_of_a_move_tells_what_it_can_see() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "one").unwrap();
    let hash = Hash::of(b"one").to_string();
    let ask = |arguments| FileProvider.probe(place.call("file.move", arguments));
    let sure = json!({"from": "a", "to": "b", "ifHash": hash});
    let unsure = json!({"from": "a", "to": "b"});
    assert_eq!(ask(sure.clone()).await, ProbeAnswer::DidNotHappen);
    std::fs::rename(place.root.join("a"), place.root.join("b")).unwrap();
    assert_eq!(ask(sure.clone()).await, ProbeAnswer::Landed);
    assert!(matches!(ask(unsure).await, ProbeAnswer::Unknown(_)));
    std::fs::write(place.root.join("b"), "other").unwrap();
    assert!(matches!(ask(sure).await, ProbeAnswer::Unknown(_)));
}

#[test]
fn reading_grants_allow_no_change() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "one").unwrap();
    let reading = super::common::grants(&[place.path("")], &[]);
    for (kind, arguments) in [
        ("file.write", json!({"path": "b", "content": "x"})),
        ("file.remove", json!({"path": "a"})),
        ("file.move", json!({"from": "a", "to": "b"})),
    ] {
        assert_eq!(
            code(run(super::common::call(kind, arguments, &reading))),
            ErrorCode::NotGranted
        );
    }
    assert_eq!(names(&place.root), ["a"]);
}
