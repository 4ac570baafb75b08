//! Secrets by reference: files of the data directory, read for the dispatch and for nothing else.
//!
//! A reference is the text `$secret:NAME`, or the object `{"$secret": "NAME"}`. It stays in the history as it is.

use super::Secret;
use actum_model::{ErrorCode, Fault};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

/// Largest secret: what fits into one argument or variable.
const BYTES_MAX: u64 = actum_model::limits::ARGUMENT_BYTES_MAX as u64;
/// Longest name.
const NAME_CHARS_MAX: usize = 128;
const PREFIX: &str = "$secret:";

/// The folder of secrets, one file each, readable by the owner alone.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
}

impl Vault {
    /// The secrets in `folder`, which need not exist.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Vault {
        Vault {
            folder: folder.into(),
        }
    }

    /// The secret of this name: the content of its file, without one newline at its end.
    ///
    /// # Errors
    /// `SECRET_UNAVAILABLE` when there is none, when others may read it, or when it is no text.
    pub fn get(&self, name: &str) -> Result<String, Fault> {
        if !is_name(name) {
            let message = "expected the name of a secret (A-Z a-z 0-9 _ . -, not beginning with a dot)";
            return Err(unavailable(message.to_owned()));
        }
        let mut value = self.read(name)?;
        if value.ends_with('\n') {
            value.pop();
        }
        if value.is_empty() || value.contains('\0') {
            return Err(unavailable(format!(
                "secret `{name}`: expected text without NUL, got an empty or binary file"
            )));
        }
        Ok(value)
    }

    /// The hosts a secret is bound to: the lines of the file `NAME.hosts` beside it, `HOST` or `HOST:PORT` each. None
    /// where there is no such file.
    ///
    /// # Errors
    /// `SECRET_UNAVAILABLE` for what is no name, or a file that cannot be read.
    pub fn hosts(&self, name: &str) -> Result<Vec<String>, Fault> {
        if !is_name(name) {
            return Err(unavailable("expected the name of a secret".to_owned()));
        }
        let path = self.folder.join(format!("{name}.hosts"));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let lines = text.lines().map(str::trim);
                let hosts = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                Ok(hosts.map(str::to_lowercase).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(unavailable(format!(
                "`{}` cannot be read ({error})",
                path.display()
            ))),
        }
    }

    fn read(&self, name: &str) -> Result<String, Fault> {
        let path = self.folder.join(name);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => unavailable(format!(
                "no secret is named `{name}`: expected the file `{}`",
                path.display()
            )),
            _ => unavailable(format!("secret `{name}` cannot be read ({error})")),
        };
        // No link: it could lead to a file its owner never meant to give away.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path)
            .map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let mode = meta.mode() & 0o777;
        if !meta.is_file() || mode & 0o077 != 0 {
            let message = format!("secret `{name}`: expected a file of mode 0600, got mode {mode:04o}");
            return Err(unavailable(message).with_hint(format!("chmod 600 '{}'", path.display())));
        }
        if meta.len() > BYTES_MAX {
            return Err(unavailable(format!(
                "secret `{name}`: expected at most {BYTES_MAX} bytes, got {}",
                meta.len()
            )));
        }
        let mut value = String::new();
        file.take(BYTES_MAX).read_to_string(&mut value).map_err(failed)?;
        Ok(value)
    }
}

fn unavailable(message: String) -> Fault {
    let hint = "put the secret into `<data>/secrets/NAME`, mode 0600, and submit again under a new id";
    Fault::new(ErrorCode::SecretUnavailable, message).with_hint(hint)
}

/// Puts secrets in the place of their references, anywhere in a payload, and tells which: their values must be
/// taken out of the output too. It reads files: call it where blocking is allowed.
///
/// # Errors
/// Those of [`Vault::get`].
pub fn resolve(payload: &Value, vault: &Vault) -> Result<(Value, Vec<Secret>), Fault> {
    let (mut value, mut secrets) = (payload.clone(), Vec::new());
    fill(&mut value, vault, &mut secrets)?;
    Ok((value, secrets))
}

fn fill(value: &mut Value, vault: &Vault, secrets: &mut Vec<Secret>) -> Result<(), Fault> {
    if let Some(name) = reference(value) {
        let known = secrets.iter().find(|secret| secret.reference == name);
        let secret = match known {
            Some(secret) => secret.value.clone(),
            None => {
                let secret = vault.get(name)?;
                secrets.push(Secret::new(name, secret.clone()));
                secret
            }
        };
        *value = secret.into();
        return Ok(());
    }
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, vault, secrets)),
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|member| fill(member, vault, secrets)),
        _ => Ok(()),
    }
}

/// The name a value refers to.
fn reference(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => text.strip_prefix(PREFIX),
        Value::Object(members) if members.len() == 1 => members.get("$secret")?.as_str(),
        _ => None,
    }
}

/// Whether a value is a reference and not a secret.
pub(super) fn is_reference(value: &Value) -> bool {
    reference(value).is_some_and(is_name)
}

/// Whether this can name a secret. A leading dot is refused: `..` is a folder.
pub(super) fn is_name(name: &str) -> bool {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    plain && !name.is_empty() && name.len() <= NAME_CHARS_MAX && !name.starts_with('.')
}
