//! The Host and Origin guard: a page of another origin, or a name rebound to this machine, gets nothing.
//!
//! It looks at the head of a request and nothing else. It is no authentication: a program that is no browser can
//! send any header it likes.

use actum_model::error::{ErrorCode, Fault};
use actum_model::json::shorten;
use std::net::{IpAddr, SocketAddr};

/// What the guard looks at.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `GET`: the only method a plain link to the daemon uses.
    pub is_get: bool,
    /// The authority in the request target, where it was sent in absolute form.
    pub authority: Option<&'a str>,
    /// The headers.
    pub headers: &'a http::HeaderMap,
}

pub(super) fn check(head: &Head<'_>, local: SocketAddr, further: &[String]) -> Result<(), Fault> {
    let host = single(head.headers, &http::header::HOST)?
        .ok_or_else(|| refused("expected a `Host` header, got none"))?;
    for name in [Some(host), head.authority].into_iter().flatten() {
        if !is_own(name, local, further) {
            return Err(refused(&format!(
                "the host `{}` is not this daemon",
                shorten(name)
            )));
        }
    }
    if let Some(origin) = single(head.headers, &http::header::ORIGIN)? {
        let own = match origin.split_once("://") {
            Some(("http", name)) => is_own(name, local, further),
            Some(("https", name)) => further.iter().any(|known| known.eq_ignore_ascii_case(name)),
            _ => false,
        };
        if !own {
            return Err(refused(&format!(
                "the origin `{}` is not this daemon",
                shorten(origin)
            )));
        }
    }
    check_fetch_metadata(head)
}

/// Browsers say where a request comes from even where they send no `Origin`. A link somebody follows is allowed.
fn check_fetch_metadata(head: &Head<'_>) -> Result<(), Fault> {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if head.is_get && text("sec-fetch-mode") == Some("navigate") => Ok(()),
        Some(site) => Err(refused(&format!(
            "a `{}` page may not call this daemon",
            shorten(site)
        ))),
    }
}

fn single<'a>(headers: &'a http::HeaderMap, name: &http::HeaderName) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| refused(&format!("the header `{name}` is not ASCII"))),
        (Some(_), Some(_)) => Err(refused(&format!("expected one header `{name}`, got several"))),
    }
}

/// Whether `name`, as in a `Host` header, is one of the daemon's. The address a connection came in by is always
/// one: only a *name* can be rebound.
fn is_own(name: &str, local: SocketAddr, further: &[String]) -> bool {
    if further.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return true;
    }
    let Some((host, port)) = split(name) else {
        return false;
    };
    if port != local.port() {
        return false;
    }
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.to_canonical() == local.ip().to_canonical(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; without a port it is 80. A colon in a host needs brackets.
fn split(name: &str) -> Option<(&str, u16)> {
    let after_bracket = name.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match name.get(after_bracket..)?.rfind(':') {
        None => (name, 80),
        Some(at) => {
            let (host, port) = name.split_at_checked(after_bracket + at)?;
            let port = port.strip_prefix(':')?;
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            (host, port.parse().ok().filter(|_| digits)?)
        }
    };
    (host.starts_with('[') == host.contains(':')).then_some((host, port))
}

fn refused(message: &str) -> Fault {
    Fault::new(ErrorCode::OriginRefused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(headers: &[(&'static str, &str)]) -> bool {
        ask_as(true, headers)
    }

    fn ask_as(is_get: bool, headers: &[(&'static str, &str)]) -> bool {
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let head = Head {
            is_get,
            authority: None,
            headers: &map,
        };
        check(
            &head,
            "127.0.0.1:4242".parse().unwrap(),
            &["actum.example".to_owned()],
        )
        .is_ok()
    }

    #[test]
    fn the_host_is_a_loopback_name_with_the_port_or_a_configured_one() {
        for host in [
            "127.0.0.1:4242",
            "localhost:4242",
            "LOCALHOST:4242",
            "[::1]:4242",
            "127.0.0.9:4242",
            "actum.example",
        ] {
            assert!(ask(&[("host", host)]), "{host}");
        }
        for host in [
            "",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:4243",
            "evil.example:4242",
            "localhost.evil.example:4242",
            "192.0.2.1:4242",
            "[::1",
            "::1:4242",
            "localhost:",
            "localhost:+4242",
            "localhost:99999",
            "actum.example:1",
            "localhost:4242@evil.example",
            "evil.example:80@localhost:4242",
        ] {
            assert!(!ask(&[("host", host)]), "{host}");
        }
        assert!(!ask(&[]), "a request without a host");
        assert!(!ask(&[("host", "localhost:4242"), ("host", "evil.example")]));
    }

    #[test]
    fn an_origin_is_one_of_the_daemons_own() {
        let with = |origin| ask(&[("host", "127.0.0.1:4242"), ("origin", origin)]);
        for origin in [
            "http://127.0.0.1:4242",
            "http://localhost:4242",
            "http://actum.example",
            "https://actum.example",
        ] {
            assert!(with(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://127.0.0.1:4243",
            "https://127.0.0.1:4242",
            "http://evil.example",
            "file://",
            "http://localhost:4242.evil.example",
            "http://localhost:4242/",
            "chrome-extension://x",
        ] {
            assert!(!with(origin), "{origin}");
        }
    }

    #[test]
    fn a_foreign_page_that_sends_no_origin_is_still_known_as_one() {
        let host = ("host", "127.0.0.1:4242");
        assert!(!ask(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!ask(&[host, ("sec-fetch-site", "same-site")]));
        assert!(ask(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(ask(&[
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate")
        ]));
        assert!(!ask_as(
            false,
            &[
                host,
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate")
            ]
        ));
    }

    #[test]
    fn the_address_a_connection_came_in_by_is_a_name_of_the_daemon() {
        let local = "192.0.2.1:80".parse().unwrap();
        assert!(is_own("192.0.2.1", local, &[]));
        assert!(is_own("192.0.2.1:80", local, &[]));
        assert!(!is_own("192.0.2.2", local, &[]));
    }

    #[test]
    fn an_absolute_request_target_must_be_own_too() {
        let mut headers = http::HeaderMap::new();
        headers.insert("host", "127.0.0.1:4242".parse().unwrap());
        let head = Head {
            is_get: true,
            authority: Some("evil.example:4242"),
            headers: &headers,
        };
        assert!(check(&head, "127.0.0.1:4242".parse().unwrap(), &[]).is_err());
    }
}
