//! What happens to a lane: a command joins it, passes through it, is looked at, leaves it.

use crate::state::{LaneState, State};
use actum_model::Lane;
use actum_model::outcome::{Identity, LanePlace};
use actum_model::restore::{CommandRow, LaneKey};
use imbl::Vector;

impl State {
    pub(super) fn join_lane(&mut self, identity: &Identity, place: &LanePlace) {
        let key = LaneKey {
            tenant: identity.tenant.clone(),
            lane: place.lane.clone(),
        };
        let alone = match self.lanes.get_mut(&key) {
            Some(lane) => {
                lane.last_seq = place.seq;
                lane.queue.push_back(identity.seq);
                lane.queue.len() == 1
            }
            None => {
                let queue = Vector::unit(identity.seq);
                let lane = LaneState {
                    generation: place.generation,
                    last_seq: place.seq,
                    queue,
                    ready: None,
                };
                self.lanes.insert(key.clone(), lane);
                true
            }
        };
        if alone {
            self.wake(key);
        }
    }

    /// A command takes its place in an empty lane and gives it up in the same record. A command that says which
    /// version its session has says that there is one.
    pub(super) fn pass_lane(&mut self, identity: &Identity, place: &LanePlace, session_exists: bool) {
        let key = LaneKey {
            tenant: identity.tenant.clone(),
            lane: place.lane.clone(),
        };
        let stays = (session_exists && matches!(key.lane, Lane::Session(_))) || self.stays(&key);
        match self.lanes.get_mut(&key) {
            Some(lane) if stays => lane.last_seq = place.seq,
            Some(_) => {
                self.lanes.remove(&key);
            }
            None if stays => {
                let (generation, last_seq) = (place.generation, place.seq);
                self.lanes.insert(
                    key,
                    LaneState {
                        generation,
                        last_seq,
                        queue: Vector::new(),
                        ready: None,
                    },
                );
            }
            None => {}
        }
    }

    /// Whether a lane stays while it is empty.
    fn stays(&self, key: &LaneKey) -> bool {
        match &key.lane {
            Lane::Server => true,
            Lane::Session(id) => self.sessions.contains_key(&(key.tenant.clone(), id.clone())),
            Lane::Exec(_) => false,
        }
    }

    /// Takes the command's lane off the ready list: its head was looked at.
    pub(super) fn looked_at(&mut self, seq: u64) {
        let Some(row) = self.commands.get(&seq) else {
            return;
        };
        let Some(place) = &row.identity.lane else { return };
        let key = LaneKey {
            tenant: row.identity.tenant.clone(),
            lane: place.lane.clone(),
        };
        if let Some(place) = self.lanes.get_mut(&key).and_then(|lane| lane.ready.take()) {
            self.ready.remove(&place);
        }
    }

    /// Puts a lane at the end of the ready list: its head wants to be looked at.
    pub(super) fn wake(&mut self, key: LaneKey) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.ready.is_none()) else {
            return;
        };
        lane.ready = Some(self.next_ready);
        self.ready.insert(self.next_ready, key);
        self.next_ready += 1;
    }

    pub(super) fn leave_lane(&mut self, row: &CommandRow) {
        let Some(place) = &row.identity.lane else { return };
        let seq = row.identity.seq;
        let key = LaneKey {
            tenant: row.identity.tenant.clone(),
            lane: place.lane.clone(),
        };
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        let was_head = lane.queue.front() == Some(&seq);
        if was_head {
            lane.queue.pop_front();
        } else if let Ok(at) = lane.queue.binary_search(&seq) {
            lane.queue.remove(at);
        }
        if !lane.queue.is_empty() {
            if was_head {
                self.wake(key);
            }
            return;
        }
        if let Some(place) = lane.ready.take() {
            self.ready.remove(&place);
        }
        if !self.stays(&key) {
            self.lanes.remove(&key);
        }
    }
}
