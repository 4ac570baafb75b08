//! How a life of the node ends and the next begins, and what must be there then.

use super::{Crash, World};
use crate::broken::{Broken, hold};
use crate::flaws;
use crate::model::Model;
use crate::node::{self, Node, Now};
use actum_journal::OpenError;
use actum_kernel::{State, state_digest};
use actum_model::Input;

impl World {
    /// Every kept record decided again comes to the same, and to the state there is.
    ///
    /// # Errors
    /// With the first record that does not.
    pub fn replay(&mut self) -> Result<(), Broken> {
        let node = self.node()?;
        let published = state_digest(&node.published).0;
        let digest = node.replay()?;
        hold!(
            digest.is_none_or(|digest| digest == published),
            "invariant 2: history comes to another state"
        );
        Ok(())
    }

    /// Compares the state with the model, row by row.
    ///
    /// # Errors
    /// With the first row that differs.
    pub fn compare(&mut self) -> Result<(), Broken> {
        let state = self.state()?.clone();
        self.model.compare(&state)
    }

    /// The node ends in order.
    ///
    /// # Errors
    /// When a rule is broken on the way.
    pub fn close(&mut self) -> Result<bool, Broken> {
        while self.node.as_ref().is_some_and(|node| !node.sealed.is_empty()) {
            if !self.flush()? {
                return Ok(false);
            }
        }
        self.decide(Input::Close, None)?;
        self.seal()?;
        if !self.flush()? {
            return Ok(false);
        }
        self.jobs.clear();
        let node = self.node.take();
        Ok(node.is_some_and(|node| node.close().is_ok()))
    }

    /// The node is gone.
    pub fn crash(&mut self, how: Crash) {
        self.node = None;
        self.jobs.clear();
        match how {
            Crash::Kill => self.disk.heal(),
            Crash::Power => self.disk.cut_power(),
        }
    }

    /// A node comes up. False: the disk did not let it.
    ///
    /// # Errors
    /// When what it finds is not what was promised.
    pub fn boot(&mut self) -> Result<bool, Broken> {
        let opened = node::open_disk(&self.disk, self.options.segment_bytes, self.options.durability);
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(OpenError::Storage(_) | OpenError::Append(_)) => return Ok(false),
            Err(error) => return Err(Broken(format!("the journal does not open: {error:?}"))),
        };
        let head = opened.state.next_idx;
        let committed = self.committed;
        hold!(
            head >= committed,
            "invariant 1: {head} records are there, {committed} were committed"
        );
        self.go_back_to(head)?;
        let expected = self
            .history
            .last()
            .map_or_else(State::default, |entry| entry.after.clone());
        if let Some(flaw) = self.options.flaw {
            let conflicts = flaws::conflicts(&self.model, &self.conflicts);
            flaw.spoil(&mut opened.state, &self.model, &conflicts);
        } else {
            let same = state_digest(&opened.state) == state_digest(&expected);
            hold!(
                same,
                "invariant 2: the state after {head} records is another than it was"
            );
            self.model.compare(&opened.state)?;
        }
        self.model.compare_graph(&opened.state)?;
        self.promises.kept_by(&opened.state, &self.model)?;
        // What is there after a boot is there for good: opening made it durable.
        (self.committed, self.released) = (head, head);
        self.reports.push(opened.report.clone());
        self.monotonic = self.rng.below(1_000_000);
        let now = Now {
            wall: self.wall,
            monotonic: self.monotonic,
        };
        self.node = Some(Node::start(opened, now));
        self.decide(node::boot_input(&self.options.config.clone()), None)?;
        Ok(true)
    }

    /// Forgets what was decided and did not become durable.
    fn go_back_to(&mut self, head: u64) -> Result<(), Broken> {
        hold!(
            head <= self.history.len() as u64,
            "{head} records are there, {} were decided",
            self.history.len()
        );
        self.history.truncate(usize::try_from(head).unwrap_or(usize::MAX));
        self.checkpoints.split_off(&(head + 1));
        let (from, mut model) = match self.checkpoints.last_key_value() {
            Some((from, model)) => (*from, model.clone()),
            None => (0, Model::new()),
        };
        for entry in self
            .history
            .iter()
            .skip(usize::try_from(from).unwrap_or(usize::MAX))
        {
            model.decided(&entry.stamped, &entry.decision)?;
        }
        self.model = model;
        let next = self.model.next_seq;
        self.conflicts.retain(|seq| *seq < next);
        Ok(())
    }
}
