//! Kinds of time and timers.

use super::super::{Contract, Field, SessionUse, Shape};
use super::{BASE, PAGE_CURSOR, PAGE_LIMIT, READ, optional, required};
use crate::limits;

const NOW_OUTPUT: &[Field] = &[
    required(
        "ns",
        Shape::Text(1, 20),
        "The time, nanoseconds as decimal digits.",
    ),
    required(
        "uncertaintyNs",
        Shape::Text(1, 20),
        "How far it may be from the truth, nanoseconds as decimal digits.",
    ),
    required(
        "domain",
        Shape::Choice(&["monotonic", "unix", "unknown"]),
        "What it counts from: the realm's first run, the Unix epoch, or nobody knows yet.",
    ),
    required(
        "provenance",
        Shape::Any(1024),
        "Journal positions of the samples it rests on.",
    ),
    required(
        "policy",
        Shape::Choice(&["trustMonotonicLatest", "trustWallLatest"]),
        "The clock policy.",
    ),
    required(
        "atIdx",
        Shape::Integer(0, u64::MAX),
        "The last record it was told from.",
    ),
    optional(
        "pending",
        Shape::Any(1024),
        "A jump of the wall clock that history has not followed: {wallNs, offsetNs, idx}.",
    ),
];

const TICK_OUTPUT: &[Field] = &[
    required(
        "tick",
        Shape::Integer(0, u64::MAX),
        "Its number, gap-free from 0.",
    ),
    required("idx", Shape::Integer(0, u64::MAX), "Its record."),
    required("at", Shape::Text(1, 64), "History time, RFC 3339."),
    required(
        "elapsedMs",
        Shape::Integer(0, u64::MAX),
        "Run time, milliseconds.",
    ),
    required("fired", Shape::Integer(0, u64::MAX), "Timers that fired in it."),
    optional(
        "policyId",
        Shape::Integer(0, u32::MAX as u64),
        "The collapse policy it was decided under; absent once that is no longer known.",
    ),
    optional(
        "rulePackId",
        Shape::Text(1, 64),
        "Hash of the contracts, operations and kinds it was decided under; absent with `policyId`.",
    ),
];

const TIMER_OUTPUT: &[Field] = &[
    required("timerId", Shape::CommandId, "The timer."),
    required(
        "clock",
        Shape::Choice(&["history", "run"]),
        "The clock its times count.",
    ),
    optional(
        "dueAt",
        Shape::Text(1, 64),
        "When it fires next, history time, RFC 3339.",
    ),
    optional(
        "dueElapsedMs",
        Shape::Integer(0, u64::MAX),
        "When it fires next, run time, milliseconds.",
    ),
    required(
        "inMs",
        Shape::Integer(0, u64::MAX),
        "How long that is from the last record, milliseconds; 0 where it is due.",
    ),
    optional(
        "everyMs",
        Shape::Integer(0, u64::MAX),
        "Its period, milliseconds.",
    ),
    required("fires", Shape::Integer(0, u64::MAX), "How often it has fired."),
    required(
        "missed",
        Shape::Integer(0, u64::MAX),
        "Periods that went by without a firing.",
    ),
    required("principal", Shape::Text(1, 256), "Who set it."),
    required("setBy", Shape::CommandId, "The `timer.set` that set it."),
    required("setIdx", Shape::Integer(0, u64::MAX), "Its record."),
    required(
        "setAt",
        Shape::Text(1, 64),
        "History time of its setting, RFC 3339.",
    ),
    required(
        "correlationId",
        Shape::CommandId,
        "The chain of commands it belongs to.",
    ),
    optional("command", Shape::Any(usize::MAX), "The command it submits."),
    optional("note", Shape::Text(1, limits::NOTE_CHARS_MAX), "What it is for."),
    optional(
        "last",
        Shape::Any(usize::MAX),
        "Its last firing: {tick, idx, at, late, commandId} or with `error` instead.",
    ),
];

pub(super) const TIME_NOW: Contract = Contract {
    kind: "time.now",
    about: "Tells the time of the history: what its clock samples say under the realm's clock policy.",
    output: NOW_OUTPUT,
    ..READ
};

pub(super) const TIME_TICKS: Contract = Contract {
    kind: "time.ticks",
    about: "Lists the last ticks, ascending; older ones are in the journal.",
    input: &[
        optional(
            "after",
            Shape::Integer(0, limits::JSON_INTEGER_MAX),
            "Begin behind this tick.",
        ),
        optional(
            "first",
            Shape::Integer(1, limits::PAGE_MAX as u64),
            "Ticks of a page; 100 if absent.",
        ),
    ],
    output: &[
        required("ticks", Shape::Objects(TICK_OUTPUT), "The ticks of this page."),
        required(
            "next",
            Shape::Integer(0, u64::MAX),
            "Number of the tick that comes next.",
        ),
        optional(
            "oldest",
            Shape::Integer(0, u64::MAX),
            "The oldest tick that is kept; absent while there is none.",
        ),
        required(
            "hasMore",
            Shape::Boolean,
            "Whether there are ticks behind this page.",
        ),
    ],
    ..READ
};

pub(super) const TIMER_CANCEL: Contract = Contract {
    kind: "timer.cancel",
    about: "Cancels a live timer.",
    input: &[required("timerId", Shape::CommandId, "The timer.")],
    output: &[
        required("timerId", Shape::CommandId, "The timer."),
        required("fires", Shape::Integer(0, u64::MAX), "How often it had fired."),
    ],
    session: SessionUse::Optional,
    mutates_session: false,
    ..BASE
};

pub(super) const TIMER_GET: Contract = Contract {
    kind: "timer.get",
    about: "Reads a live timer: when it is due and what it will do.",
    input: &[required("timerId", Shape::CommandId, "The timer.")],
    output: TIMER_OUTPUT,
    ..READ
};

pub(super) const TIMER_LIST: Contract = Contract {
    kind: "timer.list",
    about: "Lists live timers, ascending by id.",
    input: &[PAGE_LIMIT, PAGE_CURSOR],
    output: &[
        required("timers", Shape::Objects(TIMER_OUTPUT), "The timers of this page."),
        optional(
            "nextCursor",
            Shape::Text(1, 1024),
            "Where the next page begins; absent on the last.",
        ),
    ],
    ..READ
};

pub(super) const TIMER_SET: Contract = Contract {
    kind: "timer.set",
    about: "Sets a timer: it fires once or periodically, and may submit a command each time.",
    input: &[
        optional(
            "timerId",
            Shape::TimerId,
            "Its id, unique among live timers; the server makes one if absent.",
        ),
        optional(
            "dueAt",
            Shape::Moment,
            "When it fires first, in history time; its period counts history time then.",
        ),
        optional(
            "afterMs",
            Shape::Integer(0, limits::TIMER_MS_MAX),
            "When it fires first, milliseconds of run time from now; instead of `dueAt`.",
        ),
        optional(
            "everyMs",
            Shape::Integer(limits::TIMER_EVERY_MS_MIN, limits::TIMER_MS_MAX),
            "Its period, milliseconds; without `dueAt` and `afterMs` also its first wait.",
        ),
        optional(
            "command",
            Shape::Command,
            "The command it submits under your authority, without an id.",
        ),
        optional("note", Shape::Text(1, limits::NOTE_CHARS_MAX), "What it is for."),
    ],
    output: TIMER_OUTPUT,
    session: SessionUse::Optional,
    mutates_session: false,
    ..BASE
};
