//! The world around a node: time, clients' submissions and their answers, effects that run, crashes. Every
//! decision is checked against the model, every answer and every effect against what is durable.

mod lives;
mod released;
mod steps;
mod time;

pub use time::Tick;

use crate::broken::{Broken, hold};
use crate::disk::Disk;
use crate::flaws::Flaw;
use crate::model::{Model, Predicted};
use crate::node::Node;
use crate::prng::Prng;
use crate::promises::Promises;
use actum_journal::{Durability, RecoveryReport};
use actum_kernel::state::Branch;
use actum_kernel::{Decision, State, decide, state_digest};
use actum_model::effect::SettledAs;
use actum_model::envelope::Caller;
use actum_model::event::Event;
use actum_model::graph::GraphEvent;
use actum_model::ids::{Principal, Tenant};
use actum_model::input::{OverRate, Submit};
use actum_model::limits::EVENTS_PER_RECORD_MAX;
use actum_model::{Envelope, ErrorCode, Hash, Input, RealmConfig, Response, Stamped};
use std::collections::BTreeMap;

/// Records between two copies of the model kept to go back to.
const CHECKPOINT_RECORDS: u64 = 256;

/// What a world is made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of everything that is left to chance.
    pub seed: u64,
    /// Size of a segment of the journal.
    pub segment_bytes: u64,
    /// When an answer may be given.
    pub durability: Durability,
    /// The realm's configuration.
    pub config: RealmConfig,
    /// A bug to put back into recovery.
    pub flaw: Option<Flaw>,
    /// Effects end only when they are told to.
    pub hold_effects: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 1,
            segment_bytes: 16 * 1024,
            durability: Durability::Strict,
            config: RealmConfig::default(),
            flaw: None,
            hold_effects: true,
        }
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; what it wrote is in the page cache.
    Kill,
    /// Power is cut; what was not synced is lost in any part.
    Power,
}

/// What came of a submission.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    predicted: Option<Predicted>,
    /// The answer, once it was given.
    pub response: Option<Response>,
}

/// An effect that is carried out.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) due: u64,
    pub(crate) settled: SettledAs,
    /// What it says when it is stopped.
    pub(crate) stopped: SettledAs,
}

struct Entry {
    stamped: Stamped,
    decision: Decision,
    after: State,
}

/// The world.
pub struct World {
    options: Options,
    pub(crate) rng: Prng,
    disk: Disk,
    pub(crate) wall: u64,
    pub(crate) monotonic: u64,
    pub(crate) node: Option<Node>,
    pub(crate) model: Model,
    checkpoints: BTreeMap<u64, Model>,
    history: Vec<Entry>,
    /// Records whose answers were given for good.
    committed: u64,
    /// Records released so far in this life.
    released: u64,
    pub(crate) answers: Vec<Answer>,
    promises: Promises,
    /// Commands whose id somebody used for something else.
    conflicts: Vec<u64>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// What boots reported, the newest last.
    pub reports: Vec<RecoveryReport>,
}

impl World {
    /// A world with an empty disk and no node.
    #[must_use]
    pub fn new(options: Options) -> World {
        let mut rng = Prng::new(options.seed);
        World {
            disk: Disk::new(rng.fork()),
            rng,
            options,
            wall: 1_800_000_000_000,
            monotonic: 0,
            node: None,
            model: Model::new(),
            checkpoints: BTreeMap::new(),
            history: Vec::new(),
            committed: 0,
            released: 0,
            answers: Vec::new(),
            promises: Promises::default(),
            conflicts: Vec::new(),
            jobs: BTreeMap::new(),
            reports: Vec::new(),
        }
    }

    /// A world whose node is up and has booted.
    ///
    /// # Errors
    /// When a promise is broken already.
    pub fn up(options: Options) -> Result<World, Broken> {
        let mut world = World::new(options);
        hold!(world.boot()?, "the first boot failed");
        world.settle_all()?;
        Ok(world)
    }

    /// The disk, to make it fail.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The model, to ask it.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Whether a node is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }

    pub(crate) fn node(&mut self) -> Result<&mut Node, Broken> {
        self.node
            .as_mut()
            .ok_or_else(|| Broken("no node is up".to_owned()))
    }

    /// The state decided so far.
    ///
    /// # Errors
    /// When no node is up.
    pub fn state(&mut self) -> Result<&State, Broken> {
        Ok(self.node()?.engine.ahead())
    }

    /// Digest of the state decided so far.
    ///
    /// # Errors
    /// When no node is up.
    pub fn digest(&mut self) -> Result<Hash, Broken> {
        Ok(state_digest(self.state()?).0)
    }

    /// Time passes on both clocks.
    pub fn pass(&mut self, ms: u64) {
        self.wall += ms;
        self.monotonic += ms;
    }

    /// The wall clock jumps.
    pub fn jump(&mut self, ms: i64) {
        self.wall = self.wall.saturating_add_signed(ms);
    }

    /// Submits as `alice`, and gives the number of the submission.
    ///
    /// # Errors
    /// When the answer that is decided is not the one predicted, or the text is no envelope.
    pub fn submit(&mut self, text: &str) -> Result<usize, Broken> {
        self.submit_as("alice", text, false)
    }

