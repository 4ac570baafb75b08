//! Sessions forked from a zygote: what they are built of, what they cannot reach, how they end.

use crate::common::*;
use actum_sandbox::{Exit, ForkError, Forked, Layer, Level, SessionSpec, Zygote, ZygoteSpec};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Evaluates each line it gets and answers with the `repr`, or with the error.
const WORKER: &str = r#"
import os, socket, sys
def main(fd, config):
    peer = socket.socket(fileno=fd)
    lines = peer.makefile("rw", encoding="utf-8", newline="\n")
    space = {"config": config}
    for line in lines:
        try:
            answer = repr(eval(line, space))
        except BaseException as error:
            answer = f"{type(error).__name__} {error}"
        lines.write(answer.replace("\n", " ") + "\n")
        lines.flush()
"#;

struct Session {
    forked: Forked,
    lines: BufReader<UnixStream>,
}

impl Session {
    fn new(zygote: &Zygote, spec: &SessionSpec) -> Result<Session, ForkError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let forked = zygote.fork(spec, theirs.into())?;
        Ok(Session {
            forked,
            lines: BufReader::new(ours),
        })
    }

    fn eval(&mut self, line: &str) -> String {
        writeln!(self.lines.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.lines.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

fn spec() -> ZygoteSpec {
    ZygoteSpec::new(Path::new("/usr/bin/python3"), WORKER)
}

fn zygote() -> Zygote {
    Zygote::start(&launcher(), &spec()).unwrap()
}

/// A session without folders.
fn pure(zygote: &Zygote) -> Session {
    Session::new(zygote, &SessionSpec::pure(serde_json::json!({}))).unwrap()
}

#[test]
fn a_session_runs_the_worker_at_level_full() {
    let zygote = zygote();
    let mut session = Session::new(&zygote, &SessionSpec::pure(serde_json::json!({"a": [1, 2]}))).unwrap();
    assert_eq!(
        session.forked.enforced().level,
        Level::Full,
        "{:#?}",
        session.forked.enforced()
    );
    assert_eq!(session.forked.enforced().layers.len(), Layer::ALL.len());
    assert_eq!(session.eval("config['a']"), "[1, 2]");
    assert_eq!(session.eval("__import__('os').getpid()"), "2");
    assert!(zygote.version().starts_with('3'));
}

#[test]
fn a_session_is_given_its_environment_place_name_and_limits() {
    let zygote = zygote();
    let (_keep, path) = folder();
    let mut spec = SessionSpec::workspace(&path, serde_json::json!(null));
    spec.env = [("ONLY".to_owned(), "x".repeat(200_000))].into();
    spec.hostname = "inner".to_owned();
    spec.limits.open_files = Some(77);
    let mut session = Session::new(&zygote, &spec).unwrap();
    assert_eq!(
        session.eval("[(k, len(v)) for k, v in __import__('os').environ.items()]"),
        "[('ONLY', 200000)]"
    );
    assert_eq!(session.eval("__import__('os').getcwd()"), "'/work'");
    assert_eq!(session.eval("__import__('socket').gethostname()"), "'inner'");
    assert_eq!(session.eval("__import__('resource').getrlimit(7)"), "(77, 77)");
    // The socket, and the listing itself.
    assert_eq!(
        session.eval("sorted(map(int, __import__('os').listdir('/proc/self/fd')))"),
        "[0, 1, 2, 3, 4]"
    );
    assert_eq!(session.eval("open('made', 'w').write('by a session')"), "12");
    assert_eq!(
        std::fs::read_to_string(path.join("made")).unwrap(),
        "by a session"
    );
    let ids = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        let stat = std::fs::metadata(path).unwrap();
        (stat.uid(), stat.gid())
    };
    assert_eq!(ids(&path.join("made")), ids(&path));
    std::fs::remove_file(path.join("made")).unwrap();
}

#[test]
fn a_session_writes_only_where_it_may() {
    let zygote = zygote();
    let (_keep, path) = folder();
    let mut spec = SessionSpec::workspace(&path, serde_json::json!(null));
    spec.mounts = vec![actum_sandbox::Mount::read(&path, "/work")];
    let mut session = Session::new(&zygote, &spec).unwrap();
    assert!(session.eval("open('x', 'w')").starts_with("OSError") || !path.join("x").exists());
    assert_eq!(session.eval("open('/tmp/x', 'w').write('1')"), "1");
    let mut sibling = pure(&zygote);
    assert_eq!(sibling.eval("__import__('os').listdir('/tmp')"), "[]");
    assert_eq!(sibling.eval("__import__('os').listdir('/work')"), "[]");
}

#[test]
fn siblings_do_not_see_reach_or_end_each_other() {
    let zygote = zygote();
    let (mut one, mut two) = (pure(&zygote), pure(&zygote));
    for session in [&mut one, &mut two] {
        assert_eq!(
            session.eval("sorted(int(n) for n in __import__('os').listdir('/proc') if n.isdigit())"),
            "[1, 2]"
        );
        // The init cannot be ended, looked into or written to from inside.
        assert!(
            session
                .eval("__import__('os').kill(1, 9)")
                .starts_with("PermissionError")
        );
        assert!(
            session
                .eval("open('/proc/1/mem', 'wb')")
                .starts_with("PermissionError")
        );
        assert!(
            session
                .eval("__import__('os').readlink('/proc/1/fd/0')")
                .starts_with("PermissionError")
        );
    }
    let bind = "[s := __import__('socket').socket(1, 1), s.bind('\\0name'), s.listen()]";
    assert!(one.eval(bind).contains("socket"));
    let connect = "__import__('socket').socket(1, 1).connect('\\0name')";
    assert!(
        two.eval(connect).starts_with("PermissionError"),
        "abstract sockets of one are not the other's"
    );
    assert!(
        one.eval("__import__('os').kill(-1, 9)")
            .starts_with("ProcessLookupError")
            || two.eval("1") == "1"
    );
    assert_eq!(two.eval("1 + 1"), "2");
    assert_eq!(one.eval("1 + 1"), "2");
    // A signal to the own group must not leave the session either.
    one.eval("__import__('signal').signal(10, __import__('signal').SIG_IGN)");
    assert_eq!(one.eval("__import__('os').kill(0, 10)"), "None");
    assert_eq!(two.eval("3 + 3"), "6");
    one.forked.kill().unwrap();
    assert_eq!(one.forked.wait().unwrap(), Exit::Signal(9));
    assert_eq!(two.eval("2 + 2"), "4");
}

#[test]
fn randomness_differs_between_sessions() {
    let zygote = Zygote::start(
        &launcher(),
        &ZygoteSpec {
            imports: vec!["random".to_owned()],
            ..spec()
        },
    )
    .unwrap();
    let drawn = |line: &str| (pure(&zygote).eval(line), pure(&zygote).eval(line));
    for line in [
        "__import__('random').random()",
        "__import__('uuid').uuid4()",
        "__import__('secrets').token_hex()",
    ] {
        let (one, two) = drawn(line);
        assert_ne!(one, two, "{line}");
    }
}

#[test]
fn the_exact_end_of_a_session_is_told_and_its_whole_tree_is_gone() {
    let zygote = zygote();
    for (line, exit) in [
        ("__import__('os')._exit(3)", Exit::Code(3)),
        ("__import__('os').kill(2, 9)", Exit::Signal(9)),
        ("__import__('os').kill(2, 15)", Exit::Signal(15)),
    ] {
        let mut session = pure(&zygote);
        let spawn = "__import__('subprocess').Popen(['sh', '-c', 'setsid sleep 1000 & echo $!; wait'])";
        assert!(session.eval(spawn).starts_with("<Popen"));
        session.eval(line);
        assert_eq!(session.forked.wait().unwrap(), exit, "{line}");
        assert_eq!(session.forked.wait().unwrap(), exit);
        let pid = session.forked.pid().unwrap();
        assert_eq!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        );
    }
}

