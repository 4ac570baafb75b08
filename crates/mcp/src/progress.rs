//! Live messages of a running command as progress notifications: numbers that only grow, and the last thing it said.
//! Many messages become one notification, so that a loud command does not flood the client.

use crate::limits::{PROGRESS_MS_MIN, PROGRESS_TEXT_BYTES_MAX};
use crate::text::member;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RoleServer};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Progress {
    token: Option<ProgressToken>,
    sent: u64,
    waiting: Option<String>,
    not_before: Instant,
}

impl Progress {
    /// For a request that gave this token; without one nothing is ever sent.
    pub(crate) fn new(token: Option<ProgressToken>) -> Progress {
        Progress {
            token,
            sent: 0,
            waiting: None,
            not_before: Instant::now(),
        }
    }

    /// Takes a live message up.
    pub(crate) fn hear(&mut self, message: &Value) {
        if self.token.is_some()
            && let Some(text) = said(message)
        {
            self.waiting = Some(text);
        }
    }

    /// When the next notification is due; never, where nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|_| self.not_before)
    }

    /// The notification that is due.
    fn take(&mut self) -> Option<ProgressNotificationParam> {
        let text = self.waiting.take()?;
        let token = self.token.clone()?;
        self.sent += 1;
        self.not_before = Instant::now() + Duration::from_millis(PROGRESS_MS_MIN);
        #[expect(clippy::cast_precision_loss, reason = "nobody is notified 2^53 times")]
        let count = self.sent as f64;
        Some(ProgressNotificationParam::new(token, count).with_message(text))
    }

    /// Sends what waits.
    pub(crate) async fn send(&mut self, peer: &Peer<RoleServer>) {
        if let Some(notification) = self.take() {
            // A client that is gone is told nothing; the end of the connection is seen elsewhere.
            let _gone = peer.notify_progress(notification).await;
        }
    }
}

/// What a live message says, in one line.
fn said(message: &Value) -> Option<String> {
    match member(message, "type") {
        "output" => {
            let line = member(message, "data")
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())?;
            Some(last_of(line.trim_end(), PROGRESS_TEXT_BYTES_MAX))
        }
        "progress" => {
            let steps = match (number(message, "step"), number(message, "total")) {
                (Some(step), Some(total)) => format!("{step}/{total} "),
                (Some(step), None) => format!("{step} "),
                (None, _) => String::new(),
            };
            Some(last_of(
                &format!("{steps}{}", member(message, "text")),
                PROGRESS_TEXT_BYTES_MAX,
            ))
        }
        "event" => match member(message, "event") {
            "command_accepted" => Some("accepted".to_owned()),
            "command_started" => Some("started".to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// A number as people write it: `4`, not `4.0`.
fn number(message: &Value, name: &str) -> Option<String> {
    message
        .get(name)
        .and_then(Value::as_f64)
        .map(|number| number.to_string())
}

fn last_of(text: &str, max: usize) -> String {
    let from = text.ceil_char_boundary(text.len().saturating_sub(max));
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with_token() -> Progress {
        Progress::new(Some(ProgressToken(rmcp::model::NumberOrString::Number(1))))
    }

    #[tokio::test]
    async fn many_messages_are_one_notification_and_numbers_grow() {
        let mut progress = with_token();
        assert!(progress.due().is_none());
        for n in 0..1000 {
            progress.hear(
                &json!({"type": "output", "stream": "stdout", "offset": 0, "data": format!("line {n}\n\n")}),
            );
        }
        let first = progress.take().unwrap();
        assert_eq!(first.message.as_deref(), Some("line 999"));
        assert!(progress.due().is_none() && progress.take().is_none());
        progress.hear(&json!({"type": "progress", "step": 2.0, "total": 5, "text": "halfway"}));
        assert!(progress.due().unwrap() > Instant::now() - Duration::from_secs(1));
        let second = progress.take().unwrap();
        assert_eq!(second.message.as_deref(), Some("2/5 halfway"));
        assert!(second.progress > first.progress);
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_kept() {
        let mut progress = Progress::new(None);
        progress.hear(&json!({"type": "event", "event": "command_started"}));
        assert!(progress.due().is_none());
    }

    #[test]
    fn a_long_line_is_cut_to_its_end() {
        let data = "é".repeat(4000);
        let text = said(&json!({"type": "output", "data": data})).unwrap();
        assert!(text.len() <= PROGRESS_TEXT_BYTES_MAX);
        assert_eq!(said(&json!({"type": "output", "data": "\n\n"})), None);
        assert_eq!(said(&json!({"type": "gap"})), None);
    }
}