    /// Submits as somebody, over the limit of its rate or not.
    ///
    /// # Errors
    /// As [`World::submit`].
    pub fn submit_as(&mut self, principal: &str, text: &str, limited: bool) -> Result<usize, Broken> {
        let envelope = Envelope::parse(text.as_bytes())
            .map_err(|response| Broken(format!("no envelope: {text}: {}", response.to_json())))?;
        let principal = Principal::parse(principal).map_err(|error| Broken(error.to_string()))?;
        let submit = Submit {
            fingerprint: fingerprint(&principal, &envelope),
            caller: Caller {
                tenant: Tenant::main(),
                principal,
                exec: None,
            },
            envelope,
            redacted: false,
            limited: OverRate {
                submission: limited.then_some(100),
                replay: None,
            },
        };
        let at = self.model.at.max(self.wall);
        if self.model.predict(&submit, at) == Predicted::Refused(ErrorCode::IdentityConflict) {
            let id = submit.envelope.id.as_ref();
            self.conflicts.extend(id.and_then(|id| self.model.named(id)));
        }
        let number = self.answers.len();
        self.answers.push(Answer::default());
        let decision = self.decide(Input::Submit(submit), Some(number as u64))?;
        if let Some(answer) = self.answers.get_mut(number) {
            answer.predicted = decision.reply.as_ref().map(Predicted::of);
        }
        Ok(number)
    }

    /// What was answered to a submission, if it was.
    #[must_use]
    pub fn answer(&self, number: usize) -> Option<&Response> {
        self.answers.get(number)?.response.as_ref()
    }

    /// Decides one input, checks it against the model, and hands it to the engine.
    pub(crate) fn decide(&mut self, input: Input, to: Option<u64>) -> Result<Decision, Broken> {
        let (wall, monotonic) = (self.wall, self.monotonic);
        let node = self.node()?;
        let (at, elapsed) = node.clock.stamp(wall, monotonic);
        if let Some(sample) = node.clock.news() {
            let stamped = Stamped {
                at,
                elapsed,
                input: sample,
            };
            self.decide_stamped(stamped, None)?;
        }
        self.decide_stamped(Stamped { at, elapsed, input }, to)
    }

    fn decide_stamped(&mut self, stamped: Stamped, to: Option<u64>) -> Result<Decision, Broken> {
        let node = self.node()?;
        let before = node.engine.ahead().graph.system.clone();
        let decision = decide(node.engine.ahead(), &stamped);
        node.engine
            .input(&stamped, to)
            .map_err(|error| Broken(format!("the engine stopped: {error}")))?;
        let after = node.engine.ahead().clone();
        hold!(
            decision.events.len() <= EVENTS_PER_RECORD_MAX,
            "a record of {} events",
            decision.events.len()
        );
        self.model.decided(&stamped, &decision)?;
        self.graph_is_right(&before, &decision, &after)?;
        if !decision.events.is_empty() {
            let entry = Entry {
                stamped,
                decision: decision.clone(),
                after,
            };
            self.history.push(entry);
            if self.model.next_idx.is_multiple_of(CHECKPOINT_RECORDS) {
                self.checkpoints.insert(self.model.next_idx, self.model.clone());
            }
        }
        Ok(decision)
    }

    /// The views a decision is about are as the model has them, and System is another only by a collapse.
    fn graph_is_right(&self, before: &Branch, decision: &Decision, after: &State) -> Result<(), Broken> {
        let events = decision.events.iter().filter_map(|event| match event {
            Event::Graph(event) => Some(&**event),
            _ => None,
        });
        let mut collapsed = false;
        for event in events {
            collapsed |= matches!(event, GraphEvent::Collapsed { .. });
            self.model.compare_touched(after, event)?;
        }
        let now = &after.graph.system;
        let same = (now.n, now.view.digest()) == (before.n, before.view.digest());
        hold!(
            collapsed || same,
            "invariant 8: System changed, and nothing collapsed"
        );
        Ok(())
    }

    /// The number of a command of this tenant.
    ///
    /// # Errors
    /// When nobody knows it.
    pub fn seq(&mut self, id: &str) -> Result<u64, Broken> {
        let id = actum_model::CommandId::parse_any(id).map_err(|error| Broken(error.to_string()))?;
        let known = self.state()?.find(&Tenant::main(), &id);
        known
            .map(|known| known.seq())
            .ok_or_else(|| Broken(format!("no command `{id}`")))
    }

    /// Records so far, durable or not.
    #[must_use]
    pub fn records(&self) -> usize {
        self.history.len()
    }

    /// Effects that left so far.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.promises.effects()
    }
}

/// What tells a repetition from a conflict: what is asked, and by whom.
fn fingerprint(principal: &Principal, envelope: &Envelope) -> Hash {
    let asked = Envelope {
        id: None,
        key: None,
        correlation: None,
        causation: None,
        detach: false,
        ..envelope.clone()
    };
    Hash::of_parts(
        "sim",
        &[principal.as_str().as_bytes(), format!("{asked:?}").as_bytes()],
    )
}
