//! Many commands in one request: answers in the order of the lines, while the request still comes.

use crate::transport_support::{Daemon, JSON, NDJSON, annotate, code};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_the_order_of_the_lines() {
    let daemon = Daemon::dev().await;
    let sessions = 50;
    let mut lines = String::new();
    for n in 0..sessions {
        lines += &format!("{{\"type\":\"session.create\",\"id\":\"c{n}\",\"sessionId\":\"s{n}\"}}\n");
    }
    // Reads are answered off the engine's thread, so they would come out of order by themselves.
    for n in 0..2000 {
        lines += &format!(
            "{}\n",
            annotate(&format!("a{n}"), &format!("s{}", n % sessions), n)
        );
        lines += &format!(
            "{{\"type\":\"session.get\",\"id\":\"r{n}\",\"sessionId\":\"s{}\"}}\r\n\n",
            n % sessions
        );
    }
    let answers = daemon.post_lines(lines).await;
    let ids: Vec<&str> = answers
        .iter()
        .map(|answer| answer["id"].as_str().unwrap())
        .collect();
    let mut expected: Vec<String> = (0..sessions).map(|n| format!("c{n}")).collect();
    expected.extend((0..2000).flat_map(|n| [format!("a{n}"), format!("r{n}")]));
    assert_eq!(ids, expected);
    assert!(answers.iter().all(|answer| answer["success"] == true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_gets_its_own_error_and_the_others_go_on() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let mut lines = Vec::new();
    for line in [
        annotate("1", "s", 1).to_string(),
        "{\"type\":".to_owned(),
        annotate("2", "s", 2).to_string(),
        "x".repeat(11 << 20),
        annotate("3", "s", 3).to_string(),
        "[".repeat(100_000),
        r#"{"type":"session.create","id":"a\u0007"}"#.to_owned(),
        r#"{"type":"session.create","id":"x","colour":"red"}"#.to_owned(),
        r#"{"type":"events.subscribe","id":"e"}"#.to_owned(),
        "y".repeat(30 << 20),
        annotate("4", "s", 4).to_string(),
    ] {
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
    }
    lines.pop();
    let answers = daemon.post_lines(lines).await;
    let said: Vec<&str> = answers
        .iter()
        .map(|answer| {
            if answer["success"] == true {
                answer["id"].as_str().unwrap()
            } else {
                code(answer)
            }
        })
        .collect();
    assert_eq!(
        said,
        [
            "1",
            "INVALID_JSON",
            "2",
            "MESSAGE_TOO_LARGE",
            "3",
            "INVALID_JSON",
            "INVALID_INPUT",
            "INVALID_INPUT",
            "INVALID_INPUT",
            "MESSAGE_TOO_LARGE",
            "4",
        ]
    );
    assert_eq!(answers[7]["id"], "x");
    assert!(
        answers[7]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("colour")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_while_the_request_is_still_open() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let stream = TcpStream::connect(daemon.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (lines, receiver) = mpsc::channel::<String>(4);
    let body = StreamBody::new(Box::pin(futures_util::stream::unfold(
        receiver,
        async |mut receiver| {
            let line = receiver.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), receiver))
        },
    )));
    let request = hyper::Request::post("/v1/commands")
        .header("host", daemon.address.to_string())
        .header(NDJSON.0, NDJSON.1)
        .body(body)
        .unwrap();
    let mut answers = sender.send_request(request).await.unwrap().into_body();
    for n in 0..5 {
        // Each command is only sent once the one before was answered.
        lines
            .send(format!("{}\n", annotate(&n.to_string(), "s", n)))
            .await
            .unwrap();
        let chunk = answers.frame().await.unwrap().unwrap().into_data().unwrap();
        let answer: Value = serde_json::from_slice(&chunk).unwrap();
        assert_eq!(answer["id"], n.to_string());
    }
    drop(lines);
    assert!(answers.frame().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_for_many_lines_is_refused() {
    let daemon = Daemon::dev().await;
    let headers = [NDJSON, ("idempotency-key", "k")];
    let answer = daemon.request("POST", "/v1/commands", &headers, "{}").await;
    assert_eq!(answer.code(), "INVALID_INPUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lines_than_may_be_unanswered_all_come_back() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let lines: String = (0..20_000)
        .map(|n| format!("{}\n", annotate(&format!("a{n}"), "s", n)))
        .collect();
    let answers = daemon.post_lines(lines).await;
    assert_eq!(answers.len(), 20_000);
    assert_eq!(answers.last().unwrap()["sessionVersion"], 20_000);
    let one = daemon
        .request(
            "POST",
            "/v1/commands",
            &[JSON],
            annotate("last", "s", 0).to_string(),
        )
        .await;
    assert_eq!(one.json()["sessionVersion"], 20_001);
}
