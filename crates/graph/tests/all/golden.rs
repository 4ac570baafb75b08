//! The golden vectors: ids, digests, rewrites, compact forms and proofs, written once into
//! `tests/golden/graph-v1.json`. They are the definition in `docs/adr/0009-graph-trie.md` as data; a change of a
//! byte here is a new version of the format. `UPDATE=1` writes the file anew. `tools/verify_graph.py` recomputes
//! it without this crate.

use crate::common::*;
use actum_graph::op::SPECS;
use actum_graph::{EntryKey, KindRegistry, Op, Patch, View, apply_patches, patches, registry_hash};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn verifier() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_graph.py")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rewrites by name; together they use every operation and every refusal that is not about counts.
fn scripts() -> Vec<(&'static str, Vec<Vec<Op>>)> {
    let one = node(1).id();
    let line = edge(1, 2, None);
    let expecting = |mut op: Op, version: u64| {
        if let Op::SetAttachment { expected_version, .. } | Op::ClearAttachment { expected_version, .. } =
            &mut op
        {
            *expected_version = Some(version);
        }
        op
    };
    let nodes = |range: std::ops::Range<u8>| range.map(add_node).collect::<Vec<Op>>();
    vec![
        ("empty", vec![]),
        ("one node", vec![vec![add_node(1)], vec![add_node(1)]]),
        ("hundred nodes", vec![nodes(0..50), nodes(25..100)]),
        (
            "edges",
            vec![
                nodes(0..4),
                vec![
                    add_edge(line.clone()),
                    add_edge(edge(1, 2, Some(0))),
                    add_edge(edge(3, 3, Some(5))),
                ],
                vec![add_edge(edge(1, 9, None))],
                vec![Op::RemoveNode { id: one }],
                vec![Op::RemoveEdge { id: line.id() }, Op::RemoveEdge { id: line.id() }],
                vec![
                    Op::RemoveEdge { id: line.id() },
                    Op::RemoveNode { id: node(0).id() },
                ],
            ],
        ),
        (
            "attachments",
            vec![
                vec![add_node(1), add_node(2), add_edge(line.clone())],
                vec![
                    set(one, "status", 1),
                    set(one, "owner", 2),
                    set(line.id(), "status", 3),
                ],
                vec![
                    set(one, "status", 1),
                    expecting(set(one, "status", 7), 1),
                    set(one, "status", 8),
                ],
                vec![expecting(set(one, "status", 9), 1)],
                vec![set(node(9).id(), "status", 9)],
                vec![Op::RemoveEdge { id: line.id() }],
                vec![
                    expecting(clear(one, "status"), 3),
                    set(one, "status", 1),
                    expecting(set(one, "new", 1), 0),
                ],
            ],
        ),
    ]
}

fn results(applied: &actum_graph::Applied) -> Value {
    let results = applied
        .results
        .iter()
        .map(|result| json!({"key": result.key, "changed": result.changed, "version": result.version}));
    results.collect()
}

fn rewrite(view: &mut View, ops: &[Op]) -> Value {
    let mut row = json!({
        "ops": ops.iter().map(Op::to_wire).collect::<Value>(),
        "compact": hex(&serde_ipld_dagcbor::to_vec(ops).unwrap()),
    });
    match view.apply(ops) {
        Ok(applied) => row["results"] = results(&applied),
        Err(refusal) => {
            row["refused"] = json!({"opIndex": refusal.op_index, "code": refusal.reason.code()});
        }
    }
    row["digest"] = json!(view.digest());
    row
}

fn entries(view: &View) -> Value {
    let model = Model::of(view);
    let nodes = model
        .nodes
        .iter()
        .map(|(id, node)| json!({"id": id, "kind": node.kind, "payload_b64": node.payload}));
    let edges = model.edges.iter().map(|(id, edge)| {
        let mut row = serde_json::to_value(edge).unwrap();
        let payload = row.as_object_mut().unwrap().remove("payload");
        row["id"] = json!(id);
        if let Some(payload) = payload {
            row["payload_b64"] = payload;
        }
        row
    });
    let attachments = model.attachments.iter().map(|((target, key), (value, version))| {
        json!({"target": target, "key": key, "value": value.as_str(), "version": version})
    });
    let roots = view.roots();
    json!({
        "nodes": nodes.collect::<Value>(),
        "edges": edges.collect::<Value>(),
        "attachments": attachments.collect::<Value>(),
        "versionFloor": view.version_floor(),
        "roots": [roots.nodes, roots.edges, roots.attachments],
        "digest": view.digest(),
        "compact": hex(&serde_ipld_dagcbor::to_vec(&whole(view)).unwrap()),
    })
}

fn whole(view: &View) -> Vec<Patch> {
    patches(&View::default(), view).collect()
}

