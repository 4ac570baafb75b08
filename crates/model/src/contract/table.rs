//! The contract table, sorted by kind. A kind is added here, in `kernel/src/commands` and nowhere else.

use super::{Admission, Contract, EffectClass, Field, SessionUse, Shape};
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
    risk: "low",
    admission: Admission::Queued,
    session: SessionUse::Required,
    idempotent: false,
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

const SESSION_OUTPUT: &[Field] = &[
    required("sessionId", Shape::SessionId, "The session."),
    required(
        "version",
        Shape::Integer(0, u64::MAX),
        "Successful changes since it was created.",
    ),
    required(
        "generation",
        Shape::Integer(0, u64::MAX),
        "Journal position that created it.",
    ),
    required(
        "createdAt",
        Shape::Text(1, 64),
        "History time of its creation, RFC 3339.",
    ),
    required("metadata", Shape::Any(usize::MAX), "Its annotations."),
];

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

const SWS: Field = required(
    "swsId",
    Shape::Text(1, 20),
    "The shadow working set, a number such as `0`.",
);
const META: Field = optional(
    "meta",
    Shape::Any(limits::GRAPH_META_BYTES_MAX),
    "What you say of it; kept and shown as it is.",
);
const REWRITE_IDX: Field = required(
    "rewriteIdx",
    Shape::Integer(0, u64::MAX),
    "Place in the realm's rewrite log, gap-free from 0.",
);
const POLICY: Field = required(
    "policyId",
    Shape::Integer(0, u32::MAX as u64),
    "The collapse policy in force.",
);
const RULE_PACK: Field = required(
    "rulePackId",
    Shape::Text(64, 64),
    "Hash of the contracts, operations and kinds in force.",
);

const fn a_version(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        shape: Shape::Object(VERSION),
        required: true,
        about,
    }
}

const VERSION: &[Field] = &[
    required("snapshotId", Shape::Text(1, 64), "Its name while it is kept."),
    required("digest", Shape::Text(64, 64), "Its digest."),
];

/// What changes of the graph have in common: carried out by the kernel, with or without a session.
const GRAPH: Contract = Contract {
    session: SessionUse::Optional,
    mutates_session: false,
    ..BASE
};

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

