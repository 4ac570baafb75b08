//! What a cage is made of, and how much of it is in force.
//!
//! A level is computed from layers that were looked at from inside the finished cage; nothing here builds one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// One independent reason why code in a cage cannot reach the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Own users: nothing in the cage has a right outside it.
    UserNamespace,
    /// Own mounts.
    MountNamespace,
    /// Own process numbers: other processes have none here.
    PidNamespace,
    /// Own network, with no interface up in it.
    NetNamespace,
    /// Own System V objects and message queues.
    IpcNamespace,
    /// Own host name.
    UtsNamespace,
    /// Own root of control groups, which hides their paths.
    CgroupNamespace,
    /// The root is a new one, and the old one is detached.
    PivotRoot,
    /// `/proc` tells of the cage alone.
    Proc,
    /// System calls that are refused.
    Seccomp,
    /// A second check of paths, TCP and signals.
    Landlock,
    /// No program gains rights by being executed.
    NoNewPrivs,
    /// No capability is held or can be gained.
    Capabilities,
    /// Limits of each process.
    Rlimits,
    /// Limits of the cage as a whole: memory and processes.
    Cgroup,
}

impl Layer {
    /// All layers, in the order in which they are reported.
    pub const ALL: [Layer; 15] = [
        Layer::UserNamespace,
        Layer::MountNamespace,
        Layer::PidNamespace,
        Layer::NetNamespace,
        Layer::IpcNamespace,
        Layer::UtsNamespace,
        Layer::CgroupNamespace,
        Layer::PivotRoot,
        Layer::Proc,
        Layer::Seccomp,
        Layer::Landlock,
        Layer::NoNewPrivs,
        Layer::Capabilities,
        Layer::Rlimits,
        Layer::Cgroup,
    ];

    /// Whether [`Level::Full`] asks for it. A control group is not asked for: an ordinary user has none to write
    /// to on most machines, and limits of each process hold without it. It is reported all the same.
    #[must_use]
    pub fn is_required(self) -> bool {
        self != Layer::Cgroup
    }

    /// Whether a cage can be built at all without it. Only these may be tolerated by name.
    #[must_use]
    pub fn is_optional(self) -> bool {
        matches!(self, Layer::Proc | Layer::Landlock | Layer::Cgroup)
    }

    /// What an operator can do where it is missing.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Layer::UserNamespace => {
                "allow user namespaces: sysctl user.max_user_namespaces > 0, kernel.unprivileged_userns_clone=1, \
                 kernel.apparmor_restrict_unprivileged_userns=0 (or an AppArmor profile with `userns`); in a container, \
                 a seccomp profile that allows unshare"
            }
            Layer::Proc => {
                "in a container, run it with an unmasked /proc (Docker: --security-opt systempaths=unconfined)"
            }
            Layer::Landlock => "boot a kernel of 5.13 or later with `landlock` in lsm=",
            Layer::Cgroup => {
                "delegate the memory and pids controllers (systemd: Delegate=yes, DelegateSubgroup=daemon)"
            }
            Layer::Seccomp => "use a kernel with CONFIG_SECCOMP_FILTER",
            _ => "use a kernel of 5.12 or later that lets this user mount inside its own user namespace",
        }
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Layer::UserNamespace => "user_namespace",
            Layer::MountNamespace => "mount_namespace",
            Layer::PidNamespace => "pid_namespace",
            Layer::NetNamespace => "net_namespace",
            Layer::IpcNamespace => "ipc_namespace",
            Layer::UtsNamespace => "uts_namespace",
            Layer::CgroupNamespace => "cgroup_namespace",
            Layer::PivotRoot => "pivot_root",
            Layer::Proc => "proc",
            Layer::Seccomp => "seccomp",
            Layer::Landlock => "landlock",
            Layer::NoNewPrivs => "no_new_privs",
            Layer::Capabilities => "capabilities",
            Layer::Rlimits => "rlimits",
            Layer::Cgroup => "cgroup",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One layer as it was found from inside the cage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerState {
    /// Which.
    pub layer: Layer,
    /// Whether it was seen to hold.
    pub in_force: bool,
    /// What was seen: a version, a kind, or why it does not hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How strong a cage is. As text, also in JSON: `full`, `partial:landlock,proc`, `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// Every required layer is in force.
    Full,
    /// A cage, but these required layers are missing.
    Partial(Vec<Layer>),
    /// No cage.
    None,
}

