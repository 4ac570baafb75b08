//! Redirects: each hop is checked like the first, and to another origin nothing goes along that says who asks.

use super::common::{code, good};
use super::server::{Answering, Names, Server, answer};
use super::{call, fetch, provider};
use actum_model::ErrorCode;
use actum_provider::{Happened, Provider};
use serde_json::json;
use std::sync::Arc;

fn to(status: &'static str, location: String) -> Answering {
    Arc::new(move |_| Some(answer(status, &[("location", &location)], b"")))
}

#[tokio::test]
async fn a_redirect_to_what_is_not_granted_is_refused() {
    let inside = Server::same(answer("200 OK", &[], b"inside")).await;
    for location in [
        inside.url("/"),
        format!("http://2130706433:{}/", inside.port()),
        format!("//127.0.0.1:{}/", inside.port()),
        format!("http://localhost:{}/", inside.port()),
        "http://169.254.169.254/latest".to_owned(),
    ] {
        let server = Server::start(to("302 Found", location.clone())).await;
        let here = format!("127.0.0.1:{}", server.port());
        let got = fetch(json!({"url": server.url("/")}), &[&here]).await;
        assert_eq!(code(got), ErrorCode::HostRefused, "{location}");
    }
    for location in [
        "file:///etc/passwd",
        "http://u:p@a.example/",
        "gopher://a.example",
        "http://",
    ] {
        let server = Server::start(to("302 Found", location.to_owned())).await;
        let here = format!("127.0.0.1:{}", server.port());
        let got = fetch(json!({"url": server.url("/")}), &[&here, "*"]).await;
        assert_eq!(code(got), ErrorCode::InvalidInput, "{location}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_between_hops_is_checked_again() {
    let server = Server::start(to("302 Found", "/again".to_owned())).await;
    let port = server.port();
    let names = Names::of(&[("a.example", &[&["127.0.0.1"], &["10.0.0.1"]])]);
    let hosts = [format!("a.example:{port}"), format!("127.0.0.1:{port}")];
    let asked = call(
        json!({"url": format!("http://a.example:{port}/")}),
        &[&hosts[0], &hosts[1]],
    );
    assert_eq!(code(provider(names).call(asked).await), ErrorCode::HostRefused);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn credentials_stay_with_the_origin_they_were_given_for() {
    let other = Server::same(answer("200 OK", &[], b"other")).await;
    let target = other.url("/o");
    let server = Server::start(Arc::new(move |got| {
        let location = if got.line.contains("/away") {
            target.as_str()
        } else {
            "/same"
        };
        match got.line.contains("/same") {
            true => Some(answer("200 OK", &[], b"same")),
            false => Some(answer("307 Temporary Redirect", &[("location", location)], b"")),
        }
    }))
    .await;
    let hosts = [
        format!("127.0.0.1:{}", server.port()),
        format!("127.0.0.1:{}", other.port()),
    ];
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let headers =
        json!({"Authorization": "Bearer t", "Cookie": "c=1", "X-Api-Key": "k", "Accept": "text/plain"});
    for (path, server) in [("/stay", &server), ("/away", &other)] {
        let asked =
            json!({"url": server_url(&hosts, path), "headers": headers, "method": "POST", "body": "b"});
        let got = good(fetch(asked, &hosts).await);
        assert_eq!(got["redirects"].as_array().unwrap().len(), 1);
        let last = server.got().last().unwrap().clone();
        let kept = path == "/stay";
        for name in ["authorization", "cookie", "x-api-key"] {
            assert_eq!(last.headers.contains_key(name), kept, "{name} {path}");
        }
        assert_eq!(last.headers["accept"], "text/plain");
        assert_eq!(
            last.headers["idempotency-key"],
            actum_model::Hash::of(b"effect").to_string()
        );
        assert!(last.line.starts_with("POST "), "{}", last.line);
        assert_eq!(last.body, b"b");
    }
}

fn server_url(hosts: &[&str], path: &str) -> String {
    format!("http://{}{path}", hosts[0])
}

#[tokio::test]
async fn see_other_becomes_a_get_without_the_body() {
    for (status, method, after) in [
        ("303 See Other", "PUT", "GET"),
        ("303 See Other", "HEAD", "HEAD"),
        ("302 Found", "POST", "GET"),
        ("301 Moved Permanently", "PUT", "PUT"),
        ("308 Permanent Redirect", "POST", "POST"),
    ] {
        let server = Server::start(Arc::new(move |got| match got.line.contains("/to") {
            true => Some(answer("200 OK", &[], b"")),
            false => Some(answer(status, &[("location", "to")], b"")),
        }))
        .await;
        let here = format!("127.0.0.1:{}", server.port());
        let mut asked =
            json!({"url": server.url("/from"), "method": method, "headers": {"content-type": "a/b"}});
        if method != "HEAD" {
            asked["body"] = json!("b");
        }
        good(fetch(asked, &[&here]).await);
        let last = server.got().last().unwrap().clone();
        assert_eq!(last.line, format!("{after} /to HTTP/1.1"), "{status} {method}");
        let with_body = method != "HEAD" && after == method;
        assert_eq!(last.body.is_empty(), !with_body, "{status} {method}");
        if after == "GET" {
            assert!(
                !last.headers.contains_key("content-type") && !last.headers.contains_key("idempotency-key")
            );
        }
    }
}

#[tokio::test]
async fn redirects_are_bounded_and_can_be_seen_instead() {
    let server = Server::start(to("302 Found", "/round".to_owned())).await;
    let here = format!("127.0.0.1:{}", server.port());
    let failure = fetch(json!({"url": server.url("/")}), &[&here])
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.happened),
        (ErrorCode::HttpFailed, Happened::No)
    );
    assert_eq!(server.connections(), 11);
    let seen = good(fetch(json!({"url": server.url("/"), "redirects": 0}), &[&here]).await);
    assert_eq!(
        (&seen["status"], &seen["headers"]["location"]),
        (&json!(302), &json!("/round"))
    );
    // A request that may have changed something has left, so the failure does not say that nothing happened.
    let posted = json!({"url": server.url("/"), "method": "PUT", "redirects": 2});
    let failure = fetch(posted, &[&here]).await.unwrap_err();
    assert_eq!(
        (failure.code(), failure.happened),
        (ErrorCode::HttpFailed, Happened::Unknown)
    );
}
