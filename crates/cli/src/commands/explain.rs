//! `actum explain`: what an error code means and what to do, from the table and the pages built into the program.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::print::Paint;
use crate::table;
use actum_model::ErrorCode;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `explain`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum explain IN_DOUBT\n  actum explain          lists all codes")]
pub(crate) struct Args {
    /// The code; all are listed where none is named
    code: Option<String>,
}

macro_rules! pages {
    ($($code:literal)*) => {
        /// Every code with its page.
        const PAGES: &[(&str, &str)] =
            &[$(($code, include_str!(concat!("../../../../docs/errors/", $code, ".md"))),)*];
    };
}

pages! {
    "ALREADY_FINISHED" "BIND_REFUSED" "BUSY" "CALLER_ENDED" "CANCELLED" "COLLAPSE_CONFLICT" "COMMAND_FAILED"
    "COMMAND_NOT_FOUND" "DAEMON_UNREACHABLE" "DATA_MISSING" "DEPENDENCY_FAILED" "DEPENDENCY_TIMEOUT"
    "DEPENDENCY_UNKNOWN" "DID_NOT_HAPPEN" "EXECUTION_FAILED" "FILE_CHANGED" "FILE_EXISTS" "FILE_FAILED"
    "FILE_NOT_FOUND" "FILE_REFUSED" "HOST_REFUSED" "HTTP_FAILED" "IDENTITY_CONFLICT" "INPUT_NOT_WANTED"
    "INTERNAL" "INTERRUPTED" "INVALID_INPUT" "INVALID_JSON" "IN_DOUBT" "IN_USE" "JOURNAL_DAMAGED"
    "JOURNAL_LOCKED" "JOURNAL_POISONED" "JOURNAL_UNSUPPORTED" "LIMIT_EXCEEDED" "MESSAGE_TOO_LARGE"
    "MISSING_ENDPOINT" "NOTHING_RUNS" "NOT_FOUND" "NOT_GRANTED" "NOT_IMPLEMENTED" "NOT_IN_DOUBT"
    "ORIGIN_REFUSED" "OUTCOME_EXPIRED" "OUTPUT_DRAIN_TIMEOUT" "PATH_OUTSIDE" "PERSONAL_DATA_ERASED"
    "POOL_EXHAUSTED" "PROHIBITED_DATA" "PROMISE_EXISTS" "PROMISE_NOT_FOUND" "PROMISE_REJECTED" "PROMISE_SETTLED"
    "QUEUE_TIMEOUT" "RATE_LIMITED" "RECORD_GONE" "REPLAY_DRIFT" "RETRIED" "SANDBOX_UNAVAILABLE" "SECRET_REFUSED"
    "SECRET_UNAVAILABLE" "SESSION_EXISTS" "SESSION_KIND" "SESSION_LOST" "SESSION_NOT_FOUND" "SESSION_REQUIRED"
    "SHUTTING_DOWN" "SLOW_CONSUMER" "SNAPSHOT_EXPIRED" "SPAWN_FAILED" "SWS_NOT_ACTIVE" "SYSTEM_READ_ONLY"
    "TIMED_OUT" "TIMER_EXISTS" "TIMER_NOT_FOUND" "TOO_LARGE" "UNAUTHENTICATED" "UNKNOWN_COMMAND"
    "VERSION_MISMATCH" "WAIT_TIMEOUT" "WORKER_FAILED"
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let out = &context.out;
    let Some(asked) = &args.code else {
        return list(context);
    };
    let wanted = asked.trim().to_ascii_uppercase().replace('-', "_");
    let found = ErrorCode::ALL
        .iter()
        .copied()
        .find(|code| code.as_str() == wanted);
    let code = found.ok_or_else(|| unknown(asked, &wanted))?;
    let page = PAGES
        .iter()
        .find(|(name, _)| *name == code.as_str())
        .map_or("", |(_, page)| *page);
    if !out.human() {
        let mut whole = row(code);
        if let Value::Object(members) = &mut whole {
            members.insert("page".into(), page.into());
        }
        out.json(&whole)?;
        return Ok(Exit::Ok);
    }
    for line in page.lines() {
        out.line(styled(line, out.paint))?;
    }
    Ok(Exit::Ok)
}

fn row(code: ErrorCode) -> Value {
    json!({"code": code.as_str(), "title": code.title(), "hint": code.hint(), "httpStatus": code.http_status(),
        "retryable": code.retryable()})
}

fn list(context: &Context) -> Done {
    let out = &context.out;
    if !out.human() {
        out.json_rows(
            &json!({"codes": ErrorCode::ALL.iter().map(|code| row(*code)).collect::<Vec<_>>()}),
            "codes",
        )?;
        return Ok(Exit::Ok);
    }
    let mut table = table::folding(out, &["CODE", "MEANING"]);
    for code in ErrorCode::ALL {
        table.add_row([code.as_str(), code.title()]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    Ok(Exit::Ok)
}

fn unknown(asked: &str, wanted: &str) -> Failure {
    let near: Vec<&str> = ErrorCode::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| is_near(code, wanted))
        .take(3)
        .collect();
    let failure = Failure::new(
        ErrorCode::NotFound,
        format!("no error code is named `{}`", actum_model::json::shorten(asked)),
    );
    if near.is_empty() {
        failure.hint("all codes are listed by `actum explain`")
    } else {
        failure.hint(format!("did you mean {}?", near.join(" or ")))
    }
}

/// One part of one is a part of the other, or at most two letters differ.
fn is_near(code: &str, wanted: &str) -> bool {
    let parts = |text: &str| {
        text.split('_')
            .map(str::to_owned)
            .filter(|part| part.len() > 3)
            .collect::<Vec<_>>()
    };
    let differing =
        code.chars().zip(wanted.chars()).filter(|(a, b)| a != b).count() + code.len().abs_diff(wanted.len());
    differing <= 2 || parts(code).iter().any(|part| parts(wanted).contains(part))
}

/// Headings bold, code dim; the rest as it is written.
fn styled(line: &str, paint: Paint) -> String {
    if let Some(title) = line
        .trim_start_matches('#')
        .strip_prefix(' ')
        .filter(|_| line.starts_with('#'))
    {
        return paint.bold(title);
    }
    if line.starts_with("```") {
        paint.dim(line)
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page_built_in() {
        let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        for code in &codes {
            let page = PAGES.iter().find(|(name, _)| name == code).map(|(_, page)| *page);
            assert!(
                page.is_some_and(|page| page.starts_with(&format!("# {code}"))),
                "{code}"
            );
        }
        assert_eq!(PAGES.len(), codes.len());
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_code() {
        assert!(is_near("IN_DOUBT", "IN_DOUBTS"));
        assert!(is_near("IDENTITY_CONFLICT", "CONFLICT"));
        assert!(!is_near("BUSY", "RETRIED"));
    }
}