fn proofs(name: &str, view: &View) -> Vec<Value> {
    let attachment = |name: &str| EntryKey::Attachment(node(1).id().into(), key(name));
    let keys = [
        EntryKey::Node(node(1).id()),
        EntryKey::Node(node(200).id()),
        EntryKey::Edge(edge(1, 2, None).id()),
        EntryKey::Edge(edge(2, 1, None).id()),
        attachment("status"),
        attachment("absent"),
    ];
    let row = |key: &EntryKey| {
        json!({
            "view": name,
            "digest": view.digest(),
            "key": key,
            "present": view.value_hash(key),
            "proof": view.prove(key),
        })
    };
    keys.iter().map(row).collect()
}

fn document() -> Value {
    let mut kinds = KindRegistry {
        version: 3,
        ..KindRegistry::default()
    };
    kinds.node_kinds.extend([kind("task"), kind("even")]);
    let (mut views, mut shown) = (Vec::new(), Vec::new());
    for (name, rewrites) in scripts() {
        let mut view = View::default();
        let rewrites: Value = rewrites.iter().map(|ops| rewrite(&mut view, ops)).collect();
        shown.extend(proofs(name, &view));
        views.push(json!({"name": name, "rewrites": rewrites, "view": entries(&view)}));
    }
    let specs = SPECS.iter().map(|spec| {
        json!({"name": spec.name, "version": spec.version, "required": spec.required, "optional": spec.optional})
    });
    json!({
        "format": "actum-graph/1",
        "ops": {"specs": specs.collect::<Value>(), "hash": registry_hash()},
        "kinds": {"registry": kinds, "hash": kinds.hash()},
        "scripts": views,
        "proofs": shown,
    })
}

#[test]
fn the_golden_vectors_still_hold() {
    let path = folder().join("graph-v1.json");
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap();
    for (number, (found, expected)) in text.lines().zip(held.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of the golden file", number + 1);
    }
    assert_eq!(text.len(), held.len());
}

#[test]
fn the_compact_forms_read_back_into_the_same_views() {
    let bytes = |text: &Value| -> Vec<u8> {
        let text = text.as_str().unwrap();
        let pairs = (0..text.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let held: Value =
        serde_json::from_slice(&std::fs::read(folder().join("graph-v1.json")).unwrap()).unwrap();
    for script in held["scripts"].as_array().unwrap() {
        let mut replayed = View::default();
        for rewrite in script["rewrites"].as_array().unwrap() {
            let ops: Vec<Op> = serde_ipld_dagcbor::from_slice(&bytes(&rewrite["compact"])).unwrap();
            assert_eq!(actum_graph::parse_ops(&rewrite["ops"], "/ops").unwrap(), ops);
            drop(replayed.apply(&ops));
        }
        let patches: Vec<Patch> = serde_ipld_dagcbor::from_slice(&bytes(&script["view"]["compact"])).unwrap();
        let mut restored = View::default();
        apply_patches(&mut restored, patches);
        assert_eq!(restored.check(), Ok(()));
        assert_eq!(Model::of(&restored), Model::of(&replayed));
        assert_eq!(script["view"]["digest"], json!(restored.digest()));
    }
}

fn verify(file: &Path) -> Output {
    Command::new("python3")
        .arg(verifier())
        .arg(file)
        .output()
        .unwrap()
}

#[test]
fn the_program_without_actum_agrees() {
    let output = verify(&folder().join("graph-v1.json"));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("whole"), "{out}");
}

#[test]
fn the_program_without_actum_finds_a_changed_byte() {
    let held = std::fs::read_to_string(folder().join("graph-v1.json")).unwrap();
    // One byte in each sort of value: of the first one, and of the last one, that stands in the file.
    let marks = [
        "\"payload_b64\": \"",
        "\"id\": \"",
        "\"version\": ",
        "\"from\": \"",
        "\"value\": \"",
        "\"digest\": \"",
        "\"hash\": \"",
        "\"valueHash\": \"",
        "\"bit\": ",
        "\"present\": \"",
        "\"code\": \"",
    ];
    let places = marks.iter().flat_map(|mark| {
        let (first, last) = (held.find(mark).unwrap(), held.rfind(mark).unwrap());
        [first + mark.len(), last + mark.len()]
    });
    for (number, at) in places.enumerate() {
        let old = held.as_bytes()[at];
        let new = if old == b'1' || old == b'A' { "2" } else { "1" };
        let mut changed = held.clone();
        changed.replace_range(at..=at, new);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("graph-changed-{number}.json"));
        std::fs::write(&file, &changed).unwrap();
        let output = verify(&file);
        std::fs::remove_file(&file).unwrap();
        let around = &held[at.saturating_sub(40)..at + 10];
        assert_eq!(
            output.status.code(),
            Some(1),
            "`{around}` changed: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
