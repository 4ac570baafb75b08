//! Generated arguments: whatever comes, a provider answers or fails with a code, and touches nothing outside.

use super::cases::providers;
use crate::common;
use actum_provider::{Grants, Registry};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Names of members and texts that mean something somewhere, so that garbage gets beyond the first check.
const NAMES: &[&str] = &[
    "path",
    "content",
    "encoding",
    "mode",
    "ifHash",
    "from",
    "to",
    "replace",
    "offset",
    "length",
    "limit",
    "after",
    "recursive",
    "hash",
    "url",
    "method",
    "headers",
    "body",
    "bodyBase64",
    "probe",
    "redirects",
    "maxBytes",
    "timeoutMs",
    "names",
    "$secret",
];
const TEXTS: &[&str] = &[
    "",
    ".",
    "..",
    "/",
    "a",
    "a/../b",
    "../x",
    "\u{0}",
    "a\nb",
    "utf8",
    "base64",
    "create",
    "append",
    "GET",
    "POST",
    "http://127.0.0.1:1/",
    "http://[::1]:1",
    "https://a.example",
    "$secret:K",
    "AAAA",
    "=",
    "LANG",
    "0000000000000000000000000000000000000000000000000000000000000000",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        (0u64..5).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    })
}

fn members(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        9 => prop::sample::select(NAMES).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec((name, values), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

/// Required members with likely texts, and garbage beside them.
fn arguments() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(TEXTS).prop_map(Value::from);
    let likely = prop::collection::vec((prop::sample::select(NAMES), text()), 1..4);
    prop_oneof![
        1 => value(),
        3 => (likely, members(value())).prop_map(|(likely, mut members)| {
            members.extend(likely.into_iter().map(|(name, text)| (name.to_owned(), text)));
            Value::Object(members)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_arguments_make_a_provider_panic(arguments in arguments()) {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a"), "content").unwrap();
        let granted = [format!("{}:rw", root.display())];
        let mut grants: Grants = common::grants(&granted, &["127.0.0.1:1".to_owned()]);
        grants.allow_env("LANG").unwrap();
        let mut registry = Registry::new();
        for provider in providers() {
            registry.add(&provider).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for kind in registry.kinds() {
            let mut call = common::call(kind, arguments.clone(), &grants);
            call.stop = call.stop.within(Duration::from_secs(20));
            let answer = runtime.block_on(registry.call(call.clone()));
            if let Err(failure) = &answer {
                // A panic of a file call would come back as this.
                prop_assert_ne!(failure.code(), actum_model::ErrorCode::Internal, "{}: {}", kind, failure.fault);
            }
            let _answer = runtime.block_on(registry.probe(call));
        }
        let outside: Vec<_> = std::fs::read_dir(around.path()).unwrap().collect();
        prop_assert_eq!(outside.len(), 1);
    }
}
