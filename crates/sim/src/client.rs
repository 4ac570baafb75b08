//! Clients: what they send, at random: new commands, the same again, something else under the same id, somebody
//! else's id, keys, dependencies, versions, cancels, resolutions.

use crate::model::{Model, Stand};
use crate::prng::Prng;
use actum_model::ids::CommandId;
use actum_model::time;
use serde_json::{Map, Value, json};

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) principal: &'static str,
    pub(crate) text: String,
    pub(crate) limited: bool,
}

const SESSIONS: &[&str] = &["s1", "s2", "s3", "s4", "nobody"];

/// The next message. `sent` are the ones before.
pub(crate) fn message(rng: &mut Prng, model: &Model, sent: &[Message], number: u64) -> Message {
    if let Some(earlier) = rng.pick(sent).filter(|_| number % 7 == 3) {
        return again(rng, earlier.clone());
    }
    let limited = rng.chance(25);
    let principal = if rng.chance(100) { "bob" } else { "alice" };
    Message {
        principal,
        text: fresh(rng, model, number).to_string(),
        limited,
    }
}

/// The same again, or nearly.
fn again(rng: &mut Prng, mut message: Message) -> Message {
    message.limited = rng.chance(50);
    if rng.chance(120) {
        message.principal = if message.principal == "alice" {
            "bob"
        } else {
            "alice"
        };
    }
    if rng.chance(250)
        && let Ok(Value::Object(mut members)) = serde_json::from_str(&message.text)
    {
        members.insert("payload".to_owned(), json!({"key": "other", "value": "content"}));
        members.insert("type".to_owned(), "session.annotate".into());
        members.retain(|name, _| name != "queueTimeoutMs");
        members.entry("sessionId").or_insert_with(|| "s1".into());
        message.text = Value::Object(members).to_string();
    }
    message
}

fn fresh(rng: &mut Prng, model: &Model, number: u64) -> Value {
    let mut members = Map::new();
    if !rng.chance(200) {
        members.insert("id".to_owned(), format!("c{number}").into());
    }
    let doubtful: Vec<CommandId> = model.uncertain().map(crate::model::id_of).collect();
    match rng.below(100) {
        0..=7 => cancel(rng, model, &mut members),
        8..=15 if !doubtful.is_empty() || rng.chance(100) => resolve(rng, &doubtful, &mut members),
        16..=32 => graph(rng, model, number, &mut members),
        _ => queued(rng, model, number, &mut members),
    }
    Value::Object(members)
}

/// A command about the graph, mostly without a session.
fn graph(rng: &mut Prng, model: &Model, number: u64, members: &mut Map<String, Value>) {
    let (kind, payload) = crate::rewrites::request(rng, model);
    members.insert("type".to_owned(), kind.into());
    members.insert("payload".to_owned(), payload);
    let session = rng.pick(SESSIONS).filter(|_| number.is_multiple_of(3)).copied();
    if let Some(session) = session {
        members.insert("sessionId".to_owned(), session.into());
    }
    circumstances(rng, model, session, members);
}

fn cancel(rng: &mut Prng, model: &Model, members: &mut Map<String, Value>) {
    let open: Vec<CommandId> = model.unfinished().map(crate::model::id_of).collect();
    let target = rng.pick(&open).map_or("c1".to_owned(), ToString::to_string);
    members.insert("type".to_owned(), "command.cancel".into());
    members.insert("payload".to_owned(), json!({"id": target}));
}

fn resolve(rng: &mut Prng, doubtful: &[CommandId], members: &mut Map<String, Value>) {
    let target = rng.pick(doubtful).map_or("c2".to_owned(), ToString::to_string);
    let how = *rng
        .pick(&["landed", "did_not_happen", "retry"])
        .unwrap_or(&"landed");
    members.insert("type".to_owned(), "command.resolve".into());
    members.insert(
        "payload".to_owned(),
        json!({"id": target, "as": how, "note": "looked"}),
    );
}

