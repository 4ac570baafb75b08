//! `file.*`: files beneath the folders the operator has granted.
//!
//! A path is taken apart by the kernel of the machine, beneath the granted folder (`openat2`), so no `..`, no link
//! and no exchange of one for the other while it is opened leads out of it. Only plain files and folders are touched.
//! A write is whole or not there, and what it replaces is kept before. Nothing is cached between calls.

mod change;
mod content;
mod ground;
mod list;
mod open;
mod read;
mod relocate;
mod temp;
mod write;

pub use temp::{Swept, sweep};

use crate::sdk::{Answer, Call, Failure, Provider, Stop, parse, to_object};
use actum_model::effect::ProbeAnswer;
use actum_model::{ErrorCode, Fault, limits};
use async_trait::async_trait;
use serde::Deserialize;
use std::time::Duration;

const KINDS: &[&str] = &[
    "file.list",
    "file.move",
    "file.read",
    "file.remove",
    "file.stat",
    "file.write",
];

/// How content stands in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Utf8,
    Base64,
}

/// Carries out `file.*`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileProvider;

#[async_trait]
impl Provider for FileProvider {
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    async fn call(&self, call: Call) -> Answer {
        let changes = matches!(call.kind.as_str(), "file.write" | "file.remove" | "file.move");
        let stop = call.stop.clone();
        let work = tokio::task::spawn_blocking(move || carry_out(&call));
        watched(work, &stop, changes).await
    }

    async fn probe(&self, call: Call) -> ProbeAnswer {
        let stop = call.stop.clone();
        let work = tokio::task::spawn_blocking(move || match call.kind.as_str() {
            "file.move" => Ok(relocate::probe(&call)),
            _ => Ok(ProbeAnswer::Unknown(format!("`{}` has no probe", call.kind))),
        });
        watched(work, &stop, false)
            .await
            .unwrap_or_else(|failure: Failure| ProbeAnswer::Unknown(failure.fault.message))
    }
}

fn carry_out(call: &Call) -> Answer {
    call.stop.check()?;
    let arguments = &call.arguments;
    match call.kind.as_str() {
        "file.read" => to_object(&read::read(call, &parse(&call.kind, arguments)?)?),
        "file.stat" => to_object(&read::stat(call, &parse(&call.kind, arguments)?)?),
        "file.list" => to_object(&list::list(call, &parse(&call.kind, arguments)?)?),
        "file.write" => to_object(&write::write(call, &parse(&call.kind, arguments)?)?),
        "file.remove" => to_object(&relocate::remove(call, &parse(&call.kind, arguments)?)?),
        "file.move" => to_object(&relocate::relocate(call, &parse(&call.kind, arguments)?)?),
        other => Err(Failure::new(
            ErrorCode::UnknownCommand,
            format!("the file provider does not carry out `{other}`"),
        )),
    }
}

/// Waits for work on another thread. When it must give up, it leaves reading alone, and gives a change a moment to
/// see for itself; a change that hangs in a file system after that may still come.
async fn watched<T>(
    mut work: tokio::task::JoinHandle<Result<T, Failure>>,
    stop: &Stop,
    changes: bool,
) -> Result<T, Failure> {
    let lost = |error: tokio::task::JoinError| {
        let message = format!("the file provider lost a call: {error}");
        Err(Failure::unknown(Fault::new(ErrorCode::Internal, message)))
    };
    let fault = tokio::select! {
        biased;
        done = &mut work => return done.unwrap_or_else(lost),
        fault = stop.wait() => fault,
    };
    if !changes {
        return Err(fault.into());
    }
    let grace = Duration::from_millis(limits::STOP_GRACE_MS);
    match tokio::time::timeout(grace, work).await {
        Ok(done) => done.unwrap_or_else(lost),
        Err(_) => Err(Failure::unknown(fault)),
    }
}
