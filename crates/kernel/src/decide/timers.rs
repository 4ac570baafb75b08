//! Ticks, clock samples, and what a timer does when its time has come.

use super::Decider;
use super::admission::Candidate;
use actum_model::envelope::Caller;
use actum_model::event::Event;
use actum_model::input::{OverRate, Submit};
use actum_model::limits::{CLOCK_RESOLUTION_NS, TIMER_LATE_MS};
use actum_model::timer::{
    ClockSample, ClockSource, Due, Standing, Ticked, TimerFired, TimerRow, read_command,
};
use actum_model::{ErrorCode, Fault, Hash, contract};
use std::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;

impl Decider<'_> {
    /// What every record of a tick begins with.
    pub(super) fn opening_of_a_tick(&self) -> Vec<Event> {
        let mut events = vec![Event::Ticked(Ticked {
            tick: self.state.next_tick(),
        })];
        events.extend(self.samples());
        events
    }

    /// Both clocks as this record's times give them. While a jump is pending, the wall clock may be off by it.
    pub(super) fn samples(&self) -> [Event; 2] {
        let pending = self.state.clock().pending;
        let wall_ns = self.head.at.saturating_mul(NS_PER_MS);
        let away_ns = pending.map_or(0, |jump| jump.sample.uncertainty_ns);
        let sample = |source, value_ns, uncertainty_ns| {
            Event::ClockSampled(ClockSample {
                source,
                value_ns,
                uncertainty_ns,
                standing: Standing::Trusted,
            })
        };
        [
            sample(
                ClockSource::Monotonic,
                self.head.elapsed.saturating_mul(NS_PER_MS),
                CLOCK_RESOLUTION_NS,
            ),
            sample(ClockSource::Wall, wall_ns, CLOCK_RESOLUTION_NS.max(away_ns)),
        ]
    }

    /// The wall clock jumped, or what became of a jump is known.
    pub(super) fn clock_sample(&mut self, wall_ms: u64, standing: Standing) {
        let away_ns = wall_ms.abs_diff(self.head.at).saturating_mul(NS_PER_MS);
        self.emit(Event::ClockSampled(ClockSample {
            source: ClockSource::Wall,
            value_ns: wall_ms.saturating_mul(NS_PER_MS),
            uncertainty_ns: CLOCK_RESOLUTION_NS.max(away_ns),
            standing,
        }));
    }

    /// Fires what is due, the longest due first, of the same time by id; as far as the record has room.
    pub(super) fn fire_timers(&mut self) {
        while self.has_room() {
            let Some(row) = self.next_timer() else { return };
            self.fire(&row);
        }
    }

    /// The cadence makes a tick where nothing else does.
    pub(super) fn keep_cadence(&mut self) {
        if self.events.is_empty()
            && self
                .state
                .cadence_due()
                .is_some_and(|due| due <= self.head.elapsed)
        {
            self.open();
        }
    }

    /// The timer to fire next. The two clocks are compared by how long ago each timer was due.
    fn next_timer(&self) -> Option<Arc<TimerRow>> {
        let timers = &self.state.timers;
        let overdue = |now: u64, due: u64| (due <= now).then(|| now - due);
        let run = timers
            .by_elapsed
            .get_min()
            .and_then(|(due, id, tenant)| Some((overdue(self.head.elapsed, *due)?, id, tenant)));
        let history = timers
            .by_at
            .get_min()
            .and_then(|(due, id, tenant)| Some((overdue(self.head.at, *due)?, id, tenant)));
        let first =
            |a: &(u64, _, _), b: &(u64, _, _)| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)));
        let (_, id, tenant) = run.into_iter().chain(history).min_by(first)?;
        self.state.timer(tenant, id).cloned()
    }

    fn fire(&mut self, row: &TimerRow) {
        // The tick's own event comes first, because a firing names it.
        if self.events.is_empty() {
            self.open();
        }
        let (due, now, booted) = match row.due {
            Due::Elapsed(due) => (due, self.head.elapsed, self.state.clock().booted_elapsed),
            Due::At(due) => (due, self.head.at, self.state.clock().booted_at),
        };
        let overdue_ms = now.saturating_sub(due);
        let missed = row.every_ms.map_or(0, |every| overdue_ms / every.max(1));
        let next = row
            .every_ms
            .map(|every| row.due.plus(missed.saturating_add(1).saturating_mul(every)));
        let fire = row.fires + 1;
        let submit = self.carried(row, fire);
        let refused = match &submit {
            Some(Ok(submit)) => self.refusal(submit).err(),
            Some(Err(fault)) => Some(fault.clone()),
            None => None,
        };
        let submit = submit.and_then(Result::ok).filter(|_| refused.is_none());
        self.emit(Event::TimerFired(TimerFired {
            tenant: row.tenant.clone(),
            timer: row.timer.clone(),
            tick: self.state.next_tick().saturating_sub(1),
            due: row.due,
            fire,
            late: overdue_ms > TIMER_LATE_MS || due < booted,
            missed,
            next,
            command: submit.is_some().then_some(self.state.next_seq),
            refused: refused.map(Box::new),
        }));
        if let Some((submit, contract)) = submit {
            let lane = super::admission::lane_of(contract, &submit);
            self.accept(&Candidate {
                submit: &submit,
                contract,
                lane,
                deps: Vec::new(),
            });
        }
    }

    fn refusal(&self, (submit, contract): &(Submit, &'static contract::Contract)) -> Result<(), Fault> {
        self.room(submit, contract)
    }

    /// The command of a timer as whoever set it would submit it now, under an id that nobody else can use.
    fn carried(
        &self,
        row: &TimerRow,
        fire: u64,
    ) -> Option<Result<(Submit, &'static contract::Contract), Fault>> {
        let unknown = || {
            let message = "this program does not know the timer's command any more";
            Fault::new(ErrorCode::UnknownCommand, message)
        };
        let command = row.command.as_ref()?;
        let Some(mut envelope) = read_command(command) else {
            return Some(Err(unknown()));
        };
        let Some(contract) = envelope.contract() else {
            return Some(Err(unknown()));
        };
        envelope.id = row.command_id(fire);
        envelope.causation = Some(row.set_by.clone());
        envelope.correlation = envelope.correlation.or_else(|| Some(row.correlation.clone()));
        envelope.detach = true;
        let caller = Caller {
            tenant: row.tenant.clone(),
            principal: row.principal.clone(),
            exec: None,
        };
        let submit = Submit {
            caller,
            envelope,
            fingerprint: Hash::ZERO,
            redacted: false,
            limited: OverRate::default(),
        };
        Some(Ok((submit, contract)))
    }
}
