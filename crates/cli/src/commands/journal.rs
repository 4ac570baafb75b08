//! `actum journal`: a look at the files, an explicit repair, compaction. Repair and compaction want the data
//! directory for themselves.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure, chain};
use crate::{offline, shape, table};
use actum_engine::Recovery;
use actum_journal::{Inspection, Options, RepairError, SnapshotMeta, Storage, StorageError, inspect, repair};
use actum_kernel::state_digest;
use actum_model::{ErrorCode, Fault};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};
use std::sync::Arc;

/// Flags of `journal`.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Shows segments, snapshots and what is wrong with them; changes nothing
    #[command(after_help = "Example:\n  actum journal inspect")]
    Inspect,
    /// Keeps the records up to one and cuts all behind it, keeping a copy of what is cut
    #[command(after_help = "Example:\n  actum journal repair --to 1041")]
    Repair {
        /// The last record to keep
        #[arg(long, value_name = "IDX")]
        to: u64,
    },
    /// Takes a snapshot, removes segments that two snapshots cover, and blobs that nothing names any more
    #[command(after_help = "Example:\n  actum journal compact")]
    Compact,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    match args.what {
        What::Inspect => look(context),
        What::Repair { to } => cut(to, context),
        What::Compact => compact(context),
    }
}

fn look(context: &Context) -> Done {
    let reading = offline::reading(context)?;
    let view = inspect(&reading.storage)?;
    if context.out.human() {
        print(&view, context)?;
    } else {
        context.out.json(&to_json(&view))?;
    }
    match view.problems.iter().find(|problem| problem.acknowledged) {
        Some(problem) if !reading.growing => {
            let fault = Fault::new(
                ErrorCode::JournalDamaged,
                format!("{}: {}", problem.place, problem.what),
            );
            Err(match problem.place.idx.checked_sub(1) {
                Some(last) => fault.with_hint(format!(
                    "restore a backup, or cut what is behind it with `actum journal repair --to {last}`, which keeps a copy"
                )),
                None => fault.with_hint("restore a backup: nothing before the damage is whole"),
            }
            .into())
        }
        _ => Ok(Exit::Ok),
    }
}

fn print(view: &Inspection, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let mut table = table::table(
        out,
        &["SEGMENT", "RECORDS", "FIRST", "LAST", "USED", "SIZE", "TERM"],
    );
    for segment in &view.segments {
        let header = segment.header;
        let first = header.map(|header| header.first_idx);
        let last = first
            .and_then(|first| (first + segment.frames).checked_sub(1))
            .filter(|_| segment.frames > 0);
        let show = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
        table.add_row([
            segment.name.clone(),
            segment.frames.to_string(),
            show(first),
            show(last),
            shape::bytes(segment.end),
            shape::bytes(segment.file_bytes),
            show(header.map(|header| header.term)),
        ]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    let mut pairs = vec![("leaves", shape::grouped(view.leaves))];
    for (name, state) in &view.snapshots {
        let state = match state {
            Ok(idx) => format!("{name}: whole, state after record {idx}"),
            Err(why) => format!("{name}: unfit, {why}"),
        };
        pairs.push(("snapshot", state));
    }
    let ended = match view.clean {
        Some(records) => format!("in order, with {}", shape::count(records, "record")),
        None => "not in order, or a daemon is running".to_owned(),
    };
    pairs.push(("last end", ended));
    for problem in &view.problems {
        let kind = if problem.acknowledged {
            "acknowledged data"
        } else {
            "never acknowledged, is cut at the next start"
        };
        pairs.push(("problem", format!("{}: {} ({kind})", problem.place, problem.what)));
    }
    out.line("")?;
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}

fn to_json(view: &Inspection) -> Value {
    let segments: Vec<Value> = view
        .segments
        .iter()
        .map(|segment| {
            json!({
                "name": segment.name,
                "firstIdx": segment.header.map(|header| header.first_idx),
                "records": segment.frames,
                "usedBytes": segment.end,
                "fileBytes": segment.file_bytes,
                "durableThrough": segment.durable_through,
                "term": segment.header.map(|header| header.term),
            })
        })
        .collect();
    let snapshots: Vec<Value> = view
        .snapshots
        .iter()
        .map(|(name, state)| match state {
            Ok(idx) => json!({"name": name, "idx": idx, "whole": true}),
            Err(why) => json!({"name": name, "whole": false, "why": why}),
        })
        .collect();
    let problems: Vec<Value> = view
        .problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.place.file, "offset": problem.place.offset, "idx": problem.place.idx,
                "what": problem.what, "acknowledged": problem.acknowledged,
            })
        })
        .collect();
    json!({"segments": segments, "snapshots": snapshots, "leaves": view.leaves, "closedWithRecords": view.clean,
        "problems": problems})
}

