//! Which blobs a history still needs: mark, before what is left is swept.

use actum_journal::{ReadError, Reader};
use actum_kernel::State;
use actum_model::{Event, Hash, Json};
use std::collections::BTreeSet;

/// What stands before the name of a blob. Arguments and results are canonical JSON, in which no blank can stand there;
/// and in what a program wrote the quotes are escaped, so nothing it says is taken for a name.
const MEMBERS: [&str; 2] = [r#""blob":""#, r#""$blob":""#];
const HEX_CHARS: usize = 64;

/// The blobs named by the records from the first one kept up to `through`, and by the commands in `state`.
pub(crate) fn named(reader: &Reader, through: u64, state: &State) -> Result<BTreeSet<Hash>, ReadError> {
    let mut keep = BTreeSet::new();
    for record in reader.records(reader.first_idx(), Some(through)) {
        let events = record?.events;
        events
            .iter()
            .filter_map(result)
            .for_each(|data| mark(data, &mut keep));
    }
    let outcomes = state.outcomes.values();
    outcomes
        .filter_map(|row| row.data.as_ref())
        .for_each(|data| mark(data, &mut keep));
    let unfinished = state.commands.values();
    unfinished
        .filter_map(|row| row.payload.as_ref())
        .for_each(|payload| mark(payload, &mut keep));
    Ok(keep)
}

/// The result or the arguments in an event. Nothing else names blobs.
fn result(event: &Event) -> Option<&Json> {
    match event {
        Event::EffectSettled { settlement, .. }
        | Event::EffectLate { settlement, .. }
        | Event::ProbeAnswered { settlement, .. } => settlement.data.as_ref(),
        Event::Finished(finished) => finished.data.as_ref(),
        Event::Executed(executed) => executed.data.as_ref(),
        Event::Accepted(accepted) => accepted.payload.as_ref(),
        _ => None,
    }
}

fn mark(data: &Json, keep: &mut BTreeSet<Hash>) {
    let text = data.as_str();
    for member in MEMBERS {
        let names = text
            .match_indices(member)
            .filter_map(|(at, member)| text.get(at + member.len()..)?.get(..HEX_CHARS));
        keep.extend(names.filter_map(|hex| hex.parse::<Hash>().ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_found_wherever_it_stands_and_not_in_what_a_program_wrote() {
        let [stdout, stderr, said] = [b"out", b"err", b"say"].map(|bytes| Hash::of(bytes));
        let head = format!(r#"{{"blob":"{said}"}}"#);
        let data = json!({
            "stdout": {"bytes": 1, "blob": stdout.to_string(), "head": head},
            "deep": [{"stderr": {"blob": stderr.to_string()}}],
            "blob": "too short",
        });
        let mut keep = BTreeSet::new();
        mark(&Json::from_value(&data).unwrap(), &mut keep);
        assert_eq!(keep, BTreeSet::from([stdout, stderr]));
        mark(
            &Json::from_value(&json!({"$blob": said.to_string()})).unwrap(),
            &mut keep,
        );
        assert!(keep.contains(&said), "arguments are sealed too");
    }
}