impl Level {
    /// The level of what was found. A layer nobody looked at is missing.
    #[must_use]
    pub fn of(states: &[LayerState]) -> Level {
        let holds = |layer: &Layer| states.iter().any(|state| state.layer == *layer && state.in_force);
        let required = Layer::ALL.into_iter().filter(|layer| layer.is_required());
        let missing: Vec<Layer> = required.filter(|layer| !holds(layer)).collect();
        if missing.is_empty() {
            Level::Full
        } else {
            Level::Partial(missing)
        }
    }

    /// The layers it lacks; all of them for `none`.
    #[must_use]
    pub fn missing(&self) -> Vec<Layer> {
        match self {
            Level::Full => Vec::new(),
            Level::Partial(missing) => missing.clone(),
            Level::None => Layer::ALL
                .into_iter()
                .filter(|layer| layer.is_required())
                .collect(),
        }
    }

    /// Whether it is at least as strong as `asked`: it lacks nothing that `asked` has.
    #[must_use]
    pub fn satisfies(&self, asked: &Level) -> bool {
        let allowed = asked.missing();
        *asked == Level::None
            || (*self != Level::None && self.missing().iter().all(|layer| allowed.contains(layer)))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Full => out.write_str("full"),
            Level::None => out.write_str("none"),
            Level::Partial(missing) => {
                let names: Vec<&str> = missing.iter().map(|layer| layer.name()).collect();
                write!(out, "partial:{}", names.join(","))
            }
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        match text {
            "full" => return Ok(Level::Full),
            "none" => return Ok(Level::None),
            _ => {}
        }
        let unknown = || format!("expected `full`, `partial:` with layers, or `none`, got `{text}`");
        let names = text.strip_prefix("partial:").ok_or_else(unknown)?;
        let layer = |name: &str| Layer::ALL.into_iter().find(|layer| layer.name() == name);
        let missing: Option<Vec<Layer>> = names.split(',').map(layer).collect();
        missing.map(Level::Partial).ok_or_else(unknown)
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What holds a started process, for the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// In one word.
    pub level: Level,
    /// Layer by layer.
    pub layers: Vec<LayerState>,
}

impl Enforced {
    /// Of layers that were looked at.
    #[must_use]
    pub fn of(layers: Vec<LayerState>) -> Enforced {
        Enforced {
            level: Level::of(&layers),
            layers,
        }
    }

    /// Of a process outside any cage.
    #[must_use]
    pub fn none() -> Enforced {
        Enforced {
            level: Level::None,
            layers: Vec::new(),
        }
    }

    /// What was found of a layer.
    #[must_use]
    pub fn state(&self, layer: Layer) -> Option<&LayerState> {
        self.layers.iter().find(|state| state.layer == layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(without: &[Layer]) -> Vec<LayerState> {
        let state = |layer| LayerState {
            layer,
            in_force: !without.contains(&layer),
            detail: String::new(),
        };
        Layer::ALL.into_iter().map(state).collect()
    }

    #[test]
    fn a_level_lacks_what_is_not_in_force_or_was_not_looked_at() {
        assert_eq!(Level::of(&states(&[])), Level::Full);
        assert_eq!(Level::of(&states(&[Layer::Cgroup])), Level::Full);
        assert_eq!(
            Level::of(&states(&[Layer::Landlock])),
            Level::Partial(vec![Layer::Landlock])
        );
        assert_eq!(Level::of(&[]).missing().len(), 14);
    }

    #[test]
    fn a_level_satisfies_what_it_is_not_weaker_than() {
        let (landlock, proc) = (
            Level::Partial(vec![Layer::Landlock]),
            Level::Partial(vec![Layer::Proc]),
        );
        for level in [&Level::Full, &landlock, &proc, &Level::None] {
            assert!(level.satisfies(level) && level.satisfies(&Level::None) && Level::Full.satisfies(level));
        }
        assert!(
            !landlock.satisfies(&Level::Full) && !landlock.satisfies(&proc) && !Level::None.satisfies(&proc)
        );
    }

    #[test]
    fn a_level_is_the_same_after_text_and_back() {
        for level in [
            Level::Full,
            Level::None,
            Level::Partial(vec![Layer::Proc, Layer::Landlock]),
        ] {
            assert_eq!(level.to_string().parse::<Level>(), Ok(level.clone()));
            let json = serde_json::to_string(&level).unwrap();
            assert_eq!(serde_json::from_str::<Level>(&json).unwrap(), level);
        }
        assert!(
            "partial:door"
                .parse::<Level>()
                .unwrap_err()
                .contains("`partial:door`")
        );
    }

    #[test]
    fn a_name_is_the_same_in_json() {
        for layer in Layer::ALL {
            assert_eq!(serde_json::to_value(layer).unwrap(), layer.name());
        }
    }
}
