//! The three-way merge against the same merge on plain maps, and its single rules one by one. A failing case
//! prints its input and leaves a line in `proptest-regressions` that repeats it.

use crate::common::*;
use actum_graph::{Conflict, ConflictCode, EntryKey, NodeId, Op, View, merge};
use actum_model::limits::GRAPH_CONFLICTS_LISTED_MAX;
use proptest::prelude::*;

/// The merge of the document, on every key there is.
fn naive(base: &Model, theirs: &Model, ours: &Model) -> Result<Model, Vec<Conflict>> {
    let mut merged = theirs.clone();
    let (mut conflicts, mut checked) = (Vec::new(), Vec::new());
    for (id, node) in &ours.nodes {
        if !base.nodes.contains_key(id) {
            merged.nodes.insert(*id, node.clone());
        }
    }
    for id in base.nodes.keys().filter(|id| !ours.nodes.contains_key(id)) {
        merged.nodes.remove(id);
        checked.push(EntryKey::Node(*id));
    }
    for (id, edge) in ours.edges.iter().filter(|(id, _)| !base.edges.contains_key(id)) {
        merged.edges.insert(*id, edge.clone());
        checked.push(EntryKey::Edge(*id));
    }
    for id in base.edges.keys().filter(|id| !ours.edges.contains_key(id)) {
        merged.edges.remove(id);
        checked.push(EntryKey::Edge(*id));
    }
    merged.floor = merged.floor.max(ours.floor);
    let mut keys: Vec<_> = base
        .attachments
        .keys()
        .chain(ours.attachments.keys())
        .cloned()
        .collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let value = |model: &Model| model.attachments.get(&key).map(|entry| entry.0.clone());
        let (old, system, new) = (value(base), value(theirs), value(ours));
        if new == old || new == system {
            continue;
        }
        let entry = EntryKey::Attachment(key.0, key.1.clone());
        if system != old {
            let code = match system {
                Some(_) => ConflictCode::ContentConflict,
                None => ConflictCode::DeletedInSystem,
            };
            conflicts.push(Conflict { key: entry, code });
            continue;
        }
        let known = theirs.attachments.get(&key).map(|entry| entry.1);
        match ours.attachments.get(&key) {
            Some((value, version)) => {
                let version = (*version).max(known.unwrap_or(theirs.floor) + 1);
                merged.attachments.insert(key.clone(), (value.clone(), version));
                checked.push(entry);
            }
            None => {
                merged.attachments.remove(&key);
                merged.floor = merged.floor.max(known.unwrap());
            }
        }
    }
    checked.retain(|key| match key {
        EntryKey::Node(id) => !merged.nodes.contains_key(id) && merged.used(id.0),
        EntryKey::Edge(id) => match merged.edges.get(id) {
            Some(edge) => !merged.nodes.contains_key(&edge.from) || !merged.nodes.contains_key(&edge.to),
            None => merged.used(id.0),
        },
        EntryKey::Attachment(target, _) => !merged.has(target),
    });
    let code = ConflictCode::MissingEndpoint;
    conflicts.extend(checked.into_iter().map(|key| Conflict { key, code }));
    conflicts.sort_by_key(|conflict| conflict.key.order());
    if conflicts.is_empty() {
        Ok(merged)
    } else {
        Err(conflicts)
    }
}

fn forks(ops: &[Op], system: &[Op], sws: &[Op]) -> (View, View, View) {
    let mut base = View::default();
    run(&mut base, ops);
    let (mut theirs, mut ours) = (base.clone(), base.clone());
    run(&mut theirs, system);
    run(&mut ours, sws);
    (base, theirs, ours)
}

