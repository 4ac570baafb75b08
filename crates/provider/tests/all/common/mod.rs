//! What the tests of providers share: calls, means that remember, and the look at failures.

use actum_model::{ErrorCode, Fault, Hash};
use actum_provider::sdk::{Destination, Means, Moment, Origin, Progress, SecretValue, Secrets, Stop};
use actum_provider::{Answer, Call, Grants};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Content that was kept, in order.
pub(crate) type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

/// Secrets, each with the hosts it is bound to.
#[derive(Default)]
pub(crate) struct Bound(pub(crate) BTreeMap<&'static str, (&'static str, Vec<String>)>);

impl Secrets for Bound {
    fn reveal(&self, name: &str, to: &Destination<'_>) -> Result<SecretValue, Fault> {
        match self.0.get(name) {
            None => Err(Fault::new(
                ErrorCode::SecretUnavailable,
                format!("there is no secret `{name}`"),
            )),
            Some((value, hosts)) if hosts.iter().any(|host| host == to.host) => Ok(SecretValue::new(*value)),
            Some(_) => Err(Fault::new(
                ErrorCode::SecretRefused,
                format!("the secret `{name}` is not bound to `{}`", to.host),
            )),
        }
    }
}

/// Means that keep in memory.
pub(crate) fn means() -> (Means, Kept) {
    let kept = Kept::default();
    let keeper = Arc::clone(&kept);
    let progress: Progress = Arc::new(|_, _| {});
    let means = Means {
        keep: Arc::new(move |_, bytes| {
            keeper.lock().unwrap().push(bytes.to_vec());
            Ok(Hash::of(bytes))
        }),
        progress,
        ..Means::none()
    };
    (means, kept)
}

/// A call with these grants.
pub(crate) fn call(kind: &str, arguments: Value, grants: &Grants) -> Call {
    Call {
        kind: kind.to_owned(),
        arguments,
        effect: Hash::of(b"effect"),
        origin: Origin::default(),
        moment: Moment {
            at_ms: 1_800_000_000_000,
            elapsed_ms: 42,
        },
        grants: Arc::new(grants.clone()),
        means: means().0,
        stop: Stop::never(),
    }
}

/// Grants of folders and hosts.
pub(crate) fn grants(files: &[String], hosts: &[String]) -> Grants {
    let mut grants = Grants::default();
    for text in files {
        grants.allow_files(text).unwrap();
    }
    for text in hosts {
        grants.allow_host(text).unwrap();
    }
    grants
}

/// The code of a call that failed.
#[track_caller]
pub(crate) fn code(answer: Answer) -> ErrorCode {
    match answer {
        Err(failure) => failure.code(),
        Ok(members) => panic!("expected a failure, got {members:?}"),
    }
}

/// The members of a call that succeeded.
#[track_caller]
pub(crate) fn good(answer: Answer) -> Value {
    match answer {
        Ok(members) => Value::Object(members),
        Err(failure) => panic!("expected an answer, got {}", failure.fault),
    }
}
