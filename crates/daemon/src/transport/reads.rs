//! The reads over HTTP: each is a read contract with its arguments from the path or the query.
//!
//! Nothing is read here itself: the core answers, with its own checks and the caller's own view.

use super::http::App;
use super::problem::{answer, common_headers, json, problem};
use crate::access::Grant;
use actum_model::contract::{self, CONTRACTS, Contract, Shape};
use actum_model::error::{ErrorCode, Fault};
use actum_model::json::shorten;
use actum_model::{Envelope, Hash, Response};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

type Answer = axum::response::Response;
/// The members of a query, as they came.
pub(crate) type Asked = Query<Vec<(String, String)>>;

/// `GET /v1/commands`: the contract table.
pub(crate) async fn contracts() -> Answer {
    let all: Vec<Value> = CONTRACTS.iter().map(Contract::to_json).collect();
    json(StatusCode::OK, json!({"commands": all}).to_string())
}

/// `GET /v1/commands/{id}`: `command.get`.
pub(crate) async fn command(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    Path(id): Path<String>,
) -> Answer {
    call(&app, &grant, "command.get", json!({"id": id})).await
}

/// `GET /v1/history`: `server.history`; the query has its fields.
pub(crate) async fn history(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    Query(query): Asked,
) -> Answer {
    match arguments("server.history", query) {
        Ok(payload) => call(&app, &grant, "server.history", payload).await,
        Err(refusal) => answer(&refusal),
    }
}

/// `GET /v1/blobs/{hash}`: the sealed output an outcome names. Its hash, which only who may read the outcome
/// learns, is what gives access to it.
pub(crate) async fn blob(State(app): State<App>, Path(hash): Path<String>) -> Answer {
    let hash: Hash = match hash.parse() {
        Ok(hash) => hash,
        Err(error) => return problem(&Fault::new(ErrorCode::InvalidInput, error.to_string())),
    };
    let core = app.core.clone();
    let read = tokio::task::spawn_blocking(move || core.blob(&hash)).await;
    match read {
        Ok(Ok(bytes)) => {
            let headers = common_headers(HeaderValue::from_static("application/octet-stream"));
            (StatusCode::OK, headers, bytes).into_response()
        }
        Ok(Err(fault)) => problem(&fault),
        Err(error) => problem(&Fault::new(ErrorCode::Internal, error.to_string())),
    }
}

/// `GET /v1/personal/{ref}`: `personal.get`.
pub(crate) async fn personal(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    Path(reference): Path<String>,
) -> Answer {
    call(&app, &grant, "personal.get", json!({"ref": reference})).await
}

/// `GET /v1/recovery`: `server.recovery`.
pub(crate) async fn recovery(State(app): State<App>, Extension(grant): Extension<Grant>) -> Answer {
    call(&app, &grant, "server.recovery", json!({})).await
}

/// `GET /v1/health`: `server.health`.
pub(crate) async fn health(State(app): State<App>, Extension(grant): Extension<Grant>) -> Answer {
    call(&app, &grant, "server.health", json!({})).await
}

/// `GET /v1/metrics`: `server.metrics`.
pub(crate) async fn metrics(State(app): State<App>, Extension(grant): Extension<Grant>) -> Answer {
    call(&app, &grant, "server.metrics", json!({})).await
}

/// `GET /healthz`: the process answers. For supervisors, so it needs no token and tells nothing else.
pub(crate) async fn alive() -> Answer {
    json(StatusCode::OK, json!({"status": "ok"}).to_string())
}

/// `GET /readyz`: it takes commands.
pub(crate) async fn ready(State(app): State<App>) -> Answer {
    if *app.core.draining().borrow() {
        return json(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"status": "draining"}).to_string(),
        );
    }
    json(StatusCode::OK, json!({"status": "ok"}).to_string())
}

async fn call(app: &App, grant: &Grant, kind: &str, payload: Value) -> Answer {
    let response = match Envelope::from_value(json!({"type": kind, "payload": payload})) {
        Ok(envelope) => app.core.call(&grant.caller, envelope).await,
        Err(refusal) => *refusal,
    };
    answer(&response)
}

/// The arguments of a kind out of a query: numbers where its contract has numbers, text elsewhere.
pub(crate) fn arguments(kind: &str, query: Vec<(String, String)>) -> Result<Value, Box<Response>> {
    let fields = contract::find(kind)
        .map(|contract| contract.input)
        .unwrap_or_default();
    let mut members = Map::new();
    for (name, text) in query {
        let numeric = fields
            .iter()
            .any(|field| field.name == name && matches!(field.shape, Shape::Integer(..)));
        let value = match text.parse::<u64>() {
            Ok(number) if numeric => Value::from(number),
            _ => Value::from(text),
        };
        if members.insert(name.clone(), value).is_some() {
            let message = format!("the query names `{}` twice", shorten(&name));
            let fault = Fault::new(ErrorCode::InvalidInput, message);
            return Err(Box::new(Response::refused(kind, None, fault)));
        }
    }
    Ok(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_where_the_contract_says_so() {
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let query = vec![
            pair("limit", "5"),
            pair("kind", "5"),
            pair("fromIdx", "x"),
            pair("what", "1"),
        ];
        assert_eq!(
            arguments("server.history", query).unwrap(),
            json!({"limit": 5, "kind": "5", "fromIdx": "x", "what": "1"})
        );
        assert!(arguments("server.history", vec![pair("limit", "5"), pair("limit", "6")]).is_err());
    }
}
