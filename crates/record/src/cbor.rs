//! The few CBOR items a record body is made of, written and read by hand in the strict dag-cbor form, so that
//! the parts of a body that nobody asked for are skipped and never decoded.
//!
//! Values of other shapes (events, inputs) are left to `serde_ipld_dagcbor`.

use crate::limits::CBOR_DEPTH_MAX;

/// CBOR major type of unsigned integers.
pub const UNSIGNED: u8 = 0;
/// CBOR major type of byte strings.
pub const BYTES: u8 = 2;
/// CBOR major type of text strings.
pub const TEXT: u8 = 3;
/// CBOR major type of arrays.
pub const ARRAY: u8 = 4;
/// CBOR major type of maps.
pub const MAP: u8 = 5;

/// What keeps bytes from being strict CBOR of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The bytes end inside an item.
    #[error("cbor ends early")]
    Eof,
    /// Another item than the expected one.
    #[error("cbor item of another kind than expected")]
    Unexpected,
    /// A number or length is not in its shortest form, or an item has no definite length.
    #[error("cbor item is not in its shortest form")]
    NotCanonical,
    /// Deeper than [`CBOR_DEPTH_MAX`].
    #[error("cbor nests too deeply")]
    TooDeep,
}

/// Appends an item head in its shortest form.
pub fn put_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let kind = major << 5;
    if value < 24 {
        out.push(kind | value as u8);
    } else if let Ok(small) = u8::try_from(value) {
        out.extend_from_slice(&[kind | 24, small]);
    } else if let Ok(small) = u16::try_from(value) {
        out.push(kind | 25);
        out.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(small) = u32::try_from(value) {
        out.push(kind | 26);
        out.extend_from_slice(&small.to_be_bytes());
    } else {
        out.push(kind | 27);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a text string.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A cursor over CBOR bytes. Total: any bytes give an item or an error.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CborError::Eof)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CborError::Eof)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next item's major type and argument.
    ///
    /// # Errors
    /// At the end, and on lengths that are indefinite or not in shortest form.
    pub fn head(&mut self) -> Result<(u8, u64), CborError> {
        let [first] = self.take_array::<1>()?;
        let (value, least) = match first & 0x1f {
            small @ 0..=23 => (u64::from(small), 0),
            24 => (u64::from(u8::from_be_bytes(self.take_array()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.take_array()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.take_array()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.take_array()?), 1 << 32),
            _ => return Err(CborError::NotCanonical),
        };
        // Major type 7 holds simple values and floats, whose argument is not a number to be shortened.
        if first >> 5 != 7 && value < least {
            return Err(CborError::NotCanonical);
        }
        Ok((first >> 5, value))
    }

    fn expect(&mut self, major: u8) -> Result<u64, CborError> {
        match self.head()? {
            (found, value) if found == major => Ok(value),
            _ => Err(CborError::Unexpected),
        }
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// When the next item is anything else.
    pub fn unsigned(&mut self) -> Result<u64, CborError> {
        self.expect(UNSIGNED)
    }

    /// A byte string, borrowed.
    ///
    /// # Errors
    /// When the next item is anything else, or ends early.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let len = usize::try_from(self.expect(BYTES)?).map_err(|_| CborError::Eof)?;
        self.take(len)
    }

    /// A map of exactly `members`.
    ///
    /// # Errors
    /// When the next item is anything else.
    pub fn map(&mut self, members: u64) -> Result<(), CborError> {
        if self.expect(MAP)? == members {
            Ok(())
        } else {
            Err(CborError::Unexpected)
        }
    }

    /// The text string `name`, which the layout prescribes here.
    ///
    /// # Errors
    /// When the next item is anything else.
    pub fn key(&mut self, name: &str) -> Result<(), CborError> {
        let len = usize::try_from(self.expect(TEXT)?).map_err(|_| CborError::Eof)?;
        if self.take(len)? == name.as_bytes() {
            Ok(())
        } else {
            Err(CborError::Unexpected)
        }
    }

    /// Goes past one item of any kind without decoding it, and returns its bytes.
    ///
    /// # Errors
    /// When the item ends early, is not in shortest form, or nests deeper than [`CBOR_DEPTH_MAX`].
    pub fn skip(&mut self) -> Result<&'a [u8], CborError> {
        let before = self.rest;
        // One count of items still to come per open container, so that deep input costs no call stack.
        let mut open: Vec<u64> = vec![1];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let (major, value) = self.head()?;
            let inner = match major {
                BYTES | TEXT => {
                    self.take(usize::try_from(value).map_err(|_| CborError::Eof)?)?;
                    continue;
                }
                ARRAY => value,
                MAP => value.checked_mul(2).ok_or(CborError::Eof)?,
                6 => 1,
                _ => continue,
            };
            if open.len() >= CBOR_DEPTH_MAX {
                return Err(CborError::TooDeep);
            }
            open.push(inner);
        }
        let len = before.len() - self.rest.len();
        before.get(..len).ok_or(CborError::Eof)
    }
}
