//! The story of the demo up to the kill, chapter by chapter. Each checks what it tells; `after` goes on.

use super::agent::Agent;
use super::bounds::no_cage;
use super::daemon::Daemon;
use super::payments::Payments;
use super::tell::Tell;
use super::{LIMIT, Places, files, missed, report};
use crate::failure::Failure;
use crate::remote::Remote;
use crate::shape::{at, number, text};
use actum_client::{Client, Events, EventsQuery};
use serde_json::{Value, json};
use std::time::Instant;

/// The request that must not happen twice.
pub(super) const CHARGE: &str = "charge";
/// What runs in the cage when the daemon is killed.
pub(super) const WATCH: &str = "watch";
/// What the payments server is to know the charge by.
const INVOICE: &str = "INV-1007";
/// The first program the agent asks for.
const FIRST: &str = "repair-02";
/// The request sent twice.
const REPEATED: &str = "look-1";
/// What the invoice comes to in cents, where no cage can work it out.
const TOTAL: u64 = 34_800;
/// The invoice as the tests of the example have it.
const INVOICE_CODE: &str = "from tally.invoice import Invoice\n\
    invoice = Invoice('INV-1007', discount=1000)\n\
    for text in ('planning', 'building', 'testing'):\n    invoice.add(text, 1, 10_000)\n\
    invoice.net";
const NOTE_CODE: &str = "open('invoice.txt', 'w').write(f'{invoice.number} {invoice.total}\\n')";

/// An agent's connection.
pub(super) type Calls = Agent;

pub(super) struct Story<'a> {
    pub(super) places: &'a Places,
    pub(super) tell: Tell,
    pub(super) payments: Payments,
    /// Whether the host can build the cage.
    pub(super) caged: bool,
    /// The level of the cage, as the first program told it.
    pub(super) level: String,
    /// Commands that were acknowledged before the kill, with their outcomes: they must be there after it.
    pub(super) acknowledged: Vec<(String, String)>,
    /// The command that the charge became.
    pub(super) charged: String,
    /// What is to be charged, in cents.
    amount: u64,
}

