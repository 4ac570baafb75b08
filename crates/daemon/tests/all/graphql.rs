//! `/graphql` over HTTP: what is refused and how, conflicts, paging while others write, repetition, tenants, limits.

use crate::transport_support::{Answer, Daemon, JSON};
use actum_daemon::access::{Mode, tokens};
use actum_daemon::transport::Timings;
use actum_graph::{AttachmentKey, EntryKey, NodeId, ViewProof, verify::Expectation};
use actum_model::Hash;
use serde_json::{Value, json};

/// Asks a daemon; gives the whole answer.
async fn ask(daemon: &Daemon, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables}).to_string();
    let answer = daemon.request("POST", "/graphql", &[JSON], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[track_caller]
fn data(mut answer: Value) -> Value {
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].take()
}

/// The code of the only error, which has a hint.
#[track_caller]
fn code(answer: &Value) -> &str {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(
        errors.iter().all(|error| error["extensions"]["hint"].is_string()),
        "{answer}"
    );
    errors[0]["extensions"]["code"].as_str().unwrap()
}

async fn read(daemon: &Daemon, query: &str) -> Value {
    data(ask(daemon, query, json!({})).await)
}

async fn create(daemon: &Daemon) -> String {
    let made = read(daemon, "mutation { createSws { sws { id } } }").await;
    made["createSws"]["sws"]["id"].as_str().unwrap().to_owned()
}

const APPLY: &str = "mutation($view: ViewRefInput!, $ops: [JSON!]!, $key: String) {
    applyRewrite(view: $view, rewrite: {ops: $ops}, idempotencyKey: $key) {
        accepted replayed command { id recordIdx relaxed }
        receipt { rewriteIdx viewDigest snapshotId results { id changed version } } } }";

async fn apply(daemon: &Daemon, id: &str, ops: Value) -> Value {
    let variables = json!({"view": {"kind": "SWS", "swsId": id}, "ops": ops});
    ask(daemon, APPLY, variables).await
}

