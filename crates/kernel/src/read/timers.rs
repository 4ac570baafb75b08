//! Reads of time: the time of the history, ticks, live timers.

use crate::state::State;
use actum_model::ids::{CommandId, Tenant};
use actum_model::response::fault_json;
use actum_model::timer::{ClockPolicy, ClockSource, Due, LastFire, TickRow, TimerRow};
use actum_model::{ErrorCode, Fault, OutcomeRow, time};
use serde_json::{Map, Value, json};

/// The time of a history, from its clock samples under its clock policy. A pure function of the records: it
/// stands still between samples, and after record N it is the same for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time, nanoseconds.
    pub ns: u64,
    /// How far it may be from the truth, nanoseconds.
    pub uncertainty_ns: u64,
    /// `monotonic` (nanoseconds of run time), `unix` (since the epoch) or `unknown` (no sample yet).
    pub domain: &'static str,
    /// Journal positions of the samples it rests on.
    pub provenance: Vec<u64>,
    /// The clock policy.
    pub policy: ClockPolicy,
}

/// The time after the last record of `state`.
#[must_use]
pub fn now(state: &State) -> Now {
    let policy = state.config.clock_policy;
    let clock = state.clock();
    let sampled = match policy {
        ClockPolicy::TrustMonotonicLatest => clock.monotonic,
        ClockPolicy::TrustWallLatest => clock.wall,
    };
    let Some(sampled) = sampled else {
        return Now {
            ns: 0,
            uncertainty_ns: u64::MAX,
            domain: "unknown",
            provenance: Vec::new(),
            policy,
        };
    };
    Now {
        ns: sampled.sample.value_ns,
        uncertainty_ns: sampled.sample.uncertainty_ns,
        domain: match sampled.sample.source {
            ClockSource::Monotonic => "monotonic",
            ClockSource::Wall => "unix",
        },
        provenance: vec![sampled.idx],
        policy,
    }
}

/// `time.now`. It answers for the present state; `atIdx` says which record that is the state after.
#[must_use]
pub fn now_json(state: &State) -> Value {
    let now = now(state);
    let mut out = json!({
        "ns": now.ns.to_string(),
        "uncertaintyNs": now.uncertainty_ns.to_string(),
        "domain": now.domain,
        "provenance": now.provenance,
        "policy": now.policy.as_str(),
        "atIdx": state.next_idx.saturating_sub(1),
    });
    if let (Some(jump), Value::Object(members)) = (state.clock().pending, &mut out) {
        let pending = json!({
            "wallNs": jump.sample.value_ns.to_string(),
            "offsetNs": jump.sample.uncertainty_ns.to_string(),
            "idx": jump.idx,
        });
        members.insert("pending".into(), pending);
    }
    out
}

/// At most `first` ticks behind the tick `after`, ascending, and whether there are more.
#[must_use]
pub fn ticks(state: &State, after: Option<u64>, first: usize) -> (Vec<TickRow>, bool) {
    let mut rows = state
        .ticks()
        .filter(|row| after.is_none_or(|after| row.tick > after))
        .copied();
    let page: Vec<TickRow> = rows.by_ref().take(first).collect();
    (page, rows.next().is_some())
}

/// `time.ticks`.
#[must_use]
pub fn ticks_json(state: &State, after: Option<u64>, first: usize) -> Value {
    let (page, more) = ticks(state, after, first);
    let rows: Vec<Value> = page.iter().map(|row| tick_json(state, row)).collect();
    let mut out = json!({"ticks": rows, "next": state.next_tick(), "hasMore": more});
    if let (Some(oldest), Value::Object(members)) = (state.ticks().next(), &mut out) {
        members.insert("oldest".into(), oldest.tick.into());
    }
    out
}

/// A tick on the wire, with the rules that its record was decided under.
#[must_use]
pub fn tick_json(state: &State, row: &TickRow) -> Value {
    let mut out = json!({"tick": row.tick, "idx": row.idx, "at": time::rfc3339(row.at), "elapsedMs": row.elapsed,
        "fired": row.fired});
    if let (Some(rules), Value::Object(members)) = (state.rules_at(row.idx), &mut out) {
        members.insert("policyId".into(), rules.policy.into());
        members.insert("rulePackId".into(), rules.pack.to_string().into());
    }
    out
}

/// The number of the tick whose timer submitted this command. Nothing where no timer did, and once state no longer
/// keeps the tick.
#[must_use]
pub fn tick_of(state: &State, outcome: &OutcomeRow) -> Option<u64> {
    submitted_by(outcome.identity.id.as_ref()?)?;
    let ticks = &state.timers.ticks;
    // A timer submits in the record of its tick, and a record has one tick.
    let found = ticks
        .binary_search_by_key(&outcome.accepted_idx, |row| row.idx)
        .ok()?;
    ticks.get(found).map(|row| row.tick)
}

/// `timer.get`.
///
/// # Errors
/// `TIMER_NOT_FOUND`.
pub fn timer(state: &State, tenant: &Tenant, id: &CommandId) -> Result<Value, Fault> {
    let row = state.timer(tenant, id);
    row.map(|row| timer_json(state, row)).ok_or_else(|| no_timer(id))
}

