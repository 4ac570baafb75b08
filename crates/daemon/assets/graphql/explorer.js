// The GraphQL explorer of `actum dev`: write a query, run it, read the schema. It loads nothing from elsewhere.
"use strict";

const by = (id) => document.getElementById(id);

const EXAMPLES = [
  ["The kernel", "{\n  kernelInfo { version rulePackId policyId head }\n}", {}],
  ["System", "{\n  graph(view: { kind: SYSTEM }) {\n    digest\n    snapshotId\n    counts { nodes edges attachments }\n    nodes { nodes { id kind data } pageInfo { endCursor hasNextPage } }\n  }\n}", {}],
  ["Create a shadow working set", "mutation {\n  createSws { sws { id parentSnapshotId state } }\n}", {}],
  ["Write to it", "mutation ($view: ViewRefInput!, $rewrite: RewriteInput!) {\n  applyRewrite(view: $view, rewrite: $rewrite) {\n    accepted\n    receipt { rewriteIdx viewDigest snapshotId results { sort id changed } }\n  }\n}",
    { view: { kind: "SWS", swsId: "0" }, rewrite: { ops: [{ op: "AddNode", data: { kind: "demo", payload_b64: "aGVsbG8=" } }] } }],
  ["What it differs in", "query ($id: ID!) {\n  diffSws(swsId: $id) {\n    changes { nodes { change sort id key } }\n  }\n}", { id: "0" }],
  ["Collapse it", "mutation ($id: ID!) {\n  collapseSws(input: { swsId: $id }) {\n    committed\n    systemSnapshotId\n    receipt { conflictCount conflicts { code sort id key } }\n  }\n}", { id: "0" }],
  ["The rewrite log", "{\n  rewrites(view: { kind: SYSTEM }, page: { first: 100 }) { idx kind swsId at digest }\n}", {}],
  ["Follow the rewrite log", "subscription {\n  rewrites(view: { kind: SYSTEM }, fromIdx: 0) { idx kind at digest }\n}", {}],
];

let socket = null;

function show(value) {
  by("answer").textContent = typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function status(text) {
  by("status").textContent = text;
}

function read() {
  const text = by("variables").value.trim();
  return { query: by("query").value, variables: text === "" ? {} : JSON.parse(text) };
}

function stop() {
  if (socket !== null) {
    socket.close(1000);
    socket = null;
  }
  by("stop").hidden = true;
}

function follow(request) {
  const seen = [];
  const here = new WebSocket(location.href.replace(/^http/, "ws"), "graphql-transport-ws");
  socket = here;
  by("stop").hidden = false;
  here.onopen = () => here.send(JSON.stringify({ type: "connection_init" }));
  here.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "connection_ack") {
      here.send(JSON.stringify({ type: "subscribe", id: "1", payload: request }));
      status("following");
    } else if (message.type === "ping") {
      here.send(JSON.stringify({ type: "pong" }));
    } else if (message.type === "next" || message.type === "error") {
      seen.unshift(message.payload);
      seen.length = Math.min(seen.length, 200);
      show(seen);
    }
    if (message.type === "error" || message.type === "complete") {
      status("ended");
      stop();
    }
  };
  here.onclose = (event) => {
    if (here === socket) {
      status("closed: " + event.code + " " + event.reason);
      stop();
    }
  };
}

async function ask(request) {
  const answer = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
    body: JSON.stringify(request),
  });
  return [answer.status, await answer.json()];
}

async function run() {
  stop();
  let request;
  try {
    request = read();
  } catch (error) {
    show("The variables are not JSON: " + error.message);
    return;
  }
  if (/^\s*(#[^\n]*\n\s*)*subscription\b/.test(request.query)) {
    follow(request);
    return;
  }
  status("running");
  const begun = performance.now();
  try {
    const [code, answer] = await ask(request);
    show(answer);
    status(code + " in " + Math.round(performance.now() - begun) + " ms");
  } catch (error) {
    status("");
    show("No answer: " + error.message);
  }
}

const TYPE = "kind name ofType { kind name ofType { kind name ofType { kind name } } }";
const INSIDE = "{ __schema { types { kind name description fields { name description type { " + TYPE +
  " } args { name description type { " + TYPE + " } } } inputFields { name description type { " + TYPE +
  " } } enumValues { name description } } } }";

function written(type) {
  if (type.kind === "NON_NULL") { return written(type.ofType) + "!"; }
  if (type.kind === "LIST") { return "[" + written(type.ofType) + "]"; }
  return type.name;
}

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) { made.className = className; }
  return made;
}

function member(field) {
  const args = (field.args || []).map((arg) => arg.name + ": " + written(arg.type)).join(", ");
  const line = field.name + (args ? "(" + args + ")" : "") + (field.type ? ": " + written(field.type) : "");
  const box = element("div", "", "field");
  box.append(element("code", line), element("p", field.description || "", "about"));
  return box;
}

function draw(types, wanted) {
  const list = by("schema");
  list.replaceChildren();
  for (const type of types) {
    const members = [...(type.fields || []), ...(type.inputFields || []), ...(type.enumValues || [])];
    const named = type.name.toLowerCase().includes(wanted);
    const found = named ? members : members.filter((one) => one.name.toLowerCase().includes(wanted));
    if (!named && found.length === 0) { continue; }
    const box = document.createElement("details");
    box.open = wanted !== "" || type.name === "Query" || type.name === "Mutation";
    box.append(element("summary", type.name), element("p", type.description || "", "about"), ...found.map(member));
    list.append(box);
  }
}

async function schema() {
  const [, answer] = await ask({ query: INSIDE });
  if (!answer.data) {
    by("schema").textContent = answer.errors[0].message;
    return;
  }
  const first = ["Query", "Mutation", "Subscription"];
  const rank = (type) => (first.indexOf(type.name) + 4) % 4 || 4;
  const types = answer.data.__schema.types.filter((type) => !type.name.startsWith("__"));
  types.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  draw(types, "");
  by("search").addEventListener("input", (event) => draw(types, event.target.value.trim().toLowerCase()));
}

function choose() {
  const [, query, variables] = EXAMPLES[Number(by("examples").value)];
  by("query").value = query;
  by("variables").value = JSON.stringify(variables, null, 2);
}

EXAMPLES.forEach(([name], at) => {
  const option = element("option", name);
  option.value = String(at);
  by("examples").append(option);
});
by("examples").addEventListener("change", choose);
by("run").addEventListener("click", run);
by("stop").addEventListener("click", () => { stop(); status("stopped"); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
});
choose();
schema().catch((error) => { by("schema").textContent = "No schema: " + error.message; });
