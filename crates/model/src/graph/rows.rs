//! What journal and snapshots say of views: events, the rewrite log, and the pieces views are restored from.

use super::op::Op;
use super::patch::Patch;
use crate::hash::Hash;
use crate::ids::{Principal, Tenant};
use crate::json::Json;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Which view: the truth, or a shadow working set. `system` or `sws:<number>` as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ViewName {
    /// The truth; only a collapse changes it.
    System,
    /// The shadow working set of this number.
    Sws(u64),
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewName::System => f.write_str("system"),
            ViewName::Sws(id) => write!(f, "sws:{id}"),
        }
    }
}

/// A text that names no view.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected `system` or `sws:<number>`, got `{0}`")]
pub struct BadView(pub String);

impl FromStr for ViewName {
    type Err = BadView;

    fn from_str(text: &str) -> Result<ViewName, BadView> {
        if text == "system" {
            return Ok(ViewName::System);
        }
        let id = text.strip_prefix("sws:").and_then(|id| id.parse().ok());
        id.map(ViewName::Sws)
            .filter(|view| view.to_string() == text)
            .ok_or_else(|| BadView(crate::json::shorten(text)))
    }
}

impl Serialize for ViewName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ViewName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<ViewName, D::Error> {
        let text = smol_str::SmolStr::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A fact about the graph. `seq` is the command that made it, `idx` its place in the rewrite log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GraphEvent {
    /// A shadow working set forked System as it is.
    SwsCreated {
        /// The command.
        seq: u64,
        /// Its number.
        sws: u64,
        /// The tenant it belongs to.
        tenant: Tenant,
        /// Who made it.
        by: Principal,
        /// What its maker says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Json>,
    },
    /// Operations were carried out on a shadow working set.
    Rewritten {
        /// The command.
        seq: u64,
        /// Place in the rewrite log.
        idx: u64,
        /// The shadow working set.
        sws: u64,
        /// Digest of its view afterwards.
        digest: Hash,
        /// The operations, all of them.
        ops: Vec<Op>,
        /// What the writer says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Json>,
    },
    /// A shadow working set became part of System: the three-way merge of its base, System and itself.
    Collapsed {
        /// The command.
        seq: u64,
        /// Place in the rewrite log.
        idx: u64,
        /// The shadow working set.
        sws: u64,
        /// The policy that allowed it.
        policy: u32,
        /// Digest of System afterwards.
        digest: Hash,
        /// What the caller says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Json>,
    },
    /// A shadow working set could not become part of System, and stays as it is.
    Conflicted {
        /// The command.
        seq: u64,
        /// Place in the rewrite log.
        idx: u64,
        /// The shadow working set.
        sws: u64,
        /// The policy that refused it.
        policy: u32,
        /// How many conflicts there are.
        conflicts: u64,
        /// What the caller says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Json>,
    },
    /// A shadow working set was given up.
    Discarded {
        /// The command.
        seq: u64,
        /// Place in the rewrite log.
        idx: u64,
        /// The shadow working set.
        sws: u64,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What the caller says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Json>,
    },
    /// A shadow working set was moved onto System as it is.
    Rebased {
        /// The command.
        seq: u64,
        /// Place in the rewrite log.
        idx: u64,
        /// The shadow working set.
        sws: u64,
        /// Digest of its view afterwards.
        digest: Hash,
        /// What the caller says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meta: Option<Json>,
    },
}

impl GraphEvent {
    /// The event's name as people read it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            GraphEvent::SwsCreated { .. } => "sws_created",
            GraphEvent::Rewritten { .. } => "graph_rewritten",
            GraphEvent::Collapsed { .. } => "sws_collapsed",
            GraphEvent::Conflicted { .. } => "sws_conflicted",
            GraphEvent::Discarded { .. } => "sws_discarded",
            GraphEvent::Rebased { .. } => "sws_rebased",
        }
    }

    /// Bytes of operations in it. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        match self {
            GraphEvent::Rewritten { ops, .. } => ops.iter().map(Op::weight_bytes).sum(),
            _ => 0,
        }
    }

    /// The shadow working set it is about.
    #[must_use]
    pub fn sws(&self) -> u64 {
        match self {
            GraphEvent::SwsCreated { sws, .. }
            | GraphEvent::Rewritten { sws, .. }
            | GraphEvent::Collapsed { sws, .. }
            | GraphEvent::Conflicted { sws, .. }
            | GraphEvent::Discarded { sws, .. }
            | GraphEvent::Rebased { sws, .. } => *sws,
        }
    }
}

