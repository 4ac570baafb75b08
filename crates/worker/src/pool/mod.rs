//! A pool of warm sessions: some are started ahead of need, and who asks gets one at once.
//!
//! It moves on events alone: a request, a return, a start that ended, a deadline. While nothing happens nothing runs.
//! What a session is, is for the [`Source`] to say.

mod breaker;
mod metrics;

pub use breaker::{FAILURES_MAX, OPEN_FIRST, OPEN_MAX, State as BreakerState};
pub use metrics::{BUCKETS, Metrics};

use crate::process::Boxed;
use breaker::Breaker;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// Where sessions come from.
pub trait Source: Send + Sync + 'static {
    /// What tells sessions apart that cannot stand in for each other: kind, profile, warm imports.
    type Key: Clone + Ord + Send + Sync + 'static;
    /// A session.
    type Item: Item;

    /// Starts one.
    fn start(&self, key: &Self::Key) -> Boxed<Result<Self::Item, String>>;
}

/// A session in the pool. Dropping it ends it.
pub trait Item: Send + 'static {
    /// Its resident memory, in bytes, as far as it is known.
    fn rss_bytes(&self) -> u64;
    /// Whether it can still be used.
    fn is_alive(&self) -> bool;
}

/// A session with its events, as a pool keeps it.
#[derive(Debug)]
pub struct Warm {
    /// The handle.
    pub session: crate::session::Session,
    /// What it tells.
    pub events: crate::session::Events,
}

impl Item for Warm {
    fn rss_bytes(&self) -> u64 {
        self.session.rss_bytes()
    }

    fn is_alive(&self) -> bool {
        self.session.is_alive()
    }
}

/// Settings of a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Sessions kept warm for each key that was asked for or warmed.
    pub min_idle: usize,
    /// Sessions in all: idle, starting and in use.
    pub max: usize,
    /// How long one beyond `min_idle` is kept.
    pub idle_timeout: Duration,
    /// Executions after which a session is not taken back.
    pub recycle_after: u64,
    /// Resident memory of all idle sessions, in bytes.
    pub memory_budget_bytes: u64,
    /// How long a start may take.
    pub start_timeout: Duration,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            min_idle: 2,
            max: 64,
            idle_timeout: Duration::from_secs(60),
            recycle_after: 1000,
            memory_budget_bytes: 512 * 1024 * 1024,
            start_timeout: Duration::from_secs(15),
        }
    }
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Starts keep failing; none is tried until the time has passed.
    #[error("sessions cannot be started at the moment; the next try is in {} ms", .retry_after.as_millis())]
    Open {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The start failed.
    #[error("cannot start a session: {0}")]
    Start(String),
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
}

/// See the module. Clones are the same pool.
pub struct Pool<S: Source> {
    inner: Arc<Inner<S>>,
}

impl<S: Source> Clone for Pool<S> {
    fn clone(&self) -> Self {
        Pool {
            inner: Arc::clone(&self.inner),
        }
    }
}

struct Inner<S: Source> {
    source: S,
    options: PoolOptions,
    random: Box<dyn Fn() -> u64 + Send + Sync>,
    state: Mutex<State<S>>,
    changed: Notify,
}

struct State<S: Source> {
    idle: BTreeMap<S::Key, VecDeque<Idle<S::Item>>>,
    starting: BTreeMap<S::Key, usize>,
    leased: usize,
    serial: u64,
    closed: bool,
    retry_planned: bool,
    breaker: Breaker,
    metrics: Metrics,
}

struct Idle<I> {
    item: I,
    serial: u64,
    executions: u64,
    warmed: bool,
    timer: AbortHandle,
}

/// Where a started session goes.
type Waiter<S> = oneshot::Sender<Result<Lease<S>, PoolError>>;

