//! One call of a tool, from its arguments to its result: submitting, waiting, telling progress, giving up.
//!
//! A command is sent again only under the same id, which the daemon never carries out twice.

use crate::arguments::{self, Ask};
use crate::identity;
use crate::leave::Leave;
use crate::limits::{ANSWER_MS_MAX, LEAVE_MS_MAX, UNHEARD_MS_MAX};
use crate::link::{Link, Live, Wire};
use crate::progress::Progress;
use crate::report::Report;
use crate::text::member;
use crate::tools::Row;
use actum_client::ClientError;
use actum_model::{ErrorCode, Fault};
use rmcp::model::JsonObject;
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// One call under way.
pub(crate) struct Call<'a> {
    pub(crate) link: &'a Link,
    pub(crate) leave: &'a Leave,
    pub(crate) request: &'a RequestContext<RoleServer>,
}

/// How the wait for an answer ended.
enum Ending {
    /// With the answer.
    Answered(Value),
    /// With the connection.
    Lost(ClientError),
    /// Without: it waited long enough, or what it waits for does not come by itself.
    Stands,
    /// Nobody wants the answer any more.
    Left,
}

/// When to stop waiting.
#[derive(Clone, Copy)]
struct Patience {
    until: Instant,
    /// A command that is not known to be accepted is waited for until then, so that a refusal is told.
    unheard_until: Instant,
    /// When a command that nothing was heard of is asked about.
    ask_at: Instant,
    accepted: bool,
}

impl Patience {
    fn new(wait_ms: u64, accepted: bool) -> Patience {
        let now = Instant::now();
        let until = now + Duration::from_millis(wait_ms);
        Patience {
            until,
            unheard_until: until.max(now + Duration::from_millis(ANSWER_MS_MAX)),
            ask_at: now + Duration::from_millis(UNHEARD_MS_MAX),
            accepted,
        }
    }

    fn end(&self) -> Instant {
        if self.accepted {
            self.until
        } else {
            self.unheard_until
        }
    }
}

