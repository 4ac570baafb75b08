//! A real daemon on a free port over a temporary directory, and the small clients the transport tests need.
//! It knows nothing the wire does not show, except how to start and drain the daemon.

use actum_daemon::access::{Access, Mode};
use actum_daemon::core::{Core, CoreOptions, open};
use actum_daemon::transport::{Listening, Options, Timings, listen};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// A running daemon.
pub struct Daemon {
    pub core: Core,
    pub listening: Option<Listening>,
    pub address: SocketAddr,
    pub data: TempDir,
}

impl Daemon {
    /// In `dev` mode, with the usual timings.
    pub async fn dev() -> Daemon {
        Daemon::start(Mode::Dev, Timings::default()).await
    }

    pub async fn start(mode: Mode, timings: Timings) -> Daemon {
        Daemon::start_with(mode, timings, |_| {}).await
    }

    /// The same with a core that is opened in another way.
    pub async fn start_with(mode: Mode, timings: Timings, change: impl FnOnce(&mut CoreOptions)) -> Daemon {
        let data = tempfile::tempdir().unwrap();
        let mut options = CoreOptions::new(data.path());
        options.segment_bytes = 4 * 1024 * 1024;
        options.config.sandbox = actum_model::worker::Sandbox::None;
        change(&mut options);
        let core = open(&options).unwrap();
        let access = Access::new(mode, data.path(), &["actum.example".to_owned()]);
        let options = Options {
            bind: "127.0.0.1:0".parse().unwrap(),
            access: Arc::new(access),
            timings,
            introspection: true,
        };
        let listening = listen(core.clone(), options).await.unwrap();
        Daemon {
            core,
            address: listening.address(),
            listening: Some(listening),
            data,
        }
    }

    /// Sends a request with the daemon's own `Host`.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let host = self.address.to_string();
        let mut all = vec![("host", host.as_str())];
        all.extend(headers.iter().copied());
        request_as_is(self.address, method, path, &all, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    /// Posts one command.
    pub async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.request("POST", "/v1/commands", &[JSON], body).await
    }

    /// Posts lines and returns the answers.
    pub async fn post_lines(&self, body: impl Into<Bytes>) -> Vec<Value> {
        let answer = self.request("POST", "/v1/commands", &[NDJSON], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
            .text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Opens a WebSocket and takes the greeting.
    pub async fn socket(&self) -> Socket {
        let mut socket = self.socket_with(&[]).await.unwrap();
        assert_eq!(socket.next().await["type"], "server_ready");
        socket
    }

    pub async fn socket_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        open_socket(self.address, stream, headers).await
    }

    /// A WebSocket whose receive window is small, so that not reading is felt soon.
    pub async fn narrow_socket(&self) -> Socket {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let mut socket = open_socket(self.address, stream, &[]).await.unwrap();
        assert_eq!(socket.next().await["type"], "server_ready");
        socket
    }

    /// Creates a session.
    pub async fn session(&self, id: &str) {
        let answer = self
            .post(json!({"type": "session.create", "sessionId": id}).to_string())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Waits until everything is answered and closed, and the core too.
    pub async fn finish(mut self) {
        self.core.drain();
        self.listening.take().unwrap().finished().await;
        self.core.close().await;
    }
}

pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let code = problem["error"]["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:actum:error:{code}"));
        assert!(
            problem["error"]["hint"]
                .as_str()
                .is_some_and(|hint| !hint.is_empty())
        );
        code
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn request_as_is(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender
        .send_request(request.body(Full::new(body.into())).unwrap())
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// One HTTP connection for request after request.
pub struct KeptAlive {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
}

impl KeptAlive {
    pub async fn to(daemon: &Daemon) -> KeptAlive {
        let stream = TcpStream::connect(daemon.address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        KeptAlive {
            sender,
            host: daemon.address.to_string(),
        }
    }

    /// The status of what is there, read to its end.
    pub async fn status_of(&mut self, path: &str) -> u16 {
        self.sender.ready().await.unwrap();
        let request = hyper::Request::get(path)
            .header("host", &self.host)
            .body(Full::default())
            .unwrap();
        let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
        body.collect().await.unwrap();
        head.status.as_u16()
    }
}

/// A WebSocket.
pub struct Socket {
    pub stream: WebSocketStream<TcpStream>,
}

async fn open_socket(
    address: SocketAddr,
    stream: TcpStream,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok(Socket { stream })
}

impl Socket {
    pub async fn send(&mut self, message: &Value) {
        self.send_text(message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.stream.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next message that is not a ping or pong.
    pub async fn next(&mut self) -> Value {
        match self.next_or_close().await {
            Ok(value) => value,
            Err(close) => panic!("closed: {close:?}"),
        }
    }

    pub async fn next_or_close(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Sends and waits for the response; events that come before are dropped.
    pub async fn call(&mut self, message: &Value) -> Value {
        self.send(message).await;
        loop {
            let next = self.next().await;
            if next["type"] == "response" {
                return next;
            }
        }
    }

    /// The close code, after whatever still comes.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(frame) = self.next_or_close().await {
                return frame.map(|frame| frame.code.into());
            }
        }
    }
}

/// A `session.annotate`.
pub fn annotate(id: &str, session: &str, value: impl Into<Value>) -> Value {
    json!({"type": "session.annotate", "id": id, "sessionId": session, "payload": {"key": "k", "value": value.into()}})
}

/// The error code of a response.
pub fn code(response: &Value) -> &str {
    assert_eq!(response["type"], "response", "{response}");
    assert_eq!(response["success"], false, "{response}");
    response["error"]["code"].as_str().unwrap()
}