impl<S: Source> Pool<S> {
    /// An empty pool. `random` gives any number at each call; it spreads the probes of the breaker.
    #[must_use]
    pub fn new(source: S, options: PoolOptions, random: impl Fn() -> u64 + Send + Sync + 'static) -> Pool<S> {
        let state = State {
            idle: BTreeMap::new(),
            starting: BTreeMap::new(),
            leased: 0,
            serial: 0,
            closed: false,
            retry_planned: false,
            breaker: Breaker::new(),
            metrics: Metrics::new(),
        };
        let inner = Inner {
            source,
            options,
            random: Box::new(random),
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        Pool {
            inner: Arc::new(inner),
        }
    }

    /// Starts sessions of this key until `min_idle` are warm, and keeps as many from now on.
    pub fn warm(&self, key: &S::Key) {
        let mut state = self.inner.lock();
        state.idle.entry(key.clone()).or_default();
        Inner::refill(&self.inner, &mut state);
    }

    /// A session: a warm one at once, else one that is started for this. Waits while `max` are in use. Safe to
    /// cancel: a session that was started for nobody is kept warm.
    ///
    /// # Errors
    /// The start failed, or the breaker lets none through.
    pub async fn acquire(&self, key: &S::Key) -> Result<Lease<S>, PoolError> {
        let asked = Instant::now();
        loop {
            // Listened to before looking, so that a change in between is not missed.
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match Inner::look(&self.inner, key, asked)? {
                Look::Have(lease) => return Ok(lease),
                Look::Full => changed.await,
                Look::Starting(answer) => {
                    let mut lease = answer.await.map_err(|_| PoolError::Closed)??;
                    lease.seen = true;
                    let mut state = self.inner.lock();
                    state.metrics.misses += 1;
                    state.metrics.acquired(asked.elapsed());
                    return Ok(lease);
                }
            }
        }
    }

    /// Says that memory has changed: idle sessions are let go until they are within the budget.
    pub fn memory_changed(&self) {
        let mut state = self.inner.lock();
        let gone = self.inner.within_budget(&mut state);
        drop(state);
        drop(gone);
    }

    /// What it counted, and how it stands.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let state = self.inner.lock();
        let mut metrics = state.metrics.clone();
        metrics.idle = state.idle.values().map(VecDeque::len).sum();
        metrics.starting = state.starting.values().sum();
        metrics.leased = state.leased;
        metrics.breaker = state.breaker.state();
        metrics
    }

    /// Lets go of everything idle and starts nothing more. Sessions in use stay with who has them.
    pub fn close(&self) {
        let mut state = self.inner.lock();
        state.closed = true;
        let gone = std::mem::take(&mut state.idle);
        drop(state);
        drop(gone);
        self.inner.changed.notify_waiters();
    }
}

enum Look<S: Source> {
    Have(Lease<S>),
    Full,
    Starting(oneshot::Receiver<Result<Lease<S>, PoolError>>),
}

