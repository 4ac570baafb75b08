//! Inputs: the closed list of what can happen to a realm. A record keeps its input as provenance; recovery
//! never reads it, `replay --verify` decides it again. **These types are disk format v1** (D4).

use crate::config::RealmConfig;
use crate::effect::Settlement;
use crate::envelope::{Caller, Envelope};
use crate::event::SnapshotTaken;
use crate::hash::Hash;
use crate::timer::Standing;
use crate::worker::WorkerNews;
use serde::{Deserialize, Serialize};

/// Something that happens, with everything a decision may read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The daemon takes up the history.
    Boot(Boot),
    /// A caller submits a command.
    Submit(Submit),
    /// The request of an effect is durable: may it leave?
    Dispatch {
        /// The command it belongs to.
        seq: u64,
    },
    /// The world answered to an effect.
    Outcome {
        /// The command it belongs to.
        seq: u64,
        /// What it answered.
        settlement: Box<Settlement>,
    },
    /// A running command has written output that should survive a crash.
    Output {
        /// The command it belongs to.
        seq: u64,
        /// The stream, `stdout` or `stderr`.
        stream: String,
        /// Where `data` begins, in bytes.
        offset: u64,
        /// The output, redacted, invalid UTF-8 replaced.
        data: String,
    },
    /// Something happened to the process of a session.
    Worker(Box<WorkerNews>),
    /// Time has come for something that is due.
    Tick,
    /// The wall clock jumped, or what became of a jump is known.
    ClockSample {
        /// What it reads, milliseconds since the Unix epoch.
        wall_ms: u64,
        /// What the shell makes of it; never `trusted`.
        standing: Standing,
    },
    /// There is more to do than fitted into one record.
    Continue,
    /// A snapshot is on disk.
    SnapshotTaken(SnapshotTaken),
    /// The daemon ends in order.
    Close,
}

/// See [`Input::Boot`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Boot {
    /// The realm, 16 bytes; of use in the first boot only.
    #[serde(with = "serde_bytes")]
    pub realm: Vec<u8>,
    /// The incarnation, 16 bytes.
    #[serde(with = "serde_bytes")]
    pub incarnation: Vec<u8>,
    /// Name of the host.
    pub node: String,
    /// Version of the program.
    pub build: String,
    /// Hash of the contract table.
    pub contracts: Hash,
    /// Hash of the rules of data classes, where the operator has given some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Hash>,
    /// The configuration asked for.
    pub config: RealmConfig,
}

/// See [`Input::Submit`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Submit {
    /// Who calls, as the transport authenticated it.
    pub caller: Caller,
    /// What is asked for, redacted.
    pub envelope: Envelope,
    /// HMAC-SHA-256 over the canonical envelope before redaction.
    pub fingerprint: Hash,
    /// True where redaction took something out that only memory holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// The shell's word on the caller's rates. It can only refuse, and a refusal leaves no record, so it is not
    /// journaled.
    #[serde(skip)]
    pub limited: OverRate,
}

/// Where a caller is over its rate: the milliseconds to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OverRate {
    /// For a new command.
    pub submission: Option<u64>,
    /// For having an old one answered again.
    pub replay: Option<u64>,
}

/// An input with its times. History never goes back: the kernel takes the larger of these and its own.
#[derive(Clone, PartialEq, Debug)]
pub struct Stamped {
    /// History time, milliseconds since the Unix epoch.
    pub at: u64,
    /// Run time of the realm, milliseconds over all boots.
    pub elapsed: u64,
    /// What happens.
    pub input: Input,
}
