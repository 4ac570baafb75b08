//! Faults as GraphQL errors: the message is the fault's, and its code, hint and details stand in `extensions`.
//!
//! A resolver returns a [`Fault`] or a [`Refused`] with `?`; [`dress`] finds it again behind the error, so that no
//! way out can forget the code. What has none is a fault of the query itself: it does not parse or does not fit the
//! schema.

use actum_model::{ErrorCode, Fault, Response};
use async_graphql::{ErrorExtensionValues, ServerError, Value};
use std::fmt;

/// A command that did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    fault: Fault,
    /// Its id, journal position, and whether this is a recorded outcome again; nothing if it was not accepted.
    accepted: Option<(String, Option<u64>, bool)>,
}

impl Refused {
    /// What a response says, for a command that did not succeed.
    pub(crate) fn of(response: &Response) -> Refused {
        let fault = response.fault().cloned().unwrap_or_else(|| {
            Fault::new(
                ErrorCode::Internal,
                "the command ended without an outcome or an error",
            )
        });
        let accepted = response
            .identity
            .as_ref()
            .map(|identity| (identity.public_id().to_string(), response.idx, response.replayed));
        Refused { fault, accepted }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

/// A fault of a request before anything of it was carried out.
pub(crate) fn request_error(fault: &Fault) -> ServerError {
    let mut error = ServerError::new(fault.message.clone(), None);
    error.extensions = Some(extensions(fault));
    error
}

/// Puts the code and what belongs to it on every error.
pub(crate) fn dress(errors: &mut [ServerError]) {
    for error in errors {
        if error.extensions.is_some() {
            continue;
        }
        if let Some(fault) = error.source::<Fault>().cloned() {
            error.message.clone_from(&fault.message);
            error.extensions = Some(extensions(&fault));
        } else if let Some(refused) = error.source::<Refused>().cloned() {
            error.message.clone_from(&refused.fault.message);
            let mut members = extensions(&refused.fault);
            if let Some((id, idx, replayed)) = refused.accepted {
                members.set("commandId", id);
                members.set(
                    "recordIdx",
                    idx.map_or(Value::Null, |idx| Value::from(idx.to_string())),
                );
                members.set("replayed", replayed);
            }
            error.extensions = Some(members);
        } else {
            let mut fault = Fault::new(ErrorCode::InvalidInput, error.message.clone());
            fault = fault.with_hint(match error.message.as_str() {
                "Query is nested too deep." | "Query is too complex." => {
                    "ask for less at once: smaller pages, fewer levels"
                }
                _ => "the schema is in docs/graphql/schema.graphql; `actum graphql schema` prints it",
            });
            error.extensions = Some(extensions(&fault));
        }
    }
}

fn extensions(fault: &Fault) -> ErrorExtensionValues {
    let mut members = ErrorExtensionValues::default();
    members.set("code", fault.code.as_str());
    members.set("hint", fault.hint_text());
    members.set("retryable", fault.code.retryable());
    if let Some(details) = &fault.details {
        members.set(
            "details",
            Value::from_json(details.to_value()).unwrap_or_default(),
        );
    }
    members
}
