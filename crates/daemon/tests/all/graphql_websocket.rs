//! `/graphql` over a WebSocket, graphql-transport-ws: following the rewrite log, tokens, what breaks the protocol.

use crate::transport_support::{Daemon, JSON, Socket};
use actum_daemon::access::{Mode, tokens};
use actum_daemon::core::CoreOptions;
use actum_daemon::transport::Timings;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

async fn open(daemon: &Daemon, protocol: &str) -> Socket {
    let stream = TcpStream::connect(daemon.address).await.unwrap();
    let mut request = format!("ws://{}/graphql", daemon.address)
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    let (stream, _) = client_async(request, stream).await.unwrap();
    Socket { stream }
}

/// A connection that may be used.
async fn ready(daemon: &Daemon) -> Socket {
    let mut socket = open(daemon, "graphql-transport-ws").await;
    socket.send(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
    socket
}

async fn subscribe(socket: &mut Socket, id: &str, query: &str) {
    socket
        .send(&json!({"id": id, "type": "subscribe", "payload": {"query": query}}))
        .await;
}

/// The `idx` of the next entry.
async fn idx(socket: &mut Socket) -> u64 {
    let message = socket.next().await;
    assert_eq!(message["type"], "next", "{message}");
    message["payload"]["data"]["rewrites"]["idx"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

async fn change(daemon: &Daemon, query: &str) -> Value {
    let answer = daemon
        .request("POST", "/graphql", &[JSON], json!({"query": query}).to_string())
        .await;
    let answer = answer.json();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

async fn create(daemon: &Daemon) {
    change(daemon, "mutation { createSws { sws { id } } }").await;
}

async fn write(daemon: &Daemon, sws: u64, n: u64) {
    let query = format!(
        "mutation {{ applyRewrite(view: {{kind: SWS, swsId: {sws}}}, rewrite: {{ops: [{{op: \"AddNode\", data: {{kind: \"demo\", payload_b64: \"{n:04}\"}}}}]}}) {{ accepted }} }}"
    );
    change(daemon, &query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_resumes_from_an_idx_and_follows_without_gap_or_repetition() {
    let daemon = Daemon::dev().await;
    create(&daemon).await;
    create(&daemon).await;
    for n in 0..100 {
        write(&daemon, n % 2, n).await;
    }
    let mut socket = ready(&daemon).await;
    subscribe(
        &mut socket,
        "all",
        "subscription { rewrites(view: {kind: SWS, swsId: 0}, fromIdx: 0) { idx viewIdx ops } }",
    )
    .await;
    for n in 0..50 {
        assert_eq!(idx(&mut socket).await, n * 2);
    }
    for n in 100..200 {
        write(&daemon, n % 2, n).await;
    }
    for n in 50..100 {
        assert_eq!(idx(&mut socket).await, n * 2);
    }
    subscribe(
        &mut socket,
        "rest",
        "subscription { rewrites(view: {kind: SWS, swsId: 1}, fromIdx: \"150\") { idx } }",
    )
    .await;
    for n in 75..100 {
        assert_eq!(idx(&mut socket).await, n * 2 + 1);
    }
    socket.send(&json!({"id": "all", "type": "complete"})).await;
    write(&daemon, 0, 500).await;
    write(&daemon, 1, 501).await;
    assert_eq!(idx(&mut socket).await, 201, "what was completed is silent");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_idx_only_what_is_new_comes_and_a_closed_working_set_ends_it() {
    let daemon = Daemon::dev().await;
    create(&daemon).await;
    write(&daemon, 0, 0).await;
    let mut socket = ready(&daemon).await;
    subscribe(
        &mut socket,
        "s",
        "subscription { rewrites(view: {kind: SYSTEM}) { idx kind } }",
    )
    .await;
    subscribe(
        &mut socket,
        "o",
        "subscription { rewrites(view: {kind: SWS, swsId: 0}) { idx kind } }",
    )
    .await;
    // Answered behind the subscriptions, so both follow by now.
    socket.send(&json!({"id": "q", "type": "subscribe", "payload": {"query": "{ kernelInfo { nextRewriteIdx } }"}})).await;
    let mut answers = vec![socket.next().await, socket.next().await];
    assert_eq!(
        answers.remove(0)["payload"]["data"]["kernelInfo"]["nextRewriteIdx"],
        "1"
    );
    assert_eq!(answers.remove(0), json!({"id": "q", "type": "complete"}));
    change(
        &daemon,
        "mutation { collapseSws(input: {swsId: 0}) { committed } }",
    )
    .await;
    let mut kinds = Vec::new();
    let mut completed = false;
    while kinds.len() < 2 || !completed {
        let message = socket.next().await;
        match message["type"].as_str().unwrap() {
            "next" => kinds.push(message["payload"]["data"]["rewrites"]["kind"].clone()),
            "complete" => {
                assert_eq!(message["id"], "o");
                completed = true;
            }
            _ => panic!("{message}"),
        }
    }
    assert_eq!(kinds, [json!("COLLAPSE"), json!("COLLAPSE")]);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_log_was_cut_a_subscription_says_so_and_from_where_it_goes_on() {
    let few = |options: &mut CoreOptions| options.config.graph_rewrites_max = 8;
    let daemon = Daemon::start_with(Mode::Dev, Timings::default(), few).await;
    create(&daemon).await;
    for n in 0..20 {
        write(&daemon, 0, n).await;
    }
    let mut socket = ready(&daemon).await;
    let from = |idx: u64| {
        format!("subscription {{ rewrites(view: {{kind: SWS, swsId: 0}}, fromIdx: {idx}) {{ idx }} }}")
    };
    for (id, idx) in [("zero", 0), ("some", 5)] {
        subscribe(&mut socket, id, &from(idx)).await;
        let message = socket.next().await;
        assert_eq!((&message["id"], &message["type"]), (&json!(id), &json!("error")));
        assert_eq!(
            message["payload"][0]["extensions"]["code"], "RECORD_GONE",
            "{message}"
        );
    }
    subscribe(&mut socket, "kept", &from(15)).await;
    for n in 15..20 {
        assert_eq!(idx(&mut socket).await, n);
    }
    // The follower goes on although what it had last is cut off by now.
    for n in 20..60 {
        write(&daemon, 0, n).await;
        assert_eq!(idx(&mut socket).await, n);
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_followed_is_told_with_a_code() {
    let daemon = Daemon::dev().await;
    let mut socket = ready(&daemon).await;
    for (query, code) in [
        (
            "subscription { rewrites(view: {kind: SWS, swsId: 7}) { idx } }",
            "NOT_FOUND",
        ),
        (
            "subscription { rewrites(view: {kind: SWS}) { idx } }",
            "INVALID_INPUT",
        ),
        ("subscription { frobnicate }", "INVALID_INPUT"),
        ("{ frobnicate }", "INVALID_INPUT"),
    ] {
        subscribe(&mut socket, "x", query).await;
        let message = socket.next().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{message}");
        // The id is free again once the daemon has put the operation away, which a ping is answered behind.
        socket.send(&json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
    }
    subscribe(&mut socket, "m", "mutation { createSws { sws { id } } }").await;
    assert_eq!(
        socket.next().await["payload"]["data"]["createSws"]["sws"]["id"],
        "0"
    );
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_come_with_the_initialisation() {
    let daemon = Daemon::start(Mode::Serve, Timings::default()).await;
    let made = tokens::create(daemon.data.path(), "ci", "main").unwrap();
    for payload in [
        json!({"token": made.token}),
        json!({"Authorization": format!("Bearer {}", made.token)}),
    ] {
        let mut socket = open(&daemon, "graphql-transport-ws").await;
        socket
            .send(&json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(socket.next().await["type"], "connection_ack");
    }
    for payload in [json!({}), json!({"token": "wrong"})] {
        let mut socket = open(&daemon, "graphql-transport-ws").await;
        socket
            .send(&json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(socket.closed().await, Some(4403));
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_the_connection() {
    let timings = Timings {
        token_check: std::time::Duration::from_millis(20),
        ..Timings::default()
    };
    let daemon = Daemon::start(Mode::Serve, timings).await;
    let made = tokens::create(daemon.data.path(), "ci", "main").unwrap();
    let mut socket = open(&daemon, "graphql-transport-ws").await;
    socket
        .send(&json!({"type": "connection_init", "payload": {"token": made.token}}))
        .await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    tokens::revoke(daemon.data.path(), "ci").unwrap();
    assert_eq!(socket.closed().await, Some(4403));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_protocol_closes_the_connection_with_its_code() {
    let daemon = Daemon::dev().await;
    let init = json!({"type": "connection_init"});
    let query = |id: &str| json!({"id": id, "type": "subscribe", "payload": {"query": "subscription { rewrites(view: {kind: SYSTEM}) { idx } }"}});
    for (messages, code) in [
        (vec![json!([])], 4400),
        (vec![json!({"type": "frobnicate"})], 4400),
        (vec![query("a")], 4401),
        (vec![init.clone(), init.clone()], 4429),
        (vec![init.clone(), query("a"), query("a")], 4409),
        (
            vec![
                init.clone(),
                json!({"id": "a", "type": "subscribe", "payload": {}}),
            ],
            4400,
        ),
    ] {
        let mut socket = open(&daemon, "graphql-transport-ws").await;
        for message in &messages {
            socket.send(message).await;
        }
        assert_eq!(socket.closed().await, Some(code), "{messages:?}");
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_of_a_timer_are_followed_and_read_again_the_same() {
    let daemon = Daemon::dev().await;
    let set = "mutation { setTimer(input: {timerId: \"beat\", everyMs: 100, note: \"test\"}, idempotencyKey: \"k\") {
        timer { id clock everyMs fires note } replayed command { id } } }";
    let first = change(&daemon, set).await["setTimer"].clone();
    assert_eq!(first["timer"]["id"], "beat");
    assert_eq!(first["timer"]["clock"], "run");
    assert_eq!(first["timer"]["everyMs"], "100");
    let again = change(&daemon, set).await["setTimer"].clone();
    assert_eq!(
        (&again["replayed"], &again["command"]),
        (&json!(true), &first["command"])
    );

    let mut socket = ready(&daemon).await;
    let query = "subscription { ticks(fromTick: 0) { id tickId idx at elapsedMs fired } }";
    subscribe(&mut socket, "ticks", query).await;
    let mut followed = Vec::new();
    for n in 0..3_u64 {
        let message = socket.next().await;
        let tick = message["payload"]["data"]["ticks"].clone();
        assert_eq!(tick["tickId"], n.to_string(), "{message}");
        followed.push(tick);
    }
    assert!(followed.iter().any(|tick| tick["fired"] == "1"), "{followed:?}");

    let read = change(
        &daemon,
        "{ ticks(page: {first: 3}) { id tickId idx at elapsedMs fired } timers { id missed last }
           now { ns uncertaintyNs domain provenance policy atIdx } }",
    )
    .await;
    assert_eq!(read["ticks"], json!(followed));
    assert_eq!(read["timers"][0]["id"], "beat");
    assert_eq!(read["now"]["domain"], "monotonic");
    assert_eq!(read["now"]["policy"], "trustMonotonicLatest");

    let taken = daemon
        .request(
            "POST",
            "/graphql",
            &[JSON],
            json!({"query": "mutation { setTimer(input: {timerId: \"beat\", afterMs: 5}) { replayed } }"})
                .to_string(),
        )
        .await
        .json();
    assert_eq!(
        taken["errors"][0]["extensions"]["code"], "TIMER_EXISTS",
        "{taken}"
    );
    let gone = change(
        &daemon,
        "mutation { cancelTimer(timerId: \"beat\") { timerId fires } }",
    )
    .await;
    assert_ne!(gone["cancelTimer"]["fires"], "0");
    assert_eq!(change(&daemon, "{ timers { id } }").await["timers"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_are_to_come_are_waited_for() {
    let daemon = Daemon::dev().await;
    let mut socket = ready(&daemon).await;
    subscribe(
        &mut socket,
        "later",
        "subscription { ticks(fromTick: 0) { tickId fired } }",
    )
    .await;
    change(
        &daemon,
        "mutation { setTimer(input: {afterMs: 1}) { timer { id } } }",
    )
    .await;
    let message = socket.next().await;
    assert_eq!(
        message["payload"]["data"]["ticks"],
        json!({"tickId": "0", "fired": "1"}),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_and_ticks_name_their_rules_and_what_a_timer_wrote_names_its_tick() {
    let daemon = Daemon::dev().await;
    create(&daemon).await;
    write(&daemon, 0, 1).await;
    change(
        &daemon,
        "mutation { setTimer(input: {timerId: \"writes\", afterMs: 1, command: {type: \"graph.rewrite\",
            payload: {view: \"sws:0\", ops: [{op: \"AddNode\", data: {kind: \"demo\", payload_b64: \"\"}}]}}})
            { timer { id } } }",
    )
    .await;
    let mut socket = ready(&daemon).await;
    let entry = "idx policyId rulePackId receipt { commandId tickReceipt { tickId policyId rulePackId } }";
    let followed =
        format!("subscription {{ rewrites(view: {{kind: SWS, swsId: 0}}, fromIdx: 0) {{ {entry} }} }}");
    subscribe(&mut socket, "entries", &followed).await;
    let mut entries = Vec::new();
    for _ in 0..2 {
        entries.push(socket.next().await["payload"]["data"]["rewrites"].clone());
    }
    let tick = "tickId fired policyId rulePackId";
    let followed = format!("subscription {{ ticks(fromTick: 0) {{ {tick} }} }}");
    subscribe(&mut socket, "ticks", &followed).await;
    let first = socket.next().await["payload"]["data"]["ticks"].clone();

    let asked = format!(
        "{{ rewrites(view: {{kind: SWS, swsId: 0}}) {{ {entry} }} ticks(page: {{first: 1}}) {{ {tick} }}
            kernelInfo {{ policyId rulePackId }} }}"
    );
    let read = change(&daemon, &asked).await;
    assert_eq!(read["rewrites"], json!(entries));
    assert_eq!(read["ticks"], json!([first]));
    assert_eq!(first["fired"], "1");
    let receipts = entries.iter().map(|entry| &entry["receipt"]["tickReceipt"]);
    for named in entries.iter().chain(receipts).chain([&first]) {
        assert_eq!(named["policyId"], 1, "{named}");
        assert_eq!(named["rulePackId"], read["kernelInfo"]["rulePackId"], "{named}");
    }
    let ticks = |entry: &Value| entry["receipt"]["tickReceipt"]["tickId"].clone();
    assert_eq!(
        (ticks(&entries[0]), ticks(&entries[1])),
        (Value::Null, json!("0"))
    );
    daemon.finish().await;
}
