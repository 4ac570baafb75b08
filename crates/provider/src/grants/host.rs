//! A granted host: a name, all names below one, an address, or any public host.

use super::BadGrant;
use super::text::{METHODS, shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use url::Host;

/// How a host is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// In plain text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The port used where none is given.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        })
    }
}

/// Which hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Any host that is public.
    Any,
    /// The host of this name, in ASCII and lower case.
    Name(String),
    /// All hosts whose name ends in a dot and this, in ASCII and lower case; not the one of this name itself.
    Below(String),
    /// One address. It is granted also where it is private or loopback.
    Address(IpAddr),
}

/// A granted host. As text `[METHOD,METHOD@]HOST[:PORT]`, where the host is a name, `*.` and a name, an address
/// (IPv6 in brackets) or `*`. Without a port it is 80 for http and 443 for https; without methods it is all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostGrant {
    /// Which hosts.
    pub pattern: Pattern,
    /// The port; absent for the usual one of the scheme.
    pub port: Option<u16>,
    /// The methods; empty for all.
    pub methods: BTreeSet<String>,
}

impl HostGrant {
    /// Whether it is about this host, given in its normal form.
    pub(super) fn names(&self, host: &str) -> bool {
        match &self.pattern {
            Pattern::Any => true,
            Pattern::Name(name) => name == host,
            Pattern::Below(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Pattern::Address(address) => plain_address(host) == Some(*address),
        }
    }

    pub(super) fn reaches(&self, port: u16, scheme: Scheme) -> bool {
        self.port.unwrap_or(scheme.default_port()) == port
    }

    pub(super) fn lets(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}

/// An address as a normal host: IPv6 in brackets, and IPv4 in IPv6 taken out of it.
fn plain_address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The normal form of a host: ASCII, lower case, without a trailing dot; an address in its usual form, IPv6 in
/// brackets, one IPv4 address in however many disguises the same text. `None` for what is no host.
#[must_use]
pub fn normal_host(host: &str) -> Option<String> {
    normal(&Host::parse(host).ok()?)
}

/// The same for the host of a URL.
pub(crate) fn normal_url_host(url: &url::Url) -> Option<String> {
    normal(&url.host()?)
}

fn normal<T: AsRef<str>>(host: &Host<T>) -> Option<String> {
    match host {
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(match IpAddr::V6(*address).to_canonical() {
            IpAddr::V4(inner) => inner.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        }),
        Host::Domain(name) => {
            let name = name.as_ref();
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            let labels = name.split('.').all(|label| {
                let plain = label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                plain && (1..=63).contains(&label.len())
            });
            (labels && name.len() <= 253).then_some(name)
        }
    }
}

impl FromStr for HostGrant {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<HostGrant, BadGrant> {
        let (methods, place) = match text.split_once('@') {
            Some((methods, place)) => (parse_methods(methods)?, place),
            None => (BTreeSet::new(), text),
        };
        let (host, port) = split_port(place)?;
        let pattern = parse_pattern(host)?;
        Ok(HostGrant {
            pattern,
            port,
            methods,
        })
    }
}

fn parse_methods(text: &str) -> Result<BTreeSet<String>, BadGrant> {
    text.split(',')
        .map(|method| {
            let upper = method.to_ascii_uppercase();
            METHODS.contains(&upper.as_str()).then_some(upper).ok_or_else(|| {
                let known = METHODS.join("`, `");
                BadGrant::new(format!("expected one of `{known}`, got `{}`", shown(method)))
            })
        })
        .collect()
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), BadGrant> {
    let (host, port) = match place.rsplit_once(':') {
        // A colon within brackets belongs to an IPv6 address.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => return Ok((place, None)),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(BadGrant::new(format!(
            "expected an IPv6 address in brackets, got `{}`",
            shown(place)
        )));
    }
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok((host, Some(number))),
        _ => Err(BadGrant::new(format!(
            "expected a port from 1 to 65535 behind the colon, got `{}`",
            shown(port)
        ))),
    }
}

fn parse_pattern(host: &str) -> Result<Pattern, BadGrant> {
    let bad = || {
        BadGrant::new(format!(
            "expected a host such as `api.example.com`, `*.example.com`, `192.0.2.1` or `*`, got `{}`",
            shown(host)
        ))
    };
    if host == "*" {
        return Ok(Pattern::Any);
    }
    if let Some(rest) = host.strip_prefix("*.") {
        let name = match Host::parse(rest).map_err(|_| bad())? {
            host @ Host::Domain(_) => normal(&host).ok_or_else(bad)?,
            _ => return Err(bad()),
        };
        return match name.contains('.') {
            true => Ok(Pattern::Below(name)),
            false => Err(BadGrant::new(format!(
                "expected at least two labels behind `*.`, got `{}`",
                shown(host)
            ))),
        };
    }
    let parsed = Host::parse(host).map_err(|_| bad())?;
    let normal = normal(&parsed).ok_or_else(bad)?;
    match parsed {
        Host::Domain(_) => Ok(Pattern::Name(normal)),
        // An address granted in disguise is more likely an accident than a wish.
        _ if normal.eq_ignore_ascii_case(host) => plain_address(host).map(Pattern::Address).ok_or_else(bad),
        _ => Err(BadGrant::new(format!(
            "expected the address in its usual form, `{normal}`, got `{}`",
            shown(host)
        ))),
    }
}

impl TryFrom<String> for HostGrant {
    type Error = BadGrant;

    fn try_from(text: String) -> Result<HostGrant, BadGrant> {
        text.parse()
    }
}

impl From<HostGrant> for String {
    fn from(grant: HostGrant) -> String {
        grant.to_string()
    }
}

impl fmt::Display for HostGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            let methods: Vec<&str> = self.methods.iter().map(String::as_str).collect();
            write!(f, "{}@", methods.join(","))?;
        }
        match &self.pattern {
            Pattern::Any => f.write_str("*")?,
            Pattern::Name(name) => f.write_str(name)?,
            Pattern::Below(name) => write!(f, "*.{name}")?,
            Pattern::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Pattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}
