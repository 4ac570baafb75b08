//! The client against a small fake daemon: connections that were closed meanwhile, refusals, broken answers, and
//! responses that come out of order. (Against the real daemon it is used by the command line's own tests.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step of a test ends it"
)]

use actum_client::{Client, Session};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Reads one request with a body of known length.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        assert!(
            stream.read_buf(&mut bytes).await.unwrap() > 0,
            "the client closed: {text}"
        );
    }
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_connection_the_daemon_closed_is_replaced() {
    let (listener, url) = listener().await;
    let (closed, wait_closed) = tokio::sync::oneshot::channel();
    let serving = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let one = read_request(&mut first).await;
        let text = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 16\r\n\r\n{\"success\":true}";
        first.write_all(text.as_bytes()).await.unwrap();
        drop(first);
        closed.send(()).unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let two = read_request(&mut second).await;
        answer(&mut second, "200 OK", r#"{"success":true}"#).await;
        // The second connection is kept: the third request comes by it.
        let three = read_request(&mut second).await;
        answer(&mut second, "200 OK", r#"{"success":true}"#).await;
        [one, two, three]
    });
    let client = Client::connect(&url, None).await.unwrap();
    assert_eq!(client.submit(&json!({"id": "1"})).await.unwrap()["success"], true);
    wait_closed.await.unwrap();
    assert_eq!(client.submit(&json!({"id": "2"})).await.unwrap()["success"], true);
    assert_eq!(
        client.get("/v1/history", &[("kind", "a b")]).await.unwrap()["success"],
        true
    );
    let [one, two, three] = serving.await.unwrap();
    assert!(one.starts_with("POST /v1/commands ") && one.ends_with(r#"{"id":"1"}"#));
    assert!(two.ends_with(r#"{"id":"2"}"#));
    assert!(three.starts_with("GET /v1/history?kind=a%20b "), "{three}");
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_hint() {
    let (listener, url) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        assert!(request.contains("authorization: Bearer actum_x"), "{request}");
        let problem = json!({"type": "urn:actum:error:UNAUTHENTICATED", "status": 401,
            "error": {"code": "UNAUTHENTICATED", "message": "m", "hint": "h", "retryable": false}});
        answer(&mut stream, "401 Unauthorized", &problem.to_string()).await;
    });
    let client = Client::connect(&url, Some("actum_x")).await.unwrap();
    let error = client.submit(&json!({"type": "session.list"})).await.unwrap_err();
    assert_eq!(
        (error.code(), error.hint(), error.retryable()),
        ("UNAUTHENTICATED", "h", false)
    );
    assert_eq!(error.to_fault().code.as_str(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer_and_says_what_to_do() {
    let (listener, url) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"type\"")
            .await
            .unwrap();
    });
    let client = Client::connect(&url, None).await.unwrap();
    let error = client.submit(&json!({"type": "session.list"})).await.unwrap_err();
    assert_eq!(error.code(), "DAEMON_UNREACHABLE");
    assert!(error.hint().contains("by its id"));
}

#[tokio::test]
async fn responses_find_their_commands_in_whatever_order_they_come() {
    let (listener, url) = listener().await;
    tokio::spawn(async move {
        // The client's first connection is for HTTP and stays silent.
        let _http = listener.accept().await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let ready = json!({"type": "server_ready", "protocolVersion": "1.0.0"});
        socket
            .send(Message::Text(ready.to_string().into()))
            .await
            .unwrap();
        let mut ids = Vec::new();
        while ids.len() < 10 {
            let Some(Ok(Message::Text(text))) = socket.next().await else {
                panic!("closed")
            };
            ids.push(serde_json::from_str::<Value>(&text).unwrap()["id"].clone());
        }
        socket
            .send(Message::Text(
                json!({"type": "event", "event": "x"}).to_string().into(),
            ))
            .await
            .unwrap();
        for id in ids.into_iter().rev() {
            let response = json!({"type": "response", "id": id, "success": true});
            socket
                .send(Message::Text(response.to_string().into()))
                .await
                .unwrap();
        }
        // The eleventh is never answered: the connection is closed under it.
        socket.next().await;
    });
    let client = Client::connect(&url, None).await.unwrap();
    let socket = client.socket().await.unwrap();
    assert_eq!(socket.greeting()["protocolVersion"], "1.0.0");
    let session = Session::over(socket, "t");
    let mut events = session.events().unwrap();
    assert!(session.events().is_none(), "they can be taken once");
    let asked = (0..10).map(|n| {
        let named = n % 2 == 0;
        let envelope = if named {
            json!({"type": "x", "id": format!("n{n}")})
        } else {
            json!({"type": "x"})
        };
        session.submit(envelope)
    });
    for response in futures_util::future::join_all(asked).await {
        assert_eq!(response.unwrap()["success"], true);
    }
    assert_eq!(events.recv().await.unwrap()["event"], "x");
    assert_eq!(
        session.submit(json!({"type": "x"})).await.unwrap_err().code(),
        "DAEMON_UNREACHABLE"
    );
    assert_eq!(
        session.submit(json!({"type": "x"})).await.unwrap_err().code(),
        "DAEMON_UNREACHABLE"
    );
}
