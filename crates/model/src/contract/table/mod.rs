//! The contract table, sorted by kind. A kind is added here, in `kernel/src/commands` and nowhere else.

mod graph;
mod promise;
mod providers;
mod session;
mod time;

use super::{Admission, Carrier, Contract, EffectClass, Field, SessionUse, Shape};
use crate::limits;

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field {
        name,
        shape,
        required: true,
        about,
    }
}

const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field {
        name,
        shape,
        required: false,
        about,
    }
}

/// What most kinds have in common: an in-kernel change of a session.
const BASE: Contract = Contract {
    kind: "",
    version: 1,
    about: "",
    input: &[],
    output: &[],
    effect: EffectClass::Write,
    carrier: Carrier::Kernel,
    risk: "low",
    admission: Admission::Queued,
    session: SessionUse::Required,
    idempotent: false,
    idempotent_where: None,
    compensable: false,
    contained: true,
    probe: false,
    mutates_session: true,
    timeout_ms: limits::RUN_TIMEOUT_MS,
    timeout_ms_max: limits::RUN_TIMEOUT_MS_MAX,
};

/// What control commands have in common.
const CONTROL: Contract = Contract {
    admission: Admission::Control,
    session: SessionUse::None,
    mutates_session: false,
    ..BASE
};

/// What reads have in common.
const READ: Contract = Contract {
    effect: EffectClass::Read,
    admission: Admission::Read,
    session: SessionUse::None,
    idempotent: true,
    mutates_session: false,
    ..BASE
};

const PROBE: &[Field] = &[
    required(
        "argv",
        Shape::Texts(1, limits::ARGV_MAX, limits::ARGUMENT_BYTES_MAX),
        "The program and its arguments.",
    ),
    optional(
        "cwd",
        Shape::Text(1, limits::ARGUMENT_BYTES_MAX),
        "Working directory; the command's own if absent.",
    ),
];

const PAGE_CURSOR: Field = optional(
    "after",
    Shape::Text(0, 1024),
    "Cursor: the `nextCursor` of the page before.",
);
const PAGE_LIMIT: Field = optional(
    "limit",
    Shape::Integer(1, limits::PAGE_MAX as u64),
    "Rows of a page; 100 if absent.",
);

