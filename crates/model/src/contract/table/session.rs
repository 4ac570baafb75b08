//! Kinds of sessions: what they are for, the code they run, the process behind them.

use super::super::{Carrier, Contract, EffectClass, Field, SessionUse, Shape};
use super::{BASE, CONTROL, PAGE_CURSOR, PAGE_LIMIT, READ, optional, required};
use crate::limits;

/// What a session may be for.
const KINDS: Shape = Shape::Choice(&["commands", "python", "shell"]);
/// What its programs may see of the files of the machine.
const PROFILES: Shape = Shape::Choice(&["pure", "read", "workspace", "custom"]);

const FOLDER: &[Field] = &[
    required(
        "path",
        Shape::Text(1, limits::ARGUMENT_BYTES_MAX),
        "The folder, an absolute path beneath one that the operator granted.",
    ),
    optional(
        "write",
        Shape::Boolean,
        "Whether programs may write there; false if absent.",
    ),
];

const SPEC: [Field; 4] = [
    optional(
        "kind",
        KINDS,
        "`python` or `shell` for a session that keeps a process and runs code; `commands` if absent.",
    ),
    optional(
        "profile",
        PROFILES,
        "What its programs see of files: `pure` none, `read` folders to read, `workspace` one to write and others to read, `custom` what `folders` says; `workspace` if absent.",
    ),
    optional(
        "workspace",
        Shape::Text(1, limits::ARGUMENT_BYTES_MAX),
        "The folder to write, an absolute path beneath one that the operator granted; a private one of the session if absent.",
    ),
    optional(
        "folders",
        Shape::Objects(FOLDER),
        "Other folders, `{path, write}` each.",
    ),
];

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
    required("kind", KINDS, "What it is for."),
    optional(
        "worker",
        Shape::Any(usize::MAX),
        "Its process: {state, incarnation, sandbox} or {state, reason, at}; absent where none was started.",
    ),
    optional(
        "promises",
        Shape::Any(usize::MAX),
        "Its promises: pending, highWater, resolved, rejected, timedOut, cancelled.",
    ),
];

/// What changes the process of a session: in the cage, so nothing outside has changed when it is stopped.
const IN_WORKER: Contract = Contract {
    effect: EffectClass::Write,
    carrier: Carrier::Session,
    risk: "medium",
    ..BASE
};

pub(super) const CODE_RUN: Contract = Contract {
    kind: "code.run",
    about: "Runs code in the process of a session, which keeps its names.",
    input: &[
        required(
            "code",
            Shape::Text(0, limits::CODE_BYTES_MAX),
            "The code: Python, or lines of a shell, as the session is.",
        ),
        optional(
            "transaction",
            Shape::Choice(&["commit_always", "rollback_on_failure", "rollback_always"]),
            "What becomes of changed names when it ends; `commit_always` if absent.",
        ),
        optional(
            "source",
            Shape::Text(1, 256),
            "The name of the code in tracebacks.",
        ),
    ],
    output: &[
        optional(
            "value",
            Shape::Any(usize::MAX),
            "The value of its last expression, where it has a JSON form; a shell's exit code.",
        ),
        optional("repr", Shape::Any(usize::MAX), "The same as text."),
        optional(
            "stdout",
            Shape::Any(usize::MAX),
            "Its output: {bytes, text} or {bytes, head, tail, blob}.",
        ),
        optional("stderr", Shape::Any(usize::MAX), "Its error output, likewise."),
        optional(
            "displays",
            Shape::Any(usize::MAX),
            "What it displayed: bundles by media type.",
        ),
        optional(
            "error",
            Shape::Any(usize::MAX),
            "The exception that ended it: {type, message, traceback, notes}.",
        ),
        optional(
            "durationMs",
            Shape::Any(64),
            "How long it ran, milliseconds, with fractions.",
        ),
        optional(
            "session",
            Shape::Choice(&["kept", "lost"]),
            "Whether its names outlived it, where it was stopped.",
        ),
        optional(
            "sandbox",
            Shape::Any(usize::MAX),
            "The cage in force, where this execution started the process.",
        ),
    ],
    ..IN_WORKER
};

pub(super) const SESSION_CANCEL: Contract = Contract {
    kind: "session.cancel",
    about: "Cancels what runs in a session; the session goes on where it can.",
    input: &[],
    output: &[required("id", Shape::CommandId, "The command that is stopped.")],
    session: SessionUse::Required,
    ..CONTROL
};

pub(super) const SESSION_CHECKPOINT: Contract = Contract {
    kind: "session.checkpoint",
    about: "Saves the names of a session, each for itself, as a sealed blob.",
    input: &[],
    output: &[
        required("checkpoint", Shape::Text(64, 64), "The blob, 64 hex digits."),
        required("saved", Shape::Any(usize::MAX), "The names that were saved."),
        required(
            "skipped",
            Shape::Any(usize::MAX),
            "Those that could not be, `{name, reason}` each.",
        ),
    ],
    mutates_session: false,
    ..IN_WORKER
};

pub(super) const SESSION_CREATE: Contract = Contract {
    kind: "session.create",
    about: "Creates a session at version 0; without a sessionId the server makes one.",
    input: &[
        optional(
            "metadata",
            Shape::Any(limits::ANNOTATION_VALUE_BYTES_MAX),
            "Its first annotations, an object.",
        ),
        SPEC[0],
        SPEC[1],
        SPEC[2],
        SPEC[3],
    ],
    output: &[required("sessionId", Shape::SessionId, "The session.")],
    session: SessionUse::Optional,
    ..BASE
};

pub(super) const SESSION_GET: Contract = Contract {
    kind: "session.get",
    about: "Reads a session.",
    output: SESSION_OUTPUT,
    session: SessionUse::Required,
    ..READ
};

pub(super) const SESSION_INPUT: Contract = Contract {
    kind: "session.input",
    about: "Gives a line to code that asks for input, or says that there is no more.",
    input: &[
        optional(
            "data",
            Shape::Text(0, limits::INPUT_BYTES_MAX),
            "The line, without its end.",
        ),
        optional("eof", Shape::Boolean, "True: there is no more input."),
    ],
    output: &[required(
        "promiseId",
        Shape::CommandId,
        "The promise that was resolved.",
    )],
    session: SessionUse::Required,
    ..CONTROL
};

pub(super) const SESSION_INTERRUPT: Contract = Contract {
    kind: "session.interrupt",
    about: "Interrupts the code that runs in a session, as Ctrl-C does; the code may catch it and go on.",
    input: &[],
    output: &[required(
        "id",
        Shape::CommandId,
        "The command whose code is interrupted.",
    )],
    session: SessionUse::Required,
    ..CONTROL
};

pub(super) const SESSION_LIST: Contract = Contract {
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
};

pub(super) const SESSION_RESET: Contract = Contract {
    kind: "session.reset",
    about: "Ends the process of a session, if there is one; the next code starts in an empty namespace.",
    input: &[],
    output: &[],
    ..IN_WORKER
};

pub(super) const SESSION_RESTORE: Contract = Contract {
    kind: "session.restore",
    about: "Takes up names that a checkpoint saved. They are read in the cage.",
    input: &[
        required("checkpoint", Shape::Text(64, 64), "The blob, 64 hex digits."),
        optional(
            "clear",
            Shape::Boolean,
            "Whether the names there are go first; false if absent.",
        ),
    ],
    output: &[
        required(
            "restored",
            Shape::Any(usize::MAX),
            "The names that were taken up.",
        ),
        required(
            "skipped",
            Shape::Any(usize::MAX),
            "Those that could not be, `{name, reason}` each.",
        ),
    ],
    ..IN_WORKER
};
