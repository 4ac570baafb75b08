//! The number of connections is bounded, and one above it is told so.
//! In a file of its own, because it needs most of the file descriptors of its process.

use crate::transport_support::Daemon;
use actum_model::limits::CONNECTIONS_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_and_the_others_live_on() {
    // Both ends of every connection are in this process.
    let wanted = 2 * CONNECTIONS_MAX as u64 + 256;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum: limit.maximum,
            },
        )
        .unwrap();
    }
    let daemon = Daemon::dev().await;
    let mut socket = daemon.socket().await;
    let mut silent = Vec::new();
    let connections = || daemon.listening.as_ref().unwrap().connections();
    while connections() < CONNECTIONS_MAX {
        silent.push(TcpStream::connect(daemon.address).await.unwrap());
        // The daemon has taken it in when an open connection is answered after it.
        if silent.len() >= CONNECTIONS_MAX - 1 {
            socket.call(&json!({"type": "server.health"})).await;
        }
    }
    let answer = daemon.get("/v1/health").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "BUSY"));
    assert_eq!(
        socket.call(&json!({"type": "server.health"})).await["success"],
        true
    );
    drop(silent);
    while connections() > 1 {
        socket.call(&json!({"type": "server.health"})).await;
    }
    assert_eq!(daemon.get("/v1/health").await.status, 200);
}
