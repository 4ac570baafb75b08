//! A million commands with unique keys, what they cost in memory, and how long a boot over them takes.

use crate::daemon::Daemon;
use crate::load;
use crate::table::{Row, Table, progress};
use crate::wire::{self, connect};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

pub(crate) fn rungs(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let data = folder.join("boot");
    std::fs::create_dir_all(&data)?;
    let count = (1_000_000.0 * scale) as usize;
    let daemon = Daemon::start(actum, &data)?;
    progress(&format!("writing {count} commands with unique keys"));
    let run = runtime.block_on(load::pipelined(daemon.address, count, true))?;
    let used = daemon.used()?;
    let rate = format!("{:.0}/s", count as f64 / run.took.as_secs_f64());
    let mut row = Row::new(format!("memory after {count} commands with unique keys"), rate)
        .reach("≤ 400 MB", used.resident_bytes <= 400_000_000);
    row.memory_bytes = Some(used.resident_bytes);
    table.add(row);
    daemon.stop()?;

    let (with, mut row) = boot(&runtime, actum, &data, "boot with snapshot")?;
    row = row.reach("≤ 0.5 s", with.seconds <= 0.5);
    table.add(row);
    let snapshots = data.join("snapshots");
    for entry in std::fs::read_dir(&snapshots)? {
        std::fs::remove_file(entry?.path())?;
    }
    let (without, mut row) = boot(&runtime, actum, &data, "boot without snapshot")?;
    let rate = without.records as f64 / without.seconds.max(1e-9);
    row.value = format!(
        "{:.2} s, {} records, {rate:.0} records/s",
        without.seconds, without.records
    );
    table.add(row.reach("≥ 400,000 records/s", rate >= 400_000.0));
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

pub(crate) struct Boot {
    records: u64,
    seconds: f64,
}

/// Boots once and asks the daemon what it found. Its own count includes opening, recovery and the boot record.
pub(crate) fn boot(
    runtime: &tokio::runtime::Runtime,
    actum: &Path,
    data: &Path,
    name: &str,
) -> Result<(Boot, Row)> {
    let daemon = Daemon::start(actum, data)?;
    let recovery = runtime.block_on(async {
        let (mut read, mut write) = connect(daemon.address).await?;
        write.put(br#"{"type":"server.recovery"}"#);
        write.flush().await?;
        loop {
            let message = read.next().await?;
            if wire::check(&message).is_ok() {
                return anyhow::Ok(serde_json::from_slice::<Value>(&message)?);
            }
        }
    })?;
    let number = |name: &str| recovery.pointer(&format!("/data/{name}")).and_then(Value::as_u64);
    let records = number("recordsRead").context("no recordsRead")?;
    let seconds = number("durationMs").context("no durationMs")? as f64 / 1e3;
    let mut row = Row::new(name, format!("{seconds:.3} s, {records} records read"));
    row.memory_bytes = Some(daemon.used()?.resident_bytes);
    row.p50 = Some(daemon.started_in);
    daemon.stop()?;
    Ok((Boot { records, seconds }, row))
}
