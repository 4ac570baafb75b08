//! Time as history keeps it: clock samples, ticks and timers, as events and as rows of a snapshot. **The serde
//! types are disk format v1** (D4). Also here: the command a timer carries, read and checked.

use crate::contract::{self, Admission, Faults, SessionUse};
use crate::envelope::Envelope;
use crate::error::Fault;
use crate::ids::{CommandId, Principal, Tenant};
use crate::json::Json;
use crate::limits::{TIMER_COMMAND_BYTES_MAX, TIMER_ID_CHARS_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a clock sample was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// Run time: the monotonic clock over all boots.
    Monotonic,
    /// The wall clock.
    Wall,
}

impl ClockSource {
    /// The source as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClockSource::Monotonic => "monotonic",
            ClockSource::Wall => "wall",
        }
    }
}

/// What is known of a sample of the wall clock beside its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The clock stood where history expected it.
    #[default]
    Trusted,
    /// The clock jumped beyond the bound, and history has not followed.
    Pending,
    /// The jump stayed for as long as it had to: history follows it from here on.
    Confirmed,
    /// The clock is back where history expected it.
    Gone,
}

impl Standing {
    /// The standing as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Trusted => "trusted",
            Standing::Pending => "pending",
            Standing::Confirmed => "confirmed",
            Standing::Gone => "gone",
        }
    }
}

/// Which samples `now()` rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockPolicy {
    /// The latest sample of the monotonic clock; nobody can set that clock.
    #[default]
    TrustMonotonicLatest,
    /// The latest sample of the wall clock that is not pending.
    TrustWallLatest,
}

impl ClockPolicy {
    /// The policy as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClockPolicy::TrustMonotonicLatest => "trustMonotonicLatest",
            ClockPolicy::TrustWallLatest => "trustWallLatest",
        }
    }

    /// Whether it is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == ClockPolicy::default()
    }
}

/// A reading of a clock. Its provenance is the record it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClockSample {
    /// Which clock.
    pub source: ClockSource,
    /// What it read, nanoseconds: since the Unix epoch, or of run time.
    #[serde(with = "wide")]
    pub value_ns: u64,
    /// How far the value may be from the truth, nanoseconds: the resolution of the clock, and for the wall clock
    /// the width of a jump that is not confirmed.
    #[serde(with = "wide")]
    pub uncertainty_ns: u64,
    /// What is known of it beside its value.
    #[serde(default, skip_serializing_if = "is_trusted")]
    pub standing: Standing,
}

fn is_trusted(standing: &Standing) -> bool {
    *standing == Standing::Trusted
}

/// A tick: something was due, or the cadence asked for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ticked {
    /// Its number, gap-free from 0 over all boots.
    pub tick: u64,
}

/// Which clock a timer counts, with its next due time, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Run time of the realm: stands still while no daemon runs.
    Elapsed(u64),
    /// History time, since the Unix epoch.
    At(u64),
}

impl Due {
    /// The same clock that many milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Due {
        match self {
            Due::Elapsed(due) => Due::Elapsed(due.saturating_add(ms)),
            Due::At(due) => Due::At(due.saturating_add(ms)),
        }
    }
}

/// A live timer: what [`crate::Event::TimerSet`] says and what a snapshot keeps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TimerRow {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id, unique among the live timers of the tenant.
    pub timer: CommandId,
    /// Who set it: what it submits is submitted as this principal.
    pub principal: Principal,
    /// The number of the `timer.set` that set it.
    pub set_seq: u64,
    /// The id of that command: the cause of what the timer submits.
    pub set_by: CommandId,
    /// The chain of commands it belongs to.
    pub correlation: CommandId,
    /// Journal position of its setting.
    pub set_idx: u64,
    /// History time of its setting, milliseconds.
    pub set_at: u64,
    /// When it fires next.
    pub due: Due,
    /// Its period in milliseconds on the clock of `due`; absent where it fires once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// The command it submits, as a client wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Json>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How often it has fired.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fires: u64,
    /// Periods that were missed, over all firings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// Its last firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastFire>,
}

