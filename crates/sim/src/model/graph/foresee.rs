//! What a command about the graph must come to: its outcome, what it changes, and its receipt.

use super::super::Model;
use super::super::finish::End;
use super::merge::merge;
use super::sheet::Sheet;
use super::{Line, Sws};
use actum_kernel::state::SnapshotId;
use actum_model::graph::SwsState;
use actum_model::{ErrorCode, Hash, Json, Outcome};
use serde_json::{Map, Value, json};

/// What the command that is being carried out must come to.
#[derive(Clone, Debug)]
pub(crate) struct Foreseen {
    pub(crate) seq: u64,
    pub(crate) end: End,
    pub(super) sws: u64,
    /// Digest of the view it changes, afterwards.
    pub(super) digest: Hash,
    /// What must still be seen of it.
    pub(super) change: Option<Change>,
    /// Its receipt, but for the pins that every receipt has.
    data: Option<Value>,
}

/// What it changes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create,
    /// The entries afterwards, and how many operations led there.
    Rewrite(Sheet, usize),
    Collapse(Sheet),
    /// So many conflicts are on the record.
    Conflict(u64),
    Discard,
    Rebase(Sheet),
}

fn version(n: u64, digest: &Hash) -> Value {
    json!({"snapshotId": SnapshotId::new(n, digest).to_string(), "digest": digest.to_string()})
}

fn current(line: &Line) -> Value {
    version(line.n, &line.digest)
}

/// The version a line has with this digest.
fn after(line: &Line, digest: &Hash) -> Value {
    version(line.n + u64::from(line.digest != *digest), digest)
}

type Plan = Result<(u64, Hash, Change, Value), ErrorCode>;

impl Model {
    /// Why a rewrite is refused before anything is accepted.
    pub(crate) fn misshapen(payload: &Value) -> Option<ErrorCode> {
        let view = payload.get("view").and_then(Value::as_str).unwrap_or_default();
        if view == "system" {
            return Some(ErrorCode::SystemReadOnly);
        }
        if number(view.strip_prefix("sws:").unwrap_or_default()).is_none() {
            return Some(ErrorCode::InvalidInput);
        }
        let known = [
            "AddEdge",
            "AddNode",
            "ClearAttachment",
            "RemoveEdge",
            "RemoveNode",
            "SetAttachment",
        ];
        let ops = payload.get("ops").and_then(Value::as_array);
        let Some(ops) = ops.filter(|ops| !ops.is_empty() && ops.len() <= 256) else {
            return Some(ErrorCode::InvalidInput);
        };
        let name = |op: &Value| op.get("op").and_then(Value::as_str).map(ToOwned::to_owned);
        let unknown = ops
            .iter()
            .filter_map(name)
            .any(|name| !known.contains(&name.as_str()));
        unknown.then_some(ErrorCode::NotImplemented)
    }

    /// What a command about the graph must come to if it is carried out now.
    pub(crate) fn graph_foreseen(&self, seq: u64, kind: &str, payload: &Json) -> Option<Foreseen> {
        let arguments = payload.to_value();
        let plan = match kind {
            "graph.rewrite" => self.rewrites(&arguments),
            "sws.create" => self.creates(),
            "sws.collapse" => self.collapses(&arguments),
            "sws.rebase" => self.rebases(&arguments),
            "sws.discard" => self.discards(&arguments),
            _ => return None,
        };
        let (end, sws, digest, change, data) = match plan {
            Ok((sws, digest, change, data)) => {
                let end = match change {
                    Change::Conflict(_) => (Outcome::Failed, Some(ErrorCode::CollapseConflict)),
                    _ => (Outcome::Succeeded, None),
                };
                (end, sws, digest, Some(change), Some(data))
            }
            Err(code) => ((Outcome::Failed, Some(code)), 0, Hash::ZERO, None, None),
        };
        Some(Foreseen {
            seq,
            end,
            sws,
            digest,
            change,
            data,
        })
    }

    fn active_sws(&self, id: u64) -> Result<&Sws, ErrorCode> {
        let sws = self.graph.sws.get(&id).ok_or(ErrorCode::NotFound)?;
        match sws.state {
            SwsState::Active => Ok(sws),
            _ => Err(ErrorCode::SwsNotActive),
        }
    }

    fn rewrites(&self, arguments: &Value) -> Plan {
        let view = arguments.get("view").and_then(Value::as_str).unwrap_or_default();
        let id = number(view.strip_prefix("sws:").unwrap_or_default()).ok_or(ErrorCode::InvalidInput)?;
        let line = &self.active_sws(id)?.line;
        let ops = arguments.get("ops").and_then(Value::as_array);
        let ops = ops.ok_or(ErrorCode::InvalidInput)?;
        let (sheet, results) = line.sheet.rewritten(ops)?;
        let digest = sheet.digest();
        let mut data = json!({"rewriteIdx": self.graph.next_rewrite, "view": view, "viewIdx": line.entries,
            "viewDigest": digest.to_string(), "results": results});
        if let (Some(members), Some(id)) = (data.as_object_mut(), after(line, &digest).get("snapshotId")) {
            members.insert("snapshotId".to_owned(), id.clone());
        }
        Ok((id, digest, Change::Rewrite(sheet, ops.len()), data))
    }

