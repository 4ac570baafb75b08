//! Probes, and the payments server of the examples: one charge, found by the probe, never two.

use super::common::good;
use super::server::Names;
use super::server::{Server, answer};
use super::{call, provider};
use actum_model::effect::ProbeAnswer;
use actum_provider::http::{HttpProvider, is_idempotent};
use actum_provider::sdk::Canceller;
use actum_provider::{Call, Happened, Provider};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

async fn ask(provider: &HttpProvider, arguments: Value, here: &str) -> ProbeAnswer {
    provider.probe(call(arguments, &[here])).await
}

#[tokio::test]
async fn a_probe_tells_by_its_status_and_nothing_else() {
    let provider = provider(Names::of(&[]));
    for (status, rules, expected) in [
        ("200 OK", json!({}), Some(ProbeAnswer::Landed)),
        ("404 Not Found", json!({}), Some(ProbeAnswer::DidNotHappen)),
        ("201 Created", json!({}), None),
        ("302 Found", json!({}), None),
        ("401 Unauthorized", json!({}), None),
        ("500 Internal Server Error", json!({}), None),
        (
            "204 No Content",
            json!({"landedStatus": 204}),
            Some(ProbeAnswer::Landed),
        ),
        (
            "410 Gone",
            json!({"didNotHappenStatus": 410}),
            Some(ProbeAnswer::DidNotHappen),
        ),
        ("404 Not Found", json!({"didNotHappenStatus": 410}), None),
        ("200 OK", json!({"didNotHappenStatus": 200}), None),
    ] {
        let server = Server::same(answer(status, &[("location", "/x")], b"")).await;
        let here = format!("127.0.0.1:{}", server.port());
        let mut probe = json!({"url": server.url("/charges/$effectId")});
        probe
            .as_object_mut()
            .unwrap()
            .extend(rules.as_object().unwrap().clone());
        let asked = json!({"url": server.url("/charges"), "method": "POST", "body": "{}", "probe": probe});
        let got = ask(&provider, asked, &here).await;
        match expected {
            Some(expected) => assert_eq!(got, expected, "{status} {rules}"),
            None => assert!(
                matches!(got, ProbeAnswer::Unknown(_)),
                "{status} {rules}: {got:?}"
            ),
        }
        let path = format!("GET /charges/{} HTTP/1.1", actum_model::Hash::of(b"effect"));
        assert!(
            server
                .got()
                .iter()
                .all(|got| got.line == path && !got.headers.contains_key("idempotency-key"))
        );
    }
}

#[tokio::test]
async fn a_probe_passes_the_same_gate_and_a_request_without_one_is_told_so() {
    let server = Server::same(answer("200 OK", &[], b"")).await;
    let provider = provider(Names::of(&[]));
    for (probe, here) in [
        (json!({"url": server.url("/")}), "a.example".to_owned()),
        (
            json!({"url": server.url("/")}),
            format!("POST@127.0.0.1:{}", server.port()),
        ),
        (
            json!({"url": "file:///x"}),
            format!("127.0.0.1:{}", server.port()),
        ),
    ] {
        let asked = json!({"url": server.url("/"), "method": "POST", "probe": probe});
        assert!(matches!(
            ask(&provider, asked, &here).await,
            ProbeAnswer::Unknown(_)
        ));
    }
    let asked = json!({"url": server.url("/"), "method": "POST"});
    assert!(matches!(
        ask(&provider, asked, "*").await,
        ProbeAnswer::Unknown(_)
    ));
    assert_eq!(server.connections(), 0);
}

#[test]
fn only_looking_is_idempotent() {
    for (arguments, expected) in [
        (json!({"url": "x"}), true),
        (json!({"method": "GET"}), true),
        (json!({"method": "HEAD"}), true),
        (json!({"method": "PUT"}), false),
        (json!({"method": "get"}), false),
        (json!({"method": 1}), false),
    ] {
        assert_eq!(is_idempotent(&arguments), expected, "{arguments}");
    }
}

