//! The story of the demo up to the kill, chapter by chapter. Each checks what it tells; `after` goes on.

use super::daemon::Daemon;
use super::tell::Tell;
use super::{Places, files, missed};
use crate::failure::{Failure, fault_of};
use crate::remote::Remote;
use crate::shape::{number, text};
use actum_client::{Client, Events, EventsQuery};
use actum_model::ErrorCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The command that must not happen twice.
pub(super) const POSTING: &str = "repair-08";
/// The one sent twice.
const REPEATED: &str = "repair-06";
/// Nothing in the demo takes longer.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Story<'a> {
    pub(super) places: &'a Places,
    pub(super) tell: Tell,
    actions: Vec<Value>,
    /// Outcomes that were acknowledged before the kill: they must be there after it.
    pub(super) acknowledged: Vec<(String, String)>,
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

    pub(super) fn action(&self, id: &str) -> Result<Value, Failure> {
        let found = self.actions.iter().find(|action| text(action, "id") == id);
        found
            .cloned()
            .ok_or_else(|| missed(format!("the example has no action `{id}`")))
    }

    pub(super) async fn start(&self) -> Result<(Daemon, Remote), Failure> {
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
}

/// Records in the journal.
async fn head(remote: &Remote) -> Result<u64, Failure> {
    let health = remote.read("server.health", json!({})).await?;
    number(&health, "head").ok_or_else(|| missed(format!("the daemon does not tell its head: {health}")))
}

/// The command, answered when it is accepted.
pub(super) fn detached(mut action: Value) -> Value {
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
