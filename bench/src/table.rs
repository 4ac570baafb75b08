//! The table that is printed at the end.

use crate::spread::Spread;
use std::io::Write;
use std::time::Duration;

/// One rung.
pub(crate) struct Row {
    pub(crate) rung: String,
    pub(crate) value: String,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) reach: String,
    /// Whether it reaches what it should; none where there is nothing to reach.
    pub(crate) reached: Option<bool>,
}

impl Row {
    pub(crate) fn new(rung: impl Into<String>, value: impl Into<String>) -> Row {
        Row {
            rung: rung.into(),
            value: value.into(),
            p50: None,
            p99: None,
            memory_bytes: None,
            cpu: None,
            reach: String::new(),
            reached: None,
        }
    }

    pub(crate) fn floor(floor: &Spread) -> Row {
        let mut row = Row::new("floor: 4 KiB preallocated write + fdatasync", "");
        row.p50 = Some(floor.p50());
        row.p99 = Some(floor.p99());
        row
    }

    pub(crate) fn reach(mut self, reach: impl Into<String>, reached: bool) -> Row {
        self.reach = reach.into();
        self.reached = Some(reached);
        self
    }
}

/// All rungs in their order.
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { rows: Vec::new() }
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, name: &str) {
        self.rows.push(Row::new(format!("-- {name}"), ""));
    }

    pub(crate) fn append(&mut self, other: Table) {
        self.rows.extend(other.rows);
    }

    pub(crate) fn add(&mut self, row: Row) {
        progress(&format!("{:<58} {}", row.rung, row.value));
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        let head = ["rung", "measured", "p50", "p99", "memory", "cpu", "to reach", ""].map(str::to_owned);
        let lines: Vec<[String; 8]> = std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let widths: Vec<usize> = (0..8)
            .map(|i| {
                lines
                    .iter()
                    .filter_map(|line| line.get(i))
                    .map(|c| c.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut out = std::io::stdout().lock();
        for line in &lines {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            let _closed = writeln!(out, "{}", cells.join("  ").trim_end());
        }
    }
}

fn cells(row: &Row) -> [String; 8] {
    let millis = |d: Option<Duration>| {
        d.map(|d| format!("{:.3} ms", d.as_secs_f64() * 1e3))
            .unwrap_or_default()
    };
    [
        row.rung.clone(),
        row.value.clone(),
        millis(row.p50),
        millis(row.p99),
        row.memory_bytes
            .map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6))
            .unwrap_or_default(),
        row.cpu
            .map(|cores| format!("{cores:.2} cores"))
            .unwrap_or_default(),
        row.reach.clone(),
        row.reached
            .map(|reached| if reached { "reached" } else { "NOT reached" })
            .unwrap_or_default()
            .to_owned(),
    ]
}

/// Says on stderr how far it is.
pub(crate) fn progress(text: &str) {
    let _closed = writeln!(std::io::stderr(), "· {text}");
}
