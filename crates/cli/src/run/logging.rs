//! The log: to standard error, warnings and worse unless `ACTUM_LOG` says otherwise. Secrets never come here.

use crate::context::Context;
use tracing_subscriber::EnvFilter;

/// Starts it. Once is enough; a second start changes nothing.
pub(crate) fn start(context: &Context) {
    let filter = std::env::var("ACTUM_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok());
    let _started_already = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .with_ansi(context.out.paint_err.0)
        .with_target(false)
        .try_init();
}
