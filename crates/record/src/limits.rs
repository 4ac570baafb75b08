//! The limits of the format, each with its reason. They are part of format version 1; it does not hold limits
//! that only tune speed (those are the journal's).

/// The version of the segment and snapshot layout this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// The version of the record body this code writes and reads, the `v` in each body.
pub const BODY_VERSION: u64 = 1;

/// Largest body of a frame, in bytes. A message is at most 10 MiB and bigger things are blobs, so a length
/// beyond this is damage, and a reader never allocates more than this for one frame.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Frames start at multiples of this many bytes, so that a scan after damage has few places to look at.
pub const FRAME_ALIGN_BYTES: usize = 16;

/// Bytes of a frame before its body: magic, length, `durableThrough`, CRC, reserved.
pub const FRAME_HEADER_BYTES: usize = 24;

/// Bytes of the header of a segment or snapshot file.
pub const FILE_HEADER_BYTES: usize = 96;

/// Deepest nesting of CBOR values that is read; JSON at the edge is bounded to 127, twice that is ample.
pub const CBOR_DEPTH_MAX: usize = 256;
