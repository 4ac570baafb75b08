//! `actum completions`: the script that lets a shell complete commands and flags.

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::{Done, Exit};
use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

/// Flags of `completions`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum completions bash > ~/.local/share/bash-completion/completions/actum\n  \
    actum completions zsh > \"${fpath[1]}/_actum\"\n  actum completions fish > ~/.config/fish/completions/actum.fish"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "actum", &mut script);
    context.out.bytes(&script)?;
    Ok(Exit::Ok)
}
