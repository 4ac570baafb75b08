//! What a command that is not answered waits for. A command in doubt is never answered before somebody resolves it,
//! so the command line must not wait for it without a word.

use crate::print::Out;
use crate::remote::Remote;
use crate::shape::text;
use serde_json::{Value, json};
use std::time::Duration;

/// After so long without an answer the daemon is asked why.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Asks, and says each thing once.
#[derive(Default)]
pub(crate) struct Watch {
    said: String,
}

impl Watch {
    /// Whether the command is in doubt; says so, or what it waits for if that is another command.
    pub(crate) async fn in_doubt(&mut self, remote: &Remote, id: &str, out: &Out) -> bool {
        if id.is_empty() {
            return false;
        }
        let Ok(why) = remote.read("command.why", json!({"id": id})).await else {
            return false;
        };
        let reasons = why
            .get("because")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
        match text(&why, "state") {
            "in_doubt" => {
                out.say(format_args!(
                    "`{id}` is in doubt: nobody knows whether it happened, and its lane waits"
                ));
                out.say(format_args!(
                    "hint: `actum why {id}`, then `actum resolve {id} --as …`"
                ));
                return true;
            }
            "queued" | "waiting" => {
                let said = format!("`{id}` waits: {}", reasons.join(" "));
                if said != self.said {
                    out.say(&said);
                    self.said = said;
                }
            }
            _ => {}
        }
        false
    }
}
