//! The graph on the road a user takes: the real binary, GraphQL over HTTP, no token. The proof hooks of the
//! milestones M1 to M4 stand here under their names.

use crate::common::{self, Daemon, run};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Sends a request with a body and gives the status and the body of the answer.
fn http(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let mut head = format!("{method} /graphql HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Asks a daemon; gives the whole answer.
fn ask(daemon: &Daemon, query: &str, variables: &Value) -> Value {
    let body = json!({"query": query, "variables": variables}).to_string();
    let (status, text) = http(
        &daemon.url(),
        "POST",
        &[("content-type", "application/json")],
        &body,
    );
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Asks for what must be there; gives the data.
#[track_caller]
fn data(daemon: &Daemon, query: &str) -> Value {
    let answer = ask(daemon, query, &json!({}));
    assert_eq!(answer.get("errors"), None, "{query}\n{answer}");
    answer["data"].clone()
}

/// Asks for what must be refused; gives the code.
#[track_caller]
fn code(daemon: &Daemon, query: &str) -> String {
    let answer = ask(daemon, query, &json!({}));
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{query}\n{answer}"))
        .to_owned()
}

fn digest(daemon: &Daemon, view: &str) -> String {
    let found = data(daemon, &format!("{{ graph(view: {view}) {{ digest }} }}"));
    found["graph"]["digest"].as_str().unwrap().to_owned()
}

const SYSTEM: &str = "{kind: SYSTEM}";

fn sws(id: u64) -> String {
    format!("{{kind: SWS, swsId: \"{id}\"}}")
}

fn create(daemon: &Daemon) -> u64 {
    let made = data(daemon, "mutation { createSws { sws { id } } }");
    made["createSws"]["sws"]["id"].as_str().unwrap().parse().unwrap()
}

/// Carries out operations; gives the receipt.
#[track_caller]
fn rewrite(daemon: &Daemon, id: u64, ops: &Value) -> Value {
    let query =
        "mutation($view: ViewRefInput!, $ops: [JSON!]!) { applyRewrite(view: $view, rewrite: {ops: $ops}) {
        accepted receipt { rewriteIdx view swsId viewIdx viewDigest snapshotId policyId rulePackId
            results { sort id key changed version } } } }";
    let answer = ask(
        daemon,
        query,
        &json!({"view": {"kind": "SWS", "swsId": id}, "ops": ops}),
    );
    assert_eq!(answer["data"]["applyRewrite"]["accepted"], true, "{answer}");
    answer["data"]["applyRewrite"]["receipt"].clone()
}

fn add(text: &str) -> Value {
    json!({"op": "AddNode", "data": {"kind": "demo", "payload_b64": base64(text.as_bytes())}})
}

/// Adds nodes; gives their ids.
fn add_nodes(daemon: &Daemon, id: u64, texts: &[&str]) -> Vec<String> {
    let ops: Vec<Value> = texts.iter().map(|text| add(text)).collect();
    let receipt = rewrite(daemon, id, &ops.into());
    let results = receipt["results"].as_array().unwrap().iter();
    results
        .map(|result| result["id"].as_str().unwrap().to_owned())
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63] as char;
            out.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

#[track_caller]
fn collapse(daemon: &Daemon, id: u64) -> Value {
    let query = format!(
        "mutation {{ collapseSws(input: {{swsId: \"{id}\"}}) {{ committed systemSnapshotId replayed sws {{ state }}
            receipt {{ rewriteIdx policyId rulePackId conflictCount conflicts {{ code sort id key }}
                base {{ snapshotId digest }} before {{ snapshotId digest }} after {{ snapshotId digest }}
                counts {{ nodes {{ added removed changed }} }} events {{ id kind idx }} }} }} }}"
    );
    data(daemon, &query)["collapseSws"].clone()
}

fn log(daemon: &Daemon, view: &str) -> Value {
    data(
        daemon,
        &format!("{{ rewrites(view: {view}) {{ id idx viewIdx kind view swsId digest ops meta reason }} }}"),
    )["rewrites"]
        .clone()
}

fn places(log: &Value) -> Vec<u64> {
    let entries = log.as_array().unwrap().iter();
    entries
        .map(|entry| entry["idx"].as_str().unwrap().parse().unwrap())
        .collect()
}

fn set(target: &str, key: &str, value: u64) -> Value {
    json!({"op": "SetAttachment", "data": {"target": target, "key": key, "value": value}})
}

