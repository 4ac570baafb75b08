//! The life of one job, from start to settlement.
//!
//! Order: the process starts; its output is pumped; it exits by itself or is stopped; what it left behind is
//! ended; the last output is read; the main process is reaped; the settlement is made. Output is before result.

use super::keeper::{self, Swept};
use super::order::{Plan, StopOrder};
use super::pump::{Phase, Pump};
use super::report::{Ending, Report};
use super::warden::{Started, Target};
use super::{Inner, Stream};
use crate::output::Capture;
use crate::redact::OutputGuard;
use actum_model::Settlement;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Runs the job to its end.
pub(super) async fn live(inner: Arc<Inner>, seq: u64, plan: Plan, order: Arc<StopOrder>) -> Settlement {
    let job = match plan.job().await {
        Ok(job) => job,
        Err(fault) => return Settlement::failed(fault),
    };
    let input = job.stdin.clone();
    let redactor = OutputGuard::new(&job.secrets, &inner.sink.rules);
    match inner.keeper.spawn(job, Arc::clone(&order)).await {
        Err(fault) => Settlement::failed(fault),
        Ok(None) => Settlement::stopped(),
        Ok(Some(started)) => run(&inner, seq, input, redactor, started, &order).await,
    }
}

async fn run(
    inner: &Arc<Inner>,
    seq: u64,
    input: Option<String>,
    redactor: OutputGuard,
    started: Started,
    order: &StopOrder,
) -> Settlement {
    let phase = watch::channel(Phase::Running).0;
    let feeding = feed(started.stdin, input);
    let pump = |stream, pipe| {
        let capture = Capture::new(inner.sink.clone(), seq, stream, redactor.clone());
        Pump::new(capture, phase.subscribe()).run(pipe)
    };
    let stdout = pump(Stream::Stdout, started.stdout);
    let stderr = pump(Stream::Stderr, started.stderr);
    let mut pumps = tokio::spawn(async { tokio::join!(stdout, stderr) });
    let target = Target::Main(started.main);
    let told = tokio::select! {
        biased;
        // An exit of its own wins over a stop that comes at the same moment.
        () = keeper::exited(started.exit) => 0,
        () = asked(order) => inner.keeper.ask_to_end(&target, order).await,
    };
    // A stop that found nobody alive has stopped nothing.
    let stopped = told > 0;
    let ran = started.at.elapsed();
    phase.send_replace(Phase::Exited);
    let drain = if stopped {
        Duration::ZERO
    } else {
        inner.options.drain
    };
    let early = timeout(drain, &mut pumps).await;
    let swept = inner.keeper.clear(&target, stopped, inner.options.confirm).await;
    phase.send_replace(Phase::Cut);
    feeding.abort();
    let captured = match early {
        Ok(captured) => captured,
        Err(_) => pumps.await,
    };
    let (stdout, stderr) = captured.unwrap_or_default();
    let ending = ending(stopped, &swept, inner.keeper.finish(started.main).await);
    let leftover = if stopped { 0 } else { swept.found };
    Report {
        sandbox: started.sandbox,
        ending,
        ran,
        leftover,
        survivors: swept.left,
        stdout,
        stderr,
    }
    .settle(&inner.sink)
    .await
}

fn ending(stopped: bool, swept: &Swept, status: Option<ExitStatus>) -> Ending {
    match status {
        Some(status) if !stopped => Ending::Exited(status),
        Some(status) if swept.left == 0 => Ending::Stopped(status),
        status => Ending::Unconfirmed(status),
    }
}

/// Returns when the stop is asked for, never if it is not.
async fn asked(order: &StopOrder) {
    let mut deadline = order.deadline.subscribe();
    if deadline.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Writes the input and closes the pipe. A process that does not read it is none of our business.
fn feed(pipe: Option<OwnedFd>, input: Option<String>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let (Some(pipe), Some(input)) = (pipe, input)
            && let Ok(mut pipe) = pipe::Sender::from_owned_fd(pipe)
        {
            let _ = pipe.write_all(input.as_bytes()).await;
        }
    })
}
