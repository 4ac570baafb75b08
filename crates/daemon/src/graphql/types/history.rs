//! The commands of the history, as `server.history` gives them.

use super::connection::Connection;
use crate::graphql::errors::Refused;
use crate::graphql::inputs::{self, HistoryFilterInput, PageInput};
use crate::graphql::moment::Moment;
use crate::graphql::scalars::{Timestamp, U64};
use actum_model::{Body, Envelope, time};
use async_graphql::{ID, Result, SimpleObject};
use serde_json::{Map, Value, json};

/// A command of the history.
#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct HistoryCommand {
    /// Its id.
    id: ID,
    /// Its number in the realm.
    seq: U64,
    /// Its kind.
    command: String,
    /// Who asked for it.
    principal: String,
    /// Its session.
    session_id: Option<ID>,
    /// The lane it stood in.
    lane: Option<String>,
    /// Its place in the lane.
    lane_seq: Option<U64>,
    /// The chain of commands it belongs to.
    correlation_id: Option<ID>,
    /// The command that caused it.
    causation_id: Option<ID>,
    /// Journal position of its acceptance.
    accepted_idx: U64,
    /// History time of its acceptance.
    accepted_at: Option<Timestamp>,
    /// Journal position of its start.
    started_idx: Option<U64>,
    /// Journal position of its outcome.
    finished_idx: Option<U64>,
    /// History time of its outcome.
    finished_at: Option<Timestamp>,
    /// Its outcome; null while it has none.
    outcome: Option<String>,
    /// Code of its error.
    error_code: Option<String>,
}

fn read(row: &Value) -> HistoryCommand {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| row.get(name).and_then(Value::as_u64).map(U64);
    let moment = |name: &str| text(name).and_then(|text| time::parse(&text)).map(Timestamp);
    HistoryCommand {
        id: ID(text("id").unwrap_or_default()),
        seq: number("seq").unwrap_or(U64(0)),
        command: text("command").unwrap_or_default(),
        principal: text("principal").unwrap_or_default(),
        session_id: text("sessionId").map(ID),
        lane: text("lane"),
        lane_seq: number("laneSeq"),
        correlation_id: text("correlationId").map(ID),
        causation_id: text("causationId").map(ID),
        accepted_idx: number("acceptedIdx").unwrap_or(U64(0)),
        accepted_at: moment("acceptedAt"),
        started_idx: number("startedIdx"),
        finished_idx: number("finishedIdx"),
        finished_at: moment("finishedAt"),
        outcome: text("outcome"),
        error_code: text("errorCode"),
    }
}

/// A page of the commands of the caller's tenant.
pub(crate) async fn history(
    moment: &Moment,
    filter: &HistoryFilterInput,
    page: Option<&PageInput>,
) -> Result<Connection<HistoryCommand>> {
    moment.breathe().await?;
    let page = inputs::page(page, |text| Some(text.to_owned()))?;
    let mut asked = Map::new();
    let id = |id: &Option<ID>| id.as_ref().map(|id| Value::from(id.as_str()));
    let at = |at: Option<Timestamp>| at.map(|at| Value::from(time::rfc3339(at.0)));
    let order = if filter.newest_first { "newest" } else { "oldest" };
    let fields = [
        ("sessionId", id(&filter.session_id)),
        ("commandId", id(&filter.command_id)),
        ("correlationId", id(&filter.correlation_id)),
        ("kind", filter.kind.clone().map(Value::from)),
        ("outcome", filter.outcome.clone().map(Value::from)),
        ("since", at(filter.since)),
        ("until", at(filter.until)),
        ("order", Some(order.into())),
        ("limit", Some(page.first.into())),
        ("after", page.after.clone().map(Value::from)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            asked.insert(name.to_owned(), value);
        }
    }
    let envelope = json!({"type": "server.history", "payload": asked});
    let envelope = Envelope::from_value(envelope).map_err(|refusal| Refused::of(&refusal))?;
    let response = moment.core.call(&moment.caller, envelope).await;
    let Body::Read(data) = &response.body else {
        return Err(Refused::of(&response).into());
    };
    let data = data.to_value();
    let rows = data.get("commands").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    let next = data.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
    let entries: Vec<_> = rows
        .iter()
        .map(|row| {
            let command = read(row);
            (command.seq.0.to_string(), command)
        })
        .collect();
    Ok(Connection::new(entries, next, page.after.is_some()))
}
