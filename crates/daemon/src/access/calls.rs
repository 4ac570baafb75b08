//! Calls from inside running commands: each program that `shell.run` starts gets a token of its own, with which it
//! calls back as whoever sent the command, in a lane of its own, for as long as the command runs.
//!
//! Tokens are kept in memory, as hashes, and nowhere else: no record and no file holds one, and a restart knows none
//! of them. What a call may do is not decided here, and no token gives more than its command's sender has.

use super::tokens::{base64url, same};
use crate::core::random_bytes;
use actum_model::Caller;
use actum_model::error::{ErrorCode, Fault};
use actum_model::hash::Hash;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What such a token begins with: known to secret scanners, and never the beginning of a named token, in which no dot
/// can stand.
pub const PREFIX: &str = "actum_run.";
/// Environment variable with the daemon's address.
pub const URL: &str = "ACTUM_URL";
/// Environment variable with the token.
pub const TOKEN: &str = "ACTUM_TOKEN";
/// Random bytes of a token, as many as a named one has.
const TOKEN_BYTES: usize = 32;

/// The calls that may come. Clones share everything.
#[derive(Clone, Debug)]
pub struct Calls {
    address: watch::Sender<Address>,
    open: Arc<Mutex<BTreeMap<u64, Open>>>,
}

/// Where the daemon answers.
#[derive(Clone, Debug)]
enum Address {
    /// A listener is about to be opened.
    ToCome,
    /// Nowhere that a program could call.
    Nowhere,
    /// Here.
    At(String),
}

/// The token of a running command.
#[derive(Debug)]
struct Open {
    hash: Hash,
    caller: Caller,
    life: Life,
}

/// Whether the command that a token was given to still runs.
#[derive(Clone, Debug)]
pub(super) struct Life(Arc<AtomicBool>);

impl Life {
    pub(super) fn goes_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a program is given to call back with.
pub(crate) struct Invitation {
    /// The daemon's address.
    pub(crate) url: String,
    /// The token. It must not be logged or stored.
    pub(crate) token: String,
}

impl Calls {
    /// No calls yet. Where a listener is to come, programs wait for its address.
    #[must_use]
    pub(crate) fn new(listens: bool) -> Calls {
        let address = if listens {
            Address::ToCome
        } else {
            Address::Nowhere
        };
        Calls {
            address: watch::Sender::new(address),
            open: Arc::default(),
        }
    }

    /// Programs call back at this address from now on.
    pub(crate) fn answer_at(&self, address: SocketAddr) {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let url = format!("http://{}", SocketAddr::new(ip, address.port()));
        self.address.send_replace(Address::At(url));
    }

    /// No listener comes, or it is gone: programs are told nothing.
    pub(crate) fn answer_nowhere(&self) {
        self.address.send_replace(Address::Nowhere);
    }

    /// Where programs call back, as soon as that is known.
    pub(crate) async fn address(&self) -> Option<String> {
        let mut address = self.address.subscribe();
        match address.wait_for(|known| !matches!(known, Address::ToCome)).await {
            Ok(known) => match &*known {
                Address::At(url) => Some(url.clone()),
                Address::ToCome | Address::Nowhere => None,
            },
            Err(_) => None,
        }
    }

    /// Lets the program of a command call back as `caller`, until [`Calls::end`].
    ///
    /// # Errors
    /// `INTERNAL` where there are no random bytes.
    pub(crate) fn invite(&self, seq: u64, caller: Caller, url: String) -> Result<Invitation, Fault> {
        let bytes = random_bytes::<TOKEN_BYTES>()
            .map_err(|error| Fault::new(ErrorCode::Internal, format!("no random bytes: {error}")))?;
        let token = format!("{PREFIX}{}", base64url(&bytes));
        let open = Open {
            hash: Hash::of(token.as_bytes()),
            caller,
            life: Life(Arc::new(AtomicBool::new(true))),
        };
        self.open().insert(seq, open);
        Ok(Invitation { url, token })
    }

    /// Nothing more is taken from the program of this command.
    pub(crate) fn end(&self, seq: u64) {
        if let Some(open) = self.open().remove(&seq) {
            open.life.0.store(false, Ordering::Release);
        }
    }

    /// Who calls with this token, while its command runs.
    pub(super) fn find(&self, token: &[u8]) -> Result<(Caller, Life), Fault> {
        let hash = Hash::of(token);
        let open = self.open();
        // All are looked at, so that the time tells nothing.
        let mut found = None;
        for one in open.values() {
            if same(&one.hash, &hash) {
                found = Some(one);
            }
        }
        found
            .map(|open| (open.caller.clone(), open.life.clone()))
            .ok_or_else(|| {
                let message = "this token was given to a command that runs no more, or is being stopped";
                Fault::new(ErrorCode::CallerEnded, message)
            })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        // Every change is one insertion or removal, so the map is whole even after a panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::ids::{Principal, Tenant};

    fn caller(exec: u64) -> Caller {
        Caller {
            tenant: Tenant::main(),
            principal: Principal::parse("ci").unwrap(),
            exec: Some(exec),
        }
    }

    #[test]
    fn a_token_is_good_while_its_command_runs_and_no_longer() {
        let calls = Calls::new(false);
        let one = calls.invite(1, caller(1), String::new()).unwrap();
        let other = calls.invite(2, caller(2), String::new()).unwrap();
        assert_eq!(one.token.len(), PREFIX.len() + 43);
        let (found, life) = calls.find(one.token.as_bytes()).unwrap();
        assert_eq!(found, caller(1));
        assert!(life.goes_on());
        calls.end(1);
        assert!(!life.goes_on());
        let code = |token: &str| calls.find(token.as_bytes()).unwrap_err().code;
        assert_eq!(code(&one.token), ErrorCode::CallerEnded);
        assert_eq!(code(PREFIX), ErrorCode::CallerEnded);
        assert_eq!(calls.find(other.token.as_bytes()).unwrap().0, caller(2));
    }

    #[test]
    fn nothing_shows_a_token() {
        let calls = Calls::new(false);
        let made = calls.invite(1, caller(1), String::new()).unwrap();
        assert!(!format!("{calls:?}").contains(&made.token));
    }

    #[tokio::test]
    async fn an_address_that_is_to_come_is_waited_for() {
        let calls = Calls::new(true);
        let waiting = tokio::spawn({
            let calls = calls.clone();
            async move { calls.address().await }
        });
        calls.answer_at("0.0.0.0:4242".parse().unwrap());
        assert_eq!(waiting.await.unwrap().as_deref(), Some("http://127.0.0.1:4242"));
        calls.answer_at("[::]:1".parse().unwrap());
        assert_eq!(calls.address().await.as_deref(), Some("http://[::1]:1"));
        calls.answer_nowhere();
        assert_eq!(calls.address().await, None);
        assert_eq!(Calls::new(false).address().await, None);
    }
}
