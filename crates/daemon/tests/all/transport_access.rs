//! Who may call: pages of other origins and rebound names may not, on any transport; nor may strangers.

use crate::transport_support::{Daemon, JSON, request_as_is};
use actum_daemon::access::{Access, Mode, tokens};
use actum_daemon::transport::{Options, Timings, listen};
use serde_json::json;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Error;

const COMMAND: &str = r#"{"type":"session.create","sessionId":"s"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_cannot_submit() {
    let daemon = Daemon::dev().await;
    let own = format!("http://{}", daemon.address);
    let other_port = format!("http://127.0.0.1:{}", daemon.address.port() ^ 1);
    for origin in [
        "http://evil.example",
        "null",
        "https://actum.evil.example",
        other_port.as_str(),
    ] {
        // What a form can send, what `fetch` can send after a preflight, and the preflight itself.
        for kind in ["text/plain", "application/json", "application/x-ndjson"] {
            let headers = [("origin", origin), ("content-type", kind)];
            let answer = daemon.request("POST", "/v1/commands", &headers, COMMAND).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "ORIGIN_REFUSED"),
                "{origin} {kind}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        for (method, path) in [
            ("OPTIONS", "/v1/commands"),
            ("GET", "/v1/history"),
            ("GET", "/v1/events"),
            ("GET", "/healthz"),
        ] {
            let answer = daemon.request(method, path, &[("origin", origin)], "").await;
            assert_eq!(answer.code(), "ORIGIN_REFUSED", "{origin} {method} {path}");
        }
        let refused = daemon.socket_with(&[("origin", origin)]).await;
        assert!(
            matches!(refused, Err(Error::Http(response)) if response.status() == 403),
            "{origin}"
        );
    }
    let no_origin = [("sec-fetch-site", "cross-site"), JSON];
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &no_origin, COMMAND)
            .await
            .code(),
        "ORIGIN_REFUSED"
    );
    assert_eq!(
        daemon.get("/v1/metrics").await.json()["data"]["sessions"],
        0,
        "nothing was created"
    );
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &[("origin", &own), JSON], COMMAND)
            .await
            .status,
        200
    );
    assert!(daemon.socket_with(&[("origin", &own)]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_rebound_to_this_machine_gets_nothing() {
    let daemon = Daemon::dev().await;
    let port = daemon.address.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1".to_owned(),
        "localhost:1".to_owned(),
    ] {
        let answer = request_as_is(
            daemon.address,
            "POST",
            "/v1/commands",
            &[("host", &host), JSON],
            COMMAND,
        )
        .await;
        assert_eq!(answer.code(), "ORIGIN_REFUSED", "{host}");
        let refused = daemon.socket_with(&[("host", &host)]).await;
        assert!(
            matches!(refused, Err(Error::Http(response)) if response.status() == 403),
            "{host}"
        );
    }
    let none = request_as_is(daemon.address, "GET", "/healthz", &[], "").await;
    assert_eq!(none.code(), "ORIGIN_REFUSED");
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        "actum.example".to_owned(),
    ] {
        let answer = request_as_is(daemon.address, "GET", "/v1/health", &[("host", &host)], "").await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_daemon_wants_a_token_and_knows_its_principal() {
    let daemon = Daemon::start(Mode::Serve, Timings::default()).await;
    for path in [
        "/v1/health",
        "/v1/commands",
        "/v1/events",
        "/v1/nothing",
        "/v1/ws",
    ] {
        let answer = daemon.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "UNAUTHENTICATED"),
            "{path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(daemon.get("/healthz").await.status, 200);
    assert_eq!(daemon.get("/readyz").await.status, 200);
    let made = tokens::create(daemon.data.path(), "ci", "main").unwrap();
    let bearer = format!("Bearer {}", made.token);
    let headers = [("authorization", bearer.as_str()), JSON];
    let command = json!({"type": "session.create", "id": "a", "sessionId": "s"}).to_string();
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &headers, command.clone())
            .await
            .status,
        200
    );
    let row = daemon.request("GET", "/v1/commands/a", &headers, "").await.json();
    assert_eq!(row["data"]["principal"], "ci", "{row}");
    let wrong = [("authorization", "Bearer actum_wrong"), JSON];
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &wrong, command.clone())
            .await
            .status,
        401
    );
    let forged = r#"{"type":"session.create","principal":"root","tenant":"other"}"#;
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &headers, forged)
            .await
            .code(),
        "INVALID_INPUT"
    );
    tokens::revoke(daemon.data.path(), "ci").unwrap();
    assert_eq!(
        daemon
            .request("POST", "/v1/commands", &headers, command)
            .await
            .status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_repeating_an_id_learns_nothing() {
    let daemon = Daemon::start(Mode::Dev, Timings::default()).await;
    daemon
        .post(json!({"type": "session.create", "id": "a", "sessionId": "s"}).to_string())
        .await;
    let made = tokens::create(daemon.data.path(), "stranger", "other").unwrap();
    let bearer = format!("Bearer {}", made.token);
    let headers = [("authorization", bearer.as_str())];
    let answer = daemon.request("GET", "/v1/commands/a", &headers, "").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "COMMAND_NOT_FOUND")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_beyond_loopback_without_a_token_is_refused() {
    let daemon = Daemon::dev().await;
    let bind = async |mode| {
        let options = Options {
            bind: "0.0.0.0:0".parse().unwrap(),
            access: Arc::new(Access::new(mode, daemon.data.path(), &[])),
            timings: Timings::default(),
            introspection: true,
        };
        listen(daemon.core.clone(), options).await
    };
    for mode in [Mode::Dev, Mode::Serve] {
        let fault = bind(mode).await.unwrap_err();
        assert_eq!(fault.code.as_str(), "BIND_REFUSED");
        assert!(fault.hint_text().contains("actum token create"));
    }
    tokens::create(daemon.data.path(), "ci", "main").unwrap();
    assert!(bind(Mode::Serve).await.is_ok());
}
