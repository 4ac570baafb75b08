//! Who may call: named tokens, the Host and Origin guard, the rule for binding.
//!
//! It says who a caller *is*. What the caller may do is for contracts and, later, policy to say; nothing here
//! reads a message body.

pub mod calls;
pub mod guard;
pub mod tokens;

use actum_model::error::{ErrorCode, Fault};
use actum_model::hash::Hash;
use actum_model::ids::{Principal, Tenant};
use actum_model::{Caller, limits};
use calls::{Calls, Life};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use tokens::TokenFile;

/// Names no token may carry, because the daemon gives them to callers without one.
pub const RESERVED_NAMES: &[&str] = &["dev", "stdio"];

/// How callers without a token are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `actum dev`: callers on this machine are principal `dev`.
    Dev,
    /// `actum serve`: every caller needs a token.
    Serve,
}

/// The access rules of one daemon.
#[derive(Debug)]
pub struct Access {
    mode: Mode,
    tokens: TokenFile,
    /// Further `host` or `host:port` names the daemon answers to, lower case.
    hosts: Vec<String>,
}

/// What a caller was let in as. It can be asked again, so that a revoked token ends open connections.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who calls.
    pub caller: Caller,
    proof: Proof,
}

/// What a caller was let in with.
#[derive(Clone, Debug)]
enum Proof {
    /// The way by which it came.
    Way,
    /// A named token.
    Token(Hash),
    /// The token of a running command.
    Call(Life),
}

impl Grant {
    /// The caller on standard input.
    #[must_use]
    pub fn stdio() -> Grant {
        Grant::without_token("stdio")
    }

    fn without_token(name: &str) -> Grant {
        // INVARIANT: the fixed names `dev` and `stdio` are within the alphabet of principals.
        let principal = Principal::parse(name).unwrap_or_else(|_| unreachable!("`{name}` is a principal"));
        Grant {
            caller: Caller {
                tenant: Tenant::main(),
                principal,
                exec: None,
            },
            proof: Proof::Way,
        }
    }
}

impl Access {
    /// The rules of the daemon whose data lies under `data`. `hosts` are further names it answers to, as they
    /// stand in a `Host` header.
    #[must_use]
    pub fn new(mode: Mode, data: &Path, hosts: &[String]) -> Access {
        Access {
            mode,
            tokens: TokenFile::of(data),
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether callers on this machine need no token.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.mode == Mode::Dev
    }

    /// Whether the daemon may listen on `address`.
    ///
    /// # Errors
    /// `BIND_REFUSED` beyond loopback while no token exists.
    pub fn may_bind(&self, address: SocketAddr) -> Result<(), Fault> {
        if address.ip().to_canonical().is_loopback() || !self.tokens.entries()?.is_empty() {
            return Ok(());
        }
        let message = format!("`{address}` is reachable from other machines, and no token exists");
        Err(Fault::new(ErrorCode::BindRefused, message))
    }

    /// Whether a request came under one of the daemon's own names, and from one of its own pages if from a page.
    ///
    /// # Errors
    /// `ORIGIN_REFUSED`.
    pub fn check_origin(&self, head: &guard::Head<'_>, local: SocketAddr) -> Result<(), Fault> {
        guard::check(head, local, &self.hosts)
    }

    /// Tells who calls, from the `Authorization` header and the address of the peer.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, or `INTERNAL` while the token file cannot be read: then nobody is let in by token.
    pub fn authenticate(&self, authorization: Option<&[u8]>, peer: IpAddr) -> Result<Grant, Fault> {
        let Some(header) = authorization else {
            if self.mode == Mode::Dev && peer.to_canonical().is_loopback() {
                return Ok(Grant::without_token("dev"));
            }
            return Err(Fault::new(
                ErrorCode::Unauthenticated,
                "expected an `Authorization` header, got none",
            ));
        };
        let Some(token) = bearer(header) else {
            return Err(Fault::new(
                ErrorCode::Unauthenticated,
                "expected `Authorization: Bearer` and one token",
            ));
        };
        let hash = Hash::of(token);
        match self.tokens.find(&hash)? {
            Some(entry) => Ok(Grant {
                caller: entry.caller()?,
                proof: Proof::Token(hash),
            }),
            None => Err(Fault::new(
                ErrorCode::Unauthenticated,
                "this token is not known here, or it was revoked",
            )),
        }
    }

    /// The same for a caller that may be a program of a running command.
    ///
    /// # Errors
    /// Those of [`Access::authenticate`], and `CALLER_ENDED` for a program whose command has ended.
    pub(crate) fn enter(
        &self,
        authorization: Option<&[u8]>,
        peer: IpAddr,
        calls: &Calls,
    ) -> Result<Grant, Fault> {
        let token = authorization.and_then(bearer);
        let Some(token) = token.filter(|token| token.starts_with(calls::PREFIX.as_bytes())) else {
            return self.authenticate(authorization, peer);
        };
        let (caller, life) = calls.find(token)?;
        if self.has_entry(&caller) {
            let proof = Proof::Call(life);
            return Ok(Grant { caller, proof });
        }
        let message = format!(
            "`{}`, who sent the command, is not let in any more",
            caller.principal
        );
        Err(Fault::new(ErrorCode::Unauthenticated, message))
    }

    /// Whether a principal could come in by itself now: a command has no more rights than who sent it.
    fn has_entry(&self, caller: &Caller) -> bool {
        let (tenant, name) = (caller.tenant.as_str(), caller.principal.as_str());
        match name {
            "dev" => self.mode == Mode::Dev,
            "stdio" => true,
            _ => self.tokens.entries().is_ok_and(|entries| {
                let mut entries = entries.iter();
                entries.any(|(_, entry)| entry.name == name && entry.tenant == tenant)
            }),
        }
    }

    /// Whether what a caller was let in with is still good.
    #[must_use]
    pub fn still_good(&self, grant: &Grant) -> bool {
        match &grant.proof {
            Proof::Way => true,
            Proof::Token(hash) => matches!(self.tokens.find(hash), Ok(Some(_))),
            Proof::Call(life) => life.goes_on() && self.has_entry(&grant.caller),
        }
    }
}

/// The token in an `Authorization: Bearer` header.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    let plain = token.iter().all(u8::is_ascii_graphic);
    (scheme.eq_ignore_ascii_case(b"Bearer ") && plain && (1..=limits::ID_CHARS_MAX).contains(&token.len()))
        .then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn there() -> IpAddr {
        "192.0.2.7".parse().unwrap()
    }

