//! One record for people: what came in, what was decided, what changed in the state.

use super::rows;
use super::walk::Passing;
use crate::print::Out;
use crate::shape;
use actum_kernel::{State, state_digest};
use actum_model::event::Event;
use actum_model::outcome::Identity;
use actum_model::time;
use serde_json::{Value, json};
use std::sync::Arc;

/// Who asked for what in command number `seq`, looked up in the states around a record.
pub(crate) fn identity(passing: &Passing<'_>, seq: u64) -> Option<Arc<Identity>> {
    let in_events = passing.events.iter().find_map(|event| match event {
        Event::Accepted(accepted) if accepted.identity.seq == seq => Some(accepted.identity.clone()),
        _ => None,
    });
    in_events.or_else(|| {
        passing
            .before
            .command(seq)
            .or_else(|| passing.after.command(seq))
            .map(|row| row.identity.clone())
    })
}

/// A terminal outcome as a row: `{idx, id, command, lane, laneSeq, outcome, code?}`.
pub(crate) fn outcomes(passing: &Passing<'_>) -> Vec<Value> {
    let mut rows = Vec::new();
    for event in passing.events {
        let Event::Finished(finished) = event else {
            continue;
        };
        let Some(identity) = identity(passing, finished.seq) else {
            continue;
        };
        let mut row = json!({
            "idx": passing.head.idx,
            "id": identity.public_id().as_str(),
            "command": identity.kind.as_str(),
            "outcome": finished.outcome.as_str(),
        });
        if let Value::Object(members) = &mut row {
            if let Some(place) = &identity.lane {
                members.insert("lane".into(), place.lane.to_string().into());
                members.insert("laneGeneration".into(), place.generation.into());
                members.insert("laneSeq".into(), place.seq.into());
            }
            if let Some(fault) = &finished.fault {
                members.insert("code".into(), fault.code.as_str().into());
            }
        }
        rows.push(row);
    }
    rows
}

/// The record as JSON.
pub(crate) fn to_json(passing: &Passing<'_>) -> Value {
    json!({
        "idx": passing.head.idx,
        "at": time::rfc3339(passing.head.at),
        "hash": passing.hash.to_string(),
        "input": rows::input(passing.input),
        "events": passing.events.iter().map(rows::event).collect::<Vec<_>>(),
        "changed": changes(passing.before, passing.after),
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
    if let Value::Object(changed) = changes(passing.before, passing.after) {
        for (name, change) in changed {
            lines.push(format!(
                "  {} {}",
                paint.dim(format_args!("{name:<18}")),
                shape::plain(&change)
            ));
        }
    }
    lines
}

/// What is different in the state, part by part.
fn changes(before: &State, after: &State) -> Value {
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
    let mut changed = serde_json::Map::new();
    for ((name, from), (_, to)) in sizes(before).into_iter().zip(sizes(after)) {
        if from != to {
            changed.insert(name.into(), format!("{from} → {to}").into());
        }
    }
    let (digest, parts) = state_digest(after);
    let (_, parts_before) = state_digest(before);
    let moved: Vec<&str> = parts
        .iter()
        .filter(|part| !parts_before.contains(part))
        .map(|part| part.name)
        .collect();
    if !moved.is_empty() {
        changed.insert("parts".into(), moved.join(", ").into());
    }
    changed.insert("digest".into(), digest.to_string().into());
    Value::Object(changed)
}
