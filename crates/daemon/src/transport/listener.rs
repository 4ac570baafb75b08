//! Binds, accepts, bounds the number of connections, and drains.
//!
//! HTTP/1.1 only, without TLS: beyond one machine a proxy or a tunnel carries it.

use super::http::{App, Inner, Peer, router};
use super::problem::problem;
use super::{Options, Timings, drained};
use crate::core::Core;
use crate::graphql::Surface;
use actum_model::error::{ErrorCode, Fault};
use actum_model::limits;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tower_service::Service;

/// Bytes of one request head. Ids and cursors are short.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// Connections above the limit that are told so at the same time; more are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long a connection above the limit is talked to.
const TURN_AWAY: Duration = Duration::from_secs(2);
/// Pause after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening daemon.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    slots: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Listening {
    /// The address it listens on, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        limits::CONNECTIONS_MAX.saturating_sub(self.slots.available_permits())
    }

    /// Returns when the daemon has drained: no new connections, what was due is answered, all are closed.
    pub async fn finished(self) {
        let _panicked = self.task.await;
    }
}

/// Binds and begins to accept.
///
/// # Errors
/// `BIND_REFUSED` by the bind rule, or where the address cannot be had.
pub async fn listen(core: Core, options: Options) -> Result<Listening, Fault> {
    options.access.may_bind(options.bind)?;
    let failed = |error: std::io::Error| {
        let message = format!("could not listen on `{}`: {error}", options.bind);
        Fault::new(ErrorCode::BindRefused, message).with_hint("choose another address or port with --listen")
    };
    let listener = TcpListener::bind(options.bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    core.calls().answer_at(address);
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let app = Arc::new(Inner {
        graphql: Arc::new(Surface::new(
            core.clone(),
            options.introspection,
            options.timings.query,
        )),
        core,
        access: options.access,
        timings: options.timings,
    });
    let task = tokio::spawn(accept_all(listener, app, Arc::clone(&slots)));
    Ok(Listening { address, slots, task })
}

async fn accept_all(listener: TcpListener, app: App, slots: Arc<Semaphore>) {
    let routes = router(Arc::clone(&app));
    let crowd = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let mut draining = app.core.draining();
    let mut draining = pin!(drained(&mut draining));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            tokio::spawn(serve(stream, remote, slot, routes.clone(), Arc::clone(&app)));
        } else if let Ok(place) = Arc::clone(&crowd).try_acquire_owned() {
            tokio::spawn(turn_away(stream, place));
        }
    }
    drop(listener);
    // Every connection, upgraded or not, holds its slot until it is closed.
    let all = u32::try_from(limits::CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let longest = app.timings.drain + app.timings.close;
    let _too_long = tokio::time::timeout(longest, slots.acquire_many(all)).await;
}

async fn serve(stream: TcpStream, remote: SocketAddr, slot: OwnedSemaphorePermit, routes: Router, app: App) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Answers are small and written whole; waiting for more would only delay them.
    let _best_effort = stream.set_nodelay(true);
    let peer = Peer {
        remote,
        local,
        _slot: Arc::new(slot),
    };
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let mut routes = routes.clone();
        routes.call(request.map(Body::new))
    });
    let connection = builder(&app.timings)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut draining = app.core.draining();
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = drained(&mut draining) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(app.timings.drain, connection).await {
                Ok(ended) => ended,
                Err(_too_long) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%remote, "connection ended: {error}");
    }
}

fn builder(timings: &Timings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(timings.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .pipeline_flush(true);
    builder
}

/// Answers one request of a connection for which there is no slot.
async fn turn_away(stream: TcpStream, _place: OwnedSemaphorePermit) {
    let service = hyper::service::service_fn(|_| async {
        let message = format!("expected at most {} connections", limits::CONNECTIONS_MAX);
        let fault = Fault::new(ErrorCode::Busy, message).with_hint("close connections that are not in use");
        Ok::<_, Infallible>(problem(&fault))
    });
    let mut builder = http1::Builder::new();
    let connection = builder
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _late = tokio::time::timeout(TURN_AWAY, connection).await;
}
