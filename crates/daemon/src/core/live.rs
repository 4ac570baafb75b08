//! Durable records as public events, live and past; and the live output of running commands.

use crate::output::Shown;
use actum_engine::Released;
use actum_journal::{ReadError, Reader};
use actum_kernel::lifecycle::Lifecycle;
use actum_kernel::{RecordHead, State};
use actum_model::ids::{CommandId, SessionId, Tenant};
use actum_model::{ErrorCode, Fault};
use serde_json::{Value, json};
use std::sync::Arc;

/// A durable record as subscribers see it.
#[derive(Debug)]
pub struct LiveRecord {
    /// Journal position.
    pub idx: u64,
    /// History time, milliseconds.
    pub at: u64,
    /// Its public events as wire objects, each with the member `tenant` for scoping, which is not sent.
    pub events: Vec<Value>,
}

/// Something live of a running command: provisional until its outcome.
#[derive(Debug)]
pub struct OutputChunk {
    /// The tenant it belongs to.
    pub tenant: Tenant,
    /// The session of the command.
    pub session: Option<SessionId>,
    /// The chain of commands it belongs to.
    pub correlation: CommandId,
    /// The command.
    pub id: CommandId,
    /// What it is.
    pub chunk: Chunk,
}

/// What a running command wrote or showed. Redacted.
#[derive(Debug)]
pub enum Chunk {
    /// A piece of output.
    Output {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// Where `data` begins, in bytes.
        offset: u64,
        /// The piece.
        data: String,
    },
    /// Something beside its output.
    Shown(Shown),
}

impl Chunk {
    /// The name of the message that tells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Chunk::Output { .. } => "output",
            Chunk::Shown(Shown::Display(_)) => "display",
            Chunk::Shown(Shown::Progress(_)) => "progress",
        }
    }
}

/// The records of a released batch, for subscribers.
pub(crate) fn of_batch<R>(released: &Released<R>) -> Vec<Arc<LiveRecord>> {
    let mut lifecycle = Lifecycle::default();
    let state = &released.publish.state;
    released
        .records
        .iter()
        .map(|(head, events)| {
            let events = lifecycle
                .record(*head, events, state)
                .into_iter()
                .map(|event| event.json)
                .collect();
            Arc::new(LiveRecord {
                idx: head.idx,
                at: head.at,
                events,
            })
        })
        .collect()
}

/// At most `max` records from `from` on, all durable. Reads the disk.
pub(crate) fn past(
    reader: &Reader,
    state: &State,
    from: u64,
    max: usize,
) -> Result<Vec<Arc<LiveRecord>>, Fault> {
    let Some(through) = state.next_idx.checked_sub(1).filter(|head| from <= *head) else {
        return Ok(Vec::new());
    };
    let mut lifecycle = Lifecycle::default();
    let mut out = Vec::new();
    for record in reader.records(from, Some(through)).take(max) {
        let record = record.map_err(|error| read_fault(&error))?;
        let head = RecordHead {
            idx: record.idx,
            at: record.at_ms,
            elapsed: record.elapsed_ms,
        };
        let events = lifecycle
            .record(head, &record.events, state)
            .into_iter()
            .map(|event| event.json)
            .collect();
        out.push(Arc::new(LiveRecord {
            idx: record.idx,
            at: record.at_ms,
            events,
        }));
    }
    Ok(out)
}

/// A failed read as callers see it.
pub(crate) fn read_fault(error: &ReadError) -> Fault {
    match error {
        ReadError::RecordGone { idx, first } => Fault::new(
            ErrorCode::RecordGone,
            format!("record {idx} was compacted away, the first kept is {first}"),
        )
        .with_details(&json!({"firstIdx": first})),
        ReadError::Damaged { .. } => Fault::new(ErrorCode::JournalDamaged, error.to_string()),
        _ => Fault::new(ErrorCode::Internal, error.to_string()),
    }
}