/// A script with all kinds of changes. Gives everything a client was told.
fn script(daemon: &Daemon) -> Vec<Value> {
    let mut told = Vec::new();
    let first = create(daemon);
    told.push(rewrite(daemon, first, &json!([add("a"), add("b")])));
    let ids: Vec<String> = ["a", "b"]
        .iter()
        .flat_map(|text| add_nodes(daemon, first, &[text]))
        .collect();
    told.push(rewrite(
        daemon,
        first,
        &json!([{"op": "AddEdge", "data": {"from": ids[0], "to": ids[1], "kind": "next"}}, set(&ids[0], "k", 1)]),
    ));
    told.push(collapse(daemon, first));
    let (second, third) = (create(daemon), create(daemon));
    told.push(rewrite(daemon, second, &json!([set(&ids[0], "k", 2)])));
    told.push(rewrite(daemon, third, &json!([set(&ids[0], "k", 3)])));
    told.push(collapse(daemon, second));
    told.push(collapse(daemon, third));
    told.push(data(
        daemon,
        &format!("mutation {{ discardSws(input: {{swsId: \"{third}\", reason: \"no\"}}) {{ sws {{ state }} receipt {{ rewriteIdx events {{ kind }} }} }} }}"),
    ));
    told.push(log(daemon, SYSTEM));
    told.extend([first, second, third].map(|id| log(daemon, &sws(id))));
    told.push(data(daemon, "{ graph(view: {kind: SYSTEM}) { digest snapshotId counts { nodes edges attachments } nodes { nodes { id kind data } } } listSws { id state parentSnapshotId } }"));
    told
}

#[test]
fn the_smoke_sequence_runs_against_a_fresh_daemon_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let smoke = Path::new(ROOT).join("examples/graph-smoke/smoke.py");
    let output = Command::new("python3")
        .arg(smoke)
        .args(["--url", &format!("{}/graphql", daemon.url())])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.ends_with("ok\n"), "{said}");
}

#[test]
fn m1_p1_rewrites_are_an_append_only_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let id = create(&daemon);
    let mut before = log(&daemon, &sws(id));
    assert_eq!(before, json!([]));
    for text in ["a", "b", "a", "c"] {
        rewrite(&daemon, id, &json!([add(text)]));
        let after = log(&daemon, &sws(id));
        let (old, new) = (before.as_array().unwrap(), after.as_array().unwrap());
        assert_eq!(new[..old.len()], old[..]);
        assert_eq!(new.len(), old.len() + 1);
        assert_eq!(log(&daemon, &sws(id)), after, "asked twice");
        before = after;
    }
    assert_eq!(places(&before), [0, 1, 2, 3]);
}

#[test]
fn m1_p2_same_script_twice_gives_identical_digests_receipts_and_logs() {
    let folder = tempfile::tempdir().unwrap();
    let once = script(&Daemon::dev(&folder.path().join("one")));
    let again = script(&Daemon::dev(&folder.path().join("two")));
    for (once, again) in once.iter().zip(&again) {
        assert_eq!(once, again);
    }
    assert_eq!(once.len(), again.len());
}

#[test]
fn m1_p3_what_is_written_to_an_sws_is_seen_there_alone() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let before = digest(&daemon, SYSTEM);
    let (one, other) = (create(&daemon), create(&daemon));
    assert_eq!((one, other), (0, 1));
    let receipt = rewrite(&daemon, one, &json!([add("a")]));
    assert_eq!(digest(&daemon, SYSTEM), before);
    assert_eq!(digest(&daemon, &sws(other)), before);
    assert_ne!(digest(&daemon, &sws(one)), before);
    assert_eq!(receipt["viewDigest"], digest(&daemon, &sws(one)).as_str());
    assert_eq!(receipt["view"], "SWS");
    assert_eq!(receipt["swsId"], "0");
}

#[test]
fn m1_p4_what_does_not_exist_says_not_implemented_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let id = create(&daemon);
    let intent = "mutation { submitIntent(input: {intent: {do: \"x\"}}) { taskId } }";
    let op = format!(
        "mutation {{ applyRewrite(view: {}, rewrite: {{ops: [{{op: \"Frobnicate\", data: {{}}}}]}}) {{ accepted }} }}",
        sws(id)
    );
    for query in [intent, &op, intent, &op] {
        assert_eq!(code(&daemon, query), "NOT_IMPLEMENTED");
    }
    assert_eq!(log(&daemon, &sws(id)), json!([]));
}

