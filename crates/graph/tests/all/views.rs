//! Views against a naive model: operations, forks, paging, differences, compact forms. A failing case prints its
//! input and leaves a line in `proptest-regressions` that repeats it.

use crate::common::*;
use actum_graph::{Direction, EdgeFilter, NodeFilter, NodeId, Op, Page, Patch, View};
use actum_graph::{apply_changes, apply_patches, diff, diff_page, patches};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn operations_do_what_they_do_on_plain_maps(rewrites in prop::collection::vec(
        prop::collection::vec(any_op(), 1..5), 0..40,
    )) {
        let (mut view, mut model) = (View::default(), Model::default());
        for ops in rewrites {
            let mut next = model.clone();
            let mut expected = Vec::new();
            let refused = ops.iter().enumerate().find_map(|(index, op)| match next.step(op) {
                Ok(changed) => {
                    expected.push(changed);
                    None
                }
                Err(code) => Some((index, code)),
            });
            let before = view.digest();
            match (view.apply(&ops), refused) {
                (Ok(applied), None) => {
                    let changed: Vec<bool> = applied.results.iter().map(|result| result.changed).collect();
                    prop_assert_eq!(changed, expected);
                    model = next;
                }
                (Err(refusal), Some(refused)) => {
                    prop_assert_eq!((refusal.op_index, refusal.reason.code()), refused);
                    prop_assert_eq!(view.digest(), before);
                }
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
            prop_assert_eq!(view.check(), Ok(()));
        }
        prop_assert_eq!(Model::of(&view), model);
    }

    #[test]
    fn the_digest_is_of_the_entries(ops in any_ops(60)) {
        let mut view = View::default();
        run(&mut view, &ops);
        prop_assert_eq!(Model::of(&view).rebuilt().digest(), view.digest());
    }

    #[test]
    fn a_fork_is_not_touched(ops in any_ops(40), more in any_ops(40)) {
        let mut view = View::default();
        run(&mut view, &ops);
        let (fork, digest, model) = (view.clone(), view.digest(), Model::of(&view));
        run(&mut view, &more);
        prop_assert_eq!(fork.digest(), digest);
        prop_assert_eq!(Model::of(&fork), model);
    }

    #[test]
    fn a_difference_taken_over_makes_one_of_the_other(ops in any_ops(40), more in any_ops(40)) {
        let mut from = View::default();
        run(&mut from, &ops);
        let mut to = from.clone();
        run(&mut to, &more);
        for to in [to.clone(), Model::of(&to).rebuilt(), View::default()] {
            let mut made = from.clone();
            apply_changes(&mut made, diff(&from, &to, None));
            prop_assert_eq!(made.digest(), to.digest());
            let mut made = from.clone();
            apply_patches(&mut made, read_back(patches(&from, &to)));
            prop_assert_eq!(Model::of(&made), Model::of(&to));
            prop_assert_eq!(made.digest(), to.digest());
        }
    }

    #[test]
    fn pages_of_a_difference_neither_repeat_nor_miss(ops in any_ops(30), more in any_ops(40), first in 1usize..4) {
        let mut from = View::default();
        run(&mut from, &ops);
        let mut to = from.clone();
        run(&mut to, &more);
        let (a, b) = (Model::of(&from), Model::of(&to));
        let mut expected: Vec<_> = a.keys().into_iter().chain(b.keys()).collect();
        expected.sort_by_key(actum_graph::EntryKey::order);
        expected.dedup();
        expected.retain(|key| from.value_hash(key) != to.value_hash(key));
        let mut found = Vec::new();
        let mut page = Page { first, after: None };
        loop {
            let paged = diff_page(&from, &to, &page);
            prop_assert!(paged.items.len() <= first);
            found.extend(paged.items.into_iter().map(|change| change.key));
            page.after = paged.next;
            if page.after.is_none() {
                break;
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn filtered_pages_hold_what_matches_in_order(
        ops in any_ops(60), first in 1usize..4, number in 0u8..4, other in 0u8..4,
    ) {
        let mut view = View::default();
        run(&mut view, &ops);
        let model = Model::of(&view);
        let (from, to) = (node(number).id(), node(other).id());
        for (wants_from, wants_to) in [(true, false), (false, true), (true, true)] {
            let filter = EdgeFilter {
                kinds: vec![kind("to")],
                from: wants_from.then_some(from),
                to: wants_to.then_some(to),
            };
            let found = all(first, |page| view.edges(&filter, page));
            let matches = |edge: &actum_graph::Edge| {
                (!wants_from || edge.from == from) && (!wants_to || edge.to == to)
            };
            let mut expected: Vec<_> = model.edges.clone().into_iter().collect();
            expected.retain(|(_, edge)| matches(edge));
            prop_assert_eq!(found, expected);
        }
        let filter = NodeFilter { kinds: vec![kind("odd")], has_keys: vec![key("a"), key("b")] };
        let mut expected: Vec<_> = model.nodes.clone().into_iter().collect();
        expected.retain(|(id, node)| {
            let has = |name| model.attachments.contains_key(&((*id).into(), key(name)));
            node.kind == kind("odd") && has("a") && has("b")
        });
        prop_assert_eq!(all(first, |page| view.nodes(&filter, page)), expected);
        for direction in [Direction::Outgoing, Direction::Incoming, Direction::Both] {
            let found = all(first, |page| view.neighbors(&from, direction, &[], page));
            let found: Vec<_> = found.into_iter().map(|neighbor| (neighbor.edge_id, neighbor.node)).collect();
            let mut expected = Vec::new();
            for (id, edge) in &model.edges {
                if edge.from == from && direction != Direction::Incoming {
                    expected.push((*id, edge.to));
                } else if edge.to == from && direction != Direction::Outgoing {
                    expected.push((*id, edge.from));
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn operations_read_back_from_the_journal_and_from_the_wire(ops in prop::collection::vec(any_op(), 1..20)) {
        let bytes = serde_ipld_dagcbor::to_vec(&ops).unwrap();
        prop_assert_eq!(&serde_ipld_dagcbor::from_slice::<Vec<Op>>(&bytes).unwrap(), &ops);
        let wire = ops.iter().map(Op::to_wire).collect();
        prop_assert_eq!(actum_graph::parse_ops(&wire, "/ops").unwrap(), ops);
    }
}

fn read_back(patches: impl Iterator<Item = Patch>) -> Vec<Patch> {
    let patches: Vec<Patch> = patches.collect();
    let bytes = serde_ipld_dagcbor::to_vec(&patches).unwrap();
    let read: Vec<Patch> = serde_ipld_dagcbor::from_slice(&bytes).unwrap();
    assert_eq!(read, patches);
    read
}

/// Everything a listing has, following its cursors.
fn all<T, K>(first: usize, list: impl Fn(&Page<K>) -> actum_graph::Paged<T, K>) -> Vec<T> {
    let mut page = Page { first, after: None };
    let mut items = Vec::new();
    loop {
        let paged = list(&page);
        assert!(paged.items.len() <= first);
        items.extend(paged.items);
        page.after = paged.next;
        if page.after.is_none() {
            return items;
        }
    }
}

#[test]
fn removing_what_was_added_leads_back_to_the_digest() {
    let mut view = View::default();
    let empty = view.digest();
    let (one, loop_edge) = (node(1).id(), edge(1, 1, None));
    view.apply(&[add_node(1), add_edge(loop_edge.clone()), set(one, "a", 1)])
        .unwrap();
    assert_ne!(view.digest(), empty);
    let id = loop_edge.id();
    view.apply(&[clear(one, "a"), Op::RemoveEdge { id }, Op::RemoveNode { id: one }])
        .unwrap();
    assert_eq!(view.digest(), empty);
    assert_eq!(view.referrer_of_node(&one), None);
}

#[test]
fn no_version_of_a_key_is_given_twice() {
    let mut view = View::default();
    let one: NodeId = node(1).id();
    let applied = view
        .apply(&[add_node(1), set(one, "a", 1), set(one, "a", 2), set(one, "a", 2)])
        .unwrap();
    let versions: Vec<_> = applied.results.iter().map(|result| result.version).collect();
    assert_eq!(versions, [None, Some(1), Some(2), Some(2)]);
    assert!(!applied.results[3].changed);
    view.apply(&[clear(one, "a"), Op::RemoveNode { id: one }])
        .unwrap();
    let applied = view.apply(&[add_node(1), set(one, "a", 1)]).unwrap();
    assert_eq!(
        applied.results[1].version,
        Some(3),
        "not 1, which the first writer may still expect"
    );
}

#[test]
fn an_absent_payload_is_not_an_empty_one() {
    assert_ne!(edge(0, 1, None).id(), edge(0, 1, Some(0)).id());
}

#[test]
fn a_filtered_page_stops_looking_and_gives_a_cursor() {
    let mut view = View::default();
    let nodes = (0..10_000u32).map(|number| {
        Patch::Node(actum_graph::Node {
            kind: kind("common"),
            payload: number.to_be_bytes().to_vec().into(),
        })
    });
    apply_patches(&mut view, nodes);
    let filter = NodeFilter {
        kinds: vec![kind("rare")],
        ..NodeFilter::default()
    };
    let paged = view.nodes(&filter, &Page::default());
    assert!(paged.items.is_empty() && paged.next.is_some());
}

#[test]
fn paging_a_held_view_is_not_touched_by_changes() {
    let mut view = View::default();
    view.apply(&(0..100).map(add_node).collect::<Vec<_>>()).unwrap();
    let held = view.clone();
    let mut expected: Vec<NodeId> = (0..100).map(|number| node(number).id()).collect();
    expected.sort();
    let mut page = Page {
        first: 7,
        after: None,
    };
    let mut found = Vec::new();
    for number in 0..100 {
        view.apply(&[
            add_node(100 + number),
            Op::RemoveNode {
                id: node(number).id(),
            },
        ])
        .unwrap();
        let paged = held.nodes(&NodeFilter::default(), &page);
        found.extend(paged.items.into_iter().map(|(id, _)| id));
        page.after = paged.next;
        if page.after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn a_refused_rewrite_leaves_no_trace() {
    let mut view = View::default();
    let one = node(1).id();
    view.apply(&[add_node(1), set(one, "a", 1)]).unwrap();
    let (before, digest) = (Model::of(&view), view.digest());
    let ops = [
        clear(one, "a"),
        set(one, "a", 2),
        add_node(2),
        add_edge(edge(1, 2, None)),
        Op::RemoveNode { id: one },
    ];
    let refusal = view.apply(&ops).unwrap_err();
    assert_eq!((refusal.op_index, refusal.reason.code()), (4, "IN_USE"));
    assert_eq!((Model::of(&view), view.digest()), (before, digest));
    let too_many = vec![add_node(3); 257];
    assert_eq!(view.apply(&too_many).unwrap_err().reason.code(), "INVALID_INPUT");
    assert_eq!(view.apply(&[]).unwrap_err().reason.code(), "INVALID_INPUT");
}
