//! Workers that send garbage: the session ends with a clear error, and nothing else is harmed.

use crate::common::{self, Bench, Kind};
use actum_worker::process::{Boxed, End, Process, Running};
use actum_worker::session::{self, EndReason, Event, Events, Execute, Options, Session};
use serde_json::{Value as Json, json};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A process that is only this test: it ends when it is killed.
struct Puppet {
    killed: Arc<AtomicBool>,
    end: Option<tokio::sync::oneshot::Sender<End>>,
    ended: Option<tokio::sync::oneshot::Receiver<End>>,
}

impl Process for Puppet {
    fn pid(&self) -> u32 {
        0
    }

    fn kill(&mut self) -> io::Result<()> {
        self.killed.store(true, Ordering::SeqCst);
        if let Some(end) = self.end.take() {
            let _ = end.send(End {
                code: None,
                signal: Some(9),
            });
        }
        Ok(())
    }

    fn ended(&mut self) -> Boxed<End> {
        let ended = self.ended.take().unwrap();
        Box::pin(async move { ended.await.unwrap_or_default() })
    }
}

fn frame(message: &Json) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(message).unwrap();
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

fn hello() -> Vec<u8> {
    let mut bytes = frame(
        &json!({"type": "hello", "protocol": 1, "worker": "puppet", "capabilities": ["execute", "checkpoint"]}),
    );
    bytes.extend(frame(&json!({"type": "ready", "session": ""})));
    bytes
}

fn puppet(first: &[u8]) -> (Running, UnixStream, Arc<AtomicBool>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(first).unwrap();
    let killed = Arc::new(AtomicBool::new(false));
    let (end, ended) = tokio::sync::oneshot::channel();
    let process = Puppet {
        killed: Arc::clone(&killed),
        end: Some(end),
        ended: Some(ended),
    };
    (
        Running {
            socket: ours.into(),
            process: Box::new(process),
        },
        theirs,
        killed,
    )
}

async fn reason(events: &mut Events) -> (Vec<Event>, EndReason) {
    let mut before = Vec::new();
    loop {
        match tokio::time::timeout(common::PATIENCE, events.next())
            .await
            .unwrap()
            .unwrap()
        {
            Event::Ended { reason } => return (before, reason),
            event => before.push(event),
        }
    }
}

async fn started() -> (Session, Events, UnixStream, Arc<AtomicBool>) {
    let (running, socket, killed) = puppet(&hello());
    let (session, events) = session::start(running, Options::default()).await.unwrap();
    (session, events, socket, killed)
}

fn ack() -> Json {
    json!({"type": "ack", "of": "x"})
}

#[tokio::test]
async fn garbage_ends_the_session_with_a_clear_error_and_one_outcome_for_what_ran() {
    let result = json!({"type": "result", "id": "x", "repr": "", "durationNs": 1});
    let output = |id: &str, seq: u64| {
        let mut bytes = Vec::new();
        rmp_serde::encode::write_named(
            &mut bytes,
            &json!({"type": "output", "id": id, "stream": "stdout", "seq": seq, "data": "D"}),
        )
        .unwrap();
        // JSON has no bytes: the one-letter text becomes one byte of binary.
        let at = bytes.windows(2).rposition(|pair| pair == b"\xa1D").unwrap();
        bytes.splice(at..at + 1, [0xC4, 1]);
        let mut frame = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(bytes);
        frame
    };
    let join = |parts: &[Vec<u8>]| parts.concat();
    let acked = frame(&ack());
    let deep = {
        let mut body = vec![0x81, 0xA4, b't', b'y', b'p', b'e'];
        body.extend(vec![0x91; 5000]);
        body.push(0xC0);
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(body);
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a length of 4 GiB",
            vec![0xFF; 16],
            "at most 10485760 bytes, got 4294967295",
        ),
        (
            "no MessagePack",
            join(&[vec![0, 0, 0, 3], b"\xc1\xc1\xc1".to_vec()]),
            "expected a message",
        ),
        ("a frame of nothing", vec![0, 0, 0, 0], "expected a message"),
        ("a list", frame(&json!([1, 2])), "expected a message"),
        ("nesting without end", deep, "expected a message"),
        (
            "an unknown type",
            frame(&json!({"type": "become_root"})),
            "become_root",
        ),
        (
            "a missing field",
            frame(&json!({"type": "result"})),
            "missing field",
        ),
        (
            "bytes after a message",
            join(&[vec![0, 0, 0, 14], frame(&ack())[4..].to_vec(), vec![0xC0]]),
            "message",
        ),
        (
            "a result for another execution",
            join(&[
                acked.clone(),
                frame(&json!({"type": "result", "id": "y", "repr": "", "durationNs": 1})),
            ]),
            "`result` of `y` while `x`",
        ),
        (
            "a result before the acknowledgement",
            frame(&result),
            "`result` of `x`",
        ),
        (
            "output of another execution",
            join(&[acked.clone(), output("y", 0)]),
            "`output` of `y`",
        ),
        (
            "output that skips a number",
            join(&[acked.clone(), output("x", 1)]),
            "expected 0",
        ),
        (
            "output after the result",
            join(&[acked.clone(), frame(&result), output("x", 0)]),
            "`output` of `x` while nothing runs",
        ),
        (
            "a second result",
            join(&[acked.clone(), frame(&result), frame(&result)]),
            "`result` of `x`",
        ),
        (
            "a second acknowledgement",
            join(&[acked.clone(), frame(&ack())]),
            "`ack` of `x`",
        ),
        ("a second hello", hello(), "a second introduction"),
        (
            "a checkpoint nobody asked for",
            frame(&json!({"type": "restored", "id": "x", "restored": [], "skipped": []})),
            "not served",
        ),
        (
            "a question from nowhere",
            frame(&json!({"type": "input_request", "id": "i", "execution": "z", "prompt": ""})),
            "`input_request` of `z`",
        ),
        (
            "data of no channel",
            frame(&json!({"type": "stream_close", "id": "s", "reason": "end"})),
            "not open",
        ),
    ];
    for (name, bytes, expected) in cases {
        let mut bystander = started().await;
        let (session, mut events, mut socket, killed) = started().await;
        session.execute(Execute::new("x", "1")).unwrap();
        socket.write_all(&bytes).unwrap();
        let (before, reason) = reason(&mut events).await;
        assert_eq!(reason.code(), "WORKER_PROTOCOL", "{name}: {reason}");
        assert!(reason.to_string().contains(expected), "{name}: {reason}");
        assert!(killed.load(Ordering::SeqCst), "{name}");
        let outcomes = before
            .iter()
            .filter(|event| matches!(event, Event::Finished(_)))
            .count();
        assert_eq!(outcomes, 1, "{name}: {before:?}");
        assert!(bystander.0.execute(Execute::new("x", "1")).is_ok());
        bystander.2.write_all(&frame(&ack())).unwrap();
        assert_eq!(
            bystander.1.next().await,
            Some(Event::Acknowledged { of: "x".to_owned() })
        );
    }
}

