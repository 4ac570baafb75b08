//! `actum demo`: the flags of the demo. The demo itself is in `demo`.

use crate::context::Context;
use crate::demo;
use crate::failure::Done;
use clap::Args as ClapArgs;

/// Flags of `demo`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    long_about = "Carries out a real piece of agent work, finding and repairing a bug in a small Python project, in a \
    temporary folder. In the middle of a step that must not happen twice the daemon is killed with SIGKILL and started \
    again; what it finds, how the work is finished, and the proof of its history are shown. Needs Python 3; no network \
    and no keys.\n\nEnds with 0 only if all of it happened."
)]
pub(crate) struct Args {
    /// Keep the folder, to look at the data afterwards
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    demo::run(args.keep, context)
}