/// The payments server, ended with the test.
struct Payments {
    _child: Child,
    base: String,
    here: String,
}

impl Payments {
    async fn start(folder: &Path) -> Payments {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/payments/payments.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg("--log")
            .arg(folder.join("log"))
            .arg("--hold")
            .arg(folder.join("hold"))
            .arg("--held")
            .arg(folder.join("held"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let here = format!("127.0.0.1:{}", line.trim());
        Payments {
            _child: child,
            base: format!("http://{here}"),
            here,
        }
    }

    fn charge(&self, amount: &Value) -> Call {
        let probe = json!({"url": format!("{}/charges/$effectId", self.base)});
        let body = json!({"amount": amount}).to_string();
        let asked =
            json!({"url": format!("{}/charges", self.base), "method": "POST", "body": body, "probe": probe});
        call(asked, &[&self.here])
    }
}

#[tokio::test]
async fn a_charge_whose_answer_is_lost_is_found_by_the_probe_and_never_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let payments = Payments::start(folder.path()).await;
    let provider = provider(Names::of(&[]));
    let lines = || {
        std::fs::read_to_string(folder.path().join("log"))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(
        provider.probe(payments.charge(&json!(1250))).await,
        ProbeAnswer::DidNotHappen
    );

    // The answer is held back, and the caller gives up while it is.
    std::fs::write(folder.path().join("hold"), "").unwrap();
    let (canceller, stop) = Canceller::new();
    let mut asked = payments.charge(&json!(1250));
    asked.stop = stop;
    let held = folder.path().join("held");
    let give_up = async {
        while !held.exists() {
            tokio::task::yield_now().await;
        }
        canceller.cancel();
    };
    let (got, ()) = tokio::join!(provider.call(asked), give_up);
    assert_eq!(got.unwrap_err().happened, Happened::Unknown);
    assert_eq!(lines(), 1);
    assert_eq!(
        provider.probe(payments.charge(&json!(1250))).await,
        ProbeAnswer::Landed
    );

    std::fs::remove_file(folder.path().join("hold")).unwrap();
    let again = good(provider.call(payments.charge(&json!(1250))).await);
    assert_eq!(again["status"], 200);
    let other = good(provider.call(payments.charge(&json!(99))).await);
    assert_eq!(other["status"], 422);
    assert_eq!(lines(), 1);

    // A server that starts again reads its log.
    drop(payments);
    let payments = Payments::start(folder.path()).await;
    assert_eq!(
        provider.probe(payments.charge(&json!(1250))).await,
        ProbeAnswer::Landed
    );
    assert_eq!(
        good(provider.call(payments.charge(&json!(1250))).await)["status"],
        200
    );
    assert_eq!(lines(), 1);
}

#[tokio::test]
async fn the_payments_server_refuses_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let payments = Payments::start(folder.path()).await;
    let provider = provider(Names::of(&[]));
    for amount in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("5"),
        json!(true),
        json!(null),
        json!(1_000_000_000),
    ] {
        let got = good(provider.call(payments.charge(&amount)).await);
        assert_eq!(got["status"], 422, "{amount}");
    }
    for (more, expected) in [
        (json!({"body": "no json"}), 400),
        (json!({"body": "[1]"}), 422),
        (json!({"body": "[".repeat(4000)}), 400),
        (json!({"body": "{\"amount\":1,\"more\":1}"}), 422),
        (json!({"body": "x".repeat(5000)}), 413),
        (
            json!({"body": "{\"amount\":1}", "headers": {"idempotency-key": "a b"}}),
            400,
        ),
        (
            json!({"body": "{\"amount\":1}", "url": format!("{}/other", payments.base)}),
            404,
        ),
    ] {
        let mut asked = payments.charge(&json!(1));
        asked
            .arguments
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(good(provider.call(asked).await)["status"], expected, "{more}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), "");
}
