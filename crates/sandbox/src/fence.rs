//! The rules for Landlock: a second check of paths, TCP, abstract sockets and signals, behind the mounts.
//!
//! The rules are data, so that the helper and a session put the same ones in force. Landlock does not hide files,
//! nor refuse UDP or connections to UNIX sockets; that is what namespaces and seccomp are for.

use crate::layer::Layer;
use crate::refusal::{Refusal, Step};
use crate::sys;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use serde::{Deserialize, Serialize};

/// A file that no rule allows to read, so that Landlock can be seen at work.
pub(crate) const CANARY: &str = "/.actum/canary";

/// Places that every cage may write to.
const WRITABLE: [&str; 2] = ["/tmp", "/dev"];
/// Places that every cage may read, where they exist.
const READABLE: [&str; 12] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/var", "/run", "/home",
];

/// One rule: what may be done at and below a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) path: String,
    /// `LANDLOCK_ACCESS_FS_…`
    pub(crate) access: u64,
}

/// Everything for one domain. What is handled and not allowed by a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fence {
    /// Version of the kernel's Landlock; 0 if it has none, and then there is nothing to put in force.
    pub(crate) version: u32,
    pub(crate) handled_fs: u64,
    pub(crate) handled_net: u64,
    pub(crate) scoped: u64,
    pub(crate) rules: Vec<Rule>,
}

impl Fence {
    /// For this kernel, with these further places of a cage.
    pub(crate) fn new(readable: &[String], writable: &[String]) -> Fence {
        let version = sys::landlock_version().unwrap_or(0);
        let abi = abi(version);
        let all = AccessFs::from_all(abi);
        let read = AccessFs::from_read(abi);
        let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        let rule = |path: &str, access: BitFlags<AccessFs>| Rule {
            path: path.to_owned(),
            access: (access & all).bits(),
        };
        // The names at the top may be listed; what lies below has rules of its own, and the canary has none.
        let mut rules = vec![rule("/", BitFlags::from(AccessFs::ReadDir))];
        rules.extend(READABLE.iter().map(|path| rule(path, read)));
        rules.extend(readable.iter().map(|path| rule(path, read)));
        rules.extend(WRITABLE.iter().map(|path| rule(path, write)));
        rules.extend(writable.iter().map(|path| rule(path, write)));
        Fence {
            version,
            handled_fs: all.bits(),
            handled_net: AccessNet::from_all(abi).bits(),
            scoped: Scope::from_all(abi).bits(),
            rules,
        }
    }

    /// Puts the rules in force for this thread and everything it starts.
    ///
    /// # Errors
    /// [`Layer::Landlock`] if the kernel has none or refuses.
    pub(crate) fn install(&self) -> Result<(), Refusal> {
        if self.version == 0 {
            return Err(Refusal::missing(Layer::Landlock, "this kernel has no Landlock"));
        }
        let failed = |error: landlock::RulesetError| Refusal::missing(Layer::Landlock, error);
        // All of this was derived from what the kernel has: nothing may be left out silently.
        let mut set = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi(self.version)))
            .map_err(failed)?;
        if self.handled_net != 0 {
            set = set
                .handle_access(AccessNet::from_all(abi(self.version)))
                .map_err(failed)?;
        }
        if self.scoped != 0 {
            set = set.scope(Scope::from_all(abi(self.version))).map_err(failed)?;
        }
        let mut set = set.create().map_err(failed)?;
        for rule in self
            .rules
            .iter()
            .filter(|rule| std::path::Path::new(&rule.path).exists())
        {
            let place = PathFd::new(&rule.path).layer(Layer::Landlock, &rule.path)?;
            let is_file = !std::path::Path::new(&rule.path).is_dir();
            let mut access = BitFlags::<AccessFs>::from_bits_truncate(rule.access);
            if is_file {
                access &= AccessFs::from_file(abi(self.version));
            }
            set = set.add_rule(PathBeneath::new(place, access)).map_err(failed)?;
        }
        set.restrict_self().map_err(failed).map(drop)
    }
}

/// What is used of a version. Later ones are used as far as they are known here.
fn abi(version: u32) -> ABI {
    match version {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        _ => ABI::V6,
    }
}