impl Call<'_> {
    /// Carries the call out.
    pub(crate) async fn run(&self, row: &Row, arguments: JsonObject, wait_ms: u64) -> Report {
        let _under_way = self.leave.begin();
        let Some(contract) = row.contract() else {
            let message = format!("no contract of `{}`", row.kind);
            return Report::of_fault(&Fault::new(ErrorCode::Internal, message));
        };
        let ask = match arguments::read(row, contract, arguments, wait_ms) {
            Ok(ask) => ask,
            Err(fault) => return Report::of_fault(&fault),
        };
        match row.kind {
            "command.wait" => self.wait(ask).await,
            _ if row.is_command() => self.command(row, ask).await,
            kind => self.look(kind, ask).await,
        }
    }

    async fn wire(&self) -> Result<Arc<Wire>, Fault> {
        let client = self.request.client_info();
        let client = client.map(|client| format!("{} {}", client.name, client.version));
        self.link.wire(client.as_deref()).await
    }

    async fn command(&self, row: &Row, ask: Ask) -> Report {
        let id = match identity::command_id(self.link.run(), &self.request.id, &self.request.meta) {
            Ok(id) => id,
            Err(fault) => return Report::of_fault(&fault),
        };
        if row.kind == "code.run" {
            self.link.will_run_code();
        }
        let envelope = |id: &str| envelope(row.kind, id, self.link.session(), &ask);
        let mut report = self.carry_out(&envelope(&id), &id, ask.wait_ms).await;
        if report.failed_with(ErrorCode::SessionLost) {
            if let Err(fault) = self.start_anew(&id).await {
                return Report::of_fault(&fault);
            }
            if row.kind == "code.run" {
                report.advise(
                    "the names are gone, and the session was started anew: define what you need, then call again".to_owned(),
                );
            } else {
                // It does not count on the names that are gone.
                let again = format!("{id}.again");
                return self.carry_out(&envelope(&again), &again, ask.wait_ms).await;
            }
        }
        if report.failed_with(ErrorCode::IdentityConflict) {
            report.advise(format!(
                "another request had this id or idempotency key, and is command `{id}`: ask command_wait for it, or call under a new one"
            ));
        }
        report
    }

    /// Starts the session anew after its process was lost. Under an id out of the command's, so that it is done once.
    async fn start_anew(&self, id: &str) -> Result<(), Fault> {
        let reset = json!({"type": "session.reset", "id": format!("{id}.reset"), "sessionId": self.link.session(), "payload": {}});
        self.wire().await?.ask(reset).await.map(|_started| ())
    }

    /// Submits a command and follows it to its end, or as long as the call waits.
    async fn carry_out(&self, envelope: &Value, id: &str, wait_ms: u64) -> Report {
        let mut progress = Progress::new(self.request.meta.get_progress_token());
        let mut lost = None;
        for _attempt in 0..2 {
            let wire = match (self.wire().await, &lost) {
                (Ok(wire), _) => wire,
                (Err(fault), None) => return Report::of_fault(&fault),
                (Err(_), Some(error)) => return Report::lost(id, self.link.session(), error),
            };
            let live = wire.listen(id);
            let answer = wire.submit(envelope.clone());
            let patience = Patience::new(wait_ms, false);
            match self.follow(&wire, answer, live, &mut progress, patience).await {
                Ending::Answered(response) => return Report::of_response(response, self.link.session()),
                Ending::Stands => return stands(&wire, id).await,
                Ending::Left => return self.give_up(id).await,
                Ending::Lost(ClientError::Refused(refusal)) => {
                    return Report::of_fault(&ClientError::Refused(refusal).to_fault());
                }
                Ending::Lost(error) => lost = Some(error),
            }
        }
        match lost {
            Some(error) => Report::lost(id, self.link.session(), &error),
            None => Report::default(),
        }
    }

    /// Waits for an answer while live messages are told as progress.
    async fn follow(
        &self,
        wire: &Wire,
        answer: impl Future<Output = Result<Value, ClientError>>,
        mut live: Live,
        progress: &mut Progress,
        mut patience: Patience,
    ) -> Ending {
        let mut answer = std::pin::pin!(answer);
        let mut hearing = true;
        loop {
            let due = progress.due();
            tokio::select! {
                // The answer first: nothing is told behind it. What is loud comes last, so that it holds nothing up.
                biased;
                answer = &mut answer => return match answer {
                    Ok(response) => Ending::Answered(response),
                    Err(error) => Ending::Lost(error),
                },
                () = self.request.ct.cancelled() => return Ending::Left,
                () = self.leave.told() => return Ending::Left,
                () = sleep_until(patience.end()) => return Ending::Stands,
                () = sleep_until(patience.ask_at), if !patience.accepted => {
                    match wire.ask_about("command.get", live.id()).await {
                        Ok(row) if member(&row, "state") == "in_doubt" => return Ending::Stands,
                        Ok(_) => patience.accepted = true,
                        Err(_) => patience.ask_at = Instant::now() + Duration::from_millis(UNHEARD_MS_MAX),
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    progress.send(&self.request.peer).await;
                }
                message = live.next(), if hearing => match message {
                    None => hearing = false,
                    Some(message) if holds(&message) => return Ending::Stands,
                    Some(message) => {
                        patience.accepted = true;
                        progress.hear(&message);
                    }
                },
            }
        }
    }

    /// Cancels a command that nobody waits for any more.
    async fn give_up(&self, id: &str) -> Report {
        let cancel = async {
            let wire = self.wire().await?;
            wire.ask_about("command.cancel", id).await
        };
        let limit = Duration::from_millis(LEAVE_MS_MAX);
        match tokio::time::timeout(limit, cancel).await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => tracing::debug!(command = id, code = fault.code.as_str(), "not cancelled"),
            Err(_) => tracing::debug!(command = id, "the daemon did not say whether it was cancelled"),
        }
        let message = "the call was given up, and its command was told to stop";
        let mut report = Report::of_fault(&Fault::new(ErrorCode::Cancelled, message));
        report.state = "cancelled".to_owned();
        report.command.insert("id".into(), id.into());
        report
    }

    /// `command_wait`: the command's own result, once it has one.
    async fn wait(&self, ask: Ask) -> Report {
        let id = ask
            .payload
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let mut progress = Progress::new(self.request.meta.get_progress_token());
        let mut wait_ms = ask.wait_ms;
        let begun = Instant::now();
        for _attempt in 0..2 {
            let wire = match self.wire().await {
                Ok(wire) => wire,
                Err(fault) => return Report::of_fault(&fault),
            };
            // Listening first: what happens between the look and the wait is then seen.
            let live = wire.listen(&id);
            match wire.ask_about("command.get", &id).await {
                Ok(row) if row.get("success").is_some() || member(&row, "state") == "in_doubt" => {
                    return explained(&wire, row).await;
                }
                Ok(_) => {}
                Err(fault) if fault.code == ErrorCode::DaemonUnreachable => continue,
                Err(fault) => return Report::of_fault(&fault),
            }
            let question = json!({"type": "command.wait", "payload": {"id": id, "waitMs": wait_ms}});
            let patience = Patience::new(wait_ms.saturating_add(ANSWER_MS_MAX), true);
            match self
                .follow(&wire, wire.submit(question), live, &mut progress, patience)
                .await
            {
                Ending::Answered(mut response) => match response.get("error").map(crate::link::fault_of) {
                    None => {
                        return Report::of_row(response.get_mut("data").map(Value::take).unwrap_or_default());
                    }
                    Some(fault) if fault.code == ErrorCode::WaitTimeout => return stands(&wire, &id).await,
                    Some(fault) => return Report::of_fault(&fault),
                },
                Ending::Stands => return stands(&wire, &id).await,
                Ending::Left => {
                    let message = "the wait was given up; the command goes on";
                    return Report::of_fault(&Fault::new(ErrorCode::Cancelled, message));
                }
                Ending::Lost(_) => {
                    let waited = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    wait_ms = ask.wait_ms.saturating_sub(waited);
                }
            }
        }
        let message = "the connection to the daemon broke twice";
        Report::of_fault(&Fault::new(ErrorCode::DaemonUnreachable, message))
    }

    /// A question that is answered at once.
    async fn look(&self, kind: &str, mut ask: Ask) -> Report {
        if kind == "server.history" && !ask.all_sessions {
            let named = ["sessionId", "commandId", "correlationId"];
            if !named.iter().any(|name| ask.payload.contains_key(*name)) {
                ask.payload.insert("sessionId".into(), self.link.session().into());
            }
        }
        let question = json!({"type": kind, "payload": ask.payload});
        let mut failed = None;
        for _attempt in 0..2 {
            let answer = match self.wire().await {
                Ok(wire) => wire.ask(question.clone()).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(data) => return Report::of_read(json!({"data": data})),
                Err(fault) if fault.code == ErrorCode::DaemonUnreachable => failed = Some(fault),
                Err(fault) => return Report::of_fault(&fault),
            }
        }
        failed.map_or_else(Report::default, |fault| Report::of_fault(&fault))
    }
}

