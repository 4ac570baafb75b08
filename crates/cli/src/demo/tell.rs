//! The voice of the demo: numbered chapters, aligned lines, a calm word on what each thing shows.

use super::report;
use crate::failure::Failure;
use crate::print::Out;
use crate::shape::{self, at};
use serde_json::Value;
use std::time::Duration;

/// Room for what a call asks for, characters.
const WHAT: usize = 42;
/// Room for what came of it.
const REASON: usize = 90;

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

    /// A call of a tool, and what came of it.
    pub(super) fn call(&self, tool: &str, what: &str, report: &Value, took: Duration) -> Result<(), Failure> {
        let paint = self.out.paint;
        let state = report::state(report);
        let colour = if state == "refused" { "failed" } else { state };
        let took = shape::duration(took);
        let mut line = format!(
            "{tool:<10}  {:<WHAT$}  {}  {took:>8}",
            shape::brief(what, WHAT - 1),
            paint.state(&format!("{state:<9}"), colour),
        );
        let value = at(report, "/result/repr").as_str();
        if report::replayed(report) {
            line.push_str(&paint.cyan("  from the record"));
        } else if !report::code(report).is_empty() {
            let reason = shape::brief(&report::reason(report), REASON);
            line.push_str(&format!("  {}", paint.dim(reason)));
        } else if let Some(value) = value {
            line.push_str(&format!("  {}", paint.dim(shape::brief(value, REASON))));
        }
        self.fact(line)
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
