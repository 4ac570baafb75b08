//! May this hop be made, and to which addresses. The one gate all requests pass: first ones, redirects, probes.

use super::HttpProvider;
use super::address::why_not_public;
use super::target::Target;
use crate::grants::Grants;
use crate::sdk::Failure;
use actum_model::{ErrorCode, limits};
use std::net::{IpAddr, SocketAddr};

/// The addresses a hop may connect to, all of them checked.
pub(super) async fn admit(
    provider: &HttpProvider,
    grants: &Grants,
    target: &Target,
    method: &str,
) -> Result<Vec<SocketAddr>, Failure> {
    grants.check_host(&target.host, target.port, target.scheme, method)?;
    let addresses = match target.literal {
        Some(address) => vec![address],
        None => provider.resolver.resolve(&target.host).await.map_err(|why| {
            let message = format!("the name `{}` cannot be resolved: {why}", target.host);
            Failure::new(ErrorCode::HttpFailed, message)
        })?,
    };
    if addresses.is_empty() || addresses.len() > limits::HTTP_ADDRESSES_MAX {
        let (limit, got) = (limits::HTTP_ADDRESSES_MAX, addresses.len());
        let message = format!("`{}`: expected 1 to {limit} addresses, got {got}", target.host);
        return Err(Failure::new(ErrorCode::HttpFailed, message));
    }
    addresses
        .into_iter()
        .map(|address| check(grants, target, method, address.to_canonical()))
        .collect()
}

fn check(grants: &Grants, target: &Target, method: &str, address: IpAddr) -> Result<SocketAddr, Failure> {
    match why_not_public(address) {
        Some(why) if !grants.allows_address(address, target.port, target.scheme, method) => {
            let place = match target.literal {
                Some(_) => format!("`{address}` may not be called"),
                None => format!("`{}` is at {address}, which may not be called", target.host),
            };
            let message = format!("{place}: {why}");
            let port = target.port;
            let hint = format!("the operator can grant `{}`", SocketAddr::new(address, port));
            Err(actum_model::Fault::new(ErrorCode::HostRefused, message)
                .with_hint(hint)
                .into())
        }
        _ => Ok(SocketAddr::new(address, target.port)),
    }
}