/// Whether the command will not go on by itself: it is in doubt, or one that is holds its lane.
fn holds(message: &Value) -> bool {
    match member(message, "event") {
        "command_in_doubt" => true,
        "command_accepted" => message.get("heldBy").is_some(),
        _ => false,
    }
}

fn envelope(kind: &str, id: &str, session: &str, ask: &Ask) -> Value {
    let mut members = Map::new();
    members.insert("type".into(), kind.into());
    members.insert("id".into(), id.into());
    members.insert("sessionId".into(), session.into());
    members.insert("payload".into(), ask.payload.clone().into());
    if let Some(ms) = ask.limit_ms {
        members.insert("timeoutMs".into(), ms.into());
    }
    Value::Object(members)
}

/// Where a command stands.
async fn stands(wire: &Wire, id: &str) -> Report {
    match wire.ask_about("command.get", id).await {
        Ok(row) => explained(wire, row).await,
        Err(fault) => {
            let mut report = Report::of_fault(&fault);
            report.state = "unknown".to_owned();
            report.command.insert("id".into(), id.into());
            report
        }
    }
}

/// A row, and why it stands so where it is not over.
async fn explained(wire: &Wire, row: Value) -> Report {
    let mut report = Report::of_row(row);
    if report.going() || report.in_doubt() {
        let id = report
            .command
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if let Ok(why) = wire.ask_about("command.why", &id).await {
            let because = why.get("because").and_then(Value::as_array);
            let texts = because.into_iter().flatten().filter_map(Value::as_str);
            report.because = texts.map(str::to_owned).collect();
        }
    }
    report
}
