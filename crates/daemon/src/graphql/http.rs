//! `/graphql` over HTTP, as the GraphQL over HTTP specification has it: POST with one request or a batch, GET for
//! queries, the explorer page for a browser, and the way up to a WebSocket.
//!
//! A client that accepts `application/graphql-response+json` gets it, with status 400 where nothing was carried out;
//! any other gets `application/json` with 200 for whatever is a request at all.

use super::errors::request_error;
use super::surface::{Allowed, Answer};
use super::{explorer, websocket};
use crate::access::Grant;
use crate::transport::graphql::{App, Peer, common_headers, problem, read_whole};
use actum_model::json::{parse_strict, shorten};
use actum_model::limits::GRAPHQL_BATCH_MAX;
use actum_model::{ErrorCode, Fault};
use async_graphql::{Request, Response, ServerError, Variables};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value};

type HttpAnswer = axum::response::Response;

/// Who calls, if that is known; a WebSocket may still say it.
#[derive(Clone, Debug)]
pub(crate) struct MaybeGrant(pub(crate) Result<Grant, Fault>);

/// Every request to `/graphql`.
pub(crate) async fn graphql(
    State(app): State<App>,
    Extension(MaybeGrant(grant)): Extension<MaybeGrant>,
    Extension(peer): Extension<Peer>,
    request: axum::extract::Request,
) -> HttpAnswer {
    let (mut head, body) = request.into_parts();
    if is_upgrade(&head) {
        return match WebSocketUpgrade::from_request_parts(&mut head, &app).await {
            Ok(upgrade) => websocket::upgrade(app, grant, peer, upgrade),
            Err(rejection) => rejection.into_response(),
        };
    }
    let grant = match grant {
        Ok(grant) => grant,
        Err(fault) => return problem(&fault),
    };
    match head.method {
        Method::GET => get(&app, &grant, &mut head).await,
        Method::POST => post(&app, &grant, &head.headers, body).await,
        _ => not_allowed("/graphql takes GET and POST"),
    }
}

fn is_upgrade(head: &Parts) -> bool {
    let upgrade = head.headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn get(app: &App, grant: &Grant, head: &mut Parts) -> HttpAnswer {
    let asked: Vec<(String, String)> = match Query::from_request_parts(head, &()).await {
        Ok(Query(asked)) => asked,
        Err(rejection) => return malformed(&head.headers, rejection.to_string()),
    };
    if asked.is_empty() && app.access.is_dev() && accepts(&head.headers, "text/html") {
        return explorer::page();
    }
    match of_query(asked) {
        Ok(request) => {
            let answer = app
                .graphql
                .execute(&grant.caller, request, Allowed::Queries)
                .await;
            answered(&head.headers, &answer)
        }
        Err(fault) => malformed_as(&head.headers, &fault),
    }
}

/// The request in a query string. Members that are not GraphQL's are left alone.
fn of_query(asked: Vec<(String, String)>) -> Result<Request, Fault> {
    let mut members = Map::new();
    for (name, text) in asked {
        let value = match name.as_str() {
            "query" | "operationName" => Value::from(text),
            "variables" | "extensions" if text.is_empty() => continue,
            "variables" | "extensions" => parse_strict(text.as_bytes())
                .map_err(|error| Fault::new(ErrorCode::InvalidJson, format!("{name}: {error}")))?,
            _ => continue,
        };
        if members.insert(name.clone(), value).is_some() {
            let message = format!("the query string names `{}` twice", shorten(&name));
            return Err(Fault::new(ErrorCode::InvalidInput, message));
        }
    }
    of_members(members)
}

async fn post(app: &App, grant: &Grant, headers: &HeaderMap, body: axum::body::Body) -> HttpAnswer {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if essence(media.unwrap_or_default()) != "application/json" {
        let found = shorten(media.unwrap_or("none"));
        let message = format!("expected `Content-Type: application/json`, got `{found}`");
        let fault = Fault::new(ErrorCode::InvalidInput, message).with_hint("name the type of the body");
        return refuse(headers, StatusCode::UNSUPPORTED_MEDIA_TYPE, &fault);
    }
    let bytes = match tokio::time::timeout(app.timings.body, read_whole(body)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(fault)) => return malformed_as(headers, &fault),
        Err(_late) => {
            let message = format!("expected the body within {} s", app.timings.body.as_secs());
            let fault = Fault::new(ErrorCode::InvalidJson, message);
            return refuse(headers, StatusCode::REQUEST_TIMEOUT, &fault);
        }
    };
    match parse_strict(&bytes) {
        Ok(Value::Object(members)) => match of_members(members) {
            Ok(request) => {
                let done = app
                    .graphql
                    .execute(&grant.caller, request, Allowed::Mutations)
                    .await;
                answered(headers, &done)
            }
            Err(fault) => malformed_as(headers, &fault),
        },
        Ok(Value::Array(batch)) => many(app, grant, headers, batch).await,
        Ok(_) => malformed(headers, "expected a GraphQL request, an object".to_owned()),
        Err(error) => malformed_as(headers, &Fault::new(ErrorCode::InvalidJson, error.to_string())),
    }
}

