//! Providers: what commands reach of the outside world besides programs. Files beneath granted folders, requests to
//! granted hosts, and the little a caller may know of the machine.
//!
//! A [`Provider`] carries out the command kinds it names, one call at a time, under [`Grants`] of the operator.
//! Nothing is granted by default. It decides nothing about commands: which may run, in what order and what a
//! settlement means is the kernel's to say. It keeps nothing between calls, journals nothing and draws no time.
//!
//! A new provider is one file that implements the trait of [`sdk`], and passes the suite in `tests/all/contract`.

pub mod file;
pub mod grants;
pub mod http;
mod registry;
pub mod sdk;
pub mod system;

pub use grants::{BadGrant, Grants};
pub use registry::Registry;
pub use sdk::{Answer, Call, Failure, Happened, Provider};
