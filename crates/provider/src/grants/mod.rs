//! What the operator allows: folders, hosts, names of the environment, programs. Plain data, read from short texts
//! such as `/srv/data:rw` or `GET@api.example.com`, and written as the same texts.
//!
//! Nothing is allowed by default. Nothing here opens, resolves or reads anything.

mod file;
mod host;
mod text;

pub use file::{FileGrant, Reach};
pub(crate) use host::normal_url_host;
pub use host::{HostGrant, Pattern, Scheme, normal_host};
pub(crate) use text::{METHODS, shown};

use actum_model::{ErrorCode, Fault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

/// A text that is no grant. It says what was expected and what came.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadGrant(String);

impl BadGrant {
    fn new(sentence: impl Into<String>) -> BadGrant {
        BadGrant(sentence.into())
    }
}

/// All that is allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Grants {
    /// Folders, with what may be done beneath them.
    pub files: Vec<FileGrant>,
    /// Folders that stay out of reach also where a granted folder holds them: above all the daemon's own data.
    pub hidden: Vec<PathBuf>,
    /// Hosts that may be called.
    pub hosts: Vec<HostGrant>,
    /// Names of the environment that may be read.
    pub env: BTreeSet<String>,
    /// Programs that may be started, by name as found in `PATH` or by absolute path. Absent: the grants say nothing
    /// about programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<BTreeSet<String>>,
}

impl Grants {
    /// Allows a folder: `/path`, `/path:ro` or `/path:rw`.
    ///
    /// # Errors
    /// [`BadGrant`].
    pub fn allow_files(&mut self, text: &str) -> Result<(), BadGrant> {
        self.files.push(text.parse()?);
        Ok(())
    }

    /// Allows a host: `[METHOD,METHOD@]HOST[:PORT]`.
    ///
    /// # Errors
    /// [`BadGrant`].
    pub fn allow_host(&mut self, text: &str) -> Result<(), BadGrant> {
        self.hosts.push(text.parse()?);
        Ok(())
    }

    /// Allows reading one name of the environment.
    ///
    /// # Errors
    /// [`BadGrant`] for what cannot be such a name.
    pub fn allow_env(&mut self, name: &str) -> Result<(), BadGrant> {
        self.env.insert(text::env_name(name)?);
        Ok(())
    }

    /// Allows a program, and with the first one forbids all others.
    ///
    /// # Errors
    /// [`BadGrant`] for what is neither a name nor an absolute path.
    pub fn allow_program(&mut self, program: &str) -> Result<(), BadGrant> {
        let program = text::program(program)?;
        self.programs.get_or_insert_default().insert(program);
        Ok(())
    }

    /// Whether a program may be started, by the first of its arguments.
    ///
    /// # Errors
    /// `NOT_GRANTED`.
    pub fn check_program(&self, program: &str) -> Result<(), Fault> {
        match &self.programs {
            Some(programs) if !programs.contains(program) => Err(Fault::new(
                ErrorCode::NotGranted,
                format!("the program `{}` is not granted", shown(program)),
            )),
            _ => Ok(()),
        }
    }

    /// Whether a name of the environment may be read.
    ///
    /// # Errors
    /// `NOT_GRANTED`.
    pub fn check_env(&self, name: &str) -> Result<(), Fault> {
        if self.env.contains(name) {
            return Ok(());
        }
        let message = format!("the environment name `{}` is not granted", shown(name));
        Err(Fault::new(ErrorCode::NotGranted, message))
    }

    /// Whether a host may be called by this name. What it resolves to is another question:
    /// [`Grants::allows_address`].
    ///
    /// # Errors
    /// `NOT_GRANTED` where nothing of the kind is granted, `HOST_REFUSED` where other hosts, ports or methods are.
    pub fn check_host(&self, host: &str, port: u16, scheme: Scheme, method: &str) -> Result<(), Fault> {
        if self.hosts.is_empty() {
            let message = "no host is granted, so nothing can be fetched";
            return Err(Fault::new(ErrorCode::NotGranted, message));
        }
        let named: Vec<&HostGrant> = self.hosts.iter().filter(|grant| grant.names(host)).collect();
        if named.is_empty() {
            return Err(refused(format!("the host `{}` is not granted", shown(host))));
        }
        let reached: Vec<&&HostGrant> = named.iter().filter(|grant| grant.reaches(port, scheme)).collect();
        if reached.is_empty() {
            let host = shown(host);
            return Err(refused(format!(
                "port {port} of `{host}` is not granted for {scheme}"
            )));
        }
        match reached.iter().any(|grant| grant.lets(method)) {
            true => Ok(()),
            false => Err(refused(format!(
                "`{}` on `{}` is not granted",
                shown(method),
                shown(host)
            ))),
        }
    }

    /// Whether an address is granted itself, so that it may be called although it is not public.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr, port: u16, scheme: Scheme, method: &str) -> bool {
        let address = address.to_canonical();
        self.hosts.iter().any(|grant| {
            grant.pattern == Pattern::Address(address) && grant.reaches(port, scheme) && grant.lets(method)
        })
    }
}

fn refused(message: String) -> Fault {
    Fault::new(ErrorCode::HostRefused, message)
}
