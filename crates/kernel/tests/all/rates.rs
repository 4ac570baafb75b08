//! Rates are the shell's to count; the kernel refuses by its word, and a refusal stores nothing.

use actum_kernel::{Decision, Reply, State, advance, state_digest};
use actum_model::envelope::Caller;
use actum_model::ids::{Principal, Tenant};
use actum_model::input::{OverRate, Submit};
use actum_model::{Envelope, ErrorCode, Hash, Input, Stamped};

fn submit(state: &mut State, limited: OverRate) -> Decision {
    let text = br#"{"type":"session.create","id":"a","sessionId":"s"}"#;
    let caller = Caller {
        tenant: Tenant::main(),
        principal: Principal::parse("alice").unwrap(),
        exec: None,
    };
    let envelope = Envelope::parse(text).unwrap();
    let fingerprint = Hash::of(text);
    let input = Input::Submit(Submit {
        caller,
        envelope,
        fingerprint,
        redacted: false,
        limited,
    });
    advance(
        state,
        &Stamped {
            at: 1,
            elapsed: 1,
            input,
        },
    )
}

fn refused(decision: &Decision) -> Option<ErrorCode> {
    match &decision.reply {
        Some(Reply::Refused(fault)) => Some(fault.code),
        _ => None,
    }
}

#[test]
fn submissions_and_repetitions_have_rates_of_their_own() {
    let mut state = State::default();
    let no_submission = OverRate {
        submission: Some(7),
        replay: None,
    };
    let no_replay = OverRate {
        submission: None,
        replay: Some(7),
    };

    assert_eq!(
        refused(&submit(&mut state, no_submission)),
        Some(ErrorCode::RateLimited)
    );
    assert!(
        matches!(submit(&mut state, no_replay).reply, Some(Reply::Accepted(1))),
        "it repeats nothing"
    );

    let before = state_digest(&state).0;
    assert_eq!(
        refused(&submit(&mut state, no_replay)),
        Some(ErrorCode::RateLimited)
    );
    let again = submit(&mut state, no_submission);
    assert_eq!(
        again.reply,
        Some(Reply::Recorded(1)),
        "a repetition is no submission"
    );
    assert!(again.events.is_empty());
    assert_eq!(state_digest(&state).0, before);
}
