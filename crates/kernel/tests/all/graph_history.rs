//! Random histories of the graph through snapshot pieces: the restored state is the same, reads the same, goes on
//! the same, and shares between versions what the original shared.

use actum_graph::{NodeFilter, Page};
use actum_kernel::state::SnapshotId;
use actum_kernel::{Decision, State, advance, apply_event, state_digest};
use actum_model::effect::{SettledAs, Settlement};
use actum_model::envelope::Caller;
use actum_model::event::Event;
use actum_model::graph::{GraphEvent, GraphPiece, KindName, Node, Payload, ViewName};
use actum_model::ids::{Principal, Tenant};
use actum_model::input::{Boot, OverRate, Submit};
use actum_model::restore::Restore;
use actum_model::{Envelope, Hash, Input, RealmConfig, Stamped};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A state with its clock, and every version a view ever had.
#[derive(Clone)]
struct Realm {
    state: State,
    at: u64,
    versions: BTreeSet<(ViewName, SnapshotId)>,
}

impl Realm {
    fn new(config: RealmConfig) -> Realm {
        let mut realm = Realm {
            state: State::default(),
            at: 1,
            versions: BTreeSet::new(),
        };
        realm.input(Input::Boot(Boot {
            realm: vec![1; 16],
            incarnation: vec![2; 16],
            node: String::new(),
            build: String::new(),
            contracts: Hash::ZERO,
            classes: None,
            config,
        }));
        realm
    }

    fn input(&mut self, input: Input) -> Decision {
        let (at, elapsed) = (self.at, self.at);
        let decision = advance(&mut self.state, &Stamped { at, elapsed, input });
        for event in &decision.events {
            let Event::Graph(event) = event else { continue };
            for name in [ViewName::System, ViewName::Sws(event.sws())] {
                let version = self.state.version(&Tenant::main(), name, None);
                self.versions
                    .extend(version.map(|version| (name, version.snapshot())).ok());
            }
        }
        decision
    }

    fn submit(&mut self, command: &Value) -> Decision {
        let text = command.to_string();
        let submit = Submit {
            caller: Caller {
                tenant: Tenant::main(),
                principal: Principal::parse("alice").unwrap(),
                exec: None,
            },
            envelope: Envelope::parse(text.as_bytes()).unwrap(),
            fingerprint: Hash::of(text.as_bytes()),
            redacted: false,
            limited: OverRate::default(),
        };
        self.input(Input::Submit(submit))
    }

    fn rewrite(&mut self, sws: u64, ops: &[Value]) -> Decision {
        let payload = json!({"view": format!("sws:{sws}"), "ops": ops});
        self.submit(&json!({"type": "graph.rewrite", "payload": payload}))
    }

    /// The same from its snapshot pieces.
    fn restored(&self) -> Realm {
        let mut state = State::default();
        self.state
            .pieces()
            .for_each(|piece| apply_event(&mut state, piece));
        Realm {
            state,
            ..self.clone()
        }
    }

    /// What can be read of every version there ever was, and of the rewrite log.
    fn readings(&self) -> Vec<String> {
        let tenant = Tenant::main();
        let read = |(name, snapshot): &(ViewName, SnapshotId)| match self.state.version(
            &tenant,
            *name,
            Some(*snapshot),
        ) {
            Ok(version) => {
                let nodes = version.view.nodes(&NodeFilter::default(), &Page::default());
                version.view.check().unwrap();
                assert_eq!(version.view.digest(), version.digest);
                format!("{name} {snapshot} {:?}", nodes.items)
            }
            Err(fault) => format!("{name} {snapshot} {}", fault.code),
        };
        let log =
            (0..self.state.graph.next_rewrite).map(|idx| format!("{:?}", self.state.graph.rewrite(idx)));
        self.versions.iter().map(read).chain(log).collect()
    }
}

fn node(number: u64) -> Node {
    Node {
        kind: KindName::parse("k").unwrap(),
        payload: Payload::from(number.to_be_bytes().as_slice()),
    }
}

fn add(number: u64) -> Value {
    let node = node(number);
    json!({"op": "AddNode", "data": {"kind": "k", "payload_b64": node.payload.to_base64()}})
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Create,
    Add(u64, u64),
    Link(u64, u64, u64),
    Remove(u64, u64),
    Set(u64, u64, u64),
    Clear(u64, u64),
    Collapse(u64),
    Rebase(u64),
    Discard(u64),
    Pass(u64),
}

const SWS: u64 = 5;
const NODES: u64 = 5;

fn step() -> impl Strategy<Value = Step> {
    let (sws, number) = (0..SWS, 0..NODES);
    prop_oneof![
        3 => Just(Step::Create),
        6 => (sws.clone(), number.clone()).prop_map(|(sws, number)| Step::Add(sws, number)),
        3 => (sws.clone(), number.clone(), number.clone()).prop_map(|(sws, a, b)| Step::Link(sws, a, b)),
        2 => (sws.clone(), number.clone()).prop_map(|(sws, number)| Step::Remove(sws, number)),
        4 => (sws.clone(), number.clone(), 0..3u64).prop_map(|(sws, number, v)| Step::Set(sws, number, v)),
        2 => (sws.clone(), number).prop_map(|(sws, number)| Step::Clear(sws, number)),
        2 => sws.clone().prop_map(Step::Collapse),
        2 => sws.clone().prop_map(Step::Rebase),
        1 => sws.prop_map(Step::Discard),
        1 => (0..2000u64).prop_map(Step::Pass),
    ]
}

