//! Any bytes as frames and record bodies. The first four bytes choose the checksum they start from.
//! `cargo +nightly fuzz run frames`; a short run on a stable toolchain is in `crates/sim/tests/all/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((seed, bytes)) = data.split_first_chunk::<4>() else { return };
    actum_sim::fuzz::frames(bytes, u32::from_le_bytes(*seed));
});
