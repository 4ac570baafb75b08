//! What works on a data directory without its daemon: a copy, a backup, or one in use that is only read.

pub(crate) mod blobs;
pub(crate) mod rows;
pub(crate) mod step;
pub(crate) mod walk;

use crate::context::Context;
use crate::daemon_file;
use crate::failure::Failure;
use actum_journal::FileStorage;
use actum_model::ErrorCode;

/// A data directory opened to be read.
pub(crate) struct Reading {
    pub(crate) storage: FileStorage,
    /// A daemon may be writing to it meanwhile.
    pub(crate) growing: bool,
}

/// Opens the data directory to read it; takes no lock and changes nothing.
pub(crate) fn reading(context: &Context) -> Result<Reading, Failure> {
    let journal = context.data.join("journal");
    if !journal.is_dir() {
        let message = format!("`{}` holds no journal", context.data.display());
        return Err(Failure::new(ErrorCode::DataMissing, message));
    }
    Ok(Reading {
        storage: FileStorage::open_to_read(&context.data)?,
        growing: daemon_file::holder(&context.data).is_some(),
    })
}

/// Opens the data directory to change it; refuses while another process holds it.
pub(crate) fn writing(context: &Context) -> Result<FileStorage, Failure> {
    reading(context)?;
    Ok(FileStorage::open(&context.data)?)
}
