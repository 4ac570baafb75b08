//! The rungs under load: `session.annotate` over WebSocket, every answer checked.

use crate::daemon::Daemon;
use crate::spread::Spread;
use crate::table::{Row, Table};
use crate::wire::{self, connect};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const CONNECTIONS: usize = 64;
const LANES: usize = 1000;
/// Commands under way on the pipelined connection.
const WINDOW: usize = 2000;

/// All rungs under load.
pub(crate) fn rungs(
    actum: &Path,
    folder: &Path,
    scale: f64,
    floor: &Spread,
    table: &mut Table,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let data = folder.join("load");
    std::fs::create_dir_all(&data)?;
    let daemon = Daemon::start(actum, &data)?;
    let idle = daemon.used()?;
    let mut row = Row::new("memory, idle", "").reach("≤ 30 MB", idle.resident_bytes <= 30_000_000);
    row.memory_bytes = Some(idle.resident_bytes);
    table.add(row);
    let scaled = |count: usize| ((count as f64 * scale) as usize).max(200);

    let before = daemon.used()?;
    let one = runtime.block_on(one_client(daemon.address, scaled(5000)))?;
    let limit = floor.p50() * 3 + Duration::from_micros(200);
    let ratio = one.latency.p50().as_secs_f64() / floor.p50().as_secs_f64();
    let row = Row::new("1 client, accept and finish", format!("{ratio:.2} × floor p50"));
    let reach = format!("≤ 3 × floor p50 + 0.2 ms = {:.3} ms", limit.as_secs_f64() * 1e3);
    let reached = one.latency.p50() <= limit;
    table.add(finish(row, &one, &daemon, before)?.reach(reach, reached));

    let before = daemon.used()?;
    let many = runtime.block_on(closed_loop(daemon.address, "many", scaled(200_000), true))?;
    let fast = many.rate() >= 20_000.0 && many.latency.p99() <= Duration::from_millis(10);
    let row = Row::new("64 connections, unique idempotency keys", per_second(&many));
    table.add(finish(row, &many, &daemon, before)?.reach("≥ 20,000/s, p99 ≤ 10 ms", fast));

    let before = daemon.used()?;
    let hot = runtime.block_on(closed_loop(daemon.address, "hot", scaled(200_000), false))?;
    let row = Row::new("one hot lane, 64 connections", per_second(&hot));
    table.add(finish(row, &hot, &daemon, before)?.reach("≥ 15,000/s", hot.rate() >= 15_000.0));

    let before = daemon.used()?;
    let piped = runtime.block_on(pipelined(daemon.address, scaled(500_000), false))?;
    let row = Row::new("1,000 lanes, pipelined on one connection", per_second(&piped));
    table.add(finish(row, &piped, &daemon, before)?.reach("≥ 50,000/s", piped.rate() >= 50_000.0));
    daemon.stop()
}

/// What a run measured.
pub(crate) struct Run {
    pub(crate) count: usize,
    pub(crate) took: Duration,
    pub(crate) latency: Spread,
}