pub(crate) fn no_timer(id: &CommandId) -> Fault {
    Fault::new(ErrorCode::TimerNotFound, format!("no live timer `{id}` exists"))
}

/// `timer.list`: at most `limit` live timers of the tenant behind the timer `after`, ascending by id.
#[must_use]
pub fn timers(state: &State, tenant: &Tenant, after: Option<&str>, limit: usize) -> Value {
    let first = after
        .and_then(|text| CommandId::parse_any(text).ok())
        .or_else(|| CommandId::parse_any("-").ok());
    let Some(first) = first else {
        return json!({"timers": []});
    };
    let mut rows = state
        .timers
        .rows
        .range((tenant.clone(), first)..)
        .take_while(|((owner, _), _)| owner == tenant)
        .filter(|((_, id), _)| after.is_none_or(|after| id.as_str() > after))
        .map(|(_, row)| row);
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    let more = rows.next().is_some();
    let mut out = Map::new();
    if let Some(last) = page.last().filter(|_| more) {
        out.insert("nextCursor".into(), last.timer.as_str().into());
    }
    let listed = page.iter().map(|row| timer_json(state, row)).collect();
    out.insert("timers".into(), listed);
    Value::Object(out)
}

/// A live timer on the wire.
#[must_use]
pub fn timer_json(state: &State, row: &TimerRow) -> Value {
    let mut out = json!({
        "timerId": row.timer.as_str(),
        "fires": row.fires,
        "missed": row.missed,
        "principal": row.principal.as_str(),
        "setBy": row.set_by.as_str(),
        "setIdx": row.set_idx,
        "setAt": time::rfc3339(row.set_at),
        "correlationId": row.correlation.as_str(),
    });
    let Value::Object(members) = &mut out else {
        return out;
    };
    due_members(members, row.due);
    let in_ms = match row.due {
        Due::Elapsed(due) => due.saturating_sub(state.elapsed),
        Due::At(due) => due.saturating_sub(state.at),
    };
    members.insert("inMs".into(), in_ms.into());
    let optional = [
        ("everyMs", row.every_ms.map(Value::from)),
        ("command", row.command.as_ref().map(actum_model::Json::to_value)),
        ("note", row.note.clone().map(Value::from)),
        ("last", row.last.as_ref().map(|last| last_json(row, last))),
    ];
    members.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    out
}

/// The due time of a timer, and which clock it counts.
pub(crate) fn due_members(members: &mut Map<String, Value>, due: Due) {
    let (clock, name, value) = match due {
        Due::Elapsed(due) => ("run", "dueElapsedMs", Value::from(due)),
        Due::At(due) => ("history", "dueAt", time::rfc3339(due).into()),
    };
    members.insert("clock".into(), clock.into());
    members.insert(name.into(), value);
}

fn last_json(row: &TimerRow, last: &LastFire) -> Value {
    let mut out =
        json!({"tick": last.tick, "idx": last.idx, "at": time::rfc3339(last.at), "late": last.late});
    if let Value::Object(members) = &mut out {
        if let Some(id) = last.command.and_then(|_| row.command_id(row.fires)) {
            members.insert("commandId".into(), id.as_str().into());
        }
        if let Some(fault) = &last.refused {
            members.insert("error".into(), fault_json(fault));
        }
    }
    out
}

/// What `why` says of the timers a command has to do with: one it set that still lives, or the one that
/// submitted it.
pub(crate) fn reasons(state: &State, tenant: &Tenant, id: &CommandId) -> Vec<String> {
    if let Some((timer, fire)) = submitted_by(id) {
        return vec![format!(
            "Timer `{timer}` submitted it, at its firing number {fire}."
        )];
    }
    state
        .timers()
        .filter(|row| row.tenant == *tenant && row.set_by == *id)
        .take(1)
        .map(|row| describe(state, row))
        .collect()
}

/// The timer that submitted a command, and the number of the firing, by the command's id.
#[must_use]
pub fn submitted_by(id: &CommandId) -> Option<(&str, u64)> {
    let rest = id.as_str().strip_prefix("timer:")?;
    let (timer, place) = rest.rsplit_once(':')?;
    let (_, fire) = place.split_once('.')?;
    Some((timer, fire.parse().ok()?))
}

/// A live timer in a sentence: when it is due and what it will do.
#[must_use]
pub fn describe(state: &State, row: &TimerRow) -> String {
    let when = match row.due {
        Due::At(due) => format!("at {}", time::rfc3339(due)),
        Due::Elapsed(due) => format!("in {} ms of run time", due.saturating_sub(state.elapsed)),
    };
    let again = row
        .every_ms
        .map_or(String::new(), |every| format!(", then every {every} ms"));
    let what = match row.command.as_ref().map(actum_model::Json::to_value) {
        Some(command) => {
            let kind = command.get("type").and_then(Value::as_str).unwrap_or_default();
            let session = command.get("sessionId").and_then(Value::as_str);
            let place = session.map_or(String::new(), |id| format!(" in session `{id}`"));
            format!("submit `{kind}`{place} as `{}`", row.principal)
        }
        None => "fire and do nothing else".to_owned(),
    };
    format!("Timer `{}` waits: it will {what}, {when}{again}.", row.timer)
}
