//! Code in one warm session, and promises: what a caller waits for, over one WebSocket.

use crate::daemon::Daemon;
use crate::spread::Spread;
use crate::table::{Row, Table};
use crate::wire::{self, Reading, Writing, check};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of the output that is streamed.
const OUTPUT_BYTES: f64 = 48e6;
/// The grace time of a stop.
const GRACE: Duration = Duration::from_millis(actum_model::limits::STOP_GRACE_MS);

pub(super) fn rungs(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for durability in ["batched", "strict"] {
        let data = folder.join(format!("execution-{durability}"));
        std::fs::create_dir_all(&data)?;
        let daemon = Daemon::start_with(actum, &data, &["--durability", durability])?;
        runtime.block_on(async {
            let mut client = Client::connect(daemon.address).await?;
            client.session().await?;
            one_plus_one(&mut client, durability, scale, table).await?;
            if durability == "batched" {
                promises(&mut client, scale, table).await?;
                throughput(&mut client, scale, table).await?;
                output(&mut client, scale, table).await?;
                stops(&mut client, scale, table).await?;
            }
            anyhow::Ok(())
        })?;
        daemon.stop()?;
    }
    Ok(())
}

/// One connection that waits for each answer.
struct Client {
    reading: Reading,
    writing: Writing,
}

impl Client {
    async fn connect(address: std::net::SocketAddr) -> Result<Client> {
        let (reading, writing) = wire::connect(address).await?;
        Ok(Client { reading, writing })
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        self.writing.put(message.to_string().as_bytes());
        self.writing.flush().await
    }

    /// The next response; events and output are passed over.
    async fn response(&mut self) -> Result<Vec<u8>> {
        loop {
            let message = self.reading.next().await?;
            if message
                .windows(17)
                .any(|window| window == b"\"type\":\"response\"")
            {
                return Ok(message);
            }
        }
    }

    async fn call(&mut self, message: &Value) -> Result<Vec<u8>> {
        self.send(message).await?;
        let response = self.response().await?;
        check(&response)?;
        Ok(response)
    }

    async fn session(&mut self) -> Result<()> {
        self.call(&json!({"type": "session.create", "sessionId": "bench", "payload": {"kind": "python"}}))
            .await?;
        self.call(&run("1")).await?;
        Ok(())
    }

    /// Times `count` calls after some that are not counted.
    async fn time(&mut self, message: &Value, count: usize) -> Result<Spread> {
        let mut times = Vec::with_capacity(count);
        for number in 0..count + 50 {
            let begun = Instant::now();
            self.call(message).await?;
            if number >= 50 {
                times.push(begun.elapsed());
            }
        }
        Ok(Spread::new(times))
    }
}

fn run(code: &str) -> Value {
    json!({"type": "code.run", "sessionId": "bench", "payload": {"code": code}})
}

fn timed(name: &str, spread: &Spread) -> Row {
    let mut row = Row::new(name, "");
    (row.p50, row.p99) = (Some(spread.p50()), Some(spread.p99()));
    row
}

async fn one_plus_one(client: &mut Client, durability: &str, scale: f64, table: &mut Table) -> Result<()> {
    let count = ((2000.0 * scale) as usize).max(50);
    let plain = client.time(&run("1+1"), count).await?;
    let row = timed(&format!("1+1 in a warm session, journaled, {durability}"), &plain);
    if durability != "batched" {
        table.add(row);
        return Ok(());
    }
    table.add(row.reach("p50 ≤ 0.5 ms", plain.p50() <= Duration::from_micros(500)));
    client.call(&run("import asyncio")).await?;
    let awaited = client.time(&run("await asyncio.sleep(0)"), count).await?;
    table.add(
        timed("top-level await, batched", &awaited)
            .reach("p50 ≤ 0.6 ms", awaited.p50() <= Duration::from_micros(600)),
    );
    Ok(())
}

async fn promises(client: &mut Client, scale: f64, table: &mut Table) -> Result<()> {
    let count = ((5000.0 * scale) as usize).max(50);
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let id = format!("p{number}");
        let begun = Instant::now();
        client
            .call(&json!({"type": "promise.create", "payload": {"promiseId": id}}))
            .await?;
        client
            .call(&json!({"type": "promise.resolve", "payload": {"promiseId": id, "value": number}}))
            .await?;
        times.push(begun.elapsed());
    }
    let spread = Spread::new(times);
    table.add(
        timed("promise create + resolve, batched", &spread)
            .reach("p50 ≤ 0.2 ms", spread.p50() <= Duration::from_micros(200)),
    );
    Ok(())
}

