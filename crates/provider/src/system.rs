//! `system.*`: the little a caller may know of the machine. Names of the environment that are granted, the time as it
//! is journaled, and what a program needs to choose how to work here. Nothing that tells one machine from another.

use crate::sdk::{Answer, Call, Failure, Provider, parse, to_object};
use actum_model::{ErrorCode, limits};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, json};
use std::collections::BTreeMap;

const KINDS: &[&str] = &["system.env", "system.info", "system.time"];

/// Carries out `system.*`. The environment is taken when it is made, so that one answer does not differ from the next.
#[derive(Clone, Debug)]
pub struct SystemProvider {
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Env {
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl SystemProvider {
    /// One with the environment of this process. What is not UTF-8 is not in it.
    #[must_use]
    pub fn of_process() -> SystemProvider {
        let plain = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        SystemProvider {
            env: std::env::vars_os().filter_map(plain).collect(),
        }
    }

    /// One with this environment.
    #[must_use]
    pub fn with_env(env: BTreeMap<String, String>) -> SystemProvider {
        SystemProvider { env }
    }

    /// Values of granted names. One that is not granted refuses all, so that nobody takes it for one that is not set.
    fn env(&self, call: &Call) -> Answer {
        let asked: Env = parse(&call.kind, &call.arguments)?;
        let limit = limits::SYSTEM_ENV_NAMES_MAX;
        if asked.names.is_empty() || asked.names.len() > limit {
            let message = format!("expected 1 to {limit} names, got {}", asked.names.len());
            return Err(Failure::new(ErrorCode::InvalidInput, message));
        }
        let (mut values, mut unset) = (Map::new(), Vec::new());
        for name in asked.names {
            call.grants.check_env(&name)?;
            match self.env.get(&name) {
                Some(value) if value.len() > limits::SYSTEM_ENV_VALUE_BYTES_MAX => {
                    let (limit, got) = (limits::SYSTEM_ENV_VALUE_BYTES_MAX, value.len());
                    let message = format!("`{name}`: expected a value of at most {limit} bytes, got {got}");
                    return Err(Failure::new(ErrorCode::TooLarge, message));
                }
                Some(value) => {
                    values.insert(name, value.as_str().into());
                }
                None => unset.push(name),
            }
        }
        unset.sort();
        unset.dedup();
        to_object(&json!({"values": values, "unset": unset}))
    }
}

#[async_trait]
impl Provider for SystemProvider {
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    async fn call(&self, call: Call) -> Answer {
        call.stop.check()?;
        if call.kind == "system.env" {
            return self.env(&call);
        }
        let _nothing: Nothing = parse(&call.kind, &call.arguments)?;
        match call.kind.as_str() {
            "system.time" => time(&call),
            "system.info" => info(),
            other => Err(Failure::new(
                ErrorCode::UnknownCommand,
                format!("the system provider does not carry out `{other}`"),
            )),
        }
    }
}

fn time(call: &Call) -> Answer {
    let moment = call.moment;
    let at = actum_model::time::rfc3339(moment.at_ms);
    to_object(&json!({"at": at, "atMs": moment.at_ms, "elapsedMs": moment.elapsed_ms}))
}

fn info() -> Answer {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = rustix::system::sysinfo();
    let unit = u64::from(memory.mem_unit.max(1));
    // Full mebibytes, which many machines share.
    let memory_mib = memory.totalram.saturating_mul(unit) / (1024 * 1024);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    to_object(&json!({"os": os, "arch": arch, "cpus": cpus, "memoryMiB": memory_mib}))
}
