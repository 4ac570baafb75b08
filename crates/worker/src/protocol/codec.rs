//! Messages as MessagePack bytes, strictly: one map, nothing after it, nothing deeper than allowed.

use super::{FromWorker, ProtocolError, ToWorker};
use crate::limits::{FRAME_BYTES_MAX, MESSAGE_DEPTH_MAX, VALUE_DEPTH_MAX};
use serde::Deserialize;
use serde_json::Value as Json;
use std::io::Cursor;

/// A whole frame, its length included.
///
/// # Errors
/// A message above [`FRAME_BYTES_MAX`], or a value in it nested deeper than [`VALUE_DEPTH_MAX`].
pub fn encode(message: &ToWorker) -> Result<Vec<u8>, ProtocolError> {
    if let ToWorker::CapabilityResponse {
        value: Some(value), ..
    } = message
        && !is_shallow(value, VALUE_DEPTH_MAX)
    {
        return Err(ProtocolError::TooDeep(VALUE_DEPTH_MAX));
    }
    let mut frame = vec![0; 4];
    rmp_serde::encode::write_named(&mut frame, message)
        .map_err(|error| ProtocolError::Malformed(error.to_string()))?;
    let length = frame.len() - 4;
    match u32::try_from(length) {
        Ok(head) if length <= FRAME_BYTES_MAX => {
            if let Some(place) = frame.first_chunk_mut::<4>() {
                *place = head.to_be_bytes();
            }
            Ok(frame)
        }
        _ => Err(ProtocolError::MessageTooLarge(length)),
    }
}

/// The message in the body of a frame.
///
/// # Errors
/// Whatever is not exactly one message of the contract.
pub fn decode(body: &[u8]) -> Result<FromWorker, ProtocolError> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(body));
    reader.set_max_depth(MESSAGE_DEPTH_MAX);
    let message = FromWorker::deserialize(&mut reader)
        .map_err(|error| ProtocolError::Malformed(bounded(&error.to_string())))?;
    let rest = body.len() as u64 - reader.position();
    if rest > 0 {
        return Err(ProtocolError::Malformed(format!(
            "a message and {rest} bytes after it"
        )));
    }
    Ok(message)
}

/// What a worker sent may stand in an error, but not at any length.
fn bounded(text: &str) -> String {
    let mut short: String = text.chars().take(300).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn is_shallow(value: &Json, depth_left: usize) -> bool {
    let Some(below) = depth_left.checked_sub(1) else {
        return false;
    };
    match value {
        Json::Array(items) => items.iter().all(|item| is_shallow(item, below)),
        Json::Object(fields) => fields.values().all(|item| is_shallow(item, below)),
        _ => true,
    }
}
