//! Operations as clients send them: what is wrong is named where it stands, and nothing makes the reader panic.

use actum_graph::{Op, ParseError, parse_ops, registry_hash};
use actum_model::limits::{FAULTS_LISTED_MAX, GRAPH_OPS_MAX, GRAPH_PAYLOAD_BYTES_MAX, GRAPH_VALUE_BYTES_MAX};
use proptest::prelude::*;
use serde_json::{Value, json};

const ID: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

fn pointers(list: &Value) -> Vec<String> {
    match parse_ops(list, "/ops") {
        Ok(_) => Vec::new(),
        Err(ParseError::InvalidInput { faults, count }) => {
            assert_eq!(faults.len(), count);
            faults.into_iter().map(|fault| fault.pointer).collect()
        }
        Err(other) => panic!("{other}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn one(name: &str, data: Value) -> Value {
    json!([{"op": name, "data": data}])
}

#[test]
fn every_operation_is_read() {
    let list = json!([
        {"op": "AddNode", "data": {"kind": "a", "payload_b64": ""}},
        {"op": "AddEdge", "data": {"from": ID, "to": ID, "kind": "a"}},
        {"op": "AddEdge", "data": {"from": ID, "to": ID, "kind": "a", "payload_b64": "AA=="}},
        {"op": "RemoveNode", "data": {"id": ID}},
        {"op": "RemoveEdge", "data": {"id": ID}},
        {"op": "SetAttachment", "data": {"target": ID, "key": "k", "value": null, "expectedVersion": 0}},
        {"op": "ClearAttachment", "data": {"target": ID, "key": "k"}},
    ]);
    let ops = parse_ops(&list, "/ops").unwrap();
    assert_eq!(ops.iter().map(Op::to_wire).collect::<Value>(), list);
}

#[test]
fn a_fault_is_named_where_it_stands() {
    let node = |kind: Value, payload: Value| one("AddNode", json!({"kind": kind, "payload_b64": payload}));
    let cases = [
        (json!({}), "/ops"),
        (json!([]), "/ops"),
        (json!(["x"]), "/ops/0"),
        (json!([{"op": 5, "data": {}}]), "/ops/0/op"),
        (json!([{"data": {}}]), "/ops/0/op"),
        (json!([{"op": "AddNode"}]), "/ops/0/data"),
        (json!([{"op": "RemoveNode", "data": [1]}]), "/ops/0/data"),
        (
            json!([{"op": "RemoveNode", "data": {"id": ID}, "a/b": 1}]),
            "/ops/0/a~1b",
        ),
        (one("RemoveNode", json!({"id": ID, "x": 1})), "/ops/0/data/x"),
        (one("RemoveNode", json!({})), "/ops/0/data/id"),
        (
            one("RemoveNode", json!({"id": ID.to_uppercase()})),
            "/ops/0/data/id",
        ),
        (one("RemoveEdge", json!({"id": 7})), "/ops/0/data/id"),
        (node(json!("a b"), json!("")), "/ops/0/data/kind"),
        (node(json!(""), json!("")), "/ops/0/data/kind"),
        (node(json!("k".repeat(129)), json!("")), "/ops/0/data/kind"),
        (node(json!("a"), json!("AA")), "/ops/0/data/payload_b64"),
        (node(json!("a"), json!("AB==")), "/ops/0/data/payload_b64"),
        (node(json!("a"), json!("_w==")), "/ops/0/data/payload_b64"),
        (node(json!("a"), json!("AA==\n")), "/ops/0/data/payload_b64"),
        (node(json!("a"), Value::Null), "/ops/0/data/payload_b64"),
        (
            one(
                "AddEdge",
                json!({"from": ID, "to": ID, "kind": "a", "payload_b64": null}),
            ),
            "/ops/0/data/payload_b64",
        ),
        (
            one("ClearAttachment", json!({"target": ID, "key": "a/b"})),
            "/ops/0/data/key",
        ),
        (
            one(
                "ClearAttachment",
                json!({"target": ID, "key": "a", "expectedVersion": -1}),
            ),
            "/ops/0/data/expectedVersion",
        ),
        (
            one(
                "SetAttachment",
                json!({"target": ID, "key": "a", "value": "x".repeat(GRAPH_VALUE_BYTES_MAX)}),
            ),
            "/ops/0/data/value",
        ),
        (
            node(json!("a"), json!("AAAA".repeat(GRAPH_PAYLOAD_BYTES_MAX / 3 + 1))),
            "/ops/0/data/payload_b64",
        ),
        (Value::Array(vec![json!(0); GRAPH_OPS_MAX + 1]), "/ops"),
    ];
    for (list, pointer) in cases {
        assert_eq!(
            pointers(&list),
            [pointer],
            "{}",
            actum_model::json::shorten(&list.to_string())
        );
    }
}

#[test]
fn all_faults_are_found_and_an_unknown_operation_outranks_them() {
    let bad = json!({"op": "AddEdge", "data": {"from": "x", "kind": "", "payload_b64": "?", "more": 1}});
    let found = pointers(&json!([bad]));
    let data = |name: &str| format!("/ops/0/data/{name}");
    assert_eq!(found, ["more", "to", "from", "kind", "payload_b64"].map(data));
    let unknown = parse_ops(&json!([bad, {"op": "Frobnicate", "data": {}}]), "/ops").unwrap_err();
    assert_eq!(unknown.code(), "NOT_IMPLEMENTED");
    assert!(matches!(unknown, ParseError::NotImplemented { op_index: 1, .. }));
    let many = parse_ops(&Value::Array(vec![bad; 20]), "/ops").unwrap_err();
    assert!(
        matches!(many, ParseError::InvalidInput { faults, count: 100 } if faults.len() == FAULTS_LISTED_MAX)
    );
}

#[test]
fn the_registry_hash_changes_only_with_the_registry() {
    assert_eq!(
        registry_hash().to_string(),
        "773c6cdc148a2bfc1e00d817e99b1dfdeae20fd9df335dab25245685544249b5"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("op"),
        Just("data"),
        Just("AddNode"),
        Just("SetAttachment"),
        Just("AddEdge"),
        Just("kind"),
        Just("id"),
        Just("payload_b64"),
        Just("target"),
        Just("key"),
        Just("value"),
        Just("expectedVersion"),
        Just(ID),
        Just("")
    ]
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_is_refused_and_never_panics(value in any_json(), data in any_json()) {
        drop(parse_ops(&value, "/ops"));
        for spec in actum_graph::op::SPECS {
            if let Err(error) = parse_ops(&one(spec.name, data.clone()), "/ops") {
                prop_assert_eq!(error.code(), "INVALID_INPUT");
            }
        }
    }
}

#[test]
fn an_id_with_control_characters_is_shown_escaped() {
    // The bug: an id that was none went into the message as it came, control characters and all, and from there
    // onto terminals and into logs.
    let list = serde_json::json!([{"op": "RemoveNode", "data": {"id": "\u{1b}[31m\n"}}]);
    let Err(error) = parse_ops(&list, "/ops") else {
        unreachable!("an id was made of it")
    };
    let ParseError::InvalidInput { faults, .. } = error else {
        unreachable!("{error}")
    };
    let messages: String = faults.into_iter().map(|fault| fault.message).collect();
    assert!(!messages.chars().any(char::is_control), "{messages:?}");
}
