//! Named bearer tokens: the file `<data>/tokens.json`, which holds their hashes and never the tokens.
//!
//! The file is read again whenever it changed, so a revocation needs no restart. It does not journal anything:
//! who acted is in the journal by name, and a name outlives its token.

use super::RESERVED_NAMES;
use actum_model::Caller;
use actum_model::error::{ErrorCode, Fault};
use actum_model::hash::Hash;
use actum_model::ids::{Principal, Tenant};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE_NAME: &str = "tokens.json";
const FORMAT_VERSION: u32 = 1;
/// What every token begins with, so that secret scanners know it.
const PREFIX: &str = "actum_";
/// Random bytes of a token: nobody guesses 256 bits, so a plain SHA-256 protects it.
const TOKEN_BYTES: usize = 32;
/// Largest token file read. A token takes about 200 bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A token as the file keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenEntry {
    /// Its name, which is the principal of its bearer.
    pub name: String,
    /// The tenant of its bearer.
    pub tenant: String,
    /// SHA-256 of the token's text, 64 hex digits.
    pub sha256: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: u64,
}

/// A token that was just made. Its text is shown once and kept nowhere.
#[derive(Debug)]
pub struct Created {
    /// The token.
    pub token: String,
    /// What the file keeps of it.
    pub entry: TokenEntry,
}

