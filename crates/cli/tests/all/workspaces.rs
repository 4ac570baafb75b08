//! The folders of sessions: they go with their session, also where the daemon was killed in between, and whatever code
//! left in them.

use crate::common::{block_on, copy};
use crate::withstand_support::*;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// What code leaves that makes a folder hard to remove: shut folders, links, more levels than a path can name.
const MESS: &str = "import os\n\
    os.makedirs('shut/inner'); open('shut/inner/file', 'w').close()\n\
    os.symlink('/etc', 'shut/link'); os.symlink('nowhere', 'dangling')\n\
    os.chmod('shut/inner', 0); os.chmod('shut', 0)\n\
    os.mkdir('deep'); os.chdir('deep')\n\
    for _ in range(3000): os.mkdir('d' * 9); os.chdir('d' * 9)\n\
    os.chdir('/work')";

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Waits until nothing is left of what was moved aside.
fn is_emptied(workspaces: &Path) {
    let until = Instant::now() + 3 * PATIENCE;
    while !names(&workspaces.join(".gone")).is_empty() {
        assert!(Instant::now() < until, "{:?}", names(&workspaces.join(".gone")));
        std::thread::yield_now();
    }
}

#[test]
fn what_code_leaves_in_its_folder_goes_with_the_session_and_the_daemon_lives() {
    let ground = Ground::new();
    let workspaces = ground.data().join("workspaces");
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        value_of(&code(&client, "s", MESS).await);
        assert_eq!(names(&workspaces.join("main")).len(), 1);
        let deleted = ask(&client, "session.delete", "s", json!({})).await;
        assert_eq!(deleted["outcome"], "succeeded", "{deleted}");
        let until = Instant::now() + PATIENCE;
        while !names(&workspaces.join("main")).is_empty() {
            assert!(Instant::now() < until, "{:?}", names(&workspaces.join("main")));
            tokio::task::yield_now().await;
        }
        is_emptied(&workspaces);
        python(&client, "s").await;
        assert_eq!(
            value_of(&code(&client, "s", "import os; os.listdir()").await),
            json!([])
        );
    });
}

/// A daemon that is killed when the end of a session is on record, and before its folder is removed, leaves what this
/// leaves.
#[test]
fn a_start_removes_the_folders_of_sessions_that_are_gone_and_keeps_the_others() {
    let ground = Ground::new();
    let workspaces = ground.data().join("workspaces");
    let aside = ground.root.join("aside");
    block_on(async {
        let client = ground.daemon.client().await;
        for session in ["goes", "stays"] {
            python(&client, session).await;
            let text = format!("open('of-{session}', 'w').write('1')");
            value_of(&code(&client, session, &text).await);
        }
        copy(&workspaces, &aside);
        let deleted = ask(&client, "session.delete", "goes", json!({})).await;
        assert_eq!(deleted["outcome"], "succeeded", "{deleted}");
    });
    let both = names(&aside.join("main"));
    let (goes, stays) = (&both[0], &both[1]);
    assert!(
        goes.starts_with("goes-") && stays.starts_with("stays-"),
        "{both:?}"
    );
    let ground = ground.again_with(|root| {
        let workspaces = root.join("data/workspaces");
        let _gone_already = std::fs::remove_dir_all(workspaces.join("main").join(goes));
        copy(
            &aside.join("main").join(goes),
            &workspaces.join("main").join(goes),
        );
        std::fs::create_dir_all(workspaces.join(".gone/0/of-a-run-before")).unwrap();
        std::os::unix::fs::symlink(root.join("open"), workspaces.join("main/link-1")).unwrap();
        std::fs::write(root.join("open/kept"), "1").unwrap();
    });
    // Before it said that it is ready.
    assert_eq!(names(&workspaces.join("main")), ["link-1", stays.as_str()]);
    assert_eq!(names(&workspaces.join("main").join(stays)), ["of-stays"]);
    assert_eq!(names(&ground.open), ["kept"]);
    is_emptied(&workspaces);
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
