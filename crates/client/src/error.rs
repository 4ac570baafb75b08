//! What can go wrong between a client and its daemon, each with a code and a hint.
//!
//! A command that failed is no error here: its response says so, with `success: false`.

use actum_model::error::{ErrorCode, Fault};
use serde_json::Value;
use std::fmt;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("`{address}` is not the address of a daemon: {why}")]
    BadAddress {
        /// What was given.
        address: String,
        /// What was expected.
        why: &'static str,
    },
    /// Nobody listens there.
    #[error("no daemon answers at `{address}`")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke after something was sent.
    #[error("the connection to the daemon broke before the answer came")]
    Broken {
        /// How.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The daemon refused the request before it looked for a command in it.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// What came is not of the protocol.
    #[error("expected {expected}, got `{got}`")]
    Protocol {
        /// What the protocol says.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
}

/// A refusal as the daemon sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What was expected and what came.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Whether the same request can succeed later.
    pub retryable: bool,
}

impl Refusal {
    /// A refusal out of an error of a GraphQL answer, which carries the code in its `extensions`.
    pub(crate) fn of_graphql(status: u16, error: &Value) -> Refusal {
        let more = error.get("extensions");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(ToOwned::to_owned);
        let known = ErrorCode::Internal;
        Refusal {
            status,
            code: text(more.and_then(|more| more.get("code"))).unwrap_or_else(|| known.as_str().to_owned()),
            message: text(error.get("message")).unwrap_or_default(),
            hint: text(more.and_then(|more| more.get("hint"))).unwrap_or_else(|| known.hint().to_owned()),
            retryable: more
                .and_then(|more| more.get("retryable"))
                .and_then(Value::as_bool)
                .unwrap_or(false),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Refusal {
    /// Reads a problem document.
    pub(crate) fn of(status: u16, problem: &Value) -> Option<Refusal> {
        let error = problem.get("error")?;
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Refusal {
            status,
            code: text("code")?,
            message: text("message").unwrap_or_default(),
            hint: text("hint").unwrap_or_default(),
            retryable: error.get("retryable").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

impl ClientError {
    pub(crate) fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken {
            source: source.into(),
        }
    }

    pub(crate) fn protocol(expected: &'static str, got: &[u8]) -> ClientError {
        ClientError::Protocol {
            expected,
            got: actum_model::json::shorten(&String::from_utf8_lossy(got)),
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            ClientError::BadAddress { .. } => ErrorCode::InvalidInput.as_str(),
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => {
                ErrorCode::DaemonUnreachable.as_str()
            }
            ClientError::Refused(refusal) => &refusal.code,
            ClientError::Protocol { .. } => ErrorCode::Internal.as_str(),
        }
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            ClientError::BadAddress { .. } => "give an address like `http://127.0.0.1:4040`",
            ClientError::Unreachable { .. } => ErrorCode::DaemonUnreachable.hint(),
            ClientError::Broken { .. } => "ask for the command by its id, or send it again under the same id",
            ClientError::Refused(refusal) => &refusal.hint,
            ClientError::Protocol { .. } => "is this an Actum daemon of the same major protocol version?",
        }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
            ClientError::Refused(refusal) => refusal.retryable,
            ClientError::BadAddress { .. } | ClientError::Protocol { .. } => false,
        }
    }

    /// The error as a fault, for printing beside faults of commands.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let code = ErrorCode::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == self.code());
        let message = match self {
            ClientError::Refused(refusal) => refusal.message.clone(),
            other => {
                let cause = std::error::Error::source(other);
                cause.map_or_else(|| other.to_string(), |cause| format!("{other}: {cause}"))
            }
        };
        Fault::new(code.unwrap_or(ErrorCode::Internal), message).with_hint(self.hint())
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for ClientError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> ClientError {
        ClientError::broken(error)
    }
}
