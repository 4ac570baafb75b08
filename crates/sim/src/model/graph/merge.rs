//! What a collapse brings to System, or what is in its way: entry by entry, over whole maps.

use super::sheet::{Held, Place, Sheet};
use actum_model::{Hash, Json};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is in the way of a collapse, as its receipt lists it.
pub(super) type Conflicts = Vec<Value>;

/// A conflict as conflicts are sorted: nodes, edges, attachments; by id; by the hash of the key.
type Blocked = (u8, [u8; 32], [u8; 32], &'static str, String);

/// Added, removed, changed.
type Counts = [u64; 3];

/// What `ours` changed since `base`, carried over to `theirs`: the entries after it and the counts of the
/// receipt.
pub(super) fn merge(base: &Sheet, theirs: &Sheet, ours: &Sheet) -> Result<(Sheet, Value), Conflicts> {
    let mut result = theirs.clone();
    let mut blocked: BTreeSet<Blocked> = BTreeSet::new();
    let mut block = |sort: u8, id: &Hash, key: &str, code: &'static str| {
        blocked.insert((sort, id.0, Hash::of(key.as_bytes()).0, code, key.to_owned()));
    };
    let (nodes, lost_nodes) = carry(&base.nodes, &mut result.nodes, &ours.nodes);
    let (edges, lost_edges) = carry(&base.edges, &mut result.edges, &ours.edges);
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    let mut hung: Vec<Place> = Vec::new();
    let places: BTreeSet<&Place> = base.attachments.keys().chain(ours.attachments.keys()).collect();
    for place in places {
        let value = |sheet: &Sheet| sheet.attachments.get(place).map(|(value, _)| value.clone());
        let (was, is, wanted): (Option<Json>, _, _) = (value(base), value(theirs), value(ours));
        if wanted == was || wanted == is {
            continue;
        }
        if is != was {
            let code = if is.is_none() {
                "DELETED_IN_SYSTEM"
            } else {
                "CONTENT_CONFLICT"
            };
            block(2, &place.0.0, place.1.as_str(), code);
            continue;
        }
        let Some((value, version)) = ours.attachments.get(place) else {
            result.take(place);
            removed += 1;
            continue;
        };
        let known = theirs.attachments.get(place).map_or(theirs.floor, |held| held.1);
        match is {
            Some(_) => changed += 1,
            None => added += 1,
        }
        let held: Held = (value.clone(), (*version).max(known + 1));
        result.attachments.insert(place.clone(), held);
        hung.push(place.clone());
    }
    result.floor = result.floor.max(ours.floor);
    for (id, edge) in &result.edges {
        let brought = !theirs.edges.contains_key(id);
        let whole = result.nodes.contains_key(&edge.from) && result.nodes.contains_key(&edge.to);
        if brought && !whole {
            block(1, &id.0, "", "MISSING_ENDPOINT");
        }
    }
    for place in hung.iter().filter(|place| !result.has_target(&place.0)) {
        block(2, &place.0.0, place.1.as_str(), "MISSING_ENDPOINT");
    }
    for id in lost_nodes.iter().filter(|id| result.node_in_use(id)) {
        block(0, &id.0, "", "MISSING_ENDPOINT");
    }
    for id in lost_edges.iter().filter(|id| result.carries(&(**id).into())) {
        block(1, &id.0, "", "MISSING_ENDPOINT");
    }
    if blocked.is_empty() {
        let counts = json!({"nodes": said(nodes), "edges": said(edges), "attachments": said([added, removed, changed])});
        return Ok((result, counts));
    }
    Err(blocked.into_iter().map(listed).collect())
}

/// Carries over what was added or removed; gives the counts and what was removed.
fn carry<K: Ord + Copy, V: Clone>(
    base: &BTreeMap<K, V>,
    result: &mut BTreeMap<K, V>,
    ours: &BTreeMap<K, V>,
) -> (Counts, Vec<K>) {
    let mut added = 0;
    for (id, entry) in ours.iter().filter(|(id, _)| !base.contains_key(id)) {
        added += u64::from(result.insert(*id, entry.clone()).is_none());
    }
    let gone = base.keys().filter(|id| !ours.contains_key(id));
    let lost: Vec<K> = gone.filter(|id| result.remove(id).is_some()).copied().collect();
    ([added, lost.len() as u64, 0], lost)
}

fn said([added, removed, changed]: Counts) -> Value {
    json!({"added": added, "removed": removed, "changed": changed})
}

fn listed((sort, id, _, code, key): Blocked) -> Value {
    let id = Hash(id).to_string();
    match sort {
        0 => json!({"sort": "node", "id": id, "code": code}),
        1 => json!({"sort": "edge", "id": id, "code": code}),
        _ => json!({"sort": "attachment", "id": id, "key": key, "code": code}),
    }
}
