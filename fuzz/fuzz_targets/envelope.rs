//! Any bytes as an envelope: read, or refused with a code.
//! `cargo +nightly fuzz run envelope`; a short run on a stable toolchain is in `crates/sim/tests/all/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    actum_sim::fuzz::envelope(data);
});
