//! What dies when a daemon dies: seen on a real process that is killed.

use crate::common::*;
use actum_sandbox::Zygote;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// Set in the process that plays the daemon.
const DAEMON: &str = "ACTUM_SANDBOX_TEST_DAEMON";
/// How long the kernel may take to end a tree on a busy machine. It is the bound of a hang, not of a goal.
const END: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

const WORKER: &str = "
import subprocess, sys
def main(fd, config):
    child = subprocess.Popen(['setsid', 'sleep', '1000'])
    import socket
    peer = socket.socket(fileno=fd)
    peer.send(b'up')
    child.wait()
";

/// What the daemon does: starts all kinds of things, says their numbers, waits to be killed.
fn play_daemon() {
    let spec = actum_sandbox::Spec::pure(shell("setsid sleep 1000 & echo up; sleep 1000"));
    let (caged, mut out, _err) = start(&spec, "").unwrap();
    std::io::Read::read_exact(&mut out, &mut [0; 3]).unwrap();
    let python = std::path::Path::new("/usr/bin/python3");
    let zygote = Zygote::start(&launcher(), &actum_sandbox::ZygoteSpec::new(python, WORKER)).unwrap();
    let mut pids = vec![caged.pid().unwrap(), zygote.pid().unwrap()];
    let sessions: Vec<_> = (0..20)
        .map(|_| {
            let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            let spec = actum_sandbox::SessionSpec::pure(serde_json::Value::Null);
            let forked = zygote.fork(&spec, theirs.into()).unwrap();
            std::io::Read::read_exact(&mut ours, &mut [0; 2]).unwrap();
            pids.push(forked.pid().unwrap());
            (forked, ours)
        })
        .collect();
    for pid in pids {
        println!("pid {}", pid.as_raw_nonzero());
    }
    println!("all up");
    let _ = std::io::stdin().lines().next();
    drop((caged, zygote, sessions));
}

fn kill_a_daemon_with_its_children() {
    if std::env::var_os(DAEMON).is_some() {
        return play_daemon();
    }
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lifetime::a_daemon_that_is_killed_takes_every_cage_along",
            "--nocapture",
        ])
        .env(DAEMON, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut held: Vec<OwnedFd> = Vec::new();
    for line in BufReader::new(daemon.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(pid) = line.strip_prefix("pid ") {
            let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
            held.push(pidfd_open(pid, PidfdFlags::empty()).unwrap());
        }
        if line == "all up" {
            break;
        }
    }
    assert_eq!(held.len(), 22);
    let killed = std::time::Instant::now();
    daemon.kill().unwrap();
    for pidfd in &held {
        let ended = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&END)).unwrap();
        assert_eq!(ended, 1, "a process outlived its daemon");
    }
    println!("all gone after {:?}", killed.elapsed());
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_that_is_killed_takes_every_cage_along() {
    kill_a_daemon_with_its_children();
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
