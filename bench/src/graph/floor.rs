//! The floors: the same rows in an ordered map, and in SQLite in WAL mode.

use super::payload;
use actum_model::graph::{KindName, Node};
use anyhow::Result;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

const INSERT: &str = "INSERT INTO nodes (id, kind, payload) VALUES (?1, 'bench', ?2)";

pub(crate) fn node(number: u64) -> Result<Node> {
    Ok(Node {
        kind: KindName::parse("bench")?,
        payload: payload(number).into(),
    })
}

/// Rows in an ordered map.
pub(crate) struct Map {
    rows: BTreeMap<[u8; 32], Vec<u8>>,
}

impl Map {
    pub(crate) fn new(count: u64) -> Result<Map> {
        let row = |number| Ok((*node(number)?.id().bytes(), payload(number)));
        let rows = (0..count).map(row).collect::<Result<_>>()?;
        Ok(Map { rows })
    }

    /// Copies the map and hashes all of it: what a digest after one change, or a fork, costs without a trie.
    pub(crate) fn rebuild_and_hash(&self) -> Duration {
        let begun = Instant::now();
        let copy = self.rows.clone();
        let mut hasher = Sha256::new();
        for (id, payload) in &copy {
            hasher.update(id);
            hasher.update(payload);
        }
        black_box(hasher.finalize());
        begun.elapsed()
    }

    pub(crate) fn page(&self, after: [u8; 32]) -> Duration {
        let begun = Instant::now();
        let rows: Vec<_> = self
            .rows
            .range(after..)
            .take(200)
            .map(|(id, p)| (*id, p.clone()))
            .collect();
        black_box(rows);
        begun.elapsed()
    }
}

/// Rows in SQLite, which syncs as `synchronous` says.
pub(crate) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub(crate) fn new(path: &Path, synchronous: &str, count: u64) -> Result<Sqlite> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(
            "CREATE TABLE nodes (id BLOB PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID",
        )?;
        let mut ids = (0..count)
            .map(|number| Ok((*node(number)?.id().bytes(), number)))
            .collect::<Result<Vec<_>>>()?;
        ids.sort_unstable();
        let all = connection.transaction()?;
        {
            let mut insert = all.prepare_cached(INSERT)?;
            for (id, number) in ids {
                insert.execute(params![id, payload(number)])?;
            }
        }
        all.commit()?;
        Ok(Sqlite { connection })
    }

    /// Inserts these nodes in one transaction.
    pub(crate) fn insert(&mut self, numbers: std::ops::Range<u64>) -> Result<Duration> {
        let rows = numbers.map(|number| Ok((*node(number)?.id().bytes(), payload(number))));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let begun = Instant::now();
        let all = self.connection.transaction()?;
        {
            let mut insert = all.prepare_cached(INSERT)?;
            for (id, payload) in rows {
                insert.execute(params![id, payload])?;
            }
        }
        all.commit()?;
        Ok(begun.elapsed())
    }

    pub(crate) fn page(&self, after: [u8; 32]) -> Result<Duration> {
        let begun = Instant::now();
        let mut select = self
            .connection
            .prepare_cached("SELECT id, payload FROM nodes WHERE id > ?1 ORDER BY id LIMIT 200")?;
        let rows = select.query_map([after], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        black_box(rows.collect::<Result<Vec<_>, _>>()?);
        Ok(begun.elapsed())
    }
}
