//! Bits of keys, counted from the most significant bit of the first byte.

/// Bit `at` of a key; beyond its end, false.
pub(super) fn bit<const N: usize>(key: &[u8; N], at: u16) -> bool {
    key.get(usize::from(at / 8))
        .is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
}

/// The first bit in which two keys differ.
pub(super) fn first_difference<const N: usize>(a: &[u8; N], b: &[u8; N]) -> Option<u16> {
    let (at, (x, y)) = a.iter().zip(b).enumerate().find(|(_, (x, y))| x != y)?;
    u16::try_from(at * 8 + (x ^ y).leading_zeros() as usize).ok()
}
