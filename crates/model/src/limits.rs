//! Every limit of the system, each with its reason. Units are the last word of a name.

/// Largest message on any transport. Bigger bodies belong into blobs, and a parser must have a bound.
pub const MESSAGE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Largest arguments of one command as canonical JSON. A record holds them twice, in its input and in the
/// acceptance, beside what else it holds, and its body may have 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest id of a command, session, correlation or key: long enough for a UUID with a path before it.
pub const ID_CHARS_MAX: usize = 256;
/// Dependencies of one command; more is a workflow, which wants lanes.
pub const DEPENDS_ON_MAX: usize = 32;
/// Largest integer every JSON reader keeps exactly (I-JSON, RFC 7493).
pub const JSON_INTEGER_MAX: u64 = 9_007_199_254_740_991;
/// Faults listed in one `INVALID_INPUT`; the count tells of the rest.
pub const FAULTS_LISTED_MAX: usize = 32;

/// Events one decision may make. What is left goes on with `Input::Continue`, so that no record grows
/// with the number of waiting commands.
pub const EVENTS_PER_RECORD_MAX: usize = 256;
/// Commands accepted and not finished. Beyond it `BUSY`: reject, never evict.
pub const IN_FLIGHT_MAX: usize = 100_000;
/// Sessions of one realm that exist at the same time.
pub const SESSIONS_MAX: usize = 1_000_000;
/// Annotations of one session.
pub const ANNOTATIONS_MAX: usize = 256;
/// Longest annotation key.
pub const ANNOTATION_KEY_CHARS_MAX: usize = 256;
/// Largest annotation value in canonical JSON; larger things are files.
pub const ANNOTATION_VALUE_BYTES_MAX: usize = 65_536;

/// How long a command may run unless its contract or envelope says otherwise.
pub const RUN_TIMEOUT_MS: u64 = 120_000;
/// Longest run time that may be asked for: a day.
pub const RUN_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// How long a command may wait in its lane unless its envelope says otherwise.
pub const QUEUE_TIMEOUT_MS: u64 = 600_000;
/// Longest wait in a lane that may be asked for: a day.
pub const QUEUE_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// How long the head of a lane waits for its dependencies; it holds the lane meanwhile.
pub const DEPENDENCY_WAIT_MS: u64 = 30_000;
/// How long the probe of a command may run. It holds the lane meanwhile, and it only looks.
pub const PROBE_TIMEOUT_MS: u64 = 30_000;
/// Longest reason of a probe that could not tell; its whole output stands in the record of its answer.
pub const PROBE_REASON_CHARS_MAX: usize = 300;
/// Time between TERM and KILL.
pub const STOP_GRACE_MS: u64 = 500;
/// Longest `command.wait`.
pub const WAIT_MS_MAX: u64 = 600_000;

/// An idempotency key protects this long after its command finished, counted in history time.
pub const KEY_TTL_MS: u64 = 24 * 3_600_000;
/// Keys that protect at the same time; beyond it `BUSY`, a live key is never evicted.
pub const KEYS_MAX: usize = 2_000_000;
/// Full outcomes kept.
pub const OUTCOMES_MAX: usize = 100_000;
/// Age beyond which a full outcome is retired to a tombstone.
pub const OUTCOME_AGE_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// Bytes of full outcomes kept in state.
pub const OUTCOME_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Compact tombstones kept of retired outcomes.
pub const TOMBSTONES_MAX: usize = 2_000_000;

/// Output and payloads above this go to a sealed blob; head and tail stay in the record.
pub const INLINE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of head and of tail kept in the record beside a blob.
pub const OUTPUT_EDGE_BYTES: usize = 4 * 1024;
/// Output of one stream of one command that is kept; the rest is counted and dropped.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Arguments of one process.
pub const ARGV_MAX: usize = 4096;
/// Bytes of one argument, path or environment value.
pub const ARGUMENT_BYTES_MAX: usize = 131_072;
/// Environment entries of one process.
pub const ENV_MAX: usize = 256;
/// Standard input given inline to a process.
pub const STDIN_BYTES_MAX: usize = 1024 * 1024;

