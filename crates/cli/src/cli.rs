//! The command line: its flags, its help, its exit codes.

use crate::commands;
use crate::context::{Context, Global};
use crate::failure::{Done, Exit, Failure};
use crate::print::{Format, Out};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The commands by what they are for. A test holds it to the commands there are.
const GROUPS: &str = "\
Run a daemon:
  dev          for your own machine: callers on it need no token
  serve        for others too: every caller needs a token
  mcp          for AI agents: an MCP server over standard input and output
  demo         see a piece of agent work carried out, killed, recovered, proved
  doctor       check this machine and the data directory

Do things:
  run          a program in the cage, its output and exit code here
  py           Python code, or a prompt with -i
  sh           lines of a shell that keeps its names, or a prompt with -i
  submit       commands from a file, one JSON object a line
  call         one command
  cancel       cancel a command
  resolve      say what became of a command in doubt
  session      list, show, create, attach, close sessions, checkpoints, input
  promise      durable promises: create, list, show, wait, resolve, reject, cancel
  graph        a view of the graph; export, import
  rewrites     what changed a view
  sws          shadow working sets: create, list, diff, collapse, discard
  subject      whom personal values are about: list, erase
  timer        set, list, cancel timers

Look:
  history      what was done, with lane, sequence and outcome
  show         one command: arguments, output, outcome
  why          why a command stands where it stands
  wait         wait for a command's outcome
  events       follow what happens
  recovery     what the last start found
  now          the time of the history
  ticks        the last ticks of the history
  pool         the warm interpreters and the sessions that live
  blob         a sealed output by its hash

Prove (no daemon needed):
  verify       is the history whole
  replay       rebuild the state; with --verify decide everything again
  export       the history as NDJSON
  journal      inspect, repair, compact

Reference:
  commands     every kind of command and its arguments
  explain      what an error code means
  graphql      the GraphQL schema
  token        named tokens: create, list, revoke
  completions  completions for a shell
";

const EXITS: &str = "\
Exit codes:
  0  done
  1  refused or failed
  2  something broke that should not: a poisoned journal, a bug
  3  not over: in doubt, or still running

`run`, `py` and `sh` end with the code of what they ran: see `actum run --help`.

Environment: ACTUM_DATA, ACTUM_URL, ACTUM_TOKEN, ACTUM_LOG (a log filter such as `info`), NO_COLOR.";

const TEMPLATE: &str = "{about}\n\n{usage-heading} {usage}\n\n{before-help}{options}{after-help}\n";

/// Carries out what agents and automation ask for, under rules, with one append-only history as the only truth.
#[derive(Parser, Debug)]
#[command(
    name = "actum", version, propagate_version = true, help_template = TEMPLATE,
    before_help = GROUPS, after_help = EXITS, subcommand_required = true, arg_required_else_help = true,
    disable_help_subcommand = true,
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a daemon for your own machine: callers on it need no token
    Dev(commands::daemon::DevArgs),
    /// Run a daemon that wants a token from every caller
    Serve(commands::daemon::ServeArgs),
    /// Serve AI agents: an MCP server over standard input and output, for a daemon that runs
    ///
    /// An MCP client starts this command; each of its tool calls is a command of the daemon, recorded with its outcome,
    /// in a session of the connection. Standard output carries the protocol and nothing else. Ends when the client does.
    Mcp(commands::mcp::Args),
    /// See a real piece of agent work carried out, killed, recovered and proved; takes less than 20 seconds
    ///
    /// The work is finding and repairing a bug in a small Python project, in a temporary folder. In the middle of a step
    /// that must not happen twice the daemon is killed with SIGKILL and started again; what it finds, how the work is
    /// finished, and the proof of its history are shown. Needs Python 3; no network and no keys.
    ///
    /// Ends with 0 only if all of it happened.
    Demo(commands::demo::Args),
    /// Check this machine and the data directory, with a fix for what is wrong
    Doctor(commands::doctor::Args),
    /// Run a program in the cage: its output on this terminal, its exit code as this one
    Run(commands::run::Args),
    /// Run Python code in a session, or with -i a prompt that keeps one
    Py(commands::py::Args),
    /// Run lines of a shell in a session that keeps its names and folder, or with -i a prompt
    Sh(commands::py::Args),
    /// Submit commands from a file, one JSON object a line
    Submit(commands::submit::Args),
    /// Submit one command
    Call(commands::call::Args),
    /// Cancel a command; one that runs is stopped with its whole process tree
    Cancel(commands::cancel::Args),
    /// End a command in doubt with what you found out, on the record
    Resolve(commands::resolve::Args),
    /// List, show, create, attach to and close sessions; checkpoints, input, interrupts
    Session(commands::session::Args),
    /// Durable promises: values that are still to come and outlive whoever waits
    Promise(commands::promise::Args),
    /// Show the warm interpreters and the sessions that live
    Pool(commands::pool::Args),
    /// List the subjects of personal values, and erase one
    Subject(commands::subject::Args),
    /// Show a view of the graph, export it, import into it
    Graph(commands::graph::Args),
    /// List the rewrite log of a view
    Rewrites(commands::rewrites::Args),
    /// Shadow working sets: create, list, show, diff, collapse, rebase, discard
    Sws(commands::sws::Args),
    /// Set, list and cancel timers, which may submit a command when they fire
    Timer(commands::timer::Args),
    /// List what was done, with lane, sequence and outcome
    History(commands::history::Args),
    /// Show one command: arguments, output, outcome
    Show(commands::show::Args),
    /// Explain why a command stands where it stands
    Why(commands::why::Args),
    /// Wait until a command has its outcome
    Wait(commands::wait::Args),
    /// Follow what happens
    Events(commands::events::Args),
    /// Tell what the last start of the daemon found and how it took it up
    Recovery(commands::recovery::Args),
    /// Tell the time of the history, what it rests on and how sure it is
    Now(commands::now::Args),
    /// List the last ticks of the history
    Ticks(commands::ticks::Args),
    /// Write a sealed output by its hash
    Blob(commands::blob::Args),
    /// Verify that the history is whole: frames, sequence, hash chain, tree, snapshots; works without a daemon
    Verify(commands::verify::Args),
    /// Rebuild the state from the history; never executes anything, works without a daemon
    Replay(commands::replay::Args),
    /// Write the history as NDJSON; works without a daemon
    Export(commands::export::Args),
    /// Inspect, repair and compact the journal
    Journal(commands::journal::Args),
    /// List the kinds of commands a daemon takes
    Commands(commands::kinds::Args),
    /// Explain an error code
    Explain(commands::explain::Args),
    /// Print the GraphQL schema of a daemon
    Graphql(commands::graphql::Args),
    /// Create, list and revoke named tokens
    Token(commands::token::Args),
    /// Write completions for a shell
    Completions(commands::completions::Args),
}