#[test]
fn m1_p5_digest_list_and_log_can_be_queried() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let made = data(
        &daemon,
        "mutation { createSws(input: {meta: {for: \"m1\"}}) { sws { id state meta } } }",
    );
    assert_eq!(
        made["createSws"]["sws"],
        json!({"id": "0", "state": "ACTIVE", "meta": {"for": "m1"}})
    );
    create(&daemon);
    data(
        &daemon,
        "mutation { discardSws(input: {swsId: \"1\"}) { sws { state } } }",
    );
    let found = data(
        &daemon,
        "{ listSws { id state } active: listSws(state: ACTIVE) { id }
        one: sws(id: 0) { id } kernelInfo { version rulePackId policyId commitStatus } }",
    );
    assert_eq!(
        found["listSws"],
        json!([{"id": "0", "state": "ACTIVE"}, {"id": "1", "state": "DISCARDED"}])
    );
    assert_eq!(found["active"], json!([{"id": "0"}]));
    assert_eq!(found["kernelInfo"]["policyId"], 1);
    assert_eq!(found["kernelInfo"]["commitStatus"], Value::Null);
    assert_eq!(places(&log(&daemon, &sws(1))), [0], "a discard is on the record");
}

#[test]
fn m2_p1_without_a_change_snapshot_id_and_digest_stay() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let id = create(&daemon);
    let read = || {
        data(
            &daemon,
            &format!("{{ graph(view: {}) {{ digest snapshotId }} }}", sws(id)),
        )
    };
    let empty = read();
    assert_eq!(read(), empty);
    add_nodes(&daemon, id, &["a"]);
    let one = read();
    assert_ne!(one, empty);
    add_nodes(&daemon, id, &["a"]);
    assert_eq!(read(), one, "adding what is there changes nothing");
}

#[test]
fn m2_p2_paging_nodes_repeats_and_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let id = create(&daemon);
    let mut ids = add_nodes(&daemon, id, &["a", "b", "c", "d", "e"]);
    ids.sort();
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let query = format!(
            "{{ graph(view: {}, nodesPage: {{first: 1{after}}}) {{ nodes {{ nodes {{ id }} edges {{ cursor }} pageInfo {{ endCursor hasNextPage }} }} }} }}",
            sws(id)
        );
        let page = data(&daemon, &query)["graph"]["nodes"].clone();
        assert_eq!(page["nodes"].as_array().unwrap().len(), 1);
        seen.push(page["nodes"][0]["id"].as_str().unwrap().to_owned());
        assert_eq!(page["edges"][0]["cursor"], page["pageInfo"]["endCursor"]);
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = format!(", after: {}", page["pageInfo"]["endCursor"]);
    }
    assert_eq!(seen, ids);
}

#[test]
fn m2_p5_paging_rewrites_goes_on_by_idx() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let (one, other) = (create(&daemon), create(&daemon));
    for text in ["a", "b", "c", "d"] {
        add_nodes(&daemon, one, &[text]);
        add_nodes(&daemon, other, &[text]);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!(
            "{{ rewrites(view: {}, page: {{first: 3{after}}}) {{ idx viewIdx }} }}",
            sws(one)
        );
        let page = data(&daemon, &query)["rewrites"].clone();
        let Some(last) = page.as_array().unwrap().last() else {
            break;
        };
        after = format!(", after: {}", last["idx"]);
        seen.extend(places(&page));
    }
    assert_eq!(seen, [0, 2, 4, 6]);
    let all = data(
        &daemon,
        &format!(
            "{{ rewritesConnection(view: {}) {{ nodes {{ viewIdx }} pageInfo {{ endCursor hasNextPage }} }} }}",
            sws(one)
        ),
    );
    assert_eq!(
        all["rewritesConnection"]["pageInfo"],
        json!({"endCursor": "6", "hasNextPage": false})
    );
}

#[test]
fn m3_p4_system_changes_only_by_collapse() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let before = digest(&daemon, SYSTEM);
    let id = create(&daemon);
    add_nodes(&daemon, id, &["a"]);
    let direct = "mutation { applyRewrite(view: {kind: SYSTEM}, rewrite: {ops: [{op: \"AddNode\", data: {kind: \"demo\", payload_b64: \"\"}}]}) { accepted } }";
    assert_eq!(code(&daemon, direct), "SYSTEM_READ_ONLY");
    assert_eq!(digest(&daemon, SYSTEM), before);
    let overlay = digest(&daemon, &sws(id));
    let done = collapse(&daemon, id);
    assert_eq!(done["committed"], true, "{done}");
    assert_eq!(done["sws"]["state"], "COLLAPSED");
    assert_eq!(done["receipt"]["before"]["digest"], before.as_str());
    assert_eq!(done["receipt"]["after"]["digest"], overlay.as_str());
    assert_eq!(done["receipt"]["after"]["snapshotId"], done["systemSnapshotId"]);
    assert_eq!(done["receipt"]["counts"]["nodes"]["added"], "1");
    assert_eq!(
        done["receipt"]["events"],
        json!([{"id": "rewrite:1", "kind": "COLLAPSE", "idx": "1"}])
    );
    assert_eq!(digest(&daemon, SYSTEM), overlay);
    assert_eq!(log(&daemon, SYSTEM)[0]["kind"], "COLLAPSE");
    assert_eq!(
        data(&daemon, "{ kernelInfo { commitStatus } }")["kernelInfo"]["commitStatus"],
        "COMMITTED"
    );
}

