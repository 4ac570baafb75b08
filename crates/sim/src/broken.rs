//! What a run reports when something that must hold does not.

use std::fmt;

/// A broken promise, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Ends with [`Broken`] unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($say:tt)+) => {
        if !$condition {
            return Err($crate::broken::Broken(format!($($say)+)));
        }
    };
}

pub(crate) use hold;
