//! What a daemon says when it is ready: where it answers, what is in force, what it found, what to try.

use super::Plan;
use crate::commands::recovery;
use crate::context::Context;
use crate::failure::Failure;
use crate::shape::{self, number, text};
use crate::table;
use actum_daemon::access::{Mode, tokens};
use actum_daemon::core::Core;
use actum_journal::Durability;
use actum_model::worker::Sandbox;
use serde_json::{Value, json};

/// Shows it: on standard output, or on standard error where that belongs to the protocol.
pub(super) fn show(plan: &Plan, core: &Core, url: Option<&str>, context: &Context) -> Result<(), Failure> {
    let found = core.recovery();
    let lines = if context.out.human() {
        human(plan, core, url, &found, context)
    } else {
        vec![machine(plan, core, url, &found).to_string()]
    };
    if plan.stdio {
        lines.iter().for_each(|line| context.out.say(line));
        return Ok(());
    }
    // Who starts a daemon may close its end after the first line; the daemon goes on.
    match lines.iter().try_for_each(|line| context.out.line(line)) {
        Err(Failure::ReaderGone) => Ok(()),
        done => done,
    }
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Dev => "dev",
        Mode::Serve => "serve",
    }
}

fn machine(plan: &Plan, core: &Core, url: Option<&str>, found: &Value) -> Value {
    json!({
        "event": "ready", "mode": name(plan.mode), "url": url, "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"), "realm": core.realm_hex(), "head": core.published().head,
        "data": plan.core.data, "recovery": found,
    })
}

fn human(plan: &Plan, core: &Core, url: Option<&str>, found: &Value, context: &Context) -> Vec<String> {
    let paint = if plan.stdio {
        context.out.paint_err
    } else {
        context.out.paint
    };
    let data = context.data.display();
    let mut pairs = vec![("api", api(plan, url)), ("access", access(plan, context))];
    pairs.push((
        "journal",
        format!(
            "{data}/journal · {} so far",
            shape::count(core.published().head, "record")
        ),
    ));
    pairs.push((
        "durability",
        match plan.core.durability {
            Durability::Strict => "strict: an answer leaves after its records are synced".to_owned(),
            Durability::Batched => format!(
                "batched: answers to reads and in-kernel commands leave before the sync, every {} ms",
                plan.core.sync_interval_ms
            ),
        },
    ));
    pairs.push(("recovery", recovery::sentence(found)));
    pairs.push(("sandbox", sandbox(plan).to_owned()));
    pairs.push(("grants", grants(plan)));
    pairs.push(("try next", next(plan, found, context).join("\n")));
    let mut lines = vec![
        format!(
            "{} {} · {}",
            paint.bold("Actum"),
            env!("CARGO_PKG_VERSION"),
            name(plan.mode)
        ),
        String::new(),
    ];
    let out = crate::print::Out { paint, ..context.out };
    lines.extend(table::pairs(&out, &pairs));
    lines.push(String::new());
    lines
}

fn api(plan: &Plan, url: Option<&str>) -> String {
    match (url, plan.stdio) {
        (Some(url), true) => format!("{url}, and standard input"),
        (Some(url), false) => url.to_owned(),
        (None, _) => "standard input and output".to_owned(),
    }
}

fn access(plan: &Plan, context: &Context) -> String {
    let known = tokens::list(&context.data).map_or(0, |tokens| tokens.len() as u64);
    match (plan.mode, known) {
        (Mode::Dev, 0) => "callers on this machine need no token and are principal `dev`".to_owned(),
        (Mode::Dev, n) => format!(
            "callers on this machine need no token; {} for others",
            shape::count(n, "token")
        ),
        (Mode::Serve, 0) if plan.stdio => "the caller on standard input is principal `stdio`".to_owned(),
        (Mode::Serve, 0) => "every caller needs a token, and there is none: make one as below".to_owned(),
        (Mode::Serve, n) => format!(
            "every caller needs a token; there {} {}",
            if n == 1 { "is" } else { "are" },
            n
        ),
    }
}

fn sandbox(plan: &Plan) -> &'static str {
    match plan.core.config.sandbox {
        Sandbox::Full => "full — programs and sessions see no network and no files but those granted",
        Sandbox::Partial => "partial — as much of the cage as this host has; see `actum doctor`",
        Sandbox::None => "none — programs run with the rights of this daemon, as was asked for",
    }
}

fn grants(plan: &Plan) -> String {
    let grants = &plan.core.grants;
    let mut said: Vec<String> = grants
        .files
        .iter()
        .map(|grant| format!("files {grant}"))
        .collect();
    said.extend(grants.hosts.iter().map(|grant| format!("http {grant}")));
    said.extend(grants.env.iter().map(|name| format!("env {name}")));
    match said.is_empty() {
        true => "no files, no hosts; see --grant-file and --grant-http".to_owned(),
        false => said.join(", "),
    }
}

fn next(plan: &Plan, found: &Value, context: &Context) -> Vec<String> {
    let usual = context.data.as_os_str() == ".actum";
    let me = if usual {
        "actum".to_owned()
    } else {
        format!("actum --data {}", context.data.display())
    };
    let mut next = Vec::new();
    let none = tokens::list(&context.data).is_ok_and(|tokens| tokens.is_empty());
    if plan.mode == Mode::Serve && none && !plan.stdio {
        next.push(format!("export ACTUM_TOKEN=$({me} token create NAME)"));
    }
    let doubts = found
        .get("commands")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for command in doubts
        .iter()
        .filter(|command| text(command, "class") == "in_doubt")
        .take(3)
    {
        next.push(format!("{me} why {}", text(command, "id")));
    }
    next.push(format!("{me} run -- echo hello"));
    if number(found, "term") != Some(1) {
        next.push(format!("{me} history"));
    }
    next.push(format!("{me} events"));
    next
}
