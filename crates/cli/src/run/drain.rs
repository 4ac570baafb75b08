//! The orderly end: new commands are refused, running ones get their time, the journal is closed.

use super::{Signals, failed};
use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::shape;
use actum_daemon::core::Core;
use actum_daemon::transport::Listening;
use actum_model::Fault;
use actum_model::restore::Phase;
use std::time::Duration;

/// How a wait for running commands ended.
enum Waited {
    Idle,
    TimeIsUp,
    AskedAgain,
    Failed(Fault),
}

/// Ends in order. A second signal ends the wait.
pub(super) async fn end(
    core: &Core,
    listening: Option<Listening>,
    limit: Duration,
    signals: &mut Signals,
    context: &Context,
) -> Done {
    let out = &context.out;
    core.drain();
    let left = running(core);
    if left > 0 {
        let commands = shape::count(left as u64, "command");
        out.say(format_args!(
            "draining: {commands} still running, at most {} s; again to end now",
            limit.as_secs()
        ));
    }
    let mut fatal = core.fatal();
    let finish = async {
        idle(core).await;
        if let Some(listening) = listening {
            listening.finished().await;
        }
    };
    let waited = tokio::select! {
        fault = failed(&mut fatal) => Waited::Failed(fault),
        ended = tokio::time::timeout(limit, finish) => if ended.is_ok() { Waited::Idle } else { Waited::TimeIsUp },
        () = signals.any() => Waited::AskedAgain,
    };
    if let Waited::Failed(fault) = waited {
        return Err(fault.into());
    }
    let left = running(core);
    if left > 0 {
        let commands = shape::count(left as u64, "command");
        out.say(format_args!(
            "{commands} did not end in time; the next start tells what is known of them"
        ));
    }
    core.close().await;
    // Closing writes, so it can fail too.
    let fault = core.fatal().borrow().clone();
    match fault {
        Some(fault) => Err(Failure::from(fault)),
        None => {
            out.say("ended in order");
            Ok(Exit::Ok)
        }
    }
}

/// Commands whose effect runs now. Those in doubt run no more.
fn running(core: &Core) -> usize {
    let published = core.published();
    let runs = |phase: &Phase| matches!(phase, Phase::Running(running) if running.doubt.is_none());
    published
        .state
        .commands
        .values()
        .filter(|row| runs(&row.phase))
        .count()
}

/// Returns when nothing runs.
async fn idle(core: &Core) {
    let mut live = core.live();
    while running(core) > 0 {
        if let Err(tokio::sync::broadcast::error::RecvError::Closed) = live.recv().await {
            return;
        }
    }
}
