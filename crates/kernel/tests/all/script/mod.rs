//! The reader of scripts: one line, one thing that happens. It prints what the kernel made of it.
//!
//! `boot`, `submit [as NAME] [limited MS] [from ID] JSON`, `many N JSON` (`{i}` is the number),
//! `submit-wide N JSON`, `submit-large BYTES JSON`, `dispatch ID`,
//! `quietly …`, `settle ID AS [JSON]`, `output ID TEXT`, `tick`, `continue`, `drain`, `pass MS`, `wall ±MS`, `run MS`,
//! `config NAME=VALUE`, `show ID`, `session ID`, `graph`, `lanes`, `crash` (state from events alone), `snapshot`
//! (state from pieces), `close`, `counts`, `sample ±MS STANDING` (of the wall clock), `now`, `ticks`, `timers`, `why ID`. The
//! samples of every boot and tick are not printed. `snapshots` (which versions can be read), `rewrites` (the log), `after VIEW
//! IDX` (its entries behind that place).

mod show;
mod world;

use std::fmt::Write as _;
use world::World;

/// Runs a script and gives it back with its transcript as it should be.
pub(crate) fn run(name: &str, text: &str) -> String {
    let mut world = World::new(name);
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with('#') || line.is_empty() {
            writeln!(out, "{line}").unwrap();
        } else if let Some(command) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            for printed in world.step(command) {
                writeln!(out, "{printed}").unwrap();
            }
        }
    }
    world.check_end();
    out
}

/// The first lines in which two transcripts differ.
pub(crate) fn difference(name: &str, expected: &str, found: &str) -> String {
    let mut expected = expected.lines();
    let mut found = found.lines();
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), found.next()) {
            (None, None) => return format!("{name}: line ends differ"),
            (a, b) if a == b => {}
            (a, b) => return format!("{name}:{number}: expected\n  {}\nfound\n  {}", text(a), text(b)),
        }
    }
}

fn text(line: Option<&str>) -> &str {
    line.unwrap_or("(the end)")
}