/// A batch: one after the other, each with a state of its own.
async fn many(app: &App, grant: &Grant, headers: &HeaderMap, batch: Vec<Value>) -> HttpAnswer {
    if batch.is_empty() || batch.len() > GRAPHQL_BATCH_MAX {
        let found = batch.len();
        let message = format!("expected a batch of 1 to {GRAPHQL_BATCH_MAX} requests, got {found}");
        return malformed(headers, message);
    }
    let mut requests = Vec::with_capacity(batch.len());
    for (at, request) in batch.into_iter().enumerate() {
        let read = match request {
            Value::Object(members) => of_members(members),
            _ => Err(Fault::new(
                ErrorCode::InvalidInput,
                "expected a GraphQL request, an object",
            )),
        };
        match read {
            Ok(request) => requests.push(request),
            Err(fault) => return malformed(headers, format!("/{at}: {}", fault.message)),
        }
    }
    let mut done = Vec::with_capacity(requests.len());
    for request in requests {
        let execution = app.graphql.execute(&grant.caller, request, Allowed::Mutations);
        done.push(execution.await);
    }
    let responses: Vec<Written<'_>> = done.iter().map(written).collect();
    answer(headers, StatusCode::OK, &responses)
}

/// Reads the members of a request; those it does not know are left alone, as the specification wants it.
pub(super) fn of_members(mut members: Map<String, Value>) -> Result<Request, Fault> {
    let wrong = |name: &str, expected: &str| {
        Fault::new(ErrorCode::InvalidInput, format!("/{name}: expected {expected}"))
    };
    let Some(Value::String(query)) = members.remove("query") else {
        return Err(wrong("query", "the text of a GraphQL query"));
    };
    let mut request = Request::new(query);
    match members.remove("operationName") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) => request = request.operation_name(name),
        Some(_) => return Err(wrong("operationName", "the name of an operation")),
    }
    match members.remove("variables") {
        None | Some(Value::Null) => {}
        Some(variables @ Value::Object(_)) => request = request.variables(Variables::from_json(variables)),
        Some(_) => return Err(wrong("variables", "an object")),
    }
    match members.remove("extensions") {
        None | Some(Value::Null | Value::Object(_)) => Ok(request),
        Some(_) => Err(wrong("extensions", "an object")),
    }
}

fn essence(media: &str) -> String {
    let first = media.split(';').next().unwrap_or_default();
    first.trim().to_ascii_lowercase()
}

/// Whether an `Accept` header names a media type itself.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .any(|part| essence(part) == media)
}

const RESPONSE_JSON: &str = "application/graphql-response+json";

/// An answer as it stands on the wire: where nothing was carried out there is no `data`.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Executed(&'a Response),
    Refused { errors: &'a [ServerError] },
}

fn written(answer: &Answer) -> Written<'_> {
    match answer {
        Answer::Executed(response) => Written::Executed(response),
        Answer::Refused(response) | Answer::NotHere(response) => Written::Refused {
            errors: &response.errors,
        },
    }
}

fn answered(headers: &HeaderMap, done: &Answer) -> HttpAnswer {
    let status = match done {
        Answer::Executed(_) => StatusCode::OK,
        Answer::Refused(_) if accepts(headers, RESPONSE_JSON) => StatusCode::BAD_REQUEST,
        Answer::Refused(_) => StatusCode::OK,
        Answer::NotHere(_) => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut whole = answer(headers, status, &written(done));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("POST");
        whole.headers_mut().insert(header::ALLOW, allowed);
    }
    whole
}

fn answer(headers: &HeaderMap, status: StatusCode, response: &impl serde::Serialize) -> HttpAnswer {
    let media = if accepts(headers, RESPONSE_JSON) {
        HeaderValue::from_static("application/graphql-response+json; charset=utf-8")
    } else {
        HeaderValue::from_static("application/json; charset=utf-8")
    };
    match serde_json::to_vec(response) {
        Ok(text) => (status, common_headers(media), text).into_response(),
        Err(error) => problem(&Fault::new(ErrorCode::Internal, error.to_string())),
    }
}

fn refuse(headers: &HeaderMap, status: StatusCode, fault: &Fault) -> HttpAnswer {
    let errors = [request_error(fault)];
    answer(headers, status, &Written::Refused { errors: &errors })
}

fn malformed(headers: &HeaderMap, message: String) -> HttpAnswer {
    malformed_as(headers, &Fault::new(ErrorCode::InvalidInput, message))
}

fn malformed_as(headers: &HeaderMap, fault: &Fault) -> HttpAnswer {
    let status = match fault.code {
        ErrorCode::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    refuse(headers, status, fault)
}

fn not_allowed(message: &str) -> HttpAnswer {
    let fault = Fault::new(ErrorCode::NotFound, message);
    let mut refused = crate::transport::graphql::problem_as(StatusCode::METHOD_NOT_ALLOWED, &fault);
    refused
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    refused
}
