//! The introduction: both sides say `hello`, both versions must be equal, then the worker says `ready`.

use super::Options;
use super::outcome::EndReason;
use crate::limits::PROTOCOL;
use crate::protocol::{FrameBuffer, FromWorker, ProtocolError, ToWorker, WorkerHello, decode, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::time::timeout;

/// Introduces this side and waits until the worker is ready. Frames that came after are left in `buffer`.
pub(super) async fn introduce(
    socket: UnixStream,
    buffer: &mut FrameBuffer,
    options: &Options,
) -> Result<(UnixStream, WorkerHello), EndReason> {
    let (mut read, mut write) = socket.into_split();
    let hello = encode(&ours(options)).map_err(EndReason::Protocol)?;
    let talk = async {
        write
            .write_all(&hello)
            .await
            .map_err(|error| EndReason::Socket(error.to_string()))?;
        let theirs = match next(&mut read, buffer).await? {
            FromWorker::Hello(hello) => hello,
            other => return Err(fault_or(other, "`hello` first")),
        };
        if theirs.protocol != PROTOCOL {
            return Err(EndReason::Mismatch {
                theirs: theirs.protocol,
            });
        }
        match next(&mut read, buffer).await? {
            FromWorker::Ready { .. } => Ok(theirs),
            other => Err(fault_or(other, "`ready` after `hello`")),
        }
    };
    let theirs = timeout(options.hello_timeout, talk)
        .await
        .map_err(|_| EndReason::HelloTimeout)??;
    let socket = read
        .reunite(write)
        .map_err(|error| EndReason::Socket(error.to_string()))?;
    Ok((socket, theirs))
}

fn ours(options: &Options) -> ToWorker {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    ToWorker::Hello {
        protocol: PROTOCOL,
        daemon: concat!("actum/", env!("CARGO_PKG_VERSION")).to_owned(),
        credits: options.windows.clone(),
        backpressure: options.backpressure.clone(),
        config: serde_json::json!({
            "drainMs": milliseconds(options.drain),
            "heartbeatMs": milliseconds(options.heartbeat),
            "inputTimeoutMs": milliseconds(options.input_timeout),
        }),
    }
}

fn fault_or(message: FromWorker, expected: &str) -> EndReason {
    match message {
        FromWorker::Fault { code, message } => EndReason::Fault { code, message },
        _ => EndReason::Protocol(ProtocolError::OutOfPlace(format!(
            "expected {expected}, got another message"
        ))),
    }
}

async fn next(read: &mut OwnedReadHalf, buffer: &mut FrameBuffer) -> Result<FromWorker, EndReason> {
    loop {
        if let Some(frame) = buffer.next_frame().map_err(EndReason::Protocol)? {
            return decode(&frame).map_err(EndReason::Protocol);
        }
        match read.read_buf(buffer.space()).await {
            Ok(0) => {
                return Err(EndReason::Socket(
                    "the worker closed it before it introduced itself".to_owned(),
                ));
            }
            Ok(_) => {}
            Err(error) => return Err(EndReason::Socket(error.to_string())),
        }
    }
}