impl<'a> Story<'a> {
    pub(super) fn new(places: &'a Places, tell: Tell) -> Result<Story<'a>, Failure> {
        Ok(Story {
            places,
            tell,
            payments: Payments::start(places)?,
            caged: true,
            level: "none".to_owned(),
            acknowledged: Vec::new(),
            charged: String::new(),
            amount: TOTAL,
        })
    }

    /// Plays it all and gives the proof.
    pub(super) async fn play(mut self) -> Result<Value, Failure> {
        self.tell.headline(
            "An agent repairs a bug and charges an invoice, and the daemon is killed in the middle of it",
            &format!(
                "Everything happens in {} and on this machine. No network, no keys.",
                self.places.root.display()
            ),
        )?;
        let (daemon, remote, mut agent) = self.first_start().await?;
        self.repair(&mut agent).await?;
        self.python(&mut agent).await?;
        self.try_to_get_out(&mut agent).await?;
        self.send_again(&mut agent, &remote).await?;
        let watcher = self.kill_in_the_middle(daemon, remote, &mut agent).await?;
        let (daemon, remote) = self.second_start().await?;
        self.ask(&mut agent, watcher.as_deref(), &remote).await?;
        self.go_on(&mut agent).await?;
        agent.leave().await?;
        drop(remote);
        self.prove(daemon)
    }

    pub(super) async fn start(&self) -> Result<(Daemon, Remote), Failure> {
        let daemon = Daemon::start(self.places, &self.payments.address())?;
        let remote = Remote {
            client: Client::connect(daemon.url(), None).await?,
        };
        Ok((daemon, remote))
    }

    /// A call of a tool, told in one line.
    pub(super) async fn call(
        &self,
        agent: &mut Agent,
        id: &str,
        tool: &str,
        what: &str,
        arguments: Value,
    ) -> Result<Value, Failure> {
        let begun = Instant::now();
        let report = agent.call(id, tool, &arguments).await?;
        self.tell.call(tool, what, &report, begun.elapsed())?;
        Ok(report)
    }

    /// Takes note of a call that has its outcome; it must be this one.
    pub(super) fn acknowledge(&mut self, report: &Value, expected: &str) -> Result<(), Failure> {
        if report::state(report) != expected {
            return Err(missed(format!("a call should have {expected}: {report}")));
        }
        let known = (report::id(report).to_owned(), expected.to_owned());
        self.acknowledged.push(known);
        Ok(())
    }

    async fn first_start(&mut self) -> Result<(Daemon, Remote, Agent), Failure> {
        self.tell.chapter(
            "A payments server, a daemon and an agent's front door start, each a process of its own",
        )?;
        let address = self.payments.address();
        let pid = self.payments.pid();
        self.tell.pair(
            "payments",
            format_args!("pid {pid}, http://{address}; its own log has no charge"),
        )?;
        let (daemon, remote) = self.start().await?;
        let (pid, url) = (daemon.pid(), daemon.url());
        self.tell
            .pair("daemon", format_args!("pid {pid}, {url}; a new history"))?;
        self.tell
            .pair("granted", "the folder of the project, and that one address")?;
        let mut agent = Agent::start(self.places, "repair", Some(&self.places.project))?;
        let tools = agent.tools().await?;
        self.tell.pair(
            "actum mcp",
            format_args!("{} tools: {}", tools.len(), tools.join(", ")),
        )?;
        if !self.payments.log()?.is_empty() {
            return Err(missed("the log of the payments server should be empty"));
        }
        Ok((daemon, remote, agent))
    }

    async fn repair(&mut self, agent: &mut Agent) -> Result<(), Failure> {
        self.tell
            .chapter("The agent finds the bug and repairs it, in a cage")?;
        for action in files::actions() {
            if text(&action, "type") != "shell.run" {
                continue;
            }
            let (id, mut arguments) = (text(&action, "id"), at(&action, "/payload").clone());
            // The agent's session works in the project already.
            arguments.as_object_mut().map(|members| members.remove("cwd"));
            let what = words(&arguments);
            let report = self.call(agent, id, "shell_run", &what, arguments).await?;
            if id == FIRST && no_cage(&report) {
                return self.without_cage(&report);
            }
            // The project's tests fail on purpose: that is the bug.
            let expected = if id == "repair-03" { "failed" } else { "succeeded" };
            self.acknowledge(&report, expected)?;
            report::level(&report).clone_into(&mut self.level);
        }
        self.tell.remark("Each call is a command, in order: in the journal before it happened, its outcome there before it was shown.")?;
        self.tell
            .remark("The first run of the tests failed because of the bug: a discount loses a cent. The second passed.")
    }

    /// Says what is left out, and goes on without it.
    fn without_cage(&mut self, report: &Value) -> Result<(), Failure> {
        self.caged = false;
        let message = text(at(report, "/error"), "message");
        self.tell
            .fact(format_args!("This host cannot build the cage: {message}."))?;
        self.tell
            .fact("A program is not started with less than the operator asked for, so none was.")?;
        self.tell
            .fact("Left out: the repair, the Python session, and the program that the kill interrupts.")
    }

    async fn python(&mut self, agent: &mut Agent) -> Result<(), Failure> {
        if !self.caged {
            return Ok(());
        }
        self.tell
            .chapter("It works out the invoice in Python, in a session that keeps its names")?;
        let begin = json!({"code": format!("import sys; sys.path.insert(0, '.')\n{INVOICE_CODE}")});
        let first = self
            .call(
                agent,
                "py-1",
                "code_run",
                "invoice = Invoice(…); invoice.net",
                begin,
            )
            .await?;
        self.acknowledge(&first, "succeeded")?;
        let total = json!({"code": "invoice.total"});
        let second = self
            .call(agent, "py-2", "code_run", "invoice.total", total)
            .await?;
        self.acknowledge(&second, "succeeded")?;
        let wrote = self
            .call(agent, "py-3", "code_run", NOTE_CODE, json!({"code": NOTE_CODE}))
            .await?;
        self.acknowledge(&wrote, "succeeded")?;
        self.tell.pair("the cage", report::cage(&first))?;
        let net = number(at(&first, "/result"), "value");
        self.amount = number(at(&second, "/result"), "value").unwrap_or(0);
        if net != Some(29_000) || self.amount == 0 {
            return Err(missed(format!("the invoice comes to something else: {second}")));
        }
        let path = self.places.project.join("invoice.txt");
        let note = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        if note != format!("{INVOICE} {}\n", self.amount) {
            return Err(missed(format!("invoice.txt says something else: {note:?}")));
        }
        self.tell.pair(
            "invoice.txt",
            format_args!("{} (in the project, as granted)", note.trim()),
        )?;
        self.tell
            .remark("The second call knew the `invoice` of the first.")
    }

    async fn send_again(&mut self, agent: &mut Agent, remote: &Remote) -> Result<(), Failure> {
        self.tell
            .chapter("The agent's connection stutters: the same request comes again")?;
        let url = format!("http://{}/charges", self.payments.address());
        let what = format!("GET {url}");
        let ask = json!({"url": url});
        let first = self
            .call(agent, REPEATED, "http_fetch", &what, ask.clone())
            .await?;
        self.acknowledge(&first, "succeeded")?;
        let before = head(remote).await?;
        let again = self.call(agent, REPEATED, "http_fetch", &what, ask).await?;
        let after = head(remote).await?;
        if !report::replayed(&again) || before != after {
            return Err(missed(format!(
                "the repetition was not answered from the record: {again}"
            )));
        }
        self.tell.remark(&format!("Answered from the record, not done again: the journal had {before} records before and has {after} after."))?;
        let other = json!({"url": format!("http://{}/other", self.payments.address())});
        let report = agent.call(REPEATED, "http_fetch", &other).await?;
        if report::code(&report) != "IDENTITY_CONFLICT" || head(remote).await? != after {
            return Err(missed(format!(
                "the same id with other content was not refused: {report}"
            )));
        }
        self.tell.fact(format_args!(
            "the same id with other content: {}",
            self.tell.out().paint.yellow(report::code(&report))
        ))?;
        self.tell.remark("Refused, and the stored outcome stands.")
    }

    /// The arguments of the charge: the request, and how to look whether it happened.
    pub(super) fn charge(&self) -> Value {
        let url = format!("http://{}/charges", self.payments.address());
        json!({
            "url": url, "method": "POST", "headers": {"idempotency-key": INVOICE},
            "body": json!({"amount": self.amount, "currency": "EUR"}).to_string(),
            "probe": {"url": format!("{url}/{INVOICE}")},
        })
    }

    /// Gives the id of the command that ran in the cage, if one did.
    async fn kill_in_the_middle(
        &mut self,
        daemon: Daemon,
        remote: Remote,
        agent: &mut Agent,
    ) -> Result<Option<String>, Failure> {
        self.tell.chapter("kill -9 between a charge and its record")?;
        let watcher = if self.caged {
            Some(self.watch(&remote).await?)
        } else {
            None
        };
        self.payments.hold()?;
        let paint = self.tell.out().paint;
        self.tell.fact(format_args!(
            "http_fetch POST /charges: {} for {INVOICE}, with a probe: GET /charges/{INVOICE}",
            paint.cyan(euros(self.amount))
        ))?;
        agent.begin(CHARGE, "http_fetch", &self.charge())?;
        self.payments.held().await?;
        self.tell
            .remark("The server made the charge and wrote it to its log. Its answer is held back.")?;
        let pid = daemon.pid();
        let status = daemon.kill()?;
        self.tell
            .fact(format_args!("{} to pid {pid}: {status}", paint.red("SIGKILL")))?;
        let report = agent.end(CHARGE).await?;
        if report::state(&report) != "unknown" {
            return Err(missed(format!(
                "the charge was answered for before the kill: {report}"
            )));
        }
        report::id(&report).clone_into(&mut self.charged);
        self.tell.pair(
            "the agent hears",
            format_args!(
                "{}: {}",
                paint.yellow("unknown"),
                text(at(&report, "/error"), "message")
            ),
        )?;
        self.payments.release()?;
        let Some((id, mut second)) = watcher else {
            return Ok(None);
        };
        let report = second.end(WATCH).await?;
        if report::state(&report) != "unknown" {
            return Err(missed(format!(
                "the program was answered for before the kill: {report}"
            )));
        }
        second.leave().await?;
        Ok(Some(id))
    }

    /// A second agent starts a program that does not end by itself; gives its command and the connection.
    async fn watch(&self, remote: &Remote) -> Result<(String, Agent), Failure> {
        let query = EventsQuery {
            session_id: Some(WATCH.into()),
            ..EventsQuery::default()
        };
        let mut events = remote.client.events(&query).await?;
        let mut second = Agent::start(self.places, WATCH, None)?;
        let script = "echo watching; exec sleep 600";
        second.begin(WATCH, "shell_run", &json!({"argv": ["sh", "-c", script]}))?;
        let said = tokio::time::timeout(LIMIT, watching(&mut events)).await;
        let id = said.map_err(|_| missed("the program in the cage did not begin"))??;
        self.tell.fact(format_args!(
            "a second agent runs a program in the cage, which says: {}",
            self.tell.out().paint.cyan("watching")
        ))?;
        Ok((id, second))
    }
}

/// Records in the journal.
async fn head(remote: &Remote) -> Result<u64, Failure> {
    let health = remote.read("server.health", json!({})).await?;
    number(&health, "head").ok_or_else(|| missed(format!("the daemon does not tell its head: {health}")))
}

/// A program with its arguments, as one would type it.
fn words(arguments: &Value) -> String {
    let argv = at(arguments, "/argv").as_array().into_iter().flatten();
    argv.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn euros(cents: u64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

/// Waits until a program has said that it watches; gives its command.
async fn watching(events: &mut Events) -> Result<String, Failure> {
    while let Some(event) = events.next().await? {
        if event.name == "output" && text(&event.data, "data").contains("watching") {
            return Ok(text(&event.data, "id").to_owned());
        }
    }
    Err(missed("the daemon ended before the program began"))
}
