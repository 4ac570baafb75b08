//! The end of a server: calls under way are told, and the end waits until they are gone.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// See the head of the file. Clones share one end.
#[derive(Clone, Debug)]
pub(crate) struct Leave {
    told: CancellationToken,
    under_way: Arc<watch::Sender<usize>>,
}

impl Default for Leave {
    fn default() -> Leave {
        Leave {
            told: CancellationToken::new(),
            under_way: Arc::new(watch::Sender::new(0)),
        }
    }
}

/// A call under way; dropped when it is over.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<watch::Sender<usize>>);

impl Leave {
    /// A call begins.
    pub(crate) fn begin(&self) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(Arc::clone(&self.under_way))
    }

    /// Tells every call to leave.
    pub(crate) fn now(&self) {
        self.told.cancel();
    }

    /// Ends when calls were told to leave.
    pub(crate) async fn told(&self) {
        self.told.cancelled().await;
    }

    /// Ends when no call is under way, or after `limit`.
    pub(crate) async fn all_gone(&self, limit: Duration) {
        let mut count = self.under_way.subscribe();
        let _gone_or_too_slow = tokio::time::timeout(limit, count.wait_for(|count| *count == 0)).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_calls_that_were_told() {
        let leave = Leave::default();
        let call = leave.begin();
        let told = leave.clone();
        let working = tokio::spawn(async move {
            told.told().await;
            drop(call);
        });
        leave.now();
        leave.all_gone(Duration::from_secs(60)).await;
        assert_eq!(*leave.under_way.borrow(), 0);
        working.await.unwrap();
    }
}
