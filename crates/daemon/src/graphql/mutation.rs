//! The mutations. Each is a command of its own, submitted like any other: with an id or an idempotency key, sending
//! it again gives the recorded outcome.

use super::errors::Refused;
use super::inputs::{
    CollapseSwsInput, CreateSwsInput, DiscardSwsInput, RebaseSwsInput, RewriteInput, SubmitIntentInput,
    ViewRefInput, sws_number,
};
use super::moment::{Moment, moment};
use super::promise::PromiseMutation;
use super::scalars::AnyJson;
use super::time::TimeMutation;
use super::types::{
    ApplyRewritePayload, CollapseSwsPayload, CreateSwsPayload, DiscardSwsPayload, RebaseSwsPayload,
    ReceiptV0, SubmitIntentPayload, Submitted, Sws, TickReceipt,
};
use actum_model::{Body, Envelope, ErrorCode, Fault, Outcome, Response};
use async_graphql::{Context, ID, MergedObject, Object, Result};
use serde_json::{Map, Value, json};

/// What can be changed. Each change is a command: durable before it is answered, and carried out once.
#[derive(MergedObject, Default)]
pub(crate) struct Mutation(GraphMutation, TimeMutation, PromiseMutation);

/// The names under which a command can be sent again.
pub(super) struct Names {
    pub(super) id: Option<ID>,
    pub(super) key: Option<String>,
    pub(super) correlation: Option<ID>,
}

/// A command that has its outcome.
pub(super) struct Done {
    kind: &'static str,
    pub(super) response: Response,
    pub(super) receipt: Value,
}

impl Done {
    fn receipt(&self) -> TickReceipt {
        TickReceipt::new(self.kind, self.receipt.clone(), None)
    }

    pub(super) fn command(&self) -> Submitted {
        Submitted::of(&self.response)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.receipt.get(name).and_then(Value::as_str)
    }

    /// The shadow working set it was about, as it is now.
    fn sws(&self, moment: &Moment) -> Result<Sws, Fault> {
        let id = self.text("swsId").unwrap_or_default();
        let number = sws_number(&ID(id.to_owned()))?;
        // Newer than the request's own state: the command is in it.
        Sws::find(&moment.core.published(), moment.tenant(), number)
    }
}

/// Submits a command and waits for its outcome; one with a receipt is given, also where it did not succeed.
pub(super) async fn submit(
    moment: &Moment,
    kind: &'static str,
    payload: Value,
    names: Names,
) -> Result<Done> {
    let mut members = Map::new();
    members.insert("type".into(), kind.into());
    members.insert("payload".into(), payload);
    let named = [
        ("id", names.id.map(|id| id.0)),
        ("idempotencyKey", names.key),
        ("correlationId", names.correlation.map(|id| id.0)),
    ];
    for (name, text) in named {
        if let Some(text) = text {
            members.insert(name.into(), text.into());
        }
    }
    // As text, so that it is read like every command: no number a reader could mistake, nothing too deep.
    let text = Value::Object(members).to_string();
    let envelope = Envelope::parse(text.as_bytes()).map_err(|refusal| Refused::of(&refusal))?;
    let response = moment.core.call(&moment.caller, envelope).await;
    let receipt = match &response.body {
        Body::Finished { data: Some(data), .. } => data.to_value(),
        _ => return Err(Refused::of(&response).into()),
    };
    Ok(Done {
        kind,
        response,
        receipt,
    })
}

fn with_meta(mut payload: Value, meta: Option<AnyJson>) -> Value {
    if let (Value::Object(members), Some(AnyJson(meta))) = (&mut payload, meta) {
        members.insert("meta".into(), meta);
    }
    payload
}

/// What can be changed of the graph.
#[derive(Default)]
pub(crate) struct GraphMutation;

/// What can be changed of the graph.
#[Object]
impl GraphMutation {
    /// Forks System into a new shadow working set.
    async fn create_sws(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is said of it.")] input: Option<CreateSwsInput>,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<CreateSwsPayload> {
        let moment = moment(ctx)?;
        let payload = with_meta(json!({}), input.and_then(|input| input.meta));
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let done = submit(moment, "sws.create", payload, names).await?;
        Ok(CreateSwsPayload {
            sws: done.sws(moment)?,
            receipt: done.receipt(),
            replayed: done.response.replayed,
            command: done.command(),
        })
    }

