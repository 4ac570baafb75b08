//! A pipeline over threads: jobs are drawn from a source in order, worked on in any order, and consumed in
//! order on the calling thread. That thread works on jobs itself while it has nothing to consume, so that no
//! core waits whichever side is slower. With no helper threads everything happens on the calling thread, and
//! what is consumed is the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs drawn and not yet consumed, per thread: enough to even out, little enough to bound memory.
const AHEAD_PER_THREAD: u64 = 4;

struct Shared<S, O> {
    source: S,
    ready: BTreeMap<u64, O>,
    drawn: u64,
    consumed: u64,
    exhausted: bool,
    stopped: bool,
}

/// Runs the pipeline until the source has no more or `consume` breaks.
pub(crate) fn run<J, O, B>(
    helpers: usize,
    source: impl FnMut() -> Option<J> + Send,
    work: impl Fn(J) -> O + Sync,
    mut consume: impl FnMut(O) -> ControlFlow<B>,
) -> Option<B>
where
    J: Send,
    O: Send,
{
    let ahead = AHEAD_PER_THREAD * (helpers as u64 + 1);
    let shared = Mutex::new(Shared {
        source,
        ready: BTreeMap::new(),
        drawn: 0,
        consumed: 0,
        exhausted: false,
        stopped: false,
    });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for number in 0..helpers {
            let help = || help(&shared, &changed, &work, ahead);
            // A helper that cannot be started is missed in speed only.
            let _ = std::thread::Builder::new()
                .name(format!("decode-{number}"))
                .spawn_scoped(scope, help);
        }
        let stop = Stop {
            shared: &shared,
            changed: &changed,
        };
        let mut state = lock(&shared);
        let result = loop {
            let next = state.consumed;
            if let Some(output) = state.ready.remove(&next) {
                state.consumed += 1;
                drop(state);
                changed.notify_all();
                if let ControlFlow::Break(value) = consume(output) {
                    break Some(value);
                }
                state = lock(&shared);
            } else if let Some((number, job)) = draw(&mut state, ahead) {
                drop(state);
                let output = work(job);
                state = lock(&shared);
                state.ready.insert(number, output);
            } else if state.exhausted && state.consumed == state.drawn {
                drop(state);
                break None;
            } else {
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        drop(stop);
        result
    })
}

/// Ends the helpers however the calling thread leaves, even by a panic of the consumer.
struct Stop<'a, S, O> {
    shared: &'a Mutex<Shared<S, O>>,
    changed: &'a Condvar,
}

impl<S, O> Drop for Stop<'_, S, O> {
    fn drop(&mut self) {
        lock(self.shared).stopped = true;
        self.changed.notify_all();
    }
}

fn help<S, J, O>(shared: &Mutex<Shared<S, O>>, changed: &Condvar, work: &impl Fn(J) -> O, ahead: u64)
where
    S: FnMut() -> Option<J>,
{
    let mut state = lock(shared);
    while !state.stopped && !state.exhausted {
        if let Some((number, job)) = draw(&mut state, ahead) {
            drop(state);
            let output = work(job);
            state = lock(shared);
            state.ready.insert(number, output);
            changed.notify_all();
        } else if state.exhausted {
            changed.notify_all();
        } else {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn draw<S, J, O>(state: &mut Shared<S, O>, ahead: u64) -> Option<(u64, J)>
where
    S: FnMut() -> Option<J>,
{
    if state.exhausted || state.drawn - state.consumed >= ahead {
        return None;
    }
    match (state.source)() {
        Some(job) => {
            state.drawn += 1;
            Some((state.drawn - 1, job))
        }
        None => {
            state.exhausted = true;
            None
        }
    }
}

fn lock<S, O>(shared: &Mutex<Shared<S, O>>) -> MutexGuard<'_, Shared<S, O>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
