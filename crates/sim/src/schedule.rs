//! Random runs: what happens next is drawn from the seed, everything is checked, and at the end the world calms
//! down, every command ends, and history is replayed.

use crate::broken::{Broken, hold};
use crate::client::{self, Message};
use crate::disk::Failure;
use crate::prng::Prng;
use crate::world::{Crash, Options, World};
use actum_journal::Durability;
use actum_model::config::OnInDoubt;
use actum_model::{Hash, Input, RealmConfig};
use std::collections::BTreeMap;

const YEAR_MS: i64 = 365 * 24 * 3_600_000;

/// A run to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// Steps before the world calms down.
    pub steps: u64,
    /// Whether to note each step.
    pub verbose: bool,
}

/// What a run came to. Two runs of one plan are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Digest of the last state.
    pub digest: Hash,
    /// Everything durable, object by object.
    pub image: Vec<(String, Vec<u8>)>,
    /// Records decided that stayed.
    pub records: usize,
    /// Effects that left.
    pub effects: usize,
    /// Boots.
    pub boots: usize,
    /// Commands that were accepted.
    pub accepted: usize,
    /// Those of them that ended.
    pub ended: usize,
    /// Those of them that were in doubt.
    pub doubts: usize,
    /// Ticks.
    pub ticks: u64,
    /// Timers that fired.
    pub fired: u64,
    /// What came of commands about the graph: `<kind> <outcome or code>`, `conflict <code>`.
    pub graph: BTreeMap<String, u64>,
}

/// Makes a run. `log` receives its steps where the plan is verbose, and the last one always.
///
/// # Errors
/// With the promise that was broken.
pub fn run(plan: &Plan, log: &mut Vec<String>) -> Result<Report, Broken> {
    let mut rng = Prng::new(plan.seed.wrapping_mul(3));
    let mut run = Run {
        world: World::new(options(plan.seed, &mut rng)),
        rng,
        sent: Vec::new(),
        number: 0,
        faulty: false,
    };
    run.faulty = run.rng.chance(700);
    run.come_up()?;
    for step in 0..plan.steps {
        let what = run
            .step()
            .map_err(|Broken(what)| Broken(format!("step {step}: {what}")))?;
        if !plan.verbose {
            log.clear();
        }
        log.push(format!("{step:>6} {:>5} records, {what}", run.world.records()));
    }
    run.calm_down()
}

fn options(seed: u64, rng: &mut Prng) -> Options {
    let mut config = RealmConfig::default();
    if rng.chance(300) {
        config.outcomes_max = 20 + rng.below(60);
        config.tombstones_max = 10 + rng.below(60);
    }
    if rng.chance(300) {
        config.outcome_age_ms_max = 3_600_000;
        config.key_ttl_ms = 1_800_000;
    }
    if rng.chance(200) {
        config.in_flight_max = 12;
        config.keys_max = 6;
    }
    if rng.chance(200) {
        config.on_in_doubt = OnInDoubt::Fail;
    }
    if rng.chance(300) {
        config.queue_timeout_ms = 20_000;
    }
    if rng.chance(150) {
        config.tick_cadence_ms = 1000;
    }
    config.graph_snapshots_max = rng.below(8);
    if rng.chance(300) {
        config.graph_snapshot_age_ms_max = 40_000;
        config.graph_rewrites_max = 5 + rng.below(20);
    }
    if rng.chance(300) {
        config.sws_active_max = 3;
        config.sws_closed_max = rng.below(3);
    }
    Options {
        seed,
        segment_bytes: *rng.pick(&[4096, 16 * 1024, 256 * 1024]).unwrap_or(&4096),
        durability: if rng.chance(250) {
            Durability::Batched
        } else {
            Durability::Strict
        },
        config,
        flaw: None,
        hold_effects: false,
    }
}

struct Run {
    world: World,
    rng: Prng,
    sent: Vec<Message>,
    number: u64,
    faulty: bool,
}

impl Run {
    /// Boots until it is up.
    fn come_up(&mut self) -> Result<(), Broken> {
        let mut tries = 0;
        while !self.world.boot()? {
            tries += 1;
            hold!(tries < 4, "it does not come up");
            let how = self.how();
            self.world.crash(how);
        }
        Ok(())
    }

    fn how(&mut self) -> Crash {
        if self.rng.chance(500) {
            Crash::Kill
        } else {
            Crash::Power
        }
    }