impl TimerRow {
    /// Rough size of the row in state, bytes. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let command = self.command.as_ref().map_or(0, |command| command.as_str().len());
        let note = self.note.as_ref().map_or(0, String::len);
        (512 + command + note) as u64
    }

    /// The id of the command that its firing number `fire` submits. It holds the number of the `timer.set`, so it
    /// never repeats, and clients cannot use it: the prefix is reserved.
    #[must_use]
    pub fn command_id(&self, fire: u64) -> Option<CommandId> {
        CommandId::parse_any(&format!("timer:{}:{}.{fire}", self.timer, self.set_seq)).ok()
    }
}

/// The last firing of a live timer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastFire {
    /// The tick.
    pub tick: u64,
    /// The record.
    pub idx: u64,
    /// History time, milliseconds.
    pub at: u64,
    /// Whether it was late.
    pub late: bool,
    /// The number of the command it submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<u64>,
    /// Why its command was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Fault>,
}

/// See [`crate::Event::TimerFired`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimerFired {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id.
    pub timer: CommandId,
    /// The tick in which it fires.
    pub tick: u64,
    /// When it was due.
    pub due: Due,
    /// Number of this firing, from 1.
    pub fire: u64,
    /// True where it was due before the daemon's last start, or longer ago than `TIMER_LATE_MS`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Whole periods that went by beside this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// When it fires next; absent where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Due>,
    /// The number of the command it submits, accepted by the event behind this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<u64>,
    /// Why its command was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Fault>>,
}

/// See [`crate::Event::TimerCancelled`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimerCancelled {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id.
    pub timer: CommandId,
    /// The number of the `timer.cancel`.
    pub command: u64,
}

/// A tick as the ring keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TickRow {
    /// Its number.
    pub tick: u64,
    /// Its record.
    pub idx: u64,
    /// History time, milliseconds.
    pub at: u64,
    /// Run time, milliseconds.
    pub elapsed: u64,
    /// Timers that fired in it.
    pub fired: u64,
}

/// The ticks of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TicksRow {
    /// Number of the next tick.
    pub next: u64,
    /// The last ones, ascending.
    pub kept: Vec<TickRow>,
}

/// A sample and the record it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sampled {
    /// The sample.
    pub sample: ClockSample,
    /// Its record.
    pub idx: u64,
}

/// The clocks of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClockRow {
    /// Samples so far.
    pub samples: u64,
    /// The last sample of the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic: Option<Sampled>,
    /// The last sample of the wall clock that was not pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<Sampled>,
    /// The jump that history has not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Sampled>,
    /// History time of the last boot, milliseconds.
    pub booted_at: u64,
    /// Run time of the last boot, milliseconds.
    pub booted_elapsed: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Integers beyond what JSON readers keep: a number in the journal, text in JSON (D5).
mod wide {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(value);
        }
        serializer.serialize_u64(*value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        u64::deserialize(deserializer)
    }
}

/// The members a timer's command may have. What only makes sense for one submission by one client is not among
/// them: its id, its key, its cause.
const COMMAND_FIELDS: &[&str] = &[
    "type",
    "sessionId",
    "payload",
    "ifSessionVersion",
    "timeoutMs",
    "queueTimeoutMs",
    "correlationId",
];

/// Checks a timer id that a client gives.
///
/// # Errors
/// With what was expected and what came.
pub fn check_id(text: &str) -> Result<CommandId, String> {
    let id = CommandId::parse(text).map_err(|error| error.to_string())?;
    if text.len() > TIMER_ID_CHARS_MAX {
        return Err(format!(
            "expected 1 to {TIMER_ID_CHARS_MAX} characters, got {}",
            text.len()
        ));
    }
    if made_seq(text).is_some() {
        return Err("ids of the form `t-7` are made by the server".to_owned());
    }
    Ok(id)
}

/// The id the server gives to the timer that command number `seq` sets without naming one.
#[must_use]
pub fn made_id(seq: u64) -> Option<CommandId> {
    CommandId::parse_any(&format!("t-{seq}")).ok()
}