#[tokio::test]
async fn more_output_than_the_credit_ends_the_session() {
    let (session, mut events, mut socket, _killed) = started().await;
    session.execute(Execute::new("x", "1")).unwrap();
    let writer = std::thread::spawn(move || {
        let mut bytes = frame(&ack());
        for seq in 0_u32.. {
            let head = [
                b"\x85\xa4type\xa6output\xa2id\xa1x\xa6stream\xa6stdout\xa3seq\xce".to_vec(),
                seq.to_be_bytes().to_vec(),
                b"\xa4data\xc6\0\x01\0\0".to_vec(),
                vec![b'x'; 65536],
            ]
            .concat();
            bytes.extend(u32::try_from(head.len()).unwrap().to_be_bytes());
            bytes.extend(head);
            if socket.write_all(&bytes).is_err() {
                return seq;
            }
            bytes.clear();
        }
        0
    });
    // Nothing is read until the worker was stopped.
    session.shutdown().await;
    assert!(writer.join().unwrap() < 100);
    let (before, reason) = reason(&mut events).await;
    assert!(
        reason.to_string().contains("more of Stdout than its credit") || reason == EndReason::Closed,
        "{reason}"
    );
    assert!(
        before
            .iter()
            .filter(|event| matches!(event, Event::Output { .. }))
            .count()
            <= 16
    );
}

#[tokio::test]
async fn introductions_that_fail_are_told_apart() {
    let hello_of = |version: u32| frame(&json!({"type": "hello", "protocol": version, "worker": "p"}));
    let fault = frame(&json!({"type": "fault", "code": "PROTOCOL_MISMATCH", "message": "no"}));
    let cases = [
        (hello_of(2), "WORKER_MISMATCH"),
        (frame(&json!({"type": "ready"})), "WORKER_PROTOCOL"),
        ([hello_of(1), hello_of(1)].concat(), "WORKER_PROTOCOL"),
        (fault, "WORKER_FAULT"),
        (vec![0xFF; 4], "WORKER_PROTOCOL"),
        (Vec::new(), "WORKER_HELLO_TIMEOUT"),
    ];
    for (bytes, code) in cases {
        let (running, _socket, killed) = puppet(&bytes);
        let options = Options {
            hello_timeout: Duration::from_millis(200),
            ..Options::default()
        };
        let reason = session::start(running, options).await.unwrap_err();
        assert_eq!(reason.code(), code, "{reason}");
        assert!(killed.load(Ordering::SeqCst), "{code}");
    }
}

#[tokio::test]
async fn a_worker_that_dies_says_by_what() {
    for (code, expected) in [
        (
            "import os, signal\nprint('partial', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)",
            End {
                code: None,
                signal: Some(9),
            },
        ),
        (
            "import os\nprint('partial', flush=True)\nos._exit(3)",
            End {
                code: Some(3),
                signal: None,
            },
        ),
        (
            "import ctypes\nctypes.string_at(0)",
            End {
                code: None,
                signal: Some(11),
            },
        ),
    ] {
        let mut bench = Bench::start(Kind::Python).await;
        bench.send(code).await;
        assert_eq!(bench.end().await, EndReason::Died(expected));
    }
}

#[tokio::test]
async fn a_daemon_that_sends_garbage_is_told_so_and_the_worker_leaves() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let garbage: [&[u8]; 4] = [
        &[0xFF; 8],
        b"\0\0\0\x01\xc1",
        b"\0\0\0\x02\x91\x01",
        b"\0\0\0\x07\x81\xa4type\x01",
    ];
    for bytes in garbage {
        let Running { socket, mut process } = common::running(Kind::Python);
        let ended = process.ended();
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true).unwrap();
        let mut socket = tokio::net::UnixStream::from_std(socket).unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut said = Vec::new();
        let _ = tokio::time::timeout(common::PATIENCE, socket.read_to_end(&mut said))
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("fault") && said.contains("WORKER_PROTOCOL"),
            "{said}"
        );
        assert_eq!(ended.await.code, Some(70));
    }
}

#[tokio::test]
async fn a_worker_leaves_when_its_daemon_is_gone_and_takes_its_children_along() {
    let Running { socket, mut process } = common::running(Kind::Python);
    let ended = process.ended();
    drop(socket);
    assert_eq!(
        tokio::time::timeout(common::PATIENCE, ended).await.unwrap().code,
        Some(0)
    );
}