impl TokenEntry {
    /// The caller that its bearer is.
    pub(super) fn caller(&self) -> Result<Caller, Fault> {
        let broken = |error| internal(&format!("the token `{}` has a bad name: {error}", self.name));
        Ok(Caller {
            tenant: Tenant::parse(&self.tenant).map_err(broken)?,
            principal: Principal::parse(&self.name).map_err(broken)?,
            exec: None,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    version: u32,
    tokens: Vec<TokenEntry>,
}

/// Makes a token for `name` in `tenant`.
///
/// # Errors
/// `INVALID_INPUT` where a name is bad, reserved or in use; `INTERNAL` where the file cannot be written.
pub fn create(data: &Path, name: &str, tenant: &str) -> Result<Created, Fault> {
    let bad = |what: &str, error: &dyn std::fmt::Display| {
        Fault::new(ErrorCode::InvalidInput, format!("{what}: {error}"))
    };
    Principal::parse(name).map_err(|error| bad("the name of the token", &error))?;
    Tenant::parse(tenant).map_err(|error| bad("the tenant of the token", &error))?;
    if RESERVED_NAMES.contains(&name) {
        return Err(bad(
            "the name of the token",
            &format!("`{name}` is reserved for callers without one"),
        ));
    }
    std::fs::create_dir_all(data).map_err(|error| failed("create", data, &error))?;
    let _lock = lock(data)?;
    let mut entries = read(&data.join(FILE_NAME))?;
    if entries.iter().any(|entry| entry.name == name) {
        let fault = bad(
            "the name of the token",
            &format!("a token `{name}` exists already"),
        );
        return Err(fault.with_hint(format!(
            "choose another name, or revoke it with `actum token revoke {name}`"
        )));
    }
    let token = random_token()?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let entry = TokenEntry {
        name: name.to_owned(),
        tenant: tenant.to_owned(),
        sha256: Hash::of(token.as_bytes()).to_string(),
        created_at_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
    };
    entries.push(entry.clone());
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    write(data, entries)?;
    Ok(Created { token, entry })
}

/// The tokens there are, ascending by name.
///
/// # Errors
/// `INTERNAL` where the file cannot be read.
pub fn list(data: &Path) -> Result<Vec<TokenEntry>, Fault> {
    read(&data.join(FILE_NAME))
}

/// Revokes the token `name`. Connections opened with it are closed by the running daemon.
///
/// # Errors
/// `NOT_FOUND` where there is none; `INTERNAL` where the file cannot be written.
pub fn revoke(data: &Path, name: &str) -> Result<TokenEntry, Fault> {
    let missing = || {
        let hint = "tokens are listed by `actum token list`";
        Fault::new(ErrorCode::NotFound, format!("no token is named `{name}`")).with_hint(hint)
    };
    if !data.join(FILE_NAME).exists() {
        return Err(missing());
    }
    let _lock = lock(data)?;
    let mut entries = read(&data.join(FILE_NAME))?;
    let at = entries
        .iter()
        .position(|entry| entry.name == name)
        .ok_or_else(missing)?;
    let gone = entries.remove(at);
    write(data, entries)?;
    Ok(gone)
}

/// The token file as a running daemon sees it.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    entries: Arc<Vec<(Hash, TokenEntry)>>,
}

/// What tells one state of the file from another: each rewrite is a rename, so the inode changes too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl TokenFile {
    pub(super) fn of(data: &Path) -> TokenFile {
        TokenFile {
            path: data.join(FILE_NAME),
            seen: Mutex::default(),
        }
    }

    /// The tokens in the file as it is now.
    pub(super) fn entries(&self) -> Result<Arc<Vec<(Hash, TokenEntry)>>, Fault> {
        let stamp = match std::fs::metadata(&self.path) {
            Ok(found) => Some(Stamp {
                inode: found.ino(),
                bytes: found.len(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("look at", &self.path, &error)),
        };
        let mut seen = held(&self.seen);
        if seen.stamp != stamp {
            let entries = read(&self.path)?;
            let mut parsed = Vec::with_capacity(entries.len());
            for entry in entries {
                let hash = entry.sha256.parse::<Hash>();
                let hash =
                    hash.map_err(|_| internal(&format!("the token `{}` has a bad hash", entry.name)))?;
                parsed.push((hash, entry));
            }
            *seen = Seen {
                stamp,
                entries: Arc::new(parsed),
            };
        }
        Ok(Arc::clone(&seen.entries))
    }

    /// The token with this hash. Takes the same time wherever it stands and whether it is there.
    pub(super) fn find(&self, hash: &Hash) -> Result<Option<TokenEntry>, Fault> {
        let entries = self.entries()?;
        let mut found = None;
        for (known, entry) in entries.iter() {
            if same(known, hash) {
                found = Some(entry);
            }
        }
        Ok(found.cloned())
    }
}

/// Compares without stopping at the first difference.
pub(super) fn same(a: &Hash, b: &Hash) -> bool {
    let difference = a.0.iter().zip(b.0.iter()).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn held(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // What stands behind the lock is replaced in one assignment, so it is whole even after a panic.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random_token() -> Result<String, Fault> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| internal(&format!("no random bytes: {error}")))?;
    Ok(format!("{PREFIX}{}", base64url(&bytes)))
}

/// RFC 4648 base64url without padding.
pub(super) fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            let six = (bits >> (18 - 6 * at)) & 63;
            out.push(ALPHABET.get(six as usize).map_or('A', |c| char::from(*c)));
        }
    }
    out
}

fn lock(data: &Path) -> Result<File, Fault> {
    let path = data.join("tokens.lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options
        .open(&path)
        .map_err(|error| failed("open", &path, &error))?;
    file.lock().map_err(|error| failed("lock", &path, &error))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Vec<TokenEntry>, Fault> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("look at", path, &error)),
    };
    if found.mode() & 0o022 != 0 {
        let message = format!("`{}` can be written by others than its owner", path.display());
        return Err(internal(&message).with_hint("set its mode to 0600 and look through its entries"));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(internal(&format!(
            "`{}` is larger than {FILE_BYTES_MAX} bytes",
            path.display()
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| failed("read", path, &error))?;
    let on_disk: OnDisk = serde_json::from_slice(&bytes).map_err(|error| failed("read", path, &error))?;
    if on_disk.version != FORMAT_VERSION {
        let message = format!(
            "expected version {FORMAT_VERSION} in `{}`, got {}",
            path.display(),
            on_disk.version
        );
        return Err(internal(&message));
    }
    Ok(on_disk.tokens)
}

/// Writes aside, syncs, renames, syncs the directory: a crash leaves the old file or the new one.
fn write(data: &Path, tokens: Vec<TokenEntry>) -> Result<(), Fault> {
    let path = data.join(FILE_NAME);
    let aside = data.join("tokens.json.new");
    let on_disk = OnDisk {
        version: FORMAT_VERSION,
        tokens,
    };
    let mut text = serde_json::to_string_pretty(&on_disk).map_err(|error| failed("write", &path, &error))?;
    text.push('\n');
    let done = (|| {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&aside)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)?;
        File::open(data)?.sync_all()
    })();
    done.map_err(|error: std::io::Error| failed("write", &path, &error))
}

fn failed(verb: &str, path: &Path, error: &dyn std::fmt::Display) -> Fault {
    internal(&format!("could not {verb} `{}`: {error}", path.display()))
}

fn internal(message: &str) -> Fault {
    Fault::new(ErrorCode::Internal, message).with_hint("check the permissions of the data directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_once_and_kept_as_a_hash() {
        let data = tempfile::tempdir().unwrap();
        let made = create(data.path(), "ci", "main").unwrap();
        assert_eq!(made.token.len(), PREFIX.len() + 43);
        let path = data.path().join(FILE_NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&made.token));
        assert!(text.contains(&Hash::of(made.token.as_bytes()).to_string()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(list(data.path()).unwrap(), vec![made.entry]);
    }

    #[test]
    fn names_are_unique_and_some_are_reserved() {
        let data = tempfile::tempdir().unwrap();
        create(data.path(), "ci", "main").unwrap();
        for name in ["ci", "dev", "stdio", "", "a b", "a:b"] {
            assert_eq!(
                create(data.path(), name, "main").unwrap_err().code,
                ErrorCode::InvalidInput
            );
        }
        assert_eq!(
            revoke(data.path(), "nobody").unwrap_err().code,
            ErrorCode::NotFound
        );
        assert_eq!(list(data.path()).unwrap().len(), 1);
    }

    #[test]
    fn the_file_is_read_again_when_it_changed() {
        let data = tempfile::tempdir().unwrap();
        let file = TokenFile::of(data.path());
        assert!(file.entries().unwrap().is_empty());
        let first = create(data.path(), "a", "main").unwrap();
        let second = create(data.path(), "b", "main").unwrap();
        let hash = |made: &Created| Hash::of(made.token.as_bytes());
        assert_eq!(file.find(&hash(&first)).unwrap(), Some(first.entry.clone()));
        revoke(data.path(), "a").unwrap();
        assert_eq!(file.find(&hash(&first)).unwrap(), None);
        assert_eq!(file.find(&hash(&second)).unwrap(), Some(second.entry.clone()));
    }

    #[test]
    fn a_file_others_can_write_or_nobody_can_read_lets_nobody_in() {
        let data = tempfile::tempdir().unwrap();
        let made = create(data.path(), "a", "main").unwrap();
        let path = data.path().join(FILE_NAME);
        let file = TokenFile::of(data.path());
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(file.find(&Hash::of(made.token.as_bytes())).is_err());
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(file.find(&Hash::of(made.token.as_bytes())).is_err());
    }

    #[test]
    fn base64url_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
        ] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xff, 0xfe, 0xfd]), "__79");
    }
}
