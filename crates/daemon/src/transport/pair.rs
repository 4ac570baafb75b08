//! Two futures in one task that wake each other without waking the task.
//!
//! To the runtime, a task that is woken while it runs is one that yields: it goes to the end of the queue, and another
//! thread is woken to take it. Where one half of a connection answers what the other half has just read, that costs
//! more than the answer. So each half has a waker of its own, and whatever was woken meanwhile is polled at once.

use futures_util::task::AtomicWaker;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Rounds until other tasks get their turn. A half that has used up its share of the runtime wakes itself without end.
const ROUNDS_MAX: usize = 8;

/// Which of the two came to its end, and with what.
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Runs both until one of them ends. The first is polled before the second.
pub(crate) async fn until_one_ends<A: Future + Unpin, B: Future + Unpin>(
    first: &mut A,
    second: &mut B,
) -> Either<A::Output, B::Output> {
    let task = Arc::new(Task::default());
    let (first_bell, second_bell) = (Bell::new(&task), Bell::new(&task));
    let (first_waker, second_waker) = (Waker::from(first_bell.clone()), Waker::from(second_bell.clone()));
    poll_fn(move |cx| {
        task.waker.register(cx.waker());
        for _ in 0..ROUNDS_MAX {
            task.is_polled.store(true, Ordering::SeqCst);
            if first_bell.rung.swap(false, Ordering::SeqCst)
                && let Poll::Ready(end) = Pin::new(&mut *first).poll(&mut Context::from_waker(&first_waker))
            {
                return Poll::Ready(Either::First(end));
            }
            if second_bell.rung.swap(false, Ordering::SeqCst)
                && let Poll::Ready(end) = Pin::new(&mut *second).poll(&mut Context::from_waker(&second_waker))
            {
                return Poll::Ready(Either::Second(end));
            }
            // Whoever rings from here on wakes the task; who rang before is seen now.
            task.is_polled.store(false, Ordering::SeqCst);
            if !first_bell.rung.load(Ordering::SeqCst) && !second_bell.rung.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// The task that both are in.
#[derive(Default)]
struct Task {
    waker: AtomicWaker,
    is_polled: AtomicBool,
}

/// The waker of one of the two.
struct Bell {
    task: Arc<Task>,
    rung: AtomicBool,
}

impl Bell {
    fn new(task: &Arc<Task>) -> Arc<Bell> {
        Arc::new(Bell {
            task: Arc::clone(task),
            rung: AtomicBool::new(true),
        })
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if !self.task.is_polled.load(Ordering::SeqCst) {
            self.task.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::mpsc;

    /// Counts how often the task itself is woken.
    #[derive(Default)]
    struct Outer(AtomicUsize);

    impl Wake for Outer {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_one_asks_the_other_answers_in_the_same_poll_without_a_wake() {
        let (ask, mut asked) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut second = pin!(async move {
            for number in 0..3 {
                ask.send(number).unwrap();
                assert_eq!(told.recv().await, Some(number * 2));
            }
        });
        let mut first = pin!(async move {
            while let Some(number) = asked.recv().await {
                tell.send(number * 2).unwrap();
            }
            std::future::pending::<()>().await;
        });
        let outer = Arc::new(Outer::default());
        let waker = Waker::from(Arc::clone(&outer));
        let mut both = pin!(until_one_ends(&mut first, &mut second));
        let end = both.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(matches!(end, Poll::Ready(Either::Second(()))));
        assert_eq!(outer.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn one_that_wakes_itself_without_end_lets_others_have_their_turn() {
        let mut restless = pin!(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let mut idle = std::future::pending::<()>();
        let outer = Arc::new(Outer::default());
        let waker = Waker::from(Arc::clone(&outer));
        let mut both = pin!(until_one_ends(&mut restless, &mut idle));
        for turn in 1..4 {
            assert!(both.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(outer.0.load(Ordering::SeqCst), turn);
        }
    }

    /// Wakes from other threads at any moment: none may be lost.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_from_another_thread_is_lost() {
        for _ in 0..200 {
            let (send, mut receive) = mpsc::unbounded_channel();
            let (back, mut returned) = mpsc::unbounded_channel();
            let echo = tokio::spawn(async move {
                while let Some(number) = receive.recv().await {
                    let _gone = back.send(number);
                }
            });
            let (ask, mut asked) = mpsc::unbounded_channel();
            let mut first = pin!(async move {
                while let Some(number) = asked.recv().await {
                    send.send(number).unwrap();
                }
                std::future::pending::<()>().await;
            });
            let mut second = pin!(async move {
                for number in 0..50 {
                    ask.send(number).unwrap();
                    assert_eq!(returned.recv().await, Some(number));
                }
            });
            assert!(matches!(
                until_one_ends(&mut first, &mut second).await,
                Either::Second(())
            ));
            echo.abort();
        }
    }
}
