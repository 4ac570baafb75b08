//! How events, replies and rows are printed: one short line each, commands by their ids.

use actum_kernel::{Known, Reply, State};
use actum_model::effect::ProbeAnswer;
use actum_model::event::StopReason;
use actum_model::graph::{GraphEvent, Op};
use actum_model::outcome::Identity;
use actum_model::restore::Phase;
use actum_model::timer::{Due, Standing};
use actum_model::worker::Worker;
use actum_model::{Event, Fault, Hash};

/// The id of a command by its number; `#7` where it is not known (any more).
pub(crate) fn name(state: &State, seq: u64) -> String {
    match state.known(seq) {
        Some(Known::InFlight(row)) => row.identity.public_id().to_string(),
        Some(Known::Finished(row)) => row.identity.public_id().to_string(),
        _ => format!("#{seq}"),
    }
}

/// An event. `state` is the state after its record.
pub(crate) fn event(state: &State, event: &Event) -> String {
    let of = |seq: &u64| name(state, *seq);
    match event {
        Event::Booted(booted) => format!("booted, term {}, clean {}", booted.term, booted.clean),
        Event::ConfigActivated { .. } => "config activated".to_owned(),
        Event::Accepted(accepted) => format!(
            "accepted {}{}",
            accepted.identity.public_id(),
            place(&accepted.identity)
        ),
        Event::Waiting { seq, on } => {
            let on: Vec<String> = on.iter().map(of).collect();
            format!("waiting {} for {}", of(seq), on.join(", "))
        }
        Event::Started { seq } => format!("started {}", of(seq)),
        Event::Executed(executed) => {
            let version = executed
                .session_version
                .map_or(String::new(), |v| format!(", version {v}"));
            let data = executed
                .data
                .as_ref()
                .map_or(String::new(), |data| format!(" {}", data.as_str()));
            let fault = executed
                .fault
                .as_deref()
                .map_or(String::new(), |found| format!(", {}", fault(found)));
            let word = if executed.unstarted {
                "not started"
            } else {
                "executed"
            };
            format!(
                "{word} {}{} {}{version}{data}{fault}",
                executed.identity.public_id(),
                place(&executed.identity),
                executed.outcome.as_str()
            )
        }
        Event::Finished(finished) => {
            let version = finished
                .session_version
                .map_or(String::new(), |v| format!(", version {v}"));
            let data = finished
                .data
                .as_ref()
                .map_or(String::new(), |data| format!(" {}", data.as_str()));
            let fault = finished
                .fault
                .as_deref()
                .map_or(String::new(), |found| format!(", {}", fault(found)));
            let outcome = finished.outcome.as_str();
            format!("finished {} {outcome}{version}{data}{fault}", of(&finished.seq))
        }
        Event::EffectRequested { seq, contained, .. } => {
            let contained = if *contained { ", contained" } else { "" };
            format!("effect requested {}{contained}", of(seq))
        }
        Event::EffectDispatching { seq } => format!("effect dispatching {}", of(seq)),
        Event::EffectSettled { seq, settlement } => {
            format!("effect settled {} {:?}", of(seq), settlement.settled)
        }
        Event::EffectLate { seq, settlement } => format!("effect late {} {:?}", of(seq), settlement.settled),
        Event::Stopping { seq, why } => match why {
            StopReason::Timeout => format!("stopping {}, timeout", of(seq)),
            StopReason::Cancel { by, .. } => format!("stopping {}, cancelled by {by}", of(seq)),
        },
        Event::InDoubt { seq, reason } => format!("in doubt {}, {}", of(seq), reason.as_str()),
        Event::Recovered { seq, class } => format!("recovered {} as {}", of(seq), class.as_str()),
        Event::ProbeRequested {
            seq,
            timeout_ms,
            lost,
        } => {
            let why = if *lost { ", its answer was lost" } else { "" };
            format!("probe requested {}, {timeout_ms} ms{why}", of(seq))
        }
        Event::ProbeAnswered { seq, answer, .. } => match answer {
            ProbeAnswer::Landed => format!("probe answered {}: landed", of(seq)),
            ProbeAnswer::DidNotHappen => format!("probe answered {}: did not happen", of(seq)),
            ProbeAnswer::Unknown(why) => format!("probe answered {}: unknown, {why}", of(seq)),
        },
        Event::Resolved(resolved) => format!(
            "resolved {} {} by {}",
            of(&resolved.seq),
            resolved.resolution.as_str(),
            resolved.by
        ),
        Event::OutputKept {
            seq, offset, data, ..
        } => format!("output {} at {offset}: {data}", of(seq)),
        Event::SessionAnnotated(row) => format!("session {} annotated {}", row.session, row.key),
        Event::SessionCreated { session, .. } => format!("session {session} created"),
        Event::SessionDeleted { session, .. } => format!("session {session} deleted"),
        Event::WorkerChanged(changed) => match &changed.worker {
            Some(Worker::Live(live)) => {
                format!("session {} has a process, boot {}", changed.session, live.term)
            }
            Some(Worker::Lost { reason, .. }) => {
                format!("session {} lost its process: {reason}", changed.session)
            }
            None => format!("session {} has no process", changed.session),
        },
        Event::Interrupted { seq, by } => format!("interrupted {} by {by}", of(seq)),
        Event::PromiseCreated(row) => format!("promise {} created", row.promise),
        Event::PromiseSettled(settled) => {
            let value = settled
                .value
                .as_ref()
                .map_or(String::new(), |value| format!(" {}", value.as_str()));
            let fault = settled
                .fault
                .as_ref()
                .map_or(String::new(), |found| format!(", {}", fault(found)));
            format!(
                "promise {} {}{value}{fault}",
                settled.promise,
                settled.settled.as_str()
            )
        }
        Event::PromisesPruned { count } => format!("promises pruned {count}"),
        Event::Graph(event) => graph(event),
        Event::OutcomesPruned { count } => format!("outcomes pruned {count}"),
        Event::TombstonesDropped { count } => format!("tombstones dropped {count}"),
        Event::KeysExpired { count } => format!("keys expired {count}"),
        Event::Ticked(ticked) => format!("tick {}", ticked.tick),
        Event::ClockSampled(sample) => format!(
            "clock {} {} ms, {}, uncertain by {} ms",
            sample.source.as_str(),
            sample.value_ns / 1_000_000,
            sample.standing.as_str(),
            sample.uncertainty_ns / 1_000_000
        ),
        Event::TimerSet(row) => format!("timer {} set, {}", row.timer, due(row.due)),
        Event::TimerFired(fired) => {
            let late = if fired.late { ", late" } else { "" };
            let missed = match fired.missed {
                0 => String::new(),
                missed => format!(", {missed} missed"),
            };
            let next = fired
                .next
                .map_or(String::new(), |next| format!(", next {}", due(next)));
            let command = fired
                .command
                .map_or(String::new(), |seq| format!(", submits {}", of(&seq)));
            let refused = fired
                .refused
                .as_deref()
                .map_or(String::new(), |found| format!(", refused {}", fault(found)));
            format!(
                "timer {} fired {}, {}{late}{missed}{next}{command}{refused}",
                fired.timer,
                fired.fire,
                due(fired.due)
            )
        }
        Event::TimerCancelled(row) => format!("timer {} cancelled", row.timer),
        Event::SnapshotTaken(_) => "snapshot taken".to_owned(),
        Event::Closed {} => "closed".to_owned(),
        Event::Restore(_) => "restore".to_owned(),
    }
}

