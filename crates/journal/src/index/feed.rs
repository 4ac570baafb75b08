//! Turns records into rows. Rows are gathered in memory for one transaction, so that a command accepted and
//! finished within it costs one insert and no update.

use super::schema::number;
use crate::reader::Record;
use actum_model::Event;
use actum_model::outcome::Identity;
use actum_model::restore::{Phase, Restore};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Accepted {
    identity: Arc<Identity>,
    idx: u64,
    at: u64,
}

#[derive(Debug)]
struct Finished {
    idx: u64,
    at: u64,
    outcome: &'static str,
    error_code: Option<&'static str>,
    session_version: Option<u64>,
}

/// What happened to one command within the transaction.
#[derive(Debug, Default)]
struct Change {
    accepted: Option<Accepted>,
    started: Option<(u64, Option<u64>)>,
    finished: Option<Finished>,
}

/// Changes by command number.
#[derive(Debug, Default)]
pub(super) struct Rows(BTreeMap<u64, Change>);

const INSERT: &str = "INSERT OR REPLACE INTO commands VALUES
 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)";
const UPDATE: &str = "UPDATE commands SET
 started_idx = coalesce(?2, started_idx), started_at = coalesce(?3, started_at),
 finished_idx = coalesce(?4, finished_idx), finished_at = coalesce(?5, finished_at),
 outcome = coalesce(?6, outcome), error_code = coalesce(?7, error_code),
 session_version = coalesce(?8, session_version) WHERE seq = ?1";

impl Rows {
    /// Adds what a record says about commands.
    pub(super) fn add(&mut self, record: &Record) {
        for event in &record.events {
            match event {
                Event::Accepted(accepted) => {
                    let identity = Arc::clone(&accepted.identity);
                    let change = self.0.entry(identity.seq).or_default();
                    change.accepted = Some(Accepted {
                        idx: record.idx,
                        at: record.at_ms,
                        identity,
                    });
                }
                Event::Started { seq } => {
                    self.0.entry(*seq).or_default().started = Some((record.idx, Some(record.at_ms)));
                }
                Event::Finished(finished) => {
                    self.0.entry(finished.seq).or_default().finished = Some(Finished {
                        idx: record.idx,
                        at: record.at_ms,
                        outcome: finished.outcome.as_str(),
                        error_code: finished.fault.as_ref().map(|fault| fault.code.as_str()),
                        session_version: finished.session_version,
                    });
                }
                Event::Executed(executed) => {
                    let identity = Arc::clone(&executed.identity);
                    let (idx, at) = (record.idx, record.at_ms);
                    let change = self.0.entry(identity.seq).or_default();
                    change.accepted = Some(Accepted { identity, idx, at });
                    change.started = (!executed.unstarted).then_some((idx, Some(at)));
                    change.finished = Some(Finished {
                        idx,
                        at,
                        outcome: executed.outcome.as_str(),
                        error_code: executed.fault.as_ref().map(|fault| fault.code.as_str()),
                        session_version: executed.session_version,
                    });
                }
                // Named one by one, so that a new event is a decision here too. What goes on between start and
                // end is not in the index: `why` and the records tell it.
                Event::Booted(_)
                | Event::ConfigActivated { .. }
                | Event::Waiting { .. }
                | Event::EffectRequested { .. }
                | Event::EffectDispatching { .. }
                | Event::EffectSettled { .. }
                | Event::EffectLate { .. }
                | Event::Stopping { .. }
                | Event::InDoubt { .. }
                | Event::Recovered { .. }
                | Event::ProbeRequested { .. }
                | Event::ProbeAnswered { .. }
                | Event::Resolved(_)
                | Event::OutputKept { .. }
                | Event::SessionCreated { .. }
                | Event::SessionAnnotated(_)
                | Event::SessionDeleted { .. }
                | Event::WorkerChanged(_)
                | Event::Interrupted { .. }
                | Event::PromiseCreated(_)
                | Event::PromiseSettled(_)
                | Event::PromisesPruned { .. }
                | Event::Graph(_)
                | Event::OutcomesPruned { .. }
                | Event::TombstonesDropped { .. }
                | Event::KeysExpired { .. }
                | Event::Ticked(_)
                | Event::ClockSampled(_)
                | Event::TimerSet(_)
                | Event::TimerFired(_)
                | Event::TimerCancelled(_)
                | Event::SnapshotTaken(_)
                | Event::Closed {}
                | Event::Restore(_) => {}
            }
        }
    }

