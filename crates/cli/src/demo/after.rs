//! The story of the demo after the kill: what is found, what is said about it, the end of the work, the proof.

use super::agent::Agent;
use super::daemon::Daemon;
use super::story::{CHARGE, Story};
use super::{LIMIT, missed, report};
use crate::commands::wait::until_over;
use crate::commands::{recovery, verify};
use crate::context::Context;
use crate::failure::Failure;
use crate::offline;
use crate::offline::walk::{Next, Plan, walk};
use crate::remote::Remote;
use crate::shape::{self, at, number, text};
use actum_engine::ReplayOutcome;
use serde_json::{Value, json};

impl Story<'_> {
    pub(super) async fn second_start(&mut self) -> Result<(Daemon, Remote), Failure> {
        self.tell.chapter("The daemon starts again on the same data")?;
        let (daemon, remote) = self.start().await?;
        let found = daemon.recovery();
        self.tell.pair("pid", daemon.pid())?;
        self.tell.pair("recovery", recovery::sentence(&found))?;
        let classes = at(&found, "/classes");
        let of = |class: &str| number(classes, class).unwrap_or(0);
        let interrupted = u64::from(self.caged);
        if (of("probe"), of("interrupted"), of("in_doubt")) != (1, interrupted, 0) {
            return Err(missed(format!(
                "one charge should be asked for and {interrupted} programs be interrupted: {found}"
            )));
        }
        for (id, outcome) in &self.acknowledged {
            let row = remote.read("command.get", json!({"id": id})).await?;
            if text(&row, "state") != outcome {
                return Err(missed(format!(
                    "`{id}` was acknowledged as {outcome} and is {} now",
                    text(&row, "state")
                )));
            }
        }
        let kept = self.acknowledged.len();
        let outcomes = shape::count(kept as u64, "outcome");
        self.tell.pair(
            "acknowledged",
            format_args!("{outcomes} before the kill, the same {kept} after it: 0 lost"),
        )?;
        Ok((daemon, remote))
    }

    /// What came of the two that nobody was told about, and what the agent hears when it asks again.
    pub(super) async fn ask(
        &mut self,
        agent: &mut Agent,
        watched: Option<&str>,
        remote: &Remote,
    ) -> Result<(), Failure> {
        self.tell
            .chapter("Nothing is guessed, and nothing is done twice")?;
        self.over(remote, &self.charged).await?;
        let charge = self.charge();
        let again = self
            .call(
                agent,
                CHARGE,
                "http_fetch",
                "the same charge, asked for again",
                charge,
            )
            .await?;
        if report::id(&again) != self.charged
            || !report::replayed(&again)
            || report::state(&again) != "succeeded"
        {
            return Err(missed(format!(
                "the charge should be known to have happened: {again}"
            )));
        }
        let because = self.why(remote, report::id(&again), "succeeded").await?;
        if !because.contains("its probe found") {
            return Err(missed(format!(
                "the probe should have found the charge: {because}"
            )));
        }
        self.tell
            .remark("The new daemon did not send the charge again. It asked the server, with the probe, and it was there.")?;
        self.one_charge()?;
        let Some(id) = watched else {
            return self
                .tell
                .remark("Left out: the program in the cage that the kill interrupts.");
        };
        let because = self.why(remote, id, "failed").await?;
        let row = remote.read("command.get", json!({"id": id})).await?;
        if text(at(&row, "/error"), "code") != "INTERRUPTED" {
            return Err(missed(format!(
                "the program should be interrupted: {because}: {row}"
            )));
        }
        self.tell
            .remark("A program in the cage touches nothing outside. It died with the daemon, so there is nothing to doubt: interrupted.")
    }

    /// Waits until a command has its outcome: a probe may still be under way.
    async fn over(&self, remote: &Remote, id: &str) -> Result<(), Failure> {
        let row = tokio::time::timeout(LIMIT, until_over(remote, id)).await;
        row.map_err(|_| missed(format!("`{id}` did not end")))??;
        Ok(())
    }

    /// Shows why a command stands where it stands; gives the reasons.
    async fn why(&self, remote: &Remote, id: &str, expected: &str) -> Result<String, Failure> {
        self.over(remote, id).await?;
        let why = remote.read("command.why", json!({"id": id})).await?;
        let state = text(&why, "state");
        let paint = self.tell.out().paint;
        self.tell
            .fact(format_args!("actum why {id}: {}", paint.state(state, state)))?;
        let because = at(&why, "/because").as_array().cloned().unwrap_or_default();
        let because: Vec<String> = because.iter().map(shape::plain).collect();
        for reason in &because {
            self.tell.fact(format_args!("  {reason}"))?;
        }
        if state != expected {
            return Err(missed(format!("`{id}` should have {expected}: {why}")));
        }
        Ok(because.join("; "))
    }

    /// Shows the log of the payments server, which must have one line.
    fn one_charge(&self) -> Result<(), Failure> {
        let log = self.payments.log()?;
        let [line] = log.as_slice() else {
            return Err(missed(format!(
                "charges.log has {} lines, expected one",
                log.len()
            )));
        };
        self.tell.pair("charges.log", line)?;
        self.tell.pair("", "1 charge, 0 duplicated")
    }

    pub(super) async fn go_on(&mut self, agent: &mut Agent) -> Result<(), Failure> {
        self.tell.chapter("The agent goes on")?;
        if self.caged {
            self.python_again(agent).await?;
        }
        let url = format!("http://{}/charges", self.payments.address());
        let what = format!("GET {url}");
        let look = self
            .call(agent, "look-2", "http_fetch", &what, json!({"url": url}))
            .await?;
        let body: Value = serde_json::from_str(text(at(&look, "/result"), "body")).unwrap_or_default();
        let charges = at(&body, "/charges").as_array().map_or(0, Vec::len);
        if charges != 1 || self.payments.log()?.len() != 1 {
            return Err(missed(format!("the server should tell of one charge: {look}")));
        }
        self.tell.pair("the customer", "paid once")
    }

    /// The names of the session went with the daemon: the agent is told so once, and goes on in a new process.
    async fn python_again(&mut self, agent: &mut Agent) -> Result<(), Failure> {
        let code = json!({"code": "invoice.total"});
        let lost = self
            .call(agent, "py-4", "code_run", "invoice.total", code)
            .await?;
        if report::code(&lost) != "SESSION_LOST" {
            return Err(missed(format!("the session should be told to be lost: {lost}")));
        }
        self.tell
            .remark("The names were in a process that died with the daemon. That is said once, and never passed over.")?;
        let code = json!({"code": "open('invoice.txt').read().strip()"});
        let read = self
            .call(agent, "py-5", "code_run", "open('invoice.txt').read()", code)
            .await?;
        let tests = json!({"argv": ["python3", "-B", "-m", "unittest"]});
        let tests = self
            .call(agent, "tests", "shell_run", "python3 -B -m unittest", tests)
            .await?;
        for report in [&read, &tests] {
            if report::state(report) != "succeeded" {
                return Err(missed(format!(
                    "a call after the restart should have succeeded: {report}"
                )));
            }
        }
        let said = text(at(&tests, "/result/stderr"), "text");
        let ran = said.lines().find_map(|line| line.strip_prefix("Ran "));
        let ran = ran
            .and_then(|line| line.split(" in ").next())
            .unwrap_or("nothing ran");
        self.tell.pair("the project", format_args!("{ran}: all pass"))
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
            "killed": 1, "inDoubt": 0, "probed": 1, "interrupted": u64::from(self.caged), "charges": 1,
            "lost": 0, "duplicated": 0, "sandbox": self.level,
        }))
    }
}
