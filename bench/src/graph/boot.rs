//! Boots over a realm whose System has a million nodes, and the first rewrite after each.

use super::{OPS, rewrite, wire};
use crate::boot::boot;
use crate::daemon::Daemon;
use crate::table::{Row, Table, progress};
use crate::wire::connect;
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Rewrites under way while the realm is filled: each has tens of kilobytes.
const WINDOW: usize = 32;

pub(crate) fn rungs(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let data = folder.join("graph-boot");
    std::fs::create_dir_all(&data)?;
    let nodes = (1_000_000.0 * scale) as u64;
    progress(&format!("writing a graph of {nodes} nodes"));
    // A snapshot when all is written; by default one comes after more records than these.
    let records = (nodes.div_ceil(OPS as u64) + 3).to_string();
    let daemon = Daemon::start_with(actum, &data, &["--snapshot-every", &records])?;
    let took = runtime.block_on(async {
        wire::command(daemon.address, r#"{"type":"sws.create"}"#).await?;
        let took = fill(daemon.address, nodes).await?;
        wire::command(
            daemon.address,
            r#"{"type":"sws.collapse","payload":{"swsId":"0"}}"#,
        )
        .await?;
        wire::command(daemon.address, r#"{"type":"sws.create"}"#).await?;
        anyhow::Ok(took)
    })?;
    let used = daemon.used()?;
    let mut row = Row::new(
        format!("daemon with {nodes} nodes, its log and receipts"),
        format!("written at {:.0} nodes/s", nodes as f64 / took.as_secs_f64()),
    );
    row.memory_bytes = Some(used.resident_bytes);
    table.add(row);
    await_snapshot(&data)?;
    daemon.stop()?;

    let mut next = nodes;
    for (name, has_snapshot) in [("with snapshot", true), ("without snapshot", false)] {
        if !has_snapshot {
            for entry in std::fs::read_dir(data.join("snapshots"))? {
                std::fs::remove_file(entry?.path())?;
            }
        }
        let name = format!("boot with a graph of {nodes} nodes, {name}");
        let (_, row) = boot(&runtime, actum, &data, &name)?;
        table.add(row);
        // That boot ended in order; what the next one finds is the same but for two records.
        let daemon = Daemon::start(actum, &data)?;
        let mut times = Vec::new();
        for _ in 0..2 {
            let text = rewrite(1, next..next + 1);
            times.push(runtime.block_on(wire::command(daemon.address, &text))?);
            next += 1;
        }
        daemon.stop()?;
        if let [first, second] = times.as_slice() {
            let ms = |time: &Duration| time.as_secs_f64() * 1e3;
            table.add(Row::new(
                "  the first rewrite after it, over HTTP",
                format!("{:.1} ms, the second {:.2} ms", ms(first), ms(second)),
            ));
        }
    }
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

/// Waits until the snapshot that is due is written, which happens beside the daemon's work.
fn await_snapshot(data: &Path) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let entries = std::fs::read_dir(data.join("snapshots")).into_iter().flatten();
        let mut names = entries.flatten().map(|entry| entry.file_name());
        if names.any(|name| !name.to_string_lossy().ends_with(".tmp")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("no snapshot was written")
}

/// Adds nodes to shadow working set 0 in rewrites of the largest size, some of them under way at a time.
async fn fill(address: SocketAddr, nodes: u64) -> Result<Duration> {
    let (mut read, mut write) = connect(address).await?;
    let begun = Instant::now();
    let (mut from, mut open) = (0, 0);
    while from < nodes || open > 0 {
        while from < nodes && open < WINDOW {
            let to = (from + OPS as u64).min(nodes);
            write.put(rewrite(0, from..to).as_bytes());
            write.flush().await?;
            (from, open) = (to, open + 1);
        }
        open -= read.successes().await?;
    }
    Ok(begun.elapsed())
}
