//! What the tests of sessions and cages share: a daemon with a folder to attack from, processes told apart by a mark,
//! waiting for their end by what the kernel says of it.

use crate::common::Daemon;
use actum_client::Client;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long anything may take to end that was told to, on a machine that is busy with other things.
pub const PATIENCE_SECONDS: i64 = 20;
/// The same.
pub const PATIENCE: Duration = Duration::from_secs(20);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// An id that no other command of this test has.
pub fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// How often something is done: few times, or as many as were asked for where `ACTUM_DEEP` is set.
pub fn times(slice: usize, deep: usize) -> usize {
    if std::env::var_os("ACTUM_DEEP").is_some() {
        deep
    } else {
        slice
    }
}

/// A daemon with its data, and a folder that commands may write.
pub struct Ground {
    pub root: PathBuf,
    pub open: PathBuf,
    pub daemon: Daemon,
    _keep: tempfile::TempDir,
}

impl Ground {
    pub fn new() -> Ground {
        Ground::with(&[], &[])
    }

    /// With further flags and variables of the environment. `{open}` in a flag stands for the granted folder.
    pub fn with(flags: &[&str], env: &[(&str, &str)]) -> Ground {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().canonicalize().unwrap();
        let open = root.join("open");
        std::fs::create_dir(&open).unwrap();
        let data = root.join("data");
        let daemon = dev(&data, &open, flags, env);
        Ground {
            root,
            open,
            daemon,
            _keep: keep,
        }
    }

    /// Kills the daemon and starts it again.
    pub fn killed(self, flags: &[&str]) -> Ground {
        self.again(flags, |mut daemon| {
            daemon.child.kill().unwrap();
            daemon.child.wait().unwrap();
        })
    }

    /// Kills the daemon, changes something beneath the folder of all it has, and starts it again.
    pub fn again_with(self, change: impl FnOnce(&Path)) -> Ground {
        let root = self.root.clone();
        self.again(&[], |daemon| {
            daemon.kill();
            change(&root);
        })
    }

    /// Stops the daemon and starts it again.
    pub fn stopped(self, flags: &[&str]) -> Ground {
        self.again(flags, |daemon| {
            let (status, said) = daemon.end();
            assert!(status.success(), "{said}");
        })
    }

    fn again(self, flags: &[&str], end: impl FnOnce(Daemon)) -> Ground {
        let Ground {
            root,
            open,
            daemon,
            _keep,
        } = self;
        end(daemon);
        let daemon = dev(&root.join("data"), &open, flags, &[]);
        Ground {
            root,
            open,
            daemon,
            _keep,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }
}

/// `actum dev` that grants one folder.
pub fn dev(data: &Path, open: &Path, flags: &[&str], env: &[(&str, &str)]) -> Daemon {
    let mut command = crate::common::actum();
    command
        .args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--rate",
            "0",
            "--segment-mib",
            "1",
            "--json",
        ])
        .arg("--grant-file")
        .arg(format!("{}:rw", open.display()))
        .args(
            flags
                .iter()
                .map(|flag| flag.replace("{open}", &open.display().to_string())),
        )
        .arg("--data")
        .arg(data)
        .envs(env.iter().copied());
    Daemon::spawn(command, data)
}

/// A command in a session, under an id of its own.
pub fn command(kind: &str, session: &str, payload: Value) -> Value {
    json!({"type": kind, "id": fresh("c"), "sessionId": session, "payload": payload})
}

pub async fn ask(client: &Client, kind: &str, session: &str, payload: Value) -> Value {
    client.submit(&command(kind, session, payload)).await.unwrap()
}

/// A read, which has no id.
pub async fn look(client: &Client, kind: &str, payload: Value) -> Value {
    let answer = client
        .submit(&json!({"type": kind, "payload": payload}))
        .await
        .unwrap();
    answer["data"].clone()
}

/// A new session with a Python of its own.
pub async fn python(client: &Client, session: &str) {
    session_of(client, session, json!({"kind": "python"})).await;
}

pub async fn session_of(client: &Client, session: &str, spec: Value) {
    let made = ask(client, "session.create", session, spec).await;
    assert_eq!(made["outcome"], "succeeded", "{made}");
}

