//! `session.delete`: a session is gone; one created later under its id has a new generation.

use crate::decide::Decider;
use actum_model::Outcome;
use actum_model::event::Event;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64) {
    let Some(identity) = decider.identity(seq) else {
        return;
    };
    let Some(session) = identity.session.clone() else {
        return;
    };
    decider.emit(Event::SessionDeleted {
        tenant: identity.tenant.clone(),
        session,
    });
    decider.finish(seq, Outcome::Succeeded, None, None);
}
