//! What is asked for: folders, program, environment, limits. Data only; checked here, carried out elsewhere.

use crate::layer::Level;
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Home folder in a cage: the private, writable `/tmp`.
pub const HOME: &str = "/tmp";
/// Where programs are looked up in a cage when the caller has no `PATH`.
pub const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
/// Most folders of one cage. Each costs two mounts at start.
pub const MOUNTS_MAX: usize = 64;
/// Longest host name of Linux, in bytes.
const HOSTNAME_BYTES_MAX: usize = 64;
/// Places of a cage that are its own: nothing may be mounted at or below them.
const RESERVED: [&str; 5] = ["/proc", "/sys", "/dev", "/.actum", "/etc"];

/// Which folders of the host a cage shows, besides the read-only view of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// None.
    Pure,
    /// Named folders, to be read.
    Read,
    /// One folder to be written, and named ones to be read.
    Workspace,
    /// Any list.
    Custom,
}

/// What may be done with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and execute.
    Read,
    /// Read, execute and change.
    Write,
}

/// One folder (or file) of the host and where it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the host: absolute, and free of symbolic links, so that nobody can swap one in between grant and start.
    pub host: PathBuf,
    /// In the cage: absolute.
    pub at: PathBuf,
    /// What may be done.
    pub access: Access,
}

impl Mount {
    /// To be read.
    pub fn read(host: impl Into<PathBuf>, at: impl Into<PathBuf>) -> Mount {
        Mount {
            host: host.into(),
            at: at.into(),
            access: Access::Read,
        }
    }

    /// To be written.
    pub fn write(host: impl Into<PathBuf>, at: impl Into<PathBuf>) -> Mount {
        Mount {
            access: Access::Write,
            ..Mount::read(host, at)
        }
    }
}

/// Bounds on what a cage uses. `None` leaves a limit as the caller has it; core dumps are always off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Address space of each process, in bytes.
    pub address_space_bytes: Option<u64>,
    /// Processor time of each process, in seconds.
    pub cpu_seconds: Option<u64>,
    /// Processes and threads of the cage.
    pub processes: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Size of each file written, in bytes.
    pub file_bytes: Option<u64>,
    /// Memory of the cage as a whole, in bytes, where a control group can hold it.
    pub memory_bytes: Option<u64>,
    /// Size of `/tmp` and of `/dev/shm`, each, in bytes.
    pub tmp_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            address_space_bytes: None,
            cpu_seconds: None,
            processes: Some(512),
            open_files: Some(1024),
            file_bytes: None,
            memory_bytes: None,
            tmp_bytes: 256 * 1024 * 1024,
        }
    }
}

/// One program in a cage of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What the mounts must agree with.
    pub profile: Profile,
    /// Folders of the host.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Further parts of the system, to be read, seen where they are on the host: an interpreter outside `/usr`.
    #[serde(default)]
    pub runtime: Vec<PathBuf>,
    /// The program and its arguments. A name without a slash is looked up in the cage by the `PATH` below.
    pub argv: Vec<String>,
    /// The whole environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory in the cage.
    pub cwd: PathBuf,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Name of the machine as seen inside.
    pub hostname: String,
    /// The weakest level that may be started. Anything weaker is refused.
    pub require: Level,
    /// Lets the cage connect to UNIX sockets even though a folder is shown as it is. A server of the host that
    /// listens on a socket inside such a folder can then be reached.
    #[serde(default)]
    pub connect_unix: bool,
}

impl Spec {
    /// A program that sees no folder, in `/tmp`, with the default environment and limits, at level `full`.
    #[must_use]
    pub fn pure(argv: Vec<String>) -> Spec {
        Spec {
            profile: Profile::Pure,
            mounts: Vec::new(),
            runtime: Vec::new(),
            argv,
            env: environment(&BTreeMap::new()),
            cwd: HOME.into(),
            limits: Limits::default(),
            hostname: "actum".to_owned(),
            require: Level::Full,
            connect_unix: false,
        }
    }

    /// A program that reads `folders`, seen where they are on the host.
    #[must_use]
    pub fn read(argv: Vec<String>, folders: &[PathBuf]) -> Spec {
        Spec {
            profile: Profile::Read,
            mounts: folders.iter().map(|folder| Mount::read(folder, folder)).collect(),
            ..Spec::pure(argv)
        }
    }

    /// A program that writes `folder`, seen at `at`, and starts there.
    #[must_use]
    pub fn workspace(argv: Vec<String>, folder: &Path, at: &Path) -> Spec {
        Spec {
            profile: Profile::Workspace,
            mounts: vec![Mount::write(folder, at)],
            cwd: at.to_owned(),
            ..Spec::pure(argv)
        }
    }

    /// Checks what can be checked without the host.
    ///
    /// # Errors
    /// [`Refusal::Spec`] with what was expected and what came.
    pub fn check(&self) -> Result<(), Refusal> {
        match self.argv.first() {
            Some(name) if !name.is_empty() => {}
            _ => return wrong("expected the name of a program, got nothing"),
        }
        let assignments = self.env.iter().flat_map(|(name, value)| [name, value]);
        if let Some(text) = self
            .argv
            .iter()
            .chain(assignments)
            .find(|text| text.contains('\0'))
        {
            return wrong(format!("expected text without NUL, got {text:?}"));
        }
        if let Some(name) = self.env.keys().find(|name| name.is_empty() || name.contains('=')) {
            return wrong(format!("expected the name of a variable, got `{name}`"));
        }
        if self.hostname.is_empty()
            || self.hostname.len() > HOSTNAME_BYTES_MAX
            || self.hostname.contains('\0')
        {
            return wrong(format!(
                "expected a host name of 1 to {HOSTNAME_BYTES_MAX} bytes, got `{}`",
                self.hostname
            ));
        }
        is_plain(&self.cwd)?;
        check_mounts(self.profile, &self.mounts)?;
        self.runtime
            .iter()
            .try_for_each(|path| is_plain(path).and_then(|()| is_free(path)))
    }

