//! Commands and reads over HTTP/1.1, on connections that are kept open.

use crate::address::Address;
use crate::error::{ClientError, Refusal};
use crate::events::{Events, EventsQuery};
use crate::lines::{self, LineReceiver, LineSender};
use crate::outgoing::Outgoing;
use crate::socket::Socket;
use actum_model::limits::MESSAGE_BYTES_MAX;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Idle connections kept for the next request.
const IDLE_MAX: usize = 128;
/// Largest answer read whole: a page of history with everything in it.
const ANSWER_BYTES_MAX: usize = 8 * MESSAGE_BYTES_MAX;
/// Chunks of lines on their way to the connection.
const LINES_QUEUED: usize = 1024;

/// A daemon, as one caller sees it. Clones share the open connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: Address,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    idle: Mutex<Vec<SendRequest<Outgoing>>>,
}

impl Client {
    /// Connects to the daemon at `url` (`http://HOST:PORT`), with a token where it wants one.
    ///
    /// # Errors
    /// `DAEMON_UNREACHABLE`, or `INVALID_INPUT` where `url` or `token` cannot be one.
    pub async fn connect(url: &str, token: Option<&str>) -> Result<Client, ClientError> {
        let address = Address::parse(url)?;
        let bad = |why| ClientError::BadAddress {
            address: url.to_owned(),
            why,
        };
        let host = HeaderValue::from_str(address.authority()).map_err(|_| bad("expected a host"))?;
        let authorization = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                    .map_err(|_| bad("the token holds characters no token has"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let client = Client {
            inner: Arc::new(Inner {
                address,
                host,
                authorization,
                idle: Mutex::default(),
            }),
        };
        let connection = client.open().await?;
        client.keep(connection);
        Ok(client)
    }

    /// Where the daemon is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.inner.address
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.inner.authorization.as_ref()
    }

    /// Submits one command and waits for its response, which may say that it failed.
    ///
    /// # Errors
    /// Where there is no response: see [`ClientError`].
    pub async fn submit(&self, envelope: &Value) -> Result<Value, ClientError> {
        let (status, body) = self.submit_text(Bytes::from(envelope.to_string())).await?;
        response_of(status, &body)
    }

    /// The same with texts: the command as sent, the body as it came. For programs that count every microsecond.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn submit_text(&self, envelope: Bytes) -> Result<(u16, Bytes), ClientError> {
        let mut request = self.request(Method::POST, "/v1/commands", Outgoing::Whole(Some(envelope)))?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        self.whole(request).await
    }

    /// Reads `path` with a query. Names and values are escaped here.
    ///
    /// # Errors
    /// Where the daemon refuses or does not answer.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, ClientError> {
        let request = self.request(Method::GET, &with_query(path, query), Outgoing::Whole(None))?;
        let (status, body) = self.whole(request).await?;
        response_of(status, &body)
    }

    /// Reads a sealed blob by its hash, 64 hex digits.
    ///
    /// # Errors
    /// Where the daemon keeps none of that name, or does not answer.
    pub async fn blob(&self, hash: &str) -> Result<Bytes, ClientError> {
        let path = format!("/v1/blobs/{hash}");
        let request = self.request(Method::GET, &path, Outgoing::Whole(None))?;
        let (status, body) = self.whole(request).await?;
        if status == StatusCode::OK.as_u16() {
            return Ok(body);
        }
        let problem = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Err(refused(status, &problem, &body))
    }

    /// Asks the GraphQL surface and gives its `data`.
    ///
    /// # Errors
    /// Where the daemon does not answer, or the answer has errors: the first of them, under its own code.
    pub async fn graphql(&self, query: &str, variables: &Value) -> Result<Value, ClientError> {
        let body = serde_json::json!({"query": query, "variables": variables}).to_string();
        let mut request = self.request(Method::POST, "/graphql", Outgoing::Whole(Some(Bytes::from(body))))?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let (status, body) = self.whole(request).await?;
        let mut answer: Value =
            serde_json::from_slice(&body).map_err(|_| ClientError::protocol("a GraphQL answer", &body))?;
        let errors = answer.get("errors").and_then(Value::as_array);
        match errors.and_then(|errors| errors.first()) {
            Some(error) => Err(ClientError::Refused(Box::new(Refusal::of_graphql(status, error)))),
            None => match answer.get_mut("data").map(Value::take) {
                Some(data) if !data.is_null() => Ok(data),
                _ => Err(refused(status, &answer, &body)),
            },
        }
    }

    /// Opens a request that takes many commands as lines, and answers in their order while more are sent.
    ///
    /// # Errors
    /// Where the daemon refuses or does not answer.
    pub async fn submit_ndjson(&self) -> Result<(LineSender, LineReceiver), ClientError> {
        let (lines_in, lines_out) = mpsc::channel(LINES_QUEUED);
        let mut request = self.request(Method::POST, "/v1/commands", Outgoing::Lines(lines_out))?;
        let ndjson = HeaderValue::from_static("application/x-ndjson");
        request.headers_mut().insert(CONTENT_TYPE, ndjson);
        let (response, _) = self.send(request).await?;
        let body = accepted(response).await?;
        Ok(lines::pair(lines_in, body))
    }

    /// Follows events.
    ///
    /// # Errors
    /// Where the daemon refuses or does not answer.
    pub async fn events(&self, query: &EventsQuery) -> Result<Events, ClientError> {
        let path = with_query("/v1/events", &query.pairs());
        let mut request = self.request(Method::GET, &path, Outgoing::Whole(None))?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last) = &query.last_event_id {
            let value = HeaderValue::from_str(last)
                .map_err(|_| ClientError::protocol("an id of the stream", last.as_bytes()))?;
            request.headers_mut().insert("last-event-id", value);
        }
        let (response, _) = self.send(request).await?;
        Ok(Events::new(accepted(response).await?))
    }

    /// Opens a WebSocket.
    ///
    /// # Errors
    /// Where the daemon refuses or does not answer.
    pub async fn socket(&self) -> Result<Socket, ClientError> {
        Socket::open(self).await
    }

    fn request(&self, method: Method, path: &str, body: Outgoing) -> Result<Request<Outgoing>, ClientError> {
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.inner.host.clone());
        if let Some(authorization) = &self.inner.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        builder.body(body).map_err(ClientError::broken)
    }

    async fn whole(&self, request: Request<Outgoing>) -> Result<(u16, Bytes), ClientError> {
        let (response, connection) = self.send(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(ClientError::broken)?.to_bytes();
        self.keep(connection);
        Ok((status, body))
    }

    /// Sends on an idle connection, or a new one. Only a request that was never sent is sent again.
    async fn send(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, SendRequest<Outgoing>), ClientError> {
        while let Some(mut connection) = self.idle() {
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(ClientError::broken(error.into_error())),
                },
            }
        }
        let mut connection = self.open().await?;
        let response = connection
            .send_request(request)
            .await
            .map_err(ClientError::broken)?;
        Ok((response, connection))
    }

    async fn open(&self) -> Result<SendRequest<Outgoing>, ClientError> {
        let stream = self.inner.address.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ClientError::broken)?;
        // It ends with the sender, and what goes wrong in it is told by the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn idle(&self) -> Option<SendRequest<Outgoing>> {
        let mut idle = held(&self.inner.idle);
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.is_closed())
    }

    fn keep(&self, connection: SendRequest<Outgoing>) {
        let mut idle = held(&self.inner.idle);
        if !connection.is_closed() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a stream that was accepted, or the refusal.
async fn accepted(response: Response<Incoming>) -> Result<Incoming, ClientError> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response.into_body());
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(ClientError::broken)?.to_bytes();
    let problem = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Err(refused(status.as_u16(), &problem, &body))
}

