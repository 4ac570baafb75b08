//! `actum dev` and `actum serve`: the flags of a daemon. What runs is in `run`.

use crate::context::Context;
use crate::failure::{Done, Failure};
use crate::run::{self, Listen, Plan};
use actum_daemon::access::Mode;
use actum_daemon::core::CoreOptions;
use actum_journal::Durability;
use actum_model::timer::ClockPolicy;
use actum_model::worker::Sandbox;
use actum_model::{ErrorCode, RealmConfig, config, limits};
use actum_provider::grants::{FileGrant, HostGrant};
use actum_provider::{BadGrant, Grants};
use clap::{Args as ClapArgs, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const HOUR_MS: u64 = 3_600_000;
/// A burst is what comes in so many seconds, whatever the rate: a fixed one would let a low rate wait for ever.
const BURST_SECONDS: u32 = limits::RATE_BURST / limits::RATE_PER_SECOND;

/// Flags of `dev`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum dev\n  actum dev --listen :0 --data /tmp/try")]
pub(crate) struct DevArgs {
    /// Where to listen, HOST:PORT or :PORT; port 0 takes a free one [default: 127.0.0.1:4040, or a free port]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    shared: Shared,
}

/// Flags of `serve`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum token create ci && actum serve --grant-file /srv/data:rw\n  actum serve --stdio"
)]
pub(crate) struct ServeArgs {
    /// Where to listen, HOST:PORT or :PORT [default: 127.0.0.1:4040, nowhere with --stdio]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Speak the protocol on standard input and output, one JSON object a line
    #[arg(long)]
    stdio: bool,
    #[command(flatten)]
    shared: Shared,
}

