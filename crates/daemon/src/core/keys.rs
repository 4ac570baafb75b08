//! The realm's keys and ids: made once, kept under `keys/` with mode 0600, never journaled.

use actum_model::envelope::Caller;
use actum_model::ids::Tenant;
use actum_model::{Envelope, Hash};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const KEY_BYTES: usize = 32;

/// What a data directory keeps secret.
#[derive(Clone)]
pub struct DataKeys {
    mac: Hmac<Sha256>,
    /// The realm id a new journal gets.
    pub realm: [u8; 16],
}

/// Fills an array from the system's random source.
///
/// # Errors
/// When the source cannot be read.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut out = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut out)?;
    Ok(out)
}

impl DataKeys {
    /// Reads the keys of a data directory, making them if it is new.
    ///
    /// # Errors
    /// When they cannot be read or written, or have the wrong length.
    pub fn open(data: &Path) -> io::Result<DataKeys> {
        let folder = data.join("keys");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let key: [u8; KEY_BYTES] = read_or_make(&folder.join("realm.key"))?;
        let realm: [u8; 16] = read_or_make(&folder.join("realm.id"))?;
        let mac = Hmac::<Sha256>::new_from_slice(&key).map_err(io::Error::other)?;
        std::fs::File::open(&folder)?.sync_all()?;
        Ok(DataKeys { mac, realm })
    }

    /// What stands for the name of a subject of personal values wherever it is written: without the realm's key
    /// nobody can tell by trying names.
    #[must_use]
    pub fn subject(&self, tenant: &Tenant, name: &str) -> Hash {
        self.keyed(&[b"actum/subject/v1", tenant.as_str().as_bytes(), name.as_bytes()])
    }

    /// The same for the name of a tenant.
    #[must_use]
    pub fn tenant(&self, tenant: &Tenant) -> Hash {
        self.keyed(&[b"actum/tenant/v1", tenant.as_str().as_bytes()])
    }

    fn keyed(&self, parts: &[&[u8]]) -> Hash {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Hash(mac.finalize().into_bytes().into())
    }

    /// The identity fingerprint: HMAC-SHA-256 under the realm's key over the canonical envelope before
    /// redaction and who sent it. Plain hashes of secrets could be guessed (D14). The id, the key and what
    /// only concerns the answer are not part of it.
    #[must_use]
    pub fn fingerprint(&self, caller: &Caller, envelope: &Envelope) -> Hash {
        let mut mac = self.mac.clone();
        let mut part = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        part(b"actum/fingerprint/v1");
        part(caller.tenant.as_str().as_bytes());
        part(caller.principal.as_str().as_bytes());
        part(envelope.kind.as_str().as_bytes());
        part(envelope.session.as_ref().map_or("", |id| id.as_str()).as_bytes());
        part(envelope.payload.as_str().as_bytes());
        part(envelope.retry_of.as_ref().map_or("", |id| id.as_str()).as_bytes());
        let number = |value: Option<u64>| value.map_or([0xff; 8], u64::to_be_bytes);
        part(&number(envelope.if_version.map(|asked| asked.version)));
        part(&number(envelope.if_version.and_then(|asked| asked.generation)));
        part(&number(envelope.timeout_ms));
        part(&number(envelope.queue_timeout_ms));
        for id in &envelope.depends_on {
            part(id.as_str().as_bytes());
        }
        Hash(mac.finalize().into_bytes().into())
    }
}

fn read_or_make<const N: usize>(path: &Path) -> io::Result<[u8; N]> {
    match std::fs::read(path) {
        Ok(bytes) => bytes.as_slice().try_into().map_err(|_| {
            io::Error::other(format!(
                "{} has {} bytes, expected {N}",
                path.display(),
                bytes.len()
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = random_bytes::<N>()?;
            let aside = path.with_extension("new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&aside)?;
            file.write_all(&made)?;
            file.sync_all()?;
            std::fs::rename(&aside, path)?;
            Ok(made)
        }
        Err(error) => Err(error),
    }
}
