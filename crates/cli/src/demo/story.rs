//! The story of the demo, chapter by chapter. Each checks what it tells.

use super::daemon::Daemon;
use super::tell::Tell;
use super::{Places, files, missed};
use crate::commands::wait::until_over;
use crate::commands::{recovery, verify};
use crate::context::Context;
use crate::failure::{Failure, fault_of};
use crate::offline::walk::{Next, Plan, walk};
use crate::offline::{self};
use crate::remote::Remote;
use crate::shape::{self, number, text};
use actum_client::{Client, Events, EventsQuery};
use actum_engine::ReplayOutcome;
use actum_model::ErrorCode;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The command that must not happen twice.
const POSTING: &str = "repair-08";
/// The one sent twice.
const REPEATED: &str = "repair-06";
/// Nothing in the demo takes longer.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Story<'a> {
    places: &'a Places,
    tell: Tell,
    actions: Vec<Value>,
    /// Outcomes that were acknowledged before the kill: they must be there after it.
    acknowledged: Vec<(String, String)>,
}

impl<'a> Story<'a> {
    pub(super) fn new(places: &'a Places, tell: Tell) -> Story<'a> {
        Story {
            places,
            tell,
            actions: files::actions(),
            acknowledged: Vec::new(),
        }
    }

    /// Plays it all and gives the proof.
    pub(super) async fn play(mut self) -> Result<Value, Failure> {
        self.tell.headline(
            "An agent repairs a bug, and the daemon is killed in the middle of it",
            &format!(
                "Everything happens in {}. No network, no keys.",
                self.places.root.display()
            ),
        )?;
        let (daemon, remote) = self.first_start().await?;
        self.look_around(&remote).await?;
        self.send_again(&remote).await?;
        self.kill_in_the_middle(daemon, remote).await?;
        let (daemon, remote) = self.second_start().await?;
        self.ask(&remote).await?;
        self.resolve(&remote).await?;
        self.finish(&remote).await?;
        drop(remote);
        self.prove(daemon)
    }

    fn action(&self, id: &str) -> Result<Value, Failure> {
        let found = self.actions.iter().find(|action| text(action, "id") == id);
        found
            .cloned()
            .ok_or_else(|| missed(format!("the example has no action `{id}`")))
    }

    async fn start(&self) -> Result<(Daemon, Remote), Failure> {
        let daemon = Daemon::start(&self.places.project, &self.places.data, &self.places.log)?;
        let remote = Remote {
            client: Client::connect(daemon.url(), None).await?,
        };
        Ok((daemon, remote))
    }

    async fn first_start(&mut self) -> Result<(Daemon, Remote), Failure> {
        self.tell.chapter("A daemon starts, as a process of its own")?;
        let (daemon, remote) = self.start().await?;
        self.tell.pair("pid", daemon.pid())?;
        self.tell.pair("api", daemon.url())?;
        self.tell.pair("journal", "empty: a new history")?;
        Ok((daemon, remote))
    }

    async fn look_around(&mut self, remote: &Remote) -> Result<(), Failure> {
        self.tell.chapter("The agent looks for the bug")?;
        for action in self.actions.clone() {
            let id = text(&action, "id").to_owned();
            if id == POSTING {
                break;
            }
            let begun = Instant::now();
            let answer = remote.submit(&action).await?;
            self.tell.answer(&answer, begun.elapsed())?;
            let outcome = text(&answer, "outcome").to_owned();
            // The project's tests fail on purpose: that is the bug.
            let expected = if id == "repair-03" { "failed" } else { "succeeded" };
            if outcome != expected {
                return Err(missed(format!(
                    "`{id}` should have {expected}, and it {outcome}: {answer}"
                )));
            }
            self.acknowledged.push((id, outcome));
        }
        self.tell.remark("One lane, in order. Each was in the journal before it happened, and its outcome before it was shown.")?;
        self.tell
            .remark("repair-03 failed because the project's test does: a discount loses a cent.")
    }

    async fn send_again(&mut self, remote: &Remote) -> Result<(), Failure> {
        self.tell
            .chapter("The agent's network stutters: the same command comes again")?;
        let before = head(remote).await?;
        let action = self.action(REPEATED)?;
        let begun = Instant::now();
        let answer = remote.submit(&action).await?;
        self.tell.answer(&answer, begun.elapsed())?;
        let after = head(remote).await?;
        if answer.get("replayed") != Some(&Value::Bool(true)) || before != after {
            return Err(missed(format!(
                "the repetition was not answered from the record: {answer}"
            )));
        }
        self.tell.remark(&format!("Answered from the record, not run again: the journal had {before} records before and has {after} after."))?;
        let mut other = action;
        if let Some(argv) = other.pointer_mut("/payload/argv") {
            *argv = json!(["python3", "-c", "print('something else')"]);
        }
        let answer = remote.submit(&other).await?;
        let fault = fault_of(&answer).filter(|fault| fault.code == ErrorCode::IdentityConflict);
        let fault = fault.ok_or_else(|| {
            missed(format!(
                "the same id with other content was not refused: {answer}"
            ))
        })?;
        self.tell.fact(format_args!(
            "the same id with other content: {}",
            self.tell.out().paint.yellow(fault.code)
        ))?;
        let row = remote.read("command.get", json!({"id": REPEATED})).await?;
        if text(&row, "state") != "succeeded" || head(remote).await? != after {
            return Err(missed("the conflict changed what was stored"));
        }
        self.tell.remark("Refused, and the stored outcome stands.")
    }

    async fn kill_in_the_middle(&mut self, daemon: Daemon, remote: Remote) -> Result<(), Failure> {
        self.tell
            .chapter("kill -9 in the middle of a payment that must not happen twice")?;
        let query = EventsQuery {
            session_id: Some("repair".into()),
            ..EventsQuery::default()
        };
        let mut events = remote.client.events(&query).await?;
        let action = self.action(POSTING)?;
        let asking = {
            let remote = remote.clone();
            tokio::spawn(async move { remote.submit(&action).await })
        };
        let said = tokio::time::timeout(LIMIT, acting(&mut events)).await;
        let said = said.map_err(|_| missed(format!("`{POSTING}` did not begin to act")))??;
        self.tell.fact(format_args!(
            "{POSTING} runs and says: {}",
            self.tell.out().paint.cyan(said)
        ))?;
        let pid = daemon.pid();
        let status = daemon.kill()?;
        self.tell.fact(format_args!(
            "{} to pid {pid}: {status}",
            self.tell.out().paint.red("SIGKILL")
        ))?;
        match asking.await {
            Ok(Err(_)) => self
                .tell
                .remark("The agent's connection broke. It does not know whether the payment went out."),
            Ok(Ok(answer)) => Err(missed(format!(
                "`{POSTING}` was answered before the kill: {answer}"
            ))),
            Err(error) => Err(missed(error.to_string())),
        }
    }

    async fn second_start(&mut self) -> Result<(Daemon, Remote), Failure> {
        self.tell.chapter("The daemon starts again on the same data")?;
        let (daemon, remote) = self.start().await?;
        let found = daemon.recovery();
        self.tell.pair("pid", daemon.pid())?;
        self.tell.pair("recovery", recovery::sentence(&found))?;
        let in_doubt = found.pointer("/classes/in_doubt").and_then(Value::as_u64);
        if in_doubt != Some(1) || found.get("cleanShutdown") == Some(&Value::Bool(true)) {
            return Err(missed(format!("one command should be in doubt: {found}")));
        }
        let mut kept = 0;
        for (id, outcome) in &self.acknowledged {
            let row = remote.read("command.get", json!({"id": id})).await?;
            if text(&row, "state") != outcome {
                return Err(missed(format!(
                    "`{id}` was acknowledged as {outcome} and is {} now",
                    text(&row, "state")
                )));
            }
            kept += 1;
        }
        self.tell.pair(
            "acknowledged",
            format_args!("{kept} outcomes before the kill, the same {kept} after it: 0 lost"),
        )?;
        let postings = self.postings()?;
        self.tell.pair(
            "postings.log",
            format_args!("{postings} posting: {} duplicated", postings.saturating_sub(1)),
        )?;
        if postings != 1 {
            return Err(missed(format!(
                "postings.log has {postings} postings, expected one"
            )));
        }
        Ok((daemon, remote))
    }

    async fn ask(&mut self, remote: &Remote) -> Result<(), Failure> {
        self.tell.chapter("Nothing is guessed")?;
        let answer = remote.submit(&detached(self.action(POSTING)?)).await?;
        if answer.get("replayed") != Some(&Value::Bool(true)) {
            return Err(missed(format!(
                "the repetition was taken for a new command: {answer}"
            )));
        }
        self.tell.remark("The agent asks again under the same id. It is told that the command is known; it is not run again.")?;
        let next = self.action("repair-09")?;
        remote.submit(&detached(next)).await?;
        for id in [POSTING, "repair-09"] {
            let why = remote.read("command.why", json!({"id": id})).await?;
            let state = text(&why, "state");
            let paint = self.tell.out().paint;
            self.tell.fact(format_args!(
                "actum why {id}: {}",
                paint.state(&state.replace('_', " "), state)
            ))?;
            for reason in why.get("because").and_then(Value::as_array).into_iter().flatten() {
                self.tell.remark(&format!("  {}", shape::plain(reason)))?;
            }
            let expected = if id == POSTING { "in_doubt" } else { "queued" };
            if state != expected {
                return Err(missed(format!("`{id}` should be {expected}: {why}")));
            }
        }
        Ok(())
    }

    async fn resolve(&mut self, remote: &Remote) -> Result<(), Failure> {
        self.tell
            .chapter("A person looks, and says what happened, on the record")?;
        let note = "postings.log has the line";
        self.tell.fact(format_args!(
            "actum resolve {POSTING} --as landed --note \"{note}\""
        ))?;
        let payload = json!({"id": POSTING, "as": "landed", "note": note});
        let answer = remote
            .submit(&json!({"type": "command.resolve", "id": "demo-resolve", "payload": payload}))
            .await?;
        if let Some(fault) = fault_of(&answer) {
            return Err(missed(format!("the resolution was refused: {fault}")));
        }
        let row = remote.read("command.get", json!({"id": POSTING})).await?;
        self.tell.row(&row)?;
        if text(&row, "state") != "succeeded" {
            return Err(missed(format!("`{POSTING}` should have succeeded: {row}")));
        }
        self.tell.remark("Its lane goes on.")
    }

    async fn finish(&mut self, remote: &Remote) -> Result<(), Failure> {
        self.tell.chapter("The agent finishes the repair")?;
        for id in ["repair-09", "repair-10", "repair-11", "repair-12"] {
            if id != "repair-09" {
                remote.submit(&detached(self.action(id)?)).await?;
            }
            let row = tokio::time::timeout(LIMIT, until_over(remote, id)).await;
            let row = row.map_err(|_| missed(format!("`{id}` did not end")))??;
            self.tell.row(&row)?;
            if text(&row, "state") != "succeeded" {
                return Err(missed(format!("`{id}` should have succeeded: {row}")));
            }
        }
        let tests = Command::new("python3")
            .args(["-B", "-m", "unittest"])
            .current_dir(&self.places.project)
            .stdin(Stdio::null())
            .output();
        let tests =
            tests.map_err(|error| missed(format!("the project's tests could not be run: {error}")))?;
        let said = String::from_utf8_lossy(&tests.stderr).into_owned();
        let ran = said
            .lines()
            .find(|line| line.starts_with("Ran "))
            .unwrap_or("Ran nothing");
        if !tests.status.success() {
            return Err(missed(format!("the project's tests still fail: {said}")));
        }
        let ran = ran.split(" in ").next().unwrap_or(ran).replacen("Ran", "", 1);
        self.tell
            .pair("the project", format_args!("{}: all pass", ran.trim()))?;
        match self.postings()? {
            1 => self.tell.pair("the customer", "paid once"),
            n => Err(missed(format!("postings.log has {n} postings, expected one"))),
        }
    }

    fn prove(&mut self, daemon: Daemon) -> Result<Value, Failure> {
        self.tell.chapter("The proof")?;
        let status = daemon.end()?;
        if !status.success() {
            return Err(missed(format!("the daemon did not end in order: {status}")));
        }
        self.tell.pair("SIGTERM", "the daemon ended in order")?;
        let paint = self.tell.out().paint;
        let context = Context {
            data: self.places.data.clone(),
            url: None,
            token: None,
            out: *self.tell.out(),
        };
        let reading = offline::reading(&context)?;
        let whole = verify::verified(&reading)?;
        if !whole.whole {
            return Err(missed(format!(
                "the history is not whole: {}",
                whole.findings.join("; ")
            )));
        }
        let records = shape::count(whole.records, "record");
        self.tell.pair(
            "verify",
            format_args!("{}: {records}, every hash, every place", paint.green("whole")),
        )?;
        let plan = Plan {
            from_snapshot: false,
            verify: true,
        };
        let walked = walk(&reading, plan, &mut |passing| match &passing.outcome {
            ReplayOutcome::Same => Ok(Next::Go),
            other => Err(missed(format!(
                "record {} replays otherwise: {other:?}",
                passing.head.idx
            ))),
        })?;
        let same = paint.green("no difference");
        self.tell.pair(
            "replay --verify",
            format_args!("every record decided again: {same}"),
        )?;
        self.tell.pair("tree root", whole.root)?;
        self.tell.pair("state digest", walked.digest)?;
        if walked.records != whole.records || walked.state.in_flight() > 0 {
            return Err(missed("the replay did not come to the same end"));
        }
        Ok(json!({
            "ok": true, "records": whole.records, "root": whole.root.to_string(), "digest": walked.digest.to_string(),
            "killed": 1, "inDoubt": 1, "lost": 0, "duplicated": 0,
        }))
    }

    /// Postings in the log the example writes: what the outside world saw.
    fn postings(&self) -> Result<u64, Failure> {
        let path = self.places.project.join("postings.log");
        let log = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        Ok(log
            .lines()
            .filter(|line| line.starts_with("posted INV-1007 "))
            .count() as u64)
    }
}

/// Records in the journal.
async fn head(remote: &Remote) -> Result<u64, Failure> {
    let health = remote.read("server.health", json!({})).await?;
    number(&health, "head").ok_or_else(|| missed(format!("the daemon does not tell its head: {health}")))
}

/// The command, answered when it is accepted.
fn detached(mut action: Value) -> Value {
    if let Value::Object(members) = &mut action {
        members.insert("detach".into(), true.into());
    }
    action
}

/// Waits until the posting has started and said that it acted; gives what it said.
async fn acting(events: &mut Events) -> Result<String, Failure> {
    let mut started = false;
    while let Some(event) = events.next().await? {
        if text(&event.data, "id") != POSTING {
            continue;
        }
        started |= event.name == "command_started";
        let said = text(&event.data, "data");
        if started && event.name == "output" && said.contains("posted") {
            return Ok(said.lines().next().unwrap_or_default().to_owned());
        }
    }
    Err(missed("the daemon ended before the command acted"))
}
