//! Times of single calls: `cargo run --release -p actum-provider --example measure_providers`. It asserts nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on stops, and prints what it found"
)]

use actum_model::Hash;
use actum_provider::file::FileProvider;
use actum_provider::http::{HttpOptions, HttpProvider};
use actum_provider::sdk::{Means, Moment, Origin, Stop};
use actum_provider::{Call, Grants, Provider};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ROUNDS: usize = 500;

fn call(kind: &str, arguments: Value, grants: &Grants) -> Call {
    let keep: actum_provider::sdk::Keep = Arc::new(|_, bytes| Ok(Hash::of(bytes)));
    Call {
        kind: kind.to_owned(),
        arguments,
        effect: Hash::of(b"effect"),
        origin: Origin::default(),
        moment: Moment::default(),
        grants: Arc::new(grants.clone()),
        means: Means {
            keep,
            ..Means::none()
        },
        stop: Stop::never(),
    }
}

async fn measure(
    name: &str,
    provider: &dyn Provider,
    grants: &Grants,
    kind: &str,
    make: impl Fn(usize) -> Value,
) {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let asked = call(kind, make(round), grants);
        let start = Instant::now();
        provider.call(asked).await.unwrap();
        times.push(start.elapsed().as_micros());
    }
    times.sort_unstable();
    println!(
        "{name}: p50 {} us, p95 {} us",
        times[ROUNDS / 2],
        times[ROUNDS * 95 / 100]
    );
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut sent = [0; 4096];
            let _request = stream.read(&mut sent).await;
            let _closed = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    });
    let mut grants = Grants::default();
    grants
        .allow_files(&format!("{}:rw", folder.path().display()))
        .unwrap();
    grants.allow_host(&address).unwrap();
    std::fs::write(folder.path().join("small"), vec![b'x'; 4096]).unwrap();
    std::fs::write(folder.path().join("large"), vec![b'x'; 1024 * 1024]).unwrap();
    let start = Instant::now();
    let http = HttpProvider::new(HttpOptions::default()).unwrap();
    println!("making the http provider: {} us", start.elapsed().as_micros());
    let (files, small) = (FileProvider, "y".repeat(4096));
    measure(
        "file.read of 4 KiB",
        &files,
        &grants,
        "file.read",
        |_| json!({"path": "small"}),
    )
    .await;
    measure(
        "file.read of 1 MiB",
        &files,
        &grants,
        "file.read",
        |_| json!({"path": "large"}),
    )
    .await;
    measure(
        "file.stat",
        &files,
        &grants,
        "file.stat",
        |_| json!({"path": "small"}),
    )
    .await;
    let content = |round| json!({"path": "written", "content": format!("{round}{small}")});
    measure(
        "file.write of 4 KiB, replacing",
        &files,
        &grants,
        "file.write",
        content,
    )
    .await;
    let url = format!("http://{address}/");
    measure(
        "http.fetch on loopback",
        &http,
        &grants,
        "http.fetch",
        |_| json!({"url": url}),
    )
    .await;
}
