//! Which folders a session's programs see, from what the session is for and what the operator granted.
//!
//! A private workspace lies in the data directory and goes with its session. Everything else must be granted.

use super::Key;
use super::gone::Gone;
use super::pool::Sort;
use actum_kernel::{Session, State};
use actum_model::{ErrorCode, Fault};
use actum_provider::Grants;
use actum_provider::grants::{FileGrant, Reach};
use actum_sandbox::{Access, Mount, Profile};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where private workspaces are, in the data directory: `TENANT/SESSION-GENERATION`.
const WORKSPACES: &str = "workspaces";
/// Where a session's workspace is seen in its cage.
pub(crate) const WORK: &str = "/work";
/// Where its other folders are seen, by number from 1.
pub(crate) const FOLDERS: &str = "/folders";

/// The folders of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What the mounts must agree with.
    pub(crate) profile: Profile,
    /// Folders of the host and where they are seen.
    pub(crate) mounts: Vec<Mount>,
    /// The workspace on the host, if there is one.
    pub(crate) workspace: Option<PathBuf>,
    /// The same, where it is the session's own and goes with it.
    pub(crate) private: Option<PathBuf>,
}

impl Place {
    /// Whether a folder is the session's own, and not one of the user's.
    pub(crate) fn is_private(&self, mount: &Mount) -> bool {
        self.private.as_ref() == Some(&mount.host)
    }

    /// A place that shows a folder of the session's own, or none.
    pub(super) fn private(folder: Option<&Path>) -> Place {
        Place {
            profile: if folder.is_some() {
                Profile::Workspace
            } else {
                Profile::Pure
            },
            mounts: folder
                .map(|folder| Mount::write(folder, WORK))
                .into_iter()
                .collect(),
            workspace: folder.map(Path::to_owned),
            private: folder.map(Path::to_owned),
        }
    }

    /// What the record says of it.
    pub(crate) fn describe(&self) -> Value {
        let mounts: Vec<Value> = self
            .mounts
            .iter()
            .map(|mount| json!({"path": mount.host, "at": mount.at, "write": mount.access == Access::Write}))
            .collect();
        json!({"profile": self.profile, "folders": mounts})
    }
}

/// Makes places. Clones share the grants.
#[derive(Clone)]
pub(crate) struct Places {
    /// The data directory. Where a folder holds it, it is covered.
    data: PathBuf,
    grants: Arc<Grants>,
    gone: Gone,
}

impl Places {
    /// Private workspaces go to the data directory, which no program sees otherwise.
    pub(crate) fn new(data: PathBuf, grants: Arc<Grants>) -> Places {
        let gone = Gone::new(data.join(WORKSPACES).join(".gone"));
        Places { data, grants, gone }
    }

    /// What covers the data directory in a cage that shows these folders: an empty one. The folders on the way to it
    /// are held where they are, each mounted on itself: a program that may write could move one of them away, and
    /// the data with it, to where the next cage would not look for it.
    ///
    /// # Errors
    /// `INTERNAL` where the empty folder cannot be made.
    pub(crate) fn cover(&self, mounts: &[Mount]) -> Result<Vec<Mount>, Fault> {
        let mut covers = Vec::new();
        for mount in mounts {
            let Ok(inner) = self.data.strip_prefix(&mount.host) else {
                continue;
            };
            if mount.access == Access::Write {
                let between = inner
                    .ancestors()
                    .skip(1)
                    .filter(|part| !part.as_os_str().is_empty());
                for part in between {
                    covers.push(held(mount, part)?);
                }
            }
            covers.push(Mount::read(self.empty()?, mount.at.join(inner)));
        }
        Ok(covers)
    }

