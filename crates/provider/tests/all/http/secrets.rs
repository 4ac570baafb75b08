//! Secrets: only to the host they are bound to, after every check, and never in an answer.

use super::common::{Bound, code, good};
use super::server::{Names, Server, answer};
use super::{call, provider};
use actum_model::ErrorCode;
use actum_provider::{Call, Provider};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const VALUE: &str = "s3cr3t/value+7";

fn with_secret(arguments: Value, hosts: &[&str], bound_to: &str) -> Call {
    let mut call = call(arguments, hosts);
    let bound = Bound(BTreeMap::from([("K", (VALUE, vec![bound_to.to_owned()]))]));
    call.means.secrets = Arc::new(bound);
    call
}

#[tokio::test]
async fn a_secret_reaches_the_host_it_is_bound_to_and_does_not_come_back() {
    let echo = Server::start(Arc::new(|got| {
        let sent = got.headers.get("authorization").cloned().unwrap_or_default();
        let body = String::from_utf8_lossy(&got.body).into_owned();
        let encoded = STANDARD.encode(format!("user:{VALUE}"));
        let text = format!("{sent} {body} {encoded} s3cr3t%2Fvalue%2B7");
        Some(answer("200 OK", &[("x-echo", &sent)], text.as_bytes()))
    }))
    .await;
    let here = format!("127.0.0.1:{}", echo.port());
    let provider = provider(Names::of(&[]));
    for (header, body) in [
        (json!("Bearer $secret:K"), json!("{\"k\":\"$secret:K\"}")),
        (json!({"$secret": "K"}), json!({"$secret": "K"})),
    ] {
        let asked = json!({"url": echo.url("/"), "method": "POST", "headers": {"Authorization": header}, "body": body});
        let got = good(provider.call(with_secret(asked, &[&here], "127.0.0.1")).await);
        let sent = echo.got().last().unwrap().clone();
        assert!(sent.headers["authorization"].ends_with(VALUE), "{sent:?}");
        assert!(String::from_utf8(sent.body).unwrap().contains(VALUE));
        let text = got.to_string();
        for form in [
            VALUE,
            "s3cr3t%2F",
            &STANDARD.encode(format!("user:{VALUE}"))[8..20],
        ] {
            assert!(!text.contains(form), "{form} is in {text}");
        }
        assert!(text.contains("[secret K]"), "{text}");
    }
}

#[tokio::test]
async fn a_secret_for_another_host_is_not_asked_to_leave() {
    let server = Server::same(answer("200 OK", &[], b"")).await;
    let here = format!("127.0.0.1:{}", server.port());
    let provider = provider(Names::of(&[]));
    for (name, expected) in [
        ("K", ErrorCode::SecretRefused),
        ("NONE", ErrorCode::SecretUnavailable),
    ] {
        let asked = json!({"url": server.url("/"), "headers": {"a": format!("$secret:{name}")}});
        let got = provider
            .call(with_secret(asked, &[&here], "api.example.com"))
            .await;
        assert_eq!(code(got), expected);
    }
    // Nothing is revealed for a host that is refused.
    let asked = json!({"url": server.url("/"), "headers": {"a": "$secret:K"}});
    let got = provider
        .call(with_secret(asked, &["a.example"], "127.0.0.1"))
        .await;
    assert_eq!(code(got), ErrorCode::HostRefused);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_takes_no_secret_to_another_origin_and_no_message_tells_it() {
    let other = Server::same(answer("200 OK", &[], b"other")).await;
    let target = other.url("/");
    let server = Server::start(Arc::new(move |_| {
        Some(answer("307 Temporary Redirect", &[("location", &target)], b""))
    }))
    .await;
    let hosts = [
        format!("127.0.0.1:{}", server.port()),
        format!("127.0.0.1:{}", other.port()),
    ];
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let provider = provider(Names::of(&[]));
    let asked = json!({"url": server.url("/"), "headers": {"accept": "$secret:K", "x": "$secret:K"}});
    good(provider.call(with_secret(asked, &hosts, "127.0.0.1")).await);
    assert!(server.got()[0].headers["accept"].contains(VALUE));
    assert!(!format!("{:?}", other.got()).contains(VALUE));
    assert_eq!(other.connections(), 1);

    let gossip = Server::start(Arc::new(|got| {
        let location = format!(
            "http://{}.example/{}",
            got.headers["x"].replace(['/', '+'], "-"),
            got.headers["x"]
        );
        Some(answer("302 Found", &[("location", &location)], b""))
    }))
    .await;
    let here = format!("127.0.0.1:{}", gossip.port());
    let asked = json!({"url": gossip.url("/"), "headers": {"x": "$secret:K"}});
    let failure = provider
        .call(with_secret(asked, &[&here], "127.0.0.1"))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), ErrorCode::HostRefused);
    assert!(!failure.fault.to_string().contains(VALUE), "{}", failure.fault);
}

#[tokio::test]
async fn a_secret_cut_in_two_by_the_size_limit_leaves_nothing() {
    let server = Server::start(Arc::new(|got| {
        Some(answer("200 OK", &[], got.headers["x"].as_bytes()))
    }))
    .await;
    let here = format!("127.0.0.1:{}", server.port());
    let provider = provider(Names::of(&[]));
    for max in 1..40 {
        let asked =
            json!({"url": server.url("/"), "headers": {"x": "12345 $secret:K 12345"}, "maxBytes": max});
        let got = good(provider.call(with_secret(asked, &[&here], "127.0.0.1")).await);
        let body = got["body"].as_str().unwrap();
        assert!(body.len() <= max && !body.contains("s3c"), "{max}: {body}");
    }
}
