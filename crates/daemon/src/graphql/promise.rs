//! Durable promises: read, made, settled, waited for.

use super::inputs::{self, PageInput, cost};
use super::moment::{Moment, moment};
use super::mutation::{Names, submit};
use super::scalars::{AnyJson, U64};
use super::types::Submitted;
use actum_kernel::read;
use actum_model::ids::CommandId;
use actum_model::{ErrorCode, Fault};
use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription};
use futures_util::Stream;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::watch;

/// Where a promise stands. What is settled never changes.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromiseState {
    /// It is still to come.
    Pending,
    /// It has its value.
    Resolved,
    /// Somebody settled it with an error.
    Rejected,
    /// Its time ran out.
    TimedOut,
    /// It was given up, or what it belonged to ended.
    Cancelled,
}

impl PromiseState {
    const ALL: [(&'static str, PromiseState); 5] = [
        ("pending", PromiseState::Pending),
        ("resolved", PromiseState::Resolved),
        ("rejected", PromiseState::Rejected),
        ("timed_out", PromiseState::TimedOut),
        ("cancelled", PromiseState::Cancelled),
    ];

    fn name(self) -> &'static str {
        let found = PromiseState::ALL.iter().find(|(_, state)| *state == self);
        found.map_or("pending", |(name, _)| name)
    }
}

/// A value that is still to come, on record, so that it outlives whoever waits for it.
pub(crate) struct Promise(Value);

impl Promise {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn json(&self, name: &str) -> Option<AnyJson> {
        self.0.get(name).cloned().map(AnyJson)
    }
}

/// A value that is still to come, on record, so that it outlives whoever waits for it.
#[Object]
impl Promise {
    /// Its id. Every command is a promise too: `exec:` and its id.
    async fn id(&self) -> ID {
        ID(self.text("promiseId").unwrap_or_default())
    }

    /// Where it stands.
    async fn state(&self) -> PromiseState {
        let word = self.text("state").unwrap_or_default();
        let found = PromiseState::ALL.iter().find(|(name, _)| *name == word);
        found.map_or(PromiseState::Pending, |(_, state)| *state)
    }

    /// When it was made, history time, RFC 3339.
    async fn created_at(&self) -> Option<String> {
        self.text("createdAt")
    }

    /// Who made it.
    async fn principal(&self) -> Option<String> {
        self.text("principal")
    }

    /// The session it belongs to: with its end, it is cancelled.
    async fn session_id(&self) -> Option<ID> {
        self.text("sessionId").map(ID)
    }

    /// When it is rejected, history time, RFC 3339.
    async fn timeout_at(&self) -> Option<String> {
        self.text("timeoutAt")
    }

    /// Words to find it by.
    async fn tags(&self) -> Option<AnyJson> {
        self.json("tags")
    }

    /// Its value.
    async fn value(&self) -> Option<AnyJson> {
        self.json("value")
    }

    /// Its error: code, message, hint.
    async fn error(&self) -> Option<AnyJson> {
        self.json("error")
    }

    /// When it was settled, history time, RFC 3339.
    async fn settled_at(&self) -> Option<String> {
        self.text("settledAt")
    }

    /// Who settled it; null where time or an end did.
    async fn settled_by(&self) -> Option<String> {
        self.text("settledBy")
    }
}

/// A promise that was made or settled.
#[derive(SimpleObject)]
pub(crate) struct PromisePayload {
    /// The promise.
    promise: Promise,
    /// Whether this was answered from the record, because it had been done before.
    replayed: bool,
    /// The command that did it.
    command: Submitted,
}

/// A promise to be made.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct CreatePromiseInput {
    /// Its id; one is made if it is not given.
    promise_id: Option<ID>,
    /// After how long it is rejected, milliseconds of history time.
    timeout_ms: Option<U64>,
    /// When it is rejected instead, RFC 3339.
    timeout_at: Option<String>,
    /// Words to find it by, an object of texts.
    tags: Option<AnyJson>,
}

/// What can be read of promises.
#[derive(Default)]
pub(crate) struct PromiseQuery;

/// What can be read of promises.
#[Object]
impl PromiseQuery {
    /// A promise. `PROMISE_NOT_FOUND` where none has the id, or it is no longer kept.
    async fn promise(&self, ctx: &Context<'_>, #[graphql(desc = "Its id.")] id: ID) -> Result<Promise> {
        let moment = moment(ctx)?;
        let id = named(&id)?;
        let found = read::promise(&moment.published.state, moment.tenant(), &id)?;
        Ok(Promise(found))
    }