    /// An empty folder, in the data directory itself.
    fn empty(&self) -> Result<PathBuf, Fault> {
        let empty = self.data.join("empty");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&empty)
            .map_err(|error| Fault::new(ErrorCode::Internal, format!("no empty folder ({error})")))?;
        Ok(empty)
    }

    /// The place of a session. Makes its private workspace if it has none yet.
    ///
    /// # Errors
    /// `NOT_GRANTED`, `INVALID_INPUT` for what is no folder, `INTERNAL` where the workspace cannot be made.
    pub(crate) async fn of_session(&self, key: &Key, session: &Session) -> Result<Place, Fault> {
        let spec = session.spec_value();
        let (places, key, generation) = (self.clone(), key.clone(), session.generation);
        let made = tokio::task::spawn_blocking(move || places.make(&key, generation, &spec)).await;
        made.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?
    }

    /// The place of a program in a session, as far as it is not that of the session: a working directory beneath a
    /// granted folder shows that folder. Blocks.
    pub(crate) fn of_program(
        &self,
        key: &Key,
        generation: u64,
        spec: &Value,
        cwd: Option<&str>,
    ) -> Result<Place, Fault> {
        let place = self.make(key, generation, spec)?;
        let Some(cwd) = cwd else { return Ok(place) };
        let path = real(cwd)?;
        if place.mounts.iter().any(|mount| path.starts_with(&mount.host)) {
            return Ok(place);
        }
        let grant = self.granted(&path, false)?;
        let write = grant.reach == Reach::ReadWrite;
        let root = real(&grant.root.to_string_lossy())?;
        let mount = if write {
            Mount::write(&root, &root)
        } else {
            Mount::read(&root, &root)
        };
        Ok(Place {
            profile: Profile::Custom,
            workspace: place.workspace.clone(),
            private: place.private.clone(),
            mounts: place.mounts.into_iter().chain([mount]).collect(),
        })
    }

    fn make(&self, key: &Key, generation: u64, spec: &Value) -> Result<Place, Fault> {
        let profile = match spec.get("profile").and_then(Value::as_str) {
            Some("pure") => Profile::Pure,
            Some("read") => Profile::Read,
            Some("custom") => Profile::Custom,
            _ => Profile::Workspace,
        };
        let mut mounts = Vec::new();
        let (mut workspace, mut private) = (None, None);
        if profile == Profile::Workspace {
            let folder = match spec.get("workspace").and_then(Value::as_str) {
                Some(path) => {
                    let path = real(path)?;
                    self.granted(&path, true)?;
                    path
                }
                None => private.insert(self.private(key, generation)?).clone(),
            };
            mounts.push(Mount::write(&folder, WORK));
            workspace = Some(folder);
        }
        let folders = spec.get("folders").and_then(Value::as_array);
        for (number, folder) in folders.into_iter().flatten().enumerate() {
            let path = folder.get("path").and_then(Value::as_str).unwrap_or_default();
            let write = folder.get("write").and_then(Value::as_bool).unwrap_or(false);
            let path = real(path)?;
            self.granted(&path, write)?;
            let at = format!("{FOLDERS}/{}", number + 1);
            mounts.push(if write {
                Mount::write(path, at)
            } else {
                Mount::read(path, at)
            });
        }
        Ok(Place {
            profile,
            mounts,
            workspace,
            private,
        })
    }

    /// The grant that covers a real path.
    fn granted(&self, path: &Path, write: bool) -> Result<&FileGrant, Fault> {
        let hidden = self.grants.hidden.iter().any(|hidden| path.starts_with(hidden));
        let covers = |grant: &&FileGrant| {
            let root = std::fs::canonicalize(&grant.root);
            root.is_ok_and(|root| path.starts_with(root)) && (!write || grant.reach == Reach::ReadWrite)
        };
        let found = self.grants.files.iter().find(covers).filter(|_| !hidden);
        found.ok_or_else(|| {
            let what = if write { "to be written" } else { "to be read" };
            let message = format!("`{}` is beneath no folder that is granted {what}", path.display());
            Fault::new(ErrorCode::NotGranted, message)
                .with_hint("grant it when the daemon is started: `--grant-file /path:rw`")
        })
    }

    /// The name of the data directory in the folder that holds it.
    pub(crate) fn data_name(&self) -> Option<std::ffi::OsString> {
        self.data.file_name().map(ToOwned::to_owned)
    }

    /// The sort of warm process that fits a session, with where its folder goes. None where it sees a folder of the user,
    /// or has one of its own already.
    pub(super) fn sort(&self, key: &Key, session: &Session) -> Option<(Sort, Option<PathBuf>)> {
        let spec = session.spec_value();
        let text = |name: &str| spec.get(name).and_then(Value::as_str);
        if spec.get("folders").is_some() || text("workspace").is_some() {
            return None;
        }
        let shell = text("kind") == Some("shell");
        match text("profile") {
            Some("pure") => Some((
                Sort {
                    shell,
                    workspace: false,
                },
                None,
            )),
            Some("workspace") | None => {
                let folder = self.private_path(key, session.generation);
                let fresh = !folder.exists();
                fresh.then_some((
                    Sort {
                        shell,
                        workspace: true,
                    },
                    Some(folder),
                ))
            }
            Some(_) => None,
        }
    }

    /// Where warm processes have their folders. They are on the same file system as those of sessions.
    pub(crate) fn pool(&self) -> PathBuf {
        self.data.join(WORKSPACES).join(".pool")
    }

    fn private_path(&self, key: &Key, generation: u64) -> PathBuf {
        self.workspaces(key).join(format!("{}-{generation}", key.1))
    }

    fn workspaces(&self, key: &Key) -> PathBuf {
        self.data.join(WORKSPACES).join(key.0.as_str())
    }

    fn private(&self, key: &Key, generation: u64) -> Result<PathBuf, Fault> {
        let made = || -> io::Result<PathBuf> {
            let folder = self.private_path(key, generation);
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
            std::fs::canonicalize(&folder)
        };
        made().map_err(|error| {
            Fault::new(
                ErrorCode::Internal,
                format!("the session's folder cannot be made ({error})"),
            )
        })
    }

    /// Removes the private workspaces of a session that is gone, but not of one that was created under its id since.
    pub(crate) async fn forget(&self, key: &Key, alive: Option<u64>) {
        let (places, id) = (self.clone(), key.1.to_string());
        let folder = self.workspaces(key);
        let left = move |name: &str, generation| name == id && Some(generation) != alive;
        let taken = tokio::task::spawn_blocking(move || places.take(&folder, left)).await;
        if let Ok(Err(error)) = taken {
            tracing::warn!(%error, session = key.1.as_str(), "the folder of a deleted session is still there");
        }
        self.gone.empty_behind();
    }

    /// Removes the private workspaces of sessions that are in no history, and of warm processes: a daemon that was
    /// killed had no time to. To be called before the first session is started. Where one cannot be removed, that is
    /// logged, and nothing else comes of it.
    pub(crate) fn sweep(&self, state: &State) {
        let kept: BTreeSet<PathBuf> = state
            .sessions
            .iter()
            .map(|(key, row)| self.private_path(key, row.generation))
            .collect();
        let workspaces = folders(&self.data.join(WORKSPACES));
        let swept = workspaces.into_iter().flatten().map(|tenant| {
            if tenant == self.pool() {
                return self.gone.take(&tenant).map(|()| 0);
            }
            let left = |name: &str, generation| !kept.contains(&tenant.join(format!("{name}-{generation}")));
            self.take(&tenant, left)
        });
        let taken: usize = swept
            .map(|taken| {
                taken.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a folder of the run before is still there");
                    0
                })
            })
            .sum();
        if taken > 0 {
            tracing::info!(taken, "removed folders of sessions that are gone");
        }
        self.gone.empty_behind();
    }

    /// Takes away the workspaces in a folder whose session's id and generation are `gone`; how many. What is no workspace
    /// by its name, or no folder, stays.
    ///
    /// # Errors
    /// The first that hindered it, when it has taken what it could.
    fn take(&self, folder: &Path, gone: impl Fn(&str, u64) -> bool) -> io::Result<usize> {
        let (mut taken, mut first) = (0, Ok(()));
        for path in folders(folder)? {
            let name = path
                .file_name()
                .and_then(std::ffi::OsStr::to_str)
                .unwrap_or_default();
            let session = name.rsplit_once('-');
            let session = session.and_then(|(id, generation)| Some((id, generation.parse().ok()?)));
            if session.is_none_or(|(id, generation)| !gone(id, generation)) {
                continue;
            }
            match self.gone.take(&path) {
                Ok(()) => taken += 1,
                Err(error) => first = first.and(Err(error)),
            }
        }
        first.map(|()| taken)
    }
}