    /// Whether the cage may call `connect`: not while a folder of the host is shown as it is, because a socket of
    /// a host process may lie in it and read-only mounts do not keep from connecting.
    pub(crate) fn may_connect(&self) -> bool {
        self.connect_unix || self.mounts.is_empty()
    }
}

/// Checks mounts against their profile and against each other.
pub(crate) fn check_mounts(profile: Profile, mounts: &[Mount]) -> Result<(), Refusal> {
    if mounts.len() > MOUNTS_MAX {
        return wrong(format!(
            "expected at most {MOUNTS_MAX} folders, got {}",
            mounts.len()
        ));
    }
    let written = mounts
        .iter()
        .filter(|mount| mount.access == Access::Write)
        .count();
    let fits = match profile {
        Profile::Pure => mounts.is_empty(),
        Profile::Read => written == 0,
        Profile::Workspace => written == 1,
        Profile::Custom => true,
    };
    if !fits {
        let read = mounts.len() - written;
        return wrong(format!(
            "profile `{profile:?}` does not fit {written} folders to write and {read} to read"
        ));
    }
    for (index, mount) in mounts.iter().enumerate() {
        is_plain(&mount.host)?;
        is_plain(&mount.at)?;
        is_free(&mount.at)?;
        if mounts.iter().take(index).any(|before| before.at == mount.at) {
            return wrong(format!(
                "expected one folder at `{}`, got two",
                mount.at.display()
            ));
        }
    }
    Ok(())
}

/// The environment a program gets by default: `PATH`, `LANG`, `LC_*` and `TZ` of this process, `HOME` inside the
/// cage, then what the caller brings. Nothing else: the environment of a daemon may hold credentials.
#[must_use]
pub fn environment(brought: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let allowed = |name: &str| matches!(name, "PATH" | "LANG" | "TZ") || name.starts_with("LC_");
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| allowed(name))
        .collect();
    env.entry("PATH".to_owned())
        .or_insert_with(|| PATH_DEFAULT.to_owned());
    env.insert("HOME".to_owned(), HOME.to_owned());
    env.extend(brought.iter().map(|(name, value)| (name.clone(), value.clone())));
    env
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Spec {
        reason: reason.into(),
    })
}

/// An absolute path without `.`, `..` or NUL, that is text.
fn is_plain(path: &Path) -> Result<(), Refusal> {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let text = path.to_str().unwrap_or("\0");
    if path.is_absolute() && path.components().all(plain) && !text.contains('\0') {
        return Ok(());
    }
    wrong(format!(
        "expected an absolute path without `..`, got `{}`",
        path.display()
    ))
}

fn is_free(path: &Path) -> Result<(), Refusal> {
    if path == Path::new("/") || RESERVED.iter().any(|reserved| path.starts_with(reserved)) {
        return wrong(format!(
            "expected a place of its own for a folder, got `{}`",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn true_in(mounts: Vec<Mount>, profile: Profile) -> Spec {
        Spec {
            mounts,
            profile,
            ..Spec::pure(vec!["true".to_owned()])
        }
    }

    #[test]
    fn a_profile_bounds_the_mounts() {
        let (read, write) = (Mount::read("/a", "/a"), Mount::write("/b", "/b"));
        let fits = |mounts: &[&Mount], profile| {
            true_in(mounts.iter().map(|mount| (*mount).clone()).collect(), profile)
                .check()
                .is_ok()
        };
        assert!(fits(&[], Profile::Pure) && !fits(&[&read], Profile::Pure));
        assert!(fits(&[&read], Profile::Read) && !fits(&[&read, &write], Profile::Read));
        assert!(fits(&[&read, &write], Profile::Workspace) && !fits(&[&read], Profile::Workspace));
        assert!(fits(&[&write], Profile::Custom) && !fits(&[&write, &write], Profile::Custom));
    }

    #[test]
    fn a_place_of_the_cage_itself_is_refused() {
        for at in [
            "/",
            "/proc",
            "/proc/self",
            "/dev/shm",
            "/sys",
            "/etc/x",
            "/.actum/x",
            "a",
            "/a/../b",
            "",
        ] {
            assert!(
                true_in(vec![Mount::read("/a", at)], Profile::Read)
                    .check()
                    .is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn text_that_no_process_can_get_is_refused() {
        let good = true_in(Vec::new(), Profile::Pure);
        let mut bad = vec![good.clone(); 4];
        bad[0].argv = Vec::new();
        bad[1].argv.push("a\0b".to_owned());
        bad[2].env.insert("A=B".to_owned(), String::new());
        bad[3].hostname = String::new();
        assert!(good.check().is_ok() && bad.iter().all(|spec| spec.check().is_err()));
    }

    #[test]
    fn a_spec_is_the_same_after_json_and_back() {
        let spec = Spec::workspace(vec!["ls".to_owned()], Path::new("/srv/a"), Path::new("/work"));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    }
}
