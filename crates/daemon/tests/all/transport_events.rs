//! Events: no gap and no duplicate between past and live, nothing of other tenants, and a clear word to a consumer
//! that is too slow. Over WebSocket and as server-sent events.

use crate::transport_support::{Daemon, Socket, annotate, code};
use actum_daemon::access::{Mode, tokens};
use actum_daemon::transport::Timings;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Reads events of `subscription` until the command `last` has finished; everything else is left out.
async fn until_finished(socket: &mut Socket, subscription: &str, last: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let message = socket.next().await;
        if message["subscription"] != subscription {
            continue;
        }
        let done = message["event"] == "command_finished" && message["id"] == last;
        events.push(message);
        if done {
            return events;
        }
    }
}

fn assert_gap_free(events: &[Value]) {
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event["eventSeq"], seq, "{event}");
        assert!(event.get("tenant").is_none());
    }
    let places: Vec<u64> = events
        .iter()
        .map(|event| event["idx"].as_u64().unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

fn finished(events: &[Value]) -> Vec<&str> {
    let finished = events.iter().filter(|event| event["event"] == "command_finished");
    finished.map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_goes_over_into_live_without_gap_or_duplicate() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let total = 6000;
    let ids: Vec<String> = (0..total).map(|n| format!("a{n}")).collect();
    let mut socket = daemon.socket().await;
    let mut writer = daemon.socket().await;
    let commands: Vec<Value> = ids.iter().map(|id| annotate(id, "s", 1)).collect();
    let writing = tokio::spawn(async move {
        for batch in commands.chunks(500) {
            let text: Vec<String> = batch.iter().map(Value::to_string).collect();
            writer.send_text(text.join("\n")).await;
            for _ in batch {
                assert_eq!(writer.next().await["success"], true);
            }
        }
    });
    // Subscriptions from the beginning, opened while commands run: each switches to live at another moment.
    for _ in 0..5 {
        let answer = socket
            .call(&json!({"type": "events.subscribe", "payload": {"fromIdx": 0, "sessionId": "s"}}))
            .await;
        let name = answer["data"]["subscription"].as_str().unwrap().to_owned();
        let last = ids.last().unwrap();
        let events = until_finished(&mut socket, &name, last).await;
        assert_gap_free(&events);
        assert_eq!(finished(&events)[1..], ids, "the first is the session's own");
        let gone = socket
            .call(&json!({"type": "events.unsubscribe", "payload": {"subscription": name}}))
            .await;
        assert_eq!(gone["success"], true);
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_from_now_misses_nothing_sent_behind_it() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    daemon.post(annotate("before", "s", 1).to_string()).await;
    let mut socket = daemon.socket().await;
    let text = format!(
        "{}\n{}",
        json!({"type": "events.subscribe", "id": "sub"}),
        annotate("after", "s", 2)
    );
    socket.send_text(text).await;
    let events = until_finished(&mut socket, "s-1", "after").await;
    assert_eq!(finished(&events), ["after"]);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["command_accepted", "command_started", "command_finished"]);
    assert_gap_free(&events);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_narrowed_and_ended() {
    let daemon = Daemon::dev().await;
    daemon.session("a").await;
    daemon.session("b").await;
    let mut socket = daemon.socket().await;
    socket
        .call(&json!({"type": "events.subscribe", "payload": {"sessionId": "b"}}))
        .await;
    let mut traced = annotate("2", "b", 2);
    traced["correlationId"] = "trace".into();
    socket
        .call(&json!({"type": "events.subscribe", "payload": {"correlationId": "trace"}}))
        .await;
    for command in [annotate("1", "a", 1), traced, annotate("3", "b", 3)] {
        socket.send(&command).await;
    }
    let (mut seen, mut answered) = (Vec::new(), 0);
    while seen.len() < 9 || answered < 3 {
        let message = socket.next().await;
        answered += u32::from(message["type"] == "response");
        if let Some(subscription) = message["subscription"].as_str() {
            seen.push(format!("{subscription} {}", message["id"].as_str().unwrap()));
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["s-1 2", "s-1 3", "s-2 2"]);
    let end = json!({"type": "events.unsubscribe", "payload": {"subscription": "s-1"}});
    assert_eq!(socket.call(&end).await["success"], true);
    assert_eq!(code(&socket.call(&end).await), "NOT_FOUND");
    assert_eq!(
        code(&socket.call(&json!({"type": "events.unsubscribe"})).await),
        "INVALID_INPUT"
    );
    for _ in 0..63 {
        assert_eq!(
            socket.call(&json!({"type": "events.subscribe"})).await["success"],
            true
        );
    }
    assert_eq!(
        code(&socket.call(&json!({"type": "events.subscribe"})).await),
        "LIMIT_EXCEEDED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_events_of_another_tenant() {
    let daemon = Daemon::start(Mode::Dev, Timings::default()).await;
    let made = tokens::create(daemon.data.path(), "stranger", "other").unwrap();
    let bearer = format!("Bearer {}", made.token);
    let mut stranger = daemon.socket_with(&[("authorization", &bearer)]).await.unwrap();
    stranger
        .call(&json!({"type": "events.subscribe", "payload": {"fromIdx": 0}}))
        .await;
    daemon.session("secret-session").await;
    daemon
        .post(annotate("secret", "secret-session", 1).to_string())
        .await;
    stranger
        .send(&json!({"type": "session.create", "id": "mine", "sessionId": "m"}))
        .await;
    let events = until_finished(&mut stranger, "s-1", "mine").await;
    assert!(!format!("{events:?}").contains("secret"), "{events:?}");
    assert_gap_free(&events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_is_told_where_to_resume_and_loses_no_response() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let mut slow = daemon.narrow_socket().await;
    slow.call(&json!({"type": "events.subscribe"})).await;
    let total = 20_000;
    for chunk in 0..10 {
        slow.send(&json!({"type": "server.health", "id": format!("h{chunk}")}))
            .await;
        let range = chunk * total / 10..(chunk + 1) * total / 10;
        let lines: String = range
            .map(|n| format!("{}\n", annotate(&format!("a{n}"), "s", n)))
            .collect();
        daemon.post_lines(lines).await;
    }
    let (mut events, mut responses) = (Vec::new(), 0);
    let resume = loop {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "response" => responses += 1,
            "gap" => break message["resumeFromIdx"].as_u64().unwrap(),
            _ => events.push(message),
        }
    };
    assert_gap_free(&events);
    assert!(events.iter().all(|event| event["idx"].as_u64().unwrap() < resume));
    slow.send(&json!({"type": "events.subscribe", "payload": {"fromIdx": resume}}))
        .await;
    let last = format!("a{}", total - 1);
    let mut rest = Vec::new();
    loop {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "response" => responses += 1,
            _ => rest.push(message),
        }
        if rest
            .last()
            .is_some_and(|event| event["event"] == "command_finished" && event["id"] == last.as_str())
        {
            break;
        }
    }
    assert_gap_free(&rest);
    events.extend(rest);
    assert_eq!(
        finished(&events),
        (0..total).map(|n| format!("a{n}")).collect::<Vec<_>>()
    );
    assert_eq!(responses, 11, "ten reads and one subscription");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_comes_before_the_result() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let mut socket = daemon.socket().await;
    socket
        .call(&json!({"type": "events.subscribe", "payload": {"sessionId": "s"}}))
        .await;
    for n in 0..20 {
        let id = format!("r{n}");
        let payload = json!({"argv": ["echo", "hello"]});
        socket
            .send(&json!({"type": "shell.run", "id": id, "sessionId": "s", "payload": payload}))
            .await;
        let (mut seen, mut ended) = (Vec::new(), 0);
        while ended < 2 {
            let message = socket.next().await;
            if message["type"] == "output" {
                assert_eq!(
                    (&message["id"], &message["stream"]),
                    (&json!(id), &json!("stdout"))
                );
                assert_eq!(
                    (&message["data"], &message["offset"]),
                    (&json!("hello\n"), &json!(0))
                );
            }
            ended += u32::from(message["type"] == "response" || message["event"] == "command_finished");
            seen.push(message["type"].as_str().unwrap().to_owned());
        }
        let output = seen.iter().position(|kind| kind == "output").unwrap();
        assert!(
            output < seen.iter().position(|kind| kind == "response").unwrap(),
            "{seen:?}"
        );
        assert!(output < seen.len() - 1);
    }
}

/// Reads a stream of server-sent events until one with this name and command id came.
async fn read_stream(
    daemon: &Daemon,
    path: &str,
    last_id: Option<&str>,
    until: &str,
) -> Vec<(Option<String>, Value)> {
    let stream = TcpStream::connect(daemon.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::get(path).header("host", daemon.address.to_string());
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body: Incoming = response.into_body();
    let (mut text, mut events) = (String::new(), Vec::new());
    loop {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&frame).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                event
                    .lines()
                    .find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
            };
            let data: Value = serde_json::from_str(&field("data: ").unwrap()).unwrap();
            let done = data["event"] == "command_finished" && data["id"] == until;
            events.push((field("id: "), data));
            text = rest.to_owned();
            if done {
                return events;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_resumes_behind_the_last_one_seen() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    for n in 0..10 {
        daemon.post(annotate(&format!("a{n}"), "s", n).to_string()).await;
    }
    let all = read_stream(&daemon, "/v1/events?fromIdx=0&sessionId=s", None, "a9").await;
    assert_eq!(all[0].1["type"], "server_ready");
    let all = &all[1..];
    assert!(
        all.iter()
            .all(|(id, event)| id.is_some() && event.get("tenant").is_none())
    );
    for cut in 0..all.len() - 1 {
        let rest = read_stream(&daemon, "/v1/events?sessionId=s", all[cut].0.as_deref(), "a9").await;
        let ids =
            |events: &[(Option<String>, Value)]| events.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&rest[1..]), ids(&all[cut + 1..]));
    }
    let bad = daemon
        .request("GET", "/v1/events", &[("last-event-id", "x")], "")
        .await;
    assert_eq!(bad.code(), "INVALID_INPUT");
    assert_eq!(daemon.get("/v1/events?fromIdx=x").await.code(), "INVALID_INPUT");
    assert_eq!(daemon.get("/v1/events?colour=red").await.code(), "INVALID_INPUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_graph_timers_and_ticks_names_its_rules_over_every_transport() {
    let daemon = Daemon::dev().await;
    let mut socket = daemon.socket().await;
    let subscribed = socket
        .call(&json!({"type": "events.subscribe", "payload": {"fromIdx": 0}}))
        .await;
    let subscription = subscribed["data"]["subscription"].as_str().unwrap().to_owned();
    let mut writer = daemon.socket().await;
    let forked = writer.call(&json!({"type": "sws.create", "id": "fork"})).await;
    let pins = (
        forked["data"]["policyId"].clone(),
        forked["data"]["rulePackId"].clone(),
    );
    assert_eq!(pins.0, 1, "{forked}");
    assert_eq!(pins.1.as_str().unwrap().len(), 64, "{forked}");
    writer
        .call(&json!({"type": "timer.set", "payload": {"timerId": "once", "afterMs": 1}}))
        .await;
    let mut names = Vec::new();
    while !names.contains(&"timer_fired".to_owned()) {
        let event = socket.next().await;
        names.push(event["event"].as_str().unwrap().to_owned());
        let found = (event["policyId"].clone(), event["rulePackId"].clone());
        assert_eq!(found, pins, "{event}");
    }
    writer
        .call(&json!({"type": "sws.discard", "id": "last", "payload": {"swsId": "0"}}))
        .await;
    for event in until_finished(&mut socket, &subscription, "last").await {
        names.push(event["event"].as_str().unwrap().to_owned());
        let found = (event["policyId"].clone(), event["rulePackId"].clone());
        assert_eq!(found, pins, "{event}");
    }
    let streamed = read_stream(&daemon, "/v1/events?fromIdx=0", None, "last").await;
    for (_, event) in &streamed[1..] {
        let found = (event["policyId"].clone(), event["rulePackId"].clone());
        assert_eq!(found, pins, "{event}");
    }
    let again: Vec<&str> = streamed[1..]
        .iter()
        .map(|(_, event)| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(again, names);
    for name in [
        "server_booted",
        "command_accepted",
        "timer_set",
        "tick",
        "timer_fired",
    ] {
        assert!(again.contains(&name), "{again:?}");
    }
    let read = writer.call(&json!({"type": "time.ticks"})).await;
    let tick = &read["data"]["ticks"][0];
    assert_eq!(
        (tick["policyId"].clone(), tick["rulePackId"].clone()),
        pins,
        "{read}"
    );
}
