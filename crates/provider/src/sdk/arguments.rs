//! Arguments into types and results out of them. The contract has checked arguments before; a provider reads them
//! as strictly again, since it is also called from tests, from sessions and by later versions of the table.

use super::Failure;
use actum_model::{ErrorCode, Fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads arguments into the type of their kind. The type refuses unknown members itself (`deny_unknown_fields`).
///
/// # Errors
/// `INVALID_INPUT` with what was expected and what came.
pub fn parse<T: DeserializeOwned>(kind: &str, arguments: &Value) -> Result<T, Failure> {
    T::deserialize(arguments).map_err(|error| {
        let message = format!("the arguments of `{kind}` do not fit: {error}");
        Failure::from(Fault::new(ErrorCode::InvalidInput, message))
    })
}

/// The members of a result.
///
/// # Errors
/// `INTERNAL` where the type is no object, which only a bug can cause.
pub fn to_object<T: Serialize>(result: &T) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(result) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(Failure::new(
            ErrorCode::Internal,
            format!("expected a result that is an object, got {other}"),
        )),
        Err(error) => Err(Failure::new(ErrorCode::Internal, error.to_string())),
    }
}
