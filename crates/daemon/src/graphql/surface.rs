//! The executable schema with what every request needs: bounds before, one published state during, codes after.

use super::bounds::{self, Bounded};
use super::errors::{dress, request_error};
use super::moment::{Moment, too_long};
use super::mutation::Mutation;
use super::pins::{self, Pins};
use super::query::Query;
use super::subscription::Subscriptions;
use crate::core::Core;
use actum_model::limits::{GRAPHQL_COMPLEXITY_MAX, GRAPHQL_DEPTH_MAX};
use actum_model::{Caller, ErrorCode, Fault};
use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, Schema, ServerError};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;

type Executable = Schema<Query, Mutation, Subscriptions>;

fn schema() -> Executable {
    Schema::build(Query::default(), Mutation::default(), Subscriptions::default())
        .limit_depth(GRAPHQL_DEPTH_MAX)
        .limit_complexity(GRAPHQL_COMPLEXITY_MAX)
        .finish()
}

/// The schema as a client sees it, in GraphQL's own language.
#[must_use]
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new()
        .sorted_fields()
        .use_space_ident();
    let mut text = schema().sdl_with_options(options).trim_end().to_owned();
    text.push('\n');
    text
}

/// What a request may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Allowed {
    /// Read.
    Queries,
    /// Read and change.
    Mutations,
}

/// See the head of the file.
pub(crate) struct Surface {
    schema: Executable,
    core: Core,
    pins: Arc<Pins>,
    introspection: bool,
    query_time: Duration,
}

/// What an answer is about.
pub(crate) enum Answer {
    /// The query was carried out, if with errors.
    Executed(Response),
    /// Nothing of it was carried out.
    Refused(Response),
    /// It would change something, and may not.
    NotHere(Response),
}

impl Surface {
    /// `query_time` is how long a query may read.
    pub(crate) fn new(core: Core, introspection: bool, query_time: Duration) -> Surface {
        let pins = Arc::new(Pins::default());
        tokio::spawn(pins::sweep(Arc::downgrade(&pins)));
        Surface {
            schema: schema(),
            core,
            pins,
            introspection,
            query_time,
        }
    }

    fn check(&self, request: &Request) -> Result<Bounded, ServerError> {
        bounds::check(
            &request.query,
            request.operation_name.as_deref(),
            self.introspection,
        )
    }

    /// Carries out a query or mutation.
    pub(crate) async fn execute(&self, caller: &Caller, request: Request, allowed: Allowed) -> Answer {
        let bounded = match self.check(&request) {
            Ok(bounded) => bounded,
            Err(error) => return Answer::Refused(failed(error)),
        };
        match bounded.operation {
            Some(OperationType::Subscription) => {
                let message = "a subscription needs a WebSocket at the same address";
                let fault = Fault::new(ErrorCode::InvalidInput, message)
                    .with_hint("speak graphql-transport-ws at /graphql");
                return Answer::Refused(failed(request_error(&fault)));
            }
            Some(OperationType::Mutation) if allowed == Allowed::Queries => {
                let message = "a mutation is never sent by GET";
                let fault = Fault::new(ErrorCode::InvalidInput, message).with_hint("send it by POST");
                return Answer::NotHere(failed(request_error(&fault)));
            }
            _ => {}
        }
        self.run(caller, request, bounded).await
    }

    async fn run(&self, caller: &Caller, mut request: Request, bounded: Bounded) -> Answer {
        let moment = Moment::of_request(&self.core, caller, &self.pins, self.query_time);
        request.set_parsed_query(bounded.document);
        let execution = self.schema.execute(request.data(Arc::new(moment)));
        let mut response = if bounded.operation == Some(OperationType::Mutation) {
            // A command that is under way gets its answer, however long the reads behind it take.
            execution.await
        } else {
            match tokio::time::timeout(self.query_time, execution).await {
                Ok(response) => response,
                Err(_late) => {
                    return Answer::Executed(failed(request_error(&too_long(self.query_time))));
                }
            }
        };
        dress(&mut response.errors);
        // An error without a place in the answer was found before anything was carried out.
        if response.errors.iter().any(|error| error.path.is_empty()) {
            Answer::Refused(response)
        } else {
            Answer::Executed(response)
        }
    }

    /// Carries out an operation of a WebSocket: one answer for a query or mutation, many for a subscription. `true`
    /// stands beside an answer that ends a subscription with errors, or says that nothing was carried out.
    pub(crate) fn stream(
        self: &Arc<Self>,
        caller: &Caller,
        request: Request,
    ) -> BoxStream<'static, (Response, bool)> {
        let subscribes = match self.check(&request) {
            Ok(bounded) => (bounded.operation == Some(OperationType::Subscription)).then_some(bounded),
            Err(error) => return stream::iter([(failed(error), true)]).boxed(),
        };
        let Some(bounded) = subscribes else {
            let (surface, caller) = (Arc::clone(self), caller.clone());
            let answer = async move {
                match surface.execute(&caller, request, Allowed::Mutations).await {
                    Answer::Executed(response) => (response, false),
                    Answer::Refused(response) | Answer::NotHere(response) => (response, true),
                }
            };
            return stream::once(answer).boxed();
        };
        let moment = Moment::of_subscription(&self.core, caller, &self.pins);
        let mut request = request;
        request.set_parsed_query(bounded.document);
        let responses = self.schema.execute_stream(request.data(Arc::new(moment)));
        responses
            .map(|mut response| {
                dress(&mut response.errors);
                let ended = !response.errors.is_empty() && response.data == async_graphql::Value::Null;
                (response, ended)
            })
            .boxed()
    }
}

fn failed(error: ServerError) -> Response {
    let mut errors = vec![error];
    dress(&mut errors);
    Response::from_errors(errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const PRINTED: &str = include_str!("../../../../docs/graphql/schema.graphql");

    #[test]
    fn the_printed_schema_is_that_of_the_code() {
        if std::env::var_os("UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/graphql/schema.graphql");
            std::fs::write(path, sdl()).unwrap();
            return;
        }
        assert!(
            PRINTED == sdl(),
            "docs/graphql/schema.graphql is not what `actum graphql schema` prints; run this test with UPDATE=1"
        );
    }

    #[test]
    fn every_type_field_argument_and_value_is_documented() {
        const INSIDE: &str = "{ __schema { types { kind name description
            fields { name description args { name description } }
            inputFields { name description } enumValues { name description } } } }";
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(schema().execute(INSIDE));
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let found = found.data.into_json().unwrap();
        let mut missing = Vec::new();
        for named in found["__schema"]["types"].as_array().unwrap() {
            let name = named["name"].as_str().unwrap();
            // What begins so, and `ID`, is GraphQL's own.
            if !name.starts_with("__") && name != "ID" {
                look(name, named, &mut missing);
            }
        }
        assert!(missing.is_empty(), "not documented: {missing:#?}");
    }

    fn look(path: &str, named: &Value, missing: &mut Vec<String>) {
        if named["description"].as_str().is_none_or(str::is_empty) {
            missing.push(path.to_owned());
        }
        for part in ["fields", "args", "inputFields", "enumValues"] {
            for inner in named[part].as_array().unwrap_or(&Vec::new()) {
                look(
                    &format!("{path}.{}", inner["name"].as_str().unwrap()),
                    inner,
                    missing,
                );
            }
        }
    }
}
