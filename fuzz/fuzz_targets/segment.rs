//! Any bytes as the one segment of a journal: it opens or is refused, and never changes what it refuses.
//! `cargo +nightly fuzz run segment`; a short run on a stable toolchain is in `crates/sim/tests/all/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    actum_sim::fuzz::segment(data);
});
