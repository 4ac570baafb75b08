//! The suite every provider passes, whatever it does. A new provider adds its kinds to [`cases`] and nothing else.

mod cases;
mod garbage;

use crate::common::{self, code, good};
use actum_model::contract::{self, Contract, Faults};
use actum_model::{ErrorCode, Hash};
use actum_provider::sdk::{Canceller, Stop};
use actum_provider::{Grants, Happened, Registry};
use cases::{Case, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;

/// Faults of a result against the output its contract declares.
fn misfits(kind: &str, result: &Value) -> String {
    let declared = contract::find(kind).unwrap();
    let as_input = Contract {
        input: declared.output,
        ..*declared
    };
    let mut faults = Faults::default();
    as_input.check(result, "", &mut faults);
    faults.sentence()
}

/// Faults of arguments against the input their contract declares.
fn refused_by_contract(kind: &str, arguments: &Value) -> bool {
    let mut faults = Faults::default();
    contract::find(kind).unwrap().check(arguments, "", &mut faults);
    !faults.is_empty()
}

#[tokio::test]
async fn every_kind_has_a_contract_and_a_case_and_no_provider_shares_one() {
    let world = World::new().await;
    let kinds: BTreeSet<&str> = world.registry.kinds().collect();
    let tried: BTreeSet<&str> = world.cases().iter().map(|case| case.kind).collect();
    assert_eq!(kinds, tried);
    let declared: BTreeSet<&str> = contract::CONTRACTS
        .iter()
        .filter(|contract| contract.carrier == contract::Carrier::Provider)
        .map(|contract| contract.kind)
        .collect();
    assert_eq!(kinds, declared);
    let mut registry = Registry::new();
    for provider in cases::providers() {
        registry.add(&provider).unwrap();
        assert!(registry.add(&provider).is_err());
    }
}

#[tokio::test]
async fn good_arguments_fit_the_contract_and_so_does_the_result() {
    let world = World::new().await;
    for case in world.cases() {
        assert!(!refused_by_contract(case.kind, &case.arguments), "{case:?}");
        let result = good(world.run(&case).await);
        assert_eq!(misfits(case.kind, &result), "", "{}: {result}", case.kind);
    }
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let world = World::new().await;
    for case in world.cases().into_iter().filter(|case| case.needs_grant) {
        let mut call = world.call(&case);
        call.grants = Arc::new(Grants::default());
        let failure = world.registry.call(call).await.unwrap_err();
        assert_eq!(failure.code(), ErrorCode::NotGranted, "{}", case.kind);
        assert_eq!(failure.happened, Happened::No, "{}", case.kind);
    }
}

#[tokio::test]
async fn bad_arguments_are_refused_with_a_code_by_the_contract_and_by_the_provider() {
    let world = World::new().await;
    for case in world.cases() {
        let mut bad = vec![json!(null), json!([1]), json!("x"), json!(1)];
        let mut more = case.arguments.clone();
        more["unknownMember"] = json!(1);
        bad.push(more);
        for name in case.arguments.as_object().unwrap().keys() {
            let mut wrong = case.arguments.clone();
            wrong[name] = json!({"wrong": [1]});
            bad.push(wrong);
        }
        for arguments in bad {
            assert!(
                refused_by_contract(case.kind, &arguments),
                "{}: {arguments}",
                case.kind
            );
            let tried = Case {
                arguments: arguments.clone(),
                ..case.clone()
            };
            let failure = world.run(&tried).await.expect_err(&arguments.to_string());
            assert_eq!(
                failure.code(),
                ErrorCode::InvalidInput,
                "{}: {arguments}",
                case.kind
            );
            assert_eq!(failure.happened, Happened::No);
        }
    }
}

#[tokio::test]
async fn a_cancelled_call_and_one_out_of_time_do_nothing() {
    let world = World::new().await;
    for case in world.cases() {
        let (canceller, stop) = Canceller::new();
        canceller.cancel();
        let late = Stop::never().with_deadline(Instant::now());
        for (stop, expected) in [(stop, ErrorCode::Cancelled), (late, ErrorCode::TimedOut)] {
            let before = world.snapshot();
            let mut call = world.call(&case);
            call.stop = stop;
            // Straight to the provider, since the registry looks by itself.
            let provider = Arc::clone(world.registry.find(case.kind).unwrap());
            let failure = provider.call(call).await.unwrap_err();
            assert_eq!(
                (failure.code(), failure.happened),
                (expected, Happened::No),
                "{}",
                case.kind
            );
            assert_eq!(world.snapshot(), before, "{}", case.kind);
        }
    }
}

#[tokio::test]
async fn what_is_declared_idempotent_is_safe_to_do_twice() {
    let world = World::new().await;
    for case in world.cases() {
        let declared = contract::find(case.kind).unwrap();
        let payload = actum_model::Json::from_value(&case.arguments).unwrap();
        if !declared.repeatable_with(&payload) {
            continue;
        }
        good(world.run(&case).await);
        let after = world.snapshot();
        let again = good(world.run(&case).await);
        assert_eq!(world.snapshot(), after, "{}", case.kind);
        assert_eq!(misfits(case.kind, &again), "", "{}", case.kind);
    }
}

#[tokio::test]
async fn the_same_fault_has_the_same_code_every_time() {
    let world = World::new().await;
    for case in world.cases() {
        for (arguments, expected) in case.faults.clone() {
            let tried = Case {
                arguments,
                ..case.clone()
            };
            for _ in 0..3 {
                assert_eq!(
                    code(world.run(&tried).await),
                    expected,
                    "{}: {}",
                    tried.kind,
                    tried.arguments
                );
            }
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_an_answer() {
    let world = World::new().await;
    for case in world.cases() {
        let text = match world.run(&case).await {
            Ok(members) => Value::Object(members).to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        assert!(!text.contains(cases::SECRET), "{}: {text}", case.kind);
    }
}

#[tokio::test]
async fn a_kind_nobody_carries_out_is_refused() {
    let world = World::new().await;
    let call = common::call("no.such", json!({}), &Grants::default());
    assert_eq!(
        code(world.registry.call(call.clone()).await),
        ErrorCode::UnknownCommand
    );
    for provider in cases::providers() {
        assert!(provider.call(call.clone()).await.is_err());
    }
    assert_ne!(call.effect, Hash::ZERO);
}