/// Two working sets that set one key differently; gives what the second collapse says.
fn known_conflict(daemon: &Daemon) -> Value {
    let base = create(daemon);
    let node = add_nodes(daemon, base, &["a"]).remove(0);
    collapse(daemon, base);
    let (one, other) = (create(daemon), create(daemon));
    rewrite(daemon, one, &json!([set(&node, "k", 1)]));
    rewrite(daemon, other, &json!([set(&node, "k", 2)]));
    assert_eq!(collapse(daemon, one)["committed"], true);
    let before = digest(daemon, SYSTEM);
    let refused = collapse(daemon, other);
    assert_eq!(digest(daemon, SYSTEM), before);
    refused
}

#[test]
fn m3_p2_known_conflict_same_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let once = known_conflict(&Daemon::dev(&folder.path().join("one")));
    let again = known_conflict(&Daemon::dev(&folder.path().join("two")));
    assert_eq!(once, again);
    assert_eq!(once["committed"], false);
    assert_eq!(once["systemSnapshotId"], Value::Null);
    assert_eq!(once["sws"]["state"], "ACTIVE", "it can be mended");
    assert_eq!(once["receipt"]["conflictCount"], "1");
    assert_eq!(once["receipt"]["conflicts"][0]["code"], "CONTENT_CONFLICT");
    assert_eq!(once["receipt"]["conflicts"][0]["key"], "k");
    assert_eq!(once["receipt"]["events"][0]["kind"], "COLLAPSE_CONFLICT");
}

#[test]
fn m4_restart_same_digests_logs_and_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let daemon = Daemon::dev(&path);
    script(&daemon);
    let open = create(&daemon);
    add_nodes(&daemon, open, &["x", "y"]);
    let read = |daemon: &Daemon| {
        let views = data(
            daemon,
            &format!("{{ s: graph(view: {{kind: SYSTEM}}) {{ digest snapshotId }} o: graph(view: {}) {{ digest snapshotId nodes {{ nodes {{ id }} }} }}
                listSws {{ id state parentSnapshotId createdAt }} kernelInfo {{ rulePackId nextRewriteIdx }} }}", sws(open)),
        );
        (views, log(daemon, SYSTEM), log(daemon, &sws(open)))
    };
    let before = read(&daemon);
    let (status, said) = daemon.end();
    assert!(status.success(), "{said}");
    let daemon = Daemon::dev(&path);
    assert_eq!(read(&daemon), before, "after an end in order");
    daemon.kill();
    let daemon = Daemon::dev(&path);
    assert_eq!(read(&daemon), before, "after SIGKILL");
    assert_eq!(collapse(&daemon, open)["committed"], true);
    daemon.end();
    common::over(&path, &["replay", "--verify"]).ended(0);
}

#[test]
fn the_schema_is_printed_without_a_daemon() {
    let printed = run(["graphql", "schema"]).ended(0);
    let kept = std::fs::read_to_string(Path::new(ROOT).join("docs/graphql/schema.graphql")).unwrap();
    assert_eq!(printed.out, kept);
    assert_eq!(
        run(["--json", "graphql", "schema"]).ended(0).json()["schema"],
        kept
    );
}

#[test]
fn serve_wants_a_token_and_may_keep_its_schema_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let token = common::over(&path, &["--json", "token", "create", "ci"])
        .ended(0)
        .json();
    let daemon = Daemon::start(&path, &["serve", "--listen", "127.0.0.1:0", "--no-introspection"]);
    let media = ("content-type", "application/json");
    let asked = r#"{"query": "{ kernelInfo { version } }"}"#;
    assert_eq!(http(&daemon.url(), "POST", &[media], asked).0, 401);
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let headers = [media, ("authorization", bearer.as_str())];
    let (status, text) = http(&daemon.url(), "POST", &headers, asked);
    assert_eq!(status, 200);
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let (_, text) = http(
        &daemon.url(),
        "POST",
        &headers,
        r#"{"query": "{ __schema { types { name } } }"}"#,
    );
    assert!(text.contains("introspection is turned off"), "{text}");
    let page = [("accept", "text/html"), ("authorization", bearer.as_str())];
    assert_eq!(
        http(&daemon.url(), "GET", &page, "").0,
        400,
        "the explorer is for `dev`"
    );
}
