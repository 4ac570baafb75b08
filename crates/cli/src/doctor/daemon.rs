//! The daemon: who holds the data, whether it answers, whether its journal is whole.

use super::Finding;
use crate::context::Context;
use crate::daemon_file;
use crate::failure::Failure;
use crate::offline;
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use actum_journal::{Area, Storage, inspect};
use serde_json::json;

/// A larger journal is left to `actum verify`.
const LOOK_BYTES_MAX: u64 = 1024 * 1024 * 1024;

pub(super) fn lock(context: &Context) -> Finding {
    match daemon_file::holder(&context.data) {
        Some(pid) => Finding::ok("lock", format!("held by process {pid}")),
        None => Finding::ok("lock", "free: nobody holds the data directory"),
    }
}

pub(super) fn reachable(context: &Context) -> Finding {
    let name = "daemon";
    let asked = block_on(async {
        let remote = Remote::connect(context).await?;
        remote.read("server.health", json!({})).await
    });
    let fault = match asked {
        Ok(health) => {
            let status = text(&health, "status");
            let in_doubt = number(&health, "inDoubt").unwrap_or(0);
            let found = format!("version {} answers, {status}", text(&health, "version"));
            if in_doubt > 0 {
                let found = format!("{found}; {} in doubt", shape::count(in_doubt, "command"));
                return Finding::warn(
                    name,
                    found,
                    "`actum recovery` names them, `actum resolve` ends them",
                );
            }
            return Finding::ok(name, found);
        }
        Err(Failure::ReaderGone) => return Finding::ok(name, "not asked"),
        Err(Failure::Fault(fault)) => fault,
    };
    let held = daemon_file::holder(&context.data).is_some();
    match (held, context.url.is_some(), daemon_file::read(&context.data)) {
        (false, false, None) => Finding::ok(name, "none runs"),
        (false, false, Some(file)) => Finding::warn(
            name,
            format!(
                "process {} ended without a word and left its address behind",
                file.pid
            ),
            "start it again: `actum dev` or `actum serve`; it tells what it found",
        ),
        _ => Finding::fail(name, fault.message.clone(), fault.hint_text()),
    }
}

pub(super) fn journal(context: &Context) -> Finding {
    let name = "journal";
    let Ok(reading) = offline::reading(context) else {
        return Finding::ok(name, "none yet");
    };
    let size = reading.storage.list(Area::Journal).and_then(|names| {
        names.iter().try_fold(0, |sum, name| {
            Ok(sum + reading.storage.size(Area::Journal, name)?.unwrap_or(0))
        })
    });
    match size {
        Err(error) => return Finding::fail(name, error.to_string(), "check the permissions and the disk"),
        Ok(bytes) if bytes > LOOK_BYTES_MAX => {
            return Finding::ok(
                name,
                format!("{}; `actum verify` reads it whole", shape::bytes(bytes)),
            );
        }
        Ok(_) => {}
    }
    let view = match inspect(&reading.storage) {
        Ok(view) => view,
        Err(error) => return Finding::fail(name, error.to_string(), "check the permissions and the disk"),
    };
    let records: u64 = view.segments.iter().map(|segment| segment.frames).sum();
    let found = format!(
        "{} in {}",
        shape::count(records, "record"),
        shape::count(view.segments.len() as u64, "segment")
    );
    let damage = view.problems.iter().find(|problem| problem.acknowledged);
    match damage {
        Some(problem) if !reading.growing => Finding::fail(
            name,
            format!("damaged: {}: {}", problem.place, problem.what),
            "restore a backup; `actum journal inspect` shows all, `actum explain JOURNAL_DAMAGED` the way out",
        ),
        _ if !view.problems.is_empty() && !reading.growing => {
            Finding::ok(name, format!("{found}; a torn end, which the next start cuts"))
        }
        _ => Finding::ok(name, found),
    }
}