impl<S: Source> Inner<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(pool: &Arc<Inner<S>>, key: &S::Key, asked: Instant) -> Result<Look<S>, PoolError> {
        let mut state = pool.lock();
        if state.closed {
            return Err(PoolError::Closed);
        }
        while let Some(idle) = state.idle.entry(key.clone()).or_default().pop_back() {
            if !idle.item.is_alive() {
                idle.timer.abort();
                state.metrics.dead += 1;
                continue;
            }
            state.metrics.warmed_used += u64::from(idle.warmed);
            state.metrics.hits += 1;
            state.metrics.acquired(asked.elapsed());
            state.leased += 1;
            let executions = idle.executions;
            idle.timer.abort();
            let item = idle.item;
            Inner::refill(pool, &mut state);
            let pool = Pool {
                inner: Arc::clone(pool),
            };
            return Ok(Look::Have(Lease {
                pool,
                key: key.clone(),
                item: Some(item),
                executions,
                seen: true,
            }));
        }
        if state.total() >= pool.options.max && !state.make_room(key) {
            return Ok(Look::Full);
        }
        let now = Instant::now();
        if let Err(until) = state.breaker.admit(now) {
            state.metrics.refused += 1;
            return Err(PoolError::Open {
                retry_after: until - now,
            });
        }
        let (waiter, answer) = oneshot::channel();
        Inner::start(pool, &mut state, key, Some(waiter));
        Inner::refill(pool, &mut state);
        Ok(Look::Starting(answer))
    }

    /// Starts a session that the breaker has let through.
    fn start(pool: &Arc<Inner<S>>, state: &mut State<S>, key: &S::Key, waiter: Option<Waiter<S>>) {
        *state.starting.entry(key.clone()).or_default() += 1;
        let pool = Arc::clone(pool);
        let key = key.clone();
        tokio::spawn(async move {
            // A task of its own, so that a start that panics is a start that failed.
            let begun = pool.source.start(&key);
            let limit = pool.options.start_timeout;
            let made = match tokio::spawn(timeout(limit, begun)).await {
                Ok(Ok(made)) => made,
                Ok(Err(_)) => Err(format!("it took longer than {} ms", limit.as_millis())),
                Err(_) => Err("the start panicked".to_owned()),
            };
            Inner::started(&pool, key, made, waiter);
        });
    }

    fn started(pool: &Arc<Inner<S>>, key: S::Key, made: Result<S::Item, String>, waiter: Option<Waiter<S>>) {
        let mut state = pool.lock();
        if let Some(count) = state.starting.get_mut(&key) {
            *count = count.saturating_sub(1);
        }
        let mut spare = Vec::new();
        match made {
            Ok(item) => {
                state.breaker.succeeded();
                state.metrics.warmed += u64::from(waiter.is_none());
                spare = Inner::deliver(pool, &mut state, key, item, waiter);
            }
            Err(error) => {
                state.breaker.failed(Instant::now(), (pool.random)());
                state.metrics.failures += 1;
                if let Some(waiter) = waiter {
                    let _ = waiter.send(Err(PoolError::Start(error)));
                }
            }
        }
        Inner::refill(pool, &mut state);
        drop(state);
        drop(spare);
        pool.changed.notify_waiters();
    }

    /// Hands a new session to who waits for it, or keeps it. What is left over is to be dropped without the lock.
    fn deliver(
        pool: &Arc<Inner<S>>,
        state: &mut State<S>,
        key: S::Key,
        item: S::Item,
        waiter: Option<Waiter<S>>,
    ) -> Vec<Idle<S::Item>> {
        let Some(waiter) = waiter else {
            return Inner::keep(pool, state, &key, item, 0, true);
        };
        state.leased += 1;
        let owner = Pool {
            inner: Arc::clone(pool),
        };
        let lease = Lease {
            pool: owner,
            key,
            item: Some(item),
            executions: 0,
            seen: false,
        };
        match waiter.send(Ok(lease)) {
            Err(Ok(mut lease)) => {
                state.leased = state.leased.saturating_sub(1);
                match lease.item.take() {
                    Some(item) => Inner::keep(pool, state, &lease.key, item, 0, false),
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// Makes a session idle, and gives back those that must go for it.
    fn keep(
        pool: &Arc<Inner<S>>,
        state: &mut State<S>,
        key: &S::Key,
        item: S::Item,
        executions: u64,
        warmed: bool,
    ) -> Vec<Idle<S::Item>> {
        state.serial += 1;
        let serial = state.serial;
        let until = Instant::now() + pool.options.idle_timeout;
        let waker = Arc::downgrade(pool);
        let of = key.clone();
        let timer = tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(pool) = waker.upgrade() {
                pool.expire(&of, serial);
            }
        });
        let idle = Idle {
            item,
            serial,
            executions,
            warmed,
            timer: timer.abort_handle(),
        };
        if state.closed {
            return vec![idle];
        }
        state.idle.entry(key.clone()).or_default().push_back(idle);
        pool.within_budget(state)
    }

    /// Lets go of what is idle for too long, down to the minimum.
    fn expire(&self, key: &S::Key, serial: u64) {
        let mut state = self.lock();
        let Some(idle) = state.idle.get_mut(key) else {
            return;
        };
        // The one whose time is up may stay as one of the minimum; then the oldest is at least as old.
        if idle.len() <= self.options.min_idle || !idle.iter().any(|one| one.serial == serial) {
            return;
        }
        let place = idle.iter().position(|one| one.serial == serial).unwrap_or(0);
        let gone = idle.remove(place);
        state.metrics.evicted_idle += 1;
        drop(state);
        drop(gone);
        self.changed.notify_waiters();
    }

    /// Takes the largest idle sessions out until the rest is within the budget.
    fn within_budget(&self, state: &mut State<S>) -> Vec<Idle<S::Item>> {
        let mut gone = Vec::new();
        while state.idle_bytes() > self.options.memory_budget_bytes {
            let largest = state
                .idle
                .iter()
                .flat_map(|(key, idle)| {
                    idle.iter()
                        .map(move |one| (one.item.rss_bytes(), one.serial, key))
                })
                .max_by_key(|(bytes, serial, _)| (*bytes, *serial))
                .map(|(_, serial, key)| (serial, key.clone()));
            let Some((serial, key)) = largest else { break };
            let Some(idle) = state.idle.get_mut(&key) else {
                break;
            };
            let place = idle.iter().position(|one| one.serial == serial).unwrap_or(0);
            gone.extend(idle.remove(place));
            state.metrics.evicted_memory += 1;
        }
        for one in &gone {
            one.timer.abort();
        }
        gone
    }

    /// Starts what is missing of the minimum, as far as room, memory and the breaker allow.
    fn refill(pool: &Arc<Inner<S>>, state: &mut State<S>) {
        if state.closed {
            return;
        }
        let keys: Vec<S::Key> = state.idle.keys().cloned().collect();
        for key in keys {
            loop {
                let idle = state.idle.get(&key).map_or(0, VecDeque::len);
                let starting = state.starting.get(&key).copied().unwrap_or(0);
                if idle + starting >= pool.options.min_idle
                    || state.total() >= pool.options.max
                    || !state.has_room_for_one_more(pool.options.memory_budget_bytes)
                {
                    break;
                }
                match state.breaker.admit(Instant::now()) {
                    Ok(()) => Inner::start(pool, state, &key, None),
                    Err(until) => {
                        Inner::retry_at(pool, state, until);
                        return;
                    }
                }
            }
        }
    }

    /// Fills up again when the breaker may let something through.
    fn retry_at(pool: &Arc<Inner<S>>, state: &mut State<S>, until: Instant) {
        if std::mem::replace(&mut state.retry_planned, true) {
            return;
        }
        let pool = Arc::downgrade(pool);
        tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(pool) = pool.upgrade() {
                let mut state = pool.lock();
                state.retry_planned = false;
                Inner::refill(&pool, &mut state);
            }
        });
    }
}

