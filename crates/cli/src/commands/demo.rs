//! `actum demo`: the flags of the demo. The demo itself is in `demo`.

use crate::context::Context;
use crate::demo;
use crate::failure::Done;
use clap::Args as ClapArgs;

/// Flags of `demo`.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    /// Keep the folder, to look at the data afterwards
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    demo::run(args.keep, context)
}
