//! The bounds of this door, with their reasons. Bounds of commands are the contracts' own.

/// How long a call waits for its command unless it says otherwise, milliseconds: below the 60 s after which clients
/// of the usual kits give up.
pub const WAIT_MS_DEFAULT: u64 = 45_000;
/// How long the daemon may take to be reached and to answer what needs no waiting, milliseconds.
pub(crate) const ANSWER_MS_MAX: u64 = 10_000;
/// After this a command that nothing was heard of is asked about, milliseconds: one that was sent before makes no event
/// when it comes again.
pub(crate) const UNHEARD_MS_MAX: u64 = 250;
/// How long commands that nobody waits for any more may take to be cancelled when the server ends, milliseconds. Hosts
/// kill what does not end within a few seconds.
pub(crate) const LEAVE_MS_MAX: u64 = 1_500;
/// Live messages of one command on their way to its call. More are dropped: they are provisional.
pub(crate) const LIVE_QUEUED_MAX: usize = 256;
/// Smallest time between two progress notifications of one call, milliseconds.
pub(crate) const PROGRESS_MS_MIN: u64 = 100;
/// Largest message of a progress notification, bytes.
pub(crate) const PROGRESS_TEXT_BYTES_MAX: usize = 512;
/// Largest text of a result, bytes. The structured content has the whole.
pub(crate) const TEXT_BYTES_MAX: usize = 96 * 1024;
/// How much of a file a call reads unless it says otherwise, bytes: what a model can take in.
pub(crate) const FILE_READ_BYTES_DEFAULT: u64 = 64 * 1024;
/// How much of an answer a call fetches unless it says otherwise, bytes: likewise.
pub(crate) const HTTP_BYTES_DEFAULT: u64 = 64 * 1024;
/// Rows of history unless a call says otherwise: likewise.
pub(crate) const HISTORY_ROWS_DEFAULT: u64 = 20;
/// Largest name of a client in the session it opened, characters.
pub(crate) const CLIENT_CHARS_MAX: usize = 120;
/// Largest idempotency key, bytes; as for commands.
pub(crate) const KEY_BYTES_MAX: usize = 256;
/// Largest message of an error in the text of a result, bytes: an exception may have a whole book in it.
pub(crate) const ERROR_TEXT_BYTES_MAX: usize = 4096;
/// Pictures a result shows as such; a model looks at few.
pub(crate) const IMAGES_MAX: usize = 4;
