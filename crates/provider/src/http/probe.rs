//! The probe of a fetch: a GET that asks whether an earlier request happened. Its status tells: one says it did, one
//! says it did not, and everything else says nothing. It passes the same gate as the request.

use super::HttpProvider;
use super::fetch::run;
use super::request::{Payload, Probe, Request, Words};
use super::target::Target;
use crate::sdk::{Call, Failure};
use actum_model::effect::ProbeAnswer;
use actum_model::{ErrorCode, limits};
use std::sync::atomic::AtomicBool;

/// Stands for the id of the effect in the URL and the headers of a probe: the key the request carried.
const EFFECT: &str = "$effectId";
const LANDED_STATUS: u16 = 200;
const DID_NOT_HAPPEN_STATUS: u16 = 404;

/// Asks. Whatever goes wrong is an answer that could not tell.
pub(super) async fn probe(provider: &HttpProvider, call: &Call) -> ProbeAnswer {
    match ask(provider, call).await {
        Ok(answer) => answer,
        Err(failure) => {
            let reason = failure.fault.message;
            ProbeAnswer::Unknown(reason.chars().take(limits::PROBE_REASON_CHARS_MAX).collect())
        }
    }
}

async fn ask(provider: &HttpProvider, call: &Call) -> Result<ProbeAnswer, Failure> {
    call.stop.check()?;
    let Some(probe) = Request::read(call)?.probe else {
        return Ok(ProbeAnswer::Unknown("the request brought no probe".to_owned()));
    };
    let landed = probe.landed_status.unwrap_or(LANDED_STATUS);
    let did_not_happen = probe.did_not_happen_status.unwrap_or(DID_NOT_HAPPEN_STATUS);
    if landed == did_not_happen {
        let message = format!("expected two different statuses in `probe`, got {landed} for both");
        return Err(Failure::new(ErrorCode::InvalidInput, message));
    }
    let done = run(provider, call, request(call, probe)?, &AtomicBool::new(false)).await?;
    Ok(match done.status {
        status if status == landed => ProbeAnswer::Landed,
        status if status == did_not_happen => ProbeAnswer::DidNotHappen,
        status => ProbeAnswer::Unknown(format!(
            "the probe was answered with status {status}, which is neither {landed} nor {did_not_happen}"
        )),
    })
}

/// The request of a probe. It follows no redirect: a page to log in at is no answer to the question.
fn request(call: &Call, probe: Probe) -> Result<Request, Failure> {
    let effect = call.effect.to_string();
    let headers = probe
        .headers
        .into_iter()
        .map(|(name, value)| (name, Words::Text(value.into_text().replace(EFFECT, &effect))));
    Ok(Request {
        target: Target::parse(&probe.url.replace(EFFECT, &effect))?,
        method: "GET".to_owned(),
        headers: super::headers::read(headers.collect())?,
        payload: Payload::None,
        timeout_ms: limits::PROBE_TIMEOUT_MS,
        max_bytes: limits::HTTP_RESPONSE_BYTES_MAX,
        redirects: 0,
        probe: None,
    })
}
