//! The same seed twice gives the same bytes on disk and the same state, faults and crashes included.

use actum_sim::{Plan, run};

#[test]
fn determinism_same_seed_same_bytes() {
    for seed in [1, 2, 3, 11, 29, 1_000_003] {
        let plan = Plan {
            seed,
            steps: 400,
            verbose: false,
        };
        let one = run(&plan, &mut Vec::new()).unwrap();
        let other = run(&plan, &mut Vec::new()).unwrap();
        assert_eq!(one.digest, other.digest, "seed {seed}: another state");
        assert!(
            one.image == other.image,
            "seed {seed}: the same state, other bytes on disk"
        );
        assert_eq!(one, other, "seed {seed}");
        assert!(
            one.records > 50 && one.boots > 1,
            "seed {seed} tries little: {} records",
            one.records
        );
    }
}

#[test]
fn determinism_other_seeds_go_elsewhere() {
    let digest = |seed| {
        let plan = Plan {
            seed,
            steps: 100,
            verbose: false,
        };
        run(&plan, &mut Vec::new()).unwrap().digest
    };
    assert_ne!(digest(1), digest(2));
}
