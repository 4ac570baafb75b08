//! How a command of the command line ends: an exit code, or a fault to be shown with one.

use actum_client::ClientError;
use actum_daemon::core::OpenFault;
use actum_journal::{FileError, OpenError, ReadError, StorageError};
use actum_model::response::fault_of_json;
use actum_model::{ErrorCode, Fault};
use serde_json::Value;
use std::error::Error;
use std::process::ExitCode;

/// The exit codes. They are part of the interface: see `actum --help`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Exit {
    /// It was done.
    Ok,
    /// It was refused, or it failed.
    Failed,
    /// Something broke that should not: a poisoned journal, a bug.
    Internal,
    /// It is not over: in doubt, or still running.
    Waiting,
    /// What a program that was run ended with, or why it did not run: see `actum run --help`.
    Program(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Internal => 2,
            Exit::Waiting => 3,
            Exit::Program(code) => code,
        })
    }
}

/// Why a command of the command line did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be shown.
    Fault(Box<Fault>),
    /// Whoever read standard output is gone; there is nobody to tell.
    ReaderGone,
}

/// What a command of the command line gives.
pub(crate) type Done = Result<Exit, Failure>;

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        Fault::new(code, message).into()
    }

    /// The same with a hint of its own.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Failure {
        match self {
            Failure::Fault(fault) => fault.with_hint(hint).into(),
            Failure::ReaderGone => Failure::ReaderGone,
        }
    }

    /// A flag or argument that cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(ErrorCode::InvalidInput, message)
    }

    /// A failed call of the operating system on a path.
    pub(crate) fn io(verb: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
        let hint = "check that the path is there and who may read and write it";
        Failure::new(
            ErrorCode::Internal,
            format!("could not {verb} `{}`: {error}", path.display()),
        )
        .hint(hint)
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::ReaderGone => Exit::Ok,
            Failure::Fault(fault) => match fault.code {
                ErrorCode::Internal | ErrorCode::JournalPoisoned => Exit::Internal,
                ErrorCode::WaitTimeout => Exit::Waiting,
                _ => Exit::Failed,
            },
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Fault(Box::new(fault))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        error.to_fault().into()
    }
}

impl From<OpenFault> for Failure {
    fn from(error: OpenFault) -> Failure {
        error.0.into()
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        OpenFault::from(error).into()
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        OpenFault::from(error).into()
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        Failure::new(ErrorCode::Internal, chain(&error))
            .hint("check the disk and the permissions of the data")
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        let code = match &error {
            ReadError::RecordGone { .. } => ErrorCode::RecordGone,
            ReadError::Damaged { .. } => ErrorCode::JournalDamaged,
            ReadError::NotYet { .. } => ErrorCode::NotFound,
            _ => ErrorCode::Internal,
        };
        Failure::new(code, chain(&error))
    }
}

/// An error with its causes, in one sentence.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The fault in a response of the wire, if it has one.
pub(crate) fn fault_of(response: &Value) -> Option<Fault> {
    response.get("error").and_then(fault_of_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_read_back_from_the_wire() {
        let fault = Fault::new(ErrorCode::Busy, "too much")
            .with_hint("later")
            .with_details(&json!({"n": 1}));
        let wire = json!({"error": actum_model::response::fault_json(&fault)});
        assert_eq!(fault_of(&wire), Some(fault));
        let newer = json!({"error": {"code": "NEWER", "message": "m"}});
        assert_eq!(fault_of(&newer).unwrap().message, "NEWER: m");
    }

    #[test]
    fn exit_codes_tell_a_refusal_from_a_bug_and_from_waiting() {
        let exit = |code| Failure::new(code, "x").exit();
        assert_eq!(exit(ErrorCode::IdentityConflict), Exit::Failed);
        assert_eq!(exit(ErrorCode::JournalPoisoned), Exit::Internal);
        assert_eq!(exit(ErrorCode::WaitTimeout), Exit::Waiting);
    }
}
