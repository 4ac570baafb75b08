//! A request with its redirects, from the arguments to the answer.

use super::HttpProvider;
use super::connect::connect;
use super::exchange::{Head, Sent, send};
use super::headers;
use super::hop::admit;
use super::request::{Payload, Request, is_safe};
use super::secrets::{Used, refers};
use super::target::Target;
use crate::sdk::{Answer, Call, Failure, Happened, to_object};
use actum_model::{ErrorCode, Fault};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KEY: &str = "idempotency-key";

/// Carries out one fetch. Once a request that may change something has left, a failure does not say that nothing
/// happened.
pub(super) async fn fetch(provider: &HttpProvider, call: &Call) -> Answer {
    call.stop.check()?;
    let request = Request::read(call)?;
    let left = AtomicBool::new(false);
    let done = run(provider, call, request, &left).await;
    done.and_then(|done| to_object(&done.into_json()))
        .map_err(|failure| match left.load(Ordering::SeqCst) {
            true => Failure {
                happened: Happened::Unknown,
                ..failure
            },
            false => failure,
        })
}

/// Runs a request within its time.
pub(super) async fn run(
    provider: &HttpProvider,
    call: &Call,
    request: Request,
    left: &AtomicBool,
) -> Result<Done, Failure> {
    let stop = call
        .stop
        .clone()
        .within(Duration::from_millis(request.timeout_ms));
    let mut journey = Journey::new(provider, call, request, left);
    tokio::select! {
        biased;
        done = journey.go() => done,
        fault = stop.wait() => Err(fault.into()),
    }
}

/// A request on its way through redirects.
struct Journey<'a> {
    provider: &'a HttpProvider,
    call: &'a Call,
    left: &'a AtomicBool,
    target: Target,
    method: String,
    headers: Vec<(String, String)>,
    payload: Payload,
    max_bytes: usize,
    redirects_max: u64,
    used: Used,
    redirects: Vec<Value>,
    addresses: Vec<String>,
}

/// An answer that was read.
pub(super) struct Done {
    pub(super) status: u16,
    headers: Value,
    body: Vec<u8>,
    whole: bool,
    final_url: String,
    addresses: Vec<String>,
    redirects: Vec<Value>,
}

