//! The kernel's state against the books, row by row.

use super::{Command, Done, Model, Stand};
use crate::broken::{Broken, hold};
use actum_kernel::{Known, State};
use actum_model::OutcomeRow;
use actum_model::ids::Tenant;
use actum_model::restore::{CommandRow, LaneKey, Phase};

impl Model {
    /// Compares everything the model knows with a state.
    ///
    /// # Errors
    /// With the first row that differs.
    pub fn compare(&self, state: &State) -> Result<(), Broken> {
        hold!(
            state.next_idx == self.next_idx,
            "idx {} against {}",
            state.next_idx,
            self.next_idx
        );
        hold!(
            state.next_seq == self.next_seq,
            "number {} against {}",
            state.next_seq,
            self.next_seq
        );
        hold!(
            state.term == self.term,
            "term {} against {}",
            state.term,
            self.term
        );
        hold!(*state.config == self.config, "the configuration differs");
        self.compare_sessions(state)?;
        self.compare_lanes(state)?;
        self.compare_time(state)?;
        self.compare_graph(state)?;
        for command in self.commands.values() {
            self.compare_command(state, command)?;
        }
        hold!(
            state.in_flight() == self.unfinished().count(),
            "{} unfinished",
            state.in_flight()
        );
        hold!(
            state.outcomes.len() == self.kept.len(),
            "{} outcomes, {}",
            state.outcomes.len(),
            self.kept.len()
        );
        hold!(
            state.keys_live() == self.keys.len(),
            "{} keys, {}",
            state.keys_live(),
            self.keys.len()
        );
        hold!(
            state.tombstones() == self.tombstones.len(),
            "{} tombstones",
            state.tombstones()
        );
        Ok(())
    }

    fn compare_sessions(&self, state: &State) -> Result<(), Broken> {
        hold!(
            state.sessions.len() == self.sessions.len(),
            "{} sessions",
            state.sessions.len()
        );
        for (id, session) in &self.sessions {
            let found = state.session(&Tenant::main(), id);
            let same = found.is_some_and(|found| {
                (found.generation, found.version) == (session.generation, session.version)
                    && found.metadata.iter().eq(session.metadata.iter())
            });
            hold!(same, "session `{id}`: {found:?}, expected {session:?}");
        }
        Ok(())
    }

    fn compare_time(&self, state: &State) -> Result<(), Broken> {
        hold!(
            state.next_tick() == self.next_tick,
            "next tick {}",
            state.next_tick()
        );
        let now = actum_kernel::read::now(state);
        let known = now.provenance.first().map(|idx| (now.ns, *idx));
        hold!(
            known == (self.next_idx > 0).then_some(self.now),
            "now is {now:?}, expected {:?}",
            self.now
        );
        hold!(
            state.timers_live() == self.timers.len(),
            "{} timers",
            state.timers_live()
        );
        for (id, timer) in &self.timers {
            let found = state.timer(&Tenant::main(), id);
            let same = found.is_some_and(|row| (row.due, row.fires) == (timer.due, timer.fires));
            hold!(same, "timer `{id}`: {found:?}, expected {timer:?}");
        }
        Ok(())
    }

    fn compare_lanes(&self, state: &State) -> Result<(), Broken> {
        hold!(
            state.lanes.len() == self.lanes.len(),
            "{} lanes",
            state.lanes.len()
        );
        for (lane, queue) in &self.lanes {
            let key = LaneKey {
                tenant: Tenant::main(),
                lane: lane.clone(),
            };
            let found = state.lanes.get(&key);
            let same = found.is_some_and(|found| {
                found.queue.iter().eq(queue.iter())
                    && self.places.get(lane) == Some(&(found.generation, found.last_seq))
            });
            hold!(same, "lane {lane}: {found:?}, expected {queue:?}");
        }
        Ok(())
    }

    fn compare_command(&self, state: &State, command: &Command) -> Result<(), Broken> {
        let found = state.known(command.seq);
        let same = match (&found, &command.stand) {
            (Some(Known::InFlight(row)), stand) => same_row(row, stand),
            (Some(Known::Finished(row)), Stand::Done(done)) => !done.retired && same_outcome(row, done),
            (Some(Known::Retired(_)), Stand::Done(done)) => done.retired,
            _ => false,
        };
        hold!(
            same,
            "command {}: {found:?}, expected {:?}",
            command.seq,
            command.stand
        );
        Ok(())
    }
}

fn same_row(row: &CommandRow, stand: &Stand) -> bool {
    match (&row.phase, stand) {
        (Phase::Queued, Stand::Queued) => true,
        (Phase::Waiting { due }, Stand::Waiting(expected)) => due == expected,
        (Phase::Running(found), Stand::Running(expected)) => {
            found.due == expected.due
                && found.dispatching == expected.dispatched
                && found.stopping == expected.stopping
                && found.doubt == expected.doubt
                && found.is_probed() == expected.probed
                && found.lost == expected.lost
        }
        _ => false,
    }
}

pub(crate) fn same_outcome(row: &OutcomeRow, done: &Done) -> bool {
    row.outcome == done.outcome
        && row.fault.as_ref().map(|fault| fault.code) == done.code
        && row.data == done.data
        && row.session_version == done.version
        && row.finished_idx == done.idx
        && row.started_idx.is_some() == done.started
}
