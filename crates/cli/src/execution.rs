//! Carrying one command out before somebody's eyes: its output as it comes, its questions answered from the keyboard,
//! Ctrl-C stopping the command and not the daemon.

use crate::failure::{Failure, fault_of};
use crate::keyboard::{Key, Keyboard};
use crate::live::{Live, OutputReader, Stops, answers};
use crate::mint;
use crate::print::Out;
use crate::remote::Remote;
use crate::shape::text;
use crate::shown::Shown;
use crate::watch::{PATIENCE, Watch};
use serde_json::{Value, json};
use std::time::Duration;

/// The longest time between two questions why a command is not over.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// What one Ctrl-C asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The code is interrupted, as by Ctrl-C at its own terminal; it may catch that.
    Interrupt,
    /// The command is cancelled with its whole process tree.
    Cancel,
}

/// How it came to an end for whoever watches.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The command has its answer.
    Answered(Box<Value>),
    /// Nobody knows what came of it.
    InDoubt,
    /// Whoever watched went away; the command goes on or is being stopped.
    Left,
}

/// Who watches, and over what.
pub(crate) struct Watcher<'a> {
    pub(crate) live: Live,
    pub(crate) remote: &'a Remote,
    pub(crate) out: &'a Out,
    pub(crate) stops: Stops,
    pub(crate) reader: OutputReader,
    pub(crate) keyboard: Keyboard,
}

impl<'a> Watcher<'a> {
    pub(crate) async fn new(remote: &'a Remote, out: &'a Out) -> Result<Watcher<'a>, Failure> {
        Ok(Watcher {
            live: Live::open(remote).await?,
            remote,
            out,
            stops: Stops::new()?,
            reader: OutputReader::new(),
            keyboard: Keyboard::default(),
        })
    }

    /// Submits a command and stays with it. Each Ctrl-C asks for the next stage; one more and it leaves.
    pub(crate) async fn carry(&mut self, envelope: &Value, stages: &[Stage]) -> Result<Ended, Failure> {
        let id = text(envelope, "id").to_owned();
        let done = self.carry_out(envelope, &id, stages).await;
        if matches!(done, Err(Failure::ReaderGone)) {
            // Who ran it with its output going somewhere wanted it to end with that.
            let asked = self.stop(Stage::Cancel, envelope).await?;
            // A connection that is closed over unread output can take what was sent on it along.
            let _late = tokio::time::timeout(PATIENCE_MAX, self.answered(&asked)).await;
        }
        done
    }

    /// Reads on until this command has its answer.
    async fn answered(&mut self, id: &str) -> Result<(), Failure> {
        while !answers(&self.live.next().await?, id) {}
        Ok(())
    }

    async fn carry_out(&mut self, envelope: &Value, id: &str, stages: &[Stage]) -> Result<Ended, Failure> {
        self.live.send(envelope).await?;
        let mut shown = Shown::new(self.out, id);
        let mut watch = Watch::default();
        let mut patience = PATIENCE;
        let mut stages = stages.iter();
        loop {
            let mut stop = false;
            tokio::select! {
                biased;
                () = self.stops.next() => stop = true,
                () = self.reader.gone() => return Err(Failure::ReaderGone),
                message = self.live.next() => {
                    let message = message.map_err(|lost| lost.hint(format!("ask for it with `actum wait {id}`")))?;
                    if answers(&message, id) {
                        let data = message.get("data").unwrap_or(&Value::Null);
                        shown.finish(data, self.remote).await?;
                        return Ok(Ended::Answered(Box::new(message)));
                    }
                    shown.take(&message)?;
                    if let Some(prompt) = asked(&message, id) {
                        self.keyboard.ask(prompt, false);
                    }
                }
                key = self.keyboard.key(), if self.keyboard.is_asked() => match key {
                    Key::Interrupted => stop = true,
                    key => self.answer(key, envelope).await?,
                },
                () = tokio::time::sleep(patience) => {
                    if watch.in_doubt(self.remote, id, self.out).await {
                        return Ok(Ended::InDoubt);
                    }
                    patience = patience.saturating_mul(2).min(PATIENCE_MAX);
                }
            }
            if stop {
                let Some(stage) = stages.next() else {
                    return Ok(Ended::Left);
                };
                let _own = self.stop(*stage, envelope).await?;
            }
        }
    }

    /// Asks the daemon to stop or interrupt it, with a command whose id it gives. Its end comes as its answer.
    async fn stop(&mut self, stage: Stage, envelope: &Value) -> Result<String, Failure> {
        let (own, id) = (mint::fresh("stop")?, text(envelope, "id"));
        let asks = match stage {
            Stage::Cancel => {
                self.out.say(format_args!("cancelling {id} …"));
                json!({"type": "command.cancel", "id": own, "payload": {"id": id}})
            }
            Stage::Interrupt => {
                let session = text(envelope, "sessionId");
                json!({"type": "session.interrupt", "id": own, "sessionId": session, "payload": {}})
            }
        };
        self.live.send(&asks).await?;
        Ok(own)
    }

    async fn answer(&mut self, key: Key, envelope: &Value) -> Result<(), Failure> {
        let payload = match key {
            Key::Line(line) => json!({"data": line}),
            Key::Interrupted | Key::Ended => json!({"eof": true}),
        };
        let (own, session) = (mint::fresh("input")?, text(envelope, "sessionId"));
        self.live
            .send(&json!({"type": "session.input", "id": own, "sessionId": session, "payload": payload}))
            .await
    }
}

/// The prompt of a message that says that this command waits for a line.
pub(crate) fn asked<'m>(message: &'m Value, id: &str) -> Option<&'m str> {
    let promise = text(message, "promiseId");
    let of_command = promise
        .strip_prefix("exec:")
        .and_then(|rest| rest.strip_prefix(id))
        .is_some_and(|rest| rest.starts_with(":input:"));
    let waits = text(message, "event") == "promise_created" && of_command;
    waits.then(|| {
        message
            .pointer("/tags/prompt")
            .and_then(Value::as_str)
            .unwrap_or_default()
    })
}

/// The code of the fault of an answer, if it has one.
pub(crate) fn code_of(answer: &Value) -> Option<actum_model::ErrorCode> {
    fault_of(answer).map(|fault| fault.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_of_the_command_itself_are_asked() {
        let message = |promise: &str| json!({"event": "promise_created", "promiseId": promise, "tags": {"for": "input", "prompt": "name? "}});
        assert_eq!(asked(&message("exec:a:input:1"), "a"), Some("name? "));
        assert_eq!(asked(&message("exec:ab:input:1"), "a"), None);
        assert_eq!(asked(&message("mine"), "a"), None);
        assert_eq!(
            asked(
                &json!({"event": "promise_settled", "promiseId": "exec:a:input:1"}),
                "a"
            ),
            None
        );
    }
}
