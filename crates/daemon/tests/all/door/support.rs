//! A door with its events, blobs and spool, for one test.

use actum_daemon::door::{Door, DoorOptions, Job, MARK, Seal, Sink, Stream, WorkEvent};
use actum_model::effect::SettledAs;
use actum_model::{Hash, Settlement};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(crate) const GRACE: Duration = Duration::from_millis(100);

pub(crate) struct Bench {
    pub(crate) door: Door,
    pub(crate) blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub(crate) spool: tempfile::TempDir,
    events: UnboundedReceiver<WorkEvent>,
}

/// A command that has settled, with the live output it had sent before.
pub(crate) struct Done {
    pub(crate) settlement: Settlement,
    pub(crate) data: Value,
    pub(crate) live: BTreeMap<&'static str, String>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let (send, events) = unbounded_channel();
        let spool = tempfile::tempdir().unwrap();
        let blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let sealed = Arc::clone(&blobs);
        let seal: Seal = Arc::new(move |bytes| {
            let hash = Hash::of(bytes);
            sealed.lock().unwrap().insert(hash.to_string(), bytes.to_vec());
            Ok(hash)
        });
        let door = Door::new(
            Sink::new(send, seal, spool.path(), Arc::default()),
            DoorOptions::default(),
        )
        .unwrap();
        Bench {
            door,
            blobs,
            spool,
            events,
        }
    }

    /// Starts a job and waits for its settlement.
    pub(crate) async fn run(&mut self, job: Job) -> Done {
        let seq = job.seq;
        self.door.start(job);
        self.settled(seq).await
    }

    pub(crate) async fn sh(&mut self, script: &str) -> Done {
        self.run(job(&["sh", "-c", script])).await
    }

    /// Waits until the live standard output of a command holds `text` so many times.
    pub(crate) async fn output(&mut self, seq: u64, text: &str, times: usize) -> String {
        let mut seen = String::new();
        while seen.matches(text).count() < times {
            match self.events.recv().await.unwrap() {
                WorkEvent::Output {
                    seq: of,
                    stream: Stream::Stdout,
                    data,
                    ..
                } if of == seq => seen.push_str(&data),
                WorkEvent::Output { .. } | WorkEvent::Shown { .. } => {}
                WorkEvent::Settled { seq: of, settlement } if of == seq => {
                    panic!("settled before: {settlement:?}")
                }
                WorkEvent::Settled { .. } => {}
            }
        }
        seen
    }

    pub(crate) async fn settled(&mut self, seq: u64) -> Done {
        let mut live: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut next = BTreeMap::new();
        loop {
            match self.events.recv().await.unwrap() {
                WorkEvent::Output {
                    seq: of,
                    stream,
                    offset,
                    data,
                    ..
                } if of == seq => {
                    let expected = next.insert(stream, offset + data.len() as u64);
                    assert_eq!(offset, expected.unwrap_or(offset), "offsets are gap-free");
                    assert!(data.len() <= 64 * 1024);
                    live.entry(stream.as_str()).or_default().push_str(&data);
                }
                WorkEvent::Settled { seq: of, settlement } if of == seq => {
                    let data = settlement
                        .data
                        .as_ref()
                        .map(actum_model::Json::to_value)
                        .unwrap_or_default();
                    return Done {
                        settlement,
                        data,
                        live,
                    };
                }
                _ => {}
            }
        }
    }

    /// The next event of whatever command.
    pub(crate) async fn next(&mut self) -> WorkEvent {
        self.events.recv().await.unwrap()
    }

    /// The next settlement of whatever command.
    pub(crate) async fn any_settled(&mut self) -> (u64, Settlement) {
        loop {
            if let WorkEvent::Settled { seq, settlement } = self.events.recv().await.unwrap() {
                return (seq, settlement);
            }
        }
    }

    pub(crate) fn blob(&self, stream: &Value) -> Vec<u8> {
        self.blobs.lock().unwrap()[stream["blob"].as_str().unwrap()].clone()
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn expect(&self, settled: SettledAs) -> &Done {
        assert_eq!(self.settlement.settled, settled, "{:?}", self.settlement);
        self
    }

    pub(crate) fn stdout(&self) -> &str {
        self.data["stdout"]["text"].as_str().unwrap()
    }

    pub(crate) fn message(&self) -> &str {
        &self.settlement.fault.as_ref().unwrap().message
    }
}

pub(crate) fn job(argv: &[&str]) -> Job {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let seq = NEXT.fetch_add(1, Ordering::SeqCst);
    let effect = Hash::of(format!("{}/{seq}", std::process::id()).as_bytes());
    Job {
        seq,
        effect,
        argv: argv.iter().map(|&text| text.to_owned()).collect(),
        cwd: None,
        env: BTreeMap::new(),
        stdin: None,
        secrets: Vec::new(),
        cage: None,
    }
}

/// Living processes that carry the mark of an effect, found without the code under test.
pub(crate) fn marked(effect: Hash) -> Vec<i32> {
    let wanted = format!("{MARK}={effect}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // The environment of a zombie is empty.
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
        {
            found.push(pid);
        }
    }
    found
}