/// Carries out operations; gives the ids of what they are about.
async fn applied(daemon: &Daemon, id: &str, ops: Value) -> Vec<String> {
    let done = data(apply(daemon, id, ops).await);
    let results = done["applyRewrite"]["receipt"]["results"]
        .as_array()
        .unwrap()
        .clone();
    results
        .iter()
        .map(|result| result["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A node whose payload is the three bytes of four base64 digits.
fn add(digits: &str) -> Value {
    json!({"op": "AddNode", "data": {"kind": "demo", "payload_b64": digits}})
}

fn numbered(n: usize) -> Value {
    add(&format!("{n:04}"))
}

fn set(target: &str, value: u64) -> Value {
    json!({"op": "SetAttachment", "data": {"target": target, "key": "k", "value": value}})
}

async fn collapse(daemon: &Daemon, id: &str) -> Value {
    let query = "mutation($id: ID!) { collapseSws(input: {swsId: $id}) { committed replayed
        receipt { conflictCount conflicts { code sort id key } } } }";
    data(ask(daemon, query, json!({"id": id})).await)["collapseSws"].clone()
}

/// System with what these operations make of a new working set. Gives the ids.
async fn settle(daemon: &Daemon, ops: Value) -> Vec<String> {
    let id = create(daemon).await;
    let ids = applied(daemon, &id, ops).await;
    assert_eq!(collapse(daemon, &id).await["committed"], true);
    ids
}

async fn digests(daemon: &Daemon) -> Value {
    let all = "{ s: graph(view: {kind: SYSTEM}) { digest } listSws { id state digest } kernelInfo { nextRewriteIdx } }";
    read(daemon, all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_has_its_code_and_changes_nothing() {
    let daemon = Daemon::dev().await;
    let open = create(&daemon).await;
    applied(&daemon, &open, json!([add("AAAA"), add("BBBB")])).await;
    let closed = create(&daemon).await;
    read(
        &daemon,
        "mutation { discardSws(input: {swsId: \"1\"}) { replayed } }",
    )
    .await;
    let before = digests(&daemon).await;
    let op = |op: &str, data: Value| json!([{"op": op, "data": data}]);
    let none = "0".repeat(64);
    let rewrites = [
        ("INVALID_INPUT", json!([])),
        ("INVALID_INPUT", Value::from(vec![add("AAAA"); 257])),
        ("NOT_IMPLEMENTED", op("Frobnicate", json!({}))),
        (
            "INVALID_INPUT",
            op(
                "AddNode",
                json!({"kind": "demo", "payload_b64": "AAAA", "more": 1}),
            ),
        ),
        (
            "INVALID_INPUT",
            json!([{"op": "AddNode", "data": {"kind": "demo", "payload_b64": "AAAA"}, "more": 1}]),
        ),
        (
            "INVALID_INPUT",
            op("AddNode", json!({"kind": "demo", "payload_b64": "!"})),
        ),
        (
            "INVALID_INPUT",
            op("AddNode", json!({"kind": "de mo", "payload_b64": ""})),
        ),
        (
            "INVALID_INPUT",
            op("AddNode", json!({"kind": "", "payload_b64": ""})),
        ),
        ("INVALID_INPUT", op("AddNode", json!({"payload_b64": ""}))),
        ("INVALID_INPUT", json!(["AddNode"])),
        (
            "MISSING_ENDPOINT",
            op("AddEdge", json!({"from": none, "to": none, "kind": "e"})),
        ),
        ("NOT_FOUND", op("RemoveNode", json!({"id": none}))),
        (
            "MISSING_ENDPOINT",
            op("SetAttachment", json!({"target": none, "key": "k", "value": 1})),
        ),
    ];
    for (expected, ops) in rewrites {
        let answer = apply(&daemon, &open, ops.clone()).await;
        assert_eq!(code(&answer), expected, "{ops}: {answer}");
    }
    let add_one = "rewrite: {ops: [{op: \"AddNode\", data: {kind: \"demo\", payload_b64: \"CCCC\"}}]}";
    let closed_view = format!("{{kind: SWS, swsId: \"{closed}\"}}");
    let queries = [
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM, swsId: \"0\"}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SWS}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SWS, swsId: \"x\"}) { digest } }".to_owned(),
        ),
        (
            "NOT_FOUND",
            "{ graph(view: {kind: SWS, swsId: \"9\"}) { digest } }".to_owned(),
        ),
        (
            "SWS_NOT_ACTIVE",
            format!("{{ graph(view: {closed_view}) {{ digest }} }}"),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM, snapshotId: \"x\"}) { digest } }".to_owned(),
        ),
        (
            "NOT_FOUND",
            "{ graph(view: {kind: SYSTEM, snapshotId: \"0-0000000000000000\"}) { digest } }".to_owned(),
        ),
        (
            "NOT_FOUND",
            "{ graph(view: {kind: SYSTEM, snapshotId: \"7-0000000000000000\"}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}, nodesPage: {first: 0}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}, nodesPage: {first: 1001}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}, nodesPage: {first: -1}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}, nodesPage: {after: \"x\"}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}, nodeFilter: {kinds: [\"a b\"]}) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}, more: 1) { digest } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ node(view: {kind: SYSTEM}, id: \"AB\") { id } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ rewrites(view: {kind: SYSTEM}, page: {after: \"-1\"}) { idx } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "{ rewrites(view: {kind: SYSTEM, snapshotId: \"0-0000000000000000\"}) { idx } }".to_owned(),
        ),
        ("NOT_FOUND", "{ sws(id: 9) { id } }".to_owned()),
        ("INVALID_INPUT", "{ receipt { commandId } }".to_owned()),
        (
            "INVALID_INPUT",
            "{ proof(view: {kind: SYSTEM}, id: \"x\") { digest } }".to_owned(),
        ),
        ("INVALID_INPUT", "{ frobnicate }".to_owned()),
        (
            "INVALID_INPUT",
            "{ graph(view: {kind: SYSTEM}) { digest }".to_owned(),
        ),
        (
            "SYSTEM_READ_ONLY",
            format!("mutation {{ applyRewrite(view: {{kind: SYSTEM}}, {add_one}) {{ accepted }} }}"),
        ),
        (
            "SWS_NOT_ACTIVE",
            format!("mutation {{ applyRewrite(view: {closed_view}, {add_one}) {{ accepted }} }}"),
        ),
        (
            "NOT_FOUND",
            format!("mutation {{ applyRewrite(view: {{kind: SWS, swsId: 9}}, {add_one}) {{ accepted }} }}"),
        ),
        (
            "INVALID_INPUT",
            format!(
                "mutation {{ applyRewrite(view: {{kind: SWS, swsId: 0, snapshotId: \"0-0000000000000000\"}}, {add_one}) {{ accepted }} }}"
            ),
        ),
        (
            "SWS_NOT_ACTIVE",
            "mutation { collapseSws(input: {swsId: 1}) { committed } }".to_owned(),
        ),
        (
            "NOT_FOUND",
            "mutation { collapseSws(input: {swsId: 9}) { committed } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "mutation { collapseSws(input: {swsId: 0, policyId: 2}) { committed } }".to_owned(),
        ),
        (
            "SWS_NOT_ACTIVE",
            "mutation { discardSws(input: {swsId: 1}) { replayed } }".to_owned(),
        ),
        (
            "SWS_NOT_ACTIVE",
            "mutation { rebaseSws(input: {swsId: 1}) { replayed } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "mutation { createSws(id: \"\") { replayed } }".to_owned(),
        ),
        (
            "NOT_IMPLEMENTED",
            "mutation { submitIntent(input: {intent: 1}) { taskId } }".to_owned(),
        ),
        (
            "INVALID_INPUT",
            "subscription { rewrites(view: {kind: SYSTEM}) { idx } }".to_owned(),
        ),
    ];
    for (expected, query) in queries {
        let answer = ask(&daemon, &query, json!({})).await;
        assert_eq!(code(&answer), expected, "{query}: {answer}");
    }
    assert_eq!(digests(&daemon).await, before);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_kinds_of_conflict_are_told_apart() {
    let daemon = Daemon::dev().await;
    let ids = settle(&daemon, json!([add("AAAA"), add("BBBB"), add("CCCC")])).await;
    settle(&daemon, json!([set(&ids[0], 1), set(&ids[1], 1)])).await;
    let ours = create(&daemon).await;
    let edge = json!({"op": "AddEdge", "data": {"from": ids[0], "to": ids[2], "kind": "e"}});
    applied(&daemon, &ours, json!([set(&ids[0], 2), set(&ids[1], 2), edge])).await;
    let clear = json!({"op": "ClearAttachment", "data": {"target": ids[1], "key": "k"}});
    let remove = json!({"op": "RemoveNode", "data": {"id": ids[2]}});
    settle(&daemon, json!([set(&ids[0], 3), clear, remove])).await;
    let refused = collapse(&daemon, &ours).await;
    assert_eq!(refused["committed"], false);
    let listed = refused["receipt"]["conflicts"].as_array().unwrap();
    let mut codes: Vec<&str> = listed
        .iter()
        .map(|conflict| conflict["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        ["CONTENT_CONFLICT", "DELETED_IN_SYSTEM", "MISSING_ENDPOINT"],
        "{refused}"
    );
    assert_eq!(refused["receipt"]["conflictCount"], "3");
    let rebase = format!("mutation {{ rebaseSws(input: {{swsId: {ours}}}) {{ replayed }} }}");
    let rebased = ask(&daemon, &rebase, json!({})).await;
    assert_eq!(code(&rebased), "COLLAPSE_CONFLICT");
    assert_eq!(
        rebased["errors"][0]["extensions"]["details"]["conflictCount"], 3,
        "{rebased}"
    );
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_working_sets_with_different_keys_both_collapse_without_a_rebase() {
    let daemon = Daemon::dev().await;
    let (one, other) = (create(&daemon).await, create(&daemon).await);
    applied(&daemon, &one, json!([add("AAAA")])).await;
    applied(&daemon, &other, json!([add("BBBB")])).await;
    assert_eq!(collapse(&daemon, &one).await["committed"], true);
    assert_eq!(collapse(&daemon, &other).await["committed"], true);
    let found = read(
        &daemon,
        "{ graph(view: {kind: SYSTEM}) { counts { nodes } snapshotId } }",
    )
    .await;
    assert_eq!(found["graph"]["counts"]["nodes"], 2);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebase_moves_a_working_set_and_a_diff_pages_its_changes() {
    let daemon = Daemon::dev().await;
    let ours = create(&daemon).await;
    applied(
        &daemon,
        &ours,
        Value::from((0..5).map(numbered).collect::<Vec<_>>()),
    )
    .await;
    settle(&daemon, json!([add("BBBB")])).await;
    let rebase = "mutation { rebaseSws(input: {swsId: 0}) { sws { parentSnapshotId } receipt { base { snapshotId } } } }";
    let moved = read(&daemon, rebase).await["rebaseSws"].clone();
    assert_eq!(
        moved["sws"]["parentSnapshotId"],
        moved["receipt"]["base"]["snapshotId"]
    );
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let query = "query($after: String) { diffSws(swsId: 0) { base { snapshotId } changes(page: {first: 2, after: $after}) {
            nodes { change sort id before { __typename } after { ... on GraphNode { id kind } } } pageInfo { endCursor hasNextPage } } } }";
        let page = data(ask(&daemon, query, json!({"after": after})).await)["diffSws"]["changes"].clone();
        for change in page["nodes"].as_array().unwrap() {
            assert_eq!(
                (&change["change"], &change["sort"]),
                (&json!("ADDED"), &json!("NODE"))
            );
            assert_eq!(change["after"]["id"], change["id"]);
            seen.push(change["id"].as_str().unwrap().to_owned());
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), &sorted), (5, &seen));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_neither_repeats_nor_misses_while_another_client_writes() {
    let daemon = Daemon::dev().await;
    let id = create(&daemon).await;
    let mut expected = applied(
        &daemon,
        &id,
        Value::from((0..60).map(numbered).collect::<Vec<_>>()),
    )
    .await;
    expected.sort();
    let view = json!({"kind": "SWS", "swsId": id});
    let given = data(
        ask(
            &daemon,
            "query($v: ViewRefInput!) { graph(view: $v) { snapshotId } }",
            json!({"v": view}),
        )
        .await,
    );
    let snapshot = given["graph"]["snapshotId"].clone();
    let query = "query($id: ID!, $s: ID, $after: String) {
        graph(view: {kind: SWS, swsId: $id, snapshotId: $s}, nodesPage: {first: 7, after: $after}) {
            snapshotId nodes { nodes { id } pageInfo { endCursor hasNextPage } } } }";
    let (mut seen, mut after, mut written) = (Vec::new(), Value::Null, 100);
    loop {
        let page = data(ask(&daemon, query, json!({"id": id, "s": snapshot, "after": after})).await)["graph"]
            .clone();
        assert_eq!(page["snapshotId"], snapshot);
        let nodes = page["nodes"]["nodes"].as_array().unwrap().clone();
        seen.extend(nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()));
        after = page["nodes"]["pageInfo"]["endCursor"].clone();
        if page["nodes"]["pageInfo"]["hasNextPage"] == false {
            break;
        }
        // More versions between two pages than the kernel keeps at all.
        for _ in 0..70 {
            written += 1;
            applied(&daemon, &id, json!([numbered(written)])).await;
        }
    }
    assert_eq!(seen, expected);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_nobody_was_given_expires_and_one_that_was_outlives_its_working_set() {
    let daemon = Daemon::dev().await;
    let id = create(&daemon).await;
    let done = data(apply(&daemon, &id, json!([numbered(0)])).await);
    let unread = done["applyRewrite"]["receipt"]["snapshotId"].clone();
    for n in 1..=70 {
        applied(&daemon, &id, json!([numbered(n)])).await;
    }
    let at = "query($s: ID) { graph(view: {kind: SWS, swsId: 0, snapshotId: $s}) { snapshotId counts { nodes } } }";
    let expired = ask(&daemon, at, json!({"s": unread})).await;
    assert_eq!(code(&expired), "SNAPSHOT_EXPIRED");
    let given = data(ask(&daemon, at, json!({})).await);
    let snapshot = given["graph"]["snapshotId"].clone();
    read(&daemon, "mutation { discardSws(input: {swsId: 0}) { replayed } }").await;
    assert_eq!(code(&ask(&daemon, at, json!({})).await), "SWS_NOT_ACTIVE");
    assert_eq!(data(ask(&daemon, at, json!({"s": snapshot})).await), given);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_sent_again_gives_the_same_receipt_and_is_not_done_again() {
    let daemon = Daemon::dev().await;
    let id = create(&daemon).await;
    let variables = json!({"view": {"kind": "SWS", "swsId": id}, "ops": [add("AAAA")], "key": "k-1"});
    let once = data(ask(&daemon, APPLY, variables.clone()).await)["applyRewrite"].clone();
    let mut again = data(ask(&daemon, APPLY, variables.clone()).await)["applyRewrite"].clone();
    assert_eq!(
        (&once["replayed"], &again["replayed"]),
        (&json!(false), &json!(true))
    );
    again["replayed"] = false.into();
    assert_eq!(once, again);
    let other = json!({"view": {"kind": "SWS", "swsId": id}, "ops": [add("BBBB")], "key": "k-1"});
    assert_eq!(code(&ask(&daemon, APPLY, other).await), "IDENTITY_CONFLICT");
    let create = "mutation { createSws(id: \"make-1\", correlationId: \"job\") { replayed sws { id } command { id } } }";
    let (first, second) = (read(&daemon, create).await, read(&daemon, create).await);
    assert_eq!(first["createSws"]["sws"], second["createSws"]["sws"]);
    assert_eq!(first["createSws"]["command"]["id"], "make-1");
    assert_eq!(second["createSws"]["replayed"], true);
    let found = read(
        &daemon,
        "{ rewrites(view: {kind: SWS, swsId: 0}) { idx receipt { commandId outcome receipt { viewDigest } } }
        receipt(commandId: \"make-1\") { command outcome tickReceipt { events { id kind } } }
        history(filter: {correlationId: \"job\"}) { nodes { id command outcome } } }",
    )
    .await;
    assert_eq!(found["rewrites"].as_array().unwrap().len(), 1);
    assert_eq!(
        found["rewrites"][0]["receipt"]["receipt"]["viewDigest"],
        once["receipt"]["viewDigest"]
    );
    assert_eq!(
        found["receipt"]["tickReceipt"]["events"],
        json!([{"id": "sws:1", "kind": "SWS_CREATED"}])
    );
    assert_eq!(
        found["history"]["nodes"],
        json!([{"id": "make-1", "command": "sws.create", "outcome": "succeeded"}])
    );
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_tenant_is_seen() {
    let daemon = Daemon::start(Mode::Dev, Timings::default()).await;
    let made = tokens::create(daemon.data.path(), "theirs", "acme").unwrap();
    let bearer = format!("Bearer {}", made.token);
    let theirs = async |query: &str| -> Value {
        let headers = [JSON, ("authorization", bearer.as_str())];
        let answer = daemon
            .request("POST", "/graphql", &headers, json!({"query": query}).to_string())
            .await;
        answer.json()
    };
    let id = create(&daemon).await;
    applied(&daemon, &id, json!([add("AAAA")])).await;
    read(
        &daemon,
        "mutation { collapseSws(input: {swsId: 0, meta: {mine: 1}}) { committed } }",
    )
    .await;
    create(&daemon).await;
    assert_eq!(data(theirs("{ listSws { id } }").await)["listSws"], json!([]));
    for query in [
        "{ sws(id: 1) { id } }",
        "{ graph(view: {kind: SWS, swsId: 1}) { digest } }",
        "{ rewrites(view: {kind: SWS, swsId: 0}) { idx } }",
        "{ diffSws(swsId: 1) { swsId } }",
        "mutation { discardSws(input: {swsId: 1}) { replayed } }",
    ] {
        assert_eq!(code(&theirs(query).await), "NOT_FOUND", "{query}");
    }
    let log = "{ rewrites(view: {kind: SYSTEM}) { idx kind swsId meta receipt { commandId } } receipt(rewriteIdx: 0) { commandId } }";
    let seen = data(theirs(log).await);
    let hidden = json!({"idx": "1", "kind": "COLLAPSE", "swsId": null, "meta": null, "receipt": null});
    assert_eq!(seen, json!({"rewrites": [hidden], "receipt": null}));
    let own = data(theirs("mutation { createSws { sws { id } } }").await);
    assert_eq!(own["createSws"]["sws"]["id"], "2", "numbers are the realm's");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_edges_attachments_neighbours_and_proofs_are_read() {
    let daemon = Daemon::dev().await;
    let ids = settle(&daemon, json!([add("AAAA"), add("BBBB"), add("CCCC")])).await;
    let edge = |to: &str| json!({"op": "AddEdge", "data": {"from": ids[0], "to": to, "kind": "next", "payload_b64": "AAAA"}});
    let made = settle(&daemon, json!([edge(&ids[1]), edge(&ids[2]), set(&ids[0], 7)])).await;
    let query = "query($id: Hash!, $edge: Hash!, $none: Hash!) {
        node(view: {kind: SYSTEM}, id: $id) { kind payloadB64 payloadBytes createdAt
            attachments { nodes { key value version } } neighbors(direction: OUTGOING, page: {first: 1}) { nodes { node { id } } pageInfo { hasNextPage } } }
        none: node(view: {kind: SYSTEM}, id: $none) { id }
        edge(view: {kind: SYSTEM}, id: $edge) { kind data source { id } target { kind } }
        neighbors(view: {kind: SYSTEM}, id: $id, kinds: [\"next\"]) { nodes { edge { from } } }
        incoming: neighbors(view: {kind: SYSTEM}, id: $id, direction: INCOMING) { nodes { edge { id } } }
        attachments(view: {kind: SYSTEM}, target: $id) { nodes { target value } }
        graph(view: {kind: SYSTEM}, edgeFilter: {from: $id}, nodeFilter: {hasKeys: [\"k\"]}) { digest edges { nodes { id } } nodes { nodes { id } } }
        there: proof(view: {kind: SYSTEM}, id: $id) { present sort valueHash digest proof }
        absent: proof(view: {kind: SYSTEM}, id: $none) { present valueHash digest proof }
        under: proof(view: {kind: SYSTEM}, id: $id, key: \"k\") { present sort valueHash proof } }";
    let none = "0".repeat(64);
    let found = data(
        ask(
            &daemon,
            query,
            json!({"id": ids[0], "edge": made[0], "none": none}),
        )
        .await,
    );
    assert_eq!(found["node"]["payloadB64"], "AAAA");
    assert_eq!(
        found["node"]["attachments"]["nodes"],
        json!([{"key": "k", "value": 7, "version": "1"}])
    );
    assert_eq!(found["node"]["neighbors"]["pageInfo"]["hasNextPage"], true);
    assert_eq!(found["none"], Value::Null);
    assert_eq!(found["edge"]["source"]["id"], ids[0].as_str());
    assert_eq!(found["edge"]["data"], json!({"payload_b64": "AAAA"}));
    assert_eq!(found["neighbors"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(found["incoming"]["nodes"], json!([]));
    assert_eq!(found["graph"]["edges"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(found["graph"]["nodes"]["nodes"], json!([{"id": ids[0]}]));
    assert_eq!(found["there"]["valueHash"], ids[0].as_str());
    assert_eq!(found["there"]["digest"], found["graph"]["digest"]);
    assert_eq!(found["absent"]["present"], false);
    assert_eq!(found["under"]["sort"], "ATTACHMENT");
    let digest: Hash = found["there"]["digest"].as_str().unwrap().parse().unwrap();
    let hash: Hash = ids[0].parse().unwrap();
    let under = AttachmentKey::parse("k").unwrap();
    let value = found["under"]["valueHash"].as_str().unwrap().parse().unwrap();
    for (name, key, expected) in [
        ("there", EntryKey::Node(NodeId(hash)), Expectation::Present(hash)),
        ("absent", EntryKey::Node(NodeId(Hash::ZERO)), Expectation::Absent),
        (
            "under",
            EntryKey::Attachment(NodeId(hash).into(), under),
            Expectation::Present(value),
        ),
    ] {
        let proof: ViewProof = serde_json::from_value(found[name]["proof"].clone()).unwrap();
        actum_graph::verify(&digest, &key, expected, &proof).unwrap();
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_asks_for_too_much_is_refused_before_it_is_carried_out() {
    let daemon = Daemon::dev().await;
    let mut deep = "{ id }".to_owned();
    for _ in 0..10 {
        deep = format!("{{ neighbors(page: {{first: 1}}) {{ nodes {{ node {deep} }} }} }}");
    }
    let zeros = "0".repeat(64);
    let nested = "[".repeat(100_000);
    for query in [
        format!("{{ node(view: {{kind: SYSTEM}}, id: \"{zeros}\") {deep} }}"),
        "{ graph(view: {kind: SYSTEM}, nodesPage: {first: 1000}) { nodes { nodes { neighbors(page: {first: 1000}) { nodes { node { id } } } } } } }".to_owned(),
        format!("{{ {} }}", "a: kernelInfo { version } ".repeat(6000)),
        format!("{{ a(b: {nested}"),
        "{ ...a } fragment a on Query { ...b ...b } fragment b on Query { ...a }".to_owned(),
    ] {
        let answer = ask(&daemon, &query, json!({})).await;
        assert_eq!(code(&answer), "INVALID_INPUT", "{answer}");
    }
    assert!(
        read(&daemon, "{ kernelInfo { version } }").await.is_object(),
        "it lives on"
    );
    daemon.finish().await;
}

const RESPONSE: (&str, &str) = ("accept", "application/graphql-response+json");

#[tokio::test(flavor = "multi_thread")]
async fn graphql_over_http_keeps_to_its_specification() {
    let daemon = Daemon::dev().await;
    let post = async |headers: &[(&str, &str)], body: &str| -> Answer {
        daemon.request("POST", "/graphql", headers, body.to_owned()).await
    };
    let good = r#"{"query": "query Q($n: Int) { listSws(page: {first: $n}) { id } }", "operationName": "Q", "variables": {"n": 1}, "extensions": {}, "more": 1}"#;
    let answer = post(&[JSON], good).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json; charset=utf-8")
    );
    let answer = post(&[JSON, RESPONSE], good).await;
    assert_eq!(
        answer.header("content-type"),
        "application/graphql-response+json; charset=utf-8"
    );
    let wrong = r#"{"query": "{ frobnicate }"}"#;
    assert_eq!(post(&[JSON], wrong).await.status, 200);
    assert_eq!(post(&[JSON, RESPONSE], wrong).await.status, 400);
    assert!(
        post(&[JSON], wrong).await.json().get("data").is_none(),
        "nothing was carried out"
    );
    let missing = r#"{"query": "{ sws(id: 9) { id } }"}"#;
    assert_eq!(
        post(&[JSON, RESPONSE], missing).await.status,
        200,
        "it was carried out"
    );
    for bad in [
        "",
        "x",
        "1",
        "{}",
        r#"{"query": 1}"#,
        r#"{"query": "{a}", "variables": []}"#,
        "[]",
        "[1]",
        r#"{"query": "{a}", "query": "{b}"}"#,
    ] {
        let answer = post(&[JSON], bad).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(
            ["INVALID_INPUT", "INVALID_JSON"].contains(&code(&answer.json())),
            "{bad}"
        );
    }
    assert_eq!(post(&[("content-type", "text/plain")], good).await.status, 415);
    assert_eq!(post(&[], good).await.status, 415);
    let long = format!(
        r#"{{"query": "{{ a }}", "variables": {{"x": "{}"}}}}"#,
        "x".repeat(11 << 20)
    );
    assert_eq!(post(&[JSON], &long).await.status, 413);

    let get = async |query: &str, headers: &[(&str, &str)]| -> Answer {
        daemon
            .request("GET", &format!("/graphql?{query}"), headers, "")
            .await
    };
    assert_eq!(get("query=%7BkernelInfo%7Bversion%7D%7D", &[]).await.status, 200);
    assert_eq!(
        get(
            "query=query(%24i:ID!)%7Bsws(id:%24i)%7Bid%7D%7D&variables=%7B%22i%22:%229%22%7D",
            &[]
        )
        .await
        .status,
        200
    );
    let change = get("query=mutation%7BcreateSws%7Bsws%7Bid%7D%7D%7D", &[]).await;
    assert_eq!((change.status, change.header("allow")), (405, "POST"));
    assert_eq!(
        read(&daemon, "{ listSws { id } }").await["listSws"],
        json!([]),
        "nothing was done"
    );
    assert_eq!(get("variables=x", &[]).await.status, 400);
    assert_eq!(get("query=%7Ba%7D&query=%7Bb%7D", &[]).await.status, 400);
    assert_eq!(
        daemon
            .request("PUT", "/graphql", &[JSON], good.to_owned())
            .await
            .status,
        405
    );

    let batch = format!("[{good}, {wrong}]");
    let answers = post(&[JSON], &batch).await.json();
    assert!(
        answers[0]["data"].is_object() && answers[1]["errors"].is_array(),
        "{answers}"
    );
    let long = format!("[{}]", [good; 11].join(","));
    assert_eq!(post(&[JSON], &long).await.status, 400);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_explorer_comes_to_browsers_and_loads_nothing_from_elsewhere() {
    let daemon = Daemon::dev().await;
    let page = daemon
        .request("GET", "/graphql", &[("accept", "text/html,*/*;q=0.8")], "")
        .await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for part in page.text.split('"').filter(|part| part.starts_with("/graphql/")) {
        let loaded = daemon.get(part).await;
        assert_eq!(loaded.status, 200, "{part}");
        assert_eq!(loaded.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(daemon.get("/graphql").await.status, 400, "no browser, no query");
    daemon.finish().await;
    let daemon = Daemon::start(Mode::Serve, Timings::default()).await;
    let page = daemon
        .request("GET", "/graphql", &[("accept", "text/html")], "")
        .await;
    assert_eq!(page.code(), "UNAUTHENTICATED");
    assert_eq!(daemon.get("/graphql/explorer.js").await.code(), "UNAUTHENTICATED");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_of_every_route_stands_here_too() {
    let daemon = Daemon::dev().await;
    let body = r#"{"query": "{ kernelInfo { version } }"}"#;
    for foreign in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = daemon.request("POST", "/graphql", &[JSON, foreign], body).await;
        assert_eq!(answer.code(), "ORIGIN_REFUSED");
    }
    let wrong = ("authorization", "Bearer wrong");
    assert_eq!(
        daemon
            .request("POST", "/graphql", &[JSON, wrong], body)
            .await
            .code(),
        "UNAUTHENTICATED"
    );
    daemon.finish().await;
}
