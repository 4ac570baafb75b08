//! What a session costs: `cargo run --release -p actum-worker --example measure_sessions`. Numbers only; it asserts nothing.

use actum_worker::process::direct;
use actum_worker::session::{self, Event, Events, Execute, Options, Session};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

async fn start() -> Outcome<(Session, Events)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/worker.py");
    let running = direct::start_python("python3", &file, &serde_json::json!({"kind": "python"}))?;
    session::start(running, Options::default())
        .await
        .map_err(|reason| reason.to_string().into())
}

/// Runs code to its end; the bytes it wrote.
async fn run(session: &Session, events: &mut Events, code: &str) -> Outcome<usize> {
    session.execute(Execute::new("x", code))?;
    let mut bytes = 0;
    loop {
        match events.next().await {
            Some(Event::Output { data, .. }) => bytes += data.len(),
            Some(Event::Finished(_)) => return Ok(bytes),
            Some(_) => {}
            None => return Err("the session ended".into()),
        }
    }
}

fn say(what: &str, mut times: Vec<Duration>) -> Outcome<()> {
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .or(times.last())
            .copied()
            .unwrap_or_default()
    };
    let (half, most, worst) = (at(50), at(95), at(99));
    writeln!(
        std::io::stdout(),
        "{what:<34} p50 {half:>10.1?}  p95 {most:>10.1?}  p99 {worst:>10.1?}"
    )?;
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let (session, mut events) = start().await?;
    for (what, code, rounds) in [
        ("1+1", "1+1", 5000),
        ("top-level await", "import asyncio\nawait asyncio.sleep(0)", 3000),
        ("one line of output", "print(1)", 3000),
    ] {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            run(&session, &mut events, code).await?;
            times.push(began.elapsed());
        }
        say(what, times)?;
    }
    for (what, code) in [
        (
            "output, large writes",
            "import os\nd = b'x' * 65536\nfor i in range(8000): os.write(1, d)",
        ),
        (
            "output, print of 100-byte lines",
            "l = 'x' * 99\nfor i in range(1_000_000): print(l)",
        ),
    ] {
        let began = Instant::now();
        let bytes = run(&session, &mut events, code).await?;
        let rate = bytes as f64 / began.elapsed().as_secs_f64() / 1e6;
        writeln!(std::io::stdout(), "{what:<34} {rate:.0} MB/s")?;
    }
    cancels().await
}

/// From the cancel to the outcome, where the code obeys and where the worker has to be killed.
async fn cancels() -> Outcome<()> {
    for (what, code) in [
        ("cancel `while True: pass`", "print(1)\nwhile True: pass"),
        (
            "cancel `time.sleep(100)`",
            "import time\nprint(1)\ntime.sleep(100)",
        ),
        (
            "cancel by kill, 100 ms of grace",
            "print(1)\nimport time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass",
        ),
    ] {
        let mut times = Vec::new();
        for _ in 0..20 {
            let (session, mut events) = start().await?;
            session.execute(Execute::new("x", code))?;
            while !matches!(events.next().await, Some(Event::Output { .. }) | None) {}
            let began = Instant::now();
            session.cancel("x", Duration::from_millis(100)).await?;
            while !matches!(events.next().await, Some(Event::Finished(_)) | None) {}
            times.push(began.elapsed());
        }
        say(what, times)?;
    }
    Ok(())
}
