//! The section *graph*: what the kernel needs for a view of a million nodes, by its own way of deciding and applying,
//! and what the daemon needs over the wire. Beside each rung stand floors of the same run: an ordered map of the same
//! rows that is built and hashed anew, and SQLite in WAL mode with the same rows.

mod boot;
mod floor;
mod kernel;
mod realm;
mod wire;

pub(crate) use kernel::rungs as kernel;

use crate::table::Table;
use anyhow::Result;
use std::path::Path;

/// Bytes of the payload of each node.
const PAYLOAD_BYTES: usize = 100;
/// Most operations of a rewrite.
const OPS: usize = 256;

/// The rungs over the wire.
pub(crate) fn wire(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    wire::rungs(actum, folder, scale, table)?;
    boot::rungs(actum, folder, scale, table)
}

/// The payload of a node: different for each number, in no order.
fn payload(number: u64) -> Vec<u8> {
    let mut bytes = vec![7; PAYLOAD_BYTES - 8];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// An operation that adds a node, as a client sends it.
fn add(number: u64) -> String {
    let payload = actum_model::graph::Payload::from(payload(number)).to_base64();
    format!(r#"{{"op":"AddNode","data":{{"kind":"bench","payload_b64":"{payload}"}}}}"#)
}

/// A rewrite that adds the nodes of these numbers.
fn rewrite(sws: u64, numbers: std::ops::Range<u64>) -> String {
    let ops: Vec<String> = numbers.map(add).collect();
    let ops = ops.join(",");
    format!(r#"{{"type":"graph.rewrite","payload":{{"view":"sws:{sws}","ops":[{ops}]}}}}"#)
}
