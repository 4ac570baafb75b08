//! The data of the graph as journal, snapshots and wire hold it: ids, nodes, edges, operations and patches. What
//! they do to a view is the graph crate's.

mod content;
pub mod ids;
mod op;
mod patch;
mod rows;

pub use content::{Edge, Node, Payload};
pub use ids::{AttachmentKey, EdgeId, KindName, NodeId, TargetId};
pub use op::Op;
pub use patch::Patch;
pub use rows::{
    BadView, GraphEvent, GraphMeta, GraphPiece, RewriteKind, RewriteRow, SwsRow, SwsState, VersionRow,
    ViewName,
};
