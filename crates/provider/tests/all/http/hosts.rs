//! Which hosts are called: by name, by address, in disguise, by a name that changes, past a proxy.

use super::common::{code, good};
use super::server::{Names, Server, answer};
use super::{call, fetch, provider};
use actum_model::ErrorCode;
use actum_provider::Provider;
use actum_provider::http::{HttpOptions, HttpProvider};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const PROXY_TARGET: &str = "ACTUM_TEST_PROXY_TARGET";

#[tokio::test]
async fn loopback_is_refused_in_every_disguise_also_where_any_public_host_is_granted() {
    let server = Server::same(answer("200 OK", &[], b"inside")).await;
    let port = server.port();
    let any = format!("*:{port}");
    let names = Names::of(&[
        ("localhost", &[&["127.0.0.1", "::1"]]),
        ("rebind.example", &[&["127.0.0.1"]]),
        ("mixed.example", &[&["93.184.215.14", "127.0.0.1"]]),
        ("mapped.example", &[&["::ffff:127.0.0.1"]]),
        ("nat64.example", &[&["64:ff9b::7f00:1"]]),
        ("six.example", &[&["2002:7f00:1::"]]),
        ("cloud.example", &[&["169.254.169.254"]]),
        ("none.example", &[&["0.0.0.0"]]),
    ]);
    let provider = provider(names);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "１２７.０.０.１",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "rebind.example",
        "mixed.example",
        "mapped.example",
        "nat64.example",
        "six.example",
        "cloud.example",
        "none.example",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let url = format!("http://{host}:{port}/");
        let got = provider.call(call(json!({"url": url}), &[&any])).await;
        assert_eq!(code(got), ErrorCode::HostRefused, "{url}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn urls_that_readers_take_apart_differently_are_no_urls() {
    let server = Server::same(answer("200 OK", &[], b"inside")).await;
    let port = server.port();
    let here = format!("127.0.0.1:{port}");
    for url in [
        format!("http://a.example@127.0.0.1:{port}/"),
        format!("http://user:pass@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}\\@a.example/"),
        format!("http:\\\\127.0.0.1:{port}/"),
        format!(" http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/\r\nx: y"),
        format!("http://127.0.0.1:{port}/a b"),
        format!("ht\ttp://127.0.0.1:{port}/"),
        "http://127.0.0.1:0/".to_owned(),
        "http://127.0.0.1:99999/".to_owned(),
        "http://a..example/".to_owned(),
        "http:///".to_owned(),
        "ftp://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,x".to_owned(),
        "127.0.0.1".to_owned(),
        String::new(),
        format!("http://127.0.0.1:{port}/{}", "x".repeat(9000)),
    ] {
        let got = fetch(json!({"url": url}), &[&here, "*"]).await;
        assert_eq!(code(got), ErrorCode::InvalidInput, "{url:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_private_address_is_called_where_it_is_granted_itself() {
    let server = Server::same(answer("200 OK", &[("x-a", "1")], "grüße".as_bytes())).await;
    let here = format!("127.0.0.1:{}", server.port());
    let got = good(fetch(json!({"url": server.url("/p?q=1#f")}), &[&here]).await);
    assert_eq!((&got["status"], &got["body"]), (&json!(200), &json!("grüße")));
    assert_eq!(got["headers"]["x-a"], "1");
    assert_eq!(got["addresses"], json!(["127.0.0.1"]));
    assert_eq!(got["finalUrl"], server.url("/p?q=1"));
    assert_eq!(server.got()[0].line, "GET /p?q=1 HTTP/1.1");
    assert_eq!(server.got()[0].headers["host"], here);
    for (hosts, expected) in [
        (vec![], ErrorCode::NotGranted),
        (vec!["a.example"], ErrorCode::HostRefused),
        (vec!["127.0.0.1"], ErrorCode::HostRefused),
    ] {
        assert_eq!(
            code(fetch(json!({"url": server.url("/")}), &hosts).await),
            expected,
            "{hosts:?}"
        );
    }
    let posting = format!("POST@{here}");
    assert_eq!(
        code(fetch(json!({"url": server.url("/")}), &[&posting]).await),
        ErrorCode::HostRefused
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked() {
    let server = Server::same(answer("200 OK", &[], b"here")).await;
    let port = server.port();
    // Asked a second time, the name would be somewhere else.
    let names = Names::of(&[("a.example", &[&["127.0.0.1"], &["10.0.0.1"]])]);
    let provider = provider(Arc::clone(&names));
    let hosts = [format!("a.example:{port}"), format!("127.0.0.1:{port}")];
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let url = json!({"url": format!("http://A.example.:{port}/")});
    let got = good(provider.call(call(url.clone(), &hosts)).await);
    assert_eq!(got["addresses"], json!(["127.0.0.1"]));
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.got()[0].headers["host"], format!("a.example:{port}"));
    assert_eq!(
        code(provider.call(call(url, &hosts)).await),
        ErrorCode::HostRefused
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_without_addresses_and_a_port_without_a_server_are_told_apart_from_refusals() {
    let names = Names::of(&[("empty.example", &[&[]])]);
    let provider = provider(names);
    for host in ["empty.example", "unknown.example"] {
        let got = provider
            .call(call(json!({"url": format!("http://{host}/")}), &["*"]))
            .await;
        assert_eq!(code(got), ErrorCode::HttpFailed, "{host}");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let asked = json!({"url": format!("http://{free}/"), "method": "POST"});
    let failure = fetch(asked, &[&free.to_string()]).await.unwrap_err();
    assert_eq!(failure.code(), ErrorCode::HttpFailed);
    assert_eq!(failure.happened, actum_provider::Happened::No);
}

/// What fetches with proxy variables set: this test binary again, told so by its environment.
#[tokio::test]
async fn fetcher_for_the_proxy_test() {
    let Ok(address) = std::env::var(PROXY_TARGET) else {
        return;
    };
    let provider = HttpProvider::new(HttpOptions::default()).unwrap();
    let got = good(
        provider
            .call(call(json!({"url": format!("http://{address}/")}), &[&address]))
            .await,
    );
    assert_eq!(got["body"], "the host itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_variables_have_no_effect() {
    let host = Server::same(answer("200 OK", &[], b"the host itself")).await;
    let proxy = Server::same(answer("200 OK", &[], b"the proxy")).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "http::hosts::fetcher_for_the_proxy_test"])
        .env(PROXY_TARGET, host.address.to_string());
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, proxy.url(""));
    }
    assert!(child.output().await.unwrap().status.success());
    assert_eq!((host.connections(), proxy.connections()), (1, 0));
}
