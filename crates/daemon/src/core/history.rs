//! `server.history`: answered from the rebuildable index, brought up to the durable head first.

use super::handle::Published;
use actum_journal::Reader;
use actum_model::ids::Tenant;
use actum_model::{ErrorCode, Fault};
use serde_json::Value;
use std::path::Path;

/// The history of a data directory.
pub(crate) struct History {
    _reader: Reader,
}

impl History {
    pub(crate) fn open(_data: &Path, reader: Reader) -> std::io::Result<History> {
        Ok(History { _reader: reader })
    }

    pub(crate) fn query(&self, _tenant: &Tenant, _filter: &Value, _published: &Published) -> Result<Value, Fault> {
        Err(Fault::new(ErrorCode::Internal, "the index is not there yet"))
    }
}
