//! The log: to standard error, warnings and worse unless `ACTUM_LOG` says otherwise. Secrets never come here.

use crate::context::Context;
use tracing_subscriber::EnvFilter;

/// Libraries that log whole messages, with whatever secrets are in them, and so say nothing but errors.
const SILENCED: &[&str] = &["rmcp=error", "tungstenite=error", "tokio_tungstenite=error"];

/// Starts it. Once is enough; a second start changes nothing.
pub(crate) fn start(context: &Context) {
    let filter = std::env::var("ACTUM_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new("warn"));
    let filter = SILENCED
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let _started_already = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(context.out.paint_err.0)
        .with_target(false)
        .try_init();
}
