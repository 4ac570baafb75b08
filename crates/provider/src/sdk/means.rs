//! What the daemon does for a provider: it keeps bytes, gives secrets for the host they are bound to, and passes on
//! how far a call has come.

use actum_model::{EffectId, ErrorCode, Fault, Hash};
use std::fmt;
use std::sync::Arc;

/// Where a secret would go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination<'a> {
    /// The host as the URL names it, lower case, without a trailing dot; an IP address in its usual form.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted and the host has proved its name.
    pub encrypted: bool,
}

/// A secret in plain text. It shows itself to nobody but [`SecretValue::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> SecretValue {
        SecretValue(value.into())
    }

    /// The value itself. It must not be logged, stored or answered.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValue({} bytes)", self.0.len())
    }
}

/// Gives secrets.
pub trait Secrets: Send + Sync {
    /// The value of a secret for a place it is bound to. It is asked once for each place, redirects included, and
    /// from a task that must not block for long.
    ///
    /// # Errors
    /// `SECRET_REFUSED` where it is not bound to this place, `SECRET_UNAVAILABLE` where there is none.
    fn reveal(&self, name: &str, to: &Destination<'_>) -> Result<SecretValue, Fault>;
}

/// Has no secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn reveal(&self, name: &str, _to: &Destination<'_>) -> Result<SecretValue, Fault> {
        let message = format!("no secret `{name}` is bound to any host");
        Err(Fault::new(ErrorCode::SecretRefused, message))
    }
}

/// Keeps the content a call is about to replace or remove, durably, and returns its hash. It is called from a thread
/// that may block, before anything changes; when it fails, nothing changes. A repetition of the effect after a crash
/// may find the change made and then keeps nothing, so what was kept is to be remembered by its effect.
pub type Keep = Arc<dyn Fn(&EffectId, &[u8]) -> Result<Hash, String> + Send + Sync>;

/// Is told how far a call has come: bytes so far, and all of them where that is known.
pub type Progress = Arc<dyn Fn(u64, Option<u64>) + Send + Sync>;

/// All of it.
#[derive(Clone)]
pub struct Means {
    /// Gives secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Keeps replaced content.
    pub keep: Keep,
    /// Is told of progress.
    pub progress: Progress,
}

impl Means {
    /// Means that have no secrets, keep nothing (and so refuse to replace or remove content) and tell nobody.
    #[must_use]
    pub fn none() -> Means {
        Means {
            secrets: Arc::new(NoSecrets),
            keep: Arc::new(|_, _| Err("there is no place to keep the previous content".to_owned())),
            progress: Arc::new(|_, _| {}),
        }
    }
}
