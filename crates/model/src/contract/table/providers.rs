//! Kinds that providers carry out: files, requests to services, facts of the machine.

use super::super::{Carrier, Contract, EffectClass, Field, Shape};
use super::{BASE, PAGE_CURSOR, PAGE_LIMIT, optional, required};
use crate::limits;

/// What reads of providers have in common: outside the kernel, and nothing changes.
const OUTSIDE_READ: Contract = Contract {
    effect: EffectClass::Read,
    carrier: Carrier::Provider,
    idempotent: true,
    mutates_session: false,
    ..BASE
};

/// What changes of files have in common.
const FILE_CHANGE: Contract = Contract {
    effect: EffectClass::Write,
    carrier: Carrier::Provider,
    risk: "medium",
    compensable: true,
    contained: false,
    ..BASE
};

const COUNT: Shape = Shape::Integer(0, u64::MAX);
const HASH: Shape = Shape::Text(64, 64);
const ENCODING: Shape = Shape::Choice(&["utf8", "base64"]);
const PATH: Field = required(
    "path",
    Shape::Text(1, limits::FILE_PATH_BYTES_MAX),
    "The path, beneath a granted folder; a relative one counts from the granted folder where there is only one.",
);
const PATH_OUTPUT: Field = required(
    "path",
    Shape::Any(usize::MAX),
    "The absolute path as it was asked for.",
);
const IF_HASH: Field = optional(
    "ifHash",
    HASH,
    "SHA-256 that the content must have; without it whatever is there counts.",
);
const PREVIOUS: Field = optional(
    "previous",
    Shape::Object(&[
        required(
            "hash",
            HASH,
            "SHA-256 of the content, and name of the blob that keeps it.",
        ),
        required("bytes", COUNT, "Its length."),
    ]),
    "The content that was replaced or removed.",
);
const FILE_KIND: Shape = Shape::Choice(&["file", "folder", "link", "other"]);

pub(super) const FILE_LIST: Contract = Contract {
    kind: "file.list",
    about: "Lists a granted folder, ascending by the bytes of the names; links are not followed.",
    input: &[
        PATH,
        optional(
            "recursive",
            Shape::Boolean,
            "Whether folders in it are listed too.",
        ),
        PAGE_LIMIT,
        PAGE_CURSOR,
    ],
    output: &[
        PATH_OUTPUT,
        required(
            "entries",
            Shape::Objects(&[
                required("name", Shape::Any(usize::MAX), "The path below the folder."),
                optional(
                    "nameBase64",
                    Shape::Any(usize::MAX),
                    "Its bytes, where it is no UTF-8 and `name` shows it with replacements.",
                ),
                required("kind", FILE_KIND, "What it is."),
                required("size", COUNT, "Its length in bytes."),
                required(
                    "modifiedMs",
                    COUNT,
                    "When it was changed last, milliseconds since the Unix epoch.",
                ),
            ]),
            "The entries of this page.",
        ),
        optional(
            "nextCursor",
            Shape::Any(usize::MAX),
            "Where the next page begins; absent on the last.",
        ),
    ],
    ..OUTSIDE_READ
};

pub(super) const FILE_MOVE: Contract = Contract {
    kind: "file.move",
    about: "Gives a file, link or folder another path within granted folders and one file system.",
    input: &[
        required(
            "from",
            Shape::Text(1, limits::FILE_PATH_BYTES_MAX),
            "The path it has.",
        ),
        required(
            "to",
            Shape::Text(1, limits::FILE_PATH_BYTES_MAX),
            "The path it gets.",
        ),
        optional(
            "replace",
            Shape::Boolean,
            "Whether a file under the new path is replaced, by a file only; its content is kept.",
        ),
        IF_HASH,
    ],
    output: &[
        required("from", Shape::Any(usize::MAX), "The path it had."),
        required("to", Shape::Any(usize::MAX), "The path it has."),
        required("kind", FILE_KIND, "What it is."),
        PREVIOUS,
    ],
    ..FILE_CHANGE
};

