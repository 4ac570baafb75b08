//! Progress of long work, for people who watch.

use crate::print::Out;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn bar(lines: Option<u64>, out: &Out) -> ProgressBar {
    let target = if out.lively && out.human() && lines.is_none_or(|lines| lines > 1) {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(lines, target);
    let look = if lines.is_some() {
        "{bar:32.cyan/dim} {pos}/{len}  {elapsed}"
    } else {
        "{spinner} {pos}  {elapsed}"
    };
    match ProgressStyle::with_template(look) {
        Ok(style) => bar.with_style(style.progress_chars("━━─")),
        Err(_) => bar,
    }
}
