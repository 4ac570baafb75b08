//! `subject.erase`: puts on record that a subject is erased. The shell destroys the key when the record is durable,
//! and at every boot while the key that this outcome names is still there.
//!
//! The shell gives the arguments: the keyed hash of the name and, after a slash, the id of the key there is.

use crate::decide::Decider;
use actum_model::{Json, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let subject = arguments
        .get("subject")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let data = match subject.split_once('/') {
        Some((subject, key)) => json!({"subject": subject, "key": key}),
        None => json!({"subject": subject}),
    };
    decider.finish(seq, Outcome::Succeeded, Json::from_value(&data).ok(), None);
}
