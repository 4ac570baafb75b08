//! The state of a realm: a pure function of its records. Persistent maps make a copy cost O(1), so the
//! engine can publish one after each batch and readers never wait for the writer.

mod digest;
mod graph;
mod graph_restore;
mod promises;
mod restore;
mod rules;
mod table;
mod timers;

pub use digest::{Component, state_digest};
pub use graph::{Branch, COLLAPSE_POLICY, Graph, SnapshotId, Sws, Version};
pub use promises::{PromiseKey, Promises};
pub use table::{Key, Table};
pub use timers::{TimerKey, Timers};

use actum_model::hash::Fingerprint;
use actum_model::ids::{CommandId, IdempotencyKey, SessionId, Tenant};
use actum_model::outcome::LanePlace;
use actum_model::promise::PromiseCounts;
use actum_model::restore::{CommandRow, LaneKey, Phase, RulesRow};
use actum_model::worker::Worker;
use actum_model::{Hash, Json, Lane, Outcome, OutcomeRow, RealmConfig};
use imbl::{OrdMap, OrdSet, Vector};
use serde_json::Value;
use smol_str::SmolStr;
use std::sync::Arc;

/// A session as state keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Journal position that created it.
    pub generation: u64,
    /// Successful mutations since.
    pub version: u64,
    /// History time of its creation, milliseconds.
    pub created_at: u64,
    /// Its annotations.
    pub metadata: OrdMap<SmolStr, Json>,
    /// What code or programs it is for; absent: commands only.
    pub spec: Option<Json>,
    /// Its process.
    pub worker: Option<Worker>,
    /// What came of its promises.
    pub promises: PromiseCounts,
}

impl Session {
    /// What code or programs it is for, as a value; null for commands only.
    #[must_use]
    pub fn spec_value(&self) -> Value {
        self.spec.as_ref().map_or(Value::Null, Json::to_value)
    }
}

/// A lane as state keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneState {
    /// Journal position that created it.
    pub generation: u64,
    /// Last position given out.
    pub last_seq: u64,
    /// Commands in order of admission, so ascending; the first is the head.
    pub queue: Vector<u64>,
    /// Its place among the lanes whose head wants to be looked at.
    pub(crate) ready: Option<u64>,
}

/// What the id table keeps of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdEntry {
    /// Its number.
    pub seq: u64,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// What the key table keeps of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its number.
    pub seq: u64,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// History time of its end; 0 while it is unfinished.
    pub finished_at: u64,
}

/// The state after some record. `PartialEq` is not offered: compare digests.
#[derive(Clone, Debug)]
pub struct State {
    /// The realm.
    pub realm: [u8; 16],
    /// The incarnation of this history.
    pub incarnation: [u8; 16],
    /// Boots so far.
    pub term: u64,
    /// Whether the last run ended in order.
    pub closed: bool,
    /// The idx of the next record.
    pub next_idx: u64,
    /// The number of the next command.
    pub next_seq: u64,
    /// History time of the last record, milliseconds since the Unix epoch.
    pub at: u64,
    /// Run time of the last record, milliseconds.
    pub elapsed: u64,
    /// The configuration in force.
    pub config: Arc<RealmConfig>,
    /// Hash of the contract table in force.
    pub contracts: Hash,
    /// The rules in force and those before them, ascending by the record they begin with.
    pub(crate) rules: Vector<RulesRow>,
    /// The graph.
    pub graph: Graph,
    /// Sessions by tenant and id.
    pub sessions: OrdMap<(Tenant, SessionId), Session>,
    /// Lanes by tenant and name.
    pub lanes: OrdMap<LaneKey, LaneState>,
    /// Unfinished commands by number.
    pub commands: OrdMap<u64, Arc<CommandRow>>,
    /// Full outcomes by number.
    pub outcomes: OrdMap<u64, Arc<OutcomeRow>>,
    /// Commands finished, by outcome.
    pub finished: [u64; 5],
    pub(crate) finish_order: Vector<u64>,
    pub(crate) outcome_bytes: u64,
    pub(crate) ids: Table<IdEntry>,
    pub(crate) tombstones: Vector<Key>,
    pub(crate) keys: Table<KeyEntry>,
    pub(crate) key_expiry: Vector<(u64, Key)>,
    pub(crate) ready: OrdMap<u64, LaneKey>,
    pub(crate) next_ready: u64,
    /// (run time, command) of every limit that can run out.
    pub(crate) due: OrdSet<(u64, u64)>,
    /// (dependency, dependent) of every dependent of an unfinished command.
    pub(crate) dependents: OrdSet<(u64, u64)>,
    /// Started commands that this boot has not classified yet.
    pub(crate) unclassified: OrdSet<u64>,
    /// Timers, ticks and clocks.
    pub(crate) timers: Timers,
    /// Promises.
    pub promises: Promises,
    /// Sessions whose process lives, as far as history knows.
    pub(crate) live_workers: OrdSet<(Tenant, SessionId)>,
    /// Those of them that an earlier boot started, and that do not know yet that it is gone.
    pub(crate) stale_workers: OrdSet<(Tenant, SessionId)>,
}