    fn creates(&self) -> Plan {
        if self.graph.active().count() as u64 >= self.config.sws_active_max {
            return Err(ErrorCode::LimitExceeded);
        }
        let (id, system) = (self.graph.next_sws, &self.graph.system);
        let data = json!({"swsId": id.to_string(), "base": current(system)});
        Ok((id, system.digest, Change::Create, data))
    }

    fn collapses(&self, arguments: &Value) -> Plan {
        let id = named(arguments)?;
        if arguments.get("policyId").is_some_and(|policy| policy != 1) {
            return Err(ErrorCode::InvalidInput);
        }
        let (sws, system) = (self.active_sws(id)?, &self.graph.system);
        let mut data = json!({"swsId": id.to_string(), "rewriteIdx": self.graph.next_rewrite,
            "base": version(sws.base_n, &sws.base_digest), "before": current(system)});
        let mut say = |more: Value| {
            if let (Some(members), Value::Object(more)) = (data.as_object_mut(), more) {
                members.extend(more);
            }
        };
        match merge(&sws.base, &system.sheet, &sws.line.sheet) {
            Ok((sheet, counts)) => {
                let digest = sheet.digest();
                say(json!({"committed": true, "after": after(system, &digest), "counts": counts}));
                Ok((id, digest, Change::Collapse(sheet), data))
            }
            Err(conflicts) => {
                let count = conflicts.len() as u64;
                say(json!({"committed": false, "conflictCount": count, "conflicts": conflicts}));
                Ok((id, system.digest, Change::Conflict(count), data))
            }
        }
    }

    fn rebases(&self, arguments: &Value) -> Plan {
        let id = named(arguments)?;
        let (sws, system) = (self.active_sws(id)?, &self.graph.system);
        let merged = merge(&sws.base, &system.sheet, &sws.line.sheet);
        let (sheet, _) = merged.map_err(|_| ErrorCode::CollapseConflict)?;
        let digest = sheet.digest();
        let data = json!({"swsId": id.to_string(), "rewriteIdx": self.graph.next_rewrite,
            "from": version(sws.base_n, &sws.base_digest), "base": current(system),
            "view": after(&sws.line, &digest)});
        Ok((id, digest, Change::Rebase(sheet), data))
    }

    fn discards(&self, arguments: &Value) -> Plan {
        let id = named(arguments)?;
        let line = &self.active_sws(id)?.line;
        let data = json!({"swsId": id.to_string(), "rewriteIdx": self.graph.next_rewrite,
            "last": current(line)});
        Ok((id, line.digest, Change::Discard, data))
    }
}

impl Foreseen {
    /// Whether everything it had to change was changed, and this is its receipt.
    pub(crate) fn fits(&self, data: Option<&Json>) -> bool {
        let Some(expected) = &self.data else {
            return data.is_none();
        };
        let Some(Value::Object(mut members)) = data.map(Json::to_value) else {
            return false;
        };
        let pinned = pins(&mut members);
        self.change.is_none() && pinned && *expected == Value::Object(members)
    }
}

impl Foreseen {
    /// What came of it, in names of events and codes.
    pub(crate) fn told(&self, kind: &str) -> Vec<String> {
        let conflicts = self.data.as_ref().and_then(|data| data.get("conflicts"));
        let conflicts = conflicts.and_then(Value::as_array).into_iter().flatten();
        let codes = conflicts.filter_map(|conflict| conflict.get("code").and_then(Value::as_str));
        let end = match self.end.1 {
            Some(code) => code.as_str(),
            None => self.end.0.as_str(),
        };
        let conflicts = codes.map(|code| format!("conflict {code}"));
        conflicts.chain([format!("{kind} {end}")]).collect()
    }
}

/// Takes the pins out: the policy, and the hash of contracts, operations and kinds.
fn pins(members: &mut Map<String, Value>) -> bool {
    let policy = members.remove("policyId").is_some_and(|policy| policy == 1);
    let pack = members.remove("rulePackId");
    let pack = pack.as_ref().and_then(Value::as_str);
    policy && pack.is_some_and(|text| text.len() == 64)
}

fn named(arguments: &Value) -> Result<u64, ErrorCode> {
    let text = arguments.get("swsId").and_then(Value::as_str).unwrap_or_default();
    number(text).ok_or(ErrorCode::InvalidInput)
}

/// A number as it is written, in one way only.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
