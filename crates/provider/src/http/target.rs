//! Where a request goes: a URL that was taken apart once, and what of it is put on the wire. Everything that looks at
//! a host looks at this.

use crate::grants::{Scheme, normal_url_host};
use crate::sdk::{Destination, Failure};
use actum_model::{ErrorCode, limits};
use std::net::IpAddr;
use url::Url;

/// A URL that may be asked for, if it is granted.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: Url,
    pub(super) scheme: Scheme,
    /// The normal form of the host.
    pub(super) host: String,
    /// The address, where the host is one.
    pub(super) literal: Option<IpAddr>,
    pub(super) port: u16,
}

impl Target {
    /// Reads a URL as a caller gives it.
    pub(super) fn parse(text: &str) -> Result<Target, Failure> {
        plain(text)?;
        Url::parse(text)
            .map_err(|error| invalid(text, &error.to_string()))
            .and_then(|url| Target::new(url, text))
    }

    /// Reads where an answer redirects to, which may be relative to this.
    pub(super) fn follow(&self, location: &str) -> Result<Target, Failure> {
        plain(location)?;
        let url = self
            .url
            .join(location)
            .map_err(|error| invalid(location, &error.to_string()))?;
        Target::new(url, location)
    }

    fn new(mut url: Url, text: &str) -> Result<Target, Failure> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => {
                return Err(invalid(
                    text,
                    &format!("expected `http` or `https`, got `{other}`"),
                ));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                text,
                "expected no user and password; give them as a header",
            ));
        }
        let (Some(host), Some(port)) = (normal_url_host(&url), url.port_or_known_default()) else {
            return Err(invalid(text, "expected the name or address of a host"));
        };
        if port == 0 {
            return Err(invalid(text, "expected a port from 1 to 65535"));
        }
        url.set_fragment(None);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let literal = bare.parse().ok();
        Ok(Target {
            url,
            scheme,
            host,
            literal,
            port,
        })
    }

    /// The URL without its fragment.
    pub(super) fn shown(&self) -> String {
        self.url.to_string()
    }

    /// What stands behind the method on the wire.
    pub(super) fn path(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// The host with its port where that is not the usual one, as the `Host` header has it.
    pub(super) fn authority(&self) -> String {
        match self.port == self.scheme.default_port() {
            true => self.host.clone(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    pub(super) fn same_origin(&self, other: &Target) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    pub(super) fn destination(&self) -> Destination<'_> {
        Destination {
            host: &self.host,
            port: self.port,
            encrypted: self.scheme == Scheme::Https,
        }
    }
}

/// Refuses what readers of URLs drop or turn into something else, each in its own way.
fn plain(text: &str) -> Result<(), Failure> {
    let limit = limits::HTTP_URL_BYTES_MAX;
    if text.len() > limit {
        return Err(invalid(
            "…",
            &format!("expected at most {limit} bytes, got {}", text.len()),
        ));
    }
    match text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        true => Err(invalid(
            text,
            "expected no white space, control characters and backslashes",
        )),
        false => Ok(()),
    }
}

fn invalid(text: &str, why: &str) -> Failure {
    let text = crate::grants::shown(text);
    Failure::new(
        ErrorCode::InvalidInput,
        format!("`{text}` is no URL to fetch: {why}"),
    )
}
