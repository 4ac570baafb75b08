//! The graph from the command line: shadow working sets, views, the rewrite log, export and import.

use crate::common::Daemon;
use serde_json::{Value, json};
use std::path::Path;

/// Carries out operations on a view.
fn rewrite(daemon: &Daemon, view: &str, ops: &Value) -> Value {
    let payload = json!({"view": view, "ops": ops}).to_string();
    daemon
        .run(&["call", "graph.rewrite", &payload, "--json"])
        .ended(0)
        .json()
}

fn node(text_b64: &str) -> Value {
    json!({"op": "AddNode", "data": {"kind": "demo", "payload_b64": text_b64}})
}

/// Two nodes, an edge and an attachment in a new shadow working set.
fn small_graph(daemon: &Daemon) -> String {
    let sws = daemon
        .run(&["sws", "create", "--meta", "{\"why\":\"test\"}"])
        .ended(0)
        .out;
    let view = format!("sws:{}", sws.trim());
    let made = rewrite(daemon, &view, &json!([node("b25l"), node("dHdv")]));
    let ids: Vec<&str> = made["data"]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["id"].as_str().unwrap())
        .collect();
    let edge = json!({"op": "AddEdge", "data": {"from": ids[0], "to": ids[1], "kind": "next"}});
    let note = json!({"op": "SetAttachment", "data": {"target": ids[0], "key": "note", "value": {"n": 1}}});
    rewrite(daemon, &view, &json!([edge, note]));
    view
}

fn digest(daemon: &Daemon, view: &str) -> String {
    daemon.run(&["graph", "--view", view, "--digest"]).ended(0).out
}

#[test]
fn a_working_set_is_made_looked_at_and_collapsed() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let empty = digest(&daemon, "system");
    let view = small_graph(&daemon);
    assert_eq!(digest(&daemon, "system"), empty);
    let changed = digest(&daemon, &view);
    assert_ne!(changed, empty);

    let shown = daemon
        .run(&["graph", "--view", &view, "--nodes", "--edges"])
        .ended(0)
        .out;
    assert_eq!(shown.matches("demo").count(), 2, "{shown}");
    assert_eq!(shown.matches("next").count(), 1, "{shown}");
    let page = daemon
        .run(&["graph", "--view", &view, "--nodes", "--first", "1"])
        .ended(0);
    assert!(page.err.contains("there are more: --snapshot 2-"), "{}", page.err);

    let diff = daemon.run(&["sws", "diff", "0"]).ended(0).out;
    assert_eq!(
        diff.lines().filter(|line| line.starts_with("+ ")).count(),
        4,
        "{diff}"
    );
    let rewrites = daemon.run(&["rewrites", "--view", &view]).ended(0).out;
    assert!(
        rewrites.contains("2 × AddNode") && rewrites.contains("AddEdge, SetAttachment"),
        "{rewrites}"
    );

    let said = daemon.run(&["sws", "collapse", "0"]).ended(0).out;
    assert!(said.contains("is part of System 1-"), "{said}");
    assert_eq!(digest(&daemon, "system"), changed);
    let listed = daemon.run(&["sws", "list"]).ended(0).out;
    assert!(listed.contains("collapsed"), "{listed}");
    let gone = daemon.run(&["graph", "--view", &view]).ended(1).err;
    assert!(gone.contains("SWS_NOT_ACTIVE"), "{gone}");
}

#[test]
fn a_conflict_is_shown_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    small_graph(&daemon);
    daemon.run(&["sws", "collapse", "0"]).ended(0);
    let id = daemon.run(&["graph", "--nodes", "--json"]).ended(0).out;
    let id: Value = serde_json::from_str(id.lines().next().unwrap()).unwrap();
    for sws in ["1", "2"] {
        daemon.run(&["sws", "create"]).ended(0);
        let id = id["nodes"][0]["id"].as_str().or(id["id"].as_str()).unwrap();
        let set = json!({"op": "SetAttachment", "data": {"target": id, "key": "owner", "value": sws}});
        rewrite(&daemon, &format!("sws:{sws}"), &json!([set]));
    }
    daemon.run(&["sws", "collapse", "1"]).ended(0);
    let before = digest(&daemon, "system");
    let refused = daemon.run(&["sws", "collapse", "2"]).ended(1).err;
    assert!(
        refused.contains("CONTENT_CONFLICT") && refused.contains("COLLAPSE_CONFLICT"),
        "{refused}"
    );
    assert!(
        daemon
            .run(&["sws", "rebase", "2"])
            .ended(1)
            .err
            .contains("COLLAPSE_CONFLICT")
    );
    assert_eq!(digest(&daemon, "system"), before);
    daemon.run(&["sws", "discard", "2", "--reason", "lost"]).ended(0);
    assert!(
        daemon
            .run(&["sws", "show", "2"])
            .ended(0)
            .out
            .contains("discarded")
    );
    let why = daemon.run(&["rewrites", "--view", "sws:2"]).ended(0).out;
    assert!(
        why.contains("collapse_conflict") && why.contains("discard"),
        "{why}"
    );
}

#[test]
fn an_export_is_read_back_to_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let view = small_graph(&daemon);
    let there = digest(&daemon, &view);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for form in ["json", "cbor"] {
        let file = path(form);
        daemon
            .run(&[
                "graph", "export", "--view", &view, "--format", form, "--out", &file,
            ])
            .ended(0);
        let other = Daemon::dev(Path::new(&path(&format!("data-{form}"))));
        let said = other.run(&["graph", "import", &file, "--collapse"]).ended(0).out;
        assert!(said.contains("4 operations into sws:0"), "{said}");
        assert_eq!(digest(&other, "system"), there);
        // Content decides ids: read again, nothing is doubled.
        other.run(&["graph", "import", &file, "--collapse"]).ended(0);
        assert_eq!(digest(&other, "system"), there);
    }
    let dot = daemon
        .run(&["graph", "export", "--view", &view, "--format", "dot"])
        .ended(0)
        .out;
    assert!(
        dot.starts_with("digraph actum {") && dot.contains(" -> "),
        "{dot}"
    );
    std::fs::write(path("other"), "{}").unwrap();
    let refused = daemon.run(&["graph", "import", &path("other")]).ended(1).err;
    assert!(
        refused.contains("INVALID_INPUT") && refused.contains("graph export"),
        "{refused}"
    );
    let usage = daemon.run(&["graph", "--view", "shadow"]).ended(1).err;
    assert!(usage.contains("sws:<number>"), "{usage}");
}
