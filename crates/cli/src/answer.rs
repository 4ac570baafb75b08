//! Answers to commands, for people: one line each, and what a program wrote.

use crate::failure::{Exit, Failure, fault_of};
use crate::print::Out;
use crate::shape::{self, brief, millis, number, text};
use serde_json::Value;
use std::time::Duration;

/// Widths of the columns of a list of answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    pub(crate) lane: usize,
    pub(crate) kind: usize,
    pub(crate) id: usize,
}

impl Default for Widths {
    fn default() -> Widths {
        Widths {
            lane: 18,
            kind: 16,
            id: 14,
        }
    }
}

/// The outcome of an answer, in one word.
pub(crate) fn outcome(answer: &Value) -> &str {
    match text(answer, "outcome") {
        "" if answer.get("accepted").is_some() => "accepted",
        "" if answer.get("success") == Some(&Value::Bool(true)) => "ok",
        "" => "refused",
        outcome => outcome,
    }
}

/// How long the command took: what the program's run says, else the time from sending to answer.
pub(crate) fn took(answer: &Value, waited: Option<Duration>) -> String {
    let ran = answer.get("data").and_then(|data| number(data, "durationMs"));
    ran.map(millis)
        .or_else(|| waited.map(shape::duration))
        .unwrap_or_default()
}

/// One line: lane and place, kind, id, outcome, duration, and the fault in short.
pub(crate) fn line(answer: &Value, waited: Option<Duration>, widths: Widths, out: &Out) -> String {
    let word = outcome(answer);
    let mut line = format!(
        "{:<lane$}  {:<kind$}  {:<id$}  {}  {:>8}",
        shape::lane(answer),
        text(answer, "command"),
        text(answer, "id"),
        out.paint.state(
            &format!("{word:<9}"),
            if word == "refused" { "failed" } else { word }
        ),
        took(answer, waited),
        lane = widths.lane,
        kind = widths.kind,
        id = widths.id,
    );
    if answer.get("replayed") == Some(&Value::Bool(true)) {
        line.push_str(&out.paint.cyan("  replayed"));
    }
    if let Some(fault) = fault_of(answer) {
        line.push_str(&format!(
            "  {}",
            out.paint
                .dim(brief(&format!("{}: {}", fault.code, fault.message), 100))
        ));
    }
    line.trim_end().to_owned()
}

/// What a program wrote to one of its streams, as far as the answer holds it, and a word on what it leaves out.
pub(crate) fn stream(data: &Value, name: &str) -> Option<(String, Option<String>)> {
    let stream = data.get(name)?;
    if let Some(all) = stream.get("text").and_then(Value::as_str) {
        return Some((all.to_owned(), None)).filter(|(all, _)| !all.is_empty());
    }
    let (head, tail) = (text(stream, "head"), text(stream, "tail"));
    let bytes = number(stream, "bytes").unwrap_or(0);
    let blob = text(stream, "blob");
    let note = format!("{} in all; the whole is `actum blob {blob}`", shape::bytes(bytes));
    Some((format!("{head}\n…\n{tail}"), Some(note))).filter(|_| bytes > 0)
}

/// Writes what a program wrote: its output to standard output, its error output to standard error.
pub(crate) fn write_streams(data: &Value, out: &Out) -> Result<(), Failure> {
    if let Some((all, note)) = stream(data, "stdout") {
        out.bytes(all.as_bytes())?;
        if let Some(note) = note {
            out.say(note);
        }
    }
    if let Some((all, note)) = stream(data, "stderr") {
        out.say(all.trim_end_matches('\n'));
        if let Some(note) = note {
            out.say(note);
        }
    }
    Ok(())
}

/// The exit code an answer stands for.
pub(crate) fn exit(answer: &Value) -> Exit {
    if answer.get("success") == Some(&Value::Bool(true)) {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{Format, Paint};
    use serde_json::json;

    fn plain() -> Out {
        Out {
            format: Format::Human,
            paint: Paint(false),
            paint_err: Paint(false),
            lively: false,
        }
    }

    #[test]
    fn an_answer_is_one_aligned_line() {
        let answer = json!({"command": "shell.run", "id": "a-1", "success": false, "outcome": "failed",
            "lane": "session:web", "laneSeq": 3, "data": {"durationMs": 12}, "replayed": true,
            "error": {"code": "COMMAND_FAILED", "message": "exit code 1"}});
        assert_eq!(
            line(&answer, None, Widths::default(), &plain()),
            "session:web #3      shell.run         a-1             failed        12 ms  replayed  COMMAND_FAILED: exit code 1"
        );
        assert_eq!(exit(&answer), Exit::Failed);
    }

    #[test]
    fn what_was_cut_is_said() {
        let data = json!({"stdout": {"bytes": 3, "text": "abc"}, "stderr": {"bytes": 50_000, "head": "x", "tail": "y", "blob": "ff"}});
        assert_eq!(stream(&data, "stdout"), Some(("abc".into(), None)));
        let (_, note) = stream(&data, "stderr").unwrap();
        assert_eq!(note.unwrap(), "48.8 KiB in all; the whole is `actum blob ff`");
    }
}