    /// Adds the commands a piece of a snapshot knows.
    pub(super) fn restore(&mut self, event: &Event) {
        let Event::Restore(piece) = event else { return };
        match piece.as_ref() {
            Restore::Commands(rows) => {
                for row in rows {
                    let identity = Arc::clone(&row.identity);
                    let change = self.0.entry(identity.seq).or_default();
                    change.accepted = Some(Accepted {
                        identity,
                        idx: row.accepted_idx,
                        at: row.accepted_at,
                    });
                    if let Phase::Running(running) = &row.phase {
                        change.started = Some((running.started_idx, None));
                    }
                }
            }
            Restore::Outcomes(rows) => {
                for row in rows {
                    let identity = Arc::clone(&row.identity);
                    let change = self.0.entry(identity.seq).or_default();
                    change.accepted = Some(Accepted {
                        identity,
                        idx: row.accepted_idx,
                        at: row.accepted_at,
                    });
                    change.started = row.started_idx.map(|idx| (idx, None));
                    change.finished = Some(Finished {
                        idx: row.finished_idx,
                        at: row.finished_at,
                        outcome: row.outcome.as_str(),
                        error_code: row.fault.as_ref().map(|fault| fault.code.as_str()),
                        session_version: row.session_version,
                    });
                }
            }
            _ => {}
        }
    }

    /// Writes all changes, in the order of command numbers.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(INSERT)?;
        let mut update = connection.prepare_cached(UPDATE)?;
        for (seq, change) in &self.0 {
            let started_idx = change.started.map(|(idx, _)| number(idx));
            let started_at = change.started.and_then(|(_, at)| at).map(number);
            let finished = change.finished.as_ref();
            let finished_idx = finished.map(|finished| number(finished.idx));
            let finished_at = finished.map(|finished| number(finished.at));
            let outcome = finished.map(|finished| finished.outcome);
            let error_code = finished.and_then(|finished| finished.error_code);
            let session_version = finished.and_then(|finished| finished.session_version).map(number);
            match &change.accepted {
                Some(Accepted { identity, idx, at }) => {
                    let lane = identity.lane.as_ref();
                    insert.execute(params![
                        number(*seq),
                        identity.public_id().as_str(),
                        identity.kind.as_str(),
                        identity.tenant.as_str(),
                        identity.principal.as_str(),
                        identity.session.as_ref().map(|session| session.as_str()),
                        lane.map(|place| place.lane.to_string()),
                        lane.map(|place| number(place.generation)),
                        lane.map(|place| number(place.seq)),
                        identity.correlation.as_ref().map(|id| id.as_str()),
                        identity.causation.as_ref().map(|id| id.as_str()),
                        depends_on(identity),
                        identity.key.as_ref().map(|key| key.as_str()),
                        identity.if_version.map(number),
                        number(*idx),
                        number(*at),
                        started_idx,
                        started_at,
                        finished_idx,
                        finished_at,
                        outcome,
                        error_code,
                        session_version,
                    ])?;
                }
                None => {
                    update.execute(params![
                        number(*seq),
                        started_idx,
                        started_at,
                        finished_idx,
                        finished_at,
                        outcome,
                        error_code,
                        session_version,
                    ])?;
                }
            }
        }
        Ok(())
    }
}

/// The ids it depends on, joined by spaces, which ids do not have.
fn depends_on(identity: &Identity) -> Option<String> {
    let ids: Vec<&str> = identity.depends_on.iter().map(|id| id.as_str()).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}
