//! What can be done to a node step by step: ticks, batches, effects that answer, snapshots.

use super::World;
use crate::broken::{Broken, hold};
use actum_model::effect::{SettledAs, Settlement};
use actum_model::{ErrorCode, Fault, Input, Json};

impl World {
    /// A tick, repeated while there is more that is due.
    ///
    /// # Errors
    /// When something due is not done, or something early is.
    pub fn tick(&mut self) -> Result<(), Broken> {
        while !self.decide(Input::Tick, None)?.events.is_empty() {}
        Ok(())
    }

    /// Goes on until nothing is left that goes on by itself.
    ///
    /// # Errors
    /// When it stands still before, or breaks a rule.
    pub fn drain(&mut self) -> Result<(), Broken> {
        while self.state()?.has_more() {
            let decision = self.decide(Input::Continue, None)?;
            hold!(
                !decision.events.is_empty(),
                "there is more to do, and it does not go on"
            );
        }
        self.model.quiet()
    }

    /// Asks for the durable mark of effects whose request is durable.
    ///
    /// # Errors
    /// When the decision breaks a rule.
    pub fn dispatch(&mut self) -> Result<(), Broken> {
        while let Some(seq) = self.node()?.dispatches.pop_front() {
            self.decide(Input::Dispatch { seq }, None)?;
        }
        Ok(())
    }

    /// Closes the open batch.
    ///
    /// # Errors
    /// When no node is up.
    pub fn seal(&mut self) -> Result<(), Broken> {
        self.node()?.seal();
        Ok(())
    }

    /// Writes the oldest closed batch and takes what it releases. False: the node went down on it.
    ///
    /// # Errors
    /// When something is released that must not be.
    pub fn flush(&mut self) -> Result<bool, Broken> {
        match self.node()?.flush() {
            Ok(None) => Ok(true),
            Ok(Some((released, committed))) => {
                if committed.durable() {
                    self.committed = committed.end_idx();
                }
                self.take(released, committed.durable())?;
                Ok(true)
            }
            Err(_) => {
                self.node = None;
                Ok(false)
            }
        }
    }

    /// Makes relaxed answers durable. False: the node went down on it.
    ///
    /// # Errors
    /// When no node is up.
    pub fn sync(&mut self) -> Result<bool, Broken> {
        match self.node()?.sync() {
            Ok(committed) => {
                self.committed = committed.end_idx();
                Ok(true)
            }
            Err(_) => {
                self.node = None;
                Ok(false)
            }
        }
    }

    /// Does everything there is to do without letting time pass. False: the node went down.
    ///
    /// # Errors
    /// When a rule is broken.
    pub fn settle_all(&mut self) -> Result<bool, Broken> {
        loop {
            self.dispatch()?;
            self.drain()?;
            self.seal()?;
            let node = self.node()?;
            if node.sealed.is_empty() && node.dispatches.is_empty() {
                return Ok(true);
            }
            if !self.flush()? {
                return Ok(false);
            }
        }
    }

    /// The world answers to the effect of a command.
    ///
    /// # Errors
    /// When what follows breaks a rule.
    pub fn settle(&mut self, seq: u64, settled: SettledAs) -> Result<(), Broken> {
        self.jobs.remove(&seq);
        let code = if settled == SettledAs::Succeeded { 0 } else { 1 };
        let fault =
            (settled == SettledAs::Failed).then(|| Fault::new(ErrorCode::CommandFailed, "exit code 1"));
        let settlement = Settlement {
            settled,
            data: Some(Json::from_canonical(&format!(
                "{{\"exitCode\":{code},\"of\":{seq}}}"
            ))),
            fault,
        };
        let input = Input::Outcome {
            seq,
            settlement: Box::new(settlement),
        };
        self.decide(input, None).map(|_| ())
    }

    /// Takes a snapshot of what readers see, says so on the record, and removes what it makes superfluous.
    /// Gives how many segments went; an error of the disk means that none was taken.
    ///
    /// # Errors
    /// When what follows breaks a rule.
    pub fn snapshot(&mut self) -> Result<Option<u64>, Broken> {
        let Ok(taken) = self.node()?.snapshot() else {
            return Ok(None);
        };
        self.decide(Input::SnapshotTaken(taken), None)?;
        Ok(self.node()?.compact().ok())
    }
}
