//! Receipts: what a change of the graph did, under which rules. They are the results of commands, read.

use super::rewrite::event_kind;
use crate::core::Published;
use crate::graphql::inputs::{EntrySort, EventKind, ViewKind, split};
use crate::graphql::scalars::{AnyJson, HexHash, Timestamp, U32, U64};
use actum_kernel::{Known, State, read};
use actum_model::graph::{RewriteKind, ViewName};
use actum_model::ids::Tenant;
use actum_model::response::fault_json;
use actum_model::{Hash, OutcomeRow};
use async_graphql::{ID, Object, SimpleObject};
use serde_json::Value;
use std::sync::Arc;

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

fn hash(value: &Value, name: &str) -> HexHash {
    let read = value
        .get(name)
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    HexHash(read.unwrap_or(Hash::ZERO))
}

fn sort(value: &Value) -> EntrySort {
    match value.get("sort").and_then(Value::as_str) {
        Some("edge") => EntrySort::Edge,
        Some("attachment") => EntrySort::Attachment,
        _ => EntrySort::Node,
    }
}

fn list<T>(value: &Value, name: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    let items = value.get(name).and_then(Value::as_array);
    items
        .map(|items| items.iter().map(read).collect())
        .unwrap_or_default()
}

/// A version of a view.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct SnapshotRef {
    /// Its name.
    pub(crate) snapshot_id: ID,
    /// Its digest.
    pub(crate) digest: HexHash,
}

impl SnapshotRef {
    fn of(receipt: &Value, name: &str) -> Option<SnapshotRef> {
        let value = receipt.get(name)?;
        Some(SnapshotRef {
            snapshot_id: ID(text(value, "snapshotId")?),
            digest: hash(value, "digest"),
        })
    }
}

/// How many entries were added, removed and changed.
#[derive(SimpleObject, Clone, Copy, Debug)]
pub(crate) struct ChangeCounts {
    /// New ones.
    added: U64,
    /// Ones that are gone.
    removed: U64,
    /// Ones with another value.
    changed: U64,
}

/// How much a collapse changed in System.
#[derive(SimpleObject, Clone, Copy, Debug)]
pub(crate) struct CollapseCounts {
    /// Nodes.
    nodes: ChangeCounts,
    /// Edges.
    edges: ChangeCounts,
    /// Attachments.
    attachments: ChangeCounts,
}

/// Something that kept a shadow working set from becoming part of System.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct Conflict {
    /// `CONTENT_CONFLICT`, `MISSING_ENDPOINT` or `DELETED_IN_SYSTEM`.
    code: String,
    /// The sort of entry.
    sort: EntrySort,
    /// The node or edge; of an attachment, what it hangs on.
    id: HexHash,
    /// Key of the attachment.
    key: Option<String>,
}

/// What one operation did.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct OpResult {
    /// The sort of entry.
    sort: EntrySort,
    /// The node or edge; of an attachment, what it hangs on.
    id: HexHash,
    /// Key of the attachment.
    key: Option<String>,
    /// False where everything was as the operation wants it already.
    changed: bool,
    /// Version of the attachment afterwards.
    version: Option<U64>,
}

/// An event that a change left in the history.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct EventRef {
    /// `rewrite:` and its place in the rewrite log, or `sws:` and the number of what began.
    id: ID,
    /// What it did.
    kind: EventKind,
    /// Its place in the rewrite log; null where it takes none.
    idx: Option<U64>,
}

/// See the object below.
#[derive(Clone, Debug)]
pub(crate) struct ReceiptV0(Value);

/// The receipt of a rewrite.
#[Object]
impl ReceiptV0 {
    /// Its place in the rewrite log of the realm.
    async fn rewrite_idx(&self) -> U64 {
        U64(number(&self.0, "rewriteIdx").unwrap_or(0))
    }

    /// The sort of view that was written to.
    async fn view(&self) -> ViewKind {
        split(self.name()).0
    }

    /// Number of the shadow working set.
    async fn sws_id(&self) -> Option<ID> {
        split(self.name()).1
    }

    /// Digest of the view afterwards.
    async fn view_digest(&self) -> HexHash {
        hash(&self.0, "viewDigest")
    }

