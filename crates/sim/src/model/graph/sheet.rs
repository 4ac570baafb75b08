//! What a view holds, in plain maps, and what the operations of one rewrite make of it. Written from the
//! documents a second time: it reads the operations as clients sent them.

use actum_graph::{Patch, View, apply_patches};
use actum_model::graph::{AttachmentKey, Edge, EdgeId, KindName, Node, NodeId, Payload, TargetId};
use actum_model::{ErrorCode, Hash, Json};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where an attachment is: what it hangs on, and its key.
pub(crate) type Place = (TargetId, AttachmentKey);

/// A value and its version.
pub(super) type Held = (Json, u64);

/// The entries of a view, and the highest version anything cleared in it had.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sheet {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) edges: BTreeMap<EdgeId, Edge>,
    pub(crate) attachments: BTreeMap<Place, Held>,
    pub(crate) floor: u64,
}

impl Sheet {
    /// The digest of a view that is built from these entries alone, so whatever way led here.
    pub(super) fn digest(&self) -> Hash {
        let mut view = View::default();
        let nodes = self.nodes.values().cloned().map(Patch::Node);
        let edges = self.edges.values().cloned().map(Patch::Edge);
        let attachments =
            self.attachments
                .iter()
                .map(|((target, key), (value, version))| Patch::Attachment {
                    target: *target,
                    key: key.clone(),
                    value: value.clone(),
                    version: *version,
                });
        apply_patches(&mut view, attachments.chain(edges).chain(nodes));
        view.digest()
    }

    pub(super) fn has_target(&self, target: &TargetId) -> bool {
        self.nodes.contains_key(&NodeId(target.0)) || self.edges.contains_key(&EdgeId(target.0))
    }

    /// Whether an edge starts or ends at this node, or an attachment hangs on it.
    pub(super) fn node_in_use(&self, id: &NodeId) -> bool {
        let at = |edge: &Edge| edge.from == *id || edge.to == *id;
        self.edges.values().any(at) || self.carries(&(*id).into())
    }

    /// Whether an attachment hangs on it.
    pub(super) fn carries(&self, target: &TargetId) -> bool {
        self.attachments.keys().any(|(on, _)| on == target)
    }

    /// The entries after these operations, and one result for each; or the code of the first refusal.
    pub(super) fn rewritten(&self, ops: &[Value]) -> Result<(Sheet, Vec<Value>), ErrorCode> {
        let mut sheet = self.clone();
        let results: Result<_, _> = ops.iter().map(|op| sheet.step(op)).collect();
        results.map(|results| (sheet, results))
    }

    fn step(&mut self, op: &Value) -> Result<Value, ErrorCode> {
        let data = op.get("data").unwrap_or(&Value::Null);
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        let read = Read { data };
        match op.get("op").and_then(Value::as_str) {
            Some("AddNode") => {
                let (kind, payload) = (read.kind()?, read.payload()?.unwrap_or_default());
                let node = Node { kind, payload };
                let id = node.id();
                let changed = self.nodes.insert(id, node).is_none();
                Ok(json!({"sort": "node", "id": id.to_string(), "changed": changed}))
            }
            Some("AddEdge") => {
                let (from, to) = (NodeId(read.id("from")?), NodeId(read.id("to")?));
                if !self.nodes.contains_key(&from) || !self.nodes.contains_key(&to) {
                    return Err(ErrorCode::MissingEndpoint);
                }
                let (kind, payload) = (read.kind()?, read.payload()?);
                let edge = Edge {
                    from,
                    to,
                    kind,
                    payload,
                };
                let id = edge.id();
                let changed = self.edges.insert(id, edge).is_none();
                Ok(json!({"sort": "edge", "id": id.to_string(), "changed": changed}))
            }
            Some("RemoveNode") => {
                let id = NodeId(read.id("id")?);
                if self.node_in_use(&id) {
                    return Err(ErrorCode::InUse);
                }
                self.nodes.remove(&id).ok_or(ErrorCode::NotFound)?;
                Ok(json!({"sort": "node", "id": text("id"), "changed": true}))
            }
            Some("RemoveEdge") => {
                let id = EdgeId(read.id("id")?);
                if self.carries(&id.into()) {
                    return Err(ErrorCode::InUse);
                }
                self.edges.remove(&id).ok_or(ErrorCode::NotFound)?;
                Ok(json!({"sort": "edge", "id": text("id"), "changed": true}))
            }
            Some("SetAttachment") => self.set(&read),
            Some("ClearAttachment") => self.clear(&read),
            _ => Err(ErrorCode::NotImplemented),
        }
    }