impl Default for State {
    fn default() -> State {
        State {
            realm: [0; 16],
            incarnation: [0; 16],
            term: 0,
            closed: true,
            next_idx: 0,
            next_seq: 1,
            at: 0,
            elapsed: 0,
            config: Arc::default(),
            contracts: Hash::ZERO,
            rules: Vector::new(),
            graph: Graph::default(),
            sessions: OrdMap::new(),
            lanes: OrdMap::new(),
            commands: OrdMap::new(),
            outcomes: OrdMap::new(),
            finished: [0; 5],
            finish_order: Vector::new(),
            outcome_bytes: 0,
            ids: Table::default(),
            tombstones: Vector::new(),
            keys: Table::default(),
            key_expiry: Vector::new(),
            ready: OrdMap::new(),
            next_ready: 0,
            due: OrdSet::new(),
            dependents: OrdSet::new(),
            unclassified: OrdSet::new(),
            timers: Timers::default(),
            promises: Promises::default(),
            live_workers: OrdSet::new(),
            stale_workers: OrdSet::new(),
        }
    }
}

/// What is known of an id.
#[derive(Clone, Debug)]
pub enum Known {
    /// Accepted and not finished.
    InFlight(Arc<CommandRow>),
    /// Finished, with its full outcome.
    Finished(Arc<OutcomeRow>),
    /// Finished, and its outcome is retired.
    Retired(u64),
}

impl Known {
    /// The command's number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Known::InFlight(row) => row.identity.seq,
            Known::Finished(row) => row.identity.seq,
            Known::Retired(seq) => *seq,
        }
    }
}

pub(crate) fn id_key(tenant: &Tenant, id: &CommandId) -> Key {
    Hash::of_parts(
        "actum/id/v1",
        &[tenant.as_str().as_bytes(), id.as_str().as_bytes()],
    )
    .short()
}

pub(crate) fn idempotency_key(tenant: &Tenant, lane: Option<&Lane>, key: &IdempotencyKey) -> Key {
    let lane = lane.map(Lane::name).unwrap_or_default();
    let parts = [
        tenant.as_str().as_bytes(),
        lane.as_bytes(),
        key.as_str().as_bytes(),
    ];
    Hash::of_parts("actum/key/v1", &parts).short()
}

impl State {
    pub(crate) fn load(&mut self) {
        self.ids.load();
        self.keys.load();
    }

    pub(crate) fn loaded(&mut self) {
        self.ids.loaded();
        self.keys.loaded();
    }

    /// An unfinished command.
    #[must_use]
    pub fn command(&self, seq: u64) -> Option<&Arc<CommandRow>> {
        self.commands.get(&seq)
    }