fn cut(to: u64, context: &Context) -> Done {
    let storage = offline::writing(context)?;
    let done = repair(&storage, to).map_err(|error| match error {
        RepairError::Storage(error) => Failure::from(error),
        RepairError::Damaged { .. } => Failure::new(ErrorCode::JournalDamaged, chain(&error))
            .hint("name an earlier record: `actum journal inspect` shows how far the records are whole"),
        RepairError::OutOfRange { .. } => Failure::usage(chain(&error))
            .hint("`actum journal inspect` shows the first and last record of each segment"),
    })?;
    let out = &context.out;
    if !out.human() {
        out.json(&json!({"head": done.head, "bytesCut": done.bytes_cut, "changed": done.changed, "copies": done.copies}))?;
        return Ok(Exit::Ok);
    }
    out.line(format_args!(
        "{}: record {to} is the last one now",
        context.data.display()
    ))?;
    let pairs = [
        ("cut", shape::bytes(done.bytes_cut)),
        ("changed", done.changed.join("\n")),
        ("copies", done.copies.join("\n")),
    ];
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    Ok(Exit::Ok)
}

fn compact(context: &Context) -> Done {
    let storage: Arc<dyn Storage> = Arc::new(offline::writing(context)?);
    let mut recovery = Recovery::thorough();
    let opened = actum_journal::open(Arc::clone(&storage), &Options::default(), &mut recovery)?;
    let state = recovery.finish().state;
    let Some((idx, hash)) = opened.report.head else {
        return Err(Failure::new(
            ErrorCode::DataMissing,
            "the journal holds no record yet",
        ));
    };
    let (digest, _) = state_digest(&state);
    let frontier = opened.tree.frontier(idx + 1)?;
    let meta = SnapshotMeta {
        idx,
        term: state.term,
        hash,
        frontier,
        state_digest: digest,
    };
    let pieces = state.pieces().map(|piece| vec![piece]);
    opened
        .keeper
        .put_snapshot(&meta, pieces)
        .map_err(|error| Failure::new(ErrorCode::Internal, chain(&error)).hint("check the disk"))?;
    let before = stored(storage.as_ref())?;
    let done = opened.keeper.compact()?;
    let after = stored(storage.as_ref())?;
    // Nothing is in flight: the lock is held here, and no daemon runs.
    let keep = offline::blobs::named(&opened.reader, idx, &state, &opened.blobs)
        .map_err(|error| Failure::new(ErrorCode::JournalDamaged, chain(&error)))?;
    let blobs = opened.keeper.sweep_blobs(&keep)?;
    opened
        .writer
        .close()
        .map_err(|error| Failure::new(ErrorCode::JournalPoisoned, chain(&error)))?;
    let out = &context.out;
    if !out.human() {
        out.json(
            &json!({"snapshotIdx": idx, "digest": digest.to_string(), "segmentsRemoved": done.segments,
            "blobsRemoved": blobs, "firstIdx": done.first_idx, "bytesFreed": before.saturating_sub(after)}),
        )?;
        return Ok(Exit::Ok);
    }
    out.line(format_args!(
        "{}: snapshot taken, {} and {} removed",
        context.data.display(),
        shape::count(done.segments, "segment"),
        shape::count(blobs, "blob")
    ))?;
    let mut pairs = vec![
        ("snapshot", format!("state after record {idx}, digest {digest}")),
        ("first record", done.first_idx.to_string()),
        ("freed", shape::bytes(before.saturating_sub(after))),
    ];
    if done.segments == 0 {
        pairs.push((
            "why none",
            "only whole segments go that the older of two snapshots covers".to_owned(),
        ));
    }
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    Ok(Exit::Ok)
}

/// Bytes of the segments.
fn stored(storage: &dyn Storage) -> Result<u64, StorageError> {
    let mut bytes = 0;
    for name in storage.list(actum_journal::Area::Journal)? {
        bytes += storage.size(actum_journal::Area::Journal, &name)?.unwrap_or(0);
    }
    Ok(bytes)
}
