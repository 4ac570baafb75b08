//! `server.history`: answered from the rebuildable index, brought up to the durable head first. While nobody
//! asks, the index follows in quiet moments, so that it never competes with commands.

use super::handle::{Published, Shared};
use super::live::read_fault;
use crate::redact::{self, Rules};
use actum_journal::Reader;
use actum_journal::index::{Filter, Index, IndexError, Order, Row};
use actum_model::ids::Tenant;
use actum_model::{ErrorCode, Fault, time};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Between two looks at whether the daemon is quiet.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The history of a data directory.
pub(crate) struct History {
    path: PathBuf,
    reader: Reader,
    rules: Arc<Rules>,
    /// Opened when it is first needed: rebuilding takes time, and boot should not.
    index: Mutex<Option<Index>>,
}

impl History {
    pub(crate) fn new(data: &Path, reader: Reader, rules: Arc<Rules>) -> History {
        History {
            path: data.join("index.db"),
            reader,
            rules,
            index: Mutex::new(None),
        }
    }

    /// One page of a caller's commands. `filter` has the shape of the contract `server.history`.
    pub(crate) fn query(
        &self,
        tenant: &Tenant,
        filter: &Value,
        published: &Published,
    ) -> Result<Value, Fault> {
        let filter = parse(tenant, filter)?;
        let page = self.with_index(published, |index| index.query(&filter))?;
        let mut out = Map::new();
        out.insert(
            "commands".into(),
            page.rows.iter().map(|row| row_json(row, &self.rules)).collect(),
        );
        if let Some(cursor) = page.next_cursor {
            out.insert("nextCursor".into(), cursor.to_string().into());
        }
        Ok(Value::Object(out))
    }

    fn with_index<T>(
        &self,
        published: &Published,
        ask: impl FnOnce(&Index) -> Result<T, IndexError>,
    ) -> Result<T, Fault> {
        let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let through = published.head.checked_sub(1);
        let mut index = match slot.take() {
            Some(index) => index,
            None => Index::open(&self.path, &self.reader, through).map_err(|error| fault(&error))?,
        };
        match index.catch_up(&self.reader, through) {
            Err(IndexError::NeedsSnapshot { .. }) => self.seed(&mut index, published)?,
            other => other.map(drop).map_err(|error| fault(&error))?,
        }
        let answer = ask(&index).map_err(|error| fault(&error));
        *slot = Some(index);
        answer
    }

    /// What was compacted away is known from state, as far as its outcomes are kept.
    fn seed(&self, index: &mut Index, published: &Published) -> Result<(), Fault> {
        let Some(idx) = published.head.checked_sub(1) else {
            return Ok(());
        };
        let hash = self.reader.record(idx).map_err(|error| read_fault(&error))?.hash;
        let pieces = published.state.pieces().map(|piece| vec![piece]);
        index.seed(idx, hash, pieces).map_err(|error| fault(&error))
    }
}

/// Follows the head in quiet moments, until the core is gone.
pub(crate) async fn follow(shared: Weak<Shared>) {
    let mut before = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        let published = shared.published.load_full();
        let quiet = before.replace(published.head) == Some(published.head);
        if !quiet {
            continue;
        }
        let caught_up = tokio::task::spawn_blocking(move || {
            shared
                .history
                .with_index(&published, |_| Ok(()))
                .map_err(|fault| fault.message)
        });
        if let Ok(Err(error)) = caught_up.await {
            tracing::warn!(error, "the history index does not follow");
        }
    }
}

fn fault(error: &IndexError) -> Fault {
    match error {
        IndexError::Read(error) => read_fault(error),
        other => Fault::new(ErrorCode::Internal, other.to_string()),
    }
}

fn parse(tenant: &Tenant, filter: &Value) -> Result<Filter, Fault> {
    let text = |name: &str| filter.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| filter.get(name).and_then(Value::as_u64);
    let moment = |name: &str| match text(name) {
        None => Ok(None),
        Some(text) => time::parse(&text).map(Some).ok_or_else(|| {
            let message = format!("/payload/{name}: expected RFC 3339 or milliseconds, got `{text}`");
            Fault::new(ErrorCode::InvalidInput, message)
        }),
    };
    let cursor = match text("after") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Fault::new(
                ErrorCode::InvalidInput,
                "/payload/after: expected the `nextCursor` of the page before",
            )
        })?),
    };
    Ok(Filter {
        tenant: Some(tenant.to_string()),
        session: text("sessionId"),
        command: text("commandId"),
        correlation: text("correlationId"),
        kind: text("kind"),
        outcome: text("outcome").map(|word| {
            if word == "unfinished" {
                "open".to_owned()
            } else {
                word
            }
        }),
        from_at_ms: moment("since")?,
        to_at_ms: moment("until")?,
        from_idx: number("fromIdx"),
        to_idx: number("toIdx"),
        order: if text("order").as_deref() == Some("newest") {
            Order::Newest
        } else {
            Order::Oldest
        },
        cursor,
        limit: number("limit").and_then(|n| usize::try_from(n).ok()),
    })
}

fn row_json(row: &Row, rules: &Rules) -> Value {
    let mut out = json!({
        "seq": row.seq,
        "id": row.id,
        "command": row.kind,
        "principal": row.principal,
        "acceptedIdx": row.accepted_idx,
        "acceptedAt": time::rfc3339(row.accepted_at_ms),
    });
    let moment = |at: Option<u64>| at.map(|at| Value::from(time::rfc3339(at)));
    let optional = [
        ("sessionId", row.session.clone().map(Value::from)),
        ("lane", row.lane.clone().map(Value::from)),
        ("laneGeneration", row.lane_generation.map(Value::from)),
        ("laneSeq", row.lane_seq.map(Value::from)),
        ("correlationId", row.correlation.clone().map(Value::from)),
        ("causationId", row.causation.clone().map(Value::from)),
        (
            "dependsOn",
            row.depends_on.as_ref().map(|ids| ids.split(' ').collect()),
        ),
        ("idempotencyKey", row.idempotency_key.clone().map(Value::from)),
        ("ifSessionVersion", row.if_version.map(Value::from)),
        ("startedIdx", row.started_idx.map(Value::from)),
        ("startedAt", moment(row.started_at_ms)),
        ("finishedIdx", row.finished_idx.map(Value::from)),
        ("finishedAt", moment(row.finished_at_ms)),
        ("outcome", row.outcome.clone().map(Value::from)),
        ("errorCode", row.error_code.clone().map(Value::from)),
        ("sessionVersion", row.session_version.map(Value::from)),
    ];
    if let Value::Object(members) = &mut out {
        members.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
    }
    redact::export_row(&mut out, rules);
    out
}
