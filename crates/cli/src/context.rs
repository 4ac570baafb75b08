//! What every command of the command line knows: the data directory, the daemon's address, how to write.

use crate::daemon_file;
use crate::failure::Failure;
use crate::print::{Format, Out};
use actum_model::ErrorCode;
use clap::Args;
use std::path::PathBuf;

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The data directory [default: $ACTUM_DATA, else ./.actum]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) data: Option<PathBuf>,
    /// The daemon's address [default: $ACTUM_URL, else that of the daemon over --data]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) url: Option<String>,
    /// The token to call with [default: $ACTUM_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Global options")]
    pub(crate) token: Option<String>,
    /// How results are written
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub(crate) output: Option<Format>,
    /// Short for --output json
    #[arg(
        long,
        global = true,
        conflicts_with = "output",
        help_heading = "Global options"
    )]
    pub(crate) json: bool,
}

/// See the head of the file.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Where the daemon answers, where that was said.
    pub(crate) url: Option<String>,
    /// What to call with.
    pub(crate) token: Option<String>,
    /// Where and how to write.
    pub(crate) out: Out,
}

fn from_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Context {
    pub(crate) fn new(global: Global) -> Context {
        let format = match global.output {
            Some(format) => format,
            None if global.json => Format::Json,
            None => Format::Human,
        };
        let data = global.data.or_else(|| from_env("ACTUM_DATA").map(PathBuf::from));
        Context {
            data: data.unwrap_or_else(|| PathBuf::from(".actum")),
            url: global.url.or_else(|| from_env("ACTUM_URL")),
            token: global.token.or_else(|| from_env("ACTUM_TOKEN")),
            out: Out::new(format),
        }
    }

    /// The address of the daemon.
    pub(crate) fn daemon_url(&self) -> Result<String, Failure> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let data = self.data.display();
        match daemon_file::read(&self.data) {
            Some(file) if daemon_file::alive(file.pid) => Ok(file.url),
            Some(file) => {
                let message = format!("the daemon over `{data}` (pid {}) ended without a word", file.pid);
                Err(Failure::new(ErrorCode::DaemonUnreachable, message))
            }
            None => Err(Failure::new(
                ErrorCode::DaemonUnreachable,
                format!("no daemon runs over `{data}`"),
            )),
        }
    }

    /// Whether the daemon that is asked works on the data directory named here.
    pub(crate) fn data_is_local(&self) -> bool {
        match (&self.url, daemon_file::read(&self.data)) {
            (None, _) => true,
            (Some(url), Some(file)) => *url == file.url && daemon_file::alive(file.pid),
            (Some(_), None) => false,
        }
    }
}
