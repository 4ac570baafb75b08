//! One request over one connection, and its answer. The connection is closed after it.

use super::body::{Body, More};
use super::connect::Wire;
use super::target::Target;
use crate::sdk::{Call, Failure};
use actum_model::{ErrorCode, limits};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HOST, LOCATION};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

/// The task that drives a connection; it ends with this.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose body has not been read.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    _driver: Driver,
}

/// What is sent on one hop, with secrets in their places.
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Sends a request and waits for the head of its answer. `leaves` is called when the first byte may leave.
pub(super) async fn send(
    target: &Target,
    wire: Box<dyn Wire>,
    sent: Sent,
    leaves: impl FnOnce(),
) -> Result<Head, Failure> {
    let failed = |error: hyper::Error| failure(target, &chain(&error));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(2 * limits::HTTP_HEADER_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(failed)?;
    let driver = Driver(tokio::spawn(async move {
        // What goes wrong on the connection is told by the answer as well.
        let _told = connection.await;
    }));
    let mut request = Request::builder()
        .method(sent.method.as_str())
        .uri(target.path())
        .header(HOST, target.authority());
    for (name, value) in &sent.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(sent.body))).map_err(|_| {
        let message = "a header holds what no header may hold, once its secret is in its place";
        Failure::new(ErrorCode::SecretUnavailable, message)
    })?;
    leaves();
    let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
    let (status, headers) = (head.status, head.headers);
    Ok(Head {
        status,
        headers,
        body,
        _driver: driver,
    })
}

impl Head {
    /// Where the answer redirects to.
    pub(super) fn location(&self) -> Option<&str> {
        let redirects = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        self.headers.get(LOCATION).filter(|_| redirects)?.to_str().ok()
    }

    /// Reads at most so many bytes of the body; whether that was all of it.
    pub(super) async fn read(
        self,
        call: &Call,
        target: &Target,
        max: usize,
    ) -> Result<(Vec<u8>, bool), Failure> {
        let failed = |why: &str| failure(target, why);
        let encoding = self
            .headers
            .get(CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok());
        let mut taken = Body::new(encoding, max);
        let (mut body, mut count) = (self.body, 0u64);
        let size = hyper::body::Body::size_hint(&body).exact();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(&chain(&error)))?;
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            count = count.saturating_add(piece.len() as u64);
            (call.means.progress)(count, size);
            if taken.take(&piece).map_err(|why| failed(&why))? == More::Enough {
                return taken.finish(false).map_err(|why| failed(&why));
            }
        }
        taken.finish(true).map_err(|why| failed(&why))
    }
}

fn failure(target: &Target, why: &str) -> Failure {
    let message = format!("no usable answer from `{}`: {why}", target.authority());
    Failure::new(ErrorCode::HttpFailed, message)
}

/// An error with its causes, the last of which says most.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
