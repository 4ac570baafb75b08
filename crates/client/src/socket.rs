//! A WebSocket as it is: texts out, texts in. [`crate::Session`] matches responses to commands.

use crate::error::{ClientError, Refusal};
use crate::http::Client;
use actum_model::limits::MESSAGE_BYTES_MAX;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

type Stream = WebSocketStream<TcpStream>;

/// Read at a time. The library clears it before each read, so a large one costs more than it saves.
const READ_BYTES: usize = 8 * 1024;

/// An open WebSocket, greeted by the daemon.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    greeting: Value,
}

/// The sending half.
#[derive(Debug)]
pub struct Sender {
    sink: SplitSink<Stream, Message>,
}

/// The receiving half. It must be read: the daemon does not read from a client that does not read.
#[derive(Debug)]
pub struct Receiver {
    stream: SplitStream<Stream>,
}

impl Socket {
    pub(crate) async fn open(client: &Client) -> Result<Socket, ClientError> {
        let address = client.address();
        let mut request = format!("ws://{}/v1/ws", address.authority()).into_client_request()?;
        if let Some(authorization) = client.authorization() {
            request
                .headers_mut()
                .insert("authorization", authorization.clone());
        }
        let stream = address.connect().await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_message_size(Some(8 * MESSAGE_BYTES_MAX))
            .max_frame_size(Some(8 * MESSAGE_BYTES_MAX));
        let mut stream = match client_async_with_config(request, stream, Some(config)).await {
            Ok((stream, _)) => stream,
            Err(Error::Http(response)) => return Err(refusal(&response)),
            Err(error) => return Err(error.into()),
        };
        let first = next_text(&mut stream).await?;
        let first = first.ok_or_else(|| ClientError::broken("closed before the greeting"))?;
        let greeting: Value = serde_json::from_str(&first).unwrap_or(Value::Null);
        if greeting.get("type").and_then(Value::as_str) != Some("server_ready") {
            return Err(ClientError::protocol("`server_ready`", first.as_bytes()));
        }
        Ok(Socket { stream, greeting })
    }

    /// The daemon's `server_ready`.
    #[must_use]
    pub fn greeting(&self) -> &Value {
        &self.greeting
    }

    /// Two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        let (sink, stream) = self.stream.split();
        (Sender { sink }, Receiver { stream })
    }
}

impl Sender {
    /// Puts a text where the next flush finds it: one command, or several as lines.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn feed(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), ClientError> {
        Ok(self.sink.feed(Message::Text(text.into())).await?)
    }

    /// Sends all that was fed.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        Ok(self.sink.flush().await?)
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// Where the connection is gone already.
    pub async fn close(&mut self) -> Result<(), ClientError> {
        Ok(self.sink.close().await?)
    }
}

impl Receiver {
    /// The next text; `None` when the daemon closed.
    ///
    /// # Errors
    /// Where the connection broke.
    pub async fn next(&mut self) -> Result<Option<Utf8Bytes>, ClientError> {
        next_text(&mut self.stream).await
    }
}

async fn next_text<S>(stream: &mut S) -> Result<Option<Utf8Bytes>, ClientError>
where
    S: futures_util::Stream<Item = Result<Message, Error>> + Unpin,
{
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(Some(text)),
            Some(Ok(Message::Close(_))) | None => return Ok(None),
            // Pings are answered below.
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

fn refusal(response: &hyper::http::Response<Option<Vec<u8>>>) -> ClientError {
    let body = response.body().as_deref().unwrap_or_default();
    let problem = serde_json::from_slice(body).unwrap_or(Value::Null);
    match Refusal::of(response.status().as_u16(), &problem) {
        Some(refusal) => ClientError::Refused(Box::new(refusal)),
        None => ClientError::protocol("a problem document", body),
    }
}
