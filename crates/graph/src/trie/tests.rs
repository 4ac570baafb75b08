//! The trie against a plain ordered map.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

impl TrieValue<2> for u8 {
    fn value_hash(&self, _: &[u8; 2]) -> Hash {
        Hash::of(&[*self])
    }
}

thread_local! {
    static HASHED: Cell<usize> = const { Cell::new(0) };
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

/// A value that counts how often it is hashed and compared.
#[derive(Clone)]
struct Counted;

impl PartialEq for Counted {
    fn eq(&self, _: &Counted) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        true
    }
}

impl TrieValue<32> for Counted {
    fn value_hash(&self, key: &[u8; 32]) -> Hash {
        HASHED.set(HASHED.get() + 1);
        Hash(*key)
    }
}

fn counted(number: u32) -> [u8; 32] {
    Hash::of(&number.to_be_bytes()).0
}

#[test]
fn work_is_in_proportion_to_what_changed() {
    let mut trie = Trie::default();
    for number in 0..2000 {
        trie.insert(counted(number), Counted);
    }
    assert_eq!(HASHED.take(), 0, "nobody asked for a digest");
    let digest = trie.digest();
    assert_eq!(HASHED.take(), 2000);
    assert_eq!(trie.digest(), digest);
    assert_eq!(HASHED.take(), 0, "it is known");
    let before = trie.clone();
    for number in 2000..2010 {
        trie.insert(counted(number), Counted);
    }
    assert_ne!(trie.digest(), digest);
    // The new leaves, and the few leaves that stand right beside their paths.
    assert!(HASHED.take() <= 50);
    assert_eq!(before.diff(&trie, None).count(), 10);
    assert!(COMPARED.take() <= 10, "shared leaves are not looked at");
}

type Model = BTreeMap<[u8; 2], u8>;

// Few distinct keys, so that inserts meet removals and neighbours share long prefixes.
fn any_key() -> impl Strategy<Value = [u8; 2]> {
    (0u8..4, prop_oneof![0u8..8, 250u8..=255]).prop_map(|(a, b)| [a * 64, b])
}

fn any_steps() -> impl Strategy<Value = Vec<([u8; 2], Option<u8>)>> {
    prop::collection::vec((any_key(), prop::option::weighted(0.7, 0u8..3)), 0..60)
}

fn run(trie: &mut Trie<2, u8>, model: &mut Model, steps: &[([u8; 2], Option<u8>)]) {
    for (key, value) in steps {
        match value {
            Some(value) => assert_eq!(trie.insert(*key, *value), model.insert(*key, *value)),
            None => assert_eq!(trie.remove(key), model.remove(key)),
        }
    }
}

fn rebuilt(model: &Model) -> Trie<2, u8> {
    let mut trie = Trie::default();
    for (key, value) in model.iter().rev() {
        trie.insert(*key, *value);
    }
    trie
}

fn plain<'a>(entries: impl Iterator<Item = (&'a [u8; 2], &'a u8)>) -> Vec<([u8; 2], u8)> {
    entries.map(|(key, value)| (*key, *value)).collect()
}

proptest! {
    #[test]
    fn it_does_what_a_map_does(steps in any_steps(), probe in any_key()) {
        let (mut trie, mut model) = (Trie::default(), Model::new());
        run(&mut trie, &mut model, &steps);
        prop_assert_eq!(trie.len(), model.len());
        prop_assert_eq!(plain(trie.iter()), plain(model.iter()));
        prop_assert_eq!(trie.get(&probe), model.get(&probe));
        prop_assert_eq!(plain(trie.from(&probe)), plain(model.range(probe..)));
        let mut behind = plain(model.range(probe..));
        behind.retain(|(key, _)| *key != probe);
        prop_assert_eq!(plain(trie.after(&probe)), behind);
        let mut prefixed = plain(model.iter());
        prefixed.retain(|(key, _)| key[0] == probe[0]);
        prop_assert_eq!(plain(trie.prefixed(&probe[..1])), prefixed);
    }

    #[test]
    fn the_digest_is_of_the_set(steps in any_steps(), more in any_steps()) {
        let (mut trie, mut model) = (Trie::default(), Model::new());
        run(&mut trie, &mut model, &steps);
        let held = trie.clone();
        let digest = held.digest();
        run(&mut trie, &mut model.clone(), &more);
        prop_assert_eq!(held.digest(), digest, "a clone is not touched");
        prop_assert_eq!(rebuilt(&model).digest(), digest);
        prop_assert_eq!(trie.digest() == digest, plain(trie.iter()) == plain(held.iter()));
    }

    #[test]
    fn a_difference_is_what_two_maps_differ_in(
        steps in any_steps(), more in any_steps(), after in prop::option::of(any_key()),
        digests in any::<bool>(), shared in any::<bool>(),
    ) {
        let (mut a, mut model_a) = (Trie::default(), Model::new());
        run(&mut a, &mut model_a, &steps);
        let (mut b, mut model_b) = (a.clone(), model_a.clone());
        run(&mut b, &mut model_b, &more);
        if !shared {
            b = rebuilt(&model_b);
        }
        if digests {
            prop_assert_eq!(a.digest() == b.digest(), model_a == model_b);
        }
        let mut keys: Vec<_> = model_a.keys().chain(model_b.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let expected: Vec<_> = keys
            .into_iter()
            .filter(|key| after.is_none_or(|after| *key > after) && model_a.get(key) != model_b.get(key))
            .map(|key| (key, model_a.get(&key).copied(), model_b.get(&key).copied()))
            .collect();
        let found: Vec<_> = a
            .diff(&b, after.as_ref())
            .map(|d| (*d.key, d.before.copied(), d.after.copied()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