/// The folders in a folder, without links to some; none where it is not there, or is a link itself.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !is_folder(folder) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a folder is there itself, and not a link to one.
fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// A folder within a mount, mounted on itself. With its mount, rights are translated for its owner, so it must be the
/// owner of the whole.
fn held(mount: &Mount, part: &Path) -> Result<Mount, Fault> {
    let owner = |path: &Path| std::fs::metadata(path).map(|found| (found.uid(), found.gid()));
    let host = mount.host.join(part);
    match (owner(&mount.host), owner(&host)) {
        (Ok(of_all), Ok(of_part)) if of_all == of_part => Ok(Mount::write(host, mount.at.join(part))),
        _ => {
            let message = format!(
                "`{}` holds the daemon's own data in a folder of somebody else",
                mount.host.display()
            );
            Err(Fault::new(ErrorCode::NotGranted, message)
                .with_hint("keep the data elsewhere with --data, or name a smaller folder"))
        }
    }
}

/// A path without links, of a folder that is there.
fn real(path: &str) -> Result<PathBuf, Fault> {
    let wrong = |message: String| Err(Fault::new(ErrorCode::InvalidInput, message));
    if !Path::new(path).is_absolute() {
        return wrong(format!("expected the absolute path of a folder, got `{path}`"));
    }
    match std::fs::canonicalize(path) {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => wrong(format!("expected a folder, `{path}` is none")),
        Err(error) => wrong(format!("expected a folder, got `{path}` ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::SessionId;
    use actum_model::ids::Tenant;

    fn key() -> Key {
        (Tenant::main(), SessionId::parse("s").unwrap())
    }

    fn places(root: &Path, grant: &str) -> Places {
        let mut grants = Grants::default();
        grants
            .allow_files(&format!("{}:{grant}", root.join("open").display()))
            .unwrap();
        std::fs::create_dir_all(root.join("open/inner")).unwrap();
        std::fs::create_dir_all(root.join("closed")).unwrap();
        Places::new(root.join("data"), Arc::new(grants))
    }

    #[test]
    fn only_granted_folders_are_shown_and_links_do_not_help() {
        let root = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(root.path()).unwrap();
        let places = places(&base, "rw");
        std::os::unix::fs::symlink(base.join("closed"), base.join("open/link")).unwrap();
        let ask = |path: &str| places.make(&key(), 1, &json!({"workspace": base.join(path)}));
        let given = ask("open/inner").unwrap();
        assert_eq!(given.mounts, [Mount::write(base.join("open/inner"), WORK)]);
        for path in ["closed", "open/link", "open/../closed"] {
            assert_eq!(ask(path).unwrap_err().code, ErrorCode::NotGranted, "{path}");
        }
        assert_eq!(ask("nowhere").unwrap_err().code, ErrorCode::InvalidInput);
    }

    #[test]
    fn what_is_granted_to_be_read_is_not_written() {
        let root = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(root.path()).unwrap();
        let places = places(&base, "ro");
        let folder = |write: bool| json!({"profile": "custom", "folders": [{"path": base.join("open"), "write": write}]});
        assert!(places.make(&key(), 1, &folder(false)).is_ok());
        let refused = places.make(&key(), 1, &folder(true)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::NotGranted);
    }

    #[test]
    fn data_deep_inside_a_folder_is_covered_and_cannot_be_moved_away() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b/data")).unwrap();
        let places = Places::new(root.path().join("a/b/data"), Arc::new(Grants::default()));
        let here = |path: &str| root.path().join(path);
        let covers = places
            .cover(&[
                Mount::write(root.path(), "/shown"),
                Mount::read(here("a/c"), "/c"),
            ])
            .unwrap();
        assert_eq!(
            covers,
            [
                Mount::write(here("a/b"), "/shown/a/b"),
                Mount::write(here("a"), "/shown/a"),
                Mount::read(here("a/b/data/empty"), "/shown/a/b/data"),
            ]
        );
    }

    #[test]
    fn a_private_workspace_belongs_to_one_generation() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), "ro");
        let one = places.make(&key(), 1, &json!({"kind": "python"})).unwrap();
        let two = places.make(&key(), 2, &json!({"kind": "python"})).unwrap();
        assert_ne!(one.workspace, two.workspace);
        assert!(one.workspace.unwrap().is_dir());
        assert_eq!(
            places
                .make(&key(), 1, &json!({"profile": "pure"}))
                .unwrap()
                .mounts,
            []
        );
    }

    #[test]
    fn a_start_removes_the_workspaces_of_sessions_that_are_gone_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), "ro");
        let mut state = State::default();
        let of = |tenant: &str, id: &str| (Tenant::parse(tenant).unwrap(), SessionId::parse(id).unwrap());
        for (tenant, id, generation) in [("main", "s", 7), ("main", "dash-5", 3), ("other", "only", 2)] {
            let row = Session {
                generation,
                version: 0,
                created_at: 0,
                metadata: Default::default(),
                spec: None,
                worker: None,
                promises: Default::default(),
            };
            state.sessions.insert(of(tenant, id), row);
        }
        let all = root.path().join("data/workspaces");
        let stay = [
            "main/s-7",
            "main/dash-5-3",
            "other/only-2",
            "main/notes",
            "main/s-x",
        ];
        let go = [
            "main/s-6",
            "main/dash-5",
            "main/only-2",
            "other/s-7",
            "none/s-7",
            ".pool/0",
        ];
        for folder in stay.iter().chain(&go) {
            std::fs::create_dir_all(all.join(folder).join("inner")).unwrap();
        }
        std::fs::write(all.join("main/file-9"), "1").unwrap();
        let outside = root.path().join("outside/s-1");
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, all.join("main/link-4")).unwrap();
        std::os::unix::fs::symlink(root.path().join("outside"), all.join("linked")).unwrap();
        places.sweep(&state);
        for folder in stay.iter().chain(&["main/file-9", "main/link-4", "linked/s-1"]) {
            assert!(all.join(folder).exists(), "{folder}");
        }
        for folder in go {
            assert!(!all.join(folder).exists(), "{folder}");
        }
    }
}