/// Values marked as personal in one command: each is a sealed blob with syncs of its own.
pub const PERSONAL_VALUES_MAX: usize = 64;
/// Name of a subject of personal values.
pub const SUBJECT_CHARS_MAX: usize = 256;

/// Page of history: default and largest.
pub const PAGE_DEFAULT: usize = 100;
/// Largest page of a listing.
pub const PAGE_MAX: usize = 1000;
/// Note of a resolution.
pub const NOTE_CHARS_MAX: usize = 4096;

/// Segment of the journal. Preallocated and zero-filled, which halves the fsync (measured).
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Records between two snapshots taken by the daemon.
pub const SNAPSHOT_EVERY_RECORDS: u64 = 250_000;

/// Connections the daemon holds at the same time; a slot is reserved before authentication.
pub const CONNECTIONS_MAX: usize = 1024;
/// Commands one connection may have unanswered; reading stops there, so TCP pushes back.
pub const PENDING_PER_CONNECTION_MAX: usize = 4096;
/// WebSocket ping interval.
pub const PING_INTERVAL_MS: u64 = 30_000;
/// A WebSocket peer that does not answer a ping within this is gone.
pub const PONG_TIMEOUT_MS: u64 = 10_000;
/// Live events queued for one subscriber before it is told of a gap.
pub const LIVE_EVENTS_QUEUED_MAX: usize = 4096;
/// Responses queued for one connection; beyond it the connection is closed.
pub const OUTBOX_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Inputs waiting for the engine; the transports wait there, so memory stays bounded.
pub const INPUT_QUEUE_MAX: usize = 8192;
/// Inputs decided into one batch.
pub const BATCH_INPUTS_MAX: usize = 2048;
/// Bytes staged into one batch before it is sealed.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Effects running at the same time.
pub const RUNNING_EFFECTS_MAX: usize = 256;
/// A wall clock that is further than this from where history expects it must be confirmed first.
pub const CLOCK_JUMP_MS_MAX: u64 = 5 * 60_000;
/// Submissions a principal may make in a burst and per second (shell side; never in state).
pub const RATE_BURST: u32 = 200_000;
/// Refill of the bucket above.
pub const RATE_PER_SECOND: u32 = 100_000;
/// Repetitions have a bucket of their own: they cost no disk, and a client that lost its answers sends many.
pub const REPLAY_RATE_PER_SECOND: u32 = 20_000;
/// Repetitions in one burst.
pub const REPLAY_BURST: u32 = 100_000;

