//! Pid 1 of a cage: builds it from inside, gives up every right, starts the program, reaps, and tells how it ended.
//! Its own end is the end of everything in the cage.

use super::groundwork;
use super::outer::Ground;
use super::verify::{self, Attempts};
use super::{LOST, broker, program, view};
use crate::fence::Fence;
use crate::layer::{Enforced, Layer};
use crate::plan::{Exit, Report};
use crate::refusal::{Refusal, Step};
use crate::seccomp;
use crate::spec::Access;
use crate::sys;
use crate::wire;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal, wait,
};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use std::fs;
use std::io::{PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

/// What a zygote needs to build sessions: `CAP_SETPCAP` and `CAP_SYS_ADMIN` of the cage's own user namespace.
const ZYGOTE_KEEPS: &[u32] = &[8, 21];

/// Runs until the program has ended. Never returns.
pub(super) fn run(mut ground: Ground, go: PipeReader) -> ! {
    let started = build(&mut ground, go).and_then(|enforced| Ok((program::start(&mut ground)?, enforced)));
    let (main, enforced) = match started {
        Ok(started) => started,
        Err(refusal) => {
            let _ = wire::send(&ground.socket, &Report::Refused { refusal }, &[]);
            sys::exit_now(LOST)
        }
    };
    let _ = wire::send(&ground.socket, &Report::Running { enforced }, &[]);
    let exit = reap_until(main);
    let _ = wire::send(&ground.socket, &Report::Ended { exit }, &[]);
    // What else runs in the cage is killed by the kernel, now that its init ends.
    sys::exit_now(match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
    })
}

fn build(ground: &mut Ground, mut go: PipeReader) -> Result<Enforced, Refusal> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("death signal")?;
    if go.read(&mut [0]).step("go")? == 0 || is_closed(&ground.socket) {
        return Err(Refusal::helper("go", "the caller is gone"));
    }
    drop(go);
    let mut states = verify::namespaces(ground);
    let identity = ground.opener.identity;
    let pieces = match ground.pieces.take() {
        Some(pieces) => pieces,
        None => groundwork::open(&ground.plan, &mut ground.opener)?,
    };
    if let Some(listen) = ground.broker.take() {
        broker::fork_inside(&listen, identity)?;
    }
    let proc = view::build(&ground.plan, pieces, identity)?;
    rustix::system::sethostname(ground.plan.spec.hostname.as_bytes())
        .layer(Layer::UtsNamespace, "host name")?;
    forbid_namespaces(ground, proc.is_ok())?;
    let keeps = if ground.plan.zygote.is_some() {
        ZYGOTE_KEEPS
    } else {
        &[]
    };
    let landlock = give_up(ground, keeps)?;
    let attempts = Attempts {
        proc,
        landlock,
        keeps,
    };
    states.extend(verify::look(ground, &attempts));
    if ground.plan.zygote.is_some() {
        // What holds for sessions is looked at when each has been built.
        return Ok(Enforced::of(states));
    }
    verify::judge(ground, states)
}

/// No user namespace below this one: there, code would have capabilities again. Sessions of a zygote and programs
/// are refused the call as well; this holds where a filter has a gap.
fn forbid_namespaces(ground: &Ground, has_proc: bool) -> Result<(), Refusal> {
    if !has_proc || ground.plan.sabotage.contains(&Layer::UserNamespace) {
        return Ok(());
    }
    fs::write("/proc/sys/user/max_user_namespaces", "0")
        .layer(Layer::UserNamespace, "forbidding further ones")
}

/// Gives up rights, in the order in which each step still may be done. Returns Landlock's version or why it is not
/// in force.
fn give_up(ground: &Ground, keeps: &[u32]) -> Result<Result<u32, String>, Refusal> {
    let sabotaged = |layer| ground.plan.sabotage.contains(&layer);
    let kept = keeps.iter().fold(0_u64, |all, capability| all | 1 << capability);
    if !sabotaged(Layer::Capabilities) {
        let layer = Layer::Capabilities;
        let bits = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED;
        rustix::thread::set_capabilities_secure_bits(bits).layer(layer, "secure bits")?;
        sys::keep_bounding(keeps).layer(layer, "bounding set")?;
        let kept = CapabilitySet::from_bits_retain(kept);
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: kept,
        };
        rustix::thread::set_capabilities(None, sets).layer(layer, "capabilities")?;
        for capability in keeps {
            sys::raise_ambient(*capability).layer(layer, "ambient set")?;
        }
    }
    if !sabotaged(Layer::NoNewPrivs) {
        rustix::thread::set_no_new_privs(true).layer(Layer::NoNewPrivs, "no new privileges")?;
    }
    let landlock = if keeps.is_empty() && !sabotaged(Layer::Landlock) {
        fence(ground)
    } else {
        Err("left out".to_owned())
    };
    if !sabotaged(Layer::Seccomp) {
        if keeps.is_empty() {
            seccomp::install(&seccomp::stage(ground.plan.spec.may_connect()))?;
        }
        seccomp::install(&seccomp::bulk()?)?;
    }
    // The init holds the socket to the caller; nothing in the cage may look into it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step("dumpable")?;
    Ok(landlock)
}

fn fence(ground: &Ground) -> Result<u32, String> {
    let spec = &ground.plan.spec;
    let place = |path: &Path, access| (path.display().to_string(), access, path.is_dir());
    let mounts = spec.mounts.iter().map(|mount| place(&mount.at, mount.access));
    let runtime = spec.runtime.iter().map(|path| place(path, Access::Read));
    let fence = Fence::new(&runtime.chain(mounts).collect::<Vec<_>>());
    fence
        .install()
        .map(|()| fence.version)
        .map_err(|refusal| refusal.to_string())
}

fn is_closed(socket: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(socket, PollFlags::IN)];
    let asked = poll(&mut watched, Some(&Timespec::default()));
    let [watched] = &watched;
    asked.is_err() || watched.revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Reaps everything that ends in the cage until the program itself has.
fn reap_until(main: i32) -> Exit {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == main => {
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => return Exit::Code(code),
                    (_, Some(signal)) => return Exit::Signal(signal),
                    _ => {}
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Nothing is left to wait for, so the program is gone unseen.
            Err(_) => return Exit::Code(LOST),
        }
    }
}
