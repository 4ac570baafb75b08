//! Tables and aligned pairs for people: no frames, two spaces between columns.

use crate::failure::Failure;
use crate::print::Out;
use comfy_table::{Cell, Color, ContentArrangement, Row, Table, presets};
use serde_json::Value;

/// In a narrower window folded columns are unreadable, and the terminal's own folding is better.
const FOLD_WIDTH_MIN: u16 = 72;

/// A table with these column names.
pub(crate) fn table(out: &Out, names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if out.paint.0 {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(names.iter().map(Cell::new));
    table
}

/// A table whose last column is prose: it is folded to the width of the window, where there is a window wide enough.
pub(crate) fn folding(out: &Out, names: &[&str]) -> Table {
    let mut table = table(out, names);
    if out.paint.0 && table.width().is_some_and(|width| width >= FOLD_WIDTH_MIN) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// The lines of a table, the column names dim, without the space comfy-table puts left of the first column.
pub(crate) fn lines(out: &Out, table: &Table) -> Vec<String> {
    let text = table.trim_fmt();
    let mut lines = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned());
    let names = lines.next().map(|names| out.paint.dim(names));
    names.into_iter().chain(lines).collect()
}

/// Writes one page of a listing whose rows stand in the member `rows`: a table, or `none` where there is no row; then
/// where the next page begins. For programs, the page as it is.
pub(crate) fn page<R: Into<Row>>(
    out: &Out,
    page: &Value,
    rows: &str,
    none: &str,
    mut table: Table,
    row: impl Fn(&Value) -> R,
) -> Result<(), Failure> {
    if !out.human() {
        return out.json_rows(page, rows);
    }
    let listed = page.get(rows).and_then(Value::as_array);
    let Some(listed) = listed.filter(|listed| !listed.is_empty()) else {
        out.say(none);
        return Ok(());
    };
    table.add_rows(listed.iter().map(row));
    lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    if let Some(next) = page.get("nextCursor").and_then(Value::as_str) {
        out.say(format_args!("there are more: --after {next}"));
    }
    Ok(())
}

/// A cell with an outcome or state in its colour.
pub(crate) fn state_cell(state: &str) -> Cell {
    let cell = Cell::new(state);
    match state {
        "succeeded" => cell.fg(Color::Green),
        "failed" | "rejected" | "timed_out" => cell.fg(Color::Red),
        "in_doubt" | "probe" | "probing" | "stopping" | "cancelled" => cell.fg(Color::Yellow),
        _ => cell.fg(Color::Cyan),
    }
}

/// Pairs as aligned lines: the names in one column, dim, the values in the next.
pub(crate) fn pairs(out: &Out, pairs: &[(&str, String)]) -> Vec<String> {
    let width = pairs
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for (name, value) in pairs {
        let mut name = *name;
        for line in value.lines() {
            lines.push(format!(
                "  {}  {line}",
                out.paint.dim(format_args!("{name:<width$}"))
            ));
            name = "";
        }
    }
    lines
}
