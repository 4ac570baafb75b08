//! A control group for one cage: memory and processes of the whole, where this user may make one.
//!
//! Version 2 if its controllers are delegated, else version 1 if it is writable, else none; which one it is gets
//! reported. Only folders that this module made are removed, and only empty ones.

use crate::spec::Limits;
use std::fs;
use std::path::{Path, PathBuf};

/// Every group made here begins with this.
const PREFIX: &str = "actum-cage-";
/// Where the kernel tells of mounts and groups of this process.
const MOUNTS: &str = "/proc/self/mountinfo";
const GROUPS: &str = "/proc/self/cgroup";

/// The folders of one cage's group: one for version 2, one for each controller for version 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Group {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) kind: &'static str,
}

/// Makes a group with these limits and moves this process into it.
pub(crate) fn enter(limits: &Limits) -> Result<Group, String> {
    let mut why = Vec::new();
    for attempt in [enter_v2, enter_v1] {
        match attempt(limits) {
            Ok(group) => return Ok(group),
            Err(error) => why.push(error),
        }
    }
    Err(why.join("; "))
}

/// Removes groups of cages that have ended.
pub(crate) fn remove(folders: &[PathBuf]) {
    for folder in folders {
        // The kernel refuses while a process is in it; the next sweep takes it then.
        let _ = fs::remove_dir(folder);
    }
}

/// Removes every empty control group that cages of a daemon that died have left beside this process's groups. To be
/// called at start.
pub fn sweep() {
    let groups = fs::read_to_string(GROUPS).unwrap_or_default();
    for (controllers, path) in groups.lines().filter_map(line_of) {
        let Some(base) = mounted(&controllers).map(|mount| join(&mount, &path)) else {
            continue;
        };
        for base in [Some(base.as_path()), base.parent()].into_iter().flatten() {
            let names = fs::read_dir(base).into_iter().flatten().flatten();
            let ours = names.filter(|entry| is_left(&entry.file_name().to_string_lossy()));
            remove(&ours.map(|entry| entry.path()).collect::<Vec<_>>());
        }
    }
}

/// Whether a folder is a group that was made here by a process that is no more. One that was made a moment ago by a
/// process that lives may be about to enter it.
fn is_left(name: &str) -> bool {
    let Some((pid, _)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    !Path::new("/proc").join(pid).join("stat").exists()
}

fn enter_v2(limits: &Limits) -> Result<Group, String> {
    let base = base("").ok_or("v2: not mounted")?;
    let mut last = "v2: no group that may be written".to_owned();
    for base in [Some(base.as_path()), base.parent()].into_iter().flatten() {
        // Fails where it is on already or not ours to turn on; what counts is whether the files are there.
        let _ = fs::write(base.join("cgroup.subtree_control"), "+memory +pids");
        let folder = base.join(name());
        if let Err(error) = fs::create_dir(&folder) {
            last = format!("v2: cannot make a group ({error})");
            continue;
        }
        let made = [
            ("memory.max", limits.memory_bytes),
            ("pids.max", limits.processes),
        ]
        .into_iter()
        .try_for_each(|(file, value)| limit(&folder, file, value.map(|value| value.to_string())))
        .and_then(|()| limit(&folder, "cgroup.procs", Some("0".to_owned())));
        match made {
            Ok(()) => {
                let _ = fs::write(folder.join("memory.swap.max"), "0");
                return Ok(Group {
                    folders: vec![folder],
                    kind: "v2",
                });
            }
            Err(error) => {
                remove(&[folder]);
                last = format!("v2: {error}");
            }
        }
    }
    Err(last)
}

fn enter_v1(limits: &Limits) -> Result<Group, String> {
    let mut group = Group {
        folders: Vec::new(),
        kind: "v1",
    };
    let wanted = [
        ("memory", "memory.limit_in_bytes", limits.memory_bytes),
        ("pids", "pids.max", limits.processes),
    ];
    for (controller, file, value) in wanted {
        let made = base(controller)
            .ok_or(format!("v1: {controller} is not mounted"))
            .and_then(|base| {
                let folder = base.join(name());
                fs::create_dir(&folder)
                    .map_err(|error| format!("v1: cannot make a group of {controller} ({error})"))?;
                group.folders.push(folder.clone());
                limit(&folder, file, value.map(|value| value.to_string()))?;
                limit(&folder, "cgroup.procs", Some("0".to_owned()))
            });
        if let Err(error) = made {
            leave(&group.folders);
            return Err(error);
        }
    }
    Ok(group)
}

/// Goes back to the group above, and removes.
fn leave(folders: &[PathBuf]) {
    for folder in folders {
        if let Some(above) = folder.parent() {
            let _ = fs::write(above.join("cgroup.procs"), "0");
        }
    }
    remove(folders);
}

fn limit(folder: &Path, file: &str, value: Option<String>) -> Result<(), String> {
    let path = folder.join(file);
    if !path.exists() {
        return Err(format!("the group has no `{file}`"));
    }
    match value {
        Some(value) => fs::write(path, value).map_err(|error| format!("cannot write `{file}` ({error})")),
        None => Ok(()),
    }
}

/// The group of this process under a controller; the empty name means version 2.
fn base(controller: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(GROUPS).ok()?;
    let (_, path) = groups
        .lines()
        .filter_map(line_of)
        .find(|(names, _)| names.split(',').any(|name| name == controller))?;
    mounted(controller).map(|mount| join(&mount, &path))
}

/// Controllers and path of one line such as `8:pids:/a`.
fn line_of(line: &str) -> Option<(String, String)> {
    let mut parts = line.splitn(3, ':').skip(1);
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// Where a hierarchy is mounted.
fn mounted(controllers: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string(MOUNTS).ok()?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (name, options) = (kind.next()?, kind.nth(1)?);
        let fits = match controllers {
            "" => name == "cgroup2",
            wanted => {
                name == "cgroup"
                    && wanted
                        .split(',')
                        .all(|part| options.split(',').any(|option| option == part))
            }
        };
        fits.then(|| place.split(' ').nth(4).map(PathBuf::from)).flatten()
    })
}

fn join(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

/// A name no other cage has: this process makes one group, and its number with its start is its own.
fn name() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let start = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split(' ').nth(20))
        .unwrap_or("0")
        .to_owned();
    format!("{PREFIX}{}-{start}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_groups_is_read() {
        assert_eq!(
            line_of("8:pids:/a:b"),
            Some(("pids".to_owned(), "/a:b".to_owned()))
        );
        assert_eq!(line_of("0::/"), Some((String::new(), "/".to_owned())));
        assert_eq!(line_of("nothing"), None);
    }

    #[test]
    fn a_group_whose_maker_lives_is_not_left_over() {
        assert!(!is_left(&name()));
        assert!(is_left(&format!("{PREFIX}4194305-1")));
        assert!(!is_left("somebody-elses-4194305-1"));
    }

    #[test]
    fn a_name_is_of_this_process() {
        assert!(name().starts_with(&format!("{PREFIX}{}-", std::process::id())));
    }
}
