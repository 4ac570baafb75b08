//! The kinds of all providers, each with arguments that work, and the world they work in.

use crate::common::{self, Bound};
use actum_model::ErrorCode;
use actum_provider::file::FileProvider;
use actum_provider::http::{HttpOptions, HttpProvider};
use actum_provider::system::SystemProvider;
use actum_provider::{Answer, Call, Grants, Provider, Registry};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "s3cr3t-in-no-answer";

/// One kind with arguments that work.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: &'static str,
    pub(crate) arguments: Value,
    /// Whether it does nothing without a grant.
    pub(crate) needs_grant: bool,
    /// Arguments that fail, and how.
    pub(crate) faults: Vec<(Value, ErrorCode)>,
}

/// What the cases work in: a folder, a server that says what it was sent, grants of both.
pub(crate) struct World {
    folder: TempDir,
    url: String,
    grants: Grants,
    pub(crate) registry: Registry,
}

pub(crate) fn providers() -> Vec<Arc<dyn Provider>> {
    let env = BTreeMap::from([
        ("LANG".to_owned(), "C".to_owned()),
        ("KEY".to_owned(), SECRET.to_owned()),
    ]);
    vec![
        Arc::new(FileProvider),
        Arc::new(HttpProvider::new(HttpOptions::default()).unwrap()),
        Arc::new(SystemProvider::with_env(env)),
    ]
}

impl World {
    pub(crate) async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("a"), "content").unwrap();
        let address = echo().await;
        let mut grants = common::grants(
            &[format!("{}:rw", folder.path().display())],
            std::slice::from_ref(&address),
        );
        grants.allow_env("LANG").unwrap();
        let mut registry = Registry::new();
        for provider in providers() {
            registry.add(&provider).unwrap();
        }
        World {
            folder,
            url: format!("http://{address}/"),
            grants,
            registry,
        }
    }

    pub(crate) fn call(&self, case: &Case) -> Call {
        let mut call = common::call(case.kind, case.arguments.clone(), &self.grants);
        let bound = Bound(BTreeMap::from([("K", (SECRET, vec!["127.0.0.1".to_owned()]))]));
        call.means.secrets = Arc::new(bound);
        call
    }

    pub(crate) async fn run(&self, case: &Case) -> Answer {
        self.registry.call(self.call(case)).await
    }

    /// All files of the folder with their content, ascending.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut all = BTreeMap::new();
        collect(self.folder.path(), &mut all);
        all
    }

    fn case(kind: &'static str, arguments: Value, faults: Vec<(Value, ErrorCode)>) -> Case {
        let needs_grant = !matches!(kind, "system.info" | "system.time");
        Case {
            kind,
            arguments,
            needs_grant,
            faults,
        }
    }

    pub(crate) fn cases(&self) -> Vec<Case> {
        use ErrorCode::{
            FileExists, FileNotFound, FileRefused, HostRefused, NotGranted, PathOutside, SecretUnavailable,
        };
        let case = World::case;
        vec![
            case(
                "file.list",
                json!({"path": "."}),
                vec![(json!({"path": "a"}), FileRefused)],
            ),
            case(
                "file.read",
                json!({"path": "a"}),
                vec![
                    (json!({"path": "none"}), FileNotFound),
                    (json!({"path": ".."}), PathOutside),
                    (json!({"path": "d"}), FileRefused),
                    (json!({"path": "/etc/passwd"}), NotGranted),
                ],
            ),
            case(
                "file.stat",
                json!({"path": "a", "hash": true}),
                vec![(json!({"path": "none"}), FileNotFound)],
            ),
            case(
                "file.write",
                json!({"path": "new", "content": "new"}),
                vec![
                    (json!({"path": "a", "content": "x", "mode": "create"}), FileExists),
                    (json!({"path": "d", "content": "x"}), FileRefused),
                ],
            ),
            case(
                "file.move",
                json!({"from": "a", "to": "d/moved"}),
                vec![(json!({"from": "none", "to": "other"}), FileNotFound)],
            ),
            case(
                "file.remove",
                json!({"path": "d/moved"}),
                vec![(json!({"path": "."}), PathOutside)],
            ),
            case(
                "http.fetch",
                json!({"url": self.url, "headers": {"x": "$secret:K"}}),
                vec![
                    (json!({"url": "http://a.example/"}), HostRefused),
                    (
                        json!({"url": self.url, "headers": {"x": "$secret:OTHER"}}),
                        SecretUnavailable,
                    ),
                ],
            ),
            case(
                "system.env",
                json!({"names": ["LANG"]}),
                vec![(json!({"names": ["LANG", "KEY"]}), NotGranted)],
            ),
            case("system.info", json!({}), vec![]),
            case("system.time", json!({}), vec![]),
        ]
    }
}

fn collect(folder: &Path, all: &mut BTreeMap<String, Option<Vec<u8>>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let content = path.is_file().then(|| std::fs::read(&path).unwrap());
        if path.is_dir() {
            collect(&path, all);
        }
        all.insert(path.to_string_lossy().into_owned(), content);
    }
}

/// A server that answers with what it was sent.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut sent = Vec::new();
                while !sent.windows(4).any(|four| four == b"\r\n\r\n") {
                    if !matches!(stream.read_buf(&mut sent).await, Ok(count) if count > 0) {
                        return;
                    }
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", sent.len());
                let _closed = stream.write_all(&[head.as_bytes(), &sent].concat()).await;
            });
        }
    });
    address
}
