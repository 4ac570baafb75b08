//! WebSocket: pipelining, bad input, liveness, revoked tokens, draining, and a peer that does not read.

use crate::transport_support::{Daemon, annotate, code};
use actum_daemon::access::{Mode, tokens};
use actum_daemon::transport::Timings;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_says_what_the_daemon_is() {
    let daemon = Daemon::dev().await;
    let mut socket = daemon.socket_with(&[]).await.unwrap();
    let greeting = socket.next().await;
    assert_eq!(greeting["type"], "server_ready");
    assert_eq!(greeting["protocolVersion"], "1.0.0");
    assert_eq!(greeting["realm"].as_str().unwrap().len(), 32);
    assert_eq!(greeting["transports"], json!(["http", "websocket", "stdio"]));
    assert!(greeting["head"].as_u64().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_commands_go_out_before_the_first_answer_is_awaited() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let (mut sink, mut stream) = daemon.socket().await.stream.split();
    let sending = tokio::spawn(async move {
        for n in 0..10_000 {
            sink.feed(Message::Text(
                annotate(&format!("a{n}"), "s", n).to_string().into(),
            ))
            .await
            .unwrap();
        }
        sink.flush().await.unwrap();
    });
    let mut versions = Vec::new();
    let mut ids = BTreeSet::new();
    while ids.len() < 10_000 {
        let Some(Ok(Message::Text(text))) = stream.next().await else {
            panic!("closed")
        };
        let response: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(response["success"], true, "{response}");
        ids.insert(response["id"].as_str().unwrap().to_owned());
        versions.push(response["sessionVersion"].as_u64().unwrap());
    }
    assert_eq!(
        versions,
        (1..=10_000).collect::<Vec<u64>>(),
        "one lane answers in its order"
    );
    sending.await.unwrap();
}

/// One by one, a command is decided on the thread that brings it; in a burst, on the engine's.
#[tokio::test(flavor = "multi_thread")]
async fn commands_keep_their_order_whether_they_come_one_by_one_or_in_bursts() {
    let daemon = Daemon::dev().await;
    let mut clients = Vec::new();
    for client in 0..4 {
        let session = format!("s{client}");
        daemon.session(&session).await;
        let mut socket = daemon.socket().await;
        clients.push(tokio::spawn(async move {
            let (mut sent, mut versions, mut ids) = (0, Vec::new(), Vec::new());
            for burst in (0..200).map(|round| round % 4 + 1) {
                for _ in 0..burst {
                    socket
                        .send(&annotate(&format!("{session}-{sent}"), &session, sent))
                        .await;
                    sent += 1;
                }
                for _ in 0..burst {
                    let response = socket.next().await;
                    versions.push(response["sessionVersion"].as_u64().unwrap());
                    ids.push(response["id"].as_str().unwrap().to_owned());
                }
            }
            assert_eq!(versions, (1..=sent).collect::<Vec<u64>>());
            let expected: Vec<String> = (0..sent).map(|n| format!("{session}-{n}")).collect();
            assert_eq!(ids, expected);
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_gets_a_clear_error_each_and_the_connection_lives_on() {
    let daemon = Daemon::dev().await;
    let mut socket = daemon.socket().await;
    for (text, expected) in [
        ("{".to_owned(), "INVALID_JSON"),
        ("[1]".to_owned(), "INVALID_JSON"),
        ("x".repeat(11 << 20), "MESSAGE_TOO_LARGE"),
        ("[".repeat(100_000), "INVALID_JSON"),
        (
            r#"{"type":"session.create","id":"a\u0001"}"#.to_owned(),
            "INVALID_INPUT",
        ),
        (r#"{"type":"session.create","idx":1}"#.to_owned(), "INVALID_INPUT"),
        (r#"{"type":"no.such","id":"a"}"#.to_owned(), "UNKNOWN_COMMAND"),
    ] {
        socket.send_text(text).await;
        assert_eq!(code(&socket.next().await), expected);
    }
    socket
        .stream
        .send(Message::Binary(vec![0, 1].into()))
        .await
        .unwrap();
    assert_eq!(code(&socket.next().await), "INVALID_JSON");
    assert_eq!(
        socket
            .call(&json!({"type": "session.create", "sessionId": "s"}))
            .await["success"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_hold_several_lines_and_blank_ones() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let mut socket = daemon.socket().await;
    let text = format!(
        "{}\n\n{}\r\n{{\n{}\n",
        annotate("1", "s", 1),
        annotate("2", "s", 2),
        annotate("3", "s", 3)
    );
    socket.send_text(text).await;
    socket.send_text("\n \n".to_owned()).await;
    let mut said = BTreeSet::new();
    for _ in 0..4 {
        let response = socket.next().await;
        said.insert(
            response["id"]
                .as_str()
                .unwrap_or_else(|| code(&response))
                .to_owned(),
        );
    }
    assert_eq!(
        said.into_iter().collect::<Vec<_>>(),
        ["1", "2", "3", "INVALID_JSON"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_cannot_be_held_closes_the_connection_and_no_other() {
    let daemon = Daemon::dev().await;
    let mut other = daemon.socket().await;
    let mut socket = daemon.socket().await;
    // The daemon may close before all of it is sent.
    let _refused = socket
        .stream
        .send(Message::Text("x".repeat(17 << 20).into()))
        .await;
    assert!(matches!(socket.closed().await, Some(1009) | None));
    assert_eq!(
        other.call(&json!({"type": "server.health"})).await["success"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_answers_no_ping_is_gone() {
    let timings = Timings {
        ping: Duration::from_millis(20),
        pong: Duration::from_millis(1000),
        ..Timings::default()
    };
    let daemon = Daemon::start(Mode::Dev, timings).await;
    let mut alive = daemon.socket().await;
    let dead = daemon.socket().await;
    // The client library answers pings while it is read from; `dead` is not read from until the daemon closed it.
    let connections = || daemon.listening.as_ref().unwrap().connections();
    while connections() > 1 {
        assert_eq!(
            alive.call(&json!({"type": "server.health"})).await["success"],
            true
        );
    }
    let mut dead = dead;
    assert!(matches!(dead.closed().await, Some(1011) | None));
    assert_eq!(
        alive.call(&json!({"type": "server.health"})).await["success"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_open_connections() {
    let timings = Timings {
        token_check: Duration::from_millis(10),
        ..Timings::default()
    };
    let daemon = Daemon::start(Mode::Serve, timings).await;
    assert!(matches!(daemon.socket_with(&[]).await, Err(Error::Http(response)) if response.status() == 401));
    let made = tokens::create(daemon.data.path(), "ci", "main").unwrap();
    let bearer = format!("Bearer {}", made.token);
    let mut socket = daemon.socket_with(&[("authorization", &bearer)]).await.unwrap();
    assert_eq!(socket.next().await["type"], "server_ready");
    tokens::revoke(daemon.data.path(), "ci").unwrap();
    assert_eq!(socket.closed().await, Some(1008));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_daemon_says_so_answers_what_is_due_and_closes() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let fifo = daemon.data.path().join("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let mut socket = daemon.socket().await;
    assert_eq!(
        socket.call(&json!({"type": "events.subscribe"})).await["success"],
        true
    );
    let run = json!({"type": "shell.run", "id": "r", "sessionId": "s", "payload": {"argv": ["cat", fifo]}});
    socket.send(&run).await;
    while socket.next().await["event"] != "command_started" {}
    let mut idle = daemon.socket().await;
    let address = daemon.address;
    let finishing = tokio::spawn(daemon.finish());
    while socket.next().await["event"] != "server_shutdown" {}
    assert_eq!(idle.next().await["event"], "server_shutdown");
    assert_eq!(idle.closed().await, Some(1001));
    // No new connections, while the command still goes on. The bug, of this test: that the listener is closed before the
    // idle are told is promised nowhere, and on a busy machine it came after.
    while tokio::net::TcpStream::connect(address).await.is_ok() {}
    // The command goes on until its input ends.
    tokio::task::spawn_blocking(move || std::fs::write(fifo, "done"))
        .await
        .unwrap()
        .unwrap();
    let response = loop {
        let next = socket.next().await;
        if next["type"] == "response" {
            break next;
        }
    };
    assert_eq!(
        (&response["id"], &response["success"]),
        (&json!("r"), &json!(true)),
        "{response}"
    );
    assert_eq!(socket.closed().await, Some(1001));
    finishing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_nothing_is_closed_above_the_hard_limit() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    for n in 0..60 {
        let payload = json!({"key": format!("k{n}"), "value": "x".repeat(65_000)});
        let command = json!({"type": "session.annotate", "sessionId": "s", "payload": payload});
        assert_eq!(daemon.post(command.to_string()).await.status, 200);
    }
    let mut socket = daemon.narrow_socket().await;
    for n in 0..20 {
        socket
            .send(&json!({"type": "session.get", "id": format!("g{n}"), "sessionId": "s"}))
            .await;
    }
    let connections = || daemon.listening.as_ref().unwrap().connections();
    let mut other = daemon.socket().await;
    while connections() > 1 {
        assert_eq!(
            other.call(&json!({"type": "server.health"})).await["success"],
            true
        );
    }
    assert!(matches!(socket.closed().await, Some(1011) | None));
}
