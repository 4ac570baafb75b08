//! TLS: the host proves the name it was asked under, to the bundled roots or to those the operator adds.

use super::call;
use super::common::{code, good};
use super::server::{Names, Server, answer};
use actum_model::ErrorCode;
use actum_provider::Provider;
use actum_provider::http::{HttpOptions, HttpProvider};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

#[tokio::test]
async fn a_host_must_prove_its_name() {
    let own = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let certificate = own.cert.der().to_vec();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.clone())], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::listen(
        Arc::new(|_| Some(answer("200 OK", &[], b"proved"))),
        Some(acceptor),
    )
    .await;
    let port = server.port();
    let hosts = [
        format!("*.example:{port}"),
        format!("a.example:{port}"),
        format!("127.0.0.1:{port}"),
    ];
    assert!(hosts[0].parse::<actum_provider::grants::HostGrant>().is_err());
    let other = format!("b.example:{port}");
    let names = Names::of(&[("a.example", &[&["127.0.0.1"]]), ("b.example", &[&["127.0.0.1"]])]);
    let trusting = HttpProvider::new(HttpOptions {
        resolver: names.clone(),
        extra_roots: vec![certificate],
    })
    .unwrap();
    let wary = HttpProvider::new(HttpOptions {
        resolver: names,
        extra_roots: Vec::new(),
    })
    .unwrap();
    let fetch = |provider: HttpProvider, host: &str| {
        let asked = call(
            json!({"url": format!("https://{host}:{port}/"), "method": "POST"}),
            &[&hosts[1], &hosts[2], &other],
        );
        async move { provider.call(asked).await }
    };
    assert_eq!(good(fetch(trusting.clone(), "a.example").await)["body"], "proved");
    for (provider, host) in [
        (&wary, "a.example"),
        (&trusting, "b.example"),
        (&trusting, "127.0.0.1"),
    ] {
        let failure = fetch(provider.clone(), host).await.unwrap_err();
        assert_eq!(failure.happened, actum_provider::Happened::No);
        assert_eq!(code(Err(failure)), ErrorCode::HttpFailed, "{host}");
    }
    assert_eq!(server.got().len(), 1);
    let bad = HttpOptions {
        extra_roots: vec![b"no certificate".to_vec()],
        ..HttpOptions::default()
    };
    assert!(HttpProvider::new(bad).is_err());
}