fn queued(rng: &mut Prng, model: &Model, number: u64, members: &mut Map<String, Value>) {
    let session = *rng.pick(SESSIONS).unwrap_or(&"s1");
    members.insert("sessionId".to_owned(), session.into());
    let (kind, payload) = match rng.below(100) {
        0..=14 => ("shell.run", json!({"argv": ["true", number.to_string()]})),
        15..=24 => (
            "shell.run",
            json!({"argv": ["true", number.to_string()], "probe": {"argv": ["look"]}}),
        ),
        25..=34 if rng.chance(200) => {
            members.remove("sessionId");
            ("session.create", json!({}))
        }
        25..=34 => ("session.create", json!({"metadata": {"made": number}})),
        35..=38 => ("session.delete", json!({})),
        39..=47 => {
            if rng.chance(600) {
                members.remove("sessionId");
            }
            ("timer.set", timer(rng, model))
        }
        48..=51 => {
            members.remove("sessionId");
            let id = format!("w{}", rng.below(6));
            ("timer.cancel", json!({"timerId": id}))
        }
        _ if rng.chance(100) => ("session.annotate", json!({"key": "k", "value": null})),
        _ => (
            "session.annotate",
            json!({"key": format!("k{}", number % 3), "value": number}),
        ),
    };
    members.insert("type".to_owned(), kind.into());
    members.insert("payload".to_owned(), payload);
    circumstances(rng, model, Some(session), members);
}

/// Keys, dependencies, conditions and limits.
fn circumstances(rng: &mut Prng, model: &Model, session: Option<&str>, members: &mut Map<String, Value>) {
    if rng.chance(200) {
        members.insert(
            "idempotencyKey".to_owned(),
            format!("key{}", rng.below(12)).into(),
        );
    }
    if rng.chance(220) {
        members.insert("dependsOn".to_owned(), depends_on(rng, model).into());
    }
    if let Some(session) = session.filter(|_| rng.chance(150)) {
        members.insert("ifSessionVersion".to_owned(), version(rng, model, session));
    }
    if rng.chance(200) {
        let ms = *rng.pick(&[1u64, 1000, 60_000]).unwrap_or(&1);
        members.insert("timeoutMs".to_owned(), ms.into());
    }
    if rng.chance(200) {
        let ms = *rng.pick(&[1u64, 1000, 600_000]).unwrap_or(&1);
        members.insert("queueTimeoutMs".to_owned(), ms.into());
    }
    if rng.chance(100) {
        members.insert("detach".to_owned(), true.into());
    }
}

/// A timer: once or periodic, by run time or by history time, with a command or without; some of them wrong.
fn timer(rng: &mut Prng, model: &Model) -> Value {
    let mut members = Map::new();
    if !rng.chance(200) {
        members.insert("timerId".to_owned(), format!("w{}", rng.below(6)).into());
    }
    let wait = *rng.pick(&[0u64, 40, 1000, 31_000, 700_000]).unwrap_or(&0);
    let calendar = rng.chance(400);
    if calendar {
        let at = time::rfc3339((model.at + wait).saturating_sub(20));
        members.insert("dueAt".to_owned(), at.into());
    }
    if rng.chance(if calendar { 50 } else { 800 }) {
        members.insert("afterMs".to_owned(), wait.into());
    }
    if rng.chance(400) {
        let every = *rng.pick(&[100u64, 1000, 60_000, 3_600_000]).unwrap_or(&1000);
        members.insert("everyMs".to_owned(), every.into());
    }
    let session = *rng.pick(SESSIONS).unwrap_or(&"s1");
    let command = match rng.below(6) {
        0 => json!({"type": "shell.run", "sessionId": session, "payload": {"argv": ["true"]}}),
        1 => json!({"type": "session.create"}),
        2 => json!({"type": "session.create", "sessionId": session}),
        3 => {
            json!({"type": "session.annotate", "sessionId": session, "payload": {"key": "t", "value": wait}})
        }
        4 => json!({"type": "timer.cancel", "payload": {"timerId": "w1"}}),
        _ => return Value::Object(members),
    };
    members.insert("command".to_owned(), command);
    Value::Object(members)
}

fn depends_on(rng: &mut Prng, model: &Model) -> Vec<Value> {
    let recent: Vec<CommandId> = model
        .commands
        .values()
        .rev()
        .take(12)
        .map(crate::model::id_of)
        .collect();
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..=rng.below(2) {
        let id = rng
            .pick(&recent)
            .map_or("unknown".to_owned(), ToString::to_string);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if rng.chance(50) {
        ids.push("never-sent".to_owned());
    }
    ids.into_iter().map(Value::from).collect()
}

fn version(rng: &mut Prng, model: &Model, session: &str) -> Value {
    let found = model.sessions.iter().find(|(id, _)| id.as_str() == session);
    let (version, generation) = found.map_or((0, 0), |(_, row)| (row.version, row.generation));
    let waiting = model
        .unfinished()
        .filter(|c| matches!(c.stand, Stand::Queued))
        .count() as u64;
    let version = version + rng.below(waiting.min(3) + 1);
    if rng.chance(500) {
        return version.into();
    }
    json!({"version": version, "generation": generation + u64::from(rng.chance(200))})
}
