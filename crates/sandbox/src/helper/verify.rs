//! Looks at each layer from inside the finished cage. Nothing is taken from what was asked for.

use super::outer::{Ground, NAMESPACES, namespace_id};
use crate::fence::CANARY;
use crate::layer::{Enforced, Layer, LayerState};
use crate::refusal::Refusal;
use crate::sys;
use rustix::thread::SecureComputingMode;
use std::fs;
use std::io;

/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// Namespaces, compared with the host's. To be called while a `/proc` is in view for certain.
pub(super) fn namespaces(ground: &Ground) -> Vec<LayerState> {
    let look = |(name, layer): &(&str, Layer)| {
        let (host, here) = (
            ground.host.get(name).map_or("", String::as_str),
            namespace_id(name),
        );
        let differs = !host.is_empty() && !here.is_empty() && host != here;
        state(*layer, differs, if differs { "" } else { "it is the host's" })
    };
    NAMESPACES.iter().map(look).collect()
}

/// What is left of a build: what could not be put in force, and was tolerated.
pub(super) struct Attempts {
    pub(super) proc: Result<(), String>,
    pub(super) landlock: Result<u32, String>,
    /// Capabilities a zygote keeps; a program keeps none.
    pub(super) keeps: &'static [u32],
}

/// Everything else.
pub(super) fn look(ground: &Ground, attempts: &Attempts) -> Vec<LayerState> {
    let proc = fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == "1");
    let proc_why = attempts
        .proc
        .as_ref()
        .err()
        .map_or("it tells of other processes", String::as_str);
    let fenced = fs::File::open(CANARY).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    let landlock = match &attempts.landlock {
        Ok(version) => format!("version {version}"),
        Err(reason) => reason.clone(),
    };
    let group = match &ground.group {
        Ok(group) => group.kind.to_owned(),
        Err(reason) => reason.clone(),
    };
    let filtered = rustix::thread::secure_computing_mode() == Ok(SecureComputingMode::Filter)
        && sys::request_key().raw_os_error() == Some(libc::EPERM);
    let mut states = vec![
        state(Layer::PivotRoot, is_own_root(), "the root is not the cage's own"),
        state(Layer::Proc, proc, if proc { "" } else { proc_why }),
        state(Layer::Seccomp, filtered, "no filter answers"),
        state(Layer::Landlock, fenced, &landlock),
        state(
            Layer::NoNewPrivs,
            rustix::thread::no_new_privs() == Ok(true),
            "not set",
        ),
        state(Layer::Capabilities, is_powerless(attempts.keeps), "some are left"),
        // The program itself sets and looks at its limits, and is not executed without.
        state(Layer::Rlimits, true, ""),
        state(Layer::Cgroup, ground.group.is_ok(), &group),
    ];
    for state in &mut states {
        let says_why = !matches!(state.layer, Layer::Landlock | Layer::Cgroup);
        if state.in_force && says_why {
            state.detail.clear();
        }
    }
    states
}

/// Compares what was found with what is asked for.
pub(super) fn judge(ground: &Ground, states: Vec<LayerState>) -> Result<Enforced, Refusal> {
    let enforced = Enforced::of(states);
    if enforced.level.satisfies(&ground.plan.spec.require) {
        return Ok(enforced);
    }
    let allowed = ground.plan.spec.require.missing();
    let missing = enforced
        .level
        .missing()
        .into_iter()
        .find(|layer| !allowed.contains(layer));
    let layer = missing.unwrap_or(Layer::UserNamespace);
    let why = enforced.state(layer).map_or("", |state| &state.detail);
    Err(Refusal::missing(layer, format!("not in force: {why}")))
}

fn state(layer: Layer, in_force: bool, detail: &str) -> LayerState {
    LayerState {
        layer,
        in_force,
        detail: detail.to_owned(),
    }
}

/// A file system in memory that cannot be written, and no way above it.
fn is_own_root() -> bool {
    let in_memory = rustix::fs::statfs("/").is_ok_and(|root| root.f_type == TMPFS);
    let sealed = fs::create_dir("/x").is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
        )
    });
    in_memory && sealed && fs::symlink_metadata("/../.actum").is_ok()
}

fn is_powerless(keeps: &[u32]) -> bool {
    let kept = keeps.iter().fold(0_u64, |all, capability| all | 1 << capability);
    let held = rustix::thread::capabilities(None);
    let held = held.is_ok_and(|sets| {
        [sets.effective, sets.permitted, sets.inheritable]
            .iter()
            .all(|set| set.bits() == kept)
    });
    held && (0..64).all(|capability| keeps.contains(&capability) == sys::is_bounding(capability))
}
