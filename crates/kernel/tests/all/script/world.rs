//! The state a script works on, with everything that is checked at every step.

use super::show;
use actum_kernel::state::SnapshotId;
use actum_kernel::{RecordHead, State, advance, apply_event, apply_record, decide, read, state_digest};
use actum_model::effect::{SettledAs, Settlement};
use actum_model::envelope::{Caller, Envelope};
use actum_model::graph::{SwsState, ViewName};
use actum_model::ids::{CommandId, Principal, SessionId, Tenant};
use actum_model::input::{Boot, OverRate, Submit};
use actum_model::limits::EVENTS_PER_RECORD_MAX;
use actum_model::worker::{WorkerChange, WorkerNews};
use actum_model::{ErrorCode, Event, Fault, Hash, Input, Json, RealmConfig, Stamped};
use std::collections::BTreeSet;

/// Records of a script after which states are no longer compared at every step, which would be slow.
const COMPARED_RECORDS: usize = 200;

/// History time at which every script begins: 2027-01-15T08:00:00Z.
pub(crate) const START: u64 = 1_800_000_000_000;

pub(crate) struct World {
    name: String,
    state: State,
    /// The state that `apply` alone comes to.
    shadow: State,
    at: u64,
    elapsed: u64,
    config: RealmConfig,
    records: Vec<(RecordHead, Vec<Event>)>,
    /// Every version of a view that ever was the current one.
    versions: BTreeSet<(ViewName, SnapshotId)>,
}

impl World {
    pub(crate) fn new(name: &str) -> World {
        World {
            name: name.to_owned(),
            state: State::default(),
            shadow: State::default(),
            at: START,
            elapsed: 0,
            config: RealmConfig::default(),
            records: Vec::new(),
            versions: BTreeSet::new(),
        }
    }