#[test]
fn a_session_that_is_let_go_ends_by_itself() {
    let zygote = zygote();
    let mut session = pure(&zygote);
    drop(session.lines);
    assert_eq!(session.forked.wait().unwrap(), Exit::Code(0));
}

#[test]
fn a_session_is_ended_with_all_it_started() {
    let zygote = zygote();
    let mut session = pure(&zygote);
    session.eval("__import__('signal').signal(15, __import__('signal').SIG_IGN)");
    session.eval("[__import__('subprocess').Popen(['setsid', 'sleep', '1000']) for _ in range(20)]");
    assert!(session.forked.end(std::time::Duration::from_secs(60)).unwrap());
    assert_eq!(session.forked.wait().unwrap(), Exit::Signal(9));
    assert_eq!(pure(&zygote).eval("1"), "1", "the zygote lives on");
}

#[test]
fn a_step_that_fails_is_named_and_no_code_of_the_worker_runs() {
    let zygote = zygote();
    let (_keep, path) = folder();
    let marker = path.join("ran");
    let mut spec = SessionSpec::workspace(&path, serde_json::json!(null));
    spec.cwd = "/no/such".into();
    match Session::new(&zygote, &spec).map(|_| ()).unwrap_err() {
        ForkError::Step { step, reason } => {
            assert!(step == "identity" && reason.contains("/no/such"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    for layer in [Layer::Landlock, Layer::Seccomp] {
        let launcher = launcher().sabotaged(&[layer]);
        let zygote = Zygote::start(&launcher, &self::spec()).unwrap();
        let built = Session::new(&zygote, &SessionSpec::pure(serde_json::json!(null)));
        // Both are added by each session itself, so a zygote without them changes nothing.
        assert_eq!(built.unwrap().forked.enforced().level, Level::Full);
    }
    assert!(!marker.exists());
    spec.cwd = "/work".into();
    spec.mounts[0].host = path.join("absent");
    assert!(matches!(
        Session::new(&zygote, &spec).map(|_| ()).unwrap_err(),
        ForkError::Refused(_)
    ));
    spec.mounts[0].at = "/elsewhere".into();
    assert!(matches!(
        Session::new(&zygote, &spec).map(|_| ()).unwrap_err(),
        ForkError::Refused(_)
    ));
    assert_eq!(pure(&zygote).eval("1"), "1", "the zygote lives on");
}

#[test]
fn a_worker_or_an_import_that_fails_is_told_at_the_start() {
    let reason = |spec: &ZygoteSpec| {
        Zygote::start(&launcher(), spec)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let broken = ZygoteSpec::new(Path::new("/usr/bin/python3"), "def main(:");
    assert!(reason(&broken).contains("SyntaxError"), "{}", reason(&broken));
    let nameless = ZygoteSpec::new(Path::new("/usr/bin/python3"), "x = 1");
    assert!(reason(&nameless).contains("main"));
    let absent = ZygoteSpec {
        imports: vec!["no_such_module".to_owned()],
        ..spec()
    };
    assert!(reason(&absent).contains("no_such_module"));
    let other = ZygoteSpec {
        interpreter: "/no/python".into(),
        ..spec()
    };
    assert!(reason(&other).contains("/no/python"));
}

#[test]
fn the_end_of_a_zygote_is_seen_and_takes_its_sessions_along() {
    let zygote = zygote();
    let mut session = pure(&zygote);
    assert!(zygote.end(std::time::Duration::from_secs(60)).unwrap());
    assert_eq!(session.forked.wait().unwrap(), Exit::Signal(9));
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let gone = zygote
        .fork(&SessionSpec::pure(serde_json::json!(null)), theirs.into())
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(gone, ForkError::Gone { .. }), "{gone:?}");
}

#[test]
fn a_bare_fork_is_refused_where_a_level_is_asked_for() {
    let zygote = zygote();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    assert!(zygote.fork_bare(&serde_json::json!(null), theirs.into()).is_err());
}

#[test]
fn many_sessions_at_once_are_kept_apart() {
    let zygote = zygote();
    let run = |number: usize| {
        let mut session = Session::new(&zygote, &SessionSpec::pure(serde_json::json!(number))).unwrap();
        assert_eq!(session.eval("config"), number.to_string());
        assert_eq!(session.eval("__import__('os').getpid()"), "2");
        session
    };
    let sessions: Vec<Session> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|t| scope.spawn(move || (0..10).map(|n| run(t * 10 + n)).collect::<Vec<_>>()))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    for mut session in sessions {
        drop(session.lines);
        assert_eq!(session.forked.wait().unwrap(), Exit::Code(0));
    }
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
/// The process that waits to become the next session of this zygote, seen from the host; not this one.
fn waiting(zygote: &Zygote, but: Option<i32>) -> i32 {
    let cage = zygote.pid().unwrap().as_raw_pid();
    loop {
        let zygotes = children(cage);
        let forked = zygotes.into_iter().flat_map(children);
        // The second of a numbering of its own.
        let mut waiting =
            forked.filter(|pid| Some(*pid) != but && inner_number(*pid).as_deref() == Some("2"));
        if let Some(pid) = waiting.next() {
            return pid;
        }
        std::thread::yield_now();
    }
}

fn children(parent: i32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of = |pid: &i32| status(*pid, "PPid:").and_then(|of| of.parse().ok());
    pids.filter(|pid| of(pid) == Some(parent)).collect()
}

/// The number of a process in the innermost numbering it is in.
fn inner_number(pid: i32) -> Option<String> {
    status(pid, "NSpid:").and_then(|numbers| numbers.split_whitespace().last().map(str::to_owned))
}

fn status(pid: i32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().to_owned())
}

#[test]
fn the_process_that_waits_holds_nothing_of_other_sessions_and_is_replaced_when_it_is_killed() {
    let zygote = zygote();
    let (_keep, path) = folder();
    let first = waiting(&zygote, None);
    let mut session = Session::new(&zygote, &SessionSpec::workspace(&path, serde_json::json!(null))).unwrap();
    assert_eq!(
        session.forked.pid().unwrap().as_raw_pid(),
        first,
        "it becomes the session"
    );
    let next = waiting(&zygote, Some(first));
    let held = || {
        let names = std::fs::read_dir(format!("/proc/{next}/fd")).unwrap().flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    // Nobody else may look.
    while is_root() && held() != ["0", "1", "2", "3"] {
        std::thread::yield_now();
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(next).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    while status(next, "State:").is_some_and(|state| !state.starts_with('Z')) {
        std::thread::yield_now();
    }
    let mut another = pure(&zygote);
    assert_ne!(another.forked.pid().unwrap().as_raw_pid(), next);
    assert_eq!(another.forked.enforced().level, Level::Full);
    assert_eq!(
        (another.eval("1"), session.eval("2")),
        ("1".to_owned(), "2".to_owned())
    );
}

#[test]
fn a_session_may_have_more_or_less_memory_for_files_than_most() {
    let zygote = zygote();
    for bytes in [1 << 20, 1 << 30] {
        let mut spec = SessionSpec::pure(serde_json::json!(null));
        spec.limits.tmp_bytes = bytes;
        let mut session = Session::new(&zygote, &spec).unwrap();
        for place in ["/tmp", "/dev/shm"] {
            let size = format!("(lambda s: s.f_blocks * s.f_frsize)(__import__('os').statvfs('{place}'))");
            assert_eq!(session.eval(&size), bytes.to_string());
        }
    }
}

/// The bug: descriptors that did not fit were left out in silence, so a session was built without its folder, or the
/// zygote ended with every session.
#[test]
fn a_zygote_without_room_for_more_files_refuses_the_order_and_lives_on() {
    let (_keep, path) = folder();
    let folders = SessionSpec::workspace(&path, serde_json::json!(null));
    // At one of these bounds an order has room for some of its descriptors.
    for most in 20..26 {
        let mut small = spec();
        small.limits.open_files = Some(most);
        let zygote = Zygote::start(&launcher(), &small).unwrap();
        let mut sessions = Vec::new();
        let refused = loop {
            match Session::new(&zygote, &folders) {
                Ok(mut session) => {
                    assert_eq!(session.eval("__import__('os').path.ismount('/work')"), "True");
                    sessions.push(session);
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(&refused, ForkError::Step { .. }), "{most}: {refused:?}");
        assert!(sessions.len() > 1, "{most}: {refused:?}");
        for session in &mut sessions {
            assert_eq!(session.eval("1"), "1");
        }
        // What ends makes room.
        let mut gone = sessions.remove(0);
        gone.forked.kill().unwrap();
        assert_eq!(gone.forked.wait().unwrap(), Exit::Signal(9));
        sessions.push(Session::new(&zygote, &folders).unwrap());
    }
}
