//! The routes of the HTTP interface, and what every request passes first: Host and Origin, then the token.
//!
//! The handlers live in files of their own, one per kind of traffic.

use super::problem::{problem, problem_as};
use super::{Timings, commands, reads, sse, websocket};
use crate::access::guard::Head;
use crate::access::{Access, Grant};
use crate::core::Core;
use crate::graphql::http::{MaybeGrant, graphql};
use crate::graphql::{Surface, explorer};
use actum_model::error::{ErrorCode, Fault};
use actum_model::json::shorten;
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What every handler needs.
pub(crate) struct Inner {
    pub(crate) core: Core,
    pub(crate) access: Arc<Access>,
    pub(crate) timings: Timings,
    pub(crate) graphql: Arc<Surface>,
}

/// See [`Inner`].
pub(crate) type App = Arc<Inner>;

/// The connection a request came by. It holds the connection's slot.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) _slot: Arc<OwnedSemaphorePermit>,
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    let open = Router::new()
        .route("/healthz", get(reads::alive))
        .route("/readyz", get(reads::ready));
    let closed = Router::new()
        .route("/v1/commands", get(reads::contracts).post(commands::post))
        .route("/v1/commands/{id}", get(reads::command))
        .route("/v1/blobs/{hash}", get(reads::blob))
        .route("/v1/personal/{ref}", get(reads::personal))
        .route("/v1/history", get(reads::history))
        .route("/v1/recovery", get(reads::recovery))
        .route("/v1/health", get(reads::health))
        .route("/v1/metrics", get(reads::metrics))
        .route("/v1/events", get(sse::events))
        .route("/v1/ws", get(websocket::upgrade))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), authenticate));
    let mut graph = Router::new()
        .route("/graphql", any(graphql))
        .layer(from_fn_with_state(app.clone(), identify));
    if app.access.is_dev() {
        graph = graph
            .route("/graphql/explorer.js", get(explorer::script))
            .route("/graphql/explorer.css", get(explorer::style));
    }
    open.merge(graph)
        .method_not_allowed_fallback(wrong_method)
        .merge(closed)
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Refuses foreign hosts and pages, and hands a trace on.
async fn guard(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let head = Head {
        is_get: request.method() == Method::GET,
        authority: request.uri().authority().map(|name| name.as_str()),
        headers: request.headers(),
    };
    if let Err(fault) = app.access.check_origin(&head, peer.local) {
        return problem(&fault);
    }
    let trace = request
        .headers()
        .get("traceparent")
        .filter(|value| is_trace(value))
        .cloned();
    let mut response = next.run(request).await;
    if let Some(trace) = trace {
        response.headers_mut().insert("traceparent", trace);
    }
    response
}

/// W3C Trace Context, version 00: `00-<32 hex>-<16 hex>-<2 hex>`, lower case, neither id all zero.
fn is_trace(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        ["00", trace, parent, flags] => {
            let set = |part: &str| part.bytes().any(|byte| byte != b'0');
            hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && set(trace) && set(parent)
        }
        _ => false,
    }
}

async fn authenticate(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match grant(&app, &peer, &request) {
        Ok(grant) => {
            request.extensions_mut().insert(grant);
            next.run(request).await
        }
        Err(fault) => problem(&fault),
    }
}

/// The same for a handler that may learn later who calls.
async fn identify(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let found = grant(&app, &peer, &request);
    request.extensions_mut().insert(MaybeGrant(found));
    next.run(request).await
}

fn grant(app: &App, peer: &Peer, request: &Request) -> Result<Grant, Fault> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let value = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() {
        let message = "expected one `Authorization` header, got several";
        return Err(Fault::new(ErrorCode::Unauthenticated, message));
    }
    app.access.authenticate(value, peer.remote.ip())
}

async fn unknown(request: Request) -> Response {
    let message = format!("nothing is at `{}`", shorten(request.uri().path()));
    problem(&Fault::new(ErrorCode::NotFound, message))
}

async fn wrong_method(request: Request) -> Response {
    let message = format!(
        "`{}` does not take the method {}",
        shorten(request.uri().path()),
        shorten(request.method().as_str())
    );
    problem_as(
        StatusCode::METHOD_NOT_ALLOWED,
        &Fault::new(ErrorCode::NotFound, message),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_trace_parent_is_handed_on() {
        let is = |text: &str| is_trace(&HeaderValue::from_str(text).unwrap());
        assert!(is("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for bad in [
            "",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(!is(bad), "{bad}");
        }
    }
}
