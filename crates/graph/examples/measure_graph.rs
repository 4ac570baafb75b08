//! Measures what the graph is asked to hold: `cargo run --release -p actum-graph --example measure_graph [NODES]`.
//! Prints times per operation and memory per entry beside the floor, a plain ordered map hashed from scratch. It
//! asserts nothing; machines differ.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]

use actum_graph::{
    AttachmentKey, Edge, EntryKey, Expectation, KindName, Node, NodeFilter, NodeId, Op, Page, View, diff,
    merge, verify,
};
use actum_model::{Hash, Json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

const PAYLOAD_BYTES: usize = 100;

fn main() {
    let argument = std::env::args().nth(1);
    let nodes: u64 = argument.map_or(1_000_000, |text| text.parse().unwrap());
    println!("nodes of {PAYLOAD_BYTES} payload bytes: {nodes}");
    let mut view = build(nodes);
    with_digest(&mut view, nodes);
    reads(&view, nodes);
    merging(&view, nodes);
    floor(&view);
    edges_and_attachments(&mut view, nodes);
}

fn node(number: u64) -> Node {
    let mut payload = vec![7; PAYLOAD_BYTES - 8];
    payload.extend_from_slice(&number.to_be_bytes());
    Node {
        kind: KindName::parse("measured").unwrap(),
        payload: payload.into(),
    }
}

fn add(number: u64) -> Op {
    let Node { kind, payload } = node(number);
    Op::AddNode { kind, payload }
}

fn row(what: &str, each: Duration) {
    println!("{what:<58} {:>12.2} µs", each.as_secs_f64() * 1e6);
}

/// Mean time of one of `times` runs.
fn time(times: u32, mut run: impl FnMut(u32)) -> Duration {
    let start = Instant::now();
    (0..times).for_each(&mut run);
    start.elapsed() / times
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

fn memory(what: &str, before: u64, entries: u64) {
    let each = resident().saturating_sub(before) / entries.max(1);
    println!("{what:<58} {each:>12} bytes");
}

fn build(nodes: u64) -> View {
    let before = resident();
    let mut view = View::default();
    let start = Instant::now();
    for number in 0..nodes {
        view.apply(&[add(number)]).unwrap();
    }
    row(
        "add one node, no digest asked (replay)",
        start.elapsed() / nodes as u32,
    );
    let start = Instant::now();
    black_box(view.digest());
    row("first digest of the whole view", start.elapsed());
    memory("memory per node, indices and digests included", before, nodes);
    view
}

fn with_digest(view: &mut View, nodes: u64) {
    let mut fresh = nodes;
    let each = time(10_000, |_| {
        view.apply(&[add(fresh)]).unwrap();
        black_box(view.digest());
        fresh += 1;
    });
    row("add one node and ask the view digest", each);
    let mut held = view.clone();
    let each = time(10_000, |_| {
        held = view.clone();
        view.apply(&[add(fresh)]).unwrap();
        black_box(view.digest());
        fresh += 1;
    });
    row("the same while a reader holds the view before it", each);
    row("fork", time(100_000, |_| drop(black_box(view.clone()))));
}

fn reads(view: &View, nodes: u64) {
    let id = |number: u64| node(number % nodes).id();
    let filter = NodeFilter::default();
    let each = time(1_000, |at| {
        let page = Page {
            first: 200,
            after: Some(id(u64::from(at) * 7919)),
        };
        black_box(view.nodes(&filter, &page));
    });
    row("page of 200 nodes at any depth", each);
    let ids: Vec<NodeId> = (0..10_000).map(|at| id(at * 7919)).collect();
    let each = time(10_000, |at| {
        black_box(view.node(ids.get(at as usize).unwrap()));
    });
    row("read one node", each);
    let digest = view.digest();
    let key = EntryKey::Node(id(1));
    row(
        "prove one node",
        time(1_000, |_| drop(black_box(view.prove(&key)))),
    );
    let proof = view.prove(&key);
    let expected = Expectation::Present(id(1).0);
    let each = time(1_000, |_| verify(&digest, &key, expected, &proof).unwrap());
    row("verify the proof", each);
    println!(
        "{:<58} {:>12}",
        "siblings in the proof",
        proof.path.siblings.len()
    );
}

fn merging(base: &View, nodes: u64) {
    let (mut theirs, mut ours) = (base.clone(), base.clone());
    for number in 0..1_000 {
        ours.apply(&[add(3 * nodes + number)]).unwrap();
        theirs.apply(&[add(4 * nodes + number)]).unwrap();
    }
    black_box(theirs.digest());
    let each = time(20, |_| drop(black_box(merge(base, &theirs, &ours).unwrap())));
    row("merge of 1,000 changes onto 1,000 others", each);
    let each = time(20, |_| {
        black_box(merge(base, &theirs, &ours).unwrap().view.digest());
    });
    row("the same with the digest of the result", each);
    row(
        "diff of 1,000 changes",
        time(20, |_| assert_eq!(diff(base, &ours, None).count(), 1_000)),
    );
}

/// What it would cost without the trie.
fn floor(view: &View) {
    let mut plain: BTreeMap<NodeId, Node> = BTreeMap::new();
    let mut page = Page {
        first: 1000,
        after: None,
    };
    let start = Instant::now();
    loop {
        let paged = view.nodes(&NodeFilter::default(), &page);
        plain.extend(paged.items);
        page.after = paged.next;
        if page.after.is_none() {
            break;
        }
    }
    row("read the whole view in pages of 1,000", start.elapsed());
    let start = Instant::now();
    let copy = plain.clone();
    row("floor: copy a plain ordered map", start.elapsed());
    let start = Instant::now();
    let mut hasher = Sha256::new();
    for (id, node) in &copy {
        hasher.update(id.bytes());
        hasher.update(node.kind.as_str());
        hasher.update(node.payload.as_bytes());
    }
    black_box(hasher.finalize());
    row("floor: hash a plain ordered map from scratch", start.elapsed());
}

fn edges_and_attachments(view: &mut View, nodes: u64) {
    let ids: Vec<NodeId> = (0..nodes).map(|number| node(number).id()).collect();
    let kind = KindName::parse("next").unwrap();
    let before = resident();
    let start = Instant::now();
    for (from, to) in ids.iter().zip(ids.iter().skip(1)) {
        let op = Op::AddEdge {
            from: *from,
            to: *to,
            kind: kind.clone(),
            payload: None,
        };
        view.apply(&[op]).unwrap();
    }
    row("add one edge, no digest asked", start.elapsed() / nodes as u32);
    black_box(view.digest());
    memory(
        "memory per edge without payload, both indices included",
        before,
        nodes,
    );
    let before = resident();
    let key = AttachmentKey::parse("status").unwrap();
    let start = Instant::now();
    for id in &ids {
        let op = Op::SetAttachment {
            target: (*id).into(),
            key: key.clone(),
            value: Json::from_canonical("\"done\""),
            expected_version: None,
        };
        view.apply(&[op]).unwrap();
    }
    row(
        "set one attachment, no digest asked",
        start.elapsed() / nodes as u32,
    );
    black_box(view.digest());
    memory("memory per short attachment", before, nodes);
    let last = Edge {
        from: NodeId(Hash::ZERO),
        to: NodeId(Hash::ZERO),
        kind,
        payload: None,
    };
    black_box(view.edge(&last.id()));
    println!("{:<58} {:>12} MiB", "resident in the end", resident() >> 20);
}
