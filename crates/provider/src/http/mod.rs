//! `http.fetch`: one request to a granted host, with its redirects.
//!
//! Every hop is checked in the same way: the host is granted, its name is resolved once, every address it has is
//! public or granted itself, and the connection goes to one of exactly these addresses. There is no pool, no proxy, no
//! cache and no cookie jar, and no redirect that this code does not follow itself. HTTP/1.1 over `hyper`, TLS over
//! `rustls`: the connection is made here and handed to them, so neither can look up, redirect or reuse anything.
//!
//! It does not retry: whether a request may be sent again is for those to say who know what it does.

mod address;
mod body;
mod connect;
mod exchange;
mod fetch;
mod headers;
mod hop;
mod probe;
mod request;
mod resolve;
mod secrets;
mod target;

pub use address::why_not_public;
pub use request::is_idempotent;
pub use resolve::{Resolver, SystemResolver};

use crate::sdk::{Answer, Call, Failure, Provider};
use actum_model::ErrorCode;
use actum_model::effect::ProbeAnswer;
use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

const KINDS: &[&str] = &["http.fetch"];

/// What an HTTP provider is made with.
#[derive(Clone)]
pub struct HttpOptions {
    /// Who resolves names.
    pub resolver: Arc<dyn Resolver>,
    /// Certificates in DER that are trusted besides the bundled roots.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            resolver: Arc::new(SystemResolver),
            extra_roots: Vec::new(),
        }
    }
}

/// TLS that could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct BadTls(#[from] rustls::Error);

/// Carries out `http.fetch`.
#[derive(Clone)]
pub struct HttpProvider {
    resolver: Arc<dyn Resolver>,
    tls: Arc<ClientConfig>,
}

impl HttpProvider {
    /// A provider.
    ///
    /// # Errors
    /// [`BadTls`] where one of the extra roots is no certificate.
    pub fn new(options: HttpOptions) -> Result<HttpProvider, BadTls> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for root in options.extra_roots {
            roots.add(CertificateDer::from(root))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(HttpProvider {
            resolver: options.resolver,
            tls: Arc::new(tls),
        })
    }
}

#[async_trait]
impl Provider for HttpProvider {
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    async fn call(&self, call: Call) -> Answer {
        match call.kind.as_str() {
            "http.fetch" => fetch::fetch(self, &call).await,
            other => Err(Failure::new(
                ErrorCode::UnknownCommand,
                format!("the http provider does not carry out `{other}`"),
            )),
        }
    }

    async fn probe(&self, call: Call) -> ProbeAnswer {
        probe::probe(self, &call).await
    }
}
