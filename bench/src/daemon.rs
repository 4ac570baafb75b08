//! A daemon as a process of its own: started, measured from outside, stopped.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) started_in: Duration,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) resident_bytes: u64,
    pub(crate) cpu: Duration,
    at: Instant,
}

impl Daemon {
    /// Starts `actum dev` on a free port and waits until it says where it listens.
    pub(crate) fn start(actum: &Path, data: &Path) -> Result<Daemon> {
        Daemon::start_with(actum, data, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(actum: &Path, data: &Path, arguments: &[&str]) -> Result<Daemon> {
        let begun = Instant::now();
        let known = data.join("daemon.json");
        let _none = std::fs::remove_file(&known);
        let mut child = Command::new(actum)
            .arg("--data")
            .arg(data)
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} did not start", actum.display()))?;
        let output = child.stdout.take().context("the daemon has no output")?;
        // The banner comes when the daemon listens; the file it names is there before.
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let Some(line) = lines.next() else {
                bail!("the daemon ended before it listened")
            };
            line?;
            if let Ok(text) = std::fs::read_to_string(&known) {
                break address(&text)?;
            }
        };
        let started_in = begun.elapsed();
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Daemon {
            child,
            address,
            started_in,
        })
    }

    /// Memory and processor time so far.
    pub(crate) fn used(&self) -> Result<Used> {
        let pid = self.child.id();
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm
            .split_whitespace()
            .nth(1)
            .context("statm is short")?
            .parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit(')').next().context("stat is short")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |at: usize| {
            fields
                .get(at)
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Used {
            resident_bytes: pages * rustix::param::page_size() as u64,
            cpu: Duration::from_secs_f64((ticks(11) + ticks(12)) as f64 / per_second as f64),
            at: Instant::now(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, without waiting for the end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Used {
    /// Cores used on average since `before`.
    pub(crate) fn cores_since(&self, before: &Used) -> f64 {
        let wall = self.at.duration_since(before.at).as_secs_f64();
        (self.cpu.saturating_sub(before.cpu)).as_secs_f64() / wall.max(1e-9)
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    let value: Value = serde_json::from_str(text)?;
    let url = value
        .get("url")
        .and_then(Value::as_str)
        .context("daemon.json names no url")?;
    let host = url.strip_prefix("http://").context("the url is not http")?;
    Ok(host.trim_end_matches('/').parse()?)
}
