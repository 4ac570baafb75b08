//! The demo: a real piece of agent work carried out, killed, recovered, proved.
//!
//! Nothing of it is staged: the agent's front door, the daemon and the payments server are processes of their own, the
//! project is a real one, and everything said here is read from what the daemon answers, from the payments server's
//! log, and from the journal. What does not happen as it should ends the demo with an error. Where the host cannot
//! build the cage, what needs it is left out, and that is said.

mod after;
mod agent;
mod bounds;
mod daemon;
mod files;
mod payments;
mod report;
mod story;
mod tell;

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::remote::block_on;
use crate::shape;
use actum_model::ErrorCode;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use story::Story;
use tell::Tell;

/// Nothing in the demo takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the demo plays.
pub(super) struct Places {
    /// The folder of everything.
    root: PathBuf,
    /// The copy of the example.
    project: PathBuf,
    /// The data directory.
    data: PathBuf,
    /// What the processes say on standard error.
    log: PathBuf,
}

/// Runs the demo.
pub(crate) fn run(keep: bool, context: &Context) -> Done {
    let begun = Instant::now();
    python()?;
    let folder = tempfile::Builder::new().prefix("actum-demo-").tempdir();
    let folder = folder.map_err(|error| Failure::io("create a folder in", &std::env::temp_dir(), &error))?;
    let root = folder.path().to_owned();
    let places = Places {
        project: root.join("project"),
        data: root.join("data"),
        log: root.join("daemon.log"),
        root,
    };
    files::write(&places.project)?;
    let kept = if keep { Some(folder.keep()) } else { None };
    let done = block_on(async { Story::new(&places, Tell::new(context.out))?.play().await });
    let done = done.and_then(|proof| end(proof, begun, context));
    if let Some(kept) = kept {
        let data = kept.join("data");
        context.out.say(format_args!("kept: {}", kept.display()));
        context
            .out
            .say(format_args!("look: actum verify --data {}", data.display()));
    }
    done?;
    Ok(Exit::Ok)
}

fn end(mut proof: Value, begun: Instant, context: &Context) -> Result<(), Failure> {
    let took = begun.elapsed();
    if context.out.human() {
        let took = shape::duration(took);
        let interrupted = proof.get("interrupted").and_then(Value::as_u64).unwrap_or(0);
        let words = format!(
            "All of it happened, in {took}: 1 killed, 1 charge found by its probe, {interrupted} interrupted, 0 lost, 0 duplicated."
        );
        return Tell::new(context.out).end(&words);
    }
    if let Value::Object(members) = &mut proof {
        members.insert(
            "elapsedMs".into(),
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX).into(),
        );
    }
    context.out.json(&proof)
}

/// The project of the example is Python.
fn python() -> Result<(), Failure> {
    let version = Command::new("python3")
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let message = "the whole demo is skipped: it repairs a Python project and pays at a server in Python, and `python3` cannot be run here";
    Err(Failure::new(ErrorCode::SpawnFailed, message).hint("install Python 3 and put it on the PATH"))
}

/// This very binary.
fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(ErrorCode::Internal, format!("where is this program? {error}")))
}

fn log_file(log: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.map_err(|error| Failure::io("create", log, &error))
}

/// Something that should have happened did not.
fn missed(what: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::Internal, what)
        .hint("run it again with --keep and look at daemon.log in the folder it names")
}
