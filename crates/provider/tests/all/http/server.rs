//! A small HTTP server on any free port of loopback that remembers what it was sent, and a resolver that says what it
//! is told.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What a server does with a request: the bytes of its answer, or nothing, so that the caller waits for ever.
pub(crate) type Answering = Arc<dyn Fn(&Got) -> Option<Vec<u8>> + Send + Sync>;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<AtomicUsize>,
    seen: watch::Receiver<usize>,
}

impl Server {
    pub(crate) async fn start(answering: Answering) -> Server {
        Server::listen(answering, None).await
    }

    /// One that answers everything in the same way.
    pub(crate) async fn same(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::start(Arc::new(move |_| Some(answer.clone()))).await
    }

    pub(crate) async fn listen(answering: Answering, tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = watch::channel(0);
        let (got, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (kept, counted) = (Arc::clone(&got), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (answering, kept, tell, tls) = (
                    Arc::clone(&answering),
                    Arc::clone(&kept),
                    tell.clone(),
                    tls.clone(),
                );
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answering, kept, tell).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, answering, kept, tell).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Server {
            address,
            got,
            connections,
            seen,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until a request has come in whole.
    pub(crate) async fn saw_one(&self) {
        let mut seen = self.seen.clone();
        seen.wait_for(|count| *count > 0).await.unwrap();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answering: Answering,
    kept: Arc<Mutex<Vec<Got>>>,
    tell: watch::Sender<usize>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let got = Got {
        line,
        headers,
        body: bytes[head..].to_vec(),
    };
    let answer = answering(&got);
    kept.lock().unwrap().push(got);
    tell.send_modify(|count| *count += 1);
    match answer {
        Some(answer) => {
            let _closed = stream.write_all(&answer).await;
            let _closed = stream.shutdown().await;
        }
        None => std::future::pending().await,
    }
    Some(())
}

/// An answer with a body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// A resolver that gives each name its addresses, a list for each time it is asked, the last of them for ever.
#[derive(Default)]
pub(crate) struct Names {
    names: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) asked: AtomicUsize,
}

impl Names {
    pub(crate) fn of(names: &[(&str, &[&[&str]])]) -> Arc<Names> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let names = names
            .iter()
            .map(|(name, lists)| ((*name).to_owned(), lists.iter().map(parse).collect()))
            .collect();
        Arc::new(Names {
            names: Mutex::new(names),
            asked: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl actum_provider::http::Resolver for Names {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut names = self.names.lock().unwrap();
        let lists = names.get_mut(name).ok_or("no such name")?;
        match lists.len() {
            1 => Ok(lists[0].clone()),
            _ => Ok(lists.remove(0)),
        }
    }
}
