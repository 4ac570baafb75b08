//! Tables and aligned pairs for people: no frames, two spaces between columns.

use crate::print::Out;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

/// A table with these column names.
pub(crate) fn table(out: &Out, names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if out.paint.0 {
        // Only where a person looks are long texts folded to the width of the window.
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .enforce_styling();
    } else {
        table
            .set_content_arrangement(ContentArrangement::Disabled)
            .force_no_tty();
    }
    table.set_header(
        names
            .iter()
            .map(|name| Cell::new(name).add_attribute(Attribute::Dim)),
    );
    table
}

/// The lines of a table, without the space comfy-table puts left of the first column.
pub(crate) fn lines(table: &Table) -> Vec<String> {
    let text = table.trim_fmt();
    text.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
        .collect()
}

/// A cell with an outcome or state in its colour.
pub(crate) fn state_cell(state: &str) -> Cell {
    let cell = Cell::new(state);
    match state {
        "succeeded" => cell.fg(Color::Green),
        "failed" | "rejected" | "timed_out" => cell.fg(Color::Red),
        "in_doubt" | "stopping" | "cancelled" => cell.fg(Color::Yellow),
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
