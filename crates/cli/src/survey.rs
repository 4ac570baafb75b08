//! A file of commands before it is sent: how many there are, and what they need.

use crate::answer::Widths;
use crate::failure::Failure;
use crate::mint;
use crate::shape::text;
use actum_model::{ErrorCode, Hash};
use serde_json::Value;
use std::path::Path;

/// What is known of a file before it is sent.
#[derive(Default)]
pub(crate) struct Survey {
    /// Its lines; absent for what can be read only once.
    pub(crate) lines: Option<u64>,
    /// Widths of the columns its answers want.
    pub(crate) widths: Widths,
    /// The session for lines that need one and name none.
    pub(crate) session: Option<String>,
}

/// Reads a file once to count its lines and see whether a session is needed. What can be read only once, as standard
/// input and pipes, is not.
pub(crate) fn survey(file: &Path, session: Option<&str>) -> Result<Survey, Failure> {
    let mut survey = Survey {
        session: session.map(str::to_owned),
        ..Survey::default()
    };
    if file == Path::new("-") || std::fs::metadata(file).is_ok_and(|meta| !meta.is_file()) {
        if survey.session.is_none() {
            survey.session = Some(mint::fresh("submit")?);
        }
        return Ok(survey);
    }
    let bytes = std::fs::read(file).map_err(|error| {
        Failure::new(
            ErrorCode::NotFound,
            format!("could not read `{}`: {error}", file.display()),
        )
        .hint("name a file of commands, one JSON object a line, or - for standard input")
    })?;
    let (mut lines, mut needs) = (0, false);
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
    {
        lines += 1;
        let Ok(command) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let session = text(&command, "sessionId");
        needs |= session.is_empty() && mint::needs_session(text(&command, "type"));
        let widths = &mut survey.widths;
        widths.kind = widths.kind.max(text(&command, "type").len()).min(32);
        widths.id = widths.id.max(text(&command, "id").len()).min(40);
        widths.lane = widths.lane.max("session: #999".len() + session.len()).min(48);
    }
    survey.lines = Some(lines);
    if needs && survey.session.is_none() {
        survey.session = Some(mint::named_by("submit", &Hash::of(&bytes)));
    }
    Ok(survey)
}
