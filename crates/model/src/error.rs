//! The error codes of the wire: each with its sentence, hint, HTTP status and whether sending the same
//! again can help. Every code has a page under `docs/errors/`.

use crate::json::Json;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($variant:ident $code:literal $status:literal $retryable:literal $title:literal $hint:literal;)*) => {
        /// A stable error code. Its text never changes once released.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum ErrorCode {
            $(#[doc = $title] #[serde(rename = $code)] $variant,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code,)* }
            }

            /// HTTP status of a problem document with this code.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status,)* }
            }

            /// Whether sending the same again, later, can succeed.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(ErrorCode::$variant => $retryable,)* }
            }

            /// One sentence that says what the code means.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(ErrorCode::$variant => $title,)* }
            }

            /// What to do about it.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(ErrorCode::$variant => $hint,)* }
            }
        }
    };
}

codes! {
    InvalidJson "INVALID_JSON" 400 false "The message is not one I-JSON object."
        "send one JSON object per line or frame, without duplicate keys, with integers up to 2^53";
    InvalidInput "INVALID_INPUT" 422 false "The command has the wrong shape; every fault is listed with its JSON pointer."
        "see `actum commands KIND` for the fields of this kind";
    UnknownCommand "UNKNOWN_COMMAND" 422 false "No command kind has this name."
        "list the kinds with `actum commands`";
    MessageTooLarge "MESSAGE_TOO_LARGE" 413 false "The message is larger than the limit of 10 MiB."
        "put large bodies into files and name them";
    NotFound "NOT_FOUND" 404 false "Nothing is there under this address."
        "the addresses are listed in docs/PROTOCOL.md";
    Unauthenticated "UNAUTHENTICATED" 401 false "The request carries no valid token."
        "send `Authorization: Bearer …` with a token of `actum token create NAME`";
    CallerEnded "CALLER_ENDED" 401 false "The call comes from inside a command that runs no more."
        "only a program of a running `shell.run` may use its `ACTUM_TOKEN`; call with a token of `actum token create NAME`";
    OriginRefused "ORIGIN_REFUSED" 403 false "The Host or Origin header is not one this daemon answers to."
        "browsers may only call from a page the daemon serves itself";
    IdentityConflict "IDENTITY_CONFLICT" 409 false "This id or idempotency key is already used for something else."
        "use a new id for a new command; the stored outcome is unchanged";
    OutcomeExpired "OUTCOME_EXPIRED" 410 false "The command finished, and its outcome is no longer kept."
        "look it up in `actum history`; use a new id to run it again";
    RateLimited "RATE_LIMITED" 429 true "Too many submissions in a short time."
        "wait `retryAfterMs` and send it again; the id is not used up";
    Busy "BUSY" 503 true "A bound on accepted work is reached."
        "wait until running commands have finished and send it again; the id is not used up";
    ShuttingDown "SHUTTING_DOWN" 503 true "The daemon is draining and takes no new commands."
        "send it again when the daemon is back; the id is not used up";
    SessionRequired "SESSION_REQUIRED" 422 false "This kind has an effect and needs a sessionId."
        "create a session with `session.create` and name it in `sessionId`";
    SessionNotFound "SESSION_NOT_FOUND" 404 false "No session has this id."
        "create it with `session.create`; list sessions with `session.list`";
    SessionExists "SESSION_EXISTS" 409 false "A session with this id exists already."
        "use it, delete it first, or choose another id";
    TimerExists "TIMER_EXISTS" 409 false "A live timer with this id exists already."
        "cancel it first with `actum timer cancel ID`, or choose another id";
    TimerNotFound "TIMER_NOT_FOUND" 404 false "No live timer has this id: it fired, was cancelled, or never was."
        "list the live ones with `actum timer list`";
    SessionKind "SESSION_KIND" 409 false "The session is not for this: it keeps no process that could run code."
        "create one with `session.create` and `kind: python` or `shell`";
    SessionLost "SESSION_LOST" 409 false "The process that kept the session's names is gone; nothing runs in a fresh one by accident."
        "start anew with `session.reset`, then `session.restore` a checkpoint if there is one";
    NothingRuns "NOTHING_RUNS" 409 false "Nothing runs in the session that could be stopped, interrupted or answered."
        "see what its lane does with `actum session show ID`";
    InputNotWanted "INPUT_NOT_WANTED" 409 false "The code that runs does not ask for input."
        "wait for the event `promise_created` whose id begins with `exec:`";
    ExecutionFailed "EXECUTION_FAILED" 422 false "The code ended with an error of its own."
        "read the traceback in `data.error`";
    OutputDrainTimeout "OUTPUT_DRAIN_TIMEOUT" 504 false "Output of the code was still on its way when the time for it ran out, so there is no result."
        "something it started keeps writing; end it before the code ends";
    WorkerFailed "WORKER_FAILED" 500 false "The process of the session broke its protocol or could not go on, and was ended."
        "start anew with `session.reset`; the message says what it did";
    SandboxUnavailable "SANDBOX_UNAVAILABLE" 503 false "This host cannot build the cage that is required."
        "see what is missing with `actum doctor`; a weaker level must be allowed by name, with `--sandbox`";
    PoolExhausted "POOL_EXHAUSTED" 503 true "No more processes can be started for sessions now."
        "end sessions that are not needed, or wait; see `actum pool`";
    NotGranted "NOT_GRANTED" 403 false "The operator of this daemon has not granted this."
        "grant it when the daemon is started, for instance with `--grant-file` or `--grant-http`";
    PromiseExists "PROMISE_EXISTS" 409 false "A promise with this id is kept already."
        "choose another id, or read what is there with `promise.get`";
    PromiseNotFound "PROMISE_NOT_FOUND" 404 false "No promise has this id, or it is no longer kept."
        "list them with `actum promise list`";
    PromiseRejected "PROMISE_REJECTED" 409 false "The promise was settled with an error."
        "the message is that of whoever rejected it";
    PromiseSettled "PROMISE_SETTLED" 409 false "The promise is settled; that never changes."
        "read its value with `promise.get`";
    CommandNotFound "COMMAND_NOT_FOUND" 404 false "No command with this id is known here."
        "ids are listed by `actum history`";
    AlreadyFinished "ALREADY_FINISHED" 409 false "The command has its final outcome; nothing can change it."
        "read the outcome with `actum show ID`";
    NotInDoubt "NOT_IN_DOUBT" 409 false "Only a command in doubt can be resolved."
        "see what it waits for with `actum why ID`";
    DependencyUnknown "DEPENDENCY_UNKNOWN" 422 false "A command in `dependsOn` is neither in flight nor among the kept outcomes."
        "submit the dependency first, then the dependent";
    DependencyFailed "DEPENDENCY_FAILED" 409 false "A command in `dependsOn` did not succeed."
        "see why with `actum why ID` and submit both again under new ids";
    DependencyTimeout "DEPENDENCY_TIMEOUT" 504 false "A command in `dependsOn` did not finish in time."
        "submit the dependent again under a new id when the dependency has finished";
    VersionMismatch "VERSION_MISMATCH" 409 false "The session is at another version than `ifSessionVersion` says."
        "read the session, decide again, submit under a new id";
    QueueTimeout "QUEUE_TIMEOUT" 504 false "The command waited for its lane longer than allowed and never started."
        "see what held the lane with `actum why ID`; submit again under a new id";
    TimedOut "TIMED_OUT" 504 false "The command ran longer than allowed and was stopped."
        "give it a larger `timeoutMs`";
    Cancelled "CANCELLED" 409 false "The command was cancelled."
        "see who cancelled it with `actum why ID`";
    CommandFailed "COMMAND_FAILED" 422 false "The process ended with a failure of its own."
        "read its output with `actum show ID`";
    SpawnFailed "SPAWN_FAILED" 422 false "The process could not be started."
        "check the program name, the working directory and the permissions";
    Interrupted "INTERRUPTED" 500 false "The daemon died while the command ran in its cage; nothing outside was touched."
        "submit it again under a new id";
    InDoubt "IN_DOUBT" 409 false "An effect was dispatched and nobody knows what came of it."
        "look at the world, then say `actum resolve ID --as landed|did_not_happen|retry`";
    DidNotHappen "DID_NOT_HAPPEN" 409 false "A person or the command's own probe looked and found that the effect did not happen."
        "submit it again under a new id if it is still wanted";
    Retried "RETRIED" 409 false "A person ended this command in doubt and ordered a retry."
        "follow the command named in `details.retriedBy`";
    SecretUnavailable "SECRET_UNAVAILABLE" 409 false "A secret given inline was lost with the process that held it."
        "put it into `<data>/secrets/NAME`, give it as `$secret:NAME`, and submit again under a new id";
    PersonalDataErased "PERSONAL_DATA_ERASED" 410 false "A personal value is erased: the key of its subject is gone."
        "nothing brings it back; if it may be used again, submit it again under a new id";
    ProhibitedData "PROHIBITED_DATA" 422 false "The command holds data that must not be stored in any form."
        "take it out and give what stands for it, such as a token of the system that keeps it";
    LimitExceeded "LIMIT_EXCEEDED" 422 false "A stored thing would grow beyond its limit."
        "the message names the limit";
    WaitTimeout "WAIT_TIMEOUT" 504 true "The command had not finished when the wait ended."
        "wait again; the command goes on";
    SlowConsumer "SLOW_CONSUMER" 429 true "This connection reads more slowly than it is written to."
        "read faster, or subscribe to less; resume from the idx given";
    NotImplemented "NOT_IMPLEMENTED" 501 false "This operation does not exist in the registry of this version."
        "the operations are listed in docs/graph.md";
    SystemReadOnly "SYSTEM_READ_ONLY" 409 false "System changes only by a collapse."
        "create a shadow working set, write to it, and collapse it";
    SwsNotActive "SWS_NOT_ACTIVE" 409 false "The shadow working set was collapsed or discarded; its view is gone."
        "create a new one; what a collapse brought is in System";
    SnapshotExpired "SNAPSHOT_EXPIRED" 410 false "This version of the view is no longer kept."
        "read the view as it is now and page with the snapshotId it gives";
    MissingEndpoint "MISSING_ENDPOINT" 409 false "It refers to a node or edge that does not exist in this view."
        "add what it refers to first, in the same rewrite if you like";
    InUse "IN_USE" 409 false "Something in this view still refers to what should be removed."
        "remove the edges and attachments that refer to it first";
    CollapseConflict "COLLAPSE_CONFLICT" 409 false "System and the shadow working set changed the same things differently; nothing was changed."
        "the receipt lists the conflicts; look with `actum sws diff`, change the shadow working set, and collapse again";
    PathOutside "PATH_OUTSIDE" 403 false "The path leads out of the folders that are granted."
        "name a file below a granted folder; links that lead out of it are not followed";
    FileNotFound "FILE_NOT_FOUND" 404 false "No file or folder is there under this path."
        "look with `file.list` at the folder it should be in";
    FileExists "FILE_EXISTS" 409 false "A file or folder is there already under this path."
        "use mode `replace`, remove it first, or choose another path";
    FileChanged "FILE_CHANGED" 409 false "The file has other content than `ifHash` says."
        "read it, decide again, and submit under a new id with its present hash";
    FileRefused "FILE_REFUSED" 422 false "What is there under this path is not of the kind that this needs."
        "only plain files and folders are touched: no device, FIFO, socket, and nothing of `/proc`";
    FileFailed "FILE_FAILED" 500 true "The operating system refused to do this with the file."
        "the message has its reason: permissions, a full disk, a read-only file system";
    TooLarge "TOO_LARGE" 413 false "It is larger than the limit that applies."
        "the message names the limit; read it in parts, or ask for less";
    HostRefused "HOST_REFUSED" 403 false "The address is not one this daemon may call."
        "only granted hosts are called, and a private address only where it is granted itself";
    SecretRefused "SECRET_REFUSED" 403 false "The secret is not bound to the host it would go to."
        "only the operator can bind a secret to a host";
    HttpFailed "HTTP_FAILED" 502 true "No usable answer came from the host."
        "the message says how far it came: name, connection, TLS, request or answer";
    JournalLocked "JOURNAL_LOCKED" 409 true "Another process holds this data directory."
        "stop the daemon named in the message, or use another --data";
    JournalDamaged "JOURNAL_DAMAGED" 500 false "Acknowledged history is damaged; Actum does not skip or guess."
        "look with `actum journal inspect`; `actum journal repair --to IDX` cuts, keeping a copy";
    JournalPoisoned "JOURNAL_POISONED" 500 true "A write or sync failed; the daemon stopped before acknowledging it."
        "check the disk, then start again: what was acknowledged is there";
    JournalUnsupported "JOURNAL_UNSUPPORTED" 500 false "The data was written by a version this program does not know."
        "use the version that wrote it, or a later one";
    RecordGone "RECORD_GONE" 410 false "Records below this idx were compacted away."
        "start from the idx given in the message";
    ReplayDrift "REPLAY_DRIFT" 500 false "Deciding the history again gives other events than were recorded."
        "the message names the first record and both versions";
    DataMissing "DATA_MISSING" 404 false "There is no Actum data under this path."
        "name the data directory with --data";
    BindRefused "BIND_REFUSED" 400 false "The daemon does not listen beyond loopback without a token."
        "make one with `actum token create NAME`, or bind to 127.0.0.1";
    DaemonUnreachable "DAEMON_UNREACHABLE" 503 true "No daemon answers at this address."
        "start one with `actum dev`, or name it with --url";
    Internal "INTERNAL" 500 false "Something happened that only a bug can cause."
        "please report it with the message and `actum doctor`";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong with one command: the error of a response and of a `finished` event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence with what was expected and what came.
    pub message: String,
    /// What to do, where it is more than the code's own hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Machine-readable details, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

impl Fault {
    /// A fault with a message of its own.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Fault {
        Fault {
            code,
            message: message.into(),
            hint: None,
            details: None,
        }
    }

    /// The same with details, a JSON object.
    #[must_use]
    pub fn with_details(mut self, details: &serde_json::Value) -> Fault {
        self.details = Json::from_value(details).ok();
        self
    }

    /// The same with a hint of its own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// The hint to show: its own, else the code's.
    #[must_use]
    pub fn hint_text(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.code.hint())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}
