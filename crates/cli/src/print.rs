//! The one place that writes to standard output and standard error.
//!
//! Results go to standard output; everything said about them goes to standard error. Colours are for terminals only
//! and never carry meaning alone.

use crate::failure::Failure;
use actum_model::{ErrorCode, Fault};
use serde_json::Value;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
    /// One JSON document a line: each row of a listing is a line of its own.
    Jsonl,
}

/// Where and how to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// How results are written.
    pub(crate) format: Format,
    /// Paints for standard output.
    pub(crate) paint: Paint,
    /// Paints for standard error.
    pub(crate) paint_err: Paint,
    /// Standard error is a terminal, so something that moves may be drawn there.
    pub(crate) lively: bool,
}

impl Out {
    /// Looks at the terminal and at `NO_COLOR`.
    pub(crate) fn new(format: Format) -> Out {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let lively = io::stderr().is_terminal();
        Out {
            format,
            paint: Paint(wanted && io::stdout().is_terminal()),
            paint_err: Paint(wanted && lively),
            lively,
        }
    }

    /// Whether results are for people.
    pub(crate) fn human(&self) -> bool {
        self.format == Format::Human
    }

    /// Writes one line of a result.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        written(writeln!(io::stdout().lock(), "{text}"))
    }

    /// Writes bytes of a result as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        written(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Writes bytes to standard error as they are. Nobody being there to hear it is no failure.
    pub(crate) fn bytes_err(&self, bytes: &[u8]) {
        let mut err = io::stderr().lock();
        let _nobody = err.write_all(bytes).and_then(|()| err.flush());
    }

    /// Writes one JSON document: indented on a terminal, else on one line.
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        if self.format == Format::Json && io::stdout().is_terminal() {
            return self.line(format_args!("{value:#}"));
        }
        self.line(value)
    }

    /// Writes a listing: one document, or one line for each row.
    pub(crate) fn json_rows(&self, whole: &Value, rows: &str) -> Result<(), Failure> {
        match (self.format, whole.get(rows).and_then(Value::as_array)) {
            (Format::Jsonl, Some(rows)) => rows.iter().try_for_each(|row| self.line(row)),
            _ => self.json(whole),
        }
    }

    /// Says something about a result. Nobody being there to hear it is no failure.
    pub(crate) fn say(&self, text: impl Display) {
        let _nobody = writeln!(io::stderr().lock(), "{text}");
    }

    /// Shows a fault: `error[CODE]: sentence`, then `hint: …`.
    pub(crate) fn fault(&self, fault: &Fault) {
        let paint = self.paint_err;
        self.say(format_args!(
            "{}: {}",
            paint.red(format_args!("error[{}]", fault.code)),
            fault.message
        ));
        for (pointer, message) in listed(fault).into_iter().skip(1) {
            self.say(format_args!("  also: {pointer}: {message}"));
        }
        self.say(format_args!("{}: {}", paint.bold("hint"), fault.hint_text()));
    }
}

/// The faults an `INVALID_INPUT` lists, each a JSON pointer and a sentence.
fn listed(fault: &Fault) -> Vec<(String, String)> {
    let details = fault
        .details
        .as_ref()
        .map(actum_model::Json::to_value)
        .unwrap_or_default();
    let listed = details
        .get("faults")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let text = |item: &Value, name: &str| {
        item.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    listed
        .iter()
        .map(|item| (text(item, "pointer"), text(item, "message")))
        .collect()
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::new(
            ErrorCode::Internal,
            format!("could not write to standard output: {error}"),
        )
        .hint("check where standard output leads, and whether the disk is full"),
    })
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, code: u8, text: impl Display) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.with(1, text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.with(2, text)
    }

    pub(crate) fn red(self, text: impl Display) -> String {
        self.with(31, text)
    }

    pub(crate) fn green(self, text: impl Display) -> String {
        self.with(32, text)
    }

    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.with(33, text)
    }

    pub(crate) fn cyan(self, text: impl Display) -> String {
        self.with(36, text)
    }

    /// An outcome or state in its colour.
    pub(crate) fn state(self, text: &str, state: &str) -> String {
        match state {
            "succeeded" | "ok" => self.green(text),
            "failed" | "rejected" | "timed_out" | "fail" => self.red(text),
            "in_doubt" | "probe" | "probing" | "stopping" | "cancelled" | "warn" => self.yellow(text),
            _ => self.cyan(text),
        }
    }
}