fn made_seq(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("t-")?;
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// Checks the command a timer is to submit, adding every fault under the JSON pointer `at`.
pub(crate) fn check_command(value: &Value, at: &str, faults: &mut Faults) {
    let bytes = value.to_string().len();
    if bytes > TIMER_COMMAND_BYTES_MAX {
        let message = format!("expected at most {TIMER_COMMAND_BYTES_MAX} bytes of JSON, got {bytes}");
        return faults.add(at, message);
    }
    let Value::Object(members) = value else {
        return faults.add(at, "expected a command, an object");
    };
    let Some(contract) = members
        .get("type")
        .and_then(Value::as_str)
        .and_then(contract::find)
    else {
        return faults.add(format!("{at}/type"), "expected the name of a command kind");
    };
    for name in members
        .keys()
        .filter(|name| !COMMAND_FIELDS.contains(&name.as_str()))
    {
        let name = crate::json::shorten(name);
        faults.add(
            format!("{at}/{name}"),
            "a timer's command does not have this field",
        );
    }
    if contract.admission != Admission::Queued || contract.kind == "timer.set" {
        let message = format!(
            "a timer submits commands that take a lane and set no timers, not `{}`",
            contract.kind
        );
        return faults.add(format!("{at}/type"), message);
    }
    if contract.session == SessionUse::Required && !members.contains_key("sessionId") {
        faults.add(
            format!("{at}/sessionId"),
            format!("`{}` needs one", contract.kind),
        );
        return;
    }
    let known: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| COMMAND_FIELDS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Err(response) = Envelope::from_value(Value::Object(known)) {
        nested_faults(response.fault(), at, faults);
    }
}

/// The faults of the command itself, under the place it stands in.
fn nested_faults(fault: Option<&Fault>, at: &str, faults: &mut Faults) {
    let Some(fault) = fault else { return };
    let details = fault.details.as_ref().map(Json::to_value);
    let listed = details
        .as_ref()
        .and_then(|details| details.get("faults"))
        .and_then(Value::as_array);
    let Some(listed) = listed else {
        return faults.add(at, fault.message.clone());
    };
    for found in listed {
        let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
        faults.add(format!("{at}{}", text("pointer")), text("message"));
    }
}

/// The command of a timer, which was checked when it was set. None where this program knows it no longer.
#[must_use]
pub fn read_command(command: &Json) -> Option<Envelope> {
    Envelope::from_value(command.to_value()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(command: &Value) -> String {
        let mut faults = Faults::default();
        check_command(command, "/payload/command", &mut faults);
        faults.to_json().to_string()
    }

    #[test]
    fn a_timers_command_is_checked_as_any_other_and_its_faults_point_into_it() {
        assert!(faults(&json!({"type": "session.delete", "sessionId": "s"})).contains("\"count\":0"));
        let found = faults(
            &json!({"type": "session.annotate", "sessionId": "a:b", "payload": {"key": 5}, "id": "x"}),
        );
        for pointer in ["sessionId", "payload/key", "payload/value", "id"] {
            assert!(
                found.contains(&format!("/payload/command/{pointer}\"")),
                "{pointer}: {found}"
            );
        }
        for kind in ["timer.set", "command.cancel", "session.get", "no.such"] {
            assert!(faults(&json!({"type": kind, "payload": {}})).contains("/payload/command/type"));
        }
        assert!(faults(&json!({"type": "shell.run", "payload": {"argv": ["x"]}})).contains("needs one"));
        assert!(faults(&json!([])).contains("an object"));
    }

    #[test]
    fn ids_the_server_makes_are_not_for_clients() {
        assert!(check_id("nightly").is_ok());
        assert!(check_id("t-x").is_ok());
        for bad in ["t-7", "timer:x:1.1", "anon:4", "", "a b", "x\u{0}", "é"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
        assert!(check_id(&"x".repeat(TIMER_ID_CHARS_MAX)).is_ok());
        assert!(check_id(&"x".repeat(TIMER_ID_CHARS_MAX + 1)).is_err());
        // A made number that no command has is as reserved as any other.
        assert_eq!(made_seq("t-99999999999999999999999"), None);
    }

    #[test]
    fn nanoseconds_are_numbers_in_the_journal_and_text_in_json() {
        let sample = ClockSample {
            source: ClockSource::Wall,
            value_ns: u64::MAX,
            uncertainty_ns: 1_000_000,
            standing: Standing::Trusted,
        };
        let text = serde_json::to_string(&sample).unwrap();
        assert!(text.contains("\"value_ns\":\"18446744073709551615\""), "{text}");
        assert_eq!(serde_json::from_str::<ClockSample>(&text).unwrap(), sample);
        let bytes = serde_ipld_dagcbor::to_vec(&sample).unwrap();
        assert_eq!(
            serde_ipld_dagcbor::from_slice::<ClockSample>(&bytes).unwrap(),
            sample
        );
    }
}
