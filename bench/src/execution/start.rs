//! How a session's process comes to be: forked from the zygote alone, and into the full cage; from the request to the
//! first byte it says.

use crate::spread::Spread;
use crate::table::{Row, Table};
use actum_sandbox::{Forked, Interpreter, Launcher, Level, SessionSpec, Zygote};
use anyhow::{Context, Result, anyhow};
use serde_json::json;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Says one byte and waits for the end.
const WORKER: &str = "import os\ndef main(fd, config):\n    os.write(fd, b'1')\n    os.read(fd, 1)\n";

pub(super) fn rungs(actum: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let launcher = Launcher::with_helper(actum);
    let count = ((200.0 * scale) as usize).max(10);
    let folder = tempfile::tempdir()?;
    let caged = zygote(&launcher, Level::Full)?;
    let bare = zygote(&launcher, Level::None)?;
    let (mut alone, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..count {
        alone.push(time(|socket| {
            bare.fork_bare(&json!({}), socket)
                .map_err(|error| anyhow!("{error}"))
        })?);
        let spec = SessionSpec::workspace(folder.path(), json!({}));
        whole.push(time(|socket| {
            caged.fork(&spec, socket).map_err(|error| anyhow!("{error}"))
        })?);
    }
    let (alone, whole) = (Spread::new(alone), Spread::new(whole));
    let mut row = Row::new("floor: forked from the zygote, no cage", "");
    (row.p50, row.p99) = (Some(alone.p50()), Some(alone.p99()));
    table.add(row);
    let ratio = whole.p50().as_secs_f64() / alone.p50().as_secs_f64().max(1e-9);
    let mut row = Row::new(
        "forked from the zygote into the full cage",
        format!("{ratio:.2} × the fork alone"),
    );
    (row.p50, row.p99) = (Some(whole.p50()), Some(whole.p99()));
    let reached = whole.p50() <= Duration::from_millis(3) && ratio <= 2.0;
    table.add(row.reach("p50 ≤ 3 ms, ≤ 2 ×", reached));
    Ok(())
}

fn zygote(launcher: &Launcher, require: Level) -> Result<Zygote> {
    let interpreter = Interpreter::find().context("no python3")?;
    let mut spec = interpreter.zygote(WORKER);
    spec.require = require;
    Zygote::start(launcher, &spec).map_err(|refusal| anyhow!("{refusal}"))
}

/// From the request to the first byte of the session, which ends then.
fn time(fork: impl FnOnce(OwnedFd) -> Result<Forked>) -> Result<Duration> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let begun = Instant::now();
    // The session is killed when its handle is dropped, so it is dropped behind the byte.
    let mut byte = [0];
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| ours.read_exact(&mut byte).map(|()| begun.elapsed()));
        let _kept = fork(theirs.into())?;
        reading
            .join()
            .map_err(|_| anyhow!("the reader failed"))?
            .context("it said nothing")
    })
}
