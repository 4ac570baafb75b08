//! Code in sessions: latency, throughput, output, stopping, starting, memory, and their end with the daemon, over the real API of a real daemon whose
//! sessions run in the full cage, beside interpreters without any of it.

mod floors;
mod killed;
mod memory;
mod session;
mod start;

use crate::table::Table;
use anyhow::Result;
use std::path::Path;

/// All rungs of the section.
pub(crate) fn rungs(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    table.section("execution");
    floors::rungs(folder, scale, table)?;
    session::rungs(actum, folder, scale, table)?;
    start::rungs(actum, scale, table)?;
    memory::rung(actum, folder, scale, table)?;
    killed::rung(actum, folder, scale, table)
}
