//! What cages cost: from request to first byte answered, 200 starts each, and the memory of idle sessions.
//!
//! `cargo run --release -p actum-sandbox --example cage_bench [python [prefix]]`. It measures; it asserts nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on stops"
)]

use actum_sandbox::{Launcher, Level, SessionSpec, Spec, Zygote, ZygoteSpec, helper_entry};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 200;
const WORKER: &str = "
import socket
def main(fd, config):
    peer = socket.socket(fileno=fd)
    while True:
        data = peer.recv(100)
        if not data:
            return
        peer.send(repr(eval(data)).encode())
";

fn main() {
    helper_entry();
    let mut arguments = std::env::args().skip(1);
    let python = PathBuf::from(arguments.next().unwrap_or_else(|| "/usr/bin/python3".to_owned()));
    let runtime: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    println!("{STARTS} starts each, request to first byte answered");
    report("plain fork + exec of /bin/echo", &mut || plain());
    report("one-shot cage with /bin/echo", &mut || one_shot(&folder));
    let spec = |require| ZygoteSpec {
        runtime: runtime.clone(),
        require,
        imports: ["asyncio", "json", "traceback", "subprocess", "inspect"]
            .map(str::to_owned)
            .to_vec(),
        ..ZygoteSpec::new(&python, WORKER)
    };
    let started = Instant::now();
    let bare = Zygote::start(&Launcher::default(), &spec(Level::None)).unwrap();
    println!(
        "zygote start {:.1} ms, python {}",
        millis(started.elapsed()),
        bare.version()
    );
    let caged = Zygote::start(&Launcher::default(), &spec(Level::Full)).unwrap();
    let session = SessionSpec::workspace(&folder, serde_json::json!({}));
    for _ in 0..2 {
        report("zygote fork alone", &mut || {
            first_answer(|theirs| bare.fork_bare(&serde_json::json!({}), theirs.into()).unwrap())
        });
        report("zygote fork + full cage", &mut || {
            first_answer(|theirs| caged.fork(&session, theirs.into()).unwrap())
        });
    }
    memory(&caged, &session);
}

fn plain() -> Duration {
    let started = Instant::now();
    let mut child = Command::new("/bin/echo")
        .arg("x")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let took = started.elapsed();
    child.wait().unwrap();
    took
}

fn one_shot(folder: &Path) -> Duration {
    let started = Instant::now();
    let (mut out, theirs) = std::io::pipe().unwrap();
    let nothing = std::fs::File::open("/dev/null").unwrap();
    let spec = Spec::workspace(
        vec!["/bin/echo".to_owned(), "x".to_owned()],
        folder,
        Path::new("/work"),
    );
    let stdio = [nothing.as_fd(), theirs.as_fd(), nothing.as_fd()];
    let mut caged = Launcher::default().launch(&spec, stdio).unwrap();
    out.read_exact(&mut [0]).unwrap();
    let took = started.elapsed();
    caged.wait().unwrap();
    took
}

fn first_answer(fork: impl Fn(UnixStream) -> actum_sandbox::Forked) -> Duration {
    let started = Instant::now();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"1+1").unwrap();
    let mut forked = fork(theirs);
    ours.read_exact(&mut [0]).unwrap();
    let took = started.elapsed();
    drop(ours);
    forked.wait().unwrap();
    took
}

fn report(what: &str, start: &mut dyn FnMut() -> Duration) {
    for _ in 0..20 {
        start();
    }
    let mut took: Vec<Duration> = (0..STARTS).map(|_| start()).collect();
    took.sort();
    let (half, most) = (took[STARTS / 2], took[STARTS * 99 / 100]);
    println!(
        "{what:32} p50 {:6.2} ms   p99 {:6.2} ms",
        millis(half),
        millis(most)
    );
}

fn memory(zygote: &Zygote, spec: &SessionSpec) {
    let sessions: Vec<_> = (0..STARTS)
        .map(|_| {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let forked = zygote.fork(spec, theirs.into()).unwrap();
            ours.write_all(b"1+1").unwrap();
            ours.read_exact(&mut [0]).unwrap();
            (forked, ours)
        })
        .collect();
    let sum = |word: &str| -> u64 {
        let of = |pid: i32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(word));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        sessions
            .iter()
            .map(|(forked, _)| of(forked.pid().unwrap().as_raw_nonzero().get()))
            .sum()
    };
    let (rss, pss) = (sum("Rss:"), sum("Pss:"));
    println!(
        "{STARTS} idle sessions: RSS {} MB, PSS {} MB in all",
        rss / 1024,
        pss / 1024
    );
    println!(
        "one idle session: RSS {} kB, PSS {} kB",
        rss / STARTS as u64,
        pss / STARTS as u64
    );
    let started = Instant::now();
    zygote.end(Duration::from_secs(60)).unwrap();
    println!("all {STARTS} ended in {:.1} ms", millis(started.elapsed()));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
