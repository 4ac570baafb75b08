//! Durable promises over `/graphql`: made, settled, searched, followed; and that a restart keeps them.

use crate::transport_support::{Daemon, JSON, Socket};
use actum_daemon::access::Mode;
use actum_daemon::transport::Timings;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

async fn ask(daemon: &Daemon, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables}).to_string();
    let answer = daemon.request("POST", "/graphql", &[JSON], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

const CREATE: &str = "mutation($input: CreatePromiseInput!) {
    createPromise(input: $input) { replayed promise { id state timeoutAt tags } } }";
const RESOLVE: &str = "mutation($id: ID!, $value: JSON) {
    resolvePromise(promiseId: $id, value: $value) { promise { state value settledBy } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_are_made_settled_once_and_found_again() {
    let daemon = Daemon::start(Mode::Dev, Timings::default()).await;
    for (name, kind) in [("a", "build"), ("b", "test")] {
        let input = json!({"promiseId": name, "tags": {"for": kind}, "timeoutMs": "3600000"});
        let made = ask(&daemon, CREATE, json!({"input": input})).await;
        let promise = &made["data"]["createPromise"]["promise"];
        assert_eq!(promise["state"], "PENDING", "{made}");
        assert_eq!(promise["tags"], json!({"for": kind}));
        assert!(promise["timeoutAt"].is_string());
    }
    let again = ask(&daemon, CREATE, json!({"input": {"promiseId": "a"}})).await;
    assert_eq!(
        again["errors"][0]["extensions"]["code"], "PROMISE_EXISTS",
        "{again}"
    );

    let settled = ask(&daemon, RESOLVE, json!({"id": "a", "value": {"ok": 1}})).await;
    let promise = &settled["data"]["resolvePromise"]["promise"];
    assert_eq!(
        promise,
        &json!({"state": "RESOLVED", "value": {"ok": 1}, "settledBy": "dev"})
    );
    let other = ask(&daemon, RESOLVE, json!({"id": "a", "value": 2})).await;
    assert_eq!(
        other["errors"][0]["extensions"]["code"], "PROMISE_SETTLED",
        "{other}"
    );
    let rejected = ask(
        &daemon,
        "mutation { rejectPromise(promiseId: \"b\", message: \"no\") { promise { state error } } }",
        json!({}),
    )
    .await;
    let error = &rejected["data"]["rejectPromise"]["promise"]["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("PROMISE_REJECTED"), &json!("no"))
    );

    let found = ask(
        &daemon,
        "{ all: promises { id } resolved: promises(state: RESOLVED) { id } tagged: promises(tags: {for: \"test\"}) { id }
           one: promises(page: {first: 1}) { id } rest: promises(page: {first: 5, after: \"a\"}) { id }
           promise(id: \"exec:nothing\") { id } }",
        json!({}),
    )
    .await;
    assert_eq!(
        found["errors"][0]["extensions"]["code"], "PROMISE_NOT_FOUND",
        "{found}"
    );
    let found = ask(
        &daemon,
        "{ all: promises { id } resolved: promises(state: RESOLVED) { id } tagged: promises(tags: {for: \"test\"}) { id }
           one: promises(page: {first: 1}) { id } rest: promises(page: {first: 5, after: \"a\"}) { id } }",
        json!({}),
    )
    .await;
    let ids = |name: &str| -> Vec<&str> {
        let rows = found["data"][name]
            .as_array()
            .unwrap_or_else(|| panic!("{found}"));
        rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
    };
    assert_eq!(ids("all"), ["a", "b"]);
    assert_eq!(ids("resolved"), ["a"]);
    assert_eq!(ids("tagged"), ["b"]);
    assert_eq!((ids("one"), ids("rest")), (vec!["a"], vec!["b"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_is_followed_until_it_is_settled() {
    let daemon = Daemon::start(Mode::Dev, Timings::default()).await;
    ask(&daemon, CREATE, json!({"input": {"promiseId": "p"}})).await;
    let stream = TcpStream::connect(daemon.address).await.unwrap();
    let mut request = format!("ws://{}/graphql", daemon.address)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (stream, _) = client_async(request, stream).await.unwrap();
    let mut socket = Socket { stream };
    socket.send(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    let query = "subscription { promise(id: \"p\") { state value } }";
    socket
        .send(&json!({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        .await;
    let first = socket.next().await;
    assert_eq!(first["payload"]["data"]["promise"]["state"], "PENDING", "{first}");
    ask(&daemon, RESOLVE, json!({"id": "p", "value": 7})).await;
    let second = socket.next().await;
    assert_eq!(
        second["payload"]["data"]["promise"],
        json!({"state": "RESOLVED", "value": 7})
    );
    assert_eq!(socket.next().await["type"], "complete");
}