    fn crash(&mut self) -> Result<String, Broken> {
        let how = self.how();
        self.world.crash(how);
        let down = *self.rng.pick(&[0u64, 1000, 3_600_000, 100_000_000]).unwrap_or(&0);
        self.world.wall += down;
        if self.faulty && self.rng.chance(200) {
            self.plan_fault(12);
        }
        self.come_up()?;
        let told = format!("crash ({how:?}), down {down} ms");
        if self.rng.chance(300) {
            // Again before anything else happened.
            let how = self.how();
            self.world.crash(how);
            self.come_up()?;
        }
        Ok(told)
    }

    fn plan_fault(&mut self, within: u64) {
        let nth = self.rng.below(within);
        let failure = *self.rng.pick(Failure::ALL).unwrap_or(&Failure::Before);
        self.world.disk().fail(nth, failure);
    }

    fn step(&mut self) -> Result<String, Broken> {
        if !self.world.is_up() {
            return self.crash();
        }
        let told = match self.rng.below(1000) {
            0..=399 => self.submit()?,
            400..=519 => self.effects()?,
            520..=599 => self.time(),
            600..=622 => self.meet()?,
            623..=659 => {
                self.world.tick()?;
                "tick".to_owned()
            }
            660..=759 => {
                self.world.dispatch()?;
                self.world.seal()?;
                "seal".to_owned()
            }
            760..=919 => self.flush()?,
            920..=939 => {
                self.world.sync()?;
                "sync".to_owned()
            }
            940..=954 => self.snapshot()?,
            955..=964 if self.faulty => {
                self.plan_fault(30);
                "a fault to come".to_owned()
            }
            965..=976 => self.crash()?,
            977..=979 => self.restart()?,
            980..=984 => self.check()?,
            985..=986 => self.burst()?,
            _ => self.output()?,
        };
        if self.world.is_up() && self.rng.chance(600) {
            self.world.drain()?;
        }
        Ok(told)
    }

    fn submit(&mut self) -> Result<String, Broken> {
        self.number += 1;
        let message = client::message(&mut self.rng, self.world.model(), &self.sent, self.number);
        let Message {
            principal,
            text,
            limited,
        } = message.clone();
        self.sent.push(message);
        self.world.submit_as(principal, &text, limited)?;
        Ok(format!("{principal} submits {text}"))
    }

    /// A few commands at once about the same things of the graph.
    fn meet(&mut self) -> Result<String, Broken> {
        let count = 6 + self.rng.below(10);
        for _ in 0..count {
            let text = crate::rewrites::meeting(&mut self.rng, self.world.model()).to_string();
            self.world.submit(&text)?;
        }
        Ok(format!("{count} commands meet in the graph"))
    }