impl Run {
    /// What connections measured that work since `begun`, each command of each of them.
    pub(crate) async fn of_all(
        begun: Instant,
        connections: Vec<JoinHandle<Result<Vec<Duration>>>>,
    ) -> Result<Run> {
        let mut latency = Vec::new();
        for connection in connections {
            latency.extend(connection.await??);
        }
        Ok(Run {
            count: latency.len(),
            took: begun.elapsed(),
            latency: Spread::new(latency),
        })
    }

    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

fn per_second(run: &Run) -> String {
    format!("{:.0}/s", run.rate())
}

pub(crate) fn finish(mut row: Row, run: &Run, daemon: &Daemon, before: crate::daemon::Used) -> Result<Row> {
    let after = daemon.used()?;
    row.p50 = Some(run.latency.p50());
    row.p99 = Some(run.latency.p99());
    row.memory_bytes = Some(after.resident_bytes);
    row.cpu = Some(after.cores_since(&before));
    Ok(row)
}

async fn create(address: SocketAddr, sessions: impl Iterator<Item = String>) -> Result<()> {
    let (mut read, mut write) = connect(address).await?;
    for session in sessions {
        write.put(format!(r#"{{"type":"session.create","sessionId":"{session}"}}"#).as_bytes());
        write.flush().await?;
        wire::check(&read.next().await?)?;
    }
    Ok(())
}

fn annotate(session: &str, key: Option<&str>, value: usize) -> String {
    let key = key
        .map(|key| format!(r#""idempotencyKey":"{key}","#))
        .unwrap_or_default();
    format!(
        r#"{{"type":"session.annotate","sessionId":"{session}",{key}"payload":{{"key":"step","value":{value}}}}}"#
    )
}

async fn one_client(address: SocketAddr, count: usize) -> Result<Run> {
    create(address, std::iter::once("one".to_owned())).await?;
    let (mut read, mut write) = connect(address).await?;
    let mut latency = Vec::with_capacity(count);
    let begun = Instant::now();
    for i in 0..count {
        let sent = Instant::now();
        write.put(annotate("one", None, i).as_bytes());
        write.flush().await?;
        wire::check(&read.next().await?)?;
        latency.push(sent.elapsed());
    }
    Ok(Run {
        count,
        took: begun.elapsed(),
        latency: Spread::new(latency),
    })
}

/// 64 connections, each with one command under way.
async fn closed_loop(address: SocketAddr, name: &str, count: usize, own_lanes: bool) -> Result<Run> {
    let session = |connection: usize| {
        if own_lanes {
            format!("{name}-{connection}")
        } else {
            name.to_owned()
        }
    };
    let sessions = if own_lanes { CONNECTIONS } else { 1 };
    create(address, (0..sessions).map(session)).await?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(address).await?);
    }
    let each = count / CONNECTIONS;
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (connection, (mut read, mut write)) in connections.into_iter().enumerate() {
        let (session, name) = (session(connection), name.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut latency = Vec::with_capacity(each);
            for i in 0..each {
                let key = own_lanes.then(|| format!("{name}-{connection}-{i}"));
                let sent = Instant::now();
                write.put(annotate(&session, key.as_deref(), i).as_bytes());
                write.flush().await?;
                wire::check(&read.next().await?)?;
                latency.push(sent.elapsed());
            }
            anyhow::Ok(latency)
        }));
    }
    Run::of_all(begun, tasks).await
}

/// One connection, a thousand lanes, up to [`WINDOW`] commands under way.
pub(crate) async fn pipelined(address: SocketAddr, count: usize, keys: bool) -> Result<Run> {
    create(address, (0..LANES).map(|lane| format!("lane-{lane}")))
        .await
        .or_else(|error| {
            // A later run on the same data finds them there.
            if error.to_string().contains("SESSION_EXISTS") {
                Ok(())
            } else {
                Err(error)
            }
        })?;
    let sessions: Vec<String> = (0..LANES).map(|lane| format!("lane-{lane}")).collect();
    let (mut read, mut write) = connect(address).await?;
    let (mut sent, mut done) = (0, 0);
    // Windows overlap, so a window's latency is counted from the moment its share was sent.
    let mut marks = std::collections::VecDeque::new();
    let mut latency = Vec::new();
    let begun = Instant::now();
    while done < count {
        let room = WINDOW.saturating_sub(sent - done).min(count - sent);
        if room >= WINDOW / 4 || (room > 0 && sent + room == count) {
            for i in sent..sent + room {
                let session = sessions.get(i % LANES).map_or("", String::as_str);
                let key = keys.then(|| format!("piped-{i}"));
                write.put(annotate(session, key.as_deref(), i).as_bytes());
            }
            sent += room;
            marks.push_back((sent, Instant::now()));
            write.flush().await?;
        }
        done += read.successes().await?;
        while marks.front().is_some_and(|(until, _)| *until <= done) {
            if let Some((_, at)) = marks.pop_front() {
                latency.push(at.elapsed());
            }
        }
    }
    Ok(Run {
        count,
        took: begun.elapsed(),
        latency: Spread::new(latency),
    })
}
