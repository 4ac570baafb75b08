//! The pool, over a scripted source and paused time.

use actum_worker::pool::{BreakerState, FAILURES_MAX, Item, OPEN_MAX, Pool, PoolError, PoolOptions, Source};
use actum_worker::process::Boxed;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, advance, sleep_until};

#[derive(Default)]
struct Script {
    fails: AtomicBool,
    panics: AtomicBool,
    hangs: AtomicBool,
    starts: AtomicU64,
    alive: Mutex<Vec<u64>>,
    rss: AtomicU64,
}

struct Scripted(Arc<Script>);

struct Fake {
    number: u64,
    dead: Arc<AtomicBool>,
    script: Arc<Script>,
}

impl Item for Fake {
    fn rss_bytes(&self) -> u64 {
        self.script.rss.load(Ordering::SeqCst)
    }

    fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.script
            .alive
            .lock()
            .unwrap()
            .retain(|number| *number != self.number);
    }
}

impl Source for Scripted {
    type Key = &'static str;
    type Item = Fake;

    fn start(&self, _key: &&'static str) -> Boxed<Result<Fake, String>> {
        let script = Arc::clone(&self.0);
        Box::pin(async move {
            let number = script.starts.fetch_add(1, Ordering::SeqCst);
            sleep_until(Instant::now() + Duration::from_millis(10)).await;
            assert!(!script.panics.load(Ordering::SeqCst), "scripted");
            if script.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if script.fails.load(Ordering::SeqCst) {
                return Err("scripted".to_owned());
            }
            script.alive.lock().unwrap().push(number);
            Ok(Fake {
                number,
                dead: Arc::default(),
                script: Arc::clone(&script),
            })
        })
    }
}

fn pool(options: PoolOptions) -> (Pool<Scripted>, Arc<Script>) {
    let script = Arc::<Script>::default();
    (
        Pool::new(Scripted(Arc::clone(&script)), options, || u64::MAX),
        script,
    )
}