impl Command {
    fn run(&self, context: &Context) -> Done {
        match self {
            Command::Dev(args) => commands::daemon::dev(args, context),
            Command::Serve(args) => commands::daemon::serve(args, context),
            Command::Mcp(args) => commands::mcp::run(args, context),
            Command::Demo(args) => commands::demo::run(args, context),
            Command::Doctor(args) => commands::doctor::run(args, context),
            Command::Run(args) => commands::run::run(args, context),
            Command::Py(args) => commands::py::py(args, context),
            Command::Sh(args) => commands::py::sh(args, context),
            Command::Submit(args) => commands::submit::run(args, context),
            Command::Call(args) => commands::call::run(args, context),
            Command::Cancel(args) => commands::cancel::run(args, context),
            Command::Resolve(args) => commands::resolve::run(args, context),
            Command::Session(args) => commands::session::run(args, context),
            Command::Promise(args) => commands::promise::run(args, context),
            Command::Pool(args) => commands::pool::run(args, context),
            Command::Graph(args) => commands::graph::run(args, context),
            Command::Rewrites(args) => commands::rewrites::run(args, context),
            Command::Sws(args) => commands::sws::run(args, context),
            Command::Subject(args) => commands::subject::run(args, context),
            Command::Timer(args) => commands::timer::run(args, context),
            Command::History(args) => commands::history::run(args, context),
            Command::Show(args) => commands::show::run(args, context),
            Command::Why(args) => commands::why::run(args, context),
            Command::Wait(args) => commands::wait::run(args, context),
            Command::Events(args) => commands::events::run(args, context),
            Command::Recovery(args) => commands::recovery::run(args, context),
            Command::Now(args) => commands::now::run(args, context),
            Command::Ticks(args) => commands::ticks::run(args, context),
            Command::Blob(args) => commands::blob::run(args, context),
            Command::Verify(args) => commands::verify::run(args, context),
            Command::Replay(args) => commands::replay::run(args, context),
            Command::Export(args) => commands::export::run(args, context),
            Command::Journal(args) => commands::journal::run(args, context),
            Command::Commands(args) => commands::kinds::run(args, context),
            Command::Explain(args) => commands::explain::run(args, context),
            Command::Graphql(args) => commands::graphql::run(args, context),
            Command::Token(args) => commands::token::run(args, context),
            Command::Completions(args) => commands::completions::run(args, context),
        }
    }
}

/// Reads the command line, does what it says, gives the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let context = Context::new(cli.global);
    let exit = match cli.command.run(&context) {
        Ok(exit) => exit,
        Err(failure) => {
            if let Failure::Fault(fault) = &failure {
                context.out.fault(fault);
            }
            failure.exit()
        }
    };
    exit.into()
}

/// Shows help, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    let out = Out::new(Format::Human);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = error.render();
            let text = if out.paint.0 {
                text.ansi().to_string()
            } else {
                text.to_string()
            };
            let _closed = out.line(text.trim_end());
            Exit::Ok.into()
        }
        kind => {
            let text = error.render();
            let text = if out.paint_err.0 {
                text.ansi().to_string()
            } else {
                text.to_string()
            };
            let shown = if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                text
            } else {
                text.replacen("error:", "error[INVALID_INPUT]:", 1)
            };
            out.say(shown.trim_end());
            Exit::Failed.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_overview_names_every_command_and_no_other() {
        let named: Vec<&str> = GROUPS
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
            .collect();
        let command = Cli::command();
        let mut there: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        for name in &there {
            assert!(named.contains(name), "`{name}` is missing in the overview");
        }
        there.sort_unstable();
        let mut named = named;
        named.sort_unstable();
        assert_eq!(named, there);
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
