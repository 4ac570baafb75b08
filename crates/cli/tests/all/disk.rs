//! A full disk: the daemon ends with a clear error, and nothing acknowledged is lost.
//!
//! The disk is a tiny file system in memory, mounted in a namespace of its own. Where that is not permitted the test
//! says so and proves nothing.

use crate::common::{ACTUM, Daemon, annotations, block_on, web};
use actum_client::Client;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Mounts the file system, runs the daemon on it, and copies what is left beside it.
const SCRIPT: &str = r#"
    mount -t tmpfs -o size=4m none "$1" || exit 77
    "$0" dev --listen 127.0.0.1:0 --segment-mib 1 --json --data "$1/data"
    code=$?
    cp -r "$1/data" "$2" || exit 78
    exit $code
"#;

fn mounts_are_permitted() -> bool {
    let probe = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    probe.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_ends_the_daemon_and_loses_nothing_acknowledged() {
    if !mounts_are_permitted() {
        println!("skipped: no file system may be mounted here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mount, rescued) = (folder.path().join("mount"), folder.path().join("rescued"));
    std::fs::create_dir(&mount).unwrap();
    let mut child = Command::new("unshare")
        .args(["-rm", "sh", "-c", SCRIPT, ACTUM])
        .args([&mount, &rescued])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut ready).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let mut acknowledged: Vec<Value> = Vec::new();
    block_on(async {
        let client = Client::connect(ready["url"].as_str().unwrap(), None)
            .await
            .unwrap();
        let mut lines = vec![web()];
        lines.extend(annotations("a", 400));
        for mut line in lines {
            if line["type"] == "session.annotate" {
                line["payload"]["value"] = "x".repeat(30_000).into();
            }
            match client.submit(&line).await {
                Ok(answer) if answer["success"] == true => acknowledged.push(answer),
                _ => break,
            }
        }
    });
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said}");
    assert!(
        said.contains("error[JOURNAL_POISONED]") && said.contains("hint: "),
        "{said}"
    );
    assert!(
        acknowledged.len() > 10 && acknowledged.len() < 400,
        "{}",
        acknowledged.len()
    );

    let again = Daemon::dev(&rescued);
    block_on(async {
        let client = again.client().await;
        for answer in &acknowledged {
            let get = json!({"type": "command.get", "payload": {"id": answer["id"]}});
            let row = client.submit(&get).await.unwrap();
            assert_eq!(row["data"]["state"], "succeeded", "{answer}");
            assert_eq!(row["data"]["finishedIdx"], answer["idx"], "{answer}");
        }
    });
    again.run(&["verify"]).ended(0);
}