#[derive(ClapArgs, Clone, Debug)]
struct Shared {
    /// A further name it answers to, as in a Host header; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// When an answer may leave: after the sync, or after the write
    #[arg(long, value_enum, default_value = "strict")]
    durability: DurabilityArg,
    /// With batched durability: how often it syncs
    #[arg(long, value_name = "MS", default_value_t = 5)]
    sync_interval_ms: u64,
    /// What happens to a command in doubt: its lane holds, or it fails
    #[arg(long, value_enum, default_value = "hold")]
    on_in_doubt: OnInDoubt,
    /// Remove segments of the journal that two snapshots cover
    #[arg(long)]
    compact: bool,
    /// Records between two snapshots; 0 for none
    #[arg(long, value_name = "N", default_value_t = limits::SNAPSHOT_EVERY_RECORDS)]
    snapshot_every: u64,
    /// Size of a segment of the journal
    #[arg(long, value_name = "MIB", default_value_t = limits::SEGMENT_BYTES / MIB,
        value_parser = clap::value_parser!(u64).range(1..=4096))]
    segment_mib: u64,
    /// Submissions per second and caller, twice as many in a burst; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = limits::RATE_PER_SECOND)]
    rate: u32,
    /// The rules of data classes [default: classes.json of the data directory, if there is one]
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// How strong the cage of programs and sessions must be; weaker levels than `full` must be asked for by name
    #[arg(long, value_enum, default_value = "full", help_heading = "Sandbox and grants")]
    sandbox: SandboxArg,
    /// Run programs without any cage: the same as `--sandbox none`
    #[arg(long, conflicts_with = "sandbox", help_heading = "Sandbox and grants")]
    allow_uncaged: bool,
    /// A folder that commands may read, or with `:rw` also write; may be repeated
    #[arg(
        long = "grant-file",
        value_name = "FOLDER[:ro|:rw]",
        help_heading = "Sandbox and grants"
    )]
    grant_files: Vec<String>,
    /// A host that `http.fetch` may call; loopback and private addresses only where they are named; may be repeated
    #[arg(
        long = "grant-http",
        value_name = "[METHOD@]HOST[:PORT]",
        help_heading = "Sandbox and grants"
    )]
    grant_http: Vec<HostGrant>,
    /// A variable of the daemon's environment that `system.env` may tell; may be repeated
    #[arg(long = "grant-env", value_name = "NAME", help_heading = "Sandbox and grants")]
    grant_env: Vec<String>,
    /// A program that `shell.run` may start; with the first one all others are refused; may be repeated
    #[arg(
        long = "grant-program",
        value_name = "PROGRAM",
        help_heading = "Sandbox and grants"
    )]
    grant_programs: Vec<String>,
    /// Do not tell GraphQL clients the schema
    #[arg(long)]
    no_introspection: bool,
    /// How long running commands may take to end when the daemon is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u64,
    /// Make a tick this often by run time, also where nothing is due; 0 for none, else 100 or more
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = cadence_ms, help_heading = "Time")]
    tick_every_ms: u64,
    /// Which clock samples `actum now` rests on
    #[arg(long, value_enum, default_value = "monotonic", help_heading = "Time")]
    clock_policy: ClockPolicyArg,
    /// Full outcomes kept
    #[arg(long, value_name = "N", default_value_t = limits::OUTCOMES_MAX as u64, help_heading = "Retention")]
    keep_outcomes: u64,
    /// Full outcomes kept, by age
    #[arg(long, value_name = "DAYS", default_value_t = limits::OUTCOME_AGE_MS_MAX / (24 * HOUR_MS),
        help_heading = "Retention")]
    keep_outcome_days: u64,
    /// Full outcomes kept, by size
    #[arg(long, value_name = "MIB", default_value_t = limits::OUTCOME_BYTES_MAX / MIB, help_heading = "Retention")]
    keep_outcome_mib: u64,
    /// Tombstones kept of outcomes that were retired
    #[arg(long, value_name = "N", default_value_t = limits::TOMBSTONES_MAX as u64, help_heading = "Retention")]
    keep_tombstones: u64,
    /// How long an idempotency key protects after its command ended
    #[arg(long, value_name = "HOURS", default_value_t = limits::KEY_TTL_MS / HOUR_MS, help_heading = "Retention")]
    keep_key_hours: u64,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum DurabilityArg {
    Strict,
    Batched,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum ClockPolicyArg {
    Monotonic,
    Wall,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum SandboxArg {
    Full,
    Partial,
    None,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum OnInDoubt {
    Hold,
    Fail,
}

pub(crate) fn dev(args: &DevArgs, context: &Context) -> Done {
    let mut core = args.shared.core(context)?;
    if core.grants.files.is_empty() {
        // Who tries Actum in a folder means that folder.
        core.grants.files.push(folder(".:rw")?);
    }
    let listen = args.listen.map_or(Listen::Usual { or_free: true }, Listen::At);
    run::run(&args.shared.plan(Mode::Dev, listen, false, core), context)
}

pub(crate) fn serve(args: &ServeArgs, context: &Context) -> Done {
    let core = args.shared.core(context)?;
    let listen = match args.listen {
        Some(address) => Listen::At(address),
        None if args.stdio => Listen::Nowhere,
        None => Listen::Usual { or_free: false },
    };
    run::run(&args.shared.plan(Mode::Serve, listen, args.stdio, core), context)
}

impl Shared {
    /// What the operator grants.
    fn grants(&self) -> Result<Grants, Failure> {
        let mut grants = Grants::default();
        let bad = |error: BadGrant| Failure::new(ErrorCode::InvalidInput, error.to_string());
        for text in &self.grant_files {
            grants.files.push(folder(text)?);
        }
        grants.hosts.clone_from(&self.grant_http);
        for name in &self.grant_env {
            grants.allow_env(name).map_err(bad)?;
        }
        for program in &self.grant_programs {
            grants.allow_program(program).map_err(bad)?;
        }
        Ok(grants)
    }

    fn sandbox(&self) -> Sandbox {
        match self.sandbox {
            _ if self.allow_uncaged => Sandbox::None,
            SandboxArg::Full => Sandbox::Full,
            SandboxArg::Partial => Sandbox::Partial,
            SandboxArg::None => Sandbox::None,
        }
    }

    fn core(&self, context: &Context) -> Result<CoreOptions, Failure> {
        Ok(CoreOptions {
            grants: self.grants()?,
            config: RealmConfig {
                on_in_doubt: match self.on_in_doubt {
                    OnInDoubt::Hold => config::OnInDoubt::Hold,
                    OnInDoubt::Fail => config::OnInDoubt::Fail,
                },
                outcomes_max: self.keep_outcomes,
                outcome_age_ms_max: self.keep_outcome_days.saturating_mul(24 * HOUR_MS),
                outcome_bytes_max: self.keep_outcome_mib.saturating_mul(MIB),
                tombstones_max: self.keep_tombstones,
                key_ttl_ms: self.keep_key_hours.saturating_mul(HOUR_MS),
                tick_cadence_ms: self.tick_every_ms,
                clock_policy: match self.clock_policy {
                    ClockPolicyArg::Monotonic => ClockPolicy::TrustMonotonicLatest,
                    ClockPolicyArg::Wall => ClockPolicy::TrustWallLatest,
                },
                sandbox: self.sandbox(),
                ..RealmConfig::default()
            },
            durability: match self.durability {
                DurabilityArg::Strict => Durability::Strict,
                DurabilityArg::Batched => Durability::Batched,
            },
            sync_interval_ms: self.sync_interval_ms,
            segment_bytes: self.segment_mib.saturating_mul(MIB),
            snapshot_every_records: self.snapshot_every,
            compact: self.compact,
            rate_per_second: self.rate,
            rate_burst: self.rate.saturating_mul(BURST_SECONDS),
            classes: self.classes.clone(),
            ..CoreOptions::new(&context.data)
        })
    }

    fn plan(&self, mode: Mode, listen: Listen, stdio: bool, core: CoreOptions) -> Plan {
        let drain = Duration::from_secs(self.drain_timeout);
        let core = CoreOptions {
            listens: listen != Listen::Nowhere,
            ..core
        };
        Plan {
            mode,
            listen,
            stdio,
            hosts: self.hosts.clone(),
            introspection: !self.no_introspection,
            drain,
            core,
        }
    }
}

/// Reads a grant of a folder; one that is relative is meant from here.
fn folder(text: &str) -> Result<FileGrant, Failure> {
    let bad = |error: BadGrant| Failure::new(ErrorCode::InvalidInput, format!("--grant-file: {error}"));
    if text.starts_with('/') {
        return text.parse().map_err(bad);
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(ErrorCode::InvalidInput, format!("no current folder ({error})")))?;
    format!("{}/{text}", here.display()).parse().map_err(bad)
}

fn cadence_ms(text: &str) -> Result<u64, String> {
    let shortest = limits::TICK_CADENCE_MS_MIN;
    let cadence = text.parse().ok().filter(|ms| *ms == 0 || *ms >= shortest);
    cadence.ok_or_else(|| format!("expected 0, or milliseconds from {shortest} on"))
}

/// Reads `HOST:PORT`, `:PORT` or `localhost:PORT`. Names other than `localhost` are not looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = match text.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    whole
        .parse()
        .map_err(|_| "expected an address and a port, such as `127.0.0.1:4040` or `:4040`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_short() {
        assert_eq!(address(":0").unwrap(), "127.0.0.1:0".parse().unwrap());
        assert_eq!(address("localhost:80").unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(address("[::1]:80").unwrap(), "[::1]:80".parse().unwrap());
        for bad in ["", "80", "example.org:80", ":x", "127.0.0.1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