    /// More commands into one lane than one record holds the events of.
    fn burst(&mut self) -> Result<String, Broken> {
        let session = *self.rng.pick(&["s1", "s2"]).unwrap_or(&"s1");
        let count = 100 + self.rng.below(150);
        for n in 0..count {
            self.number += 1;
            let (kind, payload) = match self.rng.below(40) {
                0 => ("session.delete", "{}".to_owned()),
                1..=2 => ("session.create", "{}".to_owned()),
                _ => ("session.annotate", format!(r#"{{"key":"burst","value":{n}}}"#)),
            };
            let id = self.number;
            let text =
                format!(r#"{{"type":"{kind}","id":"c{id}","sessionId":"{session}","payload":{payload}}}"#);
            self.world.submit(&text)?;
        }
        Ok(format!("a burst of {count} into {session}"))
    }

    /// Some of the effects whose time has come answer; now and then one answers twice.
    fn effects(&mut self) -> Result<String, Broken> {
        let now = self.world.monotonic;
        let ready: Vec<(u64, actum_model::effect::SettledAs)> = self
            .world
            .jobs
            .iter()
            .filter(|(_, job)| job.due <= now)
            .map(|(seq, job)| (*seq, job.settled))
            .collect();
        let Some((seq, settled)) = self.rng.pick(&ready).copied() else {
            return Ok("nothing answers".to_owned());
        };
        self.world.settle(seq, settled)?;
        if self.rng.chance(50) {
            self.world
                .settle(seq, actum_model::effect::SettledAs::Succeeded)?;
        }
        Ok(format!("command {seq} settles as {settled:?}"))
    }

    fn time(&mut self) -> String {
        if self.rng.chance(80) {
            let jump = if self.rng.chance(500) { YEAR_MS } else { -YEAR_MS };
            self.world.jump(jump);
            return format!("the wall clock jumps {jump} ms");
        }
        let ms = *self.rng.pick(&[1u64, 40, 1000, 31_000, 700_000]).unwrap_or(&1);
        self.world.pass(ms);
        format!("{ms} ms pass")
    }

    fn flush(&mut self) -> Result<String, Broken> {
        let alive = self.world.flush()?;
        Ok(if alive {
            "flush"
        } else {
            "flush, and the node goes down"
        }
        .to_owned())
    }

    fn snapshot(&mut self) -> Result<String, Broken> {
        let removed = self.world.snapshot()?;
        Ok(format!("snapshot, {removed:?} segments go"))
    }

    fn restart(&mut self) -> Result<String, Broken> {
        let clean = self.world.close()?;
        self.world.crash(Crash::Kill);
        self.come_up()?;
        Ok(format!("restart, in order: {clean}"))
    }

    fn check(&mut self) -> Result<String, Broken> {
        self.world.compare()?;
        Ok("compare with the model".to_owned())
    }

    fn output(&mut self) -> Result<String, Broken> {
        let running: Vec<u64> = self.world.jobs.keys().copied().collect();
        let Some(seq) = self.rng.pick(&running).copied() else {
            return Ok("no output".to_owned());
        };
        let input = Input::Output {
            seq,
            stream: "stdout".to_owned(),
            offset: 0,
            data: "a line\n".to_owned(),
        };
        self.world.decide(input, None)?;
        Ok(format!("output of command {seq}"))
    }

    /// Nothing fails any more: every command ends, everything is compared, replayed and found after one more boot.
    fn calm_down(mut self) -> Result<Report, Broken> {
        self.world.disk().heal();
        if self.faulty || !self.world.is_up() {
            // After a fault only a new process trusts the disk again.
            self.world.crash(Crash::Kill);
            self.come_up()?;
        }
        for round in 0.. {
            hold!(self.world.settle_all()?, "a disk that works fails");
            let model = self.world.model();
            let (open, timers) = (model.unfinished().count(), model.timers.len());
            if open + timers == 0 {
                break;
            }
            hold!(round < 1000, "{open} commands and {timers} timers never end");
            self.end_some()?;
        }
        self.world.tick()?;
        hold!(self.world.settle_all()?, "a disk that works fails");
        self.world.model().tidy()?;
        self.world.compare()?;
        hold!(self.world.sync()?, "a disk that works fails");
        self.world.replay()?;
        let digest = self.world.digest()?;
        hold!(self.world.close()?, "it does not end in order");
        self.come_up()?;
        let clean = self.world.reports.last().is_some_and(|report| report.clean);
        hold!(clean, "an orderly end is not seen as one");
        Ok(Report {
            digest,
            image: self.world.disk().image(),
            records: self.world.records(),
            effects: self.world.effects(),
            boots: self.world.reports.len(),
            accepted: self.world.model().accepted_count(),
            ended: self.world.model().ended(),
            doubts: self.world.model().doubt_count(),
            ticks: self.world.model().next_tick,
            fired: self.world.fired(),
            graph: self.world.model().graph_tally().clone(),
        })
    }

    /// Answers every effect, resolves every doubt, and lets time pass.
    fn end_some(&mut self) -> Result<(), Broken> {
        let running: Vec<u64> = self.world.jobs.keys().copied().collect();
        for seq in running {
            self.world
                .settle(seq, actum_model::effect::SettledAs::Succeeded)?;
        }
        let doubtful: Vec<_> = self.world.model().in_doubt().map(crate::model::id_of).collect();
        for id in doubtful {
            let how = *self.rng.pick(&["landed", "did_not_happen"]).unwrap_or(&"landed");
            let text = format!(
                r#"{{"type":"command.resolve","payload":{{"id":"{id}","as":"{how}","note":"the end"}}}}"#
            );
            self.world.submit(&text)?;
        }
        let timers: Vec<_> = self.world.model().timers.keys().cloned().collect();
        for id in timers {
            let text = format!(r#"{{"type":"timer.cancel","payload":{{"timerId":"{id}"}}}}"#);
            self.world.submit(&text)?;
        }
        self.world.pass(60_000);
        self.world.tick()
    }
}
