//! `actum export`: the history as NDJSON, with what is needed to compare it with the journal it came from.
//!
//! The first line says what it is, the last what it ended with; between them one line for each record. What was
//! redacted when it was submitted is redacted here, and the rules of this version are applied to all of it once more:
//! they may be stricter than those a record was written under. `--redact` takes out everything people wrote or
//! programs said.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::offline::walk::{BUILD, Next, Passing, Plan, walk};
use crate::offline::{self, rows};
use crate::shape;
use actum_daemon::personal;
use actum_daemon::redact::{Rules, export_row};
use actum_journal::{Storage, verify};
use actum_model::time;
use actum_record::redact::{ByName, Class, Redact};
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version of the lines written here.
const EXPORT_VERSION: u32 = 1;
/// Members that hold what people wrote or programs said. Ids, kinds, times, outcomes and hashes stay.
const CONTENT: [&str; 9] = [
    "payload", "data", "value", "note", "message", "details", "hint", "key", "node",
];

/// Flags of `export`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum export --out history.ndjson\n  actum export --redact | gzip > share.ndjson.gz"
)]
pub(crate) struct Args {
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave out arguments, output, notes and messages; keep ids, times, outcomes and hashes
    #[arg(long)]
    redact: bool,
    /// Open the personal values that are not erased: the export then holds what the history only refers to
    #[arg(long, conflicts_with = "redact")]
    reveal_personal: bool,
    /// The rules of data classes, applied to older records too [default: classes.json of the data directory]
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Begin with the newest snapshot instead of record 0
    #[arg(long)]
    from_snapshot: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let reading = offline::reading(context)?;
    let whole = verify(&reading.storage)?;
    let redactor = args.redact.then(|| {
        ByName::new(
            CONTENT.map(|name| (name.to_owned(), Class::Internal)),
            Class::Public,
        )
    });
    let rules = match &args.classes {
        Some(path) => Rules::read(path)?,
        None => Rules::of(&context.data)?,
    };
    let mut revealed = None;
    if args.reveal_personal {
        revealed = Some(Revealed {
            data: context.data.clone(),
            storage: Arc::new(offline::reading(context)?.storage),
            opened: 0,
            erased: 0,
        });
        context
            .out
            .say("warning: --reveal-personal writes personal values in clear; erasing a subject does not reach this copy");
    }
    let mut sink = Sink::open(args.out.as_deref(), context)?;
    sink.line(&json!({
        "type": "export", "version": EXPORT_VERSION, "program": BUILD,
        "realm": whole.realm.map(|realm| realm.to_string()),
        "firstIdx": whole.first_idx, "redacted": args.redact, "personalRevealed": args.reveal_personal,
    }))?;
    let plan = Plan {
        from_snapshot: args.from_snapshot,
        verify: false,
    };
    let mut head = None;
    let walked = walk(&reading, plan, &mut |passing| {
        head = Some((passing.head.idx, passing.hash));
        let mut content = content(passing, redactor.as_ref(), &rules);
        if let Some(revealed) = &mut revealed {
            revealed.reveal(&mut content)?;
        }
        sink.line(&row(passing, content))?;
        Ok(Next::Go)
    })?;
    sink.line(&json!({
        "type": "end", "records": walked.records,
        "headIdx": head.map(|(idx, _)| idx),
        "headHash": head.map(|(_, hash)| hash.to_string()),
        "stateDigest": walked.digest.to_string(),
    }))?;
    sink.finish()?;
    if let Some(revealed) = &revealed {
        context.out.say(format_args!(
            "{} opened and written in clear, {} erased",
            shape::count(revealed.opened, "personal value"),
            revealed.erased
        ));
    }
    if let Some(path) = &args.out {
        let records = shape::count(walked.records, "record");
        context
            .out
            .say(format_args!("{records} written to {}", path.display()));
    }
    Ok(Exit::Ok)
}

/// Opens personal values on their way out.
struct Revealed {
    data: PathBuf,
    storage: Arc<dyn Storage>,
    opened: u64,
    erased: u64,
}

impl Revealed {
    fn reveal(&mut self, content: &mut Value) -> Result<(), Failure> {
        let (opened, erased) = personal::reveal(&self.data, Arc::clone(&self.storage), content)?;
        self.opened += opened;
        self.erased += erased;
        Ok(())
    }
}

/// What stands in a record, as it may leave.
fn content(passing: &Passing<'_>, redactor: Option<&ByName>, rules: &Rules) -> Value {
    let events: Value = passing.events.iter().map(rows::event).collect();
    let mut content = json!({"input": rows::input(passing.input), "events": events});
    // Both at once: what is found in one of them is taken out of the other too.
    export_row(&mut content, rules);
    rules.export(&mut content, redactor.is_some());
    if let Some(redactor) = redactor {
        redactor.redact(&mut content);
    }
    content
}

fn row(passing: &Passing<'_>, mut content: Value) -> Value {
    let mut part = |name: &str| content.get_mut(name).map(Value::take).unwrap_or_default();
    json!({
        "type": "record",
        "idx": passing.head.idx,
        "at": time::rfc3339(passing.head.at),
        "elapsedMs": passing.head.elapsed,
        "hash": passing.hash.to_string(),
        "input": part("input"),
        "events": part("events"),
    })
}

/// Where the lines go: standard output, or a file that appears whole or not at all.
enum Sink<'a> {
    Standard(&'a Context),
    File {
        path: &'a Path,
        aside: PathBuf,
        file: BufWriter<std::fs::File>,
    },
}

impl<'a> Sink<'a> {
    fn open(path: Option<&'a Path>, context: &'a Context) -> Result<Sink<'a>, Failure> {
        let Some(path) = path else {
            return Ok(Sink::Standard(context));
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let aside = path.with_file_name(name);
        // The history may hold what is nobody else's business.
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside);
        let file = BufWriter::new(file.map_err(|error| Failure::io("create", &aside, &error))?);
        Ok(Sink::File { path, aside, file })
    }

    fn line(&mut self, value: &Value) -> Result<(), Failure> {
        match self {
            Sink::Standard(context) => context.out.line(value),
            Sink::File { aside, file, .. } => {
                writeln!(file, "{value}").map_err(|error| Failure::io("write", aside, &error))
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        let Sink::File {
            path,
            aside,
            mut file,
        } = self
        else {
            return Ok(());
        };
        let done = file
            .flush()
            .and_then(|()| file.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&aside, path));
        done.map_err(|error| Failure::io("write", path, &error))
    }
}
