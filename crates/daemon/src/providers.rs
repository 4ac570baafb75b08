//! Commands that providers carry out: files, requests to services, facts of the system. One task each, stopped by its
//! number; what a provider says becomes a settlement.
//!
//! It decides nothing: what a failure of which nobody knows what happened means is the kernel's to say.

use crate::core::made;
use crate::output::{Shown, Sink, WorkEvent};
use crate::redact::{OutputGuard, Secret, Vault};
use actum_engine::Start;
use actum_model::contract;
use actum_model::effect::{ProbeAnswer, SettledAs};
use actum_model::{ErrorCode, Fault, Json, Settlement};
use actum_provider::file::FileProvider;
use actum_provider::http::{HttpOptions, HttpProvider};
use actum_provider::sdk::{Canceller, Destination, Means, Moment, Origin, SecretValue, Secrets, Stop};
use actum_provider::system::SystemProvider;
use actum_provider::{Call, Failure, Grants, Happened, Provider, Registry};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// Carries out what providers do. Clones share everything.
#[derive(Clone)]
pub(crate) struct Providers {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    sink: Sink,
    registry: Registry,
    grants: Arc<Grants>,
    vault: Vault,
    running: Mutex<BTreeMap<u64, Canceller>>,
}

impl Providers {
    /// The providers there are, under these grants.
    ///
    /// # Errors
    /// Where one of them cannot be made.
    pub(crate) fn new(
        runtime: Handle,
        sink: Sink,
        grants: Arc<Grants>,
        vault: Vault,
    ) -> Result<Providers, Fault> {
        let internal = |error: &dyn std::error::Error| Fault::new(ErrorCode::Internal, error.to_string());
        let http = HttpProvider::new(HttpOptions::default()).map_err(|error| internal(&error))?;
        let all: [Arc<dyn Provider>; 3] = [
            Arc::new(FileProvider),
            Arc::new(http),
            Arc::new(SystemProvider::of_process()),
        ];
        let mut registry = Registry::new();
        for provider in &all {
            registry.add(provider).map_err(|error| internal(&error))?;
        }
        Ok(Providers {
            inner: Arc::new(Inner {
                runtime,
                sink,
                registry,
                grants,
                vault,
                running: Mutex::default(),
            }),
        })
    }

    /// How many commands are carried out.
    pub(crate) fn running(&self) -> usize {
        self.inner.running().len()
    }

    /// Carries a command out, or asks its probe. `make` gives its arguments and what must not be seen of them; secrets
    /// that are bound to a place are still references. It settles exactly once.
    pub(crate) fn start(
        &self,
        start: Start,
        moment: Moment,
        make: impl FnOnce() -> Result<(Value, Vec<Secret>), Fault> + Send + 'static,
    ) {
        let (canceller, stop) = Canceller::new();
        let seq = start.seq;
        self.inner.running().insert(seq, canceller);
        let inner = Arc::clone(&self.inner);
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            let carrying = carry(Arc::clone(&inner), start, moment, make, stop);
            let carried = tokio::spawn(carrying).await;
            let settlement = match carried {
                Ok(carried) => carried.unwrap_or_else(Settlement::failed),
                // A panic in a provider: nobody knows how far it came.
                Err(error) => Settlement::unconfirmed(Fault::new(
                    ErrorCode::Internal,
                    format!("a provider failed: {error}"),
                )),
            };
            inner.running().remove(&seq);
            inner.sink.settle(seq, settlement);
        });
    }

    /// Asks a command to give up.
    pub(crate) fn stop(&self, seq: u64) {
        if let Some(canceller) = self.inner.running().get(&seq) {
            canceller.cancel();
        }
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Canceller>> {
        // Every change is one insertion or removal, so the map is whole even after a panic.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries a command out and says what came of it; what could not even be begun is a fault.
async fn carry(
    inner: Arc<Inner>,
    start: Start,
    moment: Moment,
    make: impl FnOnce() -> Result<(Value, Vec<Secret>), Fault> + Send + 'static,
    stop: Stop,
) -> Result<Settlement, Fault> {
    let (arguments, secrets) = made(&start, make).await?;
    let guard = OutputGuard::new(&secrets, &inner.sink.rules);
    let call = Call {
        kind: start.identity.kind.to_string(),
        arguments,
        effect: start.effect,
        origin: Origin {
            tenant: start.identity.tenant.to_string(),
            principal: start.identity.principal.to_string(),
            session: start.identity.session.as_ref().map(ToString::to_string),
        },
        moment,
        grants: Arc::clone(&inner.grants),
        means: means(&inner, start.seq),
        stop: stop.clone(),
    };
    if start.probe {
        return Ok(probed(inner.registry.probe(call).await));
    }
    Ok(match inner.registry.call(call).await {
        Ok(data) => Settlement::succeeded(Json::from_value(&guard.value(Value::Object(data))).ok()),
        Err(failure) => unhappy(&start, failure, stop.check().is_err()),
    })
}

fn means(inner: &Arc<Inner>, seq: u64) -> Means {
    let (sink, shown) = (inner.sink.clone(), inner.sink.clone());
    Means {
        secrets: Arc::new(Bound(inner.vault.clone())),
        keep: Arc::new(move |_effect, bytes| sink.seal_now(bytes)),
        progress: Arc::new(move |step, total| {
            shown.tell(WorkEvent::Shown {
                seq,
                shown: Shown::Progress(json!({"step": step, "total": total, "text": null})),
            });
        }),
    }
}

/// Secrets of the data directory, each for the hosts that stand beside it.
struct Bound(Vault);

impl Secrets for Bound {
    fn reveal(&self, name: &str, to: &Destination<'_>) -> Result<SecretValue, Fault> {
        let hosts = self.0.hosts(name)?;
        let bound = hosts.iter().any(|host| {
            let with_port = format!("{}:{}", to.host, to.port);
            *host == to.host || *host == with_port
        });
        if !bound {
            let message = format!("secret `{name}` is not bound to `{}`", to.host);
            return Err(Fault::new(ErrorCode::SecretRefused, message)
                .with_hint("name the host in `<data>/secrets/NAME.hosts`, one a line"));
        }
        Ok(SecretValue::new(self.0.get(name)?))
    }
}

/// What a failed call comes to. Where something may have happened, it is as unconfirmed as a stop that was not seen.
fn unhappy(start: &Start, failure: Failure, stopped: bool) -> Settlement {
    let repeatable = contract::find(start.identity.kind.as_str())
        .is_some_and(|contract| contract.repeatable_with(&start.payload));
    match failure.happened {
        Happened::Unknown if !repeatable => Settlement::unconfirmed(failure.fault),
        _ if stopped => Settlement::stopped(),
        _ => Settlement::failed(failure.fault),
    }
}

/// An answer of a probe as the kernel reads it: by the exit codes of a program that looks.
fn probed(answer: ProbeAnswer) -> Settlement {
    let (settled, code, fault) = match answer {
        ProbeAnswer::Landed => (SettledAs::Succeeded, Some(0), None),
        ProbeAnswer::DidNotHappen => (SettledAs::Failed, Some(1), None),
        ProbeAnswer::Unknown(why) => (
            SettledAs::Failed,
            None,
            Some(Fault::new(ErrorCode::CommandFailed, why)),
        ),
    };
    let data = code.map(|code| json!({"exitCode": code}));
    Settlement {
        settled,
        data: data.and_then(|data| Json::from_value(&data).ok()),
        fault,
    }
}
