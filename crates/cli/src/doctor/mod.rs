//! The doctor: one check each for what a daemon needs, with a fix for what is wrong.

mod daemon;
mod disk;
mod machine;
mod sandbox;

use crate::context::Context;
use serde_json::{Value, json};

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, with a drawback.
    Warn,
    /// It will not work.
    Fail,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What was checked.
    pub(crate) name: &'static str,
    /// How it came out.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do, where it is not as it should be.
    pub(crate) fix: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            name,
            state: State::Ok,
            found: found.into(),
            fix: None,
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding {
            name,
            state: State::Warn,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding {
            name,
            state: State::Fail,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"check": self.name, "state": self.state.as_str(), "found": self.found, "fix": self.fix})
    }
}

/// All checks, in the order of what rests on what.
pub(crate) fn check(context: &Context) -> Vec<Finding> {
    let mut findings = vec![machine::system(), machine::features(), machine::clock(context)];
    findings.push(disk::folder(context));
    findings.push(disk::secrets(context));
    findings.push(disk::space(context));
    findings.push(disk::file_system(context));
    findings.push(disk::sync(context));
    findings.push(daemon::lock(context));
    findings.push(daemon::reachable(context));
    findings.push(daemon::journal(context));
    findings.extend(sandbox::all());
    findings.push(machine::python());
    findings
}