fn graph(event: &GraphEvent) -> String {
    let sws = event.sws();
    let short = |digest: &Hash| digest.to_string().split_at(8).0.to_owned();
    match event {
        GraphEvent::SwsCreated { by, .. } => format!("sws:{sws} created by {by}"),
        GraphEvent::Rewritten { idx, digest, ops, .. } => {
            let ops: Vec<&str> = ops.iter().map(Op::name).collect();
            format!(
                "rewrite {idx} of sws:{sws}, {} -> {}",
                ops.join(" "),
                short(digest)
            )
        }
        GraphEvent::Collapsed { idx, digest, .. } => {
            format!("rewrite {idx}, sws:{sws} collapsed -> {}", short(digest))
        }
        GraphEvent::Conflicted { idx, conflicts, .. } => {
            format!("rewrite {idx}, sws:{sws} not collapsed, conflicts {conflicts}")
        }
        GraphEvent::Discarded { idx, reason, .. } => {
            format!(
                "rewrite {idx}, sws:{sws} discarded {}",
                reason.as_deref().unwrap_or_default()
            )
        }
        GraphEvent::Rebased { idx, digest, .. } => {
            format!("rewrite {idx}, sws:{sws} rebased -> {}", short(digest))
        }
    }
}

/// A due time: of run time, or of history time from where every script begins.
pub(crate) fn due(due: Due) -> String {
    match due {
        Due::Elapsed(ms) => format!("run {ms}"),
        Due::At(ms) => format!("history {:+}", i128::from(ms) - i128::from(super::world::START)),
    }
}

/// Whether an event stands in every record of its kind, and says nothing that `now` does not print.
pub(crate) fn is_routine(event: &Event) -> bool {
    matches!(event, Event::ClockSampled(sample) if sample.standing == Standing::Trusted)
}

fn place(identity: &Identity) -> String {
    identity
        .lane
        .as_ref()
        .map_or(", control".to_owned(), |p| format!(", {} {}", p.lane, p.seq))
}

/// A fault: its code and what it says.
pub(crate) fn fault(fault: &Fault) -> String {
    format!("{}: {}", fault.code, fault.message)
}

/// A reply.
pub(crate) fn reply(state: &State, reply: &Reply) -> String {
    match reply {
        Reply::Refused(found) => format!("= refused {}", fault(found)),
        Reply::Accepted(seq) => format!("= accepted {}", name(state, *seq)),
        Reply::Joined(seq) => format!("= joined {}", name(state, *seq)),
        Reply::Recorded(seq) => {
            let outcome = state.outcomes.get(seq).map_or("gone", |row| row.outcome.as_str());
            format!("= recorded {} {outcome}", name(state, *seq))
        }
    }
}

/// Where a command stands.
pub(crate) fn known(known: Option<&Known>) -> String {
    match known {
        None => "unknown".to_owned(),
        Some(Known::Retired(_)) => "retired".to_owned(),
        Some(Known::Finished(row)) => {
            let fault = row
                .fault
                .as_deref()
                .map_or(String::new(), |fault| format!(" {}", fault.code));
            let started = if row.started_idx.is_some() {
                "started"
            } else {
                "never started"
            };
            format!("{}{fault}, {started}", row.outcome.as_str())
        }
        Some(Known::InFlight(row)) => match &row.phase {
            Phase::Queued => "queued".to_owned(),
            Phase::Waiting { due } if *due == u64::MAX => "waiting, without end".to_owned(),
            Phase::Waiting { .. } => "waiting".to_owned(),
            Phase::Running(running) => match (running.doubt, &running.stopping, running.dispatching) {
                (Some(doubt), ..) => format!("in doubt, {}", doubt.as_str()),
                (None, Some(_), _) => "stopping".to_owned(),
                (None, None, true) => "running, dispatched".to_owned(),
                (None, None, false) => "running, not dispatched".to_owned(),
            },
        },
    }
}