    fn set(&mut self, read: &Read<'_>) -> Result<Value, ErrorCode> {
        let place = read.place()?;
        if !self.has_target(&place.0) {
            return Err(ErrorCode::MissingEndpoint);
        }
        let now = self.attachments.get(&place).cloned();
        read.expects(now.as_ref())?;
        let value = read.data.get("value").unwrap_or(&Value::Null);
        let value = Json::from_value(value).map_err(|_| ErrorCode::InvalidInput)?;
        let (changed, version) = match &now {
            Some((before, version)) if *before == value => (false, *version),
            Some((_, version)) => (true, version + 1),
            None => (true, self.floor + 1),
        };
        let result = json!({"sort": "attachment", "id": place.0.to_string(), "key": place.1.as_str(),
            "changed": changed, "version": version});
        self.attachments.insert(place, (value, version));
        Ok(result)
    }

    fn clear(&mut self, read: &Read<'_>) -> Result<Value, ErrorCode> {
        let place = read.place()?;
        read.expects(self.attachments.get(&place))?;
        self.take(&place).ok_or(ErrorCode::NotFound)?;
        Ok(json!({"sort": "attachment", "id": place.0.to_string(), "key": place.1.as_str(), "changed": true}))
    }

    /// Takes an attachment out: no later one gets a version it had.
    pub(super) fn take(&mut self, place: &Place) -> Option<Held> {
        let taken = self.attachments.remove(place)?;
        self.floor = self.floor.max(taken.1);
        Some(taken)
    }
}

/// Reads the fields of an operation.
struct Read<'a> {
    data: &'a Value,
}

impl Read<'_> {
    fn text(&self, name: &str) -> Result<&str, ErrorCode> {
        let text = self.data.get(name).and_then(Value::as_str);
        text.ok_or(ErrorCode::InvalidInput)
    }

    fn id(&self, name: &str) -> Result<Hash, ErrorCode> {
        self.text(name)?.parse().map_err(|_| ErrorCode::InvalidInput)
    }

    fn kind(&self) -> Result<KindName, ErrorCode> {
        KindName::parse(self.text("kind")?).map_err(|_| ErrorCode::InvalidInput)
    }

    fn payload(&self) -> Result<Option<Payload>, ErrorCode> {
        if self.data.get("payload_b64").is_none() {
            return Ok(None);
        }
        let payload = Payload::from_base64(self.text("payload_b64")?);
        payload.map(Some).map_err(|_| ErrorCode::InvalidInput)
    }

    fn place(&self) -> Result<Place, ErrorCode> {
        let key = AttachmentKey::parse(self.text("key")?).map_err(|_| ErrorCode::InvalidInput)?;
        Ok((TargetId(self.id("target")?), key))
    }

    /// Whether an attachment has the version the caller knows, if the caller knows one; 0 is none.
    fn expects(&self, now: Option<&Held>) -> Result<(), ErrorCode> {
        let expected = self.data.get("expectedVersion").and_then(Value::as_u64);
        let actual = now.map_or(0, |(_, version)| *version);
        match expected {
            Some(expected) if expected != actual => Err(ErrorCode::VersionMismatch),
            _ => Ok(()),
        }
    }
}
