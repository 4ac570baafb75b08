//! Rate limits: a token bucket per principal. They live in the shell and never in state.

use actum_model::envelope::Caller;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Principals remembered; beyond it the table starts anew, which only forgives.
const PRINCIPALS_MAX: usize = 10_000;

/// The buckets of all principals for one kind of thing.
pub(crate) struct Rates {
    per_second: u32,
    burst: u32,
    buckets: Mutex<HashMap<(String, String), Bucket>>,
}

struct Bucket {
    /// Thousandths of a submission.
    milli: u64,
    at_ms: u64,
}

impl Rates {
    pub(crate) fn new(per_second: u32, burst: u32) -> Rates {
        Rates {
            per_second,
            burst,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one from the caller's bucket. `Some`: it is empty, with the milliseconds to wait.
    pub(crate) fn take(&self, caller: &Caller, now_ms: u64) -> Option<u64> {
        self.look(caller, now_ms, 1000)
    }

    /// The same without taking anything.
    pub(crate) fn peek(&self, caller: &Caller, now_ms: u64) -> Option<u64> {
        self.look(caller, now_ms, 0)
    }

    /// Gives one back that turned out not to be needed.
    pub(crate) fn give_back(&self, caller: &Caller) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let who = (caller.tenant.to_string(), caller.principal.to_string());
        if let Some(bucket) = buckets.get_mut(&who) {
            bucket.milli = (bucket.milli + 1000).min(u64::from(self.burst) * 1000);
        }
    }

    fn look(&self, caller: &Caller, now_ms: u64, cost_milli: u64) -> Option<u64> {
        if self.per_second == 0 {
            return None;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= PRINCIPALS_MAX {
            buckets.clear();
        }
        let full = u64::from(self.burst) * 1000;
        let who = (caller.tenant.to_string(), caller.principal.to_string());
        let bucket = buckets.entry(who).or_insert(Bucket {
            milli: full,
            at_ms: now_ms,
        });
        let passed_ms = now_ms.saturating_sub(bucket.at_ms);
        bucket.at_ms = now_ms;
        bucket.milli = bucket
            .milli
            .saturating_add(passed_ms.saturating_mul(u64::from(self.per_second)))
            .min(full);
        if bucket.milli >= 1000 {
            bucket.milli -= cost_milli;
            return None;
        }
        Some((1000 - bucket.milli).div_ceil(u64::from(self.per_second)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::ids::{Principal, Tenant};

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_others_are_not_concerned() {
        let caller = |name: &str| Caller {
            tenant: Tenant::main(),
            principal: Principal::parse(name).unwrap(),
            exec: None,
        };
        let rates = Rates::new(10, 3);
        let (a, b) = (caller("a"), caller("b"));
        assert!((0..3).all(|_| rates.take(&a, 0).is_none()));
        assert_eq!(rates.take(&a, 0), Some(100));
        assert_eq!(rates.take(&b, 0), None);
        assert_eq!(rates.take(&a, 100), None);
        assert_eq!(rates.take(&a, 150), Some(50));
        assert_eq!(rates.peek(&a, 200), None);
        assert_eq!(rates.take(&a, 200), None, "a look takes nothing");
        rates.give_back(&a);
        assert_eq!(rates.take(&a, 200), None);
    }
}