    /// Carries out operations on a shadow working set: all of them, or none. System is read-only.
    async fn apply_rewrite(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The shadow working set to write to; it takes no `snapshotId`.")] view: ViewRefInput,
        #[graphql(desc = "What is done to it.")] rewrite: RewriteInput,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<ApplyRewritePayload> {
        let moment = moment(ctx)?;
        let name = view.current("a rewrite goes to the view as it is now")?;
        let ops: Vec<Value> = rewrite.ops.into_iter().map(|op| op.0).collect();
        let payload = with_meta(json!({"view": name.to_string(), "ops": ops}), rewrite.meta);
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let done = submit(moment, "graph.rewrite", payload, names).await?;
        Ok(ApplyRewritePayload {
            accepted: true,
            receipt: ReceiptV0::new(done.receipt.clone()),
            tick_receipt: done.receipt(),
            replayed: done.response.replayed,
            command: done.command(),
        })
    }

    /// Makes a shadow working set part of System, whole or not at all. Conflicts are no error: `committed` is false
    /// then, the receipt lists them, and the shadow working set stays as it is.
    async fn collapse_sws(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one, under which policy.")] input: CollapseSwsInput,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<CollapseSwsPayload> {
        let moment = moment(ctx)?;
        let mut payload = json!({"swsId": input.sws_id.0});
        if let (Value::Object(members), Some(policy)) = (&mut payload, input.policy_id) {
            members.insert("policyId".into(), policy.0.into());
        }
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let done = submit(moment, "sws.collapse", with_meta(payload, input.meta), names).await?;
        let after = done
            .receipt
            .get("after")
            .and_then(|after| after.get("snapshotId"));
        Ok(CollapseSwsPayload {
            committed: is_success(&done.response),
            system_snapshot_id: after.and_then(Value::as_str).map(|id| ID(id.to_owned())),
            receipt: done.receipt(),
            sws: done.sws(moment).ok(),
            replayed: done.response.replayed,
            command: done.command(),
        })
    }

    /// Gives up a shadow working set, on the record.
    async fn discard_sws(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one, and why.")] input: DiscardSwsInput,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<DiscardSwsPayload> {
        let moment = moment(ctx)?;
        let mut payload = json!({"swsId": input.sws_id.0});
        if let (Value::Object(members), Some(reason)) = (&mut payload, input.reason) {
            members.insert("reason".into(), reason.into());
        }
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let done = submit(moment, "sws.discard", with_meta(payload, input.meta), names).await?;
        Ok(DiscardSwsPayload {
            sws: done.sws(moment).ok(),
            receipt: done.receipt(),
            replayed: done.response.replayed,
            command: done.command(),
        })
    }

    /// Moves a shadow working set onto System as it is. `COLLAPSE_CONFLICT` if something of it is in the way there.
    async fn rebase_sws(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RebaseSwsInput,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<RebaseSwsPayload> {
        let moment = moment(ctx)?;
        let payload = with_meta(json!({"swsId": input.sws_id.0}), input.meta);
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let done = submit(moment, "sws.rebase", payload, names).await?;
        Ok(RebaseSwsPayload {
            sws: done.sws(moment).ok(),
            receipt: done.receipt(),
            replayed: done.response.replayed,
            command: done.command(),
        })
    }

    /// Not carried out by this version: always `NOT_IMPLEMENTED`, and nothing is recorded.
    async fn submit_intent(
        &self,
        #[graphql(desc = "What is wanted.")] input: SubmitIntentInput,
    ) -> Result<SubmitIntentPayload> {
        let SubmitIntentInput { .. } = input;
        let message = "this version plans and carries out no intents";
        let fault = Fault::new(ErrorCode::NotImplemented, message)
            .with_hint("do the work with `createSws`, `applyRewrite` and `collapseSws`");
        Err(fault.into())
    }
}

fn is_success(response: &Response) -> bool {
    matches!(
        &response.body,
        Body::Finished {
            outcome: Outcome::Succeeded,
            ..
        }
    )
}