/// A base in which there is something to disagree about.
fn populated() -> Vec<Op> {
    let edges = [edge(0, 1, None), edge(1, 2, None), edge(0, 0, Some(1))];
    let mut ops: Vec<Op> = (0..4).map(add_node).collect();
    ops.extend(edges.iter().cloned().map(add_edge));
    ops.extend([set(id(0), "a", 0), set(id(1), "a", 0), set(id(1), "b", 1)]);
    ops.push(set(edges[1].id(), "a", 0));
    ops
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_merges_as_plain_maps_do(ops in any_ops(10), system in any_ops(30), sws in any_ops(30)) {
        let ops = [populated(), ops].concat();
        let (base, theirs, ours) = forks(&ops, &system, &sws);
        let expected = naive(&Model::of(&base), &Model::of(&theirs), &Model::of(&ours));
        match (merge(&base, &theirs, &ours), expected) {
            (Ok(merged), Ok(expected)) => {
                prop_assert_eq!(merged.view.check(), Ok(()));
                let found = Model::of(&merged.view);
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(merged.view.digest(), expected.rebuilt().digest());
                let (before, counts) = (Model::of(&theirs), merged.counts);
                let grown = found.nodes.len() as i64 - before.nodes.len() as i64;
                prop_assert_eq!(counts.nodes.added as i64 - counts.nodes.removed as i64, grown);
                let changes = actum_graph::diff(&theirs, &merged.view, None).count() as u64;
                let counted = [counts.nodes, counts.edges, counts.attachments]
                    .map(|counts| counts.added + counts.removed + counts.changed);
                prop_assert_eq!(counted.iter().sum::<u64>(), changes);
            }
            (Err(conflicts), Err(expected)) => {
                prop_assert_eq!(conflicts.count, expected.len() as u64);
                prop_assert_eq!(conflicts.listed, expected);
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn against_an_unchanged_system_the_result_is_what_the_fork_holds(ops in any_ops(40), sws in any_ops(20)) {
        let (base, theirs, ours) = forks(&ops, &[], &sws);
        let merged = merge(&base, &theirs, &ours).unwrap().view;
        let values = |view: &View| {
            let mut model = Model::of(view);
            model.attachments.values_mut().for_each(|entry| entry.1 = 0);
            model.floor = 0;
            model
        };
        prop_assert_eq!(values(&merged), values(&ours));
    }
}

fn conflict(ops: &[Op], system: &[Op], sws: &[Op]) -> Vec<(EntryKey, ConflictCode)> {
    let (base, theirs, ours) = forks(ops, system, sws);
    match merge(&base, &theirs, &ours) {
        Ok(_) => Vec::new(),
        Err(conflicts) => conflicts
            .listed
            .into_iter()
            .map(|found| (found.key, found.code))
            .collect(),
    }
}

fn id(number: u8) -> NodeId {
    node(number).id()
}

fn remove(number: u8) -> Op {
    Op::RemoveNode { id: id(number) }
}

#[test]
fn different_values_conflict_and_equal_ones_do_not() {
    let base = [add_node(1), set(id(1), "a", 0)];
    let key = EntryKey::Attachment(id(1).into(), key("a"));
    let content = [(key.clone(), ConflictCode::ContentConflict)];
    assert_eq!(
        conflict(&base, &[set(id(1), "a", 1)], &[set(id(1), "a", 2)]),
        content
    );
    assert_eq!(
        conflict(&base, &[set(id(1), "a", 1)], &[clear(id(1), "a")]),
        content
    );
    assert_eq!(conflict(&base, &[set(id(1), "a", 1)], &[set(id(1), "a", 1)]), []);
    assert_eq!(conflict(&base, &[clear(id(1), "a")], &[clear(id(1), "a")]), []);
    let there_and_back = [set(id(1), "a", 2), set(id(1), "a", 0)];
    assert_eq!(conflict(&base, &[set(id(1), "a", 1)], &there_and_back), []);
    assert_eq!(
        conflict(&base, &[clear(id(1), "a")], &[set(id(1), "a", 2)]),
        [(key, ConflictCode::DeletedInSystem)]
    );
}

#[test]
fn nothing_refers_to_what_is_gone() {
    let base = [add_node(1), add_node(2)];
    let loose = edge(1, 2, None);
    let missing = ConflictCode::MissingEndpoint;
    assert_eq!(
        conflict(&base, &[remove(2)], &[add_edge(loose.clone())]),
        [(EntryKey::Edge(loose.id()), missing)]
    );
    assert_eq!(
        conflict(&base, &[remove(2)], &[set(id(2), "a", 1)]),
        [(EntryKey::Attachment(id(2).into(), key("a")), missing)]
    );
    assert_eq!(
        conflict(&base, &[add_edge(loose)], &[remove(2)]),
        [(EntryKey::Node(id(2)), missing)]
    );
    assert_eq!(
        conflict(&base, &[set(id(2), "a", 1)], &[remove(2)]),
        [(EntryKey::Node(id(2)), missing)]
    );
    assert_eq!(conflict(&base, &[remove(2)], &[remove(2)]), []);
}

#[test]
fn who_knows_an_older_value_of_system_does_not_pass() {
    let (base, theirs, ours) = forks(
        &[add_node(1), set(id(1), "a", 0)],
        &[set(id(1), "a", 1), set(id(1), "a", 2), set(id(1), "a", 0)],
        &[set(id(1), "a", 9)],
    );
    let version = |view: &View| view.attachment(&id(1).into(), &key("a")).unwrap().version();
    let merged = merge(&base, &theirs, &ours).unwrap().view;
    assert_eq!((version(&theirs), version(&ours), version(&merged)), (4, 2, 5));
}

#[test]
fn many_conflicts_are_counted_and_the_first_are_listed() {
    let ops: Vec<Op> = std::iter::once(add_node(1)).collect();
    let sets = |value: u8| -> Vec<Op> {
        let names = 0..GRAPH_CONFLICTS_LISTED_MAX + 5;
        names
            .map(|number| set(id(1), &format!("k{number}"), value))
            .collect()
    };
    let (base, theirs, ours) = forks(&ops, &sets(1), &sets(2));
    let conflicts = merge(&base, &theirs, &ours).unwrap_err();
    assert_eq!(conflicts.listed.len(), GRAPH_CONFLICTS_LISTED_MAX);
    assert_eq!(conflicts.count, GRAPH_CONFLICTS_LISTED_MAX as u64 + 5);
    assert!(conflicts.listed.is_sorted_by_key(|conflict| conflict.key.order()));
}
