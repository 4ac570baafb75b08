//! What idle sessions cost: resident memory of all their processes, shared pages counted once.

use crate::daemon::Daemon;
use crate::table::{Row, Table};
use crate::wire;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// What all of them may take.
const REACH_BYTES: u64 = 1_500_000_000;

pub(super) fn rung(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let data = folder.join("execution-memory");
    std::fs::create_dir_all(&data)?;
    let daemon = Daemon::start(actum, &data)?;
    let count = ((200.0 * scale) as usize).max(10);
    let pids = runtime.block_on(sessions(daemon.address, count, "x = 1"))?;
    let (mut shared_once, mut each) = (0, 0);
    for pid in &pids {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        shared_once += kib(&rollup, "Pss:") * 1024;
        each += kib(&rollup, "Rss:") * 1024;
    }
    daemon.stop()?;
    let mut row = Row::new(
        format!("{count} idle Python sessions, shared pages counted once"),
        format!(
            "{:.1} MB each; {:.0} MB if shared pages count for each",
            shared_once as f64 / count as f64 / 1e6,
            each as f64 / 1e6
        ),
    );
    row.memory_bytes = Some(shared_once);
    let reached = shared_once <= REACH_BYTES;
    table.add(row.reach("≤ 1.5 GB", reached));
    Ok(())
}

/// Makes so many Python sessions, each of which has run this code; gives their processes and the zygote's.
pub(super) async fn sessions(address: SocketAddr, count: usize, code: &str) -> Result<Vec<u64>> {
    let (mut reading, mut writing) = wire::connect(address).await?;
    for number in 0..count {
        let session = format!("idle-{number}");
        for message in [
            json!({"type": "session.create", "sessionId": session, "payload": {"kind": "python"}}),
            json!({"type": "code.run", "sessionId": session, "payload": {"code": code}}),
        ] {
            writing.put(message.to_string().as_bytes());
            writing.flush().await?;
            wire::check(&reading.next().await?)?;
        }
    }
    writing.put(json!({"type": "server.pool"}).to_string().as_bytes());
    writing.flush().await?;
    let pool: Value = serde_json::from_slice(&reading.next().await?)?;
    let rows = pool
        .pointer("/data/sessions")
        .and_then(Value::as_array)
        .context("no sessions")?;
    let mut pids: Vec<u64> = rows.iter().filter_map(|row| row.get("pid")?.as_u64()).collect();
    pids.extend(pool.pointer("/data/pool/zygote/pid").and_then(Value::as_u64));
    Ok(pids)
}

fn kib(rollup: &str, name: &str) -> u64 {
    let line = rollup.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}
