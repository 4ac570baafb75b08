//! A connection to one of the addresses a hop may go to, and TLS on it. It resolves nothing and reads no proxy
//! settings.

use super::HttpProvider;
use super::target::Target;
use crate::grants::Scheme;
use crate::sdk::Failure;
use actum_model::{ErrorCode, limits};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Both sorts of connection.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Addresses that get a share of the time a connection may take.
const SHARES_MAX: usize = 4;

/// Connects to the first address that answers. Nothing of the request has been sent when it fails.
pub(super) async fn connect(
    provider: &HttpProvider,
    target: &Target,
    addresses: &[SocketAddr],
) -> Result<(Box<dyn Wire>, SocketAddr), Failure> {
    let whole = Duration::from_millis(limits::HTTP_CONNECT_TIMEOUT_MS);
    let shares = u32::try_from(addresses.len().clamp(1, SHARES_MAX)).unwrap_or(1);
    let mut last = "it has no address".to_owned();
    for address in addresses.iter().take(SHARES_MAX) {
        match tokio::time::timeout(whole / shares, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return secure(provider, target, stream, *address, whole).await,
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    Err(failed(target, &last))
}

async fn secure(
    provider: &HttpProvider,
    target: &Target,
    stream: TcpStream,
    address: SocketAddr,
    time: Duration,
) -> Result<(Box<dyn Wire>, SocketAddr), Failure> {
    // The kernel connects where it is told; this says so if ever something between does not.
    let peer = stream
        .peer_addr()
        .map_err(|error| failed(target, &error.to_string()))?;
    if peer != address {
        return Err(failed(
            target,
            &format!("expected a connection to {address}, got one to {peer}"),
        ));
    }
    let _slower = stream.set_nodelay(true);
    if target.scheme == Scheme::Http {
        return Ok((Box::new(stream), address));
    }
    let bare = target.host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(target, &error.to_string()))?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&provider.tls));
    match tokio::time::timeout(time, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok((Box::new(stream), address)),
        Ok(Err(error)) => Err(failed(target, &format!("TLS: {error}"))),
        Err(_) => Err(failed(target, "TLS: the host does not answer")),
    }
}

fn failed(target: &Target, why: &str) -> Failure {
    let message = format!("no connection to `{}`: {why}", target.authority());
    Failure::new(ErrorCode::HttpFailed, message)
}