    /// Its place among the entries of this view, gap-free from 0.
    async fn view_idx(&self) -> U64 {
        U64(number(&self.0, "viewIdx").unwrap_or(0))
    }

    /// The version of the view afterwards.
    async fn snapshot_id(&self) -> ID {
        ID(text(&self.0, "snapshotId").unwrap_or_default())
    }

    /// Number of the policy in force.
    async fn policy_id(&self) -> U32 {
        policy(&self.0)
    }

    /// Hash over all that decides what an operation means.
    async fn rule_pack_id(&self) -> HexHash {
        hash(&self.0, "rulePackId")
    }

    /// What each operation did, in their order.
    async fn results(&self) -> Vec<OpResult> {
        list(&self.0, "results", |value| OpResult {
            sort: sort(value),
            id: hash(value, "id"),
            key: text(value, "key"),
            changed: value.get("changed").and_then(Value::as_bool).unwrap_or(false),
            version: number(value, "version").map(U64),
        })
    }
}

impl ReceiptV0 {
    pub(crate) fn new(receipt: Value) -> ReceiptV0 {
        ReceiptV0(receipt)
    }

    fn name(&self) -> ViewName {
        let name = text(&self.0, "view").and_then(|name| name.parse().ok());
        name.unwrap_or(ViewName::System)
    }
}

fn policy(receipt: &Value) -> U32 {
    let policy = number(receipt, "policyId").and_then(|id| u32::try_from(id).ok());
    U32(policy.unwrap_or(0))
}

/// See the object below.
#[derive(Clone, Debug)]
pub(crate) struct TickReceipt {
    command: String,
    receipt: Value,
    tick: Option<u64>,
}

impl TickReceipt {
    /// The receipt of a command of this kind, which a timer submitted in this tick, if one did.
    pub(crate) fn new(command: &str, receipt: Value, tick: Option<u64>) -> TickReceipt {
        TickReceipt {
            command: command.to_owned(),
            receipt,
            tick,
        }
    }

    fn kind(&self) -> Option<EventKind> {
        let committed = self.receipt.get("committed").and_then(Value::as_bool);
        let kind = match (self.command.as_str(), committed) {
            ("graph.rewrite", _) => RewriteKind::Rewrite,
            ("sws.collapse", Some(true)) => RewriteKind::Collapse,
            ("sws.collapse", _) => RewriteKind::Conflict,
            ("sws.discard", _) => RewriteKind::Discard,
            ("sws.rebase", _) => RewriteKind::Rebase,
            ("sws.create", _) => return Some(EventKind::SwsCreated),
            _ => return None,
        };
        Some(event_kind(kind))
    }
}

/// What a change of the graph did, under which rules.
#[Object]
impl TickReceipt {
    /// The tick whose timer submitted the command; null for what a caller asked for itself, and once the tick is no
    /// longer among those that are kept.
    async fn tick_id(&self) -> Option<U64> {
        self.tick.map(U64)
    }

    /// Hash over all that decides what an operation means.
    async fn rule_pack_id(&self) -> HexHash {
        hash(&self.receipt, "rulePackId")
    }

    /// Number of the policy it was decided under.
    async fn policy_id(&self) -> U32 {
        policy(&self.receipt)
    }

    /// The events it left in the history.
    async fn events(&self) -> Vec<EventRef> {
        let idx = number(&self.receipt, "rewriteIdx");
        let id = match idx {
            Some(idx) => format!("rewrite:{idx}"),
            None => format!("sws:{}", text(&self.receipt, "swsId").unwrap_or_default()),
        };
        let event = self.kind().map(|kind| EventRef {
            id: ID(id),
            kind,
            idx: idx.map(U64),
        });
        event.into_iter().collect()
    }

    /// Its place in the rewrite log of the realm; null for the creation of a shadow working set.
    async fn rewrite_idx(&self) -> Option<U64> {
        number(&self.receipt, "rewriteIdx").map(U64)
    }

    /// The version of System that the shadow working set rests on.
    async fn base(&self) -> Option<SnapshotRef> {
        SnapshotRef::of(&self.receipt, "base")
    }

    /// System before a collapse.
    async fn before(&self) -> Option<SnapshotRef> {
        SnapshotRef::of(&self.receipt, "before")
    }

