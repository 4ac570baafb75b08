//! What the mutations answer: each with its receipt and with what is known of the command that carried it out.

use super::receipt::{ReceiptV0, TickReceipt};
use super::sws::Sws;
use crate::graphql::scalars::{AnyJson, U64};
use actum_model::Response;
use async_graphql::{ID, SimpleObject};

/// The command that carried out a mutation.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct Submitted {
    /// Its id: the one that was given, or one that was made.
    id: ID,
    /// Journal position of its outcome.
    record_idx: U64,
    /// Whether the answer was given when only the write, not the sync, was confirmed (`--durability batched`).
    relaxed: bool,
}

impl Submitted {
    pub(crate) fn of(response: &Response) -> Submitted {
        let id = response.identity.as_ref().map(|identity| identity.public_id());
        Submitted {
            id: ID(id.map(|id| id.to_string()).unwrap_or_default()),
            record_idx: U64(response.idx.unwrap_or(0)),
            relaxed: response.relaxed,
        }
    }
}

/// A shadow working set was created.
#[derive(SimpleObject)]
pub(crate) struct CreateSwsPayload {
    /// The shadow working set as it is now.
    pub(crate) sws: Sws,
    /// What was done, under which rules.
    pub(crate) receipt: TickReceipt,
    /// Whether this is the recorded outcome of an earlier submission.
    pub(crate) replayed: bool,
    /// The command.
    pub(crate) command: Submitted,
}

/// Operations were carried out.
#[derive(SimpleObject)]
pub(crate) struct ApplyRewritePayload {
    /// True: what is not accepted is an error.
    pub(crate) accepted: bool,
    /// The receipt.
    pub(crate) receipt: ReceiptV0,
    /// What was done, under which rules.
    pub(crate) tick_receipt: TickReceipt,
    /// Whether this is the recorded outcome of an earlier submission.
    pub(crate) replayed: bool,
    /// The command.
    pub(crate) command: Submitted,
}

/// A shadow working set became part of System, or what was in the way is on the record.
#[derive(SimpleObject)]
pub(crate) struct CollapseSwsPayload {
    /// Whether it became part of System. If not, nothing was changed, and the receipt lists the conflicts.
    pub(crate) committed: bool,
    /// The version of System afterwards.
    pub(crate) system_snapshot_id: Option<ID>,
    /// What was done or in the way, under which rules.
    pub(crate) receipt: TickReceipt,
    /// The shadow working set as it is now; null once its row is no longer kept.
    pub(crate) sws: Option<Sws>,
    /// Whether this is the recorded outcome of an earlier submission.
    pub(crate) replayed: bool,
    /// The command.
    pub(crate) command: Submitted,
}

/// A shadow working set was given up.
#[derive(SimpleObject)]
pub(crate) struct DiscardSwsPayload {
    /// The shadow working set as it is now; null once its row is no longer kept.
    pub(crate) sws: Option<Sws>,
    /// What was done, under which rules.
    pub(crate) receipt: TickReceipt,
    /// Whether this is the recorded outcome of an earlier submission.
    pub(crate) replayed: bool,
    /// The command.
    pub(crate) command: Submitted,
}

/// A shadow working set was moved onto System as it is.
#[derive(SimpleObject)]
pub(crate) struct RebaseSwsPayload {
    /// The shadow working set as it is now; null once its row is no longer kept.
    pub(crate) sws: Option<Sws>,
    /// What was done, under which rules.
    pub(crate) receipt: TickReceipt,
    /// Whether this is the recorded outcome of an earlier submission.
    pub(crate) replayed: bool,
    /// The command.
    pub(crate) command: Submitted,
}

/// What an intent led to.
#[derive(SimpleObject)]
pub(crate) struct SubmitIntentPayload {
    /// The task.
    task_id: ID,
    /// The process.
    process_id: ID,
    /// The shadow working set the work is done in.
    sws_id: ID,
    /// The plan.
    planned_dag: Option<AnyJson>,
}
