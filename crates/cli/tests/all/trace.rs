//! A trace goes in, and its history comes out whole: over the API and from the files alone.

use crate::common::{Daemon, block_on, over};
use serde_json::{Value, json};
use std::path::Path;

/// The traces of the repository: each is replayed to the API as it stands.
const TRACES: &[&str] = &["tests/traces/two-sessions.jsonl", "tests/traces/failures.jsonl"];

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a history says of a command that its trace said too.
fn said(row: &Value) -> Value {
    let link = |name: &str| row.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "id": row["id"], "type": row.get("command").or(row.get("type")).unwrap(), "sessionId": link("sessionId"),
        "dependsOn": row.get("dependsOn").cloned().unwrap_or_else(|| json!([])),
        "idempotencyKey": link("idempotencyKey"), "ifSessionVersion": link("ifSessionVersion"),
        "causationId": link("causationId"),
        "correlationId": row.get("correlationId").cloned().unwrap_or_else(|| row["id"].clone()),
    })
}

#[test]
fn a_trace_and_its_history_say_the_same() {
    for trace in TRACES {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(trace);
        let commands = lines(&file);
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let daemon = Daemon::dev(&data);
        let answers: Vec<Value> = block_on(async {
            let client = daemon.client().await;
            let mut answers = Vec::new();
            for command in &commands {
                answers.push(client.submit(command).await.unwrap());
            }
            answers
        });

        // Over the API, in pages of three.
        let mut rows: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        block_on(async {
            let client = daemon.client().await;
            loop {
                let mut query = vec![("limit", "3"), ("order", "oldest")];
                if let Some(after) = &cursor {
                    query.push(("after", after));
                }
                let page = client.get("/v1/history", &query).await.unwrap();
                let page = &page["data"];
                rows.extend(page["commands"].as_array().unwrap().iter().cloned());
                cursor = page["nextCursor"].as_str().map(ToOwned::to_owned);
                if cursor.is_none() {
                    return;
                }
            }
        });
        let (status, errors) = daemon.end();
        assert!(status.success(), "{errors}");

        let wanted: Vec<Value> = commands.iter().map(said).collect();
        let found: Vec<Value> = rows.iter().map(said).collect();
        assert_eq!(found, wanted, "{trace}");
        for (row, answer) in rows.iter().zip(&answers) {
            for name in ["outcome", "lane", "laneSeq", "laneGeneration", "sessionVersion"] {
                assert_eq!(row.get(name), answer.get(name), "{trace}: {name} of {row}");
            }
        }

        // From the files alone: the inputs of the journal are the trace.
        let export = over(&data, &["export", "--output", "jsonl"]).ended(0).out;
        let submitted: Vec<Value> = export
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter_map(|record| record.pointer("/input/submit/envelope").cloned())
            .collect();
        assert_eq!(submitted.len(), commands.len(), "{trace}");
        for (envelope, command) in submitted.iter().zip(&commands) {
            assert_eq!(envelope["id"], command["id"]);
            assert_eq!(envelope["payload"], command["payload"], "{trace}: {envelope}");
        }
    }
}
