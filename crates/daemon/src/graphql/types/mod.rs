//! The object types of the schema, one file each for what belongs together.

mod connection;
mod content;
mod diff;
mod graph;
mod history;
mod kernel_info;
mod payloads;
mod proof;
mod receipt;
mod rewrite;
mod sws;

pub(crate) use connection::Connection;
pub(crate) use content::{Attachment, GraphEdge, GraphNode, attachments, neighbors};
pub(crate) use content::{Neighbor, edge, node};
pub(crate) use diff::SwsDiff;
pub(crate) use graph::GraphSnapshot;
pub(crate) use history::{HistoryCommand, history};
pub(crate) use kernel_info::KernelInfo;
pub(crate) use payloads::{
    ApplyRewritePayload, CollapseSwsPayload, CreateSwsPayload, DiscardSwsPayload, RebaseSwsPayload,
    SubmitIntentPayload, Submitted,
};
pub(crate) use proof::{ProofOfEntry, proof};
pub(crate) use receipt::{Receipt, ReceiptV0, TickReceipt};
pub(crate) use rewrite::{RewriteEvent, rewrites};
pub(crate) use sws::{Sws, all_sws};
