//! Printing. The workspace denies `println!` so that no library prints by accident; this program prints on
//! purpose, in this one place. A closed pipe is not an error worth a message.

use std::io::Write as _;

/// One line to standard output.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One line to standard error.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