/// Longest kind of a node or edge: the contract of the graph (`^[A-Za-z0-9_.:-]{1,128}$`).
pub const GRAPH_KIND_CHARS_MAX: usize = 128;
/// Longest key of an attachment: as long as any other id.
pub const GRAPH_KEY_CHARS_MAX: usize = 256;
/// Largest payload of a node or edge. In base64 it still leaves room for other operations in the 4 MiB of
/// arguments a command may have; larger bodies are blobs, named by their hash.
pub const GRAPH_PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Largest value of an attachment as canonical JSON: as large as any other annotation.
pub const GRAPH_VALUE_BYTES_MAX: usize = 65_536;
/// Operations of one rewrite: one rewrite is one event and must decide within milliseconds.
pub const GRAPH_OPS_MAX: usize = 256;
/// Default page of nodes, edges, neighbours and changes (seed 1: `first = 200`).
pub const GRAPH_PAGE_DEFAULT: usize = 200;
/// Entries a filtered page looks at before it returns a cursor: about a millisecond of reading in order, some
/// milliseconds by an index.
pub const GRAPH_PAGE_SCANNED_MAX: usize = 2000;
/// Payload bytes after which a page ends early, so that its base64 stays below a message.
pub const GRAPH_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Conflicts listed by a collapse; the count tells of the rest.
pub const GRAPH_CONFLICTS_LISTED_MAX: usize = 256;
/// Entries of one view, of each sort: a million nodes take 320 MB.
pub const GRAPH_ENTRIES_MAX: usize = 20_000_000;
/// Earlier versions of one view kept in state; what a reader was given is kept longer outside of it.
pub const GRAPH_SNAPSHOTS_MAX: u64 = 64;
/// How long an earlier version can be read: long enough to page through a large view by hand.
pub const GRAPH_SNAPSHOT_AGE_MS_MAX: u64 = 15 * 60_000;
/// Entries of the rewrite log kept, as many as full outcomes.
pub const GRAPH_REWRITES_MAX: u64 = 100_000;
/// Bytes of the same: entries may have 256 operations of 256 KiB.
pub const GRAPH_REWRITE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Shadow working sets active at the same time: each costs what it differs in from System.
pub const SWS_ACTIVE_MAX: u64 = 10_000;
/// Closed ones whose row is kept.
pub const SWS_CLOSED_MAX: u64 = 10_000;
/// Longest reason of a discard.
pub const SWS_REASON_CHARS_MAX: usize = 4096;
/// Largest `meta` of a shadow working set or rewrite as canonical JSON.
pub const GRAPH_META_BYTES_MAX: usize = 16 * 1024;

/// Promises of one realm that are not settled: as many as commands may be unfinished.
pub const PROMISES_PENDING_MAX: usize = 100_000;
/// Settled promises kept, as many as full outcomes.
pub const PROMISES_SETTLED_MAX: u64 = 100_000;
/// Bytes of settled promises kept.
pub const PROMISES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest value of a promise as canonical JSON: as large as any annotation; larger things are files.
pub const PROMISE_VALUE_BYTES_MAX: usize = 65_536;
/// Words a promise can be found by.
pub const PROMISE_TAGS_MAX: usize = 16;
/// Longest name or value of such a word.
pub const PROMISE_TAG_CHARS_MAX: usize = 256;
/// Longest code of one execution: a program of that size is a file.
pub const CODE_BYTES_MAX: usize = 1024 * 1024;
/// Longest line given to code that asks for input.
pub const INPUT_BYTES_MAX: usize = 65_536;
/// Processes of sessions that live at the same time: each takes some megabytes.
pub const SESSION_PROCESSES_MAX: usize = 512;
/// Folders that a session may be given beside its workspace.
pub const SESSION_FOLDERS_MAX: usize = 32;

/// Live timers of one realm: as many as commands may be unfinished, since all may fall due together.
pub const TIMERS_MAX: usize = 100_000;
/// Bytes of all live timers with their commands: state is copied into snapshots and held in memory.
pub const TIMERS_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Longest id of a timer: the id of a command it submits holds it beside two numbers.
pub const TIMER_ID_CHARS_MAX: usize = 200;
/// Largest command a timer carries as JSON; it stays in state until the timer is gone.
pub const TIMER_COMMAND_BYTES_MAX: usize = 16 * 1024;
/// Shortest period: ten records a second and timer.
pub const TIMER_EVERY_MS_MIN: u64 = 100;
/// Longest period and longest time ahead: ten years. Beyond it a time is a mistake.
pub const TIMER_MS_MAX: u64 = 10 * 366 * 86_400_000;
/// A firing that much behind its time is late: twice what the ticker may take for a calendar time.
pub const TIMER_LATE_MS: u64 = 2000;
/// Ticks kept in state for `time.ticks`; the journal has all of them. A page of a listing and some more.
pub const TICKS_KEPT_MAX: usize = 1024;
/// Changes of the rules that state knows, the latest: one comes with a boot of a program of other rules, so these are
/// years of upgrades.
pub const RULES_KEPT_MAX: usize = 1024;
/// Shortest cadence of ticks: each is a record.
pub const TICK_CADENCE_MS_MIN: u64 = 100;
/// Resolution of both clocks as inputs carry them: a millisecond.
pub const CLOCK_RESOLUTION_NS: u64 = 1_000_000;