impl<'a> Journey<'a> {
    fn new(
        provider: &'a HttpProvider,
        call: &'a Call,
        request: Request,
        left: &'a AtomicBool,
    ) -> Journey<'a> {
        let mut headers = request.headers;
        let given = |name: &str| headers.iter().any(|(known, _)| known == name);
        let mut added = Vec::new();
        if !is_safe(&request.method) && !given(KEY) {
            added.push((KEY.to_owned(), call.effect.to_string()));
        }
        if !given("user-agent") {
            added.push((
                "user-agent".to_owned(),
                concat!("actum/", env!("CARGO_PKG_VERSION")).to_owned(),
            ));
        }
        if !given("accept-encoding") {
            added.push(("accept-encoding".to_owned(), "identity".to_owned()));
        }
        headers.extend(added);
        Journey {
            provider,
            call,
            left,
            target: request.target,
            method: request.method,
            headers,
            payload: request.payload,
            max_bytes: request.max_bytes,
            redirects_max: request.redirects,
            used: Used::default(),
            redirects: Vec::new(),
            addresses: Vec::new(),
        }
    }

    async fn go(&mut self) -> Result<Done, Failure> {
        loop {
            let head = self.hop().await?;
            let Some(location) = head.location().map(str::to_owned) else {
                return self.done(head).await;
            };
            if self.redirects_max == 0 {
                // The caller wants to see redirects.
                return self.done(head).await;
            }
            if self.redirects.len() as u64 == self.redirects_max {
                let message = format!("expected at most {} redirects, got more", self.redirects_max);
                return Err(Failure::new(ErrorCode::HttpFailed, message));
            }
            let next = self
                .target
                .follow(&location)
                .map_err(|failure| self.scrub_fault(failure))?;
            let url = self.used.scrub_text(self.target.shown());
            self.redirects
                .push(json!({"status": head.status.as_u16(), "url": url}));
            self.turn(head.status.as_u16(), next);
        }
    }

    /// One hop: every check, then the secrets, then the request.
    async fn hop(&mut self) -> Result<Head, Failure> {
        let addresses = admit(self.provider, &self.call.grants, &self.target, &self.method)
            .await
            .map_err(|failure| self.scrub_fault(failure))?;
        let sent = self.fill()?;
        let (wire, address) = connect(self.provider, &self.target, &addresses)
            .await
            .map_err(|failure| self.scrub_fault(failure))?;
        self.addresses.push(address.ip().to_string());
        let changes = !is_safe(&self.method);
        let left = self.left;
        let leaves = || left.store(left.load(Ordering::SeqCst) || changes, Ordering::SeqCst);
        send(&self.target, wire, sent, leaves)
            .await
            .map_err(|failure| self.scrub_fault(failure))
    }

    /// What is sent on this hop.
    fn fill(&mut self) -> Result<Sent, Failure> {
        let secrets = self.call.means.secrets.as_ref();
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            headers.push((name.clone(), self.used.fill(value, secrets, &self.target)?));
        }
        let body = match &self.payload {
            Payload::None => Vec::new(),
            Payload::Text(text) => self.used.fill(text, secrets, &self.target)?.into_bytes(),
            Payload::Bytes(bytes) => bytes.clone(),
        };
        let method = self.method.clone();
        Ok(Sent {
            method,
            headers,
            body,
        })
    }

    /// Turns to where an answer redirects to. To another origin nothing goes along that may say who asks.
    fn turn(&mut self, status: u16, next: Target) {
        let to_get = match status {
            303 => self.method != "HEAD",
            301 | 302 => self.method == "POST",
            _ => false,
        };
        if to_get {
            self.method = "GET".to_owned();
            self.payload = Payload::None;
            self.headers.retain(|(name, _)| !headers::is_about_body(name));
        }
        if !self.target.same_origin(&next) {
            let key = self.call.effect.to_string();
            self.headers.retain(|(name, value)| {
                let own_key = name == KEY && *value == key;
                (headers::is_common(name) || own_key) && !refers(value)
            });
        }
        self.target = next;
    }

    async fn done(&mut self, head: Head) -> Result<Done, Failure> {
        let status = head.status.as_u16();
        let headers = headers::to_json(&head.headers, |text| self.used.scrub_text(text));
        // So much more that a secret which ends behind the limit is seen whole, and so found.
        let read = head
            .read(
                self.call,
                &self.target,
                self.max_bytes.saturating_add(self.used.longest()),
            )
            .await;
        let (body, whole) = read.map_err(|failure| self.scrub_fault(failure))?;
        let mut body = self.used.scrub(body);
        let whole = whole && body.len() <= self.max_bytes;
        body.truncate(self.max_bytes);
        Ok(Done {
            status,
            headers,
            body,
            whole,
            final_url: self.used.scrub_text(self.target.shown()),
            addresses: std::mem::take(&mut self.addresses),
            redirects: std::mem::take(&mut self.redirects),
        })
    }

    /// A host can put what it was sent into where it redirects to, and so into a message.
    fn scrub_fault(&self, failure: Failure) -> Failure {
        let message = self.used.scrub_text(failure.fault.message);
        let hint = failure.fault.hint.map(|hint| self.used.scrub_text(hint));
        let fault = Fault {
            message,
            hint,
            ..failure.fault
        };
        Failure { fault, ..failure }
    }
}

impl Done {
    fn into_json(self) -> Value {
        let bytes = self.body.len();
        let (body, encoding) = text_or_base64(self.body, self.whole);
        json!({
            "status": self.status, "headers": self.headers, "body": body, "encoding": encoding, "bytes": bytes,
            "truncated": !self.whole, "finalUrl": self.final_url, "addresses": self.addresses,
            "redirects": self.redirects,
        })
    }
}

/// A body as text where it is one. A character that the limit cut in two is left out.
fn text_or_base64(mut body: Vec<u8>, whole: bool) -> (String, &'static str) {
    if let Err(error) = std::str::from_utf8(&body)
        && !whole
        && error.error_len().is_none()
    {
        body.truncate(error.valid_up_to());
    }
    match String::from_utf8(body) {
        Ok(text) => (text, "utf8"),
        Err(error) => (STANDARD.encode(error.as_bytes()), "base64"),
    }
}