/// Shadow working sets are counted from the newest, so that steps meet the active ones.
fn take(realm: &mut Realm, step: &Step) -> Option<Decision> {
    let newest = realm.state.graph.next_sws;
    let nth = |back: &u64| newest.saturating_sub(1 + back);
    let id = |number: &u64| node(*number).id().to_string();
    let sws = |kind: &str, back: &u64| json!({"type": kind, "payload": {"swsId": nth(back).to_string()}});
    let (back, op) = match step {
        Step::Create => return Some(realm.submit(&json!({"type": "sws.create"}))),
        Step::Collapse(back) => return Some(realm.submit(&sws("sws.collapse", back))),
        Step::Rebase(back) => return Some(realm.submit(&sws("sws.rebase", back))),
        Step::Discard(back) => return Some(realm.submit(&sws("sws.discard", back))),
        Step::Pass(ms) => {
            realm.at += ms;
            return None;
        }
        Step::Add(back, number) => (back, add(*number)),
        Step::Link(back, from, to) => {
            let data = json!({"from": id(from), "to": id(to), "kind": "next"});
            (back, json!({"op": "AddEdge", "data": data}))
        }
        Step::Remove(back, number) => (back, json!({"op": "RemoveNode", "data": {"id": id(number)}})),
        Step::Set(back, number, value) => {
            let data = json!({"target": id(number), "key": "status", "value": value});
            (back, json!({"op": "SetAttachment", "data": data}))
        }
        Step::Clear(back, number) => {
            let data = json!({"target": id(number), "key": "status"});
            (back, json!({"op": "ClearAttachment", "data": data}))
        }
    };
    Some(realm.rewrite(nth(back), &[op]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_graph_is_the_same_and_goes_on_the_same(
        before in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec(step(), 0..20),
        graph_snapshots_max in 0..6u64,
        graph_rewrites_max in 1..40u64,
        sws_closed_max in 0..4u64,
    ) {
        let config = RealmConfig {
            graph_snapshots_max,
            graph_rewrites_max,
            sws_closed_max,
            graph_snapshot_age_ms_max: 3000,
            ..RealmConfig::default()
        };
        let mut realm = Realm::new(config);
        for step in &before {
            take(&mut realm, step);
        }
        let mut restored = realm.restored();
        prop_assert_eq!(state_digest(&restored.state), state_digest(&realm.state));
        prop_assert_eq!(restored.readings(), realm.readings());
        for step in &after {
            let (one, other) = (take(&mut realm, step), take(&mut restored, step));
            prop_assert_eq!(one, other, "{:?}", step);
        }
        prop_assert_eq!(state_digest(&restored.state), state_digest(&realm.state));
        prop_assert_eq!(restored.readings(), realm.readings());
        prop_assert_eq!(restored.restored().readings(), realm.readings());
    }
}

/// A realm with a large System, in which a shadow working set has gone through many small versions.
fn with_versions(nodes: u64, versions: u64) -> Realm {
    let mut realm = Realm::new(RealmConfig::default());
    realm.submit(&json!({"type": "sws.create"}));
    for from in (0..nodes).step_by(250) {
        let ops: Vec<Value> = (from..(from + 250).min(nodes)).map(add).collect();
        realm.rewrite(0, &ops);
    }
    realm.submit(&json!({"type": "sws.collapse", "payload": {"swsId": "0"}}));
    realm.submit(&json!({"type": "sws.create"}));
    for number in 0..versions {
        realm.rewrite(1, &[add(1_000_000 + number)]);
    }
    realm
}

#[test]
fn a_restored_view_shares_its_entries_with_its_versions_and_its_base() {
    // Were the 64 versions restored one by one, each would hold every entry again.
    let nodes = 5000;
    let realm = with_versions(nodes, 64).restored();
    let tenant = Tenant::main();
    let name = ViewName::Sws(1);
    let asked = realm.versions.iter().filter(|(of, _)| *of == name);
    let versions: Vec<_> = asked
        .filter_map(|(_, snapshot)| realm.state.version(&tenant, name, Some(*snapshot)).ok())
        .collect();
    assert_eq!(versions.len(), 65);
    let sws = realm.state.graph.sws(&tenant, 1).unwrap();
    assert!(sws.base.same(&realm.state.graph.system.view));
    for version in &versions {
        let shared = (0..nodes).map(|number| node(number).id()).filter(|id| {
            let (one, other) = (sws.base.node(id).unwrap(), version.view.node(id).unwrap());
            std::ptr::eq(one, other)
        });
        assert_eq!(shared.count() as u64, nodes, "{}", version.snapshot());
    }
}

#[test]
fn a_restored_graph_holds_nothing_back() {
    // The bug: what a restore builds with was let go at the log, and a graph without a log has none: a realm in
    // which shadow working sets were only created kept every version of System they began at for ever.
    let mut realm = Realm::new(RealmConfig::default());
    realm.submit(&json!({"type": "sws.create"}));
    let last = realm.state.pieces().last().unwrap();
    let ends =
        matches!(&last, Event::Restore(piece) if matches!(**piece, Restore::Graph(GraphPiece::Log(_))));
    assert!(ends, "{last:?}");
}

#[test]
fn a_snapshot_of_many_versions_writes_what_they_share_once() {
    let few = with_versions(2000, 1)
        .state
        .pieces()
        .map(|piece| weight(&piece))
        .sum::<usize>();
    let many = with_versions(2000, 65)
        .state
        .pieces()
        .map(|piece| weight(&piece))
        .sum::<usize>();
    assert!(many < 2 * few, "{many} bytes for 65 versions, {few} for one");
}

fn weight(piece: &Event) -> usize {
    serde_json::to_vec(piece).unwrap().len()
}

#[test]
fn many_large_rewrites_released_at_once_fit_into_their_records() {
    // The bug: a record was bounded in events alone. Rewrites may have megabytes of payloads; a score of them behind
    // a running command went into one record when it ended, which was longer than a frame may be, and the engine
    // stopped on it.
    let mut realm = Realm::new(RealmConfig::default());
    realm.submit(&json!({"type": "sws.create"}));
    realm.submit(&json!({"type": "session.create", "sessionId": "s"}));
    let run = json!({"type": "shell.run", "id": "r", "sessionId": "s", "payload": {"argv": ["x"]}});
    realm.submit(&run);
    let running = realm.state.next_seq - 1;
    realm.input(Input::Dispatch { seq: running });
    for number in 0..24u8 {
        let ops: Vec<Value> = (0..8u8)
            .map(|part| {
                let mut payload = vec![number; 200 * 1024];
                payload.push(part);
                let payload = Payload::from(payload).to_base64();
                json!({"op": "AddNode", "data": {"kind": "k", "payload_b64": payload}})
            })
            .collect();
        let payload = json!({"view": "sws:0", "ops": ops});
        realm.submit(&json!({"type": "graph.rewrite", "sessionId": "s", "payload": payload}));
    }
    let settlement = Settlement {
        settled: SettledAs::Succeeded,
        data: None,
        fault: None,
    };
    let mut decision = realm.input(Input::Outcome {
        seq: running,
        settlement: Box::new(settlement),
    });
    let mut rewritten = 0;
    loop {
        let bytes: usize = decision.events.iter().map(Event::weight_bytes).sum();
        assert!(bytes < 8 * 1024 * 1024, "a record of {bytes} bytes");
        let is_rewrite = |event: &&Event| matches!(event, Event::Graph(event) if matches!(**event, GraphEvent::Rewritten { .. }));
        rewritten += decision.events.iter().filter(is_rewrite).count();
        if !realm.state.has_more() {
            break;
        }
        decision = realm.input(Input::Continue);
    }
    assert_eq!(rewritten, 24);
}

#[test]
fn a_reader_that_has_read_all_that_is_gone_misses_nothing() {
    // The bug: the log of a view answered `RECORD_GONE` to everybody who had read only what it no longer keeps, also
    // where nothing behind that was missing, so a slow follower was turned away for no reason.
    let mut realm = Realm::new(RealmConfig {
        graph_rewrites_max: 2,
        ..RealmConfig::default()
    });
    realm.submit(&json!({"type": "sws.create"}));
    for number in 0..4 {
        realm.rewrite(0, &[add(number)]);
    }
    let tenant = Tenant::main();
    let behind = |after: u64| -> Result<Vec<u64>, _> {
        let rows = realm
            .state
            .graph
            .rewrites_of(&tenant, ViewName::Sws(0), Some(after));
        rows.map(|rows| rows.map(|(_, row)| row.idx).collect())
    };
    assert!(behind(0).is_err());
    assert_eq!(behind(1).unwrap(), [2, 3]);
    assert_eq!(behind(2).unwrap(), [3]);
}

#[test]
fn the_one_that_closes_keeps_its_place_in_the_log() {
    // The bug: where only so many closed shadow working sets are known and the one that closes is the first to go,
    // its row went before its last entry was logged, which then stood at place 0 of a view that had entries before.
    let mut realm = Realm::new(RealmConfig {
        sws_closed_max: 0,
        ..RealmConfig::default()
    });
    realm.submit(&json!({"type": "sws.create"}));
    realm.rewrite(0, &[add(1)]);
    realm.submit(&json!({"type": "sws.collapse", "payload": {"swsId": "0"}}));
    let places: Vec<_> = (0..2)
        .map(|idx| realm.state.graph.rewrite(idx).unwrap().sws_idx)
        .collect();
    assert_eq!(places, [0, 1]);
}