    /// Promises by id. Go on behind the last id.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn promises(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that stand so.")] state: Option<PromiseState>,
        #[graphql(desc = "Only those that have all of these words, an object of texts.")] tags: Option<
            AnyJson,
        >,
        #[graphql(desc = "Only those whose id begins so.")] prefix: Option<String>,
        #[graphql(desc = "Only those of this session.")] session_id: Option<ID>,
        #[graphql(desc = "Which part of them; `after` is the id of a promise.")] page: Option<PageInput>,
    ) -> Result<Vec<Promise>> {
        let moment = moment(ctx)?;
        let page = inputs::page(page.as_ref(), |text| CommandId::parse_any(text).ok())?;
        let members = [
            ("state", state.map(|state| state.name().into())),
            ("tags", tags.map(|tags| tags.0)),
            ("prefix", prefix.map(Value::from)),
            ("sessionId", session_id.map(|id| id.0.into())),
        ];
        let mut asked = given(members);
        let mut found = Vec::new();
        let mut after = page.after.map(|id| id.to_string());
        // A search looks at so many rows at a time; what is asked for is a page.
        loop {
            if let Some(after) = &after {
                asked.insert("after".into(), after.as_str().into());
            }
            let wanted = page.first - found.len();
            let state = &moment.published.state;
            let rows = read::promises(state, moment.tenant(), &Value::Object(asked.clone()), wanted);
            let promises = rows.get("promises").and_then(Value::as_array);
            found.extend(promises.into_iter().flatten().cloned().map(Promise));
            after = rows.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            if after.is_none() || found.len() >= page.first {
                return Ok(found);
            }
        }
    }
}

/// What can be changed of promises.
#[derive(Default)]
pub(crate) struct PromiseMutation;

/// What can be changed of promises.
#[Object]
impl PromiseMutation {
    /// Makes a promise. `PROMISE_EXISTS` where one with its id is kept.
    async fn create_promise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The promise.")] input: CreatePromiseInput,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
    ) -> Result<PromisePayload> {
        let members = [
            ("promiseId", input.promise_id.map(|id| id.0.into())),
            ("timeoutMs", input.timeout_ms.map(|ms| ms.0.into())),
            ("timeoutAt", input.timeout_at.map(Value::from)),
            ("tags", input.tags.map(|tags| tags.0)),
        ];
        done(ctx, "promise.create", given(members), id).await
    }

    /// Settles a promise with its value. The same again is answered with what is there; else `PROMISE_SETTLED`.
    async fn resolve_promise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The promise.")] promise_id: ID,
        #[graphql(desc = "The value; null if it is not given.")] value: Option<AnyJson>,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
    ) -> Result<PromisePayload> {
        let members = [
            ("promiseId", Some(promise_id.0.into())),
            ("value", value.map(|value| value.0)),
        ];
        done(ctx, "promise.resolve", given(members), id).await
    }

    /// Settles a promise with an error.
    async fn reject_promise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The promise.")] promise_id: ID,
        #[graphql(desc = "What went wrong.")] message: String,
        #[graphql(desc = "More about it.")] value: Option<AnyJson>,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
    ) -> Result<PromisePayload> {
        let members = [
            ("promiseId", Some(promise_id.0.into())),
            ("message", Some(message.into())),
            ("value", value.map(|value| value.0)),
        ];
        done(ctx, "promise.reject", given(members), id).await
    }

    /// Gives a promise up.
    async fn cancel_promise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The promise.")] promise_id: ID,
        #[graphql(desc = "Why.")] reason: Option<String>,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
    ) -> Result<PromisePayload> {
        let members = [
            ("promiseId", Some(promise_id.0.into())),
            ("reason", reason.map(Value::from)),
        ];
        done(ctx, "promise.cancel", given(members), id).await
    }
}

async fn done(
    ctx: &Context<'_>,
    kind: &'static str,
    payload: Map<String, Value>,
    id: Option<ID>,
) -> Result<PromisePayload> {
    let names = Names {
        id,
        key: None,
        correlation: None,
    };
    let done = submit(moment(ctx)?, kind, Value::Object(payload), names).await?;
    Ok(PromisePayload {
        replayed: done.response.replayed,
        command: done.command(),
        promise: Promise(done.receipt),
    })
}

fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn named(id: &ID) -> Result<CommandId, Fault> {
    CommandId::parse_any(id).map_err(|error| Fault::new(ErrorCode::InvalidInput, error.to_string()))
}

/// What can be followed of promises.
#[derive(Default)]
pub(crate) struct PromiseSubscription;

/// What can be followed of promises.
#[Subscription]
impl PromiseSubscription {
    /// A promise as it stands, and once more when it is settled; then it ends.
    async fn promise(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Promise>> + use<>> {
        let moment = Arc::clone(moment(ctx)?);
        let follower = Follower {
            id: named(&id)?,
            heads: moment.core.heads(),
            moment,
            told: false,
        };
        Ok(futures_util::stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some((found, true))) => Some((Ok(Promise(found)), None)),
                Ok(Some((found, false))) => Some((Ok(Promise(found)), Some(follower))),
                Ok(None) => None,
                Err(fault) => Some((Err(fault.into()), None)),
            }
        }))
    }
}

/// Looks at a promise in the published states.
struct Follower {
    moment: Arc<Moment>,
    id: CommandId,
    heads: watch::Receiver<u64>,
    /// Whether it was told as pending.
    told: bool,
}

impl Follower {
    /// The promise, and whether it is settled; nothing once the daemon ends.
    async fn next(&mut self) -> Result<Option<(Value, bool)>, Fault> {
        loop {
            self.heads.mark_unchanged();
            let published = self.moment.core.published();
            let found = read::promise(&published.state, self.moment.tenant(), &self.id)?;
            let settled = read::is_settled(&found);
            if settled || !std::mem::replace(&mut self.told, true) {
                return Ok(Some((found, settled)));
            }
            if self.heads.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}
