//! One record for people: what came in, what was decided, what changed in the state.

use super::rows;
use super::walk::Passing;
use crate::print::Out;
use crate::shape;
use actum_kernel::{State, state_digest};
use actum_model::event::Event;
use actum_model::outcome::Identity;
use actum_model::{Fault, Outcome, time};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A terminal outcome in a record.
struct Ended {
    identity: Arc<Identity>,
    outcome: Outcome,
    fault: Option<Arc<Fault>>,
}

/// The terminal outcomes of a record.
fn ended(passing: &Passing<'_>) -> Vec<Ended> {
    let identity = |seq: u64| {
        let accepted = passing.events.iter().find_map(|event| match event {
            Event::Accepted(accepted) if accepted.identity.seq == seq => Some(accepted.identity.clone()),
            _ => None,
        });
        accepted.or_else(|| passing.before.command(seq).map(|row| row.identity.clone()))
    };
    let ended = |event: &Event| match event {
        Event::Finished(finished) => Some(Ended {
            identity: identity(finished.seq)?,
            outcome: finished.outcome,
            fault: finished.fault.clone(),
        }),
        Event::Executed(executed) => Some(Ended {
            identity: executed.identity.clone(),
            outcome: executed.outcome,
            fault: executed.fault.clone(),
        }),
        _ => None,
    };
    passing.events.iter().filter_map(ended).collect()
}

/// Terminal outcomes as rows: `{idx, id, command, lane, laneSeq, outcome, code?}`.
pub(crate) fn outcomes(passing: &Passing<'_>) -> Vec<Value> {
    let row = |Ended {
                   identity,
                   outcome,
                   fault,
               }: Ended| {
        let mut row = Map::new();
        row.insert("idx".into(), passing.head.idx.into());
        row.insert("id".into(), identity.public_id().as_str().into());
        row.insert("command".into(), identity.kind.as_str().into());
        row.insert("outcome".into(), outcome.as_str().into());
        if let Some(place) = &identity.lane {
            row.insert("lane".into(), place.lane.to_string().into());
            row.insert("laneGeneration".into(), place.generation.into());
            row.insert("laneSeq".into(), place.seq.into());
        }
        if let Some(fault) = fault {
            row.insert("code".into(), fault.code.as_str().into());
        }
        Value::Object(row)
    };
    ended(passing).into_iter().map(row).collect()
}

/// The record as JSON.
pub(crate) fn to_json(passing: &Passing<'_>) -> Value {
    let changed = changes(passing.before, passing.after);
    let changed: Map<String, Value> = changed
        .into_iter()
        .map(|(name, change)| (name.to_owned(), change.into()))
        .collect();
    json!({
        "idx": passing.head.idx,
        "at": time::rfc3339(passing.head.at),
        "hash": passing.hash.to_string(),
        "input": rows::input(passing.input),
        "events": passing.events.iter().map(rows::event).collect::<Vec<_>>(),
        "changed": changed,
    })
}

/// The record as lines.
pub(crate) fn lines(passing: &Passing<'_>, out: &Out) -> Vec<String> {
    let paint = out.paint;
    let title = rows::input_title(&rows::input(passing.input));
    let when = shape::short_time(&time::rfc3339(passing.head.at));
    let mut lines = vec![format!(
        "{}  {}  {title}",
        paint.bold(format_args!("record {}", passing.head.idx)),
        paint.dim(when)
    )];
    for event in passing.events {
        let body = rows::event(event);
        let members = match &body {
            Value::Object(members) => members.values().next().cloned().unwrap_or_default(),
            _ => Value::Null,
        };
        let detail = shape::brief(&members.to_string(), 120);
        lines.push(format!(
            "  {} {}",
            paint.cyan(format_args!("{:<18}", event.name())),
            paint.dim(detail)
        ));
    }
    for (name, change) in changes(passing.before, passing.after) {
        lines.push(format!("  {} {change}", paint.dim(format_args!("{name:<18}"))));
    }
    lines
}

/// What is different in the state, part by part, and its digest.
fn changes(before: &State, after: &State) -> Vec<(&'static str, String)> {
    let sizes = |state: &State| {
        [
            ("sessions", state.sessions.len()),
            ("lanes", state.lanes.len()),
            ("unfinished", state.in_flight()),
            ("in doubt", state.in_doubt().count()),
            ("outcomes", state.outcomes.len()),
            ("tombstones", state.tombstones()),
            ("live keys", state.keys_live()),
        ]
    };
    let mut changed: Vec<(&str, String)> = sizes(before)
        .into_iter()
        .zip(sizes(after))
        .filter(|((_, from), (_, to))| from != to)
        .map(|((name, from), (_, to))| (name, format!("{from} → {to}")))
        .collect();
    let (digest, parts) = state_digest(after);
    let (_, parts_before) = state_digest(before);
    let moved: Vec<&str> = parts
        .iter()
        .filter(|part| !parts_before.contains(part))
        .map(|part| part.name)
        .collect();
    if !moved.is_empty() {
        changed.push(("parts", moved.join(", ")));
    }
    changed.push(("digest", digest.to_string()));
    changed
}
