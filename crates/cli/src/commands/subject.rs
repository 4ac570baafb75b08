//! `actum subject`: whom personal values are about: which subjects have a key, and the erasure of one.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::text;
use actum_daemon::personal;
use actum_model::ErrorCode;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

/// Flags of `subject`.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Destroys the key of a subject, and with it every personal value kept under it; it is on the record
    #[command(after_help = "Example:\n  actum subject erase customer-1138")]
    Erase {
        /// Its name, or the form in which `subject list` shows it
        subject: String,
        /// The id of the command, so that sending it again is answered and not done again
        #[arg(long)]
        id: Option<String>,
    },
    /// Lists the subjects that have a key; only keyed hashes of their names are kept
    List,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    match &args.what {
        What::Erase { subject, id } => erase(subject, id.as_deref(), context),
        What::List => list(context),
    }
}

fn erase(subject: &str, id: Option<&str>, context: &Context) -> Done {
    let own_id = match id {
        Some(id) => id.to_owned(),
        None => mint::fresh("erase")?,
    };
    let answer = block_on(async {
        let envelope = json!({"type": "subject.erase", "id": own_id, "payload": {"subject": subject}});
        Remote::connect(context).await?.submit(&envelope).await
    })?;
    let out = &context.out;
    if !out.human() {
        out.json(&answer)?;
    }
    let data = data_of(answer)?;
    if out.human() {
        match text(&data, "key") {
            "" => out.line("there was no key to destroy: nothing is kept under this name")?,
            _ => out.line("its key is destroyed: what was kept under it cannot be read any more")?,
        }
        out.line(format_args!(
            "on the record as {}, command {own_id}",
            text(&data, "subject")
        ))?;
    }
    Ok(Exit::Ok)
}

fn list(context: &Context) -> Done {
    let out = &context.out;
    if !context.data_is_local() || !context.data.is_dir() {
        let message = format!(
            "no data directory is at `{}`; the keys are only listed where they are",
            context.data.display()
        );
        return Err(Failure::new(ErrorCode::DataMissing, message));
    }
    let found = personal::subjects(&context.data)
        .map_err(|error| Failure::io("read", &context.data.join("keys/subjects"), &error))?;
    if !out.human() {
        let rows: Vec<_> = found.iter().map(|subject| json!({"subject": subject})).collect();
        out.json_rows(&json!({"subjects": rows}), "subjects")?;
    } else if found.is_empty() {
        out.say("no subject has a key");
    } else {
        found.iter().try_for_each(|subject| out.line(subject))?;
    }
    Ok(Exit::Ok)
}
