//! Answers and the lack of them: sizes, compression, time, cancelling, and what is known after a failure.

use super::common::{code, good};
use super::server::Names;
use super::server::{Server, answer};
use super::{call, fetch, provider};
use actum_model::{ErrorCode, Hash};
use actum_provider::sdk::Canceller;
use actum_provider::{Happened, Provider};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;

async fn get(answer: Vec<u8>, more: serde_json::Value) -> actum_provider::Answer {
    let server = Server::same(answer).await;
    let here = format!("127.0.0.1:{}", server.port());
    let mut asked = json!({"url": server.url("/")});
    asked
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    fetch(asked, &[&here]).await
}

#[tokio::test]
async fn a_body_is_never_longer_than_was_asked_for() {
    let large = vec![b'x'; 3 * 1024 * 1024];
    let got = good(get(answer("200 OK", &[], &large), json!({})).await);
    assert_eq!(
        (&got["bytes"], &got["truncated"]),
        (&json!(1024 * 1024), &json!(true))
    );
    let got = good(get(answer("200 OK", &[], &large), json!({"maxBytes": 10})).await);
    assert_eq!(
        (&got["body"], &got["truncated"]),
        (&json!("xxxxxxxxxx"), &json!(true))
    );
    let got = good(get(answer("200 OK", &[], b"1234567890"), json!({"maxBytes": 10})).await);
    assert_eq!(got["truncated"], false);
    let got = good(get(answer("200 OK", &[], "aß".as_bytes()), json!({"maxBytes": 2})).await);
    assert_eq!(
        (&got["body"], &got["bytes"], &got["truncated"]),
        (&json!("a"), &json!(2), &json!(true))
    );
    let got = good(get(answer("200 OK", &[], &[0xff, 0]), json!({})).await);
    assert_eq!(
        (&got["body"], &got["encoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    let endless = b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec();
    assert_eq!(good(get(endless, json!({})).await)["body"], "until the end");
}

#[tokio::test]
async fn a_compressed_body_is_bounded_by_what_comes_out() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b'0'; 30 * 1024 * 1024]).unwrap();
    let bomb = encoder.finish().unwrap();
    let got = good(
        get(
            answer("200 OK", &[("content-encoding", "gzip")], &bomb),
            json!({}),
        )
        .await,
    );
    assert_eq!(
        (&got["bytes"], &got["truncated"]),
        (&json!(1024 * 1024), &json!(true))
    );
    let broken = answer("200 OK", &[("content-encoding", "gzip")], b"no gzip");
    assert_eq!(code(get(broken, json!({})).await), ErrorCode::HttpFailed);
}

