//! Any bytes as the operations of a rewrite: read, or refused with where and why.
//! `cargo +nightly fuzz run operations`; a short run on a stable toolchain is in `crates/sim/tests/all/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    actum_sim::fuzz::operations(data);
});
