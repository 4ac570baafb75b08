//! The digest of a state: a list of versioned component roots, absent while empty, so that a new component
//! changes no old digest. A root is SHA-256 over rows as RFC 8785 JSON, one a line (packed tables: their
//! bytes), so anyone can recompute it from a snapshot.

use super::State;
use actum_model::restore::{PackedTable, Restore};
use actum_model::{Hash, canonical};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A component of the state and its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name with the version of its rows.
    pub name: &'static str,
    /// SHA-256 over its rows.
    pub root: Hash,
}

/// The digest of a state and the components it is made of.
#[must_use]
pub fn state_digest(state: &State) -> (Hash, Vec<Component>) {
    let components: Vec<Component> = [
        ("meta/1", rows(std::iter::once(state.meta_row()))),
        ("sessions/1", rows(state.session_rows())),
        ("lanes/1", rows(state.lane_rows())),
        ("clock/1", rows(state.timers.clock_row().into_iter())),
        ("ticks/1", rows(state.timers.ticks_row().into_iter())),
        ("timers/1", rows(state.timer_rows())),
        ("ids/1", packed(state, PackedTable::Ids)),
        ("tombstones/1", packed(state, PackedTable::Tombstones)),
        ("keys/1", packed(state, PackedTable::Keys)),
        ("key-expiry/1", packed(state, PackedTable::KeyExpiry)),
        ("outcomes/1", rows(state.outcome_rows().map(|row| &**row))),
        ("commands/1", rows(state.commands.values().map(|row| &**row))),
        ("promises/1", rows(state.promises.rows_in_order())),
        ("graph/1", rows(state.graph.outline())),
    ]
    .into_iter()
    .filter_map(|(name, root)| root.map(|root| Component { name, root }))
    .collect();
    let parts: Vec<Vec<u8>> = components
        .iter()
        .map(|part| [part.name.as_bytes(), b"=", &part.root.0].concat())
        .collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    (Hash::of_parts("actum/state/v1", &parts), components)
}

fn rows<T: Serialize>(rows: impl Iterator<Item = T>) -> Option<Hash> {
    let mut hasher = Sha256::new();
    let mut any = false;
    for row in rows {
        any = true;
        // Rows are made of integers, texts, lists and maps with text keys, which always have a JSON form.
        let text = serde_json::to_value(&row)
            .ok()
            .and_then(|value| canonical::to_string(&value).ok());
        hasher.update(text.unwrap_or_default());
        hasher.update(b"\n");
    }
    any.then(|| Hash(hasher.finalize().into()))
}

fn packed(state: &State, table: PackedTable) -> Option<Hash> {
    let mut hasher = Sha256::new();
    let mut any = false;
    for piece in state.packed(table) {
        if let Restore::Packed { rows, .. } = piece {
            any = true;
            hasher.update(&rows);
        }
    }
    any.then(|| Hash(hasher.finalize().into()))
}
