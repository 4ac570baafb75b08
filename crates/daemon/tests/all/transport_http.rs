//! HTTP: one command at a time, reads, problems. What is wrong gets a clear error each, and the daemon lives on.

use crate::transport_support::{Daemon, JSON, annotate, request_as_is};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_with_its_response() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let answer = daemon.post(annotate("a", "s", 1).to_string()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    let response = answer.json();
    assert_eq!(response["type"], "response");
    assert_eq!(response["id"], "a");
    assert_eq!(response["success"], true);
    assert_eq!(response["lane"], "session:s");
    assert_eq!(response["sessionVersion"], 1);
    let again = daemon.post(annotate("a", "s", 1).to_string()).await.json();
    assert_eq!(again["replayed"], true);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_a_problem_that_carries_the_response() {
    let daemon = Daemon::dev().await;
    let answer = daemon.post(annotate("a", "nowhere", 1).to_string()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "SESSION_NOT_FOUND")
    );
    let problem = answer.json();
    assert_eq!(problem["title"], "No session has this id.");
    assert_eq!(problem["command"], "session.annotate");
    assert_eq!(problem["id"], "a");
    assert_eq!(problem["success"], false);
    assert_eq!(problem["detail"], problem["error"]["message"]);
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_gets_a_clear_error_each_and_the_daemon_lives_on() {
    let daemon = Daemon::dev().await;
    let eleven_mib = format!(
        r#"{{"type":"session.create","sessionId":"{}"}}"#,
        "x".repeat(11 << 20)
    );
    let brackets = "[".repeat(100_000);
    for (body, status, code) in [
        ("", 400, "INVALID_JSON"),
        ("{", 400, "INVALID_JSON"),
        ("[]", 400, "INVALID_JSON"),
        ("\u{feff}{}", 400, "INVALID_JSON"),
        (
            r#"{"type":"session.create","type":"session.list"}"#,
            400,
            "INVALID_JSON",
        ),
        (
            r#"{"type":"session.list","payload":{"limit":9007199254740993}}"#,
            400,
            "INVALID_JSON",
        ),
        ("{}", 422, "INVALID_INPUT"),
        (r#"{"type":"no.such"}"#, 422, "UNKNOWN_COMMAND"),
        (
            r#"{"type":"session.create","principal":"root"}"#,
            422,
            "INVALID_INPUT",
        ),
        (
            r#"{"type":"session.create","payload":{"x":1}}"#,
            422,
            "INVALID_INPUT",
        ),
        (
            r#"{"type":"session.create","id":"a\u0000b"}"#,
            422,
            "INVALID_INPUT",
        ),
        (
            r#"{"type":"session.create","sessionId":"a\nb"}"#,
            422,
            "INVALID_INPUT",
        ),
        (r#"{"type":"events.subscribe"}"#, 422, "INVALID_INPUT"),
        (eleven_mib.as_str(), 413, "MESSAGE_TOO_LARGE"),
        (brackets.as_str(), 400, "INVALID_JSON"),
    ] {
        let shown = &body[..body.len().min(60)];
        let answer = daemon.post(body.to_owned()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{shown}: {}",
            answer.text
        );
    }
    let not_utf8 = daemon.post(&b"{\"type\":\"\xff\"}"[..]).await;
    assert_eq!(not_utf8.code(), "INVALID_JSON");
    let fault = daemon
        .post(r#"{"type":"session.create","id":"a b","foo":1,"timeoutMs":0}"#)
        .await
        .json();
    let pointers: Vec<_> = fault["error"]["details"]["faults"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(pointers.len(), 3, "{fault}");
    daemon.session("still-here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_must_say_that_it_is_json() {
    let daemon = Daemon::dev().await;
    let body = r#"{"type":"session.create"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let answer = daemon
            .request("POST", "/v1/commands", &[("content-type", kind)], body)
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (415, "INVALID_INPUT"),
            "{kind}"
        );
    }
    assert_eq!(
        daemon.request("POST", "/v1/commands", &[], body).await.status,
        415
    );
    let charset = ("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &[charset], body)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_and_methods_are_problems_too() {
    let daemon = Daemon::dev().await;
    for path in ["/", "/v1", "/v1/nothing", "/v2/commands", "/v1/commands/a/b"] {
        let answer = daemon.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "NOT_FOUND"),
            "{path}"
        );
    }
    for (method, path) in [
        ("DELETE", "/v1/commands"),
        ("POST", "/v1/history"),
        ("PUT", "/healthz"),
    ] {
        let answer = daemon.request(method, path, &[], "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (405, "NOT_FOUND"),
            "{method} {path}"
        );
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_may_stand_in_the_header() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let plain = json!({"type": "session.annotate", "sessionId": "s", "payload": {"key": "k", "value": 1}});
    let with = async |key: &str, body: &serde_json::Value| {
        daemon
            .request(
                "POST",
                "/v1/commands",
                &[JSON, ("idempotency-key", key)],
                body.to_string(),
            )
            .await
    };
    let first = with("k-1", &plain).await.json();
    let second = with("\"k-1\"", &plain).await.json();
    assert_eq!(second["replayed"], true);
    assert_eq!(first["id"], second["id"]);
    let mut keyed = plain.clone();
    keyed["idempotencyKey"] = "k-1".into();
    assert_eq!(with("k-1", &keyed).await.json()["replayed"], true);
    assert_eq!(with("k-2", &keyed).await.code(), "INVALID_INPUT");
    assert_eq!(with("a b", &plain).await.code(), "INVALID_INPUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_command_is_answered_once_accepted() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let mut command = annotate("a", "s", 1);
    command["detach"] = true.into();
    let answer = daemon.post(command.to_string()).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["accepted"], true);
    let wait = json!({"type": "command.wait", "payload": {"id": "a"}});
    assert_eq!(daemon.post(wait.to_string()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_have_addresses() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    daemon.post(annotate("a:1", "s", 1).to_string()).await;
    assert_eq!(
        daemon.get("/v1/commands/a:1").await.json()["data"]["state"],
        "succeeded"
    );
    let missing = daemon.get("/v1/commands/none").await;
    assert_eq!(
        (missing.status, missing.code().as_str()),
        (404, "COMMAND_NOT_FOUND")
    );
    assert_eq!(daemon.get("/v1/commands/%00").await.code(), "INVALID_INPUT");
    assert!(
        daemon.get("/v1/commands").await.json()["commands"]
            .as_array()
            .unwrap()
            .len()
            > 10
    );
    assert_eq!(daemon.get("/v1/health").await.json()["data"]["status"], "ok");
    assert_eq!(daemon.get("/v1/recovery").await.json()["data"]["term"], 1);
    assert!(
        daemon.get("/v1/metrics").await.json()["data"]["head"]
            .as_u64()
            .unwrap()
            > 2
    );
    assert_eq!(daemon.get("/healthz").await.json(), json!({"status": "ok"}));
    assert_eq!(daemon.get("/readyz").await.status, 200);
    for bad in [
        "limit=0",
        "limit=x",
        "nothing=1",
        "limit=1&limit=2",
        "sessionId=a%00",
    ] {
        assert_eq!(
            daemon.get(&format!("/v1/history?{bad}")).await.code(),
            "INVALID_INPUT",
            "{bad}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_output_is_read_by_its_hash() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let argv = ["sh", "-c", "head -c 30000 /dev/zero | tr '\\0' z"];
    let run = json!({"type": "shell.run", "id": "r", "sessionId": "s", "payload": {"argv": argv}});
    let response = daemon.post(run.to_string()).await.json();
    let hash = response["data"]["stdout"]["blob"].as_str().unwrap().to_owned();
    let answer = daemon.get(&format!("/v1/blobs/{hash}")).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/octet-stream")
    );
    assert_eq!(answer.text, "z".repeat(30_000));
    let none = daemon.get(&format!("/v1/blobs/{}", "0".repeat(64))).await;
    assert_eq!((none.status, none.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(daemon.get("/v1/blobs/x").await.code(), "INVALID_INPUT");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_arguments_go_to_a_sealed_blob_and_arrive_whole() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let stdin = "0123456789".repeat(10_000);
    let run = json!({"type": "shell.run", "id": "big", "sessionId": "s",
        "payload": {"argv": ["wc", "-c"], "stdin": stdin}});
    let response = daemon.post(run.to_string()).await.json();
    assert_eq!(response["data"]["stdout"]["text"], "100000\n", "{response}");
    let again = daemon.post(run.to_string()).await.json();
    assert_eq!(again["replayed"], true, "the whole arguments are its identity");
    let mut other = run.clone();
    other["payload"]["stdin"] = json!("0123456789".repeat(10_001));
    assert_eq!(daemon.post(other.to_string()).await.code(), "IDENTITY_CONFLICT");
    let segments = std::fs::read_dir(daemon.data.path().join("journal")).unwrap();
    for segment in segments {
        let bytes = std::fs::read(segment.unwrap().path()).unwrap();
        let copied = bytes.windows(40).any(|part| part == &stdin.as_bytes()[..40]);
        assert!(!copied, "the record names the blob and does not hold it");
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_submits_to_a_held_lane_is_told_what_holds_it() {
    let daemon = Daemon::dev().await;
    daemon.session("s").await;
    let run = json!({"type": "shell.run", "id": "slow", "sessionId": "s", "timeoutMs": 20, "detach": true,
        "payload": {"argv": ["sleep", "60"]}});
    let mut events = daemon.core.live();
    assert_eq!(daemon.post(run.to_string()).await.status, 202);
    let in_doubt = |record: &actum_daemon::core::LiveRecord| {
        record
            .events
            .iter()
            .any(|event| event["event"] == "command_in_doubt")
    };
    while !in_doubt(&events.recv().await.unwrap()) {}
    let mut next = annotate("next", "s", 1);
    next["detach"] = json!(true);
    let answer = daemon.post(next.to_string()).await.json();
    assert_eq!(
        (&answer["accepted"], &answer["heldBy"]),
        (&json!(true), &json!("slow"))
    );
    let told = events.recv().await.unwrap();
    assert_eq!(told.events[0]["event"], "command_accepted");
    assert_eq!(told.events[0]["heldBy"], "slow");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_handed_on() {
    let daemon = Daemon::dev().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = daemon
        .request("GET", "/v1/health", &[("traceparent", trace)], "")
        .await;
    assert_eq!(answer.header("traceparent"), trace);
    let answer = daemon
        .request("GET", "/v1/health", &[("traceparent", "nonsense")], "")
        .await;
    assert_eq!((answer.status, answer.header("traceparent")), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_drains_finishes_and_takes_nothing_new() {
    let daemon = Daemon::dev().await;
    let address = daemon.address;
    assert_eq!(daemon.get("/readyz").await.status, 200);
    daemon.finish().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_said_clearly() {
    use actum_daemon::access::{Access, Mode};
    let daemon = Daemon::dev().await;
    let options = actum_daemon::transport::Options {
        bind: daemon.address,
        access: std::sync::Arc::new(Access::new(Mode::Dev, daemon.data.path(), &[])),
        timings: actum_daemon::transport::Timings::default(),
        introspection: true,
    };
    let fault = actum_daemon::transport::listen(daemon.core.clone(), options)
        .await
        .unwrap_err();
    assert!(fault.message.contains("in use"), "{fault}");
    let host = daemon.address.to_string();
    assert_eq!(
        request_as_is(daemon.address, "GET", "/healthz", &[("host", &host)], "")
            .await
            .status,
        200
    );
}
