//! Kinds of durable promises.

use super::super::{Contract, Field, SessionUse, Shape};
use super::{CONTROL, PAGE_CURSOR, PAGE_LIMIT, READ, optional, required};
use crate::limits;

const PROMISE_ID: Field = required("promiseId", Shape::CommandId, "The promise.");

const PROMISE_OUTPUT: &[Field] = &[
    required("promiseId", Shape::CommandId, "The promise."),
    required(
        "state",
        Shape::Choice(&["pending", "resolved", "rejected", "timed_out", "cancelled"]),
        "Where it stands. What is settled never changes.",
    ),
    required("createdAt", Shape::Text(1, 64), "History time, RFC 3339."),
    required("principal", Shape::Text(1, 256), "Who made it."),
    optional("sessionId", Shape::SessionId, "The session it belongs to."),
    optional(
        "timeoutAt",
        Shape::Text(1, 64),
        "When it is rejected, history time, RFC 3339.",
    ),
    optional("tags", Shape::Any(usize::MAX), "Words to find it by."),
    optional("value", Shape::Any(usize::MAX), "Its value."),
    optional("error", Shape::Any(usize::MAX), "Its error: {code, message}."),
    optional("settledAt", Shape::Text(1, 64), "History time, RFC 3339."),
    optional(
        "settledBy",
        Shape::Text(1, 256),
        "Who settled it; absent where time or an end did.",
    ),
];

/// What is settled is over; saying the same again is answered with what is there.
const SETTLE: Contract = Contract {
    output: PROMISE_OUTPUT,
    session: SessionUse::None,
    ..CONTROL
};

pub(super) const PROMISE_AWAIT: Contract = Contract {
    kind: "promise.await",
    about: "Answers when a promise is settled.",
    input: &[
        PROMISE_ID,
        optional(
            "waitMs",
            Shape::Integer(0, limits::WAIT_MS_MAX),
            "How long to wait, milliseconds; 30,000 if absent.",
        ),
    ],
    output: PROMISE_OUTPUT,
    ..READ
};

pub(super) const PROMISE_CANCEL: Contract = Contract {
    kind: "promise.cancel",
    about: "Gives a promise up: whoever waits for it gets an error.",
    input: &[
        PROMISE_ID,
        optional("reason", Shape::Text(1, limits::NOTE_CHARS_MAX), "Why."),
    ],
    ..SETTLE
};

pub(super) const PROMISE_CREATE: Contract = Contract {
    kind: "promise.create",
    about: "Makes a durable promise: a value that is still to come and outlives whoever waits for it.",
    input: &[
        optional(
            "promiseId",
            Shape::CommandId,
            "Its id; the server makes one if absent.",
        ),
        optional(
            "timeoutMs",
            Shape::Integer(1, limits::TIMER_MS_MAX),
            "After how long it is rejected, milliseconds of history time.",
        ),
        optional(
            "timeoutAt",
            Shape::Moment,
            "When it is rejected, instead of `timeoutMs`.",
        ),
        optional(
            "tags",
            Shape::TextMap(limits::PROMISE_TAGS_MAX, limits::PROMISE_TAG_CHARS_MAX),
            "Words to find it by.",
        ),
    ],
    output: PROMISE_OUTPUT,
    session: SessionUse::Optional,
    ..CONTROL
};

pub(super) const PROMISE_GET: Contract = Contract {
    kind: "promise.get",
    about: "Reads a promise; `exec:<command>` is the promise that every command is.",
    input: &[PROMISE_ID],
    output: PROMISE_OUTPUT,
    ..READ
};

pub(super) const PROMISE_REJECT: Contract = Contract {
    kind: "promise.reject",
    about: "Settles a promise with an error.",
    input: &[
        PROMISE_ID,
        required(
            "message",
            Shape::Text(1, limits::NOTE_CHARS_MAX),
            "What went wrong.",
        ),
        optional(
            "value",
            Shape::Any(limits::PROMISE_VALUE_BYTES_MAX),
            "More about it.",
        ),
    ],
    ..SETTLE
};

pub(super) const PROMISE_RESOLVE: Contract = Contract {
    kind: "promise.resolve",
    about: "Settles a promise with its value.",
    input: &[
        PROMISE_ID,
        optional(
            "value",
            Shape::Any(limits::PROMISE_VALUE_BYTES_MAX),
            "The value; null if absent.",
        ),
    ],
    ..SETTLE
};

pub(super) const PROMISE_SEARCH: Contract = Contract {
    kind: "promise.search",
    about: "Lists promises, ascending by id.",
    input: &[
        optional(
            "state",
            Shape::Choice(&["pending", "resolved", "rejected", "timed_out", "cancelled"]),
            "Only those that stand so.",
        ),
        optional(
            "tags",
            Shape::TextMap(limits::PROMISE_TAGS_MAX, limits::PROMISE_TAG_CHARS_MAX),
            "Only those that have all of these.",
        ),
        optional("sessionId", Shape::SessionId, "Only those of this session."),
        optional("prefix", Shape::Text(1, 256), "Only those whose id begins so."),
        PAGE_LIMIT,
        PAGE_CURSOR,
    ],
    output: &[
        required(
            "promises",
            Shape::Objects(PROMISE_OUTPUT),
            "The promises of this page.",
        ),
        optional(
            "nextCursor",
            Shape::Text(1, 1024),
            "Where the next page begins; absent on the last.",
        ),
    ],
    ..READ
};
