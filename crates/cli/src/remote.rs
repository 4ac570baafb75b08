//! Calls to the daemon, as the commands of the command line make them.

use crate::context::Context;
use crate::failure::{Failure, fault_of};
use actum_client::Client;
use actum_model::ErrorCode;
use serde_json::{Value, json};
use std::future::Future;

/// Runs `work` to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(ErrorCode::Internal, format!("no runtime: {error}")))?;
    runtime.block_on(work)
}

/// A daemon.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) client: Client,
}

impl Remote {
    /// Finds and reaches the daemon.
    pub(crate) async fn connect(context: &Context) -> Result<Remote, Failure> {
        let url = context.daemon_url()?;
        let client = Client::connect(&url, context.token.as_deref()).await?;
        Ok(Remote { client })
    }

    /// Submits an envelope. The response may say that it failed.
    pub(crate) async fn submit(&self, envelope: &Value) -> Result<Value, Failure> {
        Ok(self.client.submit(envelope).await?)
    }

    /// Calls a kind that is answered at once and gives its `data`.
    pub(crate) async fn read(&self, kind: &str, payload: Value) -> Result<Value, Failure> {
        data_of(self.submit(&json!({"type": kind, "payload": payload})).await?)
    }

    /// The same for a kind that lists: `limit` rows, behind the one that `after` names.
    pub(crate) async fn page(&self, kind: &str, limit: u64, after: Option<&str>) -> Result<Value, Failure> {
        let mut payload = json!({"limit": limit});
        if let (Some(after), Value::Object(members)) = (after, &mut payload) {
            members.insert("after".into(), after.into());
        }
        self.read(kind, payload).await
    }

    /// The same for a kind that names a session.
    pub(crate) async fn read_session(&self, kind: &str, session: &str) -> Result<Value, Failure> {
        data_of(
            self.submit(&json!({"type": kind, "sessionId": session, "payload": {}}))
                .await?,
        )
    }
}

/// The `data` of a response, or its fault.
pub(crate) fn data_of(mut response: Value) -> Result<Value, Failure> {
    if let Some(fault) = fault_of(&response) {
        return Err(fault.into());
    }
    Ok(response.get_mut("data").map(Value::take).unwrap_or_default())
}