    pub(crate) fn step(&mut self, line: &str) -> Vec<String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "boot" => self.boot(),
            "submit" => self.submit(rest),
            "many" => self.many(rest),
            "submit-wide" => self.submit_wide(rest),
            "submit-large" => self.submit_large(rest),
            "quietly" => self.quietly(rest),
            "dispatch" => self.input(Input::Dispatch { seq: self.seq(rest) }),
            "settle" => self.settle(rest),
            "output" => self.output(rest),
            "tick" => self.input(Input::Tick),
            "continue" => self.input(Input::Continue),
            "drain" => self.drain(),
            "sample" => self.sample(rest),
            "tick-all" => self.tick_all(),
            "now" => vec![read::now_json(&self.state).to_string()],
            "ticks" => self.ticks(),
            "timers" => self.timers(),
            "close" => self.input(Input::Close),
            "pass" => {
                self.at += number(rest);
                self.elapsed += number(rest);
                Vec::new()
            }
            "wall" => {
                self.at = self.at.saturating_add_signed(rest.parse().unwrap());
                Vec::new()
            }
            "run" => {
                self.elapsed += number(rest);
                Vec::new()
            }
            "config" => self.configure(rest),
            "show" => vec![format!("{rest}: {}", self.show(rest))],
            "why" => self.why(rest),
            "session" => vec![self.session(rest)],
            "worker" => self.worker(rest),
            "read-session" => vec![self.read(read::session(
                &self.state,
                &Tenant::main(),
                &SessionId::parse(rest).unwrap(),
            ))],
            "promise" => vec![self.read(read::promise(
                &self.state,
                &Tenant::main(),
                &CommandId::parse_any(rest).unwrap(),
            ))],
            "promises" => vec![self.promises(rest)],
            "graph" => self.graph(),
            "snapshots" => self.snapshots(),
            "rewrites" => self.rewrites(),
            "after" => vec![self.after(rest)],
            "lanes" => self.lanes(),
            "counts" => vec![self.counts()],
            "crash" => self.crash(),
            "snapshot" => self.snapshot(),
            _ => panic!("{}: no command `{word}`", self.name),
        }
    }

    /// A snapshot of the end is the end.
    pub(crate) fn check_end(&mut self) {
        self.crash();
        self.snapshot();
    }

    fn boot(&mut self) -> Vec<String> {
        self.input(Input::Boot(Boot {
            realm: vec![7; 16],
            incarnation: vec![9; 16],
            node: "here".into(),
            build: "1".into(),
            contracts: Hash::ZERO,
            classes: None,
            config: self.config.clone(),
        }))
    }

    fn submit(&mut self, rest: &str) -> Vec<String> {
        match self.submission(rest) {
            Ok(input) => self.input(input),
            Err(text) => vec![text],
        }
    }

    fn submission(&self, mut rest: &str) -> Result<Input, String> {
        let mut principal = "alice";
        let (mut limited, mut exec) = (None, None);
        while !rest.starts_with('{') {
            let mut words = rest.splitn(3, ' ');
            let (option, value) = (words.next().unwrap(), words.next().unwrap());
            rest = words.next().unwrap();
            match option {
                "as" => principal = value,
                "limited" => limited = Some(number(value)),
                "from" => exec = Some(self.seq(value)),
                _ => panic!("{}: no option `{option}`", self.name),
            }
        }
        let envelope = Envelope::parse(rest.as_bytes()).map_err(|response| {
            format!(
                "= refused before the kernel {}",
                show::fault(response.fault().unwrap())
            )
        })?;
        // What only names the command or concerns the answer is not part of what is asked.
        let asked = Envelope {
            id: None,
            key: None,
            correlation: None,
            causation: None,
            detach: false,
            ..envelope.clone()
        };
        let fingerprint = Hash::of(format!("{asked:?}").as_bytes());
        Ok(Input::Submit(Submit {
            caller: Caller {
                tenant: Tenant::main(),
                principal: Principal::parse(principal).unwrap(),
                exec,
            },
            envelope,
            fingerprint,
            redacted: false,
            limited: OverRate {
                submission: limited,
                replay: None,
            },
        }))
    }

    /// Submits many, with `{i}` as their number, and tells how many were accepted.
    fn many(&mut self, rest: &str) -> Vec<String> {
        let (count, template) = rest.split_once(' ').unwrap();
        let (mut records, mut answers) = (0, std::collections::BTreeMap::<String, u64>::new());
        for i in 1..=number(count) {
            let input = self.submission(&template.replace("{i}", &i.to_string())).unwrap();
            let before = self.records.len();
            let lines = self.input(input);
            records += self.records.len() - before;
            let answer = lines.last().unwrap().split(' ').nth(1).unwrap().to_owned();
            *answers.entry(answer).or_default() += 1;
        }
        let answers: Vec<String> = answers.iter().map(|(what, n)| format!("{n} {what}")).collect();
        vec![format!("{records} records; {}", answers.join(", "))]
    }

    /// Any step, told by the number of its events and its answer.
    fn quietly(&mut self, rest: &str) -> Vec<String> {
        let (answers, events): (Vec<_>, Vec<_>) =
            self.step(rest).into_iter().partition(|l| l.starts_with('='));
        let count = format!("{} events", events.len());
        std::iter::once(count).chain(answers).collect()
    }

    /// A `session.create` with this many annotations.
    fn submit_wide(&mut self, rest: &str) -> Vec<String> {
        let (count, template) = rest.split_once(' ').unwrap();
        let keys: Vec<String> = (0..number(count)).map(|n| format!("\"k{n}\":{n}")).collect();
        let payload = format!(",\"payload\":{{\"metadata\":{{{}}}}}}}", keys.join(","));
        let lines = self.submit(&template.replacen('}', &payload, 1));
        lines
            .into_iter()
            .filter(|line| !line.contains("annotated"))
            .collect()
    }

    /// A `shell.run` with this many bytes of arguments.
    fn submit_large(&mut self, rest: &str) -> Vec<String> {
        let (bytes, template) = rest.split_once(' ').unwrap();
        let arguments = vec![format!("\"{}\"", "x".repeat(100_000)); number(bytes) as usize / 100_000];
        let payload = format!(",\"payload\":{{\"argv\":[{}]}}}}", arguments.join(","));
        self.submit(&template.replacen('}', &payload, 1))
    }

    fn settle(&mut self, rest: &str) -> Vec<String> {
        let mut words = rest.splitn(3, ' ');
        let seq = self.seq(words.next().unwrap());
        let settled = match words.next().unwrap() {
            "succeeded" => SettledAs::Succeeded,
            "failed" => SettledAs::Failed,
            "stopped" => SettledAs::Stopped,
            "unconfirmed" => SettledAs::Unconfirmed,
            other => panic!("{}: no answer `{other}`", self.name),
        };
        let data = words.next().map(Json::from_canonical);
        let code = data
            .as_ref()
            .and_then(|data| data.to_value()["exitCode"].as_u64());
        let fault = (settled == SettledAs::Failed).then(|| {
            Fault::new(
                ErrorCode::CommandFailed,
                format!("exit code {}", code.unwrap_or(1)),
            )
        });
        let settlement = Settlement { settled, data, fault };
        self.input(Input::Outcome {
            seq,
            settlement: Box::new(settlement),
        })
    }

    fn output(&mut self, rest: &str) -> Vec<String> {
        let (id, data) = rest.split_once(' ').unwrap();
        self.input(Input::Output {
            seq: self.seq(id),
            stream: "stdout".into(),
            offset: 0,
            data: data.into(),
        })
    }

    /// Continues until nothing is left, and tells what it took.
    fn drain(&mut self) -> Vec<String> {
        let (mut records, mut most, mut finished) = (0, 0, Vec::new());
        while self.state.has_more() {
            let before = self.records.len();
            self.input(Input::Continue);
            assert!(self.records.len() > before, "{}: it does not go on", self.name);
            let (_, events) = self.records.last().unwrap();
            records += 1;
            most = most.max(events.len());
            finished.extend(events.iter().filter_map(|event| match event {
                Event::Finished(finished) => Some(finished.seq),
                _ => None,
            }));
        }
        let order = if finished.is_sorted() {
            "in order of acceptance"
        } else {
            "out of order"
        };
        let count = finished.len();
        vec![format!(
            "{records} records of at most {most} events; {count} finished {order}"
        )]
    }

    /// Decides one input, checks what is always to be checked, and prints record and reply.
    fn input(&mut self, input: Input) -> Vec<String> {
        let stamped = Stamped {
            at: self.at,
            elapsed: self.elapsed,
            input,
        };
        let compared = self.records.len() < COMPARED_RECORDS;
        let twice = compared.then(|| decide(&self.state, &stamped));
        let decision = advance(&mut self.state, &stamped);
        if let Some(twice) = twice {
            assert_eq!(twice, decision, "{}: deciding twice differs", self.name);
        }
        let events = decision.events;
        assert!(
            events.len() <= EVENTS_PER_RECORD_MAX,
            "{}: {} events",
            self.name,
            events.len()
        );
        let mut lines: Vec<String> = Vec::new();
        for event in events.iter().filter(|event| !show::is_routine(event)) {
            let margin = if lines.is_empty() {
                format!("{:>3} ", decision.head.idx)
            } else {
                "    ".into()
            };
            lines.push(margin + &show::event(&self.state, event));
        }
        self.note_versions(&events);
        if !events.is_empty() {
            apply_record(&mut self.shadow, decision.head, events.clone());
            self.records.push((decision.head, events));
        }
        if compared {
            assert_eq!(
                digest(&self.state),
                digest(&self.shadow),
                "{}: apply differs from decide",
                self.name
            );
        }
        lines.extend(decision.reply.map(|reply| show::reply(&self.state, &reply)));
        if lines.is_empty() {
            lines.push("(no record)".into());
        }
        lines
    }

    /// What the shell makes of the wall clock: its distance from history, and a word.
    fn sample(&mut self, rest: &str) -> Vec<String> {
        let (away, standing) = rest.split_once(' ').unwrap();
        self.input(Input::ClockSample {
            wall_ms: self.at.saturating_add_signed(away.parse().unwrap()),
            standing: serde_json::from_value(standing.into()).unwrap(),
        })
    }

    /// Ticks until nothing is due, and tells what it took.
    fn tick_all(&mut self) -> Vec<String> {
        let (mut records, mut most, mut fired) = (0, 0, Vec::new());
        loop {
            let before = self.records.len();
            self.input(Input::Tick);
            if self.records.len() == before {
                break;
            }
            let (_, events) = self.records.last().unwrap();
            records += 1;
            most = most.max(events.len());
            fired.extend(events.iter().filter_map(|event| match event {
                Event::TimerFired(fired) => Some((fired.due, fired.timer.clone())),
                _ => None,
            }));
        }
        let order = if fired.is_sorted() {
            "in order"
        } else {
            "out of order"
        };
        let count = fired.len();
        vec![format!(
            "{records} records of at most {most} events; {count} fired {order}"
        )]
    }

    fn ticks(&self) -> Vec<String> {
        let line = |row: &actum_model::timer::TickRow| {
            format!(
                "tick {} in record {}, run {}, {} fired",
                row.tick, row.idx, row.elapsed, row.fired
            )
        };
        let mut lines: Vec<String> = self.state.ticks().map(line).collect();
        lines.push(format!("next {}", self.state.next_tick()));
        lines
    }

    fn timers(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .state
            .timers()
            .map(|row| {
                let (fires, missed) = (row.fires, row.missed);
                format!(
                    "{}: {}, {fires} fired, {missed} missed",
                    row.timer,
                    show::due(row.due)
                )
            })
            .collect();
        if lines.is_empty() {
            lines.push("no timers".into());
        }
        lines
    }

    fn read(&self, found: Result<serde_json::Value, Fault>) -> String {
        found.map_or_else(|fault| show::fault(&fault), |value| value.to_string())
    }

    fn promises(&self, arguments: &str) -> String {
        let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
        let limit = arguments["limit"].as_u64().unwrap_or(100);
        let page = read::promises(&self.state, &Tenant::main(), &arguments, limit as usize);
        let ids = page["promises"].as_array().unwrap().iter();
        let ids: Vec<&str> = ids.map(|row| row["promiseId"].as_str().unwrap()).collect();
        format!("[{}], next {}", ids.join(", "), page["nextCursor"])
    }

    /// News of a session's process: `SESSION NAME started` or `SESSION NAME ended REASON`, the name being of the process.
    fn worker(&mut self, rest: &str) -> Vec<String> {
        let mut words = rest.splitn(4, ' ');
        let session = SessionId::parse(words.next().unwrap()).unwrap();
        let incarnation = Hash::of(words.next().unwrap().as_bytes());
        let change = match words.next().unwrap() {
            "started" => WorkerChange::Started {
                sandbox: Json::from_canonical("{\"level\":\"full\"}"),
            },
            _ => WorkerChange::Ended {
                reason: words.next().unwrap().to_owned(),
            },
        };
        let generation = self
            .state
            .session(&Tenant::main(), &session)
            .map_or(0, |row| row.generation);
        self.input(Input::Worker(Box::new(WorkerNews {
            tenant: Tenant::main(),
            session,
            generation,
            incarnation,
            change,
        })))
    }

    fn configure(&mut self, rest: &str) -> Vec<String> {
        let mut value = serde_json::to_value(&self.config).unwrap();
        for pair in rest.split(' ') {
            let (name, new) = pair.split_once('=').unwrap();
            value[name] = new.parse::<u64>().map_or_else(|_| new.into(), Into::into);
        }
        self.config = serde_json::from_value(value).unwrap();
        Vec::new()
    }

    /// The process is gone; the state comes back from the events alone.
    fn crash(&mut self) -> Vec<String> {
        let mut state = State::default();
        for (head, events) in &self.records {
            apply_record(&mut state, *head, events.clone());
        }
        assert_eq!(
            digest(&state),
            digest(&self.state),
            "{}: recovery differs",
            self.name
        );
        self.shadow = state.clone();
        self.state = state;
        Vec::new()
    }

    /// The state comes back from a snapshot of it.
    fn snapshot(&mut self) -> Vec<String> {
        let mut state = State::default();
        for piece in self.state.pieces() {
            apply_event(&mut state, piece);
        }
        assert_eq!(
            digest(&state),
            digest(&self.state),
            "{}: the snapshot differs",
            self.name
        );
        self.shadow = state.clone();
        self.state = state;
        Vec::new()
    }

    fn seq(&self, id: &str) -> u64 {
        let id = CommandId::parse_any(id).unwrap();
        let known = self.state.find(&Tenant::main(), &id);
        known
            .unwrap_or_else(|| panic!("{}: no command `{id}`", self.name))
            .seq()
    }

    fn show(&self, id: &str) -> String {
        let id = CommandId::parse_any(id).unwrap();
        show::known(self.state.find(&Tenant::main(), &id).as_ref())
    }

    fn why(&self, id: &str) -> Vec<String> {
        let id = CommandId::parse_any(id).unwrap();
        let why = read::why(&self.state, &Tenant::main(), &id).unwrap();
        let because = why["because"].as_array().unwrap();
        let because = because
            .iter()
            .map(|line| format!("    {}", line.as_str().unwrap()));
        std::iter::once(format!("{id}: {}", why["state"].as_str().unwrap()))
            .chain(because)
            .collect()
    }

    fn session(&self, id: &str) -> String {
        match self
            .state
            .session(&Tenant::main(), &SessionId::parse(id).unwrap())
        {
            None => format!("{id}: none"),
            Some(session) => {
                let keys: Vec<&str> = session.metadata.keys().map(|key| key.as_str()).collect();
                let (generation, version) = (session.generation, session.version);
                format!(
                    "{id}: generation {generation}, version {version}, [{}]",
                    keys.join(", ")
                )
            }
        }
    }

    fn lanes(&self) -> Vec<String> {
        let line = |(key, lane): (&actum_model::restore::LaneKey, &actum_kernel::state::LaneState)| {
            let queue: Vec<String> = lane
                .queue
                .iter()
                .map(|seq| show::name(&self.state, *seq))
                .collect();
            let (generation, last) = (lane.generation, lane.last_seq);
            format!(
                "{}: generation {generation}, last {last}, [{}]",
                key.lane,
                queue.join(", ")
            )
        };
        self.state.lanes.iter().map(line).collect()
    }

    /// Every view that can be read, its earlier versions, and its entries in the rewrite log.
    fn graph(&self) -> Vec<String> {
        let (graph, tenant) = (&self.state.graph, Tenant::main());
        let named = graph
            .sws
            .values()
            .map(|sws| (ViewName::Sws(sws.row.id), sws.row.state));
        let views = std::iter::once((ViewName::System, SwsState::Active)).chain(named);
        let line = |(name, state): (ViewName, SwsState)| {
            let entries: Vec<String> = graph
                .rewrites_of(&tenant, name, None)
                .unwrap()
                .map(|(at, row)| format!("{at}:{} {}", row.idx, row.kind.as_str()))
                .collect();
            let shown = match graph.current(&tenant, name) {
                Ok(version) => {
                    let counts = version.view.counts();
                    assert_eq!(version.view.digest(), version.digest);
                    format!(
                        "{} nodes {} edges {}",
                        version.snapshot(),
                        counts.nodes,
                        counts.edges
                    )
                }
                Err(_) => state.as_str().to_owned(),
            };
            format!("{name}: {shown}, [{}]", entries.join(", "))
        };
        views.map(line).collect()
    }

    fn note_versions(&mut self, events: &[Event]) {
        for event in events {
            let Event::Graph(event) = event else { continue };
            for name in [ViewName::System, ViewName::Sws(event.sws())] {
                let current = self.state.version(&Tenant::main(), name, None);
                self.versions
                    .extend(current.map(|version| (name, version.snapshot())).ok());
            }
        }
    }

    /// Every version there ever was: whether it can be read.
    fn snapshots(&self) -> Vec<String> {
        let line = |(name, snapshot): &(ViewName, SnapshotId)| {
            let read = self.state.version(&Tenant::main(), *name, Some(*snapshot));
            let told = read.map_or_else(
                |fault| fault.code.to_string(),
                |version| format!("nodes {}", version.view.counts().nodes),
            );
            format!("{name} {snapshot}: {told}")
        };
        self.versions.iter().map(line).collect()
    }

    /// The rewrite log as far as it is kept.
    fn rewrites(&self) -> Vec<String> {
        let rows = (0..self.state.graph.next_rewrite).filter_map(|idx| self.state.graph.rewrite(idx));
        rows.map(|row| {
            let of_system = row
                .system_idx
                .map_or(String::new(), |idx| format!(", {idx} of system"));
            format!(
                "{} {}, {} of sws:{}{of_system}",
                row.idx,
                row.kind.as_str(),
                row.sws_idx,
                row.sws
            )
        })
        .collect()
    }

    /// The entries of a view behind a place.
    fn after(&self, rest: &str) -> String {
        let (name, after) = rest.split_once(' ').unwrap();
        let tenant = Tenant::main();
        let entries = self
            .state
            .graph
            .rewrites_of(&tenant, name.parse().unwrap(), Some(number(after)));
        match entries {
            Ok(entries) => {
                let entries: Vec<String> = entries.map(|(at, row)| format!("{at}:{}", row.idx)).collect();
                format!("[{}]", entries.join(", "))
            }
            Err(fault) => show::fault(&fault),
        }
    }

    fn counts(&self) -> String {
        let (unfinished, outcomes) = (self.state.in_flight(), self.state.outcomes.len());
        let (keys, tombstones) = (self.state.keys_live(), self.state.tombstones());
        format!("{unfinished} unfinished, {outcomes} outcomes, {keys} keys, {tombstones} tombstones")
    }
}

fn digest(state: &State) -> Hash {
    state_digest(state).0
}

fn number(text: &str) -> u64 {
    text.replace('_', "").parse().unwrap()
}
