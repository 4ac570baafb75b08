//! Reading, listing and telling about files.

use super::common::{code, good, grants};
use super::{Place, run};
use actum_model::{ErrorCode, Hash};
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

#[test]
fn a_file_is_read_whole_or_in_parts_with_the_hash_of_all_of_it() {
    let place = Place::new();
    let text = "grüße an alle";
    std::fs::write(place.root.join("a"), text).unwrap();
    let whole = good(place.run("file.read", json!({"path": place.path("a")})));
    assert_eq!(whole["content"], text);
    assert_eq!(whole["encoding"], "utf8");
    assert_eq!(whole["eof"], true);
    assert_eq!(whole["size"], text.len());
    assert_eq!(whole["hash"], Hash::of(text.as_bytes()).to_string());

    // A character that the length cuts in two is left for the next part.
    let (mut offset, mut read) = (0, String::new());
    loop {
        let part = good(place.run("file.read", json!({"path": "a", "offset": offset, "length": 3})));
        assert_eq!(part["encoding"], "utf8");
        assert_eq!(part["hash"], whole["hash"]);
        read.push_str(part["content"].as_str().unwrap());
        offset += part["bytes"].as_u64().unwrap();
        if part["eof"] == true {
            break;
        }
    }
    assert_eq!(read, text);
    let behind = good(place.run("file.read", json!({"path": "a", "offset": 999})));
    assert_eq!((&behind["content"], &behind["eof"]), (&json!(""), &json!(true)));
}

#[test]
fn bytes_that_are_no_text_come_as_base64_unless_text_was_asked_for() {
    let place = Place::new();
    std::fs::write(place.root.join("b"), [0xff, 0, 1]).unwrap();
    let read = good(place.run("file.read", json!({"path": "b"})));
    assert_eq!(
        (&read["content"], &read["encoding"]),
        (&json!("/wAB"), &json!("base64"))
    );
    assert_eq!(
        code(place.run("file.read", json!({"path": "b", "encoding": "utf8"}))),
        ErrorCode::FileRefused
    );
}

#[test]
fn a_large_file_is_read_in_parts_of_a_bounded_size() {
    let place = Place::new();
    let file = std::fs::File::create(place.root.join("large")).unwrap();
    file.set_len(80 * 1024 * 1024).unwrap();
    let read = good(place.run("file.read", json!({"path": "large", "encoding": "base64"})));
    assert_eq!(read["bytes"], 1024 * 1024);
    assert_eq!(read["eof"], false);
    assert_eq!(read.get("hash"), None);
    let asked = json!({"path": "large", "length": 1024 * 1024 + 1});
    assert_eq!(code(place.run("file.read", asked)), ErrorCode::InvalidInput);
    let asked = json!({"path": "large", "offset": u64::MAX});
    assert_eq!(good(place.run("file.read", asked))["bytes"], 0);
    assert_eq!(
        code(place.run("file.stat", json!({"path": "large", "hash": true}))),
        ErrorCode::TooLarge
    );
    assert_eq!(
        code(place.run("file.write", json!({"path": "large", "content": "x"}))),
        ErrorCode::TooLarge
    );
}

#[test]
fn stat_tells_about_files_folders_and_links_themselves() {
    let place = Place::new();
    std::fs::write(place.root.join("a"), "abc").unwrap();
    std::fs::create_dir(place.root.join("d")).unwrap();
    std::os::unix::fs::symlink("../outside", place.root.join("l")).unwrap();
    let about = good(place.run("file.stat", json!({"path": "a", "hash": true})));
    assert_eq!((&about["kind"], &about["size"]), (&json!("file"), &json!(3)));
    assert_eq!(about["hash"], Hash::of(b"abc").to_string());
    assert_eq!(
        good(place.run("file.stat", json!({"path": "d"})))["kind"],
        "folder"
    );
    let link = good(place.run("file.stat", json!({"path": "l", "hash": true})));
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&json!("link"), &json!("../outside"))
    );
    assert_eq!(link.get("hash"), None);
    assert_eq!(
        good(place.run("file.stat", json!({"path": place.root})))["kind"],
        "folder"
    );
    assert_eq!(
        code(place.run("file.stat", json!({"path": "none"}))),
        ErrorCode::FileNotFound
    );
}

#[test]
fn a_folder_is_listed_page_by_page_with_nothing_twice_and_nothing_left_out() {
    let place = Place::new();
    for folder in ["a", "a/b", "a-", "z"] {
        std::fs::create_dir(place.root.join(folder)).unwrap();
    }
    for file in ["a/b/1", "a/b/2", "a/c", "a-/x", "a.txt", "z/9"] {
        std::fs::write(place.root.join(file), file).unwrap();
    }
    std::fs::write(place.root.join(OsStr::from_bytes(b"n\xff\xfe")), "").unwrap();
    std::os::unix::fs::symlink(place.around.path(), place.root.join("link")).unwrap();
    let all = [
        "a",
        "a/b",
        "a/b/1",
        "a/b/2",
        "a/c",
        "a-",
        "a-/x",
        "a.txt",
        "link",
        "n\u{fffd}\u{fffd}",
        "z",
        "z/9",
    ];
    for limit in [1, 2, 3, 100] {
        let (mut after, mut listed) = (None, Vec::new());
        loop {
            let mut asked = json!({"path": place.root, "recursive": true, "limit": limit});
            if let Some(after) = &after {
                asked["after"] = json!(after);
            }
            let page = good(place.run("file.list", asked));
            let entries = page["entries"].as_array().unwrap();
            assert!(entries.len() <= limit);
            listed.extend(
                entries
                    .iter()
                    .map(|entry| entry["name"].as_str().unwrap().to_owned()),
            );
            match page.get("nextCursor") {
                Some(next) => after = Some(next.as_str().unwrap().to_owned()),
                None => break,
            }
        }
        assert_eq!(listed, all, "with pages of {limit}");
    }
    let flat = good(place.run("file.list", json!({"path": place.root})));
    let names: Vec<&str> = flat["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "a-", "a.txt", "link", "n\u{fffd}\u{fffd}", "z"]);
    assert_eq!(flat["entries"][4]["nameBase64"], "bv/+");
    assert_eq!(flat["entries"][3]["kind"], "link");
}

#[test]
fn several_granted_folders_need_absolute_paths() {
    let place = Place::new();
    std::fs::create_dir(place.root.join("in")).unwrap();
    std::fs::write(place.root.join("a"), "abc").unwrap();
    let two = grants(&[place.path(""), place.path("in")], &[]);
    let read = |path: &str| run(super::common::call("file.read", json!({"path": path}), &two));
    assert_eq!(code(read("a")), ErrorCode::InvalidInput);
    assert_eq!(good(read(&place.path("a")))["content"], "abc");
    let none = super::common::call("file.read", json!({"path": "a"}), &super::Grants::default());
    assert_eq!(code(run(none)), ErrorCode::NotGranted);
}
