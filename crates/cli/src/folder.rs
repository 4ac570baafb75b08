//! Which folder a program or session gets: the one it is called from where the operator granted that, else a private
//! one. The daemon decides; here it is asked for, and said what came of it.

use crate::context::Context;
use crate::failure::{Failure, fault_of};
use crate::mint;
use crate::remote::{Remote, data_of};
use crate::shape::{number, text};
use actum_model::ErrorCode;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Flags about what a program sees of files.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FolderArgs {
    /// What it sees of files: nothing, this folder to read, or this folder to write [default: workspace]
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub(crate) profile: Option<Profile>,
    /// The folder it may write [default: this one where it is granted, else a private one]
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// Give it a private folder, also where this one is granted
    #[arg(long, conflicts_with = "workspace")]
    pub(crate) no_workspace: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    Pure,
    Read,
    Workspace,
}

/// What a session may see of files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Folder {
    /// A folder of the caller, to write.
    Own(PathBuf),
    /// The same, to read.
    ToRead(PathBuf),
    /// A folder of the session in the data directory.
    Private,
    /// None.
    Nothing,
}

impl FolderArgs {
    /// What to ask for, the best first. The second is asked for where the operator did not grant the first.
    pub(crate) fn choices(&self) -> Result<Vec<Folder>, Failure> {
        let named = match &self.workspace {
            Some(folder) => Some(absolute(folder)?),
            None => None,
        };
        let here = || std::env::current_dir().ok();
        Ok(match (self.profile, named) {
            (Some(Profile::Pure), None) => vec![Folder::Nothing],
            (Some(Profile::Pure), Some(_)) => {
                return Err(Failure::usage(
                    "--profile pure shows no folder, so --workspace cannot be meant",
                ));
            }
            (Some(Profile::Read), Some(folder)) => vec![Folder::ToRead(folder)],
            (Some(Profile::Read), None) => match here().filter(|_| !self.no_workspace) {
                Some(folder) => vec![Folder::ToRead(folder), Folder::Nothing],
                None => vec![Folder::Nothing],
            },
            (Some(Profile::Workspace) | None, Some(folder)) => vec![Folder::Own(folder)],
            (Some(Profile::Workspace) | None, None) => match here().filter(|_| !self.no_workspace) {
                Some(folder) => vec![Folder::Own(folder), Folder::Private],
                None => vec![Folder::Private],
            },
        })
    }

    /// Whether anything was said.
    pub(crate) fn is_given(&self) -> bool {
        self.profile.is_some() || self.workspace.is_some() || self.no_workspace
    }
}

fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(folder).map_err(|error| Failure::io("find", folder, &error))
}

impl Folder {
    /// Arguments of `session.create` that ask for it.
    pub(crate) fn arguments(&self) -> Map<String, Value> {
        let spec = match self {
            Folder::Own(folder) => json!({"workspace": folder}),
            Folder::ToRead(folder) => {
                json!({"profile": "read", "folders": [{"path": folder, "write": false}]})
            }
            Folder::Private => json!({}),
            Folder::Nothing => json!({"profile": "pure"}),
        };
        match spec {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The folder of the caller that it is about.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Folder::Own(folder) | Folder::ToRead(folder) => Some(folder),
            Folder::Private | Folder::Nothing => None,
        }
    }

    /// Why the daemon did not give it, where another can be asked for instead: before anything was started.
    pub(crate) fn refused(&self, answer: &Value) -> Option<String> {
        let path = self.path()?;
        let fault = fault_of(answer)?;
        let about = matches!(fault.code, ErrorCode::NotGranted | ErrorCode::InvalidInput)
            && fault.message.contains("folder");
        about.then(|| match fault.code {
            ErrorCode::NotGranted => format!("`{}` is not granted", path.display()),
            _ => format!("`{}` is no folder of the daemon's machine", path.display()),
        })
    }

    /// Where things were written, for people.
    pub(crate) fn told(&self, made: &Made, context: &Context) -> String {
        match self {
            Folder::Own(folder) => format!("wrote to {}", folder.display()),
            Folder::ToRead(folder) => format!("could read {} and write nothing", folder.display()),
            Folder::Nothing => "had no folder".to_owned(),
            Folder::Private => match made.private(context) {
                Some(folder) => format!("wrote to {}", folder.display()),
                None => format!("wrote to the private folder of session {}", made.session),
            },
        }
    }
}

/// A session that the command line made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) session: String,
    pub(crate) generation: u64,
}

impl Made {
    /// Makes a session of this kind with this folder.
    pub(crate) async fn new(
        remote: &Remote,
        session: String,
        kind: &str,
        folder: &Folder,
    ) -> Result<Made, Failure> {
        let mut payload = folder.arguments();
        payload.insert("kind".into(), kind.into());
        let id = mint::fresh("create")?;
        let envelope = json!({"type": "session.create", "id": id, "sessionId": session, "payload": payload});
        let made = data_of(remote.submit(&envelope).await?)?;
        Ok(Made {
            generation: number(&made, "generation").unwrap_or(0),
            session: text(&made, "sessionId").to_owned(),
        })
    }

    /// Deletes it, with its private folder. One that is gone already is as wanted.
    pub(crate) async fn delete(&self, remote: &Remote) -> Result<(), Failure> {
        let id = mint::fresh("close")?;
        let envelope = json!({"type": "session.delete", "id": id, "sessionId": self.session, "payload": {}});
        match fault_of(&remote.submit(&envelope).await?) {
            Some(fault) if fault.code != ErrorCode::SessionNotFound => Err(fault.into()),
            _ => Ok(()),
        }
    }

    /// Its private folder, where the data directory is of this machine.
    fn private(&self, context: &Context) -> Option<PathBuf> {
        if !context.data_is_local() {
            return None;
        }
        let name = format!("{}-{}", self.session, self.generation);
        let tenants = std::fs::read_dir(context.data.join("workspaces")).ok()?;
        let found = tenants
            .filter_map(|tenant| Some(tenant.ok()?.path().join(&name)))
            .find(|folder| folder.is_dir())?;
        std::fs::canonicalize(found).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_named_has_no_substitute() {
        let named = FolderArgs {
            workspace: Some("/srv/x".into()),
            ..FolderArgs::default()
        };
        assert_eq!(named.choices().unwrap(), [Folder::Own("/srv/x".into())]);
        let here = FolderArgs::default().choices().unwrap();
        assert_eq!(here.last(), Some(&Folder::Private));
        assert_eq!(here.len(), 2);
        let pure = FolderArgs {
            profile: Some(Profile::Pure),
            ..named
        };
        assert!(pure.choices().is_err());
    }

    #[test]
    fn only_a_refusal_of_the_folder_leads_to_another() {
        let folder = Folder::Own("/srv/x".into());
        let answer = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
        assert!(
            folder
                .refused(&answer(
                    "NOT_GRANTED",
                    "`/srv/x` is beneath no folder that is granted"
                ))
                .is_some()
        );
        assert!(
            folder
                .refused(&answer("NOT_GRANTED", "the program `rm` is not granted"))
                .is_none()
        );
        assert!(folder.refused(&answer("COMMAND_FAILED", "folder")).is_none());
        assert!(
            Folder::Private
                .refused(&answer("NOT_GRANTED", "folder"))
                .is_none()
        );
    }
}