/// What an entry of the rewrite log did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewriteKind {
    /// Operations on a shadow working set.
    Rewrite,
    /// A shadow working set became part of System.
    Collapse,
    /// One could not.
    Conflict,
    /// One was given up.
    Discard,
    /// One was moved onto System.
    Rebase,
}

impl RewriteKind {
    /// The kind as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RewriteKind::Rewrite => "rewrite",
            RewriteKind::Collapse => "collapse",
            RewriteKind::Conflict => "conflict",
            RewriteKind::Discard => "discard",
            RewriteKind::Rebase => "rebase",
        }
    }
}

/// An entry of the realm's rewrite log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteRow {
    /// Place in the log, gap-free from 0.
    pub idx: u64,
    /// Journal position.
    pub record: u64,
    /// History time, milliseconds.
    pub at: u64,
    /// The command that made it.
    pub seq: u64,
    /// What it did.
    pub kind: RewriteKind,
    /// The shadow working set.
    pub sws: u64,
    /// Place among the entries of that shadow working set, gap-free from 0.
    pub sws_idx: u64,
    /// Place among the entries of System, where it changed System.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_idx: Option<u64>,
    /// Digest of the view it changed (System for a collapse), afterwards.
    pub digest: Hash,
    /// The operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Op>,
    /// What the caller says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Json>,
    /// Why it was discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RewriteRow {
    /// Rough size of the row in state, in bytes. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let ops: usize = self.ops.iter().map(Op::weight_bytes).sum();
        let meta = self.meta.as_ref().map_or(0, |meta| meta.as_str().len());
        (192 + ops + meta) as u64
    }
}

/// Where a shadow working set stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SwsState {
    /// It may be written to.
    Active,
    /// It became part of System.
    Collapsed,
    /// It was given up.
    Discarded,
}

impl SwsState {
    /// The state as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SwsState::Active => "ACTIVE",
            SwsState::Collapsed => "COLLAPSED",
            SwsState::Discarded => "DISCARDED",
        }
    }
}

/// A shadow working set without its views.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwsRow {
    /// Its number, gap-free from 0.
    pub id: u64,
    /// The tenant it belongs to.
    pub tenant: Tenant,
    /// Who made it.
    pub by: Principal,
    /// The command that made it.
    pub seq: u64,
    /// Journal position of its creation.
    pub created_idx: u64,
    /// History time of its creation, milliseconds.
    pub created_at: u64,
    /// Where it stands.
    pub state: SwsState,
    /// The version of System it began at, or was moved to.
    pub base: u64,
    /// Digest of that version.
    pub base_digest: Hash,
    /// What its maker says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Json>,
}

/// Counters of the graph.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphMeta {
    /// Number of the next shadow working set.
    pub next_sws: u64,
    /// Place of the next entry of the rewrite log.
    pub next_rewrite: u64,
    /// Entries of the rewrite log that were about System.
    pub system_entries: u64,
}

/// A version of a view, whose content the patches before it made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRow {
    /// How many changes of the view led to it.
    pub n: u64,
    /// Its digest.
    pub digest: Hash,
    /// History time at which a later version took its place; 0 for the current one.
    pub until: u64,
    /// Whether it can be read by its snapshot id.
    pub kept: bool,
}

/// Pieces a graph is restored from, in this order: meta, shadow working sets, the versions of System from the
/// oldest needed to the current one, those of each shadow working set, the log. A version is made from the one
/// before it by the patches between them; the first one of System from nothing, the first one of a shadow
/// working set from its base.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphPiece {
    /// Counters.
    Meta(GraphMeta),
    /// Shadow working sets, ascending.
    Sws(Vec<SwsRow>),
    /// The versions of this view follow.
    View {
        /// Which view.
        view: ViewName,
        /// Entries of the rewrite log that were about it.
        entries: u64,
    },
    /// Steps from the version before.
    Patches(Vec<Patch>),
    /// What was built so far is this version.
    Version(VersionRow),
    /// Entries of the rewrite log, ascending.
    Log(Vec<RewriteRow>),
}
