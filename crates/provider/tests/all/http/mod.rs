//! `http.fetch` against real servers on loopback: which hosts are called, what is sent, and what comes back.

mod answers;
mod asking;
mod hops;
mod hosts;
mod secrets;
mod server;
mod tls;

use crate::common;
use actum_provider::http::{HttpOptions, HttpProvider};
use actum_provider::{Answer, Call, Provider};
use serde_json::Value;
use server::Names;
use std::sync::Arc;

/// A provider that resolves these names and no others.
pub(crate) fn provider(names: Arc<Names>) -> HttpProvider {
    HttpProvider::new(HttpOptions {
        resolver: names,
        extra_roots: Vec::new(),
    })
    .unwrap()
}

/// A fetch with these hosts granted.
pub(crate) fn call(arguments: Value, hosts: &[&str]) -> Call {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    common::call("http.fetch", arguments, &common::grants(&[], &hosts))
}

/// Fetches without names.
pub(crate) async fn fetch(arguments: Value, hosts: &[&str]) -> Answer {
    provider(Names::of(&[])).call(call(arguments, hosts)).await
}