/// The response in an answer: problems that answer a command carry it beside their own members.
fn response_of(status: u16, body: &[u8]) -> Result<Value, ClientError> {
    let mut answer: Value =
        serde_json::from_slice(body).map_err(|_| ClientError::protocol("a JSON answer", body))?;
    if status < 400 {
        return Ok(answer);
    }
    match &mut answer {
        Value::Object(members) if members.contains_key("success") => {
            for name in ["title", "status", "detail"] {
                members.remove(name);
            }
            members.insert("type".to_owned(), "response".into());
            Ok(answer)
        }
        problem => Err(refused(status, problem, body)),
    }
}

fn refused(status: u16, problem: &Value, body: &[u8]) -> ClientError {
    match Refusal::of(status, problem) {
        Some(refusal) => ClientError::Refused(Box::new(refusal)),
        None => ClientError::protocol("a problem document", body),
    }
}

fn with_query<V: AsRef<str>>(path: &str, query: &[(&str, V)]) -> String {
    let mut out = path.to_owned();
    for (at, (name, value)) in query.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        escape(&mut out, name);
        out.push('=');
        escape(&mut out, value.as_ref());
    }
    out
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(with_query::<&str>("/p", &[]), "/p");
        assert_eq!(
            with_query("/p", &[("a", "x y&z=1"), ("b", "é:ok")]),
            "/p?a=x%20y%26z%3D1&b=%C3%A9%3Aok"
        );
    }

    #[test]
    fn a_problem_that_answers_a_command_is_its_response() {
        let body = br#"{"type":"urn:actum:error:CANCELLED","title":"t","status":409,"detail":"d","command":"shell.run",
            "id":"a","success":false,"error":{"code":"CANCELLED","message":"d","hint":"h","retryable":false}}"#;
        let response = response_of(409, body).unwrap();
        assert_eq!(response["type"], "response");
        assert_eq!(response["error"]["code"], "CANCELLED");
        assert!(response.get("status").is_none());
    }

    #[test]
    fn a_problem_without_a_command_is_a_refusal() {
        let body = br#"{"type":"urn:actum:error:UNAUTHENTICATED","status":401,
            "error":{"code":"UNAUTHENTICATED","message":"m","hint":"h","retryable":false}}"#;
        let error = response_of(401, body).unwrap_err();
        assert_eq!(error.code(), "UNAUTHENTICATED");
        assert_eq!(error.hint(), "h");
        assert_eq!(response_of(502, b"<html>").unwrap_err().code(), "INTERNAL");
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_a_hint() {
        // A listener that is dropped leaves a port nobody listens on.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::connect(&url, None).await.unwrap_err();
        assert_eq!(error.code(), "DAEMON_UNREACHABLE");
        assert!(error.hint().contains("actum dev"));
        assert!(error.retryable());
    }
}