/// Lets everything happen that happens within `time`.
async fn pass(time: Duration) {
    let steps = 50;
    for _ in 0..steps {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        advance(time / steps).await;
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

const SOON: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn warm_sessions_are_hits_and_are_replaced() {
    let (pool, script) = pool(PoolOptions {
        min_idle: 2,
        ..PoolOptions::default()
    });
    pool.warm(&"python");
    pass(SOON).await;
    assert_eq!(pool.metrics().idle, 2);
    let asked = Instant::now();
    let lease = pool.acquire(&"python").await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    pass(SOON).await;
    let metrics = pool.metrics();
    assert_eq!(
        (metrics.hits, metrics.misses, metrics.idle, metrics.leased),
        (1, 0, 2, 1)
    );
    assert_eq!(metrics.warm_up_efficiency(), Some(1.0 / 3.0));
    drop(lease);
    assert_eq!(pool.metrics().leased, 0);
    assert_eq!(
        script.alive.lock().unwrap().len(),
        2,
        "a dropped lease ends its session"
    );
}

#[tokio::test(start_paused = true)]
async fn a_miss_starts_one_and_says_how_long_it_took() {
    let (pool, _script) = pool(PoolOptions {
        min_idle: 0,
        ..PoolOptions::default()
    });
    let lease = pool.acquire(&"python").await.unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.hits, metrics.misses), (0, 1));
    assert_eq!(
        metrics.acquire_micros[14], 1,
        "10 ms lie below 2^14 µs: {:?}",
        metrics.acquire_micros
    );
    lease.give_back(1);
    assert_eq!(pool.metrics().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn the_maximum_holds_and_who_waits_gets_what_is_returned() {
    let (pool, script) = pool(PoolOptions {
        min_idle: 0,
        max: 2,
        ..PoolOptions::default()
    });
    let first = pool.acquire(&"a").await.unwrap();
    let _second = pool.acquire(&"a").await.unwrap();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire(&"a").await.map(|lease| lease.number) }
    });
    pass(SOON).await;
    assert!(!waiting.is_finished());
    let number = first.number;
    first.give_back(1);
    assert_eq!(waiting.await.unwrap().unwrap(), number);
    assert_eq!(script.starts.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn another_key_makes_room_among_the_idle() {
    let (pool, _script) = pool(PoolOptions {
        min_idle: 0,
        max: 1,
        ..PoolOptions::default()
    });
    pool.acquire(&"a").await.unwrap().give_back(1);
    let lease = pool.acquire(&"b").await.unwrap();
    assert_eq!((pool.metrics().idle, pool.metrics().leased), (0, 1));
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_too_long_goes_down_to_the_minimum_and_then_nothing_runs() {
    let options = PoolOptions {
        min_idle: 1,
        idle_timeout: Duration::from_secs(1),
        ..PoolOptions::default()
    };
    let (pool, script) = pool(options);
    let leases = [
        pool.acquire(&"a").await.unwrap(),
        pool.acquire(&"a").await.unwrap(),
        pool.acquire(&"a").await.unwrap(),
    ];
    for lease in leases {
        lease.give_back(1);
    }
    assert!(pool.metrics().idle >= 3);
    pass(Duration::from_secs(3)).await;
    assert_eq!(pool.metrics().idle, 1);
    assert!(pool.metrics().evicted_idle >= 2);
    let starts = script.starts.load(Ordering::SeqCst);
    pass(Duration::from_secs(600)).await;
    assert_eq!(script.starts.load(Ordering::SeqCst), starts);
}

#[tokio::test(start_paused = true)]
async fn worn_and_dead_sessions_are_not_given_out_again() {
    let (pool, _script) = pool(PoolOptions {
        min_idle: 0,
        recycle_after: 10,
        ..PoolOptions::default()
    });
    let lease = pool.acquire(&"a").await.unwrap();
    let first = lease.number;
    lease.give_back(6);
    let lease = pool.acquire(&"a").await.unwrap();
    assert_eq!(lease.number, first);
    lease.give_back(4);
    assert_eq!((pool.metrics().recycled, pool.metrics().idle), (1, 0));
    let lease = pool.acquire(&"a").await.unwrap();
    let dead = Arc::clone(&lease.dead);
    let number = lease.number;
    lease.give_back(1);
    dead.store(true, Ordering::SeqCst);
    assert_ne!(pool.acquire(&"a").await.unwrap().number, number);
    assert_eq!(pool.metrics().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn idle_sessions_stay_within_the_memory_budget_without_a_tug_of_war() {
    let options = PoolOptions {
        min_idle: 4,
        memory_budget_bytes: 100,
        ..PoolOptions::default()
    };
    let (pool, script) = pool(options);
    script.rss.store(30, Ordering::SeqCst);
    pool.warm(&"a");
    pass(SOON).await;
    pass(SOON).await;
    assert_eq!(pool.metrics().idle, 3);
    let starts = script.starts.load(Ordering::SeqCst);
    assert!(starts <= 4, "{starts}");
    script.rss.store(60, Ordering::SeqCst);
    pool.memory_changed();
    assert_eq!(pool.metrics().idle, 1);
    pass(Duration::from_secs(100)).await;
    assert_eq!(
        script.starts.load(Ordering::SeqCst),
        starts,
        "nothing is warmed only to be let go of"
    );
}

#[tokio::test(start_paused = true)]
async fn failing_starts_open_the_breaker_which_always_closes_again() {
    let (pool, script) = pool(PoolOptions {
        min_idle: 0,
        ..PoolOptions::default()
    });
    script.fails.store(true, Ordering::SeqCst);
    for _ in 0..FAILURES_MAX {
        assert_eq!(
            pool.acquire(&"a").await.unwrap_err(),
            PoolError::Start("scripted".to_owned())
        );
    }
    assert_eq!(pool.metrics().breaker, BreakerState::Open);
    let Err(PoolError::Open { retry_after }) = pool.acquire(&"a").await else {
        panic!("expected to be refused")
    };
    assert_eq!(script.starts.load(Ordering::SeqCst), u64::from(FAILURES_MAX));
    advance(retry_after).await;
    assert!(
        matches!(pool.acquire(&"a").await, Err(PoolError::Start(_))),
        "the probe"
    );
    advance(OPEN_MAX).await;
    script.fails.store(false, Ordering::SeqCst);
    assert!(pool.acquire(&"a").await.is_ok());
    assert_eq!(pool.metrics().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn warming_backs_off_while_starts_fail_and_recovers_by_itself() {
    let (pool, script) = pool(PoolOptions {
        min_idle: 2,
        ..PoolOptions::default()
    });
    script.fails.store(true, Ordering::SeqCst);
    pool.warm(&"a");
    pass(Duration::from_secs(120)).await;
    let starts = script.starts.load(Ordering::SeqCst);
    assert!((6..=40).contains(&starts), "{starts} starts in two minutes");
    script.fails.store(false, Ordering::SeqCst);
    pass(OPEN_MAX * 2).await;
    assert_eq!(
        (pool.metrics().idle, pool.metrics().breaker),
        (2, BreakerState::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn starts_that_panic_or_hang_are_starts_that_failed() {
    let options = PoolOptions {
        min_idle: 0,
        start_timeout: Duration::from_secs(1),
        ..PoolOptions::default()
    };
    let (pool, script) = pool(options);
    script.panics.store(true, Ordering::SeqCst);
    assert_eq!(
        pool.acquire(&"a").await.unwrap_err(),
        PoolError::Start("the start panicked".to_owned())
    );
    script.panics.store(false, Ordering::SeqCst);
    script.hangs.store(true, Ordering::SeqCst);
    assert!(matches!(pool.acquire(&"a").await, Err(PoolError::Start(why)) if why.contains("1000 ms")));
    assert_eq!((pool.metrics().starting, pool.metrics().leased), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_a_warm_session_and_no_count_behind() {
    let (pool, _script) = pool(PoolOptions {
        min_idle: 0,
        ..PoolOptions::default()
    });
    let gave_up = tokio::time::timeout(Duration::from_millis(5), pool.acquire(&"a")).await;
    assert!(gave_up.is_err());
    pass(SOON).await;
    assert_eq!(
        (
            pool.metrics().idle,
            pool.metrics().leased,
            pool.metrics().starting
        ),
        (1, 0, 0)
    );
    pool.close();
    assert_eq!(pool.metrics().idle, 0);
    assert_eq!(pool.acquire(&"a").await.unwrap_err(), PoolError::Closed);
}