pub(super) const FILE_READ: Contract = Contract {
    kind: "file.read",
    about: "Reads a file beneath a granted folder, whole or in part.",
    input: &[
        PATH,
        optional(
            "offset",
            Shape::Integer(0, limits::JSON_INTEGER_MAX),
            "Where to begin, bytes; 0 if absent.",
        ),
        optional(
            "length",
            Shape::Integer(0, limits::FILE_READ_BYTES_MAX as u64),
            "How many bytes; as many as one answer holds if absent.",
        ),
        optional(
            "encoding",
            ENCODING,
            "How the content is given; as text where it is UTF-8 if absent.",
        ),
    ],
    output: &[
        PATH_OUTPUT,
        required("content", Shape::Any(usize::MAX), "The content, in `encoding`."),
        required("encoding", ENCODING, "How the content is given."),
        required("offset", COUNT, "Where it begins, bytes."),
        required("bytes", COUNT, "How many bytes were read."),
        required("size", COUNT, "Length of the whole file, bytes."),
        required("eof", Shape::Boolean, "Whether nothing is behind it."),
        optional(
            "hash",
            HASH,
            "SHA-256 of the whole file; absent where it is larger than 64 MiB.",
        ),
    ],
    ..OUTSIDE_READ
};

pub(super) const FILE_REMOVE: Contract = Contract {
    kind: "file.remove",
    about: "Removes a file, a link itself, or an empty folder; the content of a file is kept.",
    input: &[PATH, IF_HASH],
    output: &[
        PATH_OUTPUT,
        required("removed", Shape::Boolean, "Whether something was there."),
        optional("kind", FILE_KIND, "What it was."),
        optional("target", Shape::Any(usize::MAX), "What a link pointed at."),
        PREVIOUS,
    ],
    idempotent: true,
    ..FILE_CHANGE
};

pub(super) const FILE_STAT: Contract = Contract {
    kind: "file.stat",
    about: "Tells about a file, folder or link beneath a granted folder.",
    input: &[
        PATH,
        optional("hash", Shape::Boolean, "Whether to hash the content of a file."),
    ],
    output: &[
        PATH_OUTPUT,
        required("kind", FILE_KIND, "What it is."),
        required("size", COUNT, "Its length in bytes."),
        required(
            "modifiedMs",
            COUNT,
            "When it was changed last, milliseconds since the Unix epoch.",
        ),
        required("mode", Shape::Text(4, 4), "Its permissions, octal."),
        optional("target", Shape::Any(usize::MAX), "What a link points at."),
        optional("hash", HASH, "SHA-256 of its content, where asked for."),
    ],
    ..OUTSIDE_READ
};

pub(super) const FILE_WRITE: Contract = Contract {
    kind: "file.write",
    about: "Writes a file beneath a granted folder, whole or not at all; what it replaces is kept.",
    input: &[
        PATH,
        required(
            "content",
            Shape::Text(0, limits::FILE_WRITE_BYTES_MAX / 3 * 4 + 4),
            "The content, at most 2 MiB of it.",
        ),
        optional(
            "encoding",
            ENCODING,
            "How the content is given; `utf8` if absent.",
        ),
        optional(
            "mode",
            Shape::Choice(&["create", "replace", "append"]),
            "`create` refuses where other content is there; `replace` if absent.",
        ),
        IF_HASH,
    ],
    output: &[
        PATH_OUTPUT,
        required("hash", HASH, "SHA-256 of the content it has now."),
        required("bytes", COUNT, "Its length."),
        required(
            "changed",
            Shape::Boolean,
            "Whether it had other content before, or was not there.",
        ),
        required("created", Shape::Boolean, "Whether it was not there."),
        PREVIOUS,
    ],
    idempotent_where: Some(("mode", &["create", "replace"])),
    ..FILE_CHANGE
};