pub async fn code(client: &Client, session: &str, code: &str) -> Value {
    ask(client, "code.run", session, json!({"code": code})).await
}

/// Runs code that must succeed; gives its value.
#[track_caller]
pub fn value_of(answer: &Value) -> Value {
    assert_eq!(answer["outcome"], "succeeded", "{answer}");
    answer["data"]["value"].clone()
}

/// Runs code that is stopped when its time is over.
pub async fn limited(client: &Client, session: &str, code: &str, timeout_ms: u64) -> Value {
    let mut command = command("code.run", session, json!({"code": code}));
    command["timeoutMs"] = timeout_ms.into();
    client.submit(&command).await.unwrap()
}

/// The sessions that have a live process, as the daemon lists them: name and process.
pub async fn listed(client: &Client) -> Vec<(String, i32)> {
    let pool = look(client, "server.pool", json!({})).await;
    let rows = pool["sessions"].as_array().unwrap().clone();
    let row = |row: &Value| {
        let pid = i32::try_from(row["pid"].as_i64().unwrap()).unwrap();
        (row["sessionId"].as_str().unwrap().to_owned(), pid)
    };
    rows.iter().map(row).collect()
}

/// A process, held so that its number cannot become another's.
pub struct Held {
    pub pid: i32,
    end: OwnedFd,
}

impl Held {
    pub fn of(pid: i32) -> Option<Held> {
        let end = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Held { pid, end })
    }

    /// Waits for its end; whether it came within so many seconds.
    pub fn ends_within(&self, seconds: i64) -> bool {
        let mut fds = [PollFd::new(&self.end, PollFlags::IN)];
        let within = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&within)).unwrap() == 1
    }
}

/// Every process below one, held.
pub fn below(root: u32) -> Vec<Held> {
    let parents: Vec<(i32, i32)> = pids()
        .into_iter()
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut found = vec![i32::try_from(root).unwrap()];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found.into_iter().skip(1).filter_map(Held::of).collect()
}

/// Every process whose arguments hold a mark.
pub fn marked(mark: &str) -> Vec<Held> {
    let has = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(mark)
    };
    pids().into_iter().filter(has).filter_map(Held::of).collect()
}

/// No process with this mark is left, or it ends by itself soon.
#[track_caller]
pub fn nothing_is_left_of(mark: &str) {
    for held in marked(mark) {
        assert!(
            held.ends_within(PATIENCE_SECONDS),
            "process {} lives on: {mark}",
            held.pid
        );
    }
}

fn pids() -> Vec<i32> {
    let names = std::fs::read_dir("/proc").unwrap().flatten();
    names
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Resident and proportional kibibytes of a process.
pub fn resident_kib(pid: i32) -> (u64, u64) {
    let told = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok())
            .unwrap_or(0)
    };
    (of("Rss:"), of("Pss:"))
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs all tests of a module (`module_path!()`) but the calling one again, as an ordinary user, if this is root.
pub fn again_as_an_ordinary_user(module: &str, but: &str) {
    if !is_root() {
        return;
    }
    let tests = tests_of(module, but);
    let keep = tempfile::tempdir().unwrap();
    let tmp = keep.path().canonicalize().unwrap();
    chown(&tmp, Some(1000), Some(1000)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env("TMPDIR", &tmp)
        .env("HOME", &tmp)
        .current_dir(&tmp)
        .uid(1000)
        .gid(1000);
    let output = command
        .args(["--test-threads", "1", "--exact"])
        .args(&tests)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains(&format!("test result: ok. {} passed", tests.len())),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The tests of a module of this program, but one, as the harness names them.
fn tests_of(module: &str, but: &str) -> Vec<String> {
    let (_, module) = module.split_once("::").unwrap();
    let listed = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .output()
        .unwrap();
    let tests: Vec<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|test| {
            let name = test.strip_prefix(module).and_then(|rest| rest.strip_prefix("::"));
            name.is_some_and(|name| name != but)
        })
        .map(str::to_owned)
        .collect();
    assert!(!tests.is_empty(), "no tests in `{module}`");
    tests
}
