//! The introduction: both sides say `hello`, both versions must be equal, then the worker says `ready`.

use super::Options;
use super::outcome::EndReason;
use super::remains::Remains;
use super::wire::Wire;
use crate::limits::PROTOCOL;
use crate::protocol::{FrameBuffer, FromWorker, ProtocolError, ToWorker, WorkerHello, decode, encode};
use std::io;
use tokio::time::timeout;

/// Read at a time.
const READ_BYTES: usize = 4096;

/// Introduces this side and waits until the worker is ready. Frames that came after are left in `buffer`, and what the
/// worker hands over with its introduction in `remains`.
pub(super) async fn introduce(
    wire: &Wire,
    buffer: &mut FrameBuffer,
    remains: &mut Remains,
    options: &Options,
) -> Result<WorkerHello, EndReason> {
    let hello = encode(&ours(options)).map_err(EndReason::Protocol)?;
    let talk = async {
        wire.write_all(&hello)
            .await
            .map_err(|error| EndReason::Socket(error.to_string()))?;
        let theirs = match next(wire, buffer, remains).await? {
            FromWorker::Hello(hello) => hello,
            other => return Err(fault_or(other, "`hello` first")),
        };
        if theirs.protocol != PROTOCOL {
            return Err(EndReason::Mismatch {
                theirs: theirs.protocol,
            });
        }
        match next(wire, buffer, remains).await? {
            FromWorker::Ready { .. } => Ok(theirs),
            other => Err(fault_or(other, "`ready` after `hello`")),
        }
    };
    timeout(options.hello_timeout, talk)
        .await
        .map_err(|_| EndReason::HelloTimeout)?
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

async fn next(wire: &Wire, buffer: &mut FrameBuffer, remains: &mut Remains) -> Result<FromWorker, EndReason> {
    let mut bytes = [0; READ_BYTES];
    loop {
        if let Some(frame) = buffer.next_frame().map_err(EndReason::Protocol)? {
            return decode(&frame).map_err(EndReason::Protocol);
        }
        let read = wire.read_with(|socket| remains.receive(socket, &mut bytes));
        match read.await {
            Ok(0) => {
                return Err(EndReason::Socket(
                    "the worker closed it before it introduced itself".to_owned(),
                ));
            }
            Ok(count) => buffer.add(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(EndReason::Socket(error.to_string())),
        }
    }
}
