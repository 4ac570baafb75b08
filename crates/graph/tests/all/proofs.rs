//! Proofs: every entry of a view and every key that is not in it can be shown, and no byte of a proof can be
//! changed. A failing case prints its input and leaves a line in `proptest-regressions` that repeats it.

use crate::common::*;
use actum_graph::{EntryKey, Expectation, View, ViewProof, verify};
use proptest::prelude::*;

/// All keys of the small world.
fn any_entry() -> impl Strategy<Value = EntryKey> {
    prop_oneof![
        (0u8..5).prop_map(|number| EntryKey::Node(node(number).id())),
        (0u8..4, 0u8..4).prop_map(|(from, to)| EntryKey::Edge(edge(from, to, None).id())),
        (0u8..4, prop_oneof![Just("a"), Just("b")])
            .prop_map(|(number, name)| EntryKey::Attachment(node(number).id().into(), key(name))),
    ]
}

fn expectation(view: &View, key: &EntryKey) -> Expectation {
    view.value_hash(key)
        .map_or(Expectation::Absent, Expectation::Present)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_proof_shows_what_is_there_and_what_is_not(ops in any_ops(60), key in any_entry(), other in any_entry()) {
        let mut view = View::default();
        run(&mut view, &ops);
        let (digest, expected) = (view.digest(), expectation(&view, &key));
        let proof = view.prove(&key);
        prop_assert_eq!(verify(&digest, &key, expected, &proof), Ok(()));
        let opposite = match expected {
            Expectation::Absent => Expectation::Present(digest),
            Expectation::Present(_) => Expectation::Absent,
        };
        prop_assert!(verify(&digest, &key, opposite, &proof).is_err());
        // A proof made for one key may show that another is absent too; it never shows what is not so.
        let (shown, so) = (verify(&digest, &other, Expectation::Absent, &proof), expectation(&view, &other));
        prop_assert!(shown.is_err() || so == Expectation::Absent);
    }

    #[test]
    fn no_byte_of_a_proof_can_be_changed(ops in any_ops(40), key in any_entry(), at in any::<usize>(), to in any::<u8>()) {
        let mut view = View::default();
        run(&mut view, &ops);
        let (digest, expected) = (view.digest(), expectation(&view, &key));
        let mut text = serde_json::to_vec(&view.prove(&key)).unwrap();
        let read: ViewProof = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(verify(&digest, &key, expected, &read), Ok(()));
        let at = at % text.len();
        prop_assume!(text[at] != to);
        text[at] = to;
        if let Ok(changed) = serde_json::from_slice::<ViewProof>(&text) {
            prop_assert!(changed == read || verify(&digest, &key, expected, &changed).is_err());
        }
    }
}
