//! Names into addresses. It checks nothing; who asks does.

use async_trait::async_trait;
use std::net::IpAddr;

/// Resolves names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name, which is in its normal form and no address itself. It is asked once for each hop.
    ///
    /// # Errors
    /// A sentence that says why there are none.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String>;
}

/// Asks the operating system, and so its hosts file and name servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let found = tokio::net::lookup_host((name, 0))
            .await
            .map_err(|error| error.to_string())?;
        let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        addresses.dedup();
        Ok(addresses)
    }
}
