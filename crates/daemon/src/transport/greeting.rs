//! What a connection is told first, and what it is told when the daemon goes.

use crate::core::Core;
use serde_json::{Value, json};

/// Version of the wire contract, `docs/PROTOCOL.md`.
pub const PROTOCOL_VERSION: &str = "1.0.0";

/// The `server_ready` message.
pub(crate) fn server_ready(core: &Core) -> Value {
    json!({
        "type": "server_ready",
        "serverVersion": env!("CARGO_PKG_VERSION"),
        "protocolVersion": PROTOCOL_VERSION,
        "transports": ["http", "websocket", "stdio"],
        "realm": core.realm_hex(),
        "head": core.published().head,
    })
}

/// The `startup_recovery_summary` event, where the boot took up unfinished commands.
pub(crate) fn recovery_summary(core: &Core) -> Option<Value> {
    let Value::Object(mut summary) = core.recovery() else {
        return None;
    };
    let unfinished = summary.get("unfinished").and_then(Value::as_u64).unwrap_or(0);
    if unfinished == 0 {
        return None;
    }
    // The commands themselves may be another tenant's; each caller finds its own by `server.recovery`.
    summary.remove("commands");
    summary.insert("type".into(), "event".into());
    summary.insert("event".into(), "startup_recovery_summary".into());
    Some(Value::Object(summary))
}

/// The `server_shutdown` event: what is still due will be answered, nothing new is taken.
pub(crate) fn server_shutdown() -> Value {
    json!({"type": "event", "event": "server_shutdown"})
}
