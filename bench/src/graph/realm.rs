//! A realm in memory: commands decided and applied by the kernel, nothing else.

use super::{OPS, rewrite};
use crate::publish::boot;
use actum_kernel::{State, advance};
use actum_model::envelope::{Caller, Envelope};
use actum_model::ids::{Principal, Tenant};
use actum_model::input::{OverRate, Submit};
use actum_model::{Event, Hash, Input, Outcome, RealmConfig, Stamped};
use anyhow::{Result, bail};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) struct Realm {
    pub(crate) state: State,
}

impl Realm {
    /// A realm that keeps little but its views, so that memory is theirs.
    pub(crate) fn new() -> Realm {
        let mut state = State::default();
        let config = RealmConfig {
            outcomes_max: 1,
            graph_rewrites_max: 0,
            ..RealmConfig::default()
        };
        drop(advance(&mut state, &stamped(boot(config))));
        Realm { state }
    }

    /// Decides and applies a command, and gives how long that took. Reading the text is not part of it.
    pub(crate) fn submit(&mut self, text: &str) -> Result<Duration> {
        let input = stamped(submission(text)?);
        let begun = Instant::now();
        let decision = black_box(advance(&mut self.state, &input));
        let took = begun.elapsed();
        let succeeded = decision.events.iter().any(
            |event| matches!(event, Event::Executed(executed) if executed.outcome == Outcome::Succeeded),
        );
        if !succeeded {
            bail!("it did not succeed: {:?}", decision.reply);
        }
        Ok(took)
    }

    /// Forks System; gives the number of the fork and how long it took.
    pub(crate) fn fork(&mut self) -> Result<(u64, Duration)> {
        let sws = self.state.graph.next_sws;
        let took = self.submit(r#"{"type":"sws.create"}"#)?;
        Ok((sws, took))
    }

    /// Adds nodes to a shadow working set, in rewrites of the largest size.
    pub(crate) fn fill(&mut self, sws: u64, numbers: std::ops::Range<u64>) -> Result<()> {
        let mut from = numbers.start;
        while from < numbers.end {
            let to = (from + OPS as u64).min(numbers.end);
            self.submit(&rewrite(sws, from..to))?;
            from = to;
        }
        Ok(())
    }

    pub(crate) fn collapse(&mut self, sws: u64) -> Result<Duration> {
        self.submit(&format!(
            r#"{{"type":"sws.collapse","payload":{{"swsId":"{sws}"}}}}"#
        ))
    }

    pub(crate) fn discard(&mut self, sws: u64) -> Result<Duration> {
        self.submit(&format!(
            r#"{{"type":"sws.discard","payload":{{"swsId":"{sws}"}}}}"#
        ))
    }
}

fn submission(text: &str) -> Result<Input> {
    let Ok(envelope) = Envelope::parse(text.as_bytes()) else {
        bail!("no envelope")
    };
    let caller = Caller {
        tenant: Tenant::main(),
        principal: Principal::parse("bench")?,
        exec: None,
    };
    Ok(Input::Submit(Submit {
        caller,
        envelope,
        fingerprint: Hash::of(text.as_bytes()),
        redacted: false,
        limited: OverRate::default(),
    }))
}

fn stamped(input: Input) -> Stamped {
    Stamped {
        at: 1,
        elapsed: 1,
        input,
    }
}
