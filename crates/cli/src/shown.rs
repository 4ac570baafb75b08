//! What a running command writes, on its way to the terminal: its output to standard output, its error output to
//! standard error, displays and progress for people. What did not come live is taken from the result, so that the
//! whole stands there in the end.

use crate::failure::Failure;
use crate::print::{Format, Out};
use crate::remote::Remote;
use crate::shape::{self, number, text};
use serde_json::Value;

/// The output of one command.
pub(crate) struct Shown<'a> {
    out: &'a Out,
    id: String,
    stdout: Written,
    stderr: Written,
    /// Displays that came live.
    displays: usize,
    /// The line of progress stands on the terminal and must go before anything else is written.
    progress: bool,
}

/// How far a stream was written.
#[derive(Default)]
struct Written {
    bytes: u64,
    /// Something was left out live; the rest waits for the result.
    gap: bool,
    /// The last line is not ended.
    open: bool,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(out: &'a Out, id: &str) -> Shown<'a> {
        Shown {
            out,
            id: id.to_owned(),
            stdout: Written::default(),
            stderr: Written::default(),
            displays: 0,
            progress: false,
        }
    }

    /// Takes one message of the connection; those of other commands are passed over.
    pub(crate) fn take(&mut self, message: &Value) -> Result<(), Failure> {
        if text(message, "id") != self.id {
            return Ok(());
        }
        match (self.out.format, text(message, "type")) {
            (Format::Json, _) => Ok(()),
            (Format::Jsonl, "output" | "display" | "progress") => self.out.line(message),
            (Format::Human, "output") => self.output(message),
            (Format::Human, "display") => {
                self.displays += 1;
                self.display(message.get("data").unwrap_or(&Value::Null))
            }
            (Format::Human, "progress") => {
                self.show_progress(message);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn output(&mut self, message: &Value) -> Result<(), Failure> {
        let (name, data) = (text(message, "stream"), text(message, "data"));
        let offset = number(message, "offset").unwrap_or(0);
        let written = self.of(name);
        if written.gap || offset != written.bytes {
            // Written out of order it would be worse than late.
            written.gap = true;
            return Ok(());
        }
        self.write(name, data)
    }

    fn of(&mut self, name: &str) -> &mut Written {
        if name == "stderr" {
            &mut self.stderr
        } else {
            &mut self.stdout
        }
    }

    fn write(&mut self, name: &str, data: &str) -> Result<(), Failure> {
        if data.is_empty() {
            return Ok(());
        }
        self.clear_progress();
        let written = self.of(name);
        written.bytes += data.len() as u64;
        written.open = !data.ends_with('\n');
        if name == "stderr" {
            self.out.bytes_err(data.as_bytes());
            Ok(())
        } else {
            self.out.bytes(data.as_bytes())
        }
    }

    fn display(&mut self, bundle: &Value) -> Result<(), Failure> {
        self.clear_progress();
        self.end_line();
        match bundle.get("text/plain").and_then(Value::as_str) {
            Some(plain) => self.out.line(plain.trim_end_matches('\n')),
            None => {
                let types: Vec<&str> = bundle
                    .as_object()
                    .map(|members| members.keys().map(String::as_str).collect())
                    .unwrap_or_default();
                self.out.line(format_args!("<{}>", types.join(", ")))
            }
        }
    }

    fn show_progress(&mut self, message: &Value) {
        if !self.out.lively {
            return;
        }
        self.out
            .bytes_err(format!("\r\u{1b}[K{}", progress_text(message)).as_bytes());
        self.progress = true;
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress) {
            self.out.bytes_err(b"\r\x1b[K");
        }
    }

    /// Ends a line that the command left open, so that what is said next begins one of its own.
    fn end_line(&mut self) {
        self.clear_progress();
        if self.out.lively && (std::mem::take(&mut self.stdout.open) | std::mem::take(&mut self.stderr.open))
        {
            self.out.bytes_err(b"\n");
        }
    }

    /// Writes what the result holds and was not written live.
    pub(crate) async fn finish(&mut self, data: &Value, remote: &Remote) -> Result<(), Failure> {
        if !self.out.human() {
            return Ok(());
        }
        for name in ["stdout", "stderr"] {
            if let Some(stream) = data.get(name) {
                self.rest(name, stream, remote).await?;
            }
        }
        let kept = data.get("displays").and_then(Value::as_array);
        for bundle in kept.into_iter().flatten().skip(self.displays) {
            self.display(bundle)?;
        }
        self.end_line();
        Ok(())
    }

    async fn rest(&mut self, name: &str, stream: &Value, remote: &Remote) -> Result<(), Failure> {
        let written = usize::try_from(self.of(name).bytes).unwrap_or(usize::MAX);
        if let Some(all) = stream.get("text").and_then(Value::as_str) {
            return self.write(name, all.get(written..).unwrap_or_default());
        }
        let hash = text(stream, "blob");
        let whole = number(stream, "bytes").unwrap_or(0);
        // Replaced bytes make the text longer, never shorter, so this asks once too often at most.
        if !hash.is_empty() && (self.of(name).gap || (written as u64) < whole) {
            match remote.client.blob(hash).await {
                Ok(bytes) => {
                    let all = String::from_utf8_lossy(&bytes);
                    self.write(name, all.get(written..).unwrap_or_default())?;
                }
                Err(error) => self.out.say(format_args!(
                    "some of its {name} is missing here ({error}); the whole is `actum blob {hash}`"
                )),
            }
        }
        if let Some(dropped) = number(stream, "dropped").filter(|dropped| *dropped > 0) {
            self.end_line();
            self.out.say(format_args!(
                "{} of its {name} were beyond the limit and are gone",
                shape::bytes(dropped)
            ));
        }
        Ok(())
    }
}

/// `3/10 loading`.
pub(crate) fn progress_text(message: &Value) -> String {
    let amount = |name: &str| {
        message
            .get(name)
            .filter(|value| !value.is_null())
            .map(shape::plain)
    };
    let far = match (amount("step"), amount("total")) {
        (Some(step), Some(total)) => format!("{step}/{total}"),
        (Some(step), None) => step,
        _ => String::new(),
    };
    format!("{far} {}", shape::brief(text(message, "text"), 100))
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn progress_reads_well() {
        assert_eq!(
            progress_text(&json!({"step": 3, "total": 10, "text": "loading"})),
            "3/10 loading"
        );
        assert_eq!(progress_text(&json!({"step": 3, "total": null})), "3");
        assert_eq!(progress_text(&json!({"text": "a\nb"})), "a b");
    }

    #[test]
    fn what_comes_out_of_order_waits_for_the_result() {
        let out = Out::new(Format::Human);
        let mut shown = Shown::new(&out, "c");
        let chunk = |offset: u64| json!({"type": "output", "id": "c", "stream": "stderr", "offset": offset, "data": ""});
        shown.take(&chunk(0)).unwrap();
        assert!(!shown.stderr.gap);
        shown.take(&chunk(5)).unwrap();
        assert!(shown.stderr.gap);
        shown.take(&chunk(0)).unwrap();
        assert!(shown.stderr.gap && !shown.stdout.gap);
    }
}
