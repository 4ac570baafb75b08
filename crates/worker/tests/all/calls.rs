//! `import actum`: what code asks of the daemon, in plain code and awaited, and how errors come back.

use crate::common::{Bench, Kind, Told};
use actum_worker::protocol::{CapabilityError, CapabilityRequest};
use actum_worker::session::Event;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A daemon of a few lines: promises, and an echo for all else.
#[derive(Default)]
struct Daemon {
    promises: BTreeMap<String, Json>,
    asked: Vec<CapabilityRequest>,
}

impl Daemon {
    fn answer(&mut self, request: CapabilityRequest) -> Result<Json, CapabilityError> {
        let id = request.payload["promiseId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let payload = request.payload.clone();
        let kind = request.capability.clone();
        self.asked.push(request);
        match kind.as_str() {
            "file.remove" => Err(CapabilityError {
                code: "NOT_GRANTED".into(),
                message: "no".into(),
                hint: Some("ask".into()),
            }),
            "promise.create" if self.promises.contains_key(&id) => Err(CapabilityError {
                code: "PROMISE_EXISTS".into(),
                message: "it is there".into(),
                hint: None,
            }),
            "promise.create" => Ok(self
                .promises
                .entry(id.clone())
                .or_insert(json!({"promiseId": id, "state": "pending"}))
                .clone()),
            "promise.resolve" => {
                self.promises.insert(
                    id.clone(),
                    json!({"promiseId": id, "state": "resolved", "value": payload["value"]}),
                );
                Ok(json!(null))
            }
            "promise.reject" => {
                self.promises.insert(
                    id.clone(),
                    json!({"promiseId": id, "state": "rejected",
                        "error": {"code": "PROMISE_REJECTED", "message": payload["message"]}}),
                );
                Ok(json!(null))
            }
            "promise.await" | "promise.get" => Ok(self.promises[&id].clone()),
            _ => Ok(json!({"did": kind, "with": payload})),
        }
    }
}

async fn run(bench: &mut Bench, daemon: &mut Daemon, code: &str) -> Told {
    let id = bench.send(code).await;
    loop {
        match bench.next().await {
            Event::CapabilityRequest(request) => {
                let name = request.id.clone();
                let answer = daemon.answer(request);
                assert!(bench.session.answer(&name, answer.clone()).await.unwrap());
                assert!(
                    !bench.session.answer(&name, answer).await.unwrap(),
                    "an answer counts once"
                );
            }
            Event::Finished(outcome) => {
                assert_eq!(outcome.execution, id);
                return Told {
                    outcome: Some(outcome),
                    ..Told::default()
                };
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn calls_give_their_answer_in_plain_code_and_awaited() {
    let (mut bench, mut daemon) = (Bench::start(Kind::Python).await, Daemon::default());
    let read = json!({"did": "file.read", "with": {"path": "a", "encoding": "utf8"}});
    let cases = [
        ("import actum\nactum.files.read('a')", read.clone()),
        ("await actum.files.read('a')", read.clone()),
        (
            "import asyncio\n(await asyncio.gather(*[actum.files.read('a') for _ in range(3)]))[2]",
            read,
        ),
        ("actum.shell.run(['ls'])['with']", json!({"argv": ["ls"]})),
        (
            "actum.http.fetch('http://x', method='GET')['did']",
            json!("http.fetch"),
        ),
        ("actum.system.env('A', 'B')['with']", json!({"names": ["A", "B"]})),
        (
            "actum.files.move('a', 'b')['with']",
            json!({"from": "a", "to": "b"}),
        ),
    ];
    for (code, value) in cases {
        assert_eq!(run(&mut bench, &mut daemon, code).await.value(), value, "{code}");
    }
    let write = "actum.files.write('a', 'text', key='once', timeout_ms=5000)['did']";
    assert_eq!(
        run(&mut bench, &mut daemon, write).await.value(),
        json!("file.write")
    );
    let asked = daemon.asked.last().unwrap();
    assert_eq!(
        (asked.idempotency_key.as_deref(), asked.timeout_ms),
        (Some("once"), Some(5000))
    );
    assert_eq!(asked.execution, "e8");
}

#[tokio::test]
async fn errors_come_back_with_code_message_and_hint() {
    let (mut bench, mut daemon) = (Bench::start(Kind::Python).await, Daemon::default());
    for call in ["actum.files.remove('a')", "await actum.files.remove('a')"] {
        let code = format!(
            "import actum\ntry:\n    {call}\nexcept actum.Error as e:\n    r = [e.code, e.message, e.hint]\nr"
        );
        assert_eq!(
            run(&mut bench, &mut daemon, &code).await.value(),
            json!(["NOT_GRANTED", "no", "ask"])
        );
    }
    let told = run(&mut bench, &mut daemon, "actum.files.remove('a')").await;
    assert_eq!(
        (
            told.failure().error_type.as_str(),
            told.failure().notes[0].as_str()
        ),
        ("Error", "hint: ask")
    );
    let asked = daemon.asked.len();
    let told = run(&mut bench, &mut daemon, "actum.files.write('a', object())").await;
    assert!(told.failure().message.contains("INVALID_INPUT"));
    assert_eq!(daemon.asked.len(), asked);
}

#[tokio::test]
async fn what_is_durable_runs_once_and_its_stored_answer_stands() {
    let (mut bench, mut daemon) = (Bench::start(Kind::Python).await, Daemon::default());
    let setup = "import actum\nran = []\ndef work():\n    ran.append(1)\n    return len(ran)\n\
                 async def later():\n    ran.append(2)\n    return 'async'\ndef bad(): raise ValueError('x')";
    run(&mut bench, &mut daemon, setup).await;
    let cases = [
        ("actum.durable_execute(work, id='p')", json!(1)),
        ("actum.durable_execute(work, id='p')", json!(1)),
        ("await actum.durable_execute(later, id='q')", json!("async")),
        ("await actum.durable_execute(later(), id='q')", json!("async")),
        ("actum.durable_execute(later, id='r')", json!("async")),
        ("ran", json!([1, 2, 2])),
        ("await actum.promise('p')", json!(1)),
        ("actum.promise('q').result()", json!("async")),
    ];
    for (code, value) in cases {
        assert_eq!(run(&mut bench, &mut daemon, code).await.value(), value, "{code}");
    }
    let first = run(&mut bench, &mut daemon, "actum.durable_execute(bad, id='s')").await;
    assert_eq!(first.failure().error_type, "ValueError");
    let second = run(&mut bench, &mut daemon, "actum.durable_execute(work, id='s')").await;
    assert!(second.failure().message.contains("ValueError: x"));
}
