//! The closed registry of operations: their names, versions and fields, and the values they parse into. What is
//! not in [`SPECS`] cannot be done to a view. A change of what an operation means takes a new version here.

mod apply;
mod fault;
mod kinds;
mod parse;

pub use actum_model::graph::Op;
pub use apply::{Applied, OpResult, Reason, Refusal};
pub use fault::{InputFault, ParseError};
pub use kinds::{KindMode, KindRefusal, KindRegistry};
pub use parse::parse_ops;

use actum_model::Hash;
use std::sync::LazyLock;

/// One entry of the registry.
#[derive(Debug)]
pub struct OpSpec {
    /// Name on the wire.
    pub name: &'static str,
    /// Version of its meaning.
    pub version: u32,
    /// Fields of `data` that must be there, sorted.
    pub required: &'static [&'static str],
    /// Fields of `data` that may be there, sorted.
    pub optional: &'static [&'static str],
}

/// Every operation there is, sorted by name.
pub const SPECS: &[OpSpec] = &[
    OpSpec {
        name: "AddEdge",
        version: 1,
        required: &["from", "kind", "to"],
        optional: &["payload_b64"],
    },
    OpSpec {
        name: "AddNode",
        version: 1,
        required: &["kind", "payload_b64"],
        optional: &[],
    },
    OpSpec {
        name: "ClearAttachment",
        version: 1,
        required: &["key", "target"],
        optional: &["expectedVersion"],
    },
    OpSpec {
        name: "RemoveEdge",
        version: 1,
        required: &["id"],
        optional: &[],
    },
    OpSpec {
        name: "RemoveNode",
        version: 1,
        required: &["id"],
        optional: &[],
    },
    OpSpec {
        name: "SetAttachment",
        version: 1,
        required: &["key", "target", "value"],
        optional: &["expectedVersion"],
    },
];

/// The hash of the registry, part of `rulePackId`: `SHA-256` over `"actum/graph-ops/v1"` and one part per
/// operation, `name/version required,… optional?,…` in the order of the names.
#[must_use]
pub fn registry_hash() -> Hash {
    *REGISTRY
}

/// It stands in every receipt, and never changes while the program runs.
static REGISTRY: LazyLock<Hash> = LazyLock::new(|| {
    let lines: Vec<String> = SPECS.iter().map(OpSpec::line).collect();
    let parts: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    Hash::of_parts("actum/graph-ops/v1", &parts)
});

impl OpSpec {
    fn line(&self) -> String {
        let optional = self.optional.iter().map(|field| format!("{field}?"));
        let fields: Vec<String> = self
            .required
            .iter()
            .map(ToString::to_string)
            .chain(optional)
            .collect();
        format!("{}/{} {}", self.name, self.version, fields.join(","))
    }
}
