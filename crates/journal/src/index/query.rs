//! Asking the index: filters joined by AND, pages by a cursor that stays valid while rows are added.

use super::schema::number;
use actum_model::limits::{PAGE_DEFAULT, PAGE_MAX};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Which end of history a page starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Oldest,
    /// Newest first.
    Newest,
}

/// What is asked for. Absent filters let everything through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only commands of this tenant.
    pub tenant: Option<String>,
    /// Only commands of this session.
    pub session: Option<String>,
    /// Only the command with this id.
    pub command: Option<String>,
    /// Only commands with this correlation id, the one that started it included.
    pub correlation: Option<String>,
    /// Only commands of this kind.
    pub kind: Option<String>,
    /// Only commands with this outcome; `open` for those without one.
    pub outcome: Option<String>,
    /// Only commands accepted at or after this time, milliseconds since 1970.
    pub from_at_ms: Option<u64>,
    /// Only commands accepted before this time.
    pub to_at_ms: Option<u64>,
    /// Only commands accepted by this record or later.
    pub from_idx: Option<u64>,
    /// Only commands accepted by this record or earlier.
    pub to_idx: Option<u64>,
    /// Where the page starts from.
    pub order: Order,
    /// `next_cursor` of the page before.
    pub cursor: Option<u64>,
    /// Rows wanted; at most `PAGE_MAX`, `PAGE_DEFAULT` if absent.
    pub limit: Option<usize>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are the fields of the same names in the model"
)]
pub struct Row {
    pub seq: u64,
    pub id: String,
    pub kind: String,
    pub tenant: String,
    pub principal: String,
    pub session: Option<String>,
    pub lane: Option<String>,
    pub lane_generation: Option<u64>,
    pub lane_seq: Option<u64>,
    pub correlation: Option<String>,
    pub causation: Option<String>,
    /// Ids of commands have no spaces, so the list is joined by them.
    pub depends_on: Option<String>,
    pub idempotency_key: Option<String>,
    pub if_version: Option<u64>,
    pub accepted_idx: u64,
    pub accepted_at_ms: u64,
    pub started_idx: Option<u64>,
    pub started_at_ms: Option<u64>,
    pub finished_idx: Option<u64>,
    pub finished_at_ms: Option<u64>,
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub session_version: Option<u64>,
}

/// Rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows, in the order asked for.
    pub rows: Vec<Row>,
    /// Cursor of the next page; absent on the last one.
    pub next_cursor: Option<u64>,
}

pub(super) fn run(connection: &Connection, filter: &Filter) -> rusqlite::Result<Page> {
    let limit = filter.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let (sql, values) = statement(filter, limit);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement
        .query_map(params_from_iter(values), row)?
        .collect::<rusqlite::Result<Vec<Row>>>()?;
    // One row more than asked for tells whether there is a next page.
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.seq);
    Ok(Page { rows, next_cursor })
}

fn statement(filter: &Filter, limit: usize) -> (String, Vec<Value>) {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(condition.replace('?', &format!("?{}", values.len())));
    };
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    let whole = |value: Option<u64>| value.map(|value| Value::Integer(number(value)));
    let cursor = match filter.order {
        Order::Oldest => "seq > ?",
        Order::Newest => "seq < ?",
    };
    let filters = [
        ("tenant = ?", text(&filter.tenant)),
        ("session = ?", text(&filter.session)),
        ("id = ?", text(&filter.command)),
        // The command that starts a correlation has none of its own: its id is the correlation.
        (
            "seq IN (SELECT seq FROM commands WHERE correlation = ? UNION SELECT seq FROM commands WHERE id = ?)",
            text(&filter.correlation),
        ),
        ("kind = ?", text(&filter.kind)),
        ("accepted_at >= ?", whole(filter.from_at_ms)),
        ("accepted_at < ?", whole(filter.to_at_ms)),
        ("accepted_idx >= ?", whole(filter.from_idx)),
        ("accepted_idx <= ?", whole(filter.to_idx)),
        (cursor, whole(filter.cursor)),
    ];
    for (condition, value) in filters {
        if let Some(value) = value {
            add(condition, value);
        }
    }
    match filter.outcome.as_deref() {
        Some("open") => conditions.push("outcome IS NULL".to_owned()),
        Some(outcome) => {
            values.push(Value::Text(outcome.to_owned()));
            conditions.push(format!("outcome = ?{}", values.len()));
        }
        None => {}
    }
    let condition = if conditions.is_empty() {
        "1".to_owned()
    } else {
        conditions.join(" AND ")
    };
    let direction = match filter.order {
        Order::Oldest => "ASC",
        Order::Newest => "DESC",
    };
    let limit = limit + 1;
    (
        format!("SELECT * FROM commands WHERE {condition} ORDER BY seq {direction} LIMIT {limit}"),
        values,
    )
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
    let maybe = |at: usize| {
        row.get::<_, Option<i64>>(at)
            .map(|value| value.map(i64::unsigned_abs))
    };
    Ok(Row {
        seq: number(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        tenant: row.get(3)?,
        principal: row.get(4)?,
        session: row.get(5)?,
        lane: row.get(6)?,
        lane_generation: maybe(7)?,
        lane_seq: maybe(8)?,
        correlation: row.get(9)?,
        causation: row.get(10)?,
        depends_on: row.get(11)?,
        idempotency_key: row.get(12)?,
        if_version: maybe(13)?,
        accepted_idx: number(14)?,
        accepted_at_ms: number(15)?,
        started_idx: maybe(16)?,
        started_at_ms: maybe(17)?,
        finished_idx: maybe(18)?,
        finished_at_ms: maybe(19)?,
        outcome: row.get(20)?,
        error_code: row.get(21)?,
        session_version: maybe(22)?,
    })
}
