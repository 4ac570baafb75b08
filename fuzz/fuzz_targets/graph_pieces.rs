//! Any bytes as the graph in a snapshot: no list of pieces brings a restore down.
//! `cargo +nightly fuzz run graph_pieces`; a short run on a stable toolchain is in `crates/sim/tests/all/fuzz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    actum_sim::fuzz::graph_pieces(data);
});
