//! The voice of the demo: numbered chapters, aligned lines, a calm word on what each thing shows.

use crate::answer::{self, Widths};
use crate::failure::{Failure, fault_of};
use crate::print::Out;
use crate::shape::{self, text};
use serde_json::Value;
use std::time::Duration;

const WIDTHS: Widths = Widths {
    lane: 18,
    kind: 16,
    id: 9,
};

/// See the head of the file. Says nothing where the result is wanted as JSON.
pub(super) struct Tell {
    out: Out,
    chapter: u32,
}

impl Tell {
    pub(super) fn new(out: Out) -> Tell {
        Tell { out, chapter: 0 }
    }

    fn line(&self, line: impl std::fmt::Display) -> Result<(), Failure> {
        if self.out.human() {
            self.out.line(line)
        } else {
            Ok(())
        }
    }

    /// The headline.
    pub(super) fn headline(&self, text: &str, under: &str) -> Result<(), Failure> {
        self.line(self.out.paint.bold(text))?;
        self.line(self.out.paint.dim(under))
    }

    /// A new chapter.
    pub(super) fn chapter(&mut self, title: &str) -> Result<(), Failure> {
        self.chapter += 1;
        self.line("")?;
        self.line(format_args!(
            "{}  {}",
            self.out.paint.cyan(self.chapter),
            self.out.paint.bold(title)
        ))
    }

    /// Something that happened.
    pub(super) fn fact(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.line(format_args!("   {text}"))
    }

    /// Something that happened, with what it is about in a column before it.
    pub(super) fn pair(&self, about: &str, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.line(format_args!(
            "   {}  {text}",
            self.out.paint.dim(format_args!("{about:<16}"))
        ))
    }

    /// What it shows.
    pub(super) fn remark(&self, text: &str) -> Result<(), Failure> {
        self.line(format_args!("   {}", self.out.paint.dim(text)))
    }

    /// A command with its outcome.
    pub(super) fn answer(&self, answer: &Value, took: Duration) -> Result<(), Failure> {
        let line = answer::line(answer, Some(took), WIDTHS, &self.out);
        self.line(format_args!("   {line}"))
    }

    /// A command as `command.get` tells it.
    pub(super) fn row(&self, row: &Value) -> Result<(), Failure> {
        let state = text(row, "state");
        let took = row
            .pointer("/data/durationMs")
            .and_then(Value::as_u64)
            .map(shape::millis)
            .unwrap_or_default();
        let mut line = format!(
            "{:<18}  {:<16}  {:<9}  {}  {took:>8}",
            shape::lane(row),
            text(row, "command"),
            text(row, "id"),
            self.out
                .paint
                .state(&format!("{:<9}", state.replace('_', " ")), state),
        );
        if let Some(fault) = fault_of(row) {
            line = format!("{line}  {}", self.out.paint.dim(fault.code));
        }
        self.line(format_args!("   {}", line.trim_end()))
    }

    /// The last words.
    pub(super) fn end(&self, text: &str) -> Result<(), Failure> {
        self.line("")?;
        self.line(self.out.paint.green(text))
    }

    pub(super) fn out(&self) -> &Out {
        &self.out
    }
}