/// Every command kind, ascending.
pub const CONTRACTS: &[Contract] = &[
    session::CODE_RUN,
    Contract {
        kind: "command.cancel",
        about: "Cancels a command: at once while it waits, else by stopping its whole process tree.",
        input: &[required("id", Shape::CommandId, "The command to cancel.")],
        output: &[
            required("id", Shape::CommandId, "The command."),
            required(
                "state",
                Shape::Choice(&["cancelled", "stopping"]),
                "What came of it.",
            ),
        ],
        ..CONTROL
    },
    Contract {
        kind: "command.get",
        about: "Tells where a command stands and, once it has one, its outcome.",
        input: &[required("id", Shape::CommandId, "The command.")],
        output: &[required("state", Shape::Text(1, 64), "Where it stands.")],
        ..READ
    },
    Contract {
        kind: "command.resolve",
        about: "Ends a command in doubt with what a person found out, on the record.",
        input: &[
            required("id", Shape::CommandId, "The command in doubt."),
            required(
                "as",
                Shape::Choice(&["landed", "did_not_happen", "retry"]),
                "What became of it.",
            ),
            required("note", Shape::Text(1, limits::NOTE_CHARS_MAX), "How you know."),
            optional(
                "result",
                Shape::Any(limits::ANNOTATION_VALUE_BYTES_MAX),
                "The result, where it landed.",
            ),
        ],
        output: &[
            required("id", Shape::CommandId, "The command."),
            optional(
                "retriedBy",
                Shape::CommandId,
                "The new command, where a retry was ordered.",
            ),
        ],
        ..CONTROL
    },
    Contract {
        kind: "command.wait",
        about: "Answers when a command has its outcome.",
        input: &[
            required("id", Shape::CommandId, "The command."),
            optional(
                "waitMs",
                Shape::Integer(0, limits::WAIT_MS_MAX),
                "How long to wait, milliseconds; 30,000 if absent.",
            ),
        ],
        output: &[required("state", Shape::Text(1, 64), "Where it stands.")],
        ..READ
    },
    Contract {
        kind: "command.why",
        about: "Explains why a command stands where it stands.",
        input: &[required("id", Shape::CommandId, "The command.")],
        output: &[
            required("state", Shape::Text(1, 64), "Where it stands."),
            required(
                "because",
                Shape::Texts(0, 1000, 4096),
                "The reasons, the nearest first.",
            ),
        ],
        ..READ
    },
    Contract {
        kind: "events.subscribe",
        about: "Sends events to this connection, from now or from a journal position on.",
        input: &[
            optional("sessionId", Shape::SessionId, "Only events of this session."),
            optional(
                "correlationId",
                Shape::CommandId,
                "Only events of this chain of commands.",
            ),
            optional(
                "fromIdx",
                Shape::Integer(0, limits::JSON_INTEGER_MAX),
                "First journal position to send.",
            ),
        ],
        output: &[required(
            "subscription",
            Shape::Text(1, 64),
            "Its name, carried by each of its events.",
        )],
        admission: Admission::Connection,
        ..READ
    },
    Contract {
        kind: "events.unsubscribe",
        about: "Ends a subscription of this connection.",
        input: &[required("subscription", Shape::Text(1, 64), "Its name.")],
        output: &[],
        admission: Admission::Connection,
        ..READ
    },
    providers::FILE_LIST,
    providers::FILE_MOVE,
    providers::FILE_READ,
    providers::FILE_REMOVE,
    providers::FILE_STAT,
    providers::FILE_WRITE,
    graph::GRAPH_REWRITE,
    providers::HTTP_FETCH,
    Contract {
        kind: "personal.get",
        about: "Opens a personal value that a marker stands for, unless its subject was erased.",
        input: &[required(
            "ref",
            Shape::Text(64, 64),
            "The `ref` of the marker, 64 hex digits.",
        )],
        output: &[required("value", Shape::Any(usize::MAX), "The value.")],
        ..READ
    },
    promise::PROMISE_AWAIT,
    promise::PROMISE_CANCEL,
    promise::PROMISE_CREATE,
    promise::PROMISE_GET,
    promise::PROMISE_REJECT,
    promise::PROMISE_RESOLVE,
    promise::PROMISE_SEARCH,
    Contract {
        kind: "server.health",
        about: "Tells whether the daemon works, and with what durability.",
        output: &[required(
            "status",
            Shape::Choice(&["ok", "draining"]),
            "Whether it takes commands.",
        )],
        ..READ
    },
    Contract {
        kind: "server.history",
        about: "Lists commands with their lane, sequence and outcome.",
        input: &[
            optional("sessionId", Shape::SessionId, "Only commands of this session."),
            optional("commandId", Shape::CommandId, "Only this command."),
            optional("correlationId", Shape::CommandId, "Only this chain of commands."),
            optional("kind", Shape::Text(1, 256), "Only commands of this kind."),
            optional(
                "outcome",
                Shape::Choice(&[
                    "succeeded",
                    "failed",
                    "rejected",
                    "timed_out",
                    "cancelled",
                    "unfinished",
                ]),
                "Only commands that ended so.",
            ),
            optional(
                "since",
                Shape::Text(1, 64),
                "Accepted at this history time or later, RFC 3339 or milliseconds.",
            ),
            optional(
                "until",
                Shape::Text(1, 64),
                "Accepted before this history time, RFC 3339 or milliseconds.",
            ),
            optional(
                "fromIdx",
                Shape::Integer(0, limits::JSON_INTEGER_MAX),
                "Accepted at this journal position or later.",
            ),
            optional(
                "toIdx",
                Shape::Integer(0, limits::JSON_INTEGER_MAX),
                "Accepted at this journal position or before.",
            ),
            optional(
                "order",
                Shape::Choice(&["oldest", "newest"]),
                "Which come first; oldest if absent.",
            ),
            PAGE_LIMIT,
            PAGE_CURSOR,
        ],
        output: &[
            required("commands", Shape::Any(usize::MAX), "The commands of this page."),
            optional(
                "nextCursor",
                Shape::Text(1, 1024),
                "Where the next page begins; absent on the last.",
            ),
        ],
        ..READ
    },
    Contract {
        kind: "server.metrics",
        about: "Counts commands, bytes, connections and what they wait for.",
        output: &[required(
            "head",
            Shape::Integer(0, u64::MAX),
            "Last durable journal position.",
        )],
        ..READ
    },
    Contract {
        kind: "server.pool",
        about: "Tells which processes serve sessions, and what the pool they come from does.",
        output: &[
            required(
                "sessions",
                Shape::Any(usize::MAX),
                "Sessions whose process lives.",
            ),
            required("pool", Shape::Any(usize::MAX), "The pool."),
        ],
        ..READ
    },
    Contract {
        kind: "server.recovery",
        about: "Tells what the last boot found and how it took it up.",
        output: &[required(
            "term",
            Shape::Integer(1, u64::MAX),
            "Number of this boot.",
        )],
        ..READ
    },
    Contract {
        kind: "session.annotate",
        about: "Sets a metadata entry of a session, or removes it with a null value.",
        input: &[
            required(
                "key",
                Shape::Text(1, limits::ANNOTATION_KEY_CHARS_MAX),
                "The entry's name.",
            ),
            required(
                "value",
                Shape::Any(limits::ANNOTATION_VALUE_BYTES_MAX),
                "The entry's value; null removes it.",
            ),
        ],
        output: &[],
        ..BASE
    },
    session::SESSION_CANCEL,
    session::SESSION_CHECKPOINT,
    session::SESSION_CREATE,
    Contract {
        kind: "session.delete",
        about: "Deletes a session; one created later under the same id has a new generation.",
        output: &[],
        ..BASE
    },
    session::SESSION_GET,
    session::SESSION_INPUT,
    session::SESSION_INTERRUPT,
    session::SESSION_LIST,
    session::SESSION_RESET,
    session::SESSION_RESTORE,
    Contract {
        kind: "shell.run",
        about: "Runs a program: its arguments as a list, never a line through a shell.",
        input: &[
            required(
                "argv",
                Shape::Texts(1, limits::ARGV_MAX, limits::ARGUMENT_BYTES_MAX),
                "The program and its arguments.",
            ),
            optional(
                "cwd",
                Shape::Text(1, limits::ARGUMENT_BYTES_MAX),
                "Working directory; the daemon's own if absent.",
            ),
            optional(
                "env",
                Shape::TextMap(limits::ENV_MAX, limits::ARGUMENT_BYTES_MAX),
                "Environment besides PATH, HOME, LANG, LC_* and TZ; `$secret:NAME` stands for a secret of the data directory.",
            ),
            optional(
                "stdin",
                Shape::Text(0, limits::STDIN_BYTES_MAX),
                "What it reads on standard input; empty if absent.",
            ),
            optional(
                "probe",
                Shape::Object(PROBE),
                "`{argv, cwd}`, cwd being the command's own if absent. A program that only looks: after a crash of the daemon, or where the answer is lost, it tells whether the effect happened, by exit code 0 (it did), 1 (it did not) or any other (nobody knows).",
            ),
        ],
        output: &[
            optional("exitCode", Shape::Integer(0, 255), "Its exit code."),
            optional("signal", Shape::Integer(1, 64), "The signal that ended it."),
            optional(
                "stdout",
                Shape::Any(usize::MAX),
                "Its output: {bytes, text} or {bytes, head, tail, blob}; also lossy, dropped, lost where they apply.",
            ),
            optional("stderr", Shape::Any(usize::MAX), "Its error output, likewise."),
            optional("durationMs", Shape::Integer(0, u64::MAX), "How long it ran."),
            optional(
                "leftover",
                Shape::Integer(1, u64::MAX),
                "Processes it left behind, which were ended.",
            ),
            optional(
                "survivors",
                Shape::Integer(1, u64::MAX),
                "Processes it left behind that could not be ended.",
            ),
            optional(
                "probe",
                Shape::Any(usize::MAX),
                "Where its probe found what came of it: how the probe ended, in these same members. The others are absent then.",
            ),
        ],
        effect: EffectClass::External,
        carrier: Carrier::Process,
        risk: "high",
        // In a cage; without one it is treated as what reaches outside.
        contained: true,
        // Where a command brings a probe.
        probe: true,
        ..BASE
    },
    Contract {
        kind: "subject.erase",
        about: "Erases a subject: its key is destroyed, and with it every personal value kept under it so far.",
        input: &[required(
            "subject",
            Shape::Text(1, 4 * limits::SUBJECT_CHARS_MAX),
            "Its name, or the form in which `actum subject list` shows it. Only a keyed hash of it is recorded.",
        )],
        output: &[
            required("subject", Shape::Text(1, 128), "The keyed hash of its name."),
            optional(
                "key",
                Shape::Text(32, 32),
                "The id of the key destroyed; absent where there was none.",
            ),
        ],
        risk: "high",
        idempotent: true,
        ..CONTROL
    },
    graph::SWS_COLLAPSE,
    graph::SWS_CREATE,
    graph::SWS_DISCARD,
    graph::SWS_REBASE,
    providers::SYSTEM_ENV,
    providers::SYSTEM_INFO,
    providers::SYSTEM_TIME,
    time::TIME_NOW,
    time::TIME_TICKS,
    time::TIMER_CANCEL,
    time::TIMER_GET,
    time::TIMER_LIST,
    time::TIMER_SET,
];
