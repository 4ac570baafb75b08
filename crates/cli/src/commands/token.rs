//! `actum token`: named tokens of a data directory. A token is shown once; its hash is kept.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::table;
use actum_daemon::access::tokens::{self, TokenEntry};
use actum_model::time;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

/// Flags of `token`.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Makes a token and shows it, once
    #[command(after_help = "Example:\n  export ACTUM_TOKEN=$(actum token create ci)")]
    Create {
        /// Its name: the principal its bearer acts as
        name: String,
        /// The tenant of its bearer
        #[arg(long, default_value = "main")]
        tenant: String,
    },
    /// Lists the tokens by name
    List,
    /// Revokes a token; connections made with it end
    Revoke {
        /// Its name
        name: String,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let out = &context.out;
    match &args.what {
        What::Create { name, tenant } => {
            let made = tokens::create(&context.data, name, tenant)?;
            if out.human() {
                // Only the token stands on standard output, so that a script can take it.
                out.say(format_args!(
                    "token `{name}`; it is shown once and kept as a hash:"
                ));
                out.line(&made.token)?;
            } else {
                out.json(&json!({"token": made.token, "name": name, "tenant": tenant}))?;
            }
        }
        What::List => list(&tokens::list(&context.data)?, context)?,
        What::Revoke { name } => {
            let gone = tokens::revoke(&context.data, name)?;
            if out.human() {
                out.line(format_args!("token `{name}` is revoked"))?;
            } else {
                out.json(&row(&gone))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn row(entry: &TokenEntry) -> Value {
    json!({"name": entry.name, "tenant": entry.tenant, "createdAt": time::rfc3339(entry.created_at_ms)})
}

fn list(entries: &[TokenEntry], context: &Context) -> Result<(), crate::failure::Failure> {
    let out = &context.out;
    if !out.human() {
        return out.json_rows(
            &json!({"tokens": entries.iter().map(row).collect::<Vec<_>>()}),
            "tokens",
        );
    }
    if entries.is_empty() {
        out.say("no tokens; make one with `actum token create NAME`");
        return Ok(());
    }
    let mut table = table::table(out, &["NAME", "TENANT", "CREATED"]);
    for entry in entries {
        let created = crate::shape::short_time(&time::rfc3339(entry.created_at_ms));
        table.add_row([entry.name.as_str(), &entry.tenant, &created]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))
}
