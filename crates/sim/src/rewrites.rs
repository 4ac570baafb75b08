//! What clients ask of the graph, at random: mostly what fits the view as the model has it, so that much comes of
//! it, and now and then what does not. Few different nodes, keys and values, so that views meet.

use crate::model::{Model, Sheet};
use crate::prng::Prng;
use actum_model::graph::{KindName, Node, NodeId, Payload};
use serde_json::{Value, json};

/// More operations in one rewrite come together by chance only.
const OPS_MAX: u64 = 5;
const NODES: u64 = 6;

/// A kind and its arguments.
pub(crate) fn request(rng: &mut Prng, model: &Model) -> (&'static str, Value) {
    let active: Vec<u64> = model.graph.active().map(|(id, _)| id).collect();
    let known: Vec<u64> = model.graph.sws.keys().copied().collect();
    let from = if rng.chance(100) { &known } else { &active };
    let id = rng.pick(from).copied().unwrap_or_else(|| rng.below(9));
    match rng.below(100) {
        0..=9 => ("sws.create", json!({"meta": {"why": rng.below(3)}})),
        10..=13 => ("sws.create", json!({})),
        14..=25 => ("sws.collapse", collapse(rng, id)),
        26..=31 => ("sws.rebase", json!({"swsId": id.to_string()})),
        32..=34 => (
            "sws.discard",
            json!({"swsId": id.to_string(), "reason": "not wanted"}),
        ),
        35 => ("sws.rebase", json!({"swsId": "01"})),
        36..=37 => ("graph.rewrite", misshapen(rng)),
        _ => ("graph.rewrite", rewrite(rng, model, id)),
    }
}

fn collapse(rng: &mut Prng, id: u64) -> Value {
    let policy = if rng.chance(50) { 7 } else { 1 };
    if rng.chance(300) {
        return json!({"swsId": id.to_string(), "policyId": policy});
    }
    json!({"swsId": id.to_string()})
}

fn misshapen(rng: &mut Prng) -> Value {
    let add = json!({"op": "AddNode", "data": {"kind": "k", "payload_b64": ""}});
    match rng.below(4) {
        0 => json!({"view": "system", "ops": [add]}),
        1 => json!({"view": "sws:0", "ops": [add, {"op": "Explode", "data": {}}]}),
        2 => json!({"view": "sws:0", "ops": []}),
        _ => json!({"view": "nowhere", "ops": [add]}),
    }
}

fn rewrite(rng: &mut Prng, model: &Model, id: u64) -> Value {
    let none = Sheet::default();
    let line = model.graph.sws.get(&id).map(|sws| &sws.line);
    let sheet = line.map_or(&none, |line| &*line.sheet);
    let count = 1 + rng.below(OPS_MAX).min(rng.below(OPS_MAX));
    let ops: Vec<Value> = (0..count).map(|_| operation(rng, sheet)).collect();
    json!({"view": format!("sws:{id}"), "ops": ops})
}

fn operation(rng: &mut Prng, sheet: &Sheet) -> Value {
    // What needs something to be there comes to little in an empty view; one in twenty tries all the same.
    let bare = sheet.nodes.is_empty() && !rng.chance(50);
    match if bare { 0 } else { rng.below(100) } {
        0..=24 => {
            let node = node(rng);
            json!({"op": "AddNode",
                "data": {"kind": node.kind.as_str(), "payload_b64": node.payload.to_base64()}})
        }
        25..=42 => {
            let (from, to) = (a_node(rng, sheet), a_node(rng, sheet));
            let mut data = json!({"from": from, "to": to, "kind": "next"});
            if rng.chance(300)
                && let Some(members) = data.as_object_mut()
            {
                members.insert("payload_b64".to_owned(), "AQ==".into());
            }
            json!({"op": "AddEdge", "data": data})
        }
        43..=50 => json!({"op": "RemoveNode", "data": {"id": a_node(rng, sheet)}}),
        51..=55 => json!({"op": "RemoveEdge", "data": {"id": an_edge(rng, sheet)}}),
        56..=82 => attachment(rng, sheet, true),
        _ => attachment(rng, sheet, false),
    }
}

fn node(rng: &mut Prng) -> Node {
    let number = rng.below(NODES);
    let name = if number.is_multiple_of(2) { "even" } else { "odd" };
    let Ok(kind) = KindName::parse(name) else {
        unreachable!("`{name}` is a kind")
    };
    let payload = Payload::from(number.to_be_bytes().as_slice());
    Node { kind, payload }
}

/// The next step where several shadow working sets work on the same things at the same time.
pub(crate) fn meeting(rng: &mut Prng, model: &Model) -> Value {
    let active: Vec<u64> = model.graph.active().map(|(id, _)| id).collect();
    let kind = |kind: &str, payload: Value| json!({"type": kind, "payload": payload});
    let Some(id) = rng
        .pick(&active)
        .copied()
        .filter(|_| active.len() > 2 || rng.chance(500))
    else {
        return kind("sws.create", json!({}));
    };
    match rng.below(100) {
        0..=14 => kind("sws.collapse", json!({"swsId": id.to_string()})),
        15..=20 => kind("sws.rebase", json!({"swsId": id.to_string()})),
        _ => kind("graph.rewrite", rewrite(rng, model, id)),
    }
}

/// A node of the view, or sometimes one that may not be there.
fn a_node(rng: &mut Prng, sheet: &Sheet) -> String {
    let there: Vec<NodeId> = sheet.nodes.keys().copied().collect();
    let found = rng.pick(&there).copied().filter(|_| !rng.chance(30));
    found.unwrap_or_else(|| node(rng).id()).to_string()
}

fn an_edge(rng: &mut Prng, sheet: &Sheet) -> String {
    let there: Vec<String> = sheet.edges.keys().map(ToString::to_string).collect();
    rng.pick(&there).cloned().unwrap_or_else(|| a_node(rng, sheet))
}

/// Sets or clears an attachment, with the right version, a wrong one, or none.
fn attachment(rng: &mut Prng, sheet: &Sheet, sets: bool) -> Value {
    let there: Vec<_> = sheet.attachments.iter().collect();
    let known = rng.pick(&there).copied().filter(|_| !sets || rng.chance(400));
    let (target, key, version) = match known {
        Some(((target, key), (_, version))) => (target.to_string(), key.as_str().to_owned(), *version),
        None if rng.chance(250) => (an_edge(rng, sheet), "status".to_owned(), 0),
        None => (a_node(rng, sheet), format!("key{}", rng.below(2)), 0),
    };
    let mut data = json!({"target": target, "key": key});
    if let Some(members) = data.as_object_mut() {
        if sets {
            members.insert("value".to_owned(), json!({"is": rng.below(3)}));
        }
        if rng.chance(300) {
            let off = u64::from(rng.chance(200));
            members.insert("expectedVersion".to_owned(), (version + off).into());
        }
    }
    let op = if sets { "SetAttachment" } else { "ClearAttachment" };
    json!({"op": op, "data": data})
}
