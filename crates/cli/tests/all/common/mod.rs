//! Drives the real binary: daemons as processes of their own, commands as people run them. It waits for what
//! happens (a line, an event, the end of a process) and never for time.

pub mod mcp;

use actum_client::{Client, Events, EventsQuery};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

pub const ACTUM: &str = env!("CARGO_BIN_EXE_actum");

/// What a command of the command line did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails the test unless it ended so.
    #[track_caller]
    pub fn ended(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// A command of the command line with nothing of the caller's environment in it.
pub fn actum() -> Command {
    let mut command = Command::new(ACTUM);
    for name in ["ACTUM_DATA", "ACTUM_URL", "ACTUM_TOKEN", "ACTUM_LOG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command of the command line to its end.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    ran(actum().args(args))
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command of the command line over a data directory.
pub fn over(data: &Path, args: &[&str]) -> Ran {
    ran(actum().arg("--data").arg(data).args(args))
}

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    pub child: Child,
    pub ready: Value,
    pub data: PathBuf,
    #[expect(
        dead_code,
        reason = "held open, so that what the daemon says has somewhere to go"
    )]
    out: BufReader<ChildStdout>,
    pub err: BufReader<ChildStderr>,
}

impl Daemon {
    /// `actum dev` over a data directory, without a cage: these tests are about the record, and their programs reach
    /// for what lies about.
    pub fn dev(data: &Path) -> Daemon {
        Daemon::start(data, &["dev", "--sandbox", "none", "--listen", "127.0.0.1:0"])
    }

    /// `actum dev` as people start it, in a folder: programs run in the cage.
    pub fn caged(data: &Path, folder: &Path) -> Daemon {
        let mut command = actum();
        command
            .args([
                "dev",
                "--listen",
                "127.0.0.1:0",
                "--segment-mib",
                "1",
                "--json",
                "--data",
            ])
            .arg(data)
            .current_dir(folder);
        Daemon::spawn(command, data)
    }

    /// Any daemon; it has said that it is ready.
    pub fn start(data: &Path, args: &[&str]) -> Daemon {
        let mut command = actum();
        command
            .args(args)
            .args(["--segment-mib", "1", "--json", "--data"])
            .arg(data);
        Daemon::spawn(command, data)
    }

    /// `actum dev` that logs all it can and takes snapshots often, and everything it says on standard error. That is
    /// read at once: a log that nobody reads would hold the daemon up.
    pub fn talkative(data: &Path) -> (Daemon, JoinHandle<Vec<u8>>) {
        let mut command = actum();
        command
            .args([
                "dev",
                "--sandbox",
                "none",
                "--listen",
                "127.0.0.1:0",
                "--snapshot-every",
                "2",
            ])
            .args(["--segment-mib", "1", "--json", "--data"])
            .arg(data)
            .env("ACTUM_LOG", "trace");
        let daemon = Daemon::spawn(command, data);
        let mut log = std::fs::File::from(daemon.err.get_ref().as_fd().try_clone_to_owned().unwrap());
        let log = std::thread::spawn(move || {
            let mut said = Vec::new();
            log.read_to_end(&mut said).unwrap();
            said
        });
        (daemon, log)
    }

    pub fn spawn(mut command: Command, data: &Path) -> Daemon {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut said = String::new();
            err.read_to_string(&mut said).unwrap();
            panic!("the daemon is not ready: {line}{said}");
        };
        Daemon {
            child,
            ready,
            data: data.to_owned(),
            out,
            err,
        }
    }

    pub fn url(&self) -> String {
        self.ready["url"].as_str().unwrap().to_owned()
    }

    /// Runs a command of the command line against it.
    pub fn run(&self, args: &[&str]) -> Ran {
        over(&self.data, args)
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.url(), None).await.unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn end(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end; gives what it said besides.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.err.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }

    /// The next line it says on standard error.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.err.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Numbers drawn from a seed.
pub struct Random(pub u64);

impl Random {
    /// A number below `max`, by xorshift.
    pub fn below(&mut self, max: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % max as u64).unwrap()
    }
}

/// The seed of this run, printed; `ACTUM_TEST_SEED` repeats one.
pub fn seed() -> u64 {
    let given = std::env::var("ACTUM_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() & 0xffff_ffff).unwrap()
            | 1
    });
    println!("repeat with ACTUM_TEST_SEED={seed}");
    seed
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Every event from now on.
pub async fn follow(client: &Client) -> Events {
    client.events(&EventsQuery::default()).await.unwrap()
}

/// Waits for an event of a command.
pub async fn until(events: &mut Events, name: &str, id: &str) -> Value {
    loop {
        let event = events.next().await.unwrap().expect("the daemon ended the stream");
        if event.name == name && event.data["id"] == id {
            return event.data;
        }
    }
}

/// `count` annotations of the session `web`, made in it, with ids `prefix-0` and on.
pub fn annotations(prefix: &str, count: usize) -> Vec<Value> {
    let one = |n: usize| {
        json!({"type": "session.annotate", "id": format!("{prefix}-{n}"), "sessionId": "web",
            "payload": {"key": "n", "value": n}})
    };
    (0..count).map(one).collect()
}

/// The session `web`.
pub fn web() -> Value {
    json!({"type": "session.create", "id": "web-create", "sessionId": "web", "payload": {}})
}

/// A history of some commands, ended in order. Gives the data directory.
pub fn history(folder: &Path, commands: usize) -> PathBuf {
    let data = folder.join("data");
    let daemon = Daemon::dev(&data);
    let lines: Vec<String> = std::iter::once(web())
        .chain(annotations("a", commands))
        .map(|line| line.to_string())
        .collect();
    let file = folder.join("lines.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    daemon.run(&["submit", file.to_str().unwrap()]).ended(0);
    let (status, said) = daemon.end();
    assert!(status.success(), "{said}");
    data
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
