//! The process door from outside: real programs, real trees, real signals. Nothing here waits by the clock.

mod ends;
mod output;
mod start;
mod support;
mod tree;
