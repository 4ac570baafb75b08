//! The graph of Actum: views of nodes, edges and attachments with one digest each, the operations that change
//! them, what two of them differ in, and the three-way merge of a collapse.
//!
//! - [`View`] is a graph at one moment. A clone is a fork and costs O(1); a change costs O(log n). Its digest
//!   is a hash over three Merkle tries and depends on the set of entries alone.
//! - [`op`] is the closed registry of operations: parse what a client sent, check kinds, [`View::apply`].
//! - [`diff`](mod@diff) lists what two views differ in, and writes one as patches from the other.
//! - [`merge`](mod@merge) carries what one fork changed over to another, or says what is in the way.
//! - [`proof`] makes, and [`verify`](mod@verify) checks, proofs of single entries against the digest of a view.
//!
//! The definitions of ids and digests are normative in `docs/adr/0009-graph-trie.md`; `tools/verify_graph.py`
//! recomputes them with nothing but Python. Here is no clock, no randomness, no IO and no history: which views
//! exist, who may change them and when is the kernel's to say.

pub mod content;
pub mod diff;
pub mod merge;
pub mod op;
pub mod proof;
pub mod trie;
pub mod verify;
pub mod view;

pub use actum_model::graph::ids::{self, AttachmentKey, EdgeId, KindName, NodeId, TargetId};
pub use content::{Attachment, Edge, Node, Payload};
pub use diff::{Change, Entry, EntryKey, Patch, apply_changes, apply_patches, diff, diff_page, patches};
pub use merge::{Conflict, ConflictCode, Conflicts, MergeCounts, Merged, merge};
pub use op::{Applied, KindRegistry, Op, ParseError, Refusal, parse_ops, registry_hash};
pub use proof::ViewProof;
pub use verify::{Expectation, verify};
pub use view::{Direction, EdgeFilter, NodeFilter, Page, Paged, View};