    /// System after a collapse that was committed.
    async fn after(&self) -> Option<SnapshotRef> {
        SnapshotRef::of(&self.receipt, "after")
    }

    /// How much a collapse changed in System.
    async fn counts(&self) -> Option<CollapseCounts> {
        let counts = self.receipt.get("counts")?;
        let of = |name: &str| {
            let part = counts.get(name).unwrap_or(&Value::Null);
            let count = |name: &str| U64(number(part, name).unwrap_or(0));
            ChangeCounts {
                added: count("added"),
                removed: count("removed"),
                changed: count("changed"),
            }
        };
        Some(CollapseCounts {
            nodes: of("nodes"),
            edges: of("edges"),
            attachments: of("attachments"),
        })
    }

    /// How many conflicts were in the way.
    async fn conflict_count(&self) -> U64 {
        U64(number(&self.receipt, "conflictCount").unwrap_or(0))
    }

    /// What was in the way, sorted; at most 256 of them.
    async fn conflicts(&self) -> Vec<Conflict> {
        list(&self.receipt, "conflicts", |value| Conflict {
            code: text(value, "code").unwrap_or_default(),
            sort: sort(value),
            id: hash(value, "id"),
            key: text(value, "key"),
        })
    }
}

/// See the object below.
#[derive(Clone)]
pub(crate) struct Receipt {
    row: Arc<OutcomeRow>,
    tick: Option<u64>,
}

impl Receipt {
    /// The receipt of a command of this tenant that changed the graph, while its outcome is kept.
    pub(crate) fn of_command(published: &Published, tenant: &Tenant, seq: u64) -> Option<Receipt> {
        Receipt::of_known(&published.state, published.state.known(seq)?, tenant)
    }

    /// The same for what is known of a command.
    pub(crate) fn of_known(state: &State, known: Known, tenant: &Tenant) -> Option<Receipt> {
        let Known::Finished(row) = known else {
            return None;
        };
        let kind = row.identity.kind.as_str();
        let of_graph = kind == "graph.rewrite" || kind.starts_with("sws.");
        let tick = read::tick_of(state, &row);
        (of_graph && row.identity.tenant == *tenant).then_some(Receipt { row, tick })
    }

    fn result(&self) -> Value {
        self.row
            .data
            .as_ref()
            .map(actum_model::Json::to_value)
            .unwrap_or_default()
    }
}

/// The outcome of a command that changed the graph, or failed to.
#[Object]
impl Receipt {
    /// The command.
    async fn command_id(&self) -> ID {
        ID(self.row.identity.public_id().to_string())
    }

    /// Its kind, such as `graph.rewrite`.
    async fn command(&self) -> &str {
        self.row.identity.kind.as_str()
    }

    /// `succeeded`, `failed`, `rejected`, `timed_out` or `cancelled`.
    async fn outcome(&self) -> &str {
        self.row.outcome.as_str()
    }

    /// Journal position of the outcome.
    async fn record_idx(&self) -> U64 {
        U64(self.row.finished_idx)
    }

    /// History time of the outcome.
    async fn at(&self) -> Timestamp {
        Timestamp(self.row.finished_at)
    }

    /// The result as the command gave it; null where it has none.
    async fn data(&self) -> Option<AnyJson> {
        self.row.data.as_ref().map(AnyJson::from)
    }

    /// The error, with `code`, `message`, `hint` and `details`; null where it succeeded.
    async fn error(&self) -> Option<AnyJson> {
        self.row.fault.as_ref().map(|fault| AnyJson(fault_json(fault)))
    }

    /// The receipt of a rewrite; null for anything else.
    async fn receipt(&self) -> Option<ReceiptV0> {
        let rewrite = self.row.identity.kind.as_str() == "graph.rewrite" && self.row.data.is_some();
        rewrite.then(|| ReceiptV0::new(self.result()))
    }

    /// What it did, under which rules; null where it did nothing that is on the record.
    async fn tick_receipt(&self) -> Option<TickReceipt> {
        let done = self.row.data.is_some();
        done.then(|| TickReceipt::new(self.row.identity.kind.as_str(), self.result(), self.tick))
    }
}
