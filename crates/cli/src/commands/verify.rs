//! `actum verify`: is the history whole. It executes nothing and changes nothing.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::offline::{self, Reading};
use crate::{shape, table};
use actum_journal::{Verification, verify};
use actum_model::{ErrorCode, Fault};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `verify`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  actum verify --data backup/.actum")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Done {
    let reading = offline::reading(context)?;
    let found = verified(&reading)?;
    if context.out.human() {
        print(&found, &reading, context)?;
    } else {
        context.out.json(&to_json(&found))?;
    }
    if found.whole {
        return Ok(Exit::Ok);
    }
    let first = found.findings.first().map_or("it is not whole", String::as_str);
    let more = found.findings_total.saturating_sub(1);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" (and {more} more)")
    };
    Err(Fault::new(ErrorCode::JournalDamaged, format!("{first}{more}")).into())
}

/// Verifies. Beside a running daemon a half-written end looks like damage; real damage is there the second time too.
pub(crate) fn verified(reading: &Reading) -> Result<Verification, Failure> {
    let mut found = verify(&reading.storage)?;
    if !found.whole && reading.growing {
        let again = verify(&reading.storage)?;
        let both: Vec<String> = again
            .findings
            .iter()
            .filter(|finding| found.findings.contains(finding))
            .cloned()
            .collect();
        found = Verification {
            whole: both.is_empty(),
            findings_total: both.len(),
            findings: both,
            ..again
        };
    }
    Ok(found)
}

fn to_json(found: &Verification) -> Value {
    json!({
        "whole": found.whole,
        "realm": found.realm.map(|realm| realm.to_string()),
        "firstIdx": found.first_idx,
        "records": found.records,
        "headHash": found.head_hash.to_string(),
        "root": found.root.to_string(),
        "snapshots": found.snapshots,
        "tornTail": found.torn,
        "findings": found.findings,
        "findingsTotal": found.findings_total,
    })
}

fn print(found: &Verification, reading: &Reading, context: &Context) -> Result<(), Failure> {
    let (out, paint) = (&context.out, context.out.paint);
    let verdict = if found.whole {
        paint.green("whole")
    } else {
        paint.red("not whole")
    };
    out.line(format_args!("{}: {verdict}", context.data.display()))?;
    let mut records = shape::grouped(found.records);
    if found.first_idx > 0 {
        records = format!(
            "{records}, of which {} were compacted away",
            shape::grouped(found.first_idx)
        );
    }
    let mut pairs = vec![("records", records)];
    if let Some(realm) = found.realm {
        pairs.push(("realm", realm.to_string()));
    }
    if found.whole {
        pairs.push(("head", found.head_hash.to_string()));
        pairs.push(("tree root", found.root.to_string()));
        pairs.push((
            "checked",
            "frames, sequence, hash chain, leaves, tree, snapshots".to_owned(),
        ));
    }
    if !found.snapshots.is_empty() {
        let at: Vec<String> = found
            .snapshots
            .iter()
            .map(|idx| format!("at record {idx}"))
            .collect();
        pairs.push(("snapshots", at.join(", ")));
    }
    if found.torn && !reading.growing {
        pairs.push((
            "torn tail",
            "unacknowledged bytes behind the head, which the next start cuts".to_owned(),
        ));
    }
    if reading.growing {
        pairs.push((
            "in use",
            "a daemon goes on writing; this is how it stood".to_owned(),
        ));
    }
    for finding in &found.findings {
        pairs.push(("finding", finding.clone()));
    }
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}
