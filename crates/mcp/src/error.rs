//! Why a server did not start, or ended before its client did.

use actum_client::ClientError;
use actum_model::{ErrorCode, Fault};

/// See the head of the file.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The daemon does not answer, or refuses the caller.
    #[error("{}", .0.message)]
    Daemon(Box<Fault>),
    /// The client broke the protocol before a request was served.
    #[error("the client speaks no protocol that is understood here: {0}")]
    Client(String),
}

impl ServeError {
    pub(crate) fn client(error: &dyn std::error::Error) -> ServeError {
        ServeError::Client(error.to_string())
    }

    /// The error as a fault, with its code and what to do.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        match self {
            ServeError::Daemon(fault) => (**fault).clone(),
            ServeError::Client(_) => Fault::new(ErrorCode::InvalidInput, self.to_string())
                .with_hint("start it from an MCP client; it speaks JSON-RPC over standard input and output"),
        }
    }
}

impl From<Fault> for ServeError {
    fn from(fault: Fault) -> ServeError {
        ServeError::Daemon(Box::new(fault))
    }
}

impl From<ClientError> for ServeError {
    fn from(error: ClientError) -> ServeError {
        error.to_fault().into()
    }
}
