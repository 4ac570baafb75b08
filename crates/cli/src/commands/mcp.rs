//! `actum mcp`: the front door for agents. It only says where the daemon is; the serving is `actum-mcp`'s.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::run::logging;
use actum_mcp::{Options, SessionPlan, Target, WAIT_MS_DEFAULT};
use actum_model::limits::WAIT_MS_MAX;
use actum_model::{ErrorCode, Fault, SessionId};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Flags of `mcp`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  claude mcp add actum -- actum mcp --data /srv/actum\n  \
    actum mcp --url http://127.0.0.1:4040 --token \"$TOKEN\"\n\n\
    A client that takes JSON: {\"mcpServers\": {\"actum\": {\"command\": \"actum\", \"args\": [\"mcp\", \"--data\", \"/srv/actum\"]}}}"
)]
pub(crate) struct Args {
    /// Work in this session and leave it as it is at the end; a session of its own if absent
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// What programs of a new session may see of files
    #[arg(long, value_name = "PROFILE", value_parser = ["pure", "read", "workspace"])]
    profile: Option<String>,
    /// The folder programs of a new session may write, beneath one that the operator granted
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// How long a call waits for its command before it answers that it goes on
    #[arg(long, value_name = "MS", default_value_t = WAIT_MS_DEFAULT, value_parser = clap::value_parser!(u64).range(0..=WAIT_MS_MAX))]
    wait_ms: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    logging::start(context);
    let options = options(args)?;
    let finder = context.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(ErrorCode::Internal, format!("no runtime: {error}")))?;
    let served = runtime.block_on(actum_mcp::serve(options, move || target(&finder)));
    // A thread may wait for standard input for ever.
    runtime.shutdown_background();
    match served {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => Err(error.to_fault().into()),
    }
}

fn options(args: &Args) -> Result<Options, Failure> {
    if let Some(id) = &args.session {
        SessionId::parse(id).map_err(|error| Failure::usage(format!("--session: {error}")))?;
    }
    let workspace = match &args.workspace {
        None => None,
        Some(folder) => {
            let whole = std::path::absolute(folder).map_err(|error| Failure::io("find", folder, &error))?;
            let text = whole.to_str().map(str::to_owned);
            Some(text.ok_or_else(|| Failure::usage("--workspace: expected a path in UTF-8"))?)
        }
    };
    Ok(Options {
        session: SessionPlan {
            id: args.session.clone(),
            profile: args.profile.clone(),
            workspace,
        },
        wait_ms: args.wait_ms,
    })
}

/// Where the daemon is now: it may be restarted while a client is served.
fn target(context: &Context) -> Result<Target, Fault> {
    match context.daemon_url() {
        Ok(url) => Ok(Target {
            url,
            token: context.token.clone(),
        }),
        Err(Failure::Fault(fault)) => Err(start_one(*fault, context)),
        Err(Failure::ReaderGone) => Err(Fault::new(ErrorCode::Internal, "no address of a daemon")),
    }
}

fn start_one(fault: Fault, context: &Context) -> Fault {
    let data = std::path::absolute(&context.data).unwrap_or_else(|_| context.data.clone());
    fault.with_hint(format!(
        "start one with `actum dev --data {data}`, or say where one is: --data DIR or --url URL",
        data = data.display()
    ))
}