/// Every command kind, ascending.
pub const CONTRACTS: &[Contract] = &[
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
    Contract {
        kind: "graph.rewrite",
        about: "Carries out operations on a shadow working set: all of them, or none.",
        input: &[
            required(
                "view",
                Shape::Text(1, 32),
                "The view to write to, such as `sws:0`.",
            ),
            required(
                "ops",
                Shape::Any(limits::PAYLOAD_BYTES_MAX),
                "1 to 256 operations, each `{\"op\": NAME, \"data\": {…}}`.",
            ),
            META,
        ],
        output: &[
            REWRITE_IDX,
            required("view", Shape::Text(1, 32), "The view."),
            required(
                "viewIdx",
                Shape::Integer(0, u64::MAX),
                "Place among the entries of this view, gap-free from 0.",
            ),
            required(
                "viewDigest",
                Shape::Text(64, 64),
                "Digest of the view afterwards.",
            ),
            required(
                "snapshotId",
                Shape::Text(1, 64),
                "Name of the view as it is afterwards.",
            ),
            required(
                "results",
                Shape::Any(usize::MAX),
                "Per operation: `sort`, `id`, `key`, whether it `changed` anything, `version` of an attachment.",
            ),
            POLICY,
            RULE_PACK,
        ],
        ..GRAPH
    },
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
    Contract {
        kind: "session.create",
        about: "Creates a session at version 0; without a sessionId the server makes one.",
        input: &[optional(
            "metadata",
            Shape::Any(limits::ANNOTATION_VALUE_BYTES_MAX),
            "Its first annotations, an object.",
        )],
        output: &[required("sessionId", Shape::SessionId, "The session.")],
        session: SessionUse::Optional,
        ..BASE
    },
    Contract {
        kind: "session.delete",
        about: "Deletes a session; one created later under the same id has a new generation.",
        output: &[],
        ..BASE
    },
    Contract {
        kind: "session.get",
        about: "Reads a session.",
        output: SESSION_OUTPUT,
        session: SessionUse::Required,
        ..READ
    },
    Contract {
        kind: "session.list",
        about: "Lists sessions, ascending by id.",
        input: &[PAGE_LIMIT, PAGE_CURSOR],
        output: &[
            required(
                "sessions",
                Shape::Objects(SESSION_OUTPUT),
                "The sessions of this page.",
            ),
            optional(
                "nextCursor",
                Shape::Text(1, 1024),
                "Where the next page begins; absent on the last.",
            ),
        ],
        ..READ
    },
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
                "`{argv, cwd}`, cwd being the command's own if absent. A program that only looks: after a crash of the daemon it tells whether the effect happened, by exit code 0 (it did), 1 (it did not) or any other (nobody knows).",
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
        risk: "high",
        // Until it runs in a cage, nobody can say what else it touched.
        contained: false,
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
    Contract {
        kind: "sws.collapse",
        about: "Makes a shadow working set part of System, whole or not at all.",
        input: &[
            SWS,
            optional(
                "policyId",
                Shape::Integer(0, u32::MAX as u64),
                "The collapse policy; 1, fail fast, is the only one.",
            ),
            META,
        ],
        output: &[
            SWS,
            REWRITE_IDX,
            required("committed", Shape::Boolean, "Whether it became part of System."),
            a_version("base", "System as the shadow working set began."),
            a_version("before", "System before."),
            optional(
                "after",
                Shape::Object(VERSION),
                "System afterwards, where it was committed.",
            ),
            optional(
                "counts",
                Shape::Any(usize::MAX),
                "Nodes, edges and attachments added, removed and changed in System.",
            ),
            optional(
                "conflicts",
                Shape::Any(usize::MAX),
                "What was in the way, sorted: `sort`, `id`, `key`, `code`.",
            ),
            optional(
                "conflictCount",
                Shape::Integer(0, u64::MAX),
                "How many conflicts there are.",
            ),
            POLICY,
            RULE_PACK,
        ],
        ..GRAPH
    },
    Contract {
        kind: "sws.create",
        about: "Forks System into a new shadow working set.",
        input: &[META],
        output: &[SWS, a_version("base", "System as it begins."), POLICY, RULE_PACK],
        ..GRAPH
    },
    Contract {
        kind: "sws.discard",
        about: "Gives up a shadow working set, on the record.",
        input: &[
            SWS,
            optional("reason", Shape::Text(0, limits::SWS_REASON_CHARS_MAX), "Why."),
            META,
        ],
        output: &[
            SWS,
            REWRITE_IDX,
            a_version("last", "Its view as it was."),
            POLICY,
            RULE_PACK,
        ],
        ..GRAPH
    },
    Contract {
        kind: "sws.rebase",
        about: "Moves a shadow working set onto System as it is, if nothing is in conflict.",
        input: &[SWS, META],
        output: &[
            SWS,
            REWRITE_IDX,
            a_version("from", "System as it began before."),
            a_version("base", "System as it begins now."),
            a_version("view", "Its view afterwards."),
            POLICY,
            RULE_PACK,
        ],
        ..GRAPH
    },
    Contract {
        kind: "time.now",
        about: "Tells the time of the history: what its clock samples say under the realm's clock policy.",
        output: NOW_OUTPUT,
        ..READ
    },
    Contract {
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
    },
    Contract {
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
    },
    Contract {
        kind: "timer.get",
        about: "Reads a live timer: when it is due and what it will do.",
        input: &[required("timerId", Shape::CommandId, "The timer.")],
        output: TIMER_OUTPUT,
        ..READ
    },
    Contract {
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
    },
    Contract {
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
    },
];