#[tokio::test]
async fn answers_that_are_none_are_failures() {
    let flood: Vec<(String, String)> = (0..500).map(|n| (format!("x-{n}"), "v".to_owned())).collect();
    let flood: Vec<(&str, &str)> = flood.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let long = "v".repeat(300_000);
    for (name, wire) in [
        ("nothing", Vec::new()),
        ("garbage", b"\x00\x01\x02 this is no HTTP\r\n\r\n".to_vec()),
        ("many headers", answer("200 OK", &flood, b"")),
        ("a long header", answer("200 OK", &[("x", &long)], b"")),
        (
            "cut off",
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_vec(),
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(),
        ),
        (
            "a bad chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        ),
    ] {
        let failure = get(wire.clone(), json!({})).await.unwrap_err();
        assert_eq!(
            (failure.code(), failure.happened),
            (ErrorCode::HttpFailed, Happened::No),
            "{name}"
        );
        let failure = get(wire, json!({"method": "POST"})).await.unwrap_err();
        assert_eq!(
            (failure.code(), failure.happened),
            (ErrorCode::HttpFailed, Happened::Unknown),
            "{name}"
        );
    }
}

#[tokio::test]
async fn statuses_are_answers_and_no_failures() {
    for status in ["204 No Content", "404 Not Found", "500 Internal Server Error"] {
        let got = good(get(answer(status, &[], b""), json!({"method": "POST"})).await);
        assert_eq!(got["status"].to_string(), &status[..3]);
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_runs_out_of_time_and_a_post_to_it_is_in_doubt() {
    for (method, happened) in [
        ("GET", Happened::No),
        ("HEAD", Happened::No),
        ("POST", Happened::Unknown),
    ] {
        let server = Server::start(Arc::new(|_| None)).await;
        let here = format!("127.0.0.1:{}", server.port());
        let (canceller, stop) = Canceller::new();
        let mut asked = call(json!({"url": server.url("/"), "method": method}), &[&here]);
        asked.stop = stop;
        let provider = provider(Names::of(&[]));
        let cancel = async {
            server.saw_one().await;
            canceller.cancel();
        };
        let (got, ()) = tokio::join!(provider.call(asked), cancel);
        let failure = got.unwrap_err();
        assert_eq!(
            (failure.code(), failure.happened),
            (ErrorCode::Cancelled, happened),
            "{method}"
        );
        let late = fetch(
            json!({"url": server.url("/"), "method": method, "timeoutMs": 200}),
            &[&here],
        )
        .await;
        let failure = late.unwrap_err();
        assert_eq!(
            (failure.code(), failure.happened),
            (ErrorCode::TimedOut, happened),
            "{method}"
        );
    }
}

#[tokio::test]
async fn the_effect_is_the_key_of_what_may_change_something_unless_another_is_given() {
    let server = Server::same(answer("200 OK", &[], b"")).await;
    let here = format!("127.0.0.1:{}", server.port());
    let effect = Hash::of(b"effect").to_string();
    for (method, given, expected) in [
        ("GET", None, None),
        ("HEAD", None, None),
        ("POST", None, Some(effect.as_str())),
        ("DELETE", None, Some(effect.as_str())),
        ("POST", Some("mine"), Some("mine")),
    ] {
        let mut asked = json!({"url": server.url("/"), "method": method});
        if let Some(given) = given {
            asked["headers"] = json!({"Idempotency-Key": given});
        }
        good(fetch(asked, &[&here]).await);
        let sent = server
            .got()
            .last()
            .unwrap()
            .headers
            .get("idempotency-key")
            .cloned();
        assert_eq!(sent.as_deref(), expected, "{method}");
    }
}

#[tokio::test]
async fn headers_about_the_connection_and_headers_that_are_none_are_refused() {
    let here = "127.0.0.1:1";
    for headers in [
        json!({"Host": "a.example"}),
        json!({"content-length": "1"}),
        json!({"Transfer-Encoding": "chunked"}),
        json!({"Proxy-Authorization": "x"}),
        json!({"a": "x\r\nhost: y"}),
        json!({"a b": "x"}),
        json!({"": "x"}),
        json!({"A": "1", "a": "2"}),
        json!({"a": "x".repeat(40_000)}),
        json!({"a": 1}),
    ] {
        let got = fetch(json!({"url": "http://127.0.0.1:1/", "headers": headers}), &[here]).await;
        assert_eq!(code(got), ErrorCode::InvalidInput, "{headers}");
    }
    for more in [
        json!({"url": "http://127.0.0.1:1/", "body": "x"}),
        json!({"url": "http://127.0.0.1:1/", "method": "POST", "body": "x", "bodyBase64": ""}),
        json!({"url": "http://127.0.0.1:1/", "method": "CONNECT"}),
        json!({"url": "http://127.0.0.1:1/", "method": "get"}),
        json!({"url": "http://127.0.0.1:1/", "redirects": 11}),
        json!({"url": "http://127.0.0.1:1/", "maxBytes": 1_048_577}),
    ] {
        assert_eq!(
            code(fetch(more.clone(), &[here]).await),
            ErrorCode::InvalidInput,
            "{more}"
        );
    }
}
