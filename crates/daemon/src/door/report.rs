//! From how a process ended to the settlement of its command.
//!
//! It says what is known and decides nothing.

use crate::output::{Captured, Sink, shape};
use actum_model::effect::SettledAs;
use actum_model::{ErrorCode, Fault, Json, Settlement};
use serde_json::{Map, Value};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// How the main process came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// By a stop, and nothing of it is left.
    Stopped(ExitStatus),
    /// A stop was tried, and something is left.
    Unconfirmed(Option<ExitStatus>),
}

/// Everything a settlement is made of.
#[derive(Debug)]
pub(super) struct Report {
    /// The cage it ran in.
    pub(super) sandbox: Option<Value>,
    pub(super) ending: Ending,
    pub(super) ran: Duration,
    /// Processes that were still there when the main process had ended, and were ended then.
    pub(super) leftover: usize,
    /// Processes that could not be ended.
    pub(super) survivors: usize,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

impl Report {
    /// Seals what is large and says what became of the command.
    pub(super) async fn settle(self, sink: &Sink) -> Settlement {
        let (settled, status) = match self.ending {
            Ending::Exited(status) if status.success() => (SettledAs::Succeeded, Some(status)),
            Ending::Exited(status) => (SettledAs::Failed, Some(status)),
            Ending::Stopped(status) => (SettledAs::Stopped, Some(status)),
            Ending::Unconfirmed(status) => (SettledAs::Unconfirmed, status),
        };
        let mut data = Map::new();
        if let Some((name, number)) = status.and_then(how) {
            data.insert(name.into(), number.into());
        }
        data.insert(
            "durationMs".into(),
            u64::try_from(self.ran.as_millis()).unwrap_or(u64::MAX).into(),
        );
        for (name, count) in [("leftover", self.leftover), ("survivors", self.survivors)] {
            if count > 0 {
                data.insert(name.into(), count.into());
            }
        }
        data.insert("stdout".into(), shape(sink, self.stdout).await);
        data.insert("stderr".into(), shape(sink, self.stderr).await);
        if let Some(sandbox) = self.sandbox {
            data.insert("sandbox".into(), sandbox);
        }
        let fault = status.filter(|_| settled == SettledAs::Failed).map(failure);
        Settlement {
            settled,
            data: Json::from_value(&Value::Object(data)).ok(),
            fault,
        }
    }
}

/// The exit code or the signal, under its name.
fn how(status: ExitStatus) -> Option<(&'static str, i32)> {
    status
        .code()
        .map(|code| ("exitCode", code))
        .or_else(|| status.signal().map(|signal| ("signal", signal)))
}

fn failure(status: ExitStatus) -> Fault {
    let message = match how(status) {
        Some(("signal", signal)) => format!("killed by signal {signal}"),
        Some((_, code)) => format!("exit code {code}"),
        None => format!("ended in an unknown way ({status})"),
    };
    let details: Map<String, Value> = how(status)
        .map(|(name, number)| (name.into(), number.into()))
        .into_iter()
        .collect();
    Fault::new(ErrorCode::CommandFailed, message).with_details(&Value::Object(details))
}