    #[test]
    fn only_dev_and_only_this_machine_does_without_a_token() {
        let data = tempfile::tempdir().unwrap();
        let dev = Access::new(Mode::Dev, data.path(), &[]);
        assert_eq!(
            dev.authenticate(None, HERE).unwrap().caller.principal.as_str(),
            "dev"
        );
        assert!(
            dev.authenticate(None, "::ffff:127.0.0.1".parse().unwrap())
                .is_ok()
        );
        assert!(dev.authenticate(None, there()).is_err());
        assert!(
            dev.authenticate(Some(b"Bearer wrong"), HERE).is_err(),
            "a wrong token is not no token"
        );
        let serve = Access::new(Mode::Serve, data.path(), &[]);
        assert_eq!(
            serve.authenticate(None, HERE).unwrap_err().code,
            ErrorCode::Unauthenticated
        );
    }

    #[test]
    fn a_running_command_has_the_entry_of_its_sender_and_no_other() {
        let data = tempfile::tempdir().unwrap();
        let serve = Access::new(Mode::Serve, data.path(), &[]);
        let dev = Access::new(Mode::Dev, data.path(), &[]);
        tokens::create(data.path(), "ci", "acme").unwrap();
        let calls = Calls::new(false);
        let invite = |seq, tenant: &str, name: &str| {
            let caller = Caller {
                tenant: Tenant::parse(tenant).unwrap(),
                principal: Principal::parse(name).unwrap(),
                exec: Some(seq),
            };
            let made = calls.invite(seq, caller, String::new()).unwrap();
            format!("Bearer {}", made.token)
        };
        let enter = |access: &Access, header: &str| access.enter(Some(header.as_bytes()), there(), &calls);
        let ours = invite(1, "acme", "ci");
        let grant = enter(&serve, &ours).unwrap();
        assert_eq!(grant.caller.exec, Some(1));
        assert_eq!(
            (grant.caller.tenant.as_str(), grant.caller.principal.as_str()),
            ("acme", "ci")
        );
        for foreign in [invite(2, "main", "ci"), invite(3, "main", "dev")] {
            let refused = enter(&serve, &foreign).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Unauthenticated);
        }
        assert!(enter(&dev, &invite(4, "main", "dev")).is_ok());
        assert!(serve.still_good(&grant));
        tokens::revoke(data.path(), "ci").unwrap();
        assert!(!serve.still_good(&grant), "its sender is not let in any more");
        assert_eq!(enter(&serve, &ours).unwrap_err().code, ErrorCode::Unauthenticated);
        tokens::create(data.path(), "ci", "acme").unwrap();
        calls.end(1);
        assert!(!serve.still_good(&grant), "its command has ended");
        assert_eq!(enter(&serve, &ours).unwrap_err().code, ErrorCode::CallerEnded);
        assert!(serve.enter(None, HERE, &calls).is_err());
    }

    #[test]
    fn a_token_names_its_principal_until_it_is_revoked() {
        let data = tempfile::tempdir().unwrap();
        let access = Access::new(Mode::Serve, data.path(), &[]);
        let made = tokens::create(data.path(), "ci", "acme").unwrap();
        let header = format!("bearer  {}", made.token);
        let grant = access.authenticate(Some(header.as_bytes()), there()).unwrap();
        assert_eq!(grant.caller.principal.as_str(), "ci");
        assert_eq!(grant.caller.tenant.as_str(), "acme");
        assert!(access.still_good(&grant));
        tokens::revoke(data.path(), "ci").unwrap();
        assert!(!access.still_good(&grant));
        assert!(access.authenticate(Some(header.as_bytes()), there()).is_err());
    }

    #[test]
    fn headers_that_carry_no_bearer_token_are_refused() {
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Basic abc",
            "Bearer a b",
            "Bearer a\u{7f}",
        ] {
            assert_eq!(bearer(header.as_bytes()), None, "{header:?}");
        }
        assert_eq!(bearer(&[&b"Bearer "[..], &vec![b'a'; 1000]].concat()), None);
    }

    #[test]
    fn the_bind_rule_wants_a_token_beyond_loopback() {
        let data = tempfile::tempdir().unwrap();
        let access = Access::new(Mode::Dev, data.path(), &[]);
        for near in ["127.0.0.1:1", "[::1]:1", "127.9.9.9:1"] {
            assert!(access.may_bind(near.parse().unwrap()).is_ok(), "{near}");
        }
        for far in ["0.0.0.0:1", "[::]:1", "192.0.2.7:1"] {
            assert_eq!(
                access.may_bind(far.parse().unwrap()).unwrap_err().code,
                ErrorCode::BindRefused
            );
        }
        tokens::create(data.path(), "ci", "main").unwrap();
        assert!(access.may_bind("0.0.0.0:1".parse().unwrap()).is_ok());
    }
}
