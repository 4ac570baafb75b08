//! The address of a daemon: `http://HOST:PORT`, nothing more.

use crate::error::ClientError;
use std::fmt;
use tokio::net::TcpStream;

/// A checked address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `HOST:PORT` as it stands in a `Host` header.
    authority: String,
    /// The host without brackets.
    host: String,
    port: u16,
}

impl Address {
    /// Reads `http://HOST[:PORT][/]`, `ws://…` or plain `HOST:PORT`.
    ///
    /// # Errors
    /// [`ClientError::BadAddress`].
    pub fn parse(text: &str) -> Result<Address, ClientError> {
        let bad = |why| ClientError::BadAddress {
            address: text.to_owned(),
            why,
        };
        let rest = match text.split_once("://") {
            None => text,
            Some(("http" | "ws", rest)) => rest,
            Some(("https" | "wss", _)) => {
                return Err(bad("the daemon speaks no TLS; reach it through a tunnel"));
            }
            Some(_) => return Err(bad("expected `http://`")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty()
            || !authority
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"/?#@".contains(&b))
        {
            return Err(bad("expected a host and a port, without a path"));
        }
        let after_bracket = authority.rfind(']').unwrap_or(0);
        let colon = authority.get(after_bracket..).and_then(|rest| rest.rfind(':'));
        let (host, port) = match colon.and_then(|at| authority.split_at_checked(after_bracket + at)) {
            None => (authority, 80),
            Some((host, port)) => {
                let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
                (host, port.ok_or_else(|| bad("expected a port from 0 to 65535"))?)
            }
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Ok(Address {
            authority: authority.to_owned(),
            host: inner.unwrap_or(host).to_owned(),
            port,
        })
    }

    /// `HOST:PORT` as it stands in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) async fn connect(&self) -> Result<TcpStream, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            address: self.to_string(),
            source,
        };
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(stream)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("http://127.0.0.1:4040", "127.0.0.1", 4040),
            ("http://localhost:4040/", "localhost", 4040),
            ("ws://[::1]:4040", "::1", 4040),
            ("http://[::1]", "::1", 80),
            ("localhost:1", "localhost", 1),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
        }
        for text in [
            "",
            "http://",
            "https://a:1",
            "ftp://a:1",
            "http://a:b",
            "http://a:1/path",
            "http://u@a:1",
            "http://a b",
        ] {
            assert_eq!(
                Address::parse(text).unwrap_err().code(),
                "INVALID_INPUT",
                "{text}"
            );
        }
    }
}
