//! The records of history from a position on, in order and without a gap: the past from the journal, then live.
//!
//! One consumer pulls. What it has not pulled is not kept for it: when the live channel has run past it, the feed
//! goes back to the journal. It filters nothing.

use crate::core::{Core, LiveRecord};
use actum_model::error::{ErrorCode, Fault};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;

/// Records read from the journal at a time.
const PAGE_RECORDS: usize = 256;

type Page = Result<Vec<Arc<LiveRecord>>, Fault>;

/// See the head of the file.
pub(crate) struct Feed {
    core: Core,
    live: Receiver<Arc<LiveRecord>>,
    /// The position of the next record to give out.
    next: u64,
    read: VecDeque<Arc<LiveRecord>>,
    /// Kept here so that a caller may drop the future that waits for it.
    reading: Option<JoinHandle<Page>>,
    behind: bool,
}

impl Feed {
    /// The records from `from` on. `live` was taken before `from` was looked up.
    pub(crate) fn new(core: Core, live: Receiver<Arc<LiveRecord>>, from: u64, behind: bool) -> Feed {
        Feed {
            core,
            live,
            next: from,
            read: VecDeque::new(),
            reading: None,
            behind,
        }
    }

    /// Whether it reads the journal rather than following live: then it waits for its consumer.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind || !self.read.is_empty()
    }

    /// The position after the last record given out.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    /// Reads the first page of the past, so that a position that is gone is told at once.
    ///
    /// # Errors
    /// `RECORD_GONE` and what else the journal says.
    pub(crate) async fn open(&mut self) -> Result<(), Fault> {
        if self.behind {
            self.read_page().await
        } else {
            Ok(())
        }
    }

    /// The next record; `None` when the daemon is going. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// What the journal says where the past cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Arc<LiveRecord>>, Fault> {
        loop {
            if let Some(record) = self.read.pop_front() {
                self.next = record.idx + 1;
                return Ok(Some(record));
            }
            if self.behind {
                self.read_page().await?;
                continue;
            }
            match self.live.recv().await {
                Ok(record) if record.idx < self.next => {}
                Ok(record) if record.idx == self.next => {
                    self.next += 1;
                    return Ok(Some(record));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// Reads a page. When there is none the past is over: what came since stands in the live channel, which was
    /// open all the time, and what no longer fits there is found in the journal again.
    async fn read_page(&mut self) -> Result<(), Fault> {
        let reading = self.reading.get_or_insert_with(|| {
            let (core, from) = (self.core.clone(), self.next);
            tokio::task::spawn_blocking(move || core.past(from, PAGE_RECORDS))
        });
        let page = reading.await;
        self.reading = None;
        let page = page.map_err(|error| {
            Fault::new(
                ErrorCode::Internal,
                format!("reading the journal stopped: {error}"),
            )
        })??;
        self.behind = !page.is_empty();
        self.read = page
            .into_iter()
            .filter(|record| record.idx >= self.next)
            .collect();
        if self.behind && self.read.is_empty() {
            self.behind = false;
        }
        Ok(())
    }
}

/// What an output channel gives at once.
pub(crate) fn try_next<T: Clone>(receiver: &mut Receiver<T>) -> Option<T> {
    loop {
        match receiver.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
        }
    }
}