/// Levels of fields a query may have: as deep as the introspection query of the usual tools, and a little more.
pub const GRAPHQL_DEPTH_MAX: usize = 20;
/// Values an answer may have, counted before anything is read: pages count as if they were full.
pub const GRAPHQL_COMPLEXITY_MAX: usize = 250_000;
/// Fields of a query with its fragments spread out: what checking it costs.
pub const GRAPHQL_FIELDS_MAX: usize = 10_000;
/// Brackets within each other in the text of a query: the parser goes into each.
pub const GRAPHQL_NESTING_MAX: usize = 128;
/// How long a query may read.
pub const GRAPHQL_TIMEOUT_MS: u64 = 10_000;
/// Payload bytes of one answer: eight full pages.
pub const GRAPHQL_RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Requests in one batch.
pub const GRAPHQL_BATCH_MAX: usize = 10;
/// Kinds or keys of one filter: each is compared with each entry.
pub const GRAPHQL_FILTER_NAMES_MAX: usize = 64;
/// Operations of one WebSocket that run at the same time.
pub const GRAPHQL_OPERATIONS_MAX: usize = 64;
/// How long a WebSocket may be open before it says `connection_init`.
pub const GRAPHQL_INIT_TIMEOUT_MS: u64 = 10_000;
/// Versions of views kept because a reader was given them.
pub const GRAPH_PINS_MAX: usize = 1024;
/// How long such a version is kept after its last use: as long as the kernel keeps one.
pub const GRAPH_PIN_AGE_MS_MAX: u64 = GRAPH_SNAPSHOT_AGE_MS_MAX;

/// Bytes of a file that one `file.read` gives: escaped six times larger in JSON they still fit a message.
pub const FILE_READ_BYTES_MAX: usize = 1024 * 1024;
/// Content of one `file.write`: in base64 it leaves room in the arguments of a command.
pub const FILE_WRITE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A file that is replaced, removed, appended to or hashed is read whole, into memory and into a blob; as large as
/// the output of a program.
pub const FILE_KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Entries a listing of files looks at.
pub const FILE_LIST_SCANNED_MAX: usize = 200_000;
/// Folders within each other that a listing goes into: each holds a descriptor open.
pub const FILE_LIST_DEPTH_MAX: usize = 64;
/// Longest path: that of Linux.
pub const FILE_PATH_BYTES_MAX: usize = 4096;

/// Longest URL.
pub const HTTP_URL_BYTES_MAX: usize = 8192;
/// Headers of one request, and of one answer.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Bytes of all headers of one request; of an answer what a server of the usual kind sends at most.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;
/// Body of one request: in base64 it leaves room in the arguments of a command.
pub const HTTP_REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Body of one answer, decompressed: escaped six times larger in JSON it still fits a message.
pub const HTTP_RESPONSE_BYTES_MAX: usize = 1024 * 1024;
/// Redirects followed: as many as the usual clients.
pub const HTTP_REDIRECTS_MAX: u64 = 10;
/// How long a request with its redirects may take unless it says otherwise.
pub const HTTP_TIMEOUT_MS: u64 = 30_000;
/// How long one connection may take to come up, TLS included.
pub const HTTP_CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Addresses of one name that are looked at; each is checked.
pub const HTTP_ADDRESSES_MAX: usize = 64;
/// Names of the environment asked for at once.
pub const SYSTEM_ENV_NAMES_MAX: usize = 64;
/// Longest value of the environment that is given.
pub const SYSTEM_ENV_VALUE_BYTES_MAX: usize = 32 * 1024;
