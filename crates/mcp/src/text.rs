//! A report as text: what a model or a person reads first. Outputs stand as they are; what is large is cut here, since
//! the structured content has it whole.

use crate::limits::{ERROR_TEXT_BYTES_MAX, IMAGES_MAX, TEXT_BYTES_MAX};
use crate::report::Report;
use serde_json::Value;

/// Pictures that models can look at.
const PICTURES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/gif"];

/// A member that is text; empty where there is none.
pub(crate) fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The text of a report.
pub(crate) fn of(report: &Report) -> String {
    let mut out = Vec::new();
    if let Some(result) = &report.result {
        out.push(of_result(result));
    }
    if let Some(error) = &report.error {
        let message = cut(member(error, "message"), ERROR_TEXT_BYTES_MAX);
        out.push(format!("error {}: {message}", member(error, "code")));
        let hint = member(error, "hint");
        if !hint.is_empty() {
            out.push(format!("hint: {hint}"));
        }
        out.extend(faults(error));
    }
    if report.going() {
        let id = report
            .command
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        out.push(format!(
            "It is not over ({}). It goes on by itself: call command_wait with id `{id}` for its outcome.",
            report.state
        ));
    }
    out.extend(report.because.iter().cloned());
    out.extend(last_line(report));
    out.retain(|part| !part.is_empty());
    cut(&out.join("\n"), TEXT_BYTES_MAX)
}

/// Every fault of the arguments but the first, which the message has.
fn faults(error: &Value) -> Vec<String> {
    let listed = error.pointer("/details/faults").and_then(Value::as_array);
    let line = |fault: &Value| format!("  {}: {}", member(fault, "pointer"), member(fault, "message"));
    listed.into_iter().flatten().skip(1).map(line).collect()
}

/// Which command it was, and where it stands in the record.
fn last_line(report: &Report) -> Option<String> {
    let id = report.command.get("id").and_then(Value::as_str)?;
    let idx = report.command.get("idx").map(|idx| format!(", idx {idx}"));
    let replayed = report.command.get("replayed").map(|_| ", recorded before");
    Some(format!(
        "[{}: command {id}{}{}]",
        report.state,
        idx.unwrap_or_default(),
        replayed.unwrap_or_default()
    ))
}

fn of_result(result: &Value) -> String {
    let Value::Object(members) = result else {
        return result.to_string();
    };
    if let Some(Value::Array(rows)) = members.get("commands") {
        return of_history(rows, members.get("nextCursor").and_then(Value::as_str));
    }
    let mut out = Vec::new();
    let mut rest = members.clone();
    for (name, label) in [("stdout", ""), ("stderr", "stderr:\n")] {
        if let Some(stream) = rest.remove(name) {
            let text = of_stream(&stream);
            if !text.is_empty() {
                out.push(format!("{label}{text}"));
            }
        }
    }
    if let Some(content) = rest.get("content").and_then(Value::as_str).map(str::to_owned) {
        rest.remove("content");
        out.push(content);
    }
    if let Some(body) = rest.get("body").and_then(Value::as_str).map(str::to_owned) {
        rest.remove("body");
        out.push(body);
    }
    if let Some(traceback) = rest
        .get("error")
        .map(|error| member(error, "traceback").to_owned())
        && !traceback.is_empty()
    {
        rest.remove("error");
        out.push(traceback.trim_end().to_owned());
    }
    if let Some(Value::String(repr)) = rest.remove("repr") {
        rest.remove("value");
        out.push(repr);
    }
    // The cage in force is for the record; the structured content has it.
    rest.remove("sandbox");
    // Bundles of displays may hold whole pictures.
    if let Some(Value::Array(displays)) = rest.remove("displays") {
        out.extend(displays.iter().map(of_display));
    }
    if !rest.is_empty() {
        out.push(Value::Object(rest).to_string());
    }
    out.join("\n")
}

/// Commands, one a line.
fn of_history(rows: &[Value], next: Option<&str>) -> String {
    let mut lines: Vec<String> = rows.iter().map(of_row).collect();
    if lines.is_empty() {
        lines.push("no commands".to_owned());
    }
    lines.extend(next.map(|cursor| format!("more with cursor `{cursor}`")));
    lines.join("\n")
}

fn of_row(row: &Value) -> String {
    let outcome = match (member(row, "outcome"), member(row, "errorCode")) {
        ("", _) => "not over".to_owned(),
        (outcome, "") => outcome.to_owned(),
        (outcome, code) => format!("{outcome} ({code})"),
    };
    let (at, kind, id) = (
        member(row, "acceptedAt"),
        member(row, "command"),
        member(row, "id"),
    );
    let idx = row.get("acceptedIdx").unwrap_or(&Value::Null);
    format!("{at} idx {idx} {kind} {id}: {outcome}")
}

