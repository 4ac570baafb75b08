//! The helper in the host's view: control group, identity, folders, then the namespaces. It ends when the cage's
//! init has been born, which becomes a child of the caller.

use super::groundwork::{self, Pieces};
use super::{LOST, broker, inner};
use crate::cgroup::{self, Group};
use crate::layer::Layer;
use crate::plan::{Plan, Report};
use crate::refusal::{Refusal, Step};
use crate::sys::{self, Child};
use crate::trees::Opener;
use crate::wire;
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};

/// How much sooner than others, of at most 1000, what is in a cage is ended for want of memory.
const OOM_SCORE: &str = "500";
/// Namespaces of a cage, by the name of their file.
pub(super) const NAMESPACES: [(&str, Layer); 7] = [
    ("user", Layer::UserNamespace),
    ("mnt", Layer::MountNamespace),
    ("pid", Layer::PidNamespace),
    ("net", Layer::NetNamespace),
    ("ipc", Layer::IpcNamespace),
    ("uts", Layer::UtsNamespace),
    ("cgroup", Layer::CgroupNamespace),
];

/// Everything the init starts from.
pub(super) struct Ground {
    pub(super) plan: Plan,
    pub(super) socket: OwnedFd,
    /// Standard input, output and error of the program, then what else it is given.
    pub(super) given: Vec<OwnedFd>,
    /// Pieces of the host's tree; `None` if they are to be opened inside, by an ordinary user.
    pub(super) pieces: Option<Pieces>,
    pub(super) opener: Opener,
    pub(super) group: Result<Group, String>,
    /// Namespaces of the host, by name, to be compared with.
    pub(super) host: BTreeMap<&'static str, String>,
    /// Where the broker listens, if the cage has one and it is to run inside.
    pub(super) broker: Option<OwnedFd>,
}

/// Builds, reports and ends. The child goes on in [`inner`].
pub(super) fn run(socket: &OwnedFd) -> ! {
    sys::reset_signals();
    match prepare(socket) {
        Ok(()) => sys::exit_now(0),
        Err(refusal) => {
            let told = wire::send(socket, &Report::Refused { refusal }, &[]);
            sys::exit_now(if told.is_ok() { 0 } else { LOST })
        }
    }
}

fn prepare(socket: &OwnedFd) -> Result<(), Refusal> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("death signal")?;
    let got = wire::receive::<()>(socket).step("plan")?;
    let ((), mut given) = got.ok_or_else(|| Refusal::helper("plan", "the caller is gone"))?;
    if given.len() < 4 {
        return Err(Refusal::helper(
            "plan",
            format!("expected 4 descriptors, got {}", given.len()),
        ));
    }
    let plan = read_plan(given.remove(0))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    build(plan, socket, given)
}

fn build(plan: Plan, socket: &OwnedFd, mut given: Vec<OwnedFd>) -> Result<(), Refusal> {
    let is_root = groundwork::is_real_root();
    let identity = groundwork::identity(&plan.spec, is_root)?;
    let mut opener = Opener::new(identity);
    let pieces = if is_root {
        Some(groundwork::open(&plan, &mut opener)?)
    } else {
        None
    };
    let broker = match &plan.zygote {
        Some(_) if given.len() > 4 => Some(given.remove(4)),
        _ => None,
    };
    // Real root keeps a broker outside, in the host's view; an ordinary user's is a part of the cage.
    let broker = match broker {
        Some(listen) if is_root => broker::fork_outside(&listen, identity)?,
        other => other,
    };
    // Where the machine has no memory left, a program in a cage goes before the daemon that started it. Anybody may ask
    // for that; where it cannot be had, nothing else depends on it.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    // After the broker, which outlives the cage by a moment and would hold its group.
    let group = if plan.sabotage.contains(&Layer::Cgroup) {
        Err("left out".to_owned())
    } else {
        cgroup::enter(&plan.spec.limits)
    };
    if is_root {
        sys::become_user(identity.uid, identity.gid).step("becoming an ordinary user")?;
        // The death signal is cleared by a change of user, and `/proc` would belong to root.
        set_parent_process_death_signal(Some(Signal::KILL)).step("death signal")?;
        set_dumpable_behavior(DumpableBehavior::Dumpable).step("dumpable")?;
    }
    let host = NAMESPACES
        .iter()
        .map(|(name, _)| (*name, namespace_id(name)))
        .collect();
    let ground = Ground {
        plan,
        socket: socket.try_clone().step("socket")?,
        given,
        pieces,
        opener,
        group: group.clone(),
        host,
        broker,
    };
    let born = bear(ground, (identity.uid, identity.gid));
    if born.is_err()
        && let Ok(group) = &group
    {
        cgroup::remove(&group.folders);
    }
    born
}

/// Makes the namespaces with their init, which waits until its users are mapped.
fn bear(ground: Ground, (uid, gid): (u32, u32)) -> Result<(), Refusal> {
    let (go, mapped) = io::pipe().step("pipe")?;
    let groups = ground
        .group
        .as_ref()
        .map(|group| group.folders.clone())
        .unwrap_or_default();
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_PARENT;
    let made = sys::clone(flags as u64).layer(Layer::UserNamespace, "new namespaces")?;
    let Some(Child { pid, pidfd }) = made else {
        drop(mapped);
        inner::run(ground, go)
    };
    drop(go);
    let born = write_maps(pid, uid, gid).and_then(|()| {
        let report = Report::Born {
            pid,
            groups,
            uid,
            gid,
        };
        wire::send(&ground.socket, &report, &[pidfd.as_fd()]).step("report")
    });
    match born.and_then(|()| rustix::io::write(&mapped, b"m").map(drop).step("go")) {
        Ok(()) => Ok(()),
        Err(refusal) => {
            // It would end by itself when the pipe closes; nobody may be left to wonder.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            Err(refusal)
        }
    }
}

fn write_maps(pid: i32, uid: u32, gid: u32) -> Result<(), Refusal> {
    let folder = format!("/proc/{pid}");
    let write = |file: &str, text: String| fs::write(format!("{folder}/{file}"), text);
    write("setgroups", "deny".to_owned())
        .and_then(|()| write("gid_map", format!("{gid} {gid} 1")))
        .and_then(|()| write("uid_map", format!("{uid} {uid} 1")))
        .layer(Layer::UserNamespace, "mapping users")
}

fn read_plan(file: OwnedFd) -> Result<Plan, Refusal> {
    let mut text = Vec::new();
    fs::File::from(file).read_to_end(&mut text).step("plan")?;
    serde_json::from_slice(&text).step("plan")
}

/// What tells one namespace from another, such as `net:[4026531840]`.
pub(super) fn namespace_id(name: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{name}"));
    link.map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}
