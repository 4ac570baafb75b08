//! A worker as a child, and a session over it with the shortest way to say things.

use actum_worker::process::direct;
use actum_worker::protocol::Stream;
use actum_worker::session::{self, EndReason, Ending, Event, Events, Execute, Options, Outcome, Session};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Python,
    Shell,
    Node,
}

/// Longest any test waits for one event; reached only when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The interpreter that tests use; the environment may name another version.
pub(crate) fn python() -> String {
    std::env::var("ACTUM_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

pub(crate) fn running(kind: Kind) -> actum_worker::process::Running {
    let worker = source("python/worker.py");
    match kind {
        Kind::Python => direct::start_python(&python(), &worker, &json!({"kind": "python"})),
        Kind::Shell => direct::start_python(&python(), &worker, &json!({"kind": "shell"})),
        Kind::Node => {
            let file = source("tests/minimal_worker.js");
            direct::start("node", &[&file.to_string_lossy(), direct::SOCKET], None)
        }
    }
    .unwrap()
}

/// What one execution said.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Option<Outcome>,
}

impl Told {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub(crate) fn ending(&self) -> &Ending {
        &self.outcome.as_ref().unwrap().ending
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.ending().code()
    }

    #[track_caller]
    pub(crate) fn value(&self) -> Json {
        match self.ending() {
            Ending::Succeeded(success) => success.value.clone().unwrap_or(json!("no value")),
            other => panic!("expected a value, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn repr(&self) -> String {
        match self.ending() {
            Ending::Succeeded(success) => success.repr.clone(),
            other => panic!("expected a value, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> &actum_worker::protocol::Failure {
        match self.ending() {
            Ending::Failed(failure) => failure,
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    pub(crate) fn kept(&self) -> bool {
        self.outcome.as_ref().unwrap().session_kept
    }
}

pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) events: Events,
    pub(crate) count: u32,
}

impl Bench {
    pub(crate) async fn start(kind: Kind) -> Bench {
        // How long a start may take is a matter of its own, and a busy machine takes its time.
        let options = Options {
            hello_timeout: PATIENCE,
            ..Options::default()
        };
        Bench::with(kind, options).await
    }

    pub(crate) async fn with(kind: Kind, options: Options) -> Bench {
        let (session, events) = session::start(running(kind), options).await.unwrap();
        Bench {
            session,
            events,
            count: 0,
        }
    }

    pub(crate) async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.next())
            .await
            .expect("an event in time")
            .expect("not the end")
    }

    /// Queues code and gives its id.
    pub(crate) async fn send(&mut self, code: &str) -> String {
        self.count += 1;
        let id = format!("e{}", self.count);
        self.session.execute(Execute::new(&id, code)).unwrap();
        id
    }

    pub(crate) async fn run(&mut self, code: &str) -> Told {
        let id = self.send(code).await;
        self.finish(&id).await
    }

    pub(crate) async fn execute(&mut self, execute: Execute) -> Told {
        let id = execute.id.clone();
        self.session.execute(execute).unwrap();
        self.finish(&id).await
    }

    /// Collects until the execution has its outcome.
    pub(crate) async fn finish(&mut self, id: &str) -> Told {
        let mut told = Told::default();
        loop {
            match self.next().await {
                Event::Output {
                    execution,
                    stream,
                    data,
                    ..
                } => {
                    assert_eq!(execution, id);
                    match stream {
                        Stream::Stdout => told.stdout.extend_from_slice(&data),
                        _ => told.stderr.extend_from_slice(&data),
                    }
                }
                Event::Finished(outcome) if outcome.execution == id => {
                    told.outcome = Some(outcome);
                    return told;
                }
                Event::Heartbeat(_) => {}
                Event::Ended { reason } => panic!("the session ended: {reason}"),
                event => told.events.push(event),
            }
        }
    }

    /// Waits until the execution has written `needle`.
    pub(crate) async fn until_output(&mut self, needle: &str) {
        let mut seen = String::new();
        while !seen.contains(needle) {
            match self.next().await {
                Event::Output { data, .. } => seen.push_str(&String::from_utf8_lossy(&data)),
                Event::Finished(outcome) => panic!("it ended before it wrote `{needle}`: {outcome:?}"),
                _ => {}
            }
        }
    }

    /// Waits for the end of the session.
    pub(crate) async fn end(&mut self) -> EndReason {
        loop {
            if let Event::Ended { reason } = self.next().await {
                return reason;
            }
        }
    }
}

/// Whether a process is there and not a zombie.
pub(crate) fn lives(pid: i64) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => false,
    }
}

/// How often something is repeated: few times usually, `ACTUM_DEEP` times when that is set.
pub(crate) fn rounds(few: usize, deep: usize) -> usize {
    if std::env::var_os("ACTUM_DEEP").is_some() {
        deep
    } else {
        few
    }
}