impl<S: Source> State<S> {
    fn total(&self) -> usize {
        let idle: usize = self.idle.values().map(VecDeque::len).sum();
        idle + self.starting.values().sum::<usize>() + self.leased
    }

    fn idle_bytes(&self) -> u64 {
        self.idle.values().flatten().map(|one| one.item.rss_bytes()).sum()
    }

    /// Whether one more of average size would still be within the budget, so that warming and evicting do not take
    /// turns.
    fn has_room_for_one_more(&self, budget: u64) -> bool {
        let count = self.idle.values().map(VecDeque::len).sum::<usize>() as u64;
        let bytes = self.idle_bytes();
        bytes + bytes.checked_div(count).unwrap_or(0) <= budget
    }

    /// Lets go of the oldest idle session of another key; whether there was one.
    fn make_room(&mut self, key: &S::Key) -> bool {
        let oldest = self
            .idle
            .iter()
            .filter(|(other, _)| *other != key)
            .filter_map(|(other, idle)| idle.front().map(|one| (one.serial, other.clone())))
            .min_by_key(|(serial, _)| *serial);
        let gone = oldest.and_then(|(_, other)| self.idle.get_mut(&other)?.pop_front());
        if let Some(gone) = &gone {
            gone.timer.abort();
            self.metrics.evicted_memory += 1;
        }
        gone.is_some()
    }
}

/// A session in use. Dropping it ends the session; [`Lease::give_back`] keeps it for the next.
pub struct Lease<S: Source> {
    pool: Pool<S>,
    key: S::Key,
    item: Option<S::Item>,
    executions: u64,
    seen: bool,
}

impl<S: Source> Lease<S> {
    /// Gives the session back as clean, after so many executions. It is let go of if it is worn or dead.
    pub fn give_back(mut self, executions: u64) {
        self.executions = self.executions.saturating_add(executions);
        self.seen = false;
    }

    /// Takes the session out of the pool's care, for good; it counts no more.
    #[must_use]
    pub fn keep(mut self) -> Option<S::Item> {
        self.item.take()
    }
}

impl<S: Source> Drop for Lease<S> {
    fn drop(&mut self) {
        let inner = &self.pool.inner;
        let Some(item) = self.item.take() else {
            if self.seen {
                let mut state = inner.lock();
                state.leased = state.leased.saturating_sub(1);
                Inner::refill(inner, &mut state);
                drop(state);
                inner.changed.notify_waiters();
            }
            return;
        };
        let mut state = inner.lock();
        state.leased = state.leased.saturating_sub(1);
        let mut ended = None;
        let mut gone = Vec::new();
        if self.seen {
            ended = Some(item);
        } else if !item.is_alive() {
            state.metrics.dead += 1;
            ended = Some(item);
        } else if self.executions >= inner.options.recycle_after {
            state.metrics.recycled += 1;
            ended = Some(item);
        } else {
            gone = Inner::keep(inner, &mut state, &self.key, item, self.executions, false);
        }
        Inner::refill(inner, &mut state);
        drop(state);
        drop((ended, gone));
        inner.changed.notify_waiters();
    }
}

impl<S: Source> Deref for Lease<S> {
    type Target = S::Item;

    #[expect(
        clippy::expect_used,
        reason = "INVARIANT: the item is taken only where the lease is consumed"
    )]
    fn deref(&self) -> &S::Item {
        self.item.as_ref().expect("a lease in use has its session")
    }
}

impl<S: Source> DerefMut for Lease<S> {
    #[expect(
        clippy::expect_used,
        reason = "INVARIANT: the item is taken only where the lease is consumed"
    )]
    fn deref_mut(&mut self) -> &mut S::Item {
        self.item.as_mut().expect("a lease in use has its session")
    }
}

impl<S: Source> fmt::Debug for Lease<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lease")
            .field("executions", &self.executions)
            .finish_non_exhaustive()
    }
}

impl<S: Source> fmt::Debug for Pool<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("metrics", &self.metrics())
            .finish()
    }
}
