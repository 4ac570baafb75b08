//! Contracts: the static description of every command kind. One table drives validation, command line help,
//! the generated reference and, later, tool lists and policy schemas.

mod schema;
mod table;

pub use schema::{Faults, Field, Shape};
pub use table::CONTRACTS;

use crate::hash::Hash;
use crate::json::Json;
use crate::marks;
use serde_json::{Value, json};

/// How far a command reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EffectClass {
    /// Nothing outside Actum's own state, and nothing in it.
    Pure,
    /// Reads what Actum keeps.
    Read,
    /// Changes what Actum keeps.
    Write,
    /// Reaches outside.
    External,
    /// Reaches outside and cannot be taken back.
    Irreversible,
}

impl EffectClass {
    /// The class as people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EffectClass::Pure => "pure",
            EffectClass::Read => "read",
            EffectClass::Write => "write",
            EffectClass::External => "external",
            EffectClass::Irreversible => "irreversible",
        }
    }
}

/// How a command is admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It takes its turn in a lane.
    Queued,
    /// It takes no lane: decided when it comes, in one record, so it works on a lane that is held.
    Control,
    /// It takes no lane and leaves no record: answered from durable state that holds everything
    /// decided before it.
    Read,
    /// It concerns the connection it came by (subscriptions).
    Connection,
}

impl Admission {
    /// The admission as people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Admission::Queued => "queued",
            Admission::Control => "control",
            Admission::Read => "read",
            Admission::Connection => "connection",
        }
    }
}

/// Who carries a command out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// The kernel itself: it is over within its record.
    Kernel,
    /// The process door starts a program.
    Process,
    /// The worker of its session.
    Session,
    /// A provider: files, calls to services, facts of the system.
    Provider,
}

impl Carrier {
    /// The carrier as people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Carrier::Kernel => "kernel",
            Carrier::Process => "process",
            Carrier::Session => "session",
            Carrier::Provider => "provider",
        }
    }
}

/// Whether a kind names a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionUse {
    /// It must.
    Required,
    /// It may.
    Optional,
    /// It must not.
    None,
}