    /// What is known of command number `seq`.
    #[must_use]
    pub fn known(&self, seq: u64) -> Option<Known> {
        if let Some(row) = self.command(seq) {
            return Some(Known::InFlight(row.clone()));
        }
        if let Some(row) = self.outcomes.get(&seq) {
            return Some(Known::Finished(row.clone()));
        }
        (seq > 0 && seq < self.next_seq).then_some(Known::Retired(seq))
    }

    /// What is known of an id of this tenant. Commands of other tenants are not known.
    #[must_use]
    pub fn find(&self, tenant: &Tenant, id: &CommandId) -> Option<Known> {
        let seq = match id.anonymous_seq() {
            Some(seq) => seq,
            None => self.ids.get(&id_key(tenant, id))?.seq,
        };
        let known = self.known(seq)?;
        let (owner, named) = match &known {
            Known::InFlight(row) => (&row.identity.tenant, &row.identity.id),
            Known::Finished(row) => (&row.identity.tenant, &row.identity.id),
            Known::Retired(_) => return Some(known),
        };
        let by_number = id.anonymous_seq().is_some();
        (owner == tenant && by_number == named.is_none()).then_some(known)
    }

    /// A session.
    #[must_use]
    pub fn session(&self, tenant: &Tenant, id: &SessionId) -> Option<&Session> {
        self.sessions.get(&(tenant.clone(), id.clone()))
    }

    /// A lane.
    #[must_use]
    pub fn lane(&self, tenant: &Tenant, place: &LanePlace) -> Option<&LaneState> {
        self.lanes.get(&LaneKey {
            tenant: tenant.clone(),
            lane: place.lane.clone(),
        })
    }

    /// Commands accepted and not finished.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.commands.len()
    }

    /// Idempotency keys that protect.
    #[must_use]
    pub fn keys_live(&self) -> usize {
        self.keys.len()
    }

    /// Ids known without their outcome.
    #[must_use]
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Commands in doubt, ascending.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Arc<CommandRow>> {
        self.commands
            .values()
            .filter(|row| matches!(&row.phase, Phase::Running(running) if running.doubt.is_some()))
    }

    /// Whether there is work that needs no input from outside.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty() || !self.unclassified.is_empty() || !self.stale_workers.is_empty()
    }

    /// Run time at which the next limit runs out, the next timer is due or the cadence asks for a tick.
    #[must_use]
    pub fn due_elapsed(&self) -> Option<u64> {
        let limit = self.due.get_min().map(|(due, _)| *due);
        let timer = self.timer_due_elapsed();
        limit.into_iter().chain(timer).chain(self.cadence_due()).min()
    }

    /// History time at which the next key or outcome expires or somebody waits for.
    #[must_use]
    pub fn due_at(&self) -> Option<u64> {
        self.expiry_due_at()
            .into_iter()
            .chain(self.calendar_due_at())
            .min()
    }

    /// History time that somebody waits for: the next timer or promise is due.
    #[must_use]
    pub fn calendar_due_at(&self) -> Option<u64> {
        self.timer_due_at().into_iter().chain(self.promise_due_at()).min()
    }

    /// History time at which the next key or outcome expires. Nobody waits for it.
    #[must_use]
    pub fn expiry_due_at(&self) -> Option<u64> {
        let key = self
            .key_expiry
            .front()
            .map(|(at, _)| at.saturating_add(self.config.key_ttl_ms));
        let oldest = self.finish_order.front().and_then(|seq| self.outcomes.get(seq));
        let outcome = oldest.map(|row| row.finished_at.saturating_add(self.config.outcome_age_ms_max));
        key.into_iter().chain(outcome).min()
    }

    /// Commands finished with this outcome.
    #[must_use]
    pub fn finished_as(&self, outcome: Outcome) -> u64 {
        Outcome::ALL
            .iter()
            .zip(self.finished)
            .find(|(o, _)| **o == outcome)
            .map_or(0, |(_, n)| n)
    }
}
