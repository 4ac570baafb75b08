//! The story of the demo after the kill: what is found, what is said about it, the end of the work, the proof.

use super::daemon::Daemon;
use super::missed;
use super::story::{LIMIT, POSTING, Story, detached};
use crate::commands::wait::until_over;
use crate::commands::{recovery, verify};
use crate::context::Context;
use crate::failure::{Failure, fault_of};
use crate::offline;
use crate::offline::walk::{Next, Plan, walk};
use crate::remote::Remote;
use crate::shape::{self, text};
use actum_engine::ReplayOutcome;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

impl Story<'_> {
    pub(super) async fn second_start(&mut self) -> Result<(Daemon, Remote), Failure> {
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

    pub(super) async fn ask(&mut self, remote: &Remote) -> Result<(), Failure> {
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

    pub(super) async fn resolve(&mut self, remote: &Remote) -> Result<(), Failure> {
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

    pub(super) async fn finish(&mut self, remote: &Remote) -> Result<(), Failure> {
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

    pub(super) fn prove(&mut self, daemon: Daemon) -> Result<Value, Failure> {
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