fn of_display(bundle: &Value) -> String {
    match bundle.get("text/plain").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => {
            let types: Vec<&str> = bundle
                .as_object()
                .into_iter()
                .flat_map(|all| all.keys())
                .map(String::as_str)
                .collect();
            format!("[a display: {}]", types.join(", "))
        }
    }
}

/// Pictures among what the command displayed: the data in base64, and the media type.
pub(crate) fn images(report: &Report) -> Vec<(String, String)> {
    let displays = report.result.as_ref().and_then(|result| result.get("displays"));
    let bundles = displays.and_then(Value::as_array).into_iter().flatten();
    let pictures = bundles.filter_map(|bundle| {
        let (kind, data) = bundle
            .as_object()?
            .iter()
            .find(|(kind, _)| PICTURES.contains(&kind.as_str()))?;
        Some((data.as_str()?.to_owned(), kind.clone()))
    });
    pictures.take(IMAGES_MAX).collect()
}

/// An output: whole, or its beginning, its end, and the name of the whole.
fn of_stream(stream: &Value) -> String {
    if let Some(text) = stream.get("text").and_then(Value::as_str) {
        return text.trim_end_matches('\n').to_owned();
    }
    match stream.get("blob").and_then(Value::as_str) {
        None => String::new(),
        Some(blob) => format!(
            "{}\n[… {} bytes in all; the whole is blob {blob} …]\n{}",
            member(stream, "head").trim_end_matches('\n'),
            stream.get("bytes").unwrap_or(&Value::Null),
            member(stream, "tail").trim_end_matches('\n'),
        ),
    }
}

/// At most so many bytes of a text, its beginning and its end.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(max / 2);
    let tail = text.ceil_char_boundary(text.len() - max / 2);
    let (head, tail) = (
        text.get(..head).unwrap_or_default(),
        text.get(tail..).unwrap_or_default(),
    );
    format!("{head}\n[… cut here; the structured content has the whole …]\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(result: Value) -> Report {
        Report {
            state: "succeeded".into(),
            result: Some(result),
            ..Report::default()
        }
    }

    #[test]
    fn outputs_stand_as_they_are() {
        let text = of(&report(
            json!({"exitCode": 0, "stdout": {"bytes": 4, "text": "a\nb\n"}, "stderr": {"bytes": 2, "text": "e\n"}}),
        ));
        assert_eq!(text, "a\nb\nstderr:\ne\n{\"exitCode\":0}");
        let text = of(&report(
            json!({"stdout": {"bytes": 9, "head": "a\n", "tail": "z\n", "blob": "f00"}}),
        ));
        assert_eq!(text, "a\n[… 9 bytes in all; the whole is blob f00 …]\nz");
        let text = of(&report(json!({"value": 2, "repr": "2"})));
        assert_eq!(text, "2");
    }

    #[test]
    fn pictures_are_shown_as_such_and_other_displays_as_text() {
        let shown = report(
            json!({"displays": [{"image/png": "iVBORw==", "text/plain": "pic"}, {"image/svg+xml": "<svg/>"}, {"text/html": "<b>"}]}),
        );
        assert_eq!(images(&shown), [("iVBORw==".to_owned(), "image/png".to_owned())]);
        assert_eq!(
            of(&shown),
            "pic\n[a display: image/svg+xml]\n[a display: text/html]"
        );
        let many: Vec<Value> = (0..9).map(|_| json!({"image/png": "a"})).collect();
        assert_eq!(images(&report(json!({"displays": many}))).len(), IMAGES_MAX);
    }

    #[test]
    fn a_history_is_one_line_for_each_command() {
        let rows = json!({"commands": [
            {"acceptedAt": "t1", "acceptedIdx": 4, "command": "shell.run", "id": "a.2", "outcome": "failed", "errorCode": "CANCELLED"},
            {"acceptedAt": "t0", "acceptedIdx": 1, "command": "shell.run", "id": "a.1"}], "nextCursor": "9"});
        let text = of(&report(rows));
        assert_eq!(
            text,
            "t1 idx 4 shell.run a.2: failed (CANCELLED)\nt0 idx 1 shell.run a.1: not over\nmore with cursor `9`"
        );
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let long = "é".repeat(10_000);
        for max in [10, 11, 12, 13] {
            let text = cut(&long, max);
            assert!(text.contains("cut here") && text.len() < max + 100);
        }
        assert_eq!(cut("abc", 3), "abc");
    }
}
