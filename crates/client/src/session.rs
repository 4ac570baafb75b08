//! Commands over one WebSocket, each awaited by its caller: many at a time, matched by id.
//!
//! A command without an id gets one here, because the answer could not be told from others.

use crate::error::ClientError;
use crate::socket::{Receiver, Sender, Socket};
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Texts on their way to the socket.
const QUEUED: usize = 1024;

/// Who waits for which id; nobody can, once the connection is gone.
type Waiting = Arc<Mutex<Option<BTreeMap<String, oneshot::Sender<Value>>>>>;

/// See the head of the file.
#[derive(Debug)]
pub struct Session {
    texts: mpsc::Sender<String>,
    waiting: Waiting,
    events: Mutex<Option<mpsc::Receiver<Value>>>,
    prefix: String,
    made: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

impl Session {
    /// Takes a socket over. Ids made here begin with `prefix`, which nobody else should use.
    #[must_use]
    pub fn over(socket: Socket, prefix: &str) -> Session {
        let (sender, receiver) = socket.split();
        let (texts, to_send) = mpsc::channel(QUEUED);
        let (events_in, events) = mpsc::channel(QUEUED);
        let waiting = Waiting::new(Mutex::new(Some(BTreeMap::new())));
        let tasks = [
            tokio::spawn(send_all(sender, to_send)),
            tokio::spawn(receive_all(receiver, Arc::clone(&waiting), events_in)),
        ];
        Session {
            texts,
            waiting,
            events: Mutex::new(Some(events)),
            prefix: prefix.to_owned(),
            made: AtomicU64::new(0),
            tasks,
        }
    }

    /// Everything that is no response: events, output, gaps. It can be taken once; untaken, it is dropped.
    pub fn events(&self) -> Option<mpsc::Receiver<Value>> {
        held(&self.events).take()
    }

    /// Submits one command and waits for its response, which may say that it failed.
    ///
    /// # Errors
    /// Where the connection broke.
    pub async fn submit(&self, mut envelope: Value) -> Result<Value, ClientError> {
        let id = match envelope.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => {
                let id = format!("{}-{}", self.prefix, self.made.fetch_add(1, Ordering::Relaxed));
                if let Value::Object(members) = &mut envelope {
                    members.insert("id".to_owned(), id.clone().into());
                }
                id
            }
        };
        let (answered, answer) = oneshot::channel();
        self.wait_for(id, answered)?;
        self.texts
            .send(envelope.to_string())
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())
    }

    fn wait_for(&self, id: String, answered: oneshot::Sender<Value>) -> Result<(), ClientError> {
        match held(&self.waiting).as_mut().ok_or_else(closed)?.entry(id) {
            Entry::Vacant(place) => {
                place.insert(answered);
                Ok(())
            }
            Entry::Occupied(place) => Err(ClientError::protocol(
                "an id that is not under way",
                place.key().as_bytes(),
            )),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn send_all(mut sender: Sender, mut texts: mpsc::Receiver<String>) {
    let mut batch = Vec::new();
    while texts.recv_many(&mut batch, QUEUED).await > 0 {
        for text in batch.drain(..) {
            if sender.feed(text).await.is_err() {
                return;
            }
        }
        if sender.flush().await.is_err() {
            return;
        }
    }
}

async fn receive_all(mut receiver: Receiver, waiting: Waiting, events: mpsc::Sender<Value>) {
    while let Ok(Some(text)) = receiver.next().await {
        let Ok(message) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        if message.get("type").and_then(Value::as_str) == Some("response") {
            let id = message.get("id").and_then(Value::as_str).unwrap_or_default();
            if let Some(answered) = held(&waiting).as_mut().and_then(|waiting| waiting.remove(id)) {
                let _no_longer_awaited = answered.send(message);
            }
        } else {
            // Who does not read events is not to hold up responses.
            let _untaken_or_full = events.try_send(message);
        }
    }
    *held(&waiting) = None;
}

fn closed() -> ClientError {
    ClientError::broken("the connection is closed")
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
