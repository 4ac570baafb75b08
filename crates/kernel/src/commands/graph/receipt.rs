//! Receipts: what a change of the graph says it did, under which rules.

use crate::state::{SnapshotId, State};
use actum_graph::op::OpResult;
use actum_graph::{Conflicts, EntryKey};
use actum_model::{Hash, Json};
use serde_json::{Map, Value, json};

/// A receipt with the pins that every one has.
pub(super) fn pinned(state: &State, mut members: Value) -> Option<Json> {
    if let Value::Object(members) = &mut members {
        members.insert("policyId".into(), state.policy().into());
        members.insert("rulePackId".into(), state.rule_pack().to_string().into());
    }
    Json::from_value(&members).ok()
}

/// A version of a view as receipts name it.
pub(super) fn version(n: u64, digest: &Hash) -> Value {
    json!({"snapshotId": SnapshotId::new(n, digest).to_string(), "digest": digest.to_string()})
}

/// What one operation did.
pub(super) fn result(result: &OpResult) -> Value {
    let mut members = entry(&result.key);
    members.insert("changed".into(), result.changed.into());
    if let Some(version) = result.version {
        members.insert("version".into(), version.into());
    }
    Value::Object(members)
}

/// The conflicts of a merge: `{conflictCount, conflicts: [{sort, id, key?, code}]}`.
pub(super) fn conflicts(conflicts: &Conflicts) -> Value {
    let listed: Vec<Value> = conflicts
        .listed
        .iter()
        .map(|conflict| {
            let mut members = entry(&conflict.key);
            members.insert("code".into(), json!(conflict.code));
            Value::Object(members)
        })
        .collect();
    json!({"conflictCount": conflicts.count, "conflicts": listed})
}

/// How many conflicts there are, in words.
pub(super) fn counted(conflicts: &Conflicts) -> String {
    match conflicts.count {
        1 => "one conflict".to_owned(),
        count => format!("{count} conflicts"),
    }
}

/// An entry of a view: `{sort, id, key?}`; the id of an attachment is that of what it hangs on.
fn entry(key: &EntryKey) -> Map<String, Value> {
    let (sort, id, key) = match key {
        EntryKey::Node(id) => ("node", id.to_string(), None),
        EntryKey::Edge(id) => ("edge", id.to_string(), None),
        EntryKey::Attachment(target, key) => ("attachment", target.to_string(), Some(key)),
    };
    let mut members = Map::new();
    members.insert("sort".into(), sort.into());
    members.insert("id".into(), id.into());
    if let Some(key) = key {
        members.insert("key".into(), key.as_str().into());
    }
    members
}
