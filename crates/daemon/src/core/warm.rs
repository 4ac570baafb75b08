//! Computes the digests of the current views once after a boot, off the engine's thread. Views share what they have
//! in common and keep what was computed, so the first rewrite over a large view does not have to do it.

use super::handle::Published;
use actum_graph::View;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Starts the work. Nobody has to wait for it: a digest that is asked for earlier is computed there and then.
pub(crate) fn start(published: Arc<Published>) -> Option<JoinHandle<()>> {
    let work = move || {
        let graph = &published.state.graph;
        let overlays = graph.sws.values().flat_map(|sws| [&sws.base, &sws.branch.view]);
        let views = std::iter::once(&graph.system.view).chain(overlays);
        // Not within the log line, whose fields are left alone where nobody listens.
        let known = views.map(View::digest).count();
        tracing::debug!(views = known, "the digests of the current views are known");
    };
    let started = std::thread::Builder::new()
        .name("actum-warm".to_owned())
        .spawn(work);
    started
        .inspect_err(|error| tracing::warn!(%error, "digests are computed when they are first needed"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_kernel::{State, advance, apply_event};
    use actum_model::ids::{Principal, Tenant};
    use actum_model::input::{Boot, OverRate, Submit};
    use actum_model::{Caller, Envelope, Hash, Input, Outcome, RealmConfig, Stamped};
    use serde_json::{Value, json};

    fn input(state: &mut State, input: Input) -> actum_kernel::Decision {
        let (at, elapsed) = (1, 1);
        advance(state, &Stamped { at, elapsed, input })
    }

    fn submit(state: &mut State, kind: &str, payload: &Value) {
        let text = json!({"type": kind, "payload": payload}).to_string();
        let before = state.finished_as(Outcome::Succeeded);
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
        input(state, Input::Submit(submit));
        assert_eq!(state.finished_as(Outcome::Succeeded), before + 1, "{text}");
    }

    fn nodes(state: &mut State, sws: u64, payloads: [&str; 2]) {
        let ops = payloads
            .map(|payload| json!({"op": "AddNode", "data": {"kind": "demo", "payload_b64": payload}}));
        let rewrite = json!({"view": format!("sws:{sws}"), "ops": ops});
        submit(state, "graph.rewrite", &rewrite);
    }

    /// System with two nodes, a closed working set, and an open one with two more.
    fn history() -> State {
        let mut state = State::default();
        let boot = Boot {
            realm: vec![1; 16],
            incarnation: vec![2; 16],
            node: String::new(),
            build: String::new(),
            contracts: Hash::ZERO,
            classes: None,
            config: RealmConfig::default(),
        };
        input(&mut state, Input::Boot(boot));
        submit(&mut state, "sws.create", &json!({}));
        nodes(&mut state, 0, ["AAAA", "AAAB"]);
        submit(&mut state, "sws.collapse", &json!({"swsId": "0"}));
        submit(&mut state, "sws.create", &json!({}));
        nodes(&mut state, 1, ["AAAC", "AAAD"]);
        state
    }

    fn views(state: &State) -> Vec<&View> {
        let overlays = state.graph.sws.values();
        std::iter::once(&state.graph.system.view)
            .chain(overlays.flat_map(|sws| [&sws.base, &sws.branch.view]))
            .collect()
    }

    // The digests were computed within a log line of a level that is off, so never.
    #[test]
    fn after_a_restart_from_a_snapshot_the_digest_of_every_current_view_gets_known_without_being_asked_for() {
        let before = history();
        let mut state = State::default();
        before.pieces().for_each(|piece| apply_event(&mut state, piece));
        let head = state.next_idx;
        // Otherwise there would be nothing to do, and this would show nothing.
        assert!(!state.graph.system.view.digest_is_known());
        assert!(!state.graph.sws[&1].branch.view.digest_is_known());
        let published = Arc::new(Published { state, head });
        start(Arc::clone(&published)).unwrap().join().unwrap();
        let found = views(&published.state);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|view| view.digest_is_known()));
        // The state that is published shares its views with the copy the engine goes on from.
        assert!(
            views(&published.state.clone())
                .iter()
                .all(|view| view.digest_is_known())
        );
        let digests = |state: &State| views(state).iter().map(|view| view.digest()).collect::<Vec<_>>();
        assert_eq!(digests(&published.state), digests(&before));
    }
}
