//! Events as a stream: `GET /v1/events`, read as server-sent events.
//!
//! It does not reconnect by itself: [`Events::last_id`] is what [`EventsQuery::last_event_id`] resumes from.

use crate::error::ClientError;
use crate::lines::LineBuffer;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventsQuery {
    /// Only events of this session.
    pub session_id: Option<String>,
    /// Only events of this chain of commands.
    pub correlation_id: Option<String>,
    /// From this journal position on; from now on where absent.
    pub from_idx: Option<u64>,
    /// After the event with this id; it goes before `from_idx`.
    pub last_event_id: Option<String>,
}

impl EventsQuery {
    /// The query's names and values.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("sessionId", self.session_id.clone()),
            ("correlationId", self.correlation_id.clone()),
            ("fromIdx", self.from_idx.map(|idx| idx.to_string())),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in history; absent for what is not of history, such as live output.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// The event.
    pub data: Value,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    reader: EventReader,
    last_id: Option<String>,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Events {
        Events {
            body,
            reader: EventReader::default(),
            last_id: None,
        }
    }

    /// The next event; `None` when the daemon ended the stream.
    ///
    /// # Errors
    /// Where the connection broke.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.reader.next()? {
                if event.id.is_some() {
                    self.last_id.clone_from(&event.id);
                }
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(ClientError::broken)?.into_data() {
                        self.reader.lines.push(&data);
                    }
                }
            }
        }
    }

    /// The id of the last event that had one.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }
}

#[derive(Debug, Default)]
struct EventReader {
    lines: LineBuffer,
    id: Option<String>,
    name: Option<String>,
    data: String,
}

impl EventReader {
    fn next(&mut self) -> Result<Option<Event>, ClientError> {
        while let Some(line) = self.lines.next() {
            let text =
                std::str::from_utf8(&line).map_err(|_| ClientError::protocol("an event stream", &line))?;
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.is_empty() {
                if let Some(event) = self.finish()? {
                    return Ok(Some(event));
                }
                continue;
            }
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.id = Some(value.to_owned()),
                "event" => self.name = Some(value.to_owned()),
                "data" => self.data.push_str(value),
                // Comments and fields of later versions.
                _ => {}
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<Option<Event>, ClientError> {
        let (id, name) = (self.id.take(), self.name.take());
        let data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return Ok(None);
        }
        let data = serde_json::from_str(&data)
            .map_err(|_| ClientError::protocol("a JSON event", data.as_bytes()))?;
        Ok(Some(Event {
            id,
            name: name.unwrap_or_else(|| "message".to_owned()),
            data,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_read_wherever_the_chunks_end() {
        let stream = ": hello\n\nid: 4.1\nevent: command_finished\ndata: {\"idx\":4}\n\nevent: output\r\ndata: {}\r\n\r\n";
        for size in [1, 2, 7, 1000] {
            let mut reader = EventReader::default();
            let mut seen = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                reader.lines.push(chunk);
                while let Some(event) = reader.next().unwrap() {
                    seen.push(event);
                }
            }
            assert_eq!(seen.len(), 2);
            assert_eq!(seen[0].id.as_deref(), Some("4.1"));
            assert_eq!(seen[0].name, "command_finished");
            assert_eq!(seen[0].data, json!({"idx": 4}));
            assert_eq!(seen[1].id, None);
        }
    }
}
