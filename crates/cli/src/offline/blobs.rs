//! Which blobs a history still needs: mark, before what is left is swept.

use actum_daemon::personal;
use actum_journal::{Blobs, ReadError, Reader};
use actum_kernel::State;
use actum_model::{Event, Hash, Input, Json};
use std::collections::BTreeSet;

/// What stands before the name of a blob. Arguments and results are canonical JSON, in which no blank can stand there;
/// and in what a program wrote the quotes are escaped, so nothing it says is taken for a name.
const MEMBERS: [&str; 2] = [r#""blob":""#, ARGUMENTS];
const ARGUMENTS: &str = r#""$blob":""#;
const HASH_CHARS: usize = 64;

/// The blobs named by the records from the first one kept up to `through`, and by what is in `state`: commands,
/// outcomes, metadata of sessions. Arguments that lie in a blob of their own are looked into.
pub(crate) fn named(
    reader: &Reader,
    through: u64,
    state: &State,
    blobs: &Blobs,
) -> Result<BTreeSet<Hash>, ReadError> {
    let mut marks = Marks {
        keep: BTreeSet::new(),
        sealed: BTreeSet::new(),
    };
    for record in reader.records(reader.first_idx(), Some(through)) {
        let record = record?;
        record
            .events
            .iter()
            .filter_map(content)
            .for_each(|data| marks.mark(data));
        // The arguments of a command that is over within its record are in its input alone.
        if let Ok(Input::Submit(submit)) = serde_ipld_dagcbor::from_slice(&record.input) {
            marks.mark(&submit.envelope.payload);
        }
    }
    let outcomes = state.outcomes.values();
    outcomes
        .filter_map(|row| row.data.as_ref())
        .for_each(|data| marks.mark(data));
    let unfinished = state.commands.values();
    unfinished
        .filter_map(|row| row.payload.as_ref())
        .for_each(|payload| marks.mark(payload));
    let sessions = state.sessions.values();
    sessions
        .flat_map(|session| session.metadata.values())
        .for_each(|value| marks.mark(value));
    for hash in std::mem::take(&mut marks.sealed) {
        if let Some(bytes) = blobs.get(&hash)? {
            marks
                .keep
                .extend(personal::refs(&String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(marks.keep)
}

/// The result, the arguments or the annotation in an event. Nothing else names blobs.
fn content(event: &Event) -> Option<&Json> {
    match event {
        Event::EffectSettled { settlement, .. }
        | Event::EffectLate { settlement, .. }
        | Event::ProbeAnswered { settlement, .. } => settlement.data.as_ref(),
        Event::Finished(finished) => finished.data.as_ref(),
        Event::Executed(executed) => executed.data.as_ref(),
        Event::Accepted(accepted) => accepted.payload.as_ref(),
        Event::SessionAnnotated(row) => row.value.as_ref(),
        _ => None,
    }
}

struct Marks {
    keep: BTreeSet<Hash>,
    /// Blobs that hold arguments, which can name others.
    sealed: BTreeSet<Hash>,
}

impl Marks {
    fn mark(&mut self, data: &Json) {
        let text = data.as_str();
        for member in MEMBERS {
            let names = text
                .match_indices(member)
                .filter_map(|(at, member)| text.get(at + member.len()..)?.get(..HASH_CHARS));
            let names = names.filter_map(|hex| hex.parse::<Hash>().ok());
            if member == ARGUMENTS {
                self.sealed.extend(names.clone());
            }
            self.keep.extend(names);
        }
        self.keep.extend(personal::refs(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marked(data: &serde_json::Value) -> BTreeSet<Hash> {
        let mut marks = Marks {
            keep: BTreeSet::new(),
            sealed: BTreeSet::new(),
        };
        marks.mark(&Json::from_value(data).unwrap());
        marks.keep
    }

    #[test]
    fn a_name_is_found_wherever_it_stands_and_not_in_what_a_program_wrote() {
        let [stdout, stderr, said] = [b"out", b"err", b"say"].map(|bytes| Hash::of(bytes));
        let head = format!(r#"{{"blob":"{said}"}}"#);
        let data = json!({
            "stdout": {"bytes": 1, "blob": stdout.to_string(), "head": head},
            "deep": [{"stderr": {"blob": stderr.to_string()}}],
            "blob": "too short",
        });
        assert_eq!(marked(&data), BTreeSet::from([stdout, stderr]));
        let arguments = marked(&json!({"$blob": said.to_string()}));
        assert!(arguments.contains(&said), "arguments are sealed too");
    }

    #[test]
    fn sealed_personal_values_are_named_by_their_markers() {
        let [whole, within] = [b"one", b"two"].map(|bytes| Hash::of(bytes));
        let data = json!({"value": {"$redacted": "personal", "ref": whole.to_string()},
            "argv": [format!("to [redacted:personal:{within}]!")]});
        assert_eq!(marked(&data), BTreeSet::from([whole, within]));
    }
}
