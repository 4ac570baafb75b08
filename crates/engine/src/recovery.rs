//! Taking a history up again: the state from snapshot and records, and a summary of what was found.

use actum_journal::{RecordRef, Recover, RecoveryReport, SnapshotMeta};
use actum_kernel::{Loading, RecordHead, State, state_digest};
use actum_model::Event;
use actum_model::effect::Doubt;
use actum_model::restore::Phase;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rebuilds the state while the journal is opened.
#[derive(Default)]
pub struct Recovery {
    state: Loading,
    /// Check a snapshot's digest after loading it: thorough, and slow for large states.
    check_digest: bool,
}

/// A state and where it came from.
pub struct Recovered {
    /// The state after the last record.
    pub state: State,
}

impl Recovery {
    /// A recovery that trusts the content digest of a snapshot file.
    #[must_use]
    pub fn new() -> Recovery {
        Recovery::default()
    }

    /// A recovery that also compares the state's digest with the one the snapshot was taken with.
    #[must_use]
    pub fn thorough() -> Recovery {
        Recovery {
            check_digest: true,
            ..Recovery::default()
        }
    }

    /// The state.
    #[must_use]
    pub fn finish(self) -> Recovered {
        Recovered {
            state: self.state.finish(),
        }
    }
}

impl Recover for Recovery {
    fn reset(&mut self) {
        self.state = Loading::default();
    }

    fn restore(&mut self, events: Vec<Event>) -> Result<(), String> {
        for event in events {
            if !matches!(event, Event::Restore(_)) {
                return Err(format!("a snapshot holds the event `{}`", event.name()));
            }
            self.state.event(event);
        }
        Ok(())
    }

    fn restored(&mut self, meta: &SnapshotMeta) -> Result<(), String> {
        if self.state.next_idx() != meta.idx + 1 {
            return Err(format!(
                "it ends at record {}, its header says {}",
                self.state.next_idx(),
                meta.idx + 1
            ));
        }
        if self.check_digest {
            let (digest, _) = state_digest(self.state.settle());
            if digest != meta.state_digest {
                return Err(format!(
                    "its state has digest {digest}, recorded is {}",
                    meta.state_digest
                ));
            }
        }
        Ok(())
    }

    fn record(&mut self, record: RecordRef<'_>) -> Result<(), String> {
        if record.idx != self.state.next_idx() {
            return Err(format!(
                "record {} follows {} records",
                record.idx,
                self.state.next_idx()
            ));
        }
        let head = RecordHead {
            idx: record.idx,
            at: record.at_ms,
            elapsed: record.elapsed_ms,
        };
        self.state.record(head, record.events);
        Ok(())
    }
}

/// What a boot found and how it took it up: `startup_recovery_summary` and `server.recovery`.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary(pub Value);

/// Builds the summary from the journal's report, the state after the boot record, and the boot's events.
#[must_use]
pub fn summary(report: &RecoveryReport, state: &State, events: &[Event], duration_ms: u64) -> Summary {
    let mut classes: BTreeMap<&str, u64> = [
        ("queued", 0),
        ("recoverable", 0),
        ("interrupted", 0),
        ("probe", 0),
        ("in_doubt", 0),
    ]
    .into();
    let mut listed = Vec::new();
    for event in events {
        let Event::Recovered { seq, class } = event else {
            continue;
        };
        *classes.entry(class.as_str()).or_default() += 1;
        if listed.len() < 100 {
            let reason = state.command(*seq).and_then(|row| match &row.phase {
                Phase::Running(running) if running.is_probed() => Some(Doubt::CrashAfterDispatch.as_str()),
                Phase::Running(running) => running.doubt.map(|doubt| doubt.as_str()),
                _ => None,
            });
            let identity = match state.known(*seq) {
                Some(actum_kernel::Known::InFlight(row)) => Some(row.identity.clone()),
                Some(actum_kernel::Known::Finished(row)) => Some(row.identity.clone()),
                _ => None,
            };
            listed.push(json!({
                "tenant": identity.as_ref().map(|identity| identity.tenant.to_string()),
                "id": identity.as_ref().map(|identity| identity.public_id().to_string()),
                "kind": identity.as_ref().map(|identity| identity.kind.to_string()),
                "class": class.as_str(),
                "reason": reason,
            }));
        }
    }
    let queued = state
        .commands
        .values()
        .filter(|row| !matches!(row.phase, Phase::Running(_)))
        .count();
    classes.insert("queued", queued as u64);
    let closed = events
        .iter()
        .any(|event| matches!(event, Event::Booted(booted) if booted.clean));
    Summary(json!({
        "term": state.term,
        "unfinished": state.commands.len(),
        "cleanShutdown": closed,
        "recordsRead": report.records_read,
        "tornBytesCut": report.torn_bytes_cut,
        // Leaves are written after a record is durable: one without its record is a record that was lost.
        "acknowledgedRecordsMissing": report.leaves_beyond_head,
        "snapshotUsed": report.snapshot,
        "snapshotsUnfit": report.snapshots_unfit.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>(),
        "classes": classes,
        "commands": listed,
        "durationMs": duration_ms,
    }))
}