/// The contract of one command kind.
#[derive(Debug)]
pub struct Contract {
    /// The kind, `area.verb`.
    pub kind: &'static str,
    /// Version of this contract.
    pub version: u32,
    /// One sentence that says what it does.
    pub about: &'static str,
    /// Its arguments.
    pub input: &'static [Field],
    /// Its result.
    pub output: &'static [Field],
    /// How far it reaches.
    pub effect: EffectClass,
    /// Who carries it out.
    pub carrier: Carrier,
    /// `low`, `medium` or `high`.
    pub risk: &'static str,
    /// How it is admitted.
    pub admission: Admission,
    /// Whether it names a session.
    pub session: SessionUse,
    /// Doing it twice is doing it once.
    pub idempotent: bool,
    /// It is idempotent where this argument is absent or one of these texts.
    pub idempotent_where: Option<(&'static str, &'static [&'static str])>,
    /// It can be compensated.
    pub compensable: bool,
    /// A stop can be confirmed, and nothing outside has changed then.
    pub contained: bool,
    /// The world can be asked whether it happened, where the arguments say how (`probe`).
    pub probe: bool,
    /// A success makes a new session version.
    pub mutates_session: bool,
    /// Default run time limit, milliseconds.
    pub timeout_ms: u64,
    /// Largest run time limit that may be asked for, milliseconds.
    pub timeout_ms_max: u64,
}

impl Contract {
    /// Whether it leaves the kernel.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        self.carrier != Carrier::Kernel
    }

    /// Whether it reaches outside, so that what comes of it is never relaxed.
    #[must_use]
    pub fn reaches_outside(&self) -> bool {
        matches!(self.effect, EffectClass::External | EffectClass::Irreversible)
    }

    /// Whether it reads only.
    #[must_use]
    pub fn read_only(&self) -> bool {
        matches!(self.effect, EffectClass::Pure | EffectClass::Read)
    }

    /// Whether doing it twice with these arguments is doing it once. Arguments in a sealed blob say so beside its name
    /// (`idempotent`).
    #[must_use]
    pub fn idempotent_with(&self, payload: &Json) -> bool {
        self.idempotent
            || self.idempotent_where.is_some_and(|(name, texts)| {
                let value = payload.to_value();
                if value.get("$blob").is_some() {
                    return value.get("idempotent") == Some(&Value::Bool(true));
                }
                match value.get(name) {
                    None => true,
                    Some(text) => text.as_str().is_some_and(|text| texts.contains(&text)),
                }
            })
    }

    /// Whether it may leave more than once with these arguments: it reads only, or is idempotent.
    #[must_use]
    pub fn repeatable_with(&self, payload: &Json) -> bool {
        self.read_only() || self.idempotent_with(payload)
    }

    /// Checks arguments, adding every fault under the JSON pointer `at`.
    pub fn check(&self, payload: &Value, at: &str, faults: &mut Faults) {
        if !marks::possible(payload) {
            return schema::check_object(self.input, payload, at, faults);
        }
        marks::check(payload, at, faults);
        if self.has_effect() {
            // An effect is given what is marked, so that is what has to fit.
            schema::check_object(self.input, &marks::unmarked(payload), at, faults);
        } else {
            schema::check_object(self.input, payload, at, faults);
        }
    }

    /// JSON Schema (2020-12) of the arguments.
    #[must_use]
    pub fn input_schema(&self) -> Value {
        schema::object_schema(self.input)
    }

    /// JSON Schema (2020-12) of the result.
    #[must_use]
    pub fn output_schema(&self) -> Value {
        schema::object_schema(self.output)
    }

    /// Everything about the contract as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "kind": self.kind, "version": self.version, "about": self.about,
            "input": self.input_schema(), "output": self.output_schema(),
            "effect": self.effect.as_str(), "carrier": self.carrier.as_str(), "risk": self.risk, "admission": self.admission.as_str(),
            "session": match self.session {
                SessionUse::Required => "required", SessionUse::Optional => "optional", SessionUse::None => "none",
            },
            "idempotent": self.idempotent,
            "idempotentWhere": self.idempotent_where.map(|(name, texts)| json!({"argument": name, "absentOrOneOf": texts})),
            "compensable": self.compensable, "readOnly": self.read_only(),
            "contained": self.contained, "probe": self.probe, "mutatesSession": self.mutates_session,
            "timeoutMs": self.timeout_ms, "timeoutMsMax": self.timeout_ms_max,
        })
    }
}

/// The contract of a kind.
#[must_use]
pub fn find(kind: &str) -> Option<&'static Contract> {
    CONTRACTS
        .binary_search_by(|contract| contract.kind.cmp(kind))
        .ok()
        .and_then(|at| CONTRACTS.get(at))
}

/// Hash over the whole table; it is journaled at each boot.
#[must_use]
pub fn table_hash() -> Hash {
    let all: Vec<Value> = CONTRACTS.iter().map(Contract::to_json).collect();
    Hash::of_parts("actum/contracts/v1", &[Value::Array(all).to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_kind_is_found() {
        for contract in CONTRACTS {
            assert_eq!(find(contract.kind).map(|c| c.kind), Some(contract.kind));
        }
        assert!(find("no.such").is_none());
    }

    #[test]
    fn what_reaches_outside_is_not_carried_out_by_the_kernel() {
        for contract in CONTRACTS {
            assert!(
                contract.has_effect() || !contract.reaches_outside(),
                "{}",
                contract.kind
            );
        }
    }

    #[test]
    fn kinds_with_an_effect_need_a_session() {
        for contract in CONTRACTS.iter().filter(|c| c.has_effect()) {
            assert_eq!(contract.session, SessionUse::Required, "{}", contract.kind);
        }
    }
}