/// One session runs one piece of code after the other; the caller keeps some waiting in the lane.
async fn throughput(client: &mut Client, scale: f64, table: &mut Table) -> Result<()> {
    let (count, ahead) = (((20_000.0 * scale) as usize).max(200), 32);
    let message = run("1+1");
    let begun = Instant::now();
    for number in 0..count + ahead {
        if number < count {
            client.send(&message).await?;
        }
        if number >= ahead {
            check(&client.response().await?)?;
        }
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    table.add(
        Row::new("sequential executions, one session", format!("{rate:.0}/s"))
            .reach("≥ 2,000/s", rate >= 2000.0),
    );
    Ok(())
}

async fn output(client: &mut Client, scale: f64, table: &mut Table) -> Result<()> {
    let bytes = (OUTPUT_BYTES * scale.max(0.1)) as u64;
    let large =
        format!("import os\nb = b'x' * 65535 + b'\\n'\nfor _ in range({bytes} // 65536): os.write(1, b)");
    let lines = format!("l = 'x' * 99\nfor _ in range({bytes} // 100): print(l)");
    for (name, code, reach) in [
        ("output streaming, 64 KiB writes", large, 100.0),
        ("output streaming, printed lines of 100 bytes", lines, 20.0),
    ] {
        let mut rates = Vec::new();
        for _ in 0..3 {
            let begun = Instant::now();
            let response = client.call(&run(&code)).await?;
            let took = begun.elapsed().as_secs_f64();
            let response: Value = serde_json::from_slice(&response)?;
            let told = response.pointer("/data/stdout/bytes").and_then(Value::as_u64);
            let told = told.context("no count of bytes")?;
            if told < bytes / 65536 * 65536 {
                bail!("{told} bytes of {bytes} came");
            }
            rates.push(told as f64 / took / 1e6);
        }
        rates.sort_by(f64::total_cmp);
        let rate = rates.get(1).copied().unwrap_or_default();
        let row = Row::new(name, format!("{rate:.0} MB/s"));
        table.add(row.reach(format!("≥ {reach:.0} MB/s"), rate >= reach));
    }
    Ok(())
}

/// From asking for a stop to the outcome of what was stopped.
async fn stops(client: &mut Client, scale: f64, table: &mut Table) -> Result<()> {
    let count = ((60.0 * scale) as usize).max(4);
    for (name, code) in [
        (
            "cancel of `while True: pass`",
            "print('on', flush=True)\nwhile True: pass",
        ),
        (
            "cancel of `time.sleep(100)`",
            "import time\nprint('on', flush=True)\ntime.sleep(100)",
        ),
    ] {
        let mut times = Vec::new();
        client
            .call(&json!({"type": "events.subscribe", "payload": {"sessionId": "bench"}}))
            .await?;
        for number in 0..count {
            let id = format!("stop-{}-{number}", code.len());
            let mut message = run(code);
            if let Value::Object(members) = &mut message {
                members.insert("id".into(), id.as_str().into());
            }
            client.send(&message).await?;
            // It runs when it says so.
            loop {
                let text = client.reading.next().await?;
                if text.windows(15).any(|window| window == b"\"type\":\"output\"") {
                    break;
                }
            }
            let begun = Instant::now();
            client
                .send(&json!({"type": "command.cancel", "payload": {"id": id}}))
                .await?;
            let (first, second) = (client.response().await?, client.response().await?);
            times.push(begun.elapsed());
            let cancelled = [first, second]
                .iter()
                .any(|text| String::from_utf8_lossy(text).contains("\"outcome\":\"cancelled\""));
            if !cancelled {
                bail!("`{id}` was not cancelled");
            }
        }
        let spread = Spread::new(times);
        let p95 = spread.at(0.95);
        let row = Row::new(name, format!("p95 {:.1} ms", p95.as_secs_f64() * 1e3));
        table.add(
            Row {
                p50: Some(spread.p50()),
                p99: Some(spread.p99()),
                ..row
            }
            .reach(
                "p95 ≤ grace (500 ms) + 50 ms",
                p95 <= GRACE + Duration::from_millis(50),
            ),
        );
    }
    Ok(())
}