pub(super) const HTTP_FETCH: Contract = Contract {
    kind: "http.fetch",
    about: "Sends one request to a granted host and follows its redirects, each checked in the same way.",
    input: &[
        required(
            "url",
            Shape::Text(1, limits::HTTP_URL_BYTES_MAX),
            "Where to; `http` or `https`, without user and password.",
        ),
        optional(
            "method",
            Shape::Choice(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
            "`GET` if absent. All but GET and HEAD carry an `Idempotency-Key`, the effect's own unless one is given.",
        ),
        optional(
            "headers",
            Shape::TextMap(limits::HTTP_HEADERS_MAX, limits::HTTP_HEADER_BYTES_MAX),
            "Its headers; `$secret:NAME` in them stands for a secret that is bound to the host.",
        ),
        optional(
            "body",
            Shape::Text(0, limits::HTTP_REQUEST_BYTES_MAX),
            "Its body as text; `$secret:NAME` likewise.",
        ),
        optional(
            "bodyBase64",
            Shape::Text(0, limits::HTTP_REQUEST_BYTES_MAX / 3 * 4 + 4),
            "Its body as bytes, instead of `body`.",
        ),
        optional(
            "timeoutMs",
            Shape::Integer(1, limits::RUN_TIMEOUT_MS_MAX),
            "How long it may take with its redirects, milliseconds; 30 seconds if absent.",
        ),
        optional(
            "maxBytes",
            Shape::Integer(0, limits::HTTP_RESPONSE_BYTES_MAX as u64),
            "How much of the body is wanted, bytes after decompression; 1 MiB if absent.",
        ),
        optional(
            "redirects",
            Shape::Integer(0, limits::HTTP_REDIRECTS_MAX),
            "How many redirects are followed; 10 if absent, and with 0 they are given as they are.",
        ),
        optional(
            "probe",
            Shape::Object(HTTP_PROBE),
            "A GET that only looks: after a crash of the daemon, or where the answer is lost, its status tells whether the request happened.",
        ),
    ],
    output: &[
        required(
            "status",
            Shape::Integer(100, 999),
            "The status; also 404 and 500 are answers.",
        ),
        required(
            "headers",
            Shape::Any(usize::MAX),
            "Headers by lower-case name; several of one name joined by `, `, cookies by line ends.",
        ),
        required(
            "body",
            Shape::Any(usize::MAX),
            "The body, decompressed, in `encoding`.",
        ),
        required("encoding", ENCODING, "How the body is given."),
        required(
            "bytes",
            COUNT,
            "Length of the body as far as it is given, after decompression.",
        ),
        required("truncated", Shape::Boolean, "Whether the body goes on."),
        required(
            "finalUrl",
            Shape::Any(usize::MAX),
            "The URL that gave this answer.",
        ),
        required("addresses", Shape::Any(usize::MAX), "The address of each hop."),
        required(
            "redirects",
            Shape::Objects(&[
                required("status", Shape::Integer(300, 399), "Its status."),
                required("url", Shape::Any(usize::MAX), "The URL that redirected."),
            ]),
            "The redirects followed.",
        ),
    ],
    effect: EffectClass::External,
    carrier: Carrier::Provider,
    risk: "high",
    idempotent_where: Some(("method", &["GET", "HEAD"])),
    contained: false,
    probe: true,
    ..BASE
};

const HTTP_PROBE: &[Field] = &[
    required(
        "url",
        Shape::Text(1, limits::HTTP_URL_BYTES_MAX),
        "Where to look; `$effectId` in it stands for the key the request carried.",
    ),
    optional(
        "headers",
        Shape::TextMap(limits::HTTP_HEADERS_MAX, limits::HTTP_HEADER_BYTES_MAX),
        "Its headers; `$effectId` and `$secret:NAME` likewise.",
    ),
    optional(
        "landedStatus",
        Shape::Integer(100, 999),
        "The status that says it happened; 200 if absent.",
    ),
    optional(
        "didNotHappenStatus",
        Shape::Integer(100, 999),
        "The status that says it did not; 404 if absent. Any other says nothing.",
    ),
];

pub(super) const SYSTEM_ENV: Contract = Contract {
    kind: "system.env",
    about: "Reads granted names of the daemon's environment.",
    input: &[required(
        "names",
        Shape::Texts(1, limits::SYSTEM_ENV_NAMES_MAX, 256),
        "The names; one that is not granted refuses all.",
    )],
    output: &[
        required("values", Shape::Any(usize::MAX), "The values by name."),
        required("unset", Shape::Any(usize::MAX), "Names that have no value."),
    ],
    ..OUTSIDE_READ
};

pub(super) const SYSTEM_INFO: Contract = Contract {
    kind: "system.info",
    about: "Tells what a program needs to choose how to work here.",
    output: &[
        required("os", Shape::Text(1, 64), "The operating system."),
        required("arch", Shape::Text(1, 64), "The processor architecture."),
        required(
            "cpus",
            Shape::Integer(1, u64::MAX),
            "Processors the daemon may use.",
        ),
        required("memoryMiB", COUNT, "Memory of the machine, MiB."),
    ],
    ..OUTSIDE_READ
};

pub(super) const SYSTEM_TIME: Contract = Contract {
    kind: "system.time",
    about: "Tells the time of this command as it is journaled.",
    output: &[
        required("at", Shape::Text(1, 64), "History time, RFC 3339."),
        required("atMs", COUNT, "The same, milliseconds since the Unix epoch."),
        required("elapsedMs", COUNT, "Run time of the realm, milliseconds."),
    ],
    ..OUTSIDE_READ
};
