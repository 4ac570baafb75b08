//! From the arguments of `shell.run` to a job.
//!
//! The contract has checked the shape at the edge; what is checked here is that no secret is missing.

use super::job::Job;
use crate::redact::{self, Secret};
use actum_model::{ErrorCode, Fault, Hash};
use serde_json::Value;
use std::collections::BTreeMap;

impl Job {
    /// The job a payload asks for. References must be resolved before (see [`redact::resolve`]).
    ///
    /// # Errors
    /// `SECRET_UNAVAILABLE` where the payload holds a marker in the place of a secret; `INVALID_INPUT` where it
    /// does not fit its contract.
    pub fn from_payload(seq: u64, effect: Hash, payload: &Value, secrets: Vec<Secret>) -> Result<Job, Fault> {
        if redact::is_lost(payload) {
            let message = "a secret given inline was taken out of the history and is no longer in memory";
            return Err(Fault::new(ErrorCode::SecretUnavailable, message));
        }
        let text = |name: &str| match payload.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "text")),
        };
        Ok(Job {
            seq,
            effect,
            argv: argv(payload)?,
            cwd: text("cwd")?,
            env: env(payload)?,
            stdin: text("stdin")?,
            secrets,
            cage: None,
        })
    }
}

fn argv(payload: &Value) -> Result<Vec<String>, Fault> {
    let items = payload
        .get("argv")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("argv", "a list of texts"))?;
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
    texts
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| wrong("argv", "a list of texts"))
}

fn env(payload: &Value) -> Result<BTreeMap<String, String>, Fault> {
    let Some(env) = payload.get("env") else {
        return Ok(BTreeMap::new());
    };
    let members = env
        .as_object()
        .ok_or_else(|| wrong("env", "an object of texts"))?;
    let texts = members
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("env", "an object of texts"))
}

fn wrong(field: &str, expected: &str) -> Fault {
    Fault::new(
        ErrorCode::InvalidInput,
        format!("/payload/{field}: expected {expected}"),
    )
}
