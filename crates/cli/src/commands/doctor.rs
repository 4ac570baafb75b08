//! `actum doctor`: checks everything a daemon needs. It changes nothing but a probe file that it removes.

use crate::context::Context;
use crate::doctor::{State, check};
use crate::failure::{Done, Exit};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `doctor`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Ends with 1 where something will not work.\n\nExample:\n  actum doctor --data /var/lib/actum"
)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Done {
    let out = &context.out;
    let findings = check(context);
    let worst = findings
        .iter()
        .map(|finding| finding.state)
        .max()
        .unwrap_or(State::Ok);
    if out.human() {
        for finding in &findings {
            let state = finding.state.as_str();
            let state = out.paint.state(&format!("{state:<4}"), state);
            out.line(format_args!("{state}  {:<16}  {}", finding.name, finding.found))?;
            if let Some(fix) = &finding.fix {
                out.line(format_args!("      {:<16}  {} {fix}", "", out.paint.bold("fix:")))?;
            }
        }
    } else {
        let all: Vec<Value> = findings.iter().map(|finding| finding.to_json()).collect();
        out.json_rows(&json!({"state": worst.as_str(), "checks": all}), "checks")?;
    }
    Ok(if worst == State::Fail {
        Exit::Failed
    } else {
        Exit::Ok
    })
}
