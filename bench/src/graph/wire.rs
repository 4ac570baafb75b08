//! Durable rewrites over HTTP: 64 connections, each with one request under way, as commands and as GraphQL.

use super::floor::Sqlite;
use super::{add, rewrite};
use crate::daemon::Daemon;
use crate::load::{Run, finish};
use crate::spread::Spread;
use crate::table::{Row, Table};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 64;
const REACH: f64 = 8000.0;

pub(crate) fn rungs(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let data = folder.join("graph-wire");
    std::fs::create_dir_all(&data)?;
    let daemon = Daemon::start(actum, &data)?;
    let count = ((100_000.0 * scale) as u64).max(CONNECTIONS * 10);
    runtime.block_on(command(daemon.address, r#"{"type":"sws.create"}"#))?;

    let before = daemon.used()?;
    let run = runtime.block_on(rewrites(daemon.address, 0..count, Surface::Commands))?;
    let row = Row::new(
        "64 connections, durable rewrites, HTTP /v1/commands",
        format!("{:.0}/s", run.rate()),
    );
    table.add(finish(row, &run, &daemon, before)?.reach("≥ 8,000/s", run.rate() >= REACH));

    let name = "64 connections, durable rewrites, GraphQL /graphql";
    match runtime.block_on(graphql(daemon.address)) {
        Ok(()) => {
            let before = daemon.used()?;
            let run = runtime.block_on(rewrites(daemon.address, count..2 * count, Surface::GraphQl))?;
            let row = Row::new(name, format!("{:.0}/s", run.rate()));
            table.add(finish(row, &run, &daemon, before)?.reach("≥ 8,000/s", run.rate() >= REACH));
        }
        Err(error) => table.add(Row::new(name, format!("not run: {error:#}"))),
    }
    daemon.stop()?;

    let mut sqlite = Sqlite::new(&folder.join("durable.sqlite"), "FULL", 0)?;
    let times = (0..500)
        .map(|number| sqlite.insert(number..number + 1))
        .collect::<Result<_>>()?;
    let times = Spread::new(times);
    let mut row = Row::new(
        "floor: SQLite (WAL, durable), a row and its commit",
        format!("{:.0}/s", 1.0 / times.p50().as_secs_f64().max(1e-9)),
    );
    (row.p50, row.p99) = (Some(times.p50()), Some(times.p99()));
    table.add(row);
    Ok(())
}

#[derive(Clone, Copy)]
enum Surface {
    Commands,
    GraphQl,
}

impl Surface {
    fn path(self) -> &'static str {
        match self {
            Surface::Commands => "/v1/commands",
            Surface::GraphQl => "/graphql",
        }
    }

    /// A rewrite of shadow working set 0 that adds one node.
    fn body(self, number: u64) -> Result<String> {
        Ok(match self {
            Surface::Commands => rewrite(0, number..number + 1),
            Surface::GraphQl => {
                let op: Value = serde_json::from_str(&add(number))?;
                let query = "mutation($view:ViewRefInput!,$rewrite:RewriteInput!){\
                    applyRewrite(view:$view,rewrite:$rewrite){accepted receipt{rewriteIdx viewDigest}}}";
                let view = json!({"kind": "SWS", "swsId": "0"});
                json!({"query": query, "variables": {"view": view, "rewrite": {"ops": [op]}}}).to_string()
            }
        })
    }

    fn needle(self) -> &'static [u8] {
        match self {
            Surface::Commands => b"\"success\":true",
            Surface::GraphQl => b"\"accepted\":true",
        }
    }
}

async fn rewrites(address: SocketAddr, numbers: std::ops::Range<u64>, surface: Surface) -> Result<Run> {
    let each = (numbers.end - numbers.start) / CONNECTIONS;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Http::connect(address).await?);
    }
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (at, mut http) in connections.into_iter().enumerate() {
        let from = numbers.start + at as u64 * each;
        tasks.push(tokio::spawn(async move {
            let mut latency = Vec::new();
            for number in from..from + each {
                let body = surface.body(number)?;
                let sent = Instant::now();
                http.post(surface.path(), &body, surface.needle()).await?;
                latency.push(sent.elapsed());
            }
            anyhow::Ok(latency)
        }));
    }
    Run::of_all(begun, tasks).await
}

/// Whether GraphQL answers at all.
async fn graphql(address: SocketAddr) -> Result<()> {
    let mut http = Http::connect(address).await?;
    let body = json!({"query": "{__typename}"}).to_string();
    let answer = http.post("/graphql", &body, b"\"__typename\"").await;
    answer.context("/graphql does not answer").map(drop)
}

/// Carries out one command; gives the answer and how long it took.
pub(super) async fn command(address: SocketAddr, body: &str) -> Result<Duration> {
    let mut http = Http::connect(address).await?;
    let sent = Instant::now();
    http.post("/v1/commands", body, b"\"success\":true").await?;
    Ok(sent.elapsed())
}

/// A lean HTTP/1.1 client, so that what is measured is the daemon.
struct Http {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

impl Http {
    async fn connect(address: SocketAddr) -> Result<Http> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Http {
            stream,
            host: address,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    /// Posts JSON and reads the answer, which must hold `needle`.
    async fn post(&mut self, path: &str, body: &str, needle: &[u8]) -> Result<()> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the daemon closed the connection");
            }
            if self.is_whole() {
                break;
            }
        }
        if !self.buffer.windows(needle.len()).any(|window| window == needle) {
            let text = String::from_utf8_lossy(&self.buffer);
            let line = text.lines().next().unwrap_or_default();
            let end = text.rsplit("\r\n").next().unwrap_or_default();
            let end: String = end.chars().take(300).collect();
            bail!("{line} {end}");
        }
        Ok(())
    }

    /// Whether the buffer holds a head and the body it announces.
    fn is_whole(&self) -> bool {
        let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return false;
        };
        let text = String::from_utf8_lossy(self.buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse::<usize>().ok());
        match length {
            Some(length) => self.buffer.len() >= head + 4 + length,
            None => self.buffer.ends_with(b"0\r\n\r\n"),
        }
    }
}
