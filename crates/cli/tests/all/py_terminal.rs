//! `actum py -i` as somebody at a terminal has it: over a pseudo-terminal, with the line editor, its prompts and Ctrl-C.

use crate::common::{Daemon, actum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// For a whole test, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);
/// The line editor is there and waits for keys: it has switched the terminal, and asked it to mark what is pasted.
const READY: &str = "\x1b[?2004h";
/// It has a line, and the terminal is again as it was: Ctrl-C is a signal now.
const TAKEN: &str = "\x1b[?2004l";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// A terminal with a program that has it for its own.
struct Terminal {
    ours: OwnedFd,
    /// Kept open, so that how it is can be looked at when the program has ended.
    theirs: OwnedFd,
    child: Child,
    said: String,
    /// Up to where it was looked at.
    seen: usize,
    until: Instant,
}

impl Terminal {
    fn start(daemon: &Daemon, args: &[&str]) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
        let size = Winsize {
            ws_row: 50,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&theirs, size).unwrap();
        // A terminal of its own, so that Ctrl-C there reaches it and nobody else.
        let own = actum();
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(own.get_program())
            .arg("--data")
            .arg(&daemon.data)
            .args(args);
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs.try_clone().unwrap())
            .spawn()
            .unwrap();
        Terminal {
            ours,
            theirs,
            child,
            said: String::new(),
            seen: 0,
            until: Instant::now() + PATIENCE,
        }
    }

    /// Reads what has come, waiting for some; false where there is nothing and `end` has come.
    fn read(&mut self, end: Option<&OwnedFd>) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "it says no more than: {:?}", self.said);
        let left = Timespec::try_from(left).unwrap();
        let watched = std::iter::once(&self.ours).chain(end);
        let mut watched: Vec<_> = watched.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        poll(&mut watched, Some(&left)).unwrap();
        if !watched[0].revents().contains(PollFlags::IN) {
            return watched.len() == 1 || watched[1].revents().is_empty();
        }
        let mut bytes = [0; 4096];
        let count = rustix::io::read(&self.ours, &mut bytes).unwrap();
        self.said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        true
    }

    /// Waits until it says this, behind what was waited for before; gives what it said up to there.
    #[track_caller]
    fn says(&mut self, what: &str) -> String {
        loop {
            let new = &self.said[self.seen..];
            if let Some(at) = new.find(what) {
                let before = new[..at].to_owned();
                self.seen += at + what.len();
                return before;
            }
            self.read(None);
        }
    }

    fn types(&self, keys: &str) {
        let mut left = keys.as_bytes();
        while !left.is_empty() {
            let count = rustix::io::write(&self.ours, left).unwrap();
            left = &left[count..];
        }
    }

    /// Types a line at a prompt that is ready, and waits for the next one; gives what was said in between.
    #[track_caller]
    fn line(&mut self, line: &str) -> String {
        self.types(&format!("{line}\r"));
        self.says(TAKEN);
        self.says(READY)
    }

    /// Waits for the end; gives its exit code, all that it said since it was looked at, and how it left the terminal.
    fn ends(mut self) -> (i32, String, Termios) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let end = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        while self.read(Some(&end)) {}
        let status = self.child.wait().unwrap();
        let said = self.said[self.seen..].to_owned();
        (
            status.code().unwrap_or(-1),
            said,
            tcgetattr(&self.theirs).unwrap(),
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_prompt_keeps_its_names_asks_what_code_asks_and_survives_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let mut terminal = Terminal::start(&daemon, &["py", "-i"]);
    terminal.says("Ctrl-D ends");
    terminal.says(READY);
    terminal.says(">>> ");
    assert!(terminal.line("6 * 7").contains("42\r\n"));

    // A definition over several lines, ended by an empty one.
    terminal.line("def twice(n):");
    terminal.says("... ");
    terminal.line("    return 2 * n");
    terminal.line("");
    terminal.says(">>> ");
    assert!(terminal.line("kept = twice(21000)").trim().is_empty());
    assert!(terminal.line("kept").contains("42000\r\n"));
    assert!(terminal.line("1 / 0").contains("ZeroDivisionError"));

    // What code asks for is asked for here.
    terminal.line("name = input('who' + ' is it? ')");
    terminal.says("who is it? ");
    terminal.line("ana");
    terminal.says(">>> ");
    assert!(terminal.line("name").contains("'ana'\r\n"));

    // Ctrl-C stops what runs, and only that.
    terminal.types("print('spin' + 'ning', flush=True) or exec('while True: pass')\r");
    terminal.says(TAKEN);
    terminal.says("spinning");
    terminal.types(CTRL_C);
    assert!(
        terminal.says(READY).contains("KeyboardInterrupt"),
        "{:?}",
        terminal.said
    );
    assert!(terminal.line("kept + 1").contains("42001\r\n"));

    // At the prompt it clears the line.
    terminal.types(&format!("never(finished{CTRL_C}"));
    terminal.says(READY);
    assert!(terminal.line("kept + 2").contains("42002\r\n"));

    terminal.types(CTRL_D);
    let (code, said, _) = terminal.ends();
    assert_eq!(code, 0, "{said}");
    let sessions = daemon.run(&["session", "list", "--json"]).ended(0).json();
    assert_eq!(
        sessions["sessions"],
        serde_json::json!([]),
        "its session went with it"
    );
    let (status, said) = daemon.end();
    assert!(status.success(), "{said}");
}

/// What somebody is in the middle of when the daemon dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Middle {
    /// A line at the prompt.
    Line,
    /// Code runs.
    Code,
    /// Code has asked for a line.
    Question,
}

#[test]
fn a_prompt_whose_daemon_is_gone_says_so_ends_and_gives_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    for middle in [Middle::Line, Middle::Code, Middle::Question] {
        let daemon = Daemon::dev(&folder.path().join(format!("{middle:?}")));
        let mut terminal = Terminal::start(&daemon, &["py", "-i"]);
        let before = tcgetattr(&terminal.theirs).unwrap();
        terminal.says(READY);
        match middle {
            Middle::Line => {
                daemon.kill();
                terminal.types("1 + 1\r");
                terminal.says(TAKEN);
            }
            Middle::Code => {
                terminal.types("print('spin' + 'ning', flush=True) or exec('while True: pass')\r");
                terminal.says("spinning");
                daemon.kill();
            }
            Middle::Question => {
                terminal.line("input('who' + ' is it? ')");
                terminal.says("who is it? ");
                daemon.kill();
            }
        }
        let (code, said, after) = terminal.ends();
        assert_eq!(code, 1, "{middle:?}: {said}");
        assert!(said.contains("error[DAEMON_UNREACHABLE]"), "{middle:?}: {said}");
        assert!(said.contains("hint: "), "{middle:?}: {said}");
        assert_eq!(after.local_modes, before.local_modes, "{middle:?}: {said}");
        assert_eq!(after.input_modes, before.input_modes, "{middle:?}: {said}");
    }
}
