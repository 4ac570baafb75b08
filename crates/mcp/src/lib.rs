//! The front door for agents: a server of the Model Context Protocol over standard input and output. Each call of a
//! tool is a command of the daemon, in the lane of a session that belongs to the connection, so it is governed and
//! journaled like any other.
//!
//! It sees the daemon over the wire alone, and holds no truth: what it forgets when it ends can be asked of the daemon.
//! It runs nothing itself, decides nothing, and never asks the client for anything.

mod arguments;
mod call;
mod error;
mod hints;
mod identity;
mod leave;
mod limits;
mod link;
mod progress;
mod report;
mod schema;
mod server;
mod text;
mod tools;

pub use error::ServeError;
pub use limits::WAIT_MS_DEFAULT;
pub use link::{SessionPlan, Target};

use crate::leave::Leave;
use crate::link::{Find, Link};
use crate::server::Server;
use actum_model::Fault;
use rmcp::ServiceExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// What a server is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The session its commands go to.
    pub session: SessionPlan,
    /// How long a call waits for its command unless it says otherwise, milliseconds.
    pub wait_ms: u64,
}

/// Serves one client over standard input and output until the client goes or the process is told to end. `find` says
/// where the daemon is, and is asked again when the connection to it broke.
///
/// Needs a tokio runtime with IO and time. Reading standard input may leave a blocked thread behind, so end the
/// runtime with `shutdown_background`.
///
/// # Errors
/// Before anything is served: where the daemon does not answer or refuses the caller. Later: where the client breaks
/// the protocol before a request was served.
pub async fn serve<F>(options: Options, find: F) -> Result<(), ServeError>
where
    F: Fn() -> Result<Target, Fault> + Send + Sync + 'static,
{
    let find: Find = Box::new(find);
    let link = Arc::new(Link::new(find, options.session)?);
    link.check().await?;
    let leave = Leave::default();
    let server = Server::new(Arc::clone(&link), options.wait_ms, leave.clone());
    let signals = tokio::spawn(until_told(leave.clone()));
    let served = session(server, leave.clone()).await;
    signals.abort();
    leave.now();
    leave.all_gone(Duration::from_millis(limits::LEAVE_MS_MAX)).await;
    link.close().await;
    served
}

/// Serves until the client goes or the process is told to.
async fn session(server: Server, leave: Leave) -> Result<(), ServeError> {
    let running = tokio::select! {
        () = leave.told() => return Ok(()),
        running = server.serve(rmcp::transport::io::stdio_pipes()) => match running {
            Ok(running) => running,
            // A client that goes without a word has done nothing wrong.
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(ServeError::client(&error)),
        },
    };
    let stop = running.cancellation_token();
    let end = running.waiting();
    tokio::pin!(end);
    let ended = tokio::select! {
        ended = &mut end => ended,
        () = leave.told() => {
            stop.cancel();
            end.await
        }
    };
    ended
        .map(|_reason| ())
        .map_err(|error| ServeError::client(&error))
}

/// Tells everybody to leave when the process is told to end.
async fn until_told(leave: Leave) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    leave.now();
}
