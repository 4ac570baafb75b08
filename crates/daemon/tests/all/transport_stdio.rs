//! Standard input and output: the same protocol, line by line, and nothing else on the output.

use crate::transport_support::{Daemon, annotate, code};
use actum_daemon::transport::{Timings, stdio};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::task::JoinHandle;

struct Pipe {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
    serving: JoinHandle<()>,
}

impl Pipe {
    fn open(daemon: &Daemon) -> Pipe {
        let (input, theirs_in) = tokio::io::duplex(1 << 16);
        let (theirs_out, output) = tokio::io::duplex(1 << 16);
        let core = daemon.core.clone();
        Pipe {
            input,
            output: BufReader::new(output).lines(),
            serving: tokio::spawn(stdio::serve_on(core, Timings::default(), theirs_in, theirs_out)),
        }
    }

    async fn send(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.unwrap();
        self.input.write_all(b"\n").await.unwrap();
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.output.next_line().await.unwrap().expect("the output ended")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_greeted_answered_and_finished_when_its_input_ends() {
    let daemon = Daemon::dev().await;
    let mut pipe = Pipe::open(&daemon);
    assert_eq!(pipe.next().await["type"], "server_ready");
    pipe.send(r#"{"type":"session.create","id":"c","sessionId":"s"}"#)
        .await;
    assert_eq!(pipe.next().await["success"], true);
    pipe.send(r#"{"type":"command.get","payload":{"id":"c"}}"#).await;
    assert_eq!(pipe.next().await["data"]["principal"], "stdio");
    // The last line has no end, and the input ends right behind it.
    for n in 0..100 {
        pipe.send(&annotate(&n.to_string(), "s", n).to_string()).await;
    }
    pipe.input
        .write_all(annotate("last", "s", 1).to_string().as_bytes())
        .await
        .unwrap();
    drop(pipe.input);
    let mut answered = Vec::new();
    while let Some(line) = pipe.output.next_line().await.unwrap() {
        answered.push(
            serde_json::from_str::<Value>(&line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(answered.len(), 101);
    assert_eq!(answered.last().unwrap(), "last");
    pipe.serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_gets_a_clear_error_each_and_the_pipe_lives_on() {
    let daemon = Daemon::dev().await;
    let mut pipe = Pipe::open(&daemon);
    pipe.next().await;
    for (line, expected) in [
        ("{".to_owned(), "INVALID_JSON"),
        ("x".repeat(11 << 20), "MESSAGE_TOO_LARGE"),
        ("[".repeat(100_000), "INVALID_JSON"),
        (
            r#"{"type":"session.create","id":"\u001b[31m"}"#.to_owned(),
            "INVALID_INPUT",
        ),
        (
            r#"{"type":"session.create","unknown":1}"#.to_owned(),
            "INVALID_INPUT",
        ),
    ] {
        pipe.send(&line).await;
        let answer = pipe.next().await;
        assert_eq!(code(&answer), expected);
        assert!(!answer.to_string().contains('\u{1b}'));
    }
    pipe.input.write_all(b"{\"type\":\"\xff\xfe\"}\n").await.unwrap();
    assert_eq!(code(&pipe.next().await), "INVALID_JSON");
    pipe.send(r#"{"type":"server.health"}"#).await;
    assert_eq!(pipe.next().await["success"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_subscribes_like_a_socket() {
    let daemon = Daemon::dev().await;
    let mut pipe = Pipe::open(&daemon);
    pipe.next().await;
    pipe.send(&json!({"type": "events.subscribe", "payload": {"fromIdx": 0}}).to_string())
        .await;
    assert_eq!(pipe.next().await["data"]["subscription"], "s-1");
    pipe.send(r#"{"type":"session.create","id":"c","sessionId":"s"}"#)
        .await;
    let mut names = Vec::new();
    while !names.contains(&"command_finished".to_owned()) {
        let message = pipe.next().await;
        if message["type"] == "event" {
            names.push(message["event"].as_str().unwrap().to_owned());
        }
    }
    assert!(names.contains(&"session_created".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_subscribe_is_answered_although_the_input_ends_behind_it() {
    // The bug: the subscription answers by itself, and the pipe did not wait for it when nothing else was due.
    let daemon = Daemon::dev().await;
    for _ in 0..20 {
        let mut pipe = Pipe::open(&daemon);
        pipe.send(r#"{"type":"events.subscribe","id":"sub","payload":{"fromIdx":0}}"#)
            .await;
        drop(pipe.input);
        let mut found = false;
        while let Some(line) = pipe.output.next_line().await.unwrap() {
            let message: Value = serde_json::from_str(&line).unwrap();
            found |= message["id"] == "sub" && message["success"] == true;
        }
        assert!(found, "one response per submission");
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_daemon_ends_the_pipe() {
    let daemon = Daemon::dev().await;
    let mut pipe = Pipe::open(&daemon);
    pipe.next().await;
    daemon.finish().await;
    assert_eq!(pipe.next().await["event"], "server_shutdown");
    assert_eq!(pipe.output.next_line().await.unwrap(), None);
    pipe.serving.await.unwrap();
}
