//! Tables, version and settings of the index. Secondary indexes cost a write per command each, so there are
//! only those without which a filter would read the whole table.

use actum_model::Hash;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A change of anything below needs a new number; an index of another number is dropped and rebuilt.
const VERSION: i64 = 2;

/// Memory for pages while the index is fed.
const CACHE_KIB: i64 = 16 * 1024;

const TABLES: &str = "
CREATE TABLE applied (one INTEGER PRIMARY KEY CHECK (one = 1), records INTEGER NOT NULL, head BLOB NOT NULL);
CREATE TABLE commands (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  tenant TEXT NOT NULL,
  principal TEXT NOT NULL,
  session TEXT,
  lane TEXT,
  lane_generation INTEGER,
  lane_seq INTEGER,
  correlation TEXT,
  causation TEXT,
  depends_on TEXT,
  idempotency_key TEXT,
  if_version INTEGER,
  accepted_idx INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  started_idx INTEGER,
  started_at INTEGER,
  finished_idx INTEGER,
  finished_at INTEGER,
  outcome TEXT,
  error_code TEXT,
  session_version INTEGER
);
CREATE INDEX commands_id ON commands (id);
CREATE INDEX commands_session ON commands (session, seq) WHERE session IS NOT NULL;
CREATE INDEX commands_correlation ON commands (correlation, seq) WHERE correlation IS NOT NULL;
CREATE INDEX commands_accepted ON commands (accepted_idx);
";

pub(super) fn create_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // The index can be rebuilt, so losing its last transactions in a power cut costs nothing.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // The pages one transaction touches should fit, or they are written to the log again and again.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

pub(super) fn connect_to_ask(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    set_applied(connection, (0, Hash::ZERO))?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// Records applied and the hash of the last; `None` if the index has another version or no such row.
pub(super) fn applied(connection: &Connection) -> rusqlite::Result<Option<(u64, Hash)>> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        return Ok(None);
    }
    let row = connection
        .query_row("SELECT records, head FROM applied", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    Ok(row.and_then(|(records, head)| u64::try_from(records).ok().map(|records| (records, Hash(head)))))
}

pub(super) fn set_applied(connection: &Connection, next: (u64, Hash)) -> rusqlite::Result<()> {
    let (records, head) = next;
    let sql = "INSERT OR REPLACE INTO applied (one, records, head) VALUES (1, ?1, ?2)";
    connection
        .prepare_cached(sql)?
        .execute(params![number(records), head.0])
        .map(|_| ())
}

/// SQLite knows signed integers only; no position or time comes near the bound.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
