//! The sandbox of Actum: programs and Python sessions that see nothing of the machine but what they were given.
//!
//! - [`Launcher::launch`] starts one program in a cage of its own, as a [`Spec`] says, and gives back a [`Caged`].
//! - [`Zygote`] is a cage with a warm Python interpreter, from which sessions are forked in a few milliseconds.
//! - [`Interpreter`] is the Python there is, for a zygote of it.
//! - [`Enforced`] tells which layers were seen to hold, and [`Launcher::probe`] which ones this host can give.
//!
//! The calling program executes itself anew to build a cage, so its `main` begins with [`helper_entry`]. The
//! interface blocks. Here is no policy, no journal and no protocol: what to run and what to keep is for others.
//! The network is always absent.

mod cgroup;
mod fence;
mod helper;
mod init;
mod interpreter;
mod launch;
mod layer;
mod plan;
mod probe;
mod refusal;
mod seccomp;
mod spec;
mod sys;
mod trees;
mod wire;
mod zygote;

pub use cgroup::sweep;
pub use helper::helper_entry;
pub use interpreter::Interpreter;
pub use launch::{Caged, Launcher};
pub use layer::{Enforced, Layer, LayerState, Level};
pub use plan::Exit;
pub use probe::{LayerReport, Report};
pub use refusal::Refusal;
pub use spec::{Access, HOME, Limits, MOUNTS_MAX, Mount, PATH_DEFAULT, Profile, Spec, environment};
pub use zygote::{ForkError, Forked, SessionSpec, Zygote, ZygoteSpec};
