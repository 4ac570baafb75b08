//! Proofs that an entry is, or is not, in a view.

use crate::graphql::inputs::{EntrySort, ViewKind, split};
use crate::graphql::scalars::{AnyJson, HexHash};
use actum_graph::ids::TargetId;
use actum_graph::{AttachmentKey, EdgeId, EntryKey, NodeId, ViewProof};
use actum_kernel::state::Version;
use actum_model::{ErrorCode, Fault, Hash};
use async_graphql::{ID, Object};
use std::sync::Arc;

/// See the object below.
pub(crate) struct ProofOfEntry {
    version: Arc<Version>,
    key: EntryKey,
    value: Option<Hash>,
    proof: ViewProof,
}

/// A proof that an entry is, or is not, in the view with a digest. `tools/verify_graph.py` checks it with hashes alone.
#[Object(name = "ViewProof")]
impl ProofOfEntry {
    /// The sort of view.
    async fn view(&self) -> ViewKind {
        split(self.version.name).0
    }

    /// Number of the shadow working set; null for System.
    async fn sws_id(&self) -> Option<ID> {
        split(self.version.name).1
    }

    /// Digest of the view, which the proof leads to.
    async fn digest(&self) -> HexHash {
        HexHash(self.version.digest)
    }

    /// The version of the view.
    async fn snapshot_id(&self) -> ID {
        ID(self.version.snapshot().to_string())
    }

    /// The sort of entry.
    async fn sort(&self) -> EntrySort {
        match &self.key {
            EntryKey::Node(_) => EntrySort::Node,
            EntryKey::Edge(_) => EntrySort::Edge,
            EntryKey::Attachment(..) => EntrySort::Attachment,
        }
    }

    /// Whether it is there.
    async fn present(&self) -> bool {
        self.value.is_some()
    }

    /// The hash that stands for the entry; null if it is not there.
    async fn value_hash(&self) -> Option<HexHash> {
        self.value.map(HexHash)
    }

    /// The path through the tries, as `docs/adr/0009-graph-trie.md` defines it.
    async fn proof(&self) -> AnyJson {
        AnyJson(serde_json::to_value(&self.proof).unwrap_or_default())
    }
}

/// Makes the proof for an id, which is that of a node or of an edge, or for an attachment of it. Hashes that are not
/// known yet are computed, so it runs where blocking is allowed.
pub(crate) fn proof(
    version: Arc<Version>,
    id: Hash,
    sort: Option<EntrySort>,
    key: Option<&str>,
) -> Result<ProofOfEntry, Fault> {
    let is_edge = version.view.edge(&EdgeId(id)).is_some();
    let wanted = sort.unwrap_or(match (key, is_edge) {
        (Some(_), _) => EntrySort::Attachment,
        (None, true) => EntrySort::Edge,
        (None, false) => EntrySort::Node,
    });
    let key = match (wanted, key) {
        (EntrySort::Node, None) => EntryKey::Node(NodeId(id)),
        (EntrySort::Edge, None) => EntryKey::Edge(EdgeId(id)),
        (EntrySort::Attachment, Some(key)) => {
            let key = AttachmentKey::parse(key)
                .map_err(|error| Fault::new(ErrorCode::InvalidInput, format!("key: {error}")))?;
            EntryKey::Attachment(TargetId(id), key)
        }
        _ => {
            let message = "key: an attachment needs one, and nothing else has one";
            return Err(Fault::new(ErrorCode::InvalidInput, message));
        }
    };
    let (value, proof) = (version.view.value_hash(&key), version.view.prove(&key));
    Ok(ProofOfEntry {
        version,
        key,
        value,
        proof,
    })
}
