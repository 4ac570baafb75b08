//! The way to the daemon: one WebSocket for all calls of a connection, opened when the first call needs it and again
//! when it broke; the session that the calls go to; live messages, handed to the calls they are about.
//!
//! Commands of one socket are admitted in the order in which they were sent, so a cancellation never overtakes what it
//! cancels.

use crate::identity;
use crate::limits::{ANSWER_MS_MAX, CLIENT_CHARS_MAX, LIVE_QUEUED_MAX};
use crate::text::member;
use actum_client::{Client, ClientError, Session};
use actum_model::response::fault_of_json;
use actum_model::{ErrorCode, Fault};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Where a daemon is, and as whom to call it.
#[derive(Clone)]
pub struct Target {
    /// `http://HOST:PORT`.
    pub url: String,
    /// The token, where the daemon wants one.
    pub token: Option<String>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Finds the daemon. It may be elsewhere after a restart.
pub(crate) type Find = Box<dyn Fn() -> Result<Target, Fault> + Send + Sync>;

/// The session that calls go to.
#[derive(Clone, Debug, Default)]
pub struct SessionPlan {
    /// Its id: made if it is not there, and left as it is at the end. Without one the connection has a session of its
    /// own, whose process ends with it.
    pub id: Option<String>,
    /// What its programs may see of files, where it is made: `pure`, `read` or `workspace`.
    pub profile: Option<String>,
    /// The folder its programs may write, where it is made: an absolute path.
    pub workspace: Option<String>,
}

/// See the head of the file.
pub(crate) struct Link {
    find: Find,
    plan: SessionPlan,
    /// The name of this connection; ids of commands begin with it.
    run: String,
    session: String,
    opened: AtomicU64,
    /// Whether the session was given code, so that it has a process.
    ran_code: AtomicBool,
    wire: tokio::sync::Mutex<Option<Arc<Wire>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(find: Find, plan: SessionPlan) -> Result<Link, Fault> {
        let run = identity::fresh()?;
        Ok(Link {
            find,
            session: plan.id.clone().unwrap_or_else(|| run.clone()),
            plan,
            run,
            opened: AtomicU64::new(0),
            ran_code: AtomicBool::new(false),
            wire: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    pub(crate) fn will_run_code(&self) {
        self.ran_code.store(true, Ordering::Relaxed);
    }

    /// Whether the daemon answers and lets the caller in.
    pub(crate) async fn check(&self) -> Result<(), Fault> {
        let target = (self.find)()?;
        in_time(&target.url, async {
            let client = Client::connect(&target.url, target.token.as_deref()).await?;
            client
                .submit(&json!({"type": "server.health", "payload": {}}))
                .await
                .map(|_healthy| ())
        })
        .await
    }

    /// The open socket; a new one where there is none or it broke. `client` is who asks, for the record.
    pub(crate) async fn wire(&self, client: Option<&str>) -> Result<Arc<Wire>, Fault> {
        let mut current = self.wire.lock().await;
        if let Some(wire) = current.as_ref().filter(|wire| wire.routes.open()) {
            return Ok(Arc::clone(wire));
        }
        *current = None;
        let target = (self.find)()?;
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{}.w{number}", self.run);
        let wire = in_time(&target.url, Wire::open(&target, &prefix)).await?;
        let wire = Arc::new(wire);
        self.enter(&wire, client).await?;
        tracing::debug!(session = self.session, number, "connected to the daemon");
        *current = Some(Arc::clone(&wire));
        Ok(wire)
    }

    /// Makes the session, unless it is there, and follows it.
    async fn enter(&self, wire: &Wire, client: Option<&str>) -> Result<(), Fault> {
        // Looked for first: a look takes no turn in the lane, which a command in doubt may hold.
        let look = json!({"type": "session.get", "sessionId": self.session, "payload": {}});
        match wire.ask(look).await {
            Ok(_) => {}
            Err(fault) if fault.code == ErrorCode::SessionNotFound => {
                match wire.ask(self.creation(client)).await {
                    Err(fault) if fault.code != ErrorCode::SessionExists => return Err(fault),
                    _ => {}
                }
            }
            Err(fault) => return Err(fault),
        }
        wire.ask(subscribe(&self.session)).await?;
        wire.hear(&self.session);
        Ok(())
    }

    fn creation(&self, client: Option<&str>) -> Value {
        let mut payload = Map::new();
        payload.insert("kind".into(), "python".into());
        let by: String = client.unwrap_or("MCP").chars().take(CLIENT_CHARS_MAX).collect();
        payload.insert("metadata".into(), json!({"client": by}));
        for (name, value) in [
            ("profile", &self.plan.profile),
            ("workspace", &self.plan.workspace),
        ] {
            if let Some(value) = value {
                payload.insert(name.into(), value.as_str().into());
            }
        }
        json!({"type": "session.create", "sessionId": self.session, "payload": payload})
    }

    /// Ends the process of a session of its own, so that nothing is held for nobody. What it wrote and what was recorded
    /// of it stays.
    pub(crate) async fn close(&self) {
        let wire = self.wire.lock().await.take();
        let used = self.plan.id.is_none() && self.ran_code.load(Ordering::Relaxed);
        if let Some(wire) = wire.filter(|wire| used && wire.routes.open()) {
            let reset =
                json!({"type": "session.reset", "sessionId": self.session, "payload": {}, "detach": true});
            if let Err(fault) = wire.ask(reset).await {
                tracing::debug!(code = fault.code.as_str(), "the session's process was not ended");
            }
        }
    }
}

fn subscribe(session: &str) -> Value {
    json!({"type": "events.subscribe", "payload": {"sessionId": session}})
}

/// What is answered in time; nothing here waits for commands.
async fn in_time<T>(url: &str, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, Fault> {
    match tokio::time::timeout(Duration::from_millis(ANSWER_MS_MAX), work).await {
        Ok(done) => done.map_err(|error| error.to_fault()),
        Err(_) => Err(Fault::new(
            ErrorCode::DaemonUnreachable,
            format!("what listens at `{url}` did not answer within {ANSWER_MS_MAX} ms"),
        )),
    }
}

/// An open socket.
pub(crate) struct Wire {
    client: Client,
    session: Arc<Session>,
    routes: Arc<Routes>,
    events: Mutex<Option<mpsc::Receiver<Value>>>,
    url: String,
}

impl Wire {
    async fn open(target: &Target, prefix: &str) -> Result<Wire, ClientError> {
        let client = Client::connect(&target.url, target.token.as_deref()).await?;
        let socket = client.socket().await?;
        let session = Session::over(socket, prefix);
        Ok(Wire {
            client,
            events: Mutex::new(session.events()),
            session: Arc::new(session),
            routes: Arc::new(Routes::default()),
            url: target.url.clone(),
        })
    }

    /// Begins to hand out live messages; a second time it changes nothing.
    fn hear(&self, session: &str) {
        if let Some(events) = held(&self.events).take() {
            let route = route(
                events,
                Arc::clone(&self.routes),
                Arc::downgrade(&self.session),
                session.to_owned(),
            );
            tokio::spawn(route);
        }
    }

    /// Submits a command and waits for its response, however long it takes.
    pub(crate) async fn submit(&self, envelope: Value) -> Result<Value, ClientError> {
        match self.session.submit(envelope.clone()).await {
            // The same request is under way on this socket. Another connection is given the same outcome.
            Err(ClientError::Protocol { .. }) => self.client.submit(&envelope).await,
            answer => answer,
        }
    }

    /// Asks what is answered at once, and gives its `data`.
    pub(crate) async fn ask(&self, envelope: Value) -> Result<Value, Fault> {
        let mut response = in_time(&self.url, self.session.submit(envelope)).await?;
        match response.get("error") {
            Some(error) => Err(fault_of(error)),
            None => Ok(response.get_mut("data").map(Value::take).unwrap_or_default()),
        }
    }

    /// Asks about a command.
    pub(crate) async fn ask_about(&self, kind: &str, id: &str) -> Result<Value, Fault> {
        self.ask(json!({"type": kind, "payload": {"id": id}})).await
    }

    /// Live messages about a command, from now on.
    pub(crate) fn listen(&self, id: &str) -> Live {
        Routes::listen(&self.routes, id)
    }
}

/// A fault as the wire has it.
pub(crate) fn fault_of(error: &Value) -> Fault {
    // Without a code it is no fault of a daemon; that it failed is said all the same.
    fault_of_json(error).unwrap_or_else(|| Fault::new(ErrorCode::Internal, member(error, "message")))
}

/// Hands live messages to whoever listens, until the socket is gone.
async fn route(mut events: mpsc::Receiver<Value>, routes: Arc<Routes>, wire: Weak<Session>, session: String) {
    while let Some(message) = events.recv().await {
        if member(&message, "type") != "gap" {
            routes.tell(&message);
        } else if let Some(wire) = wire.upgrade() {
            // What was missed is live only; calls still end by their responses.
            let _broken_then_closed = wire.submit(subscribe(&session)).await;
        }
    }
    routes.close();
}

/// Who listens to which command; nobody, once the socket is gone.
#[derive(Debug)]
struct Routes(Mutex<Option<BTreeMap<String, Vec<mpsc::Sender<Value>>>>>);

impl Default for Routes {
    fn default() -> Routes {
        Routes(Mutex::new(Some(BTreeMap::new())))
    }
}

impl Routes {
    fn open(&self) -> bool {
        held(&self.0).is_some()
    }

    fn close(&self) {
        *held(&self.0) = None;
    }

    fn listen(routes: &Arc<Routes>, id: &str) -> Live {
        let (sender, messages) = mpsc::channel(LIVE_QUEUED_MAX);
        if let Some(all) = held(&routes.0).as_mut() {
            all.entry(id.to_owned()).or_default().push(sender);
        }
        Live {
            messages,
            id: id.to_owned(),
            routes: Arc::clone(routes),
        }
    }

    fn tell(&self, message: &Value) {
        let routes = held(&self.0);
        let listeners = routes.as_ref().and_then(|all| all.get(member(message, "id")));
        for listener in listeners.into_iter().flatten() {
            // It is provisional: a call that is behind loses some of it and holds nobody up.
            let _full_or_gone = listener.try_send(message.clone());
        }
    }
}

/// Live messages about one command. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Live {
    messages: mpsc::Receiver<Value>,
    id: String,
    routes: Arc<Routes>,
}

impl Live {
    /// The command.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The next; `None` when the socket is gone.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        self.messages.recv().await
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.messages.close();
        if let Some(all) = held(&self.routes.0).as_mut()
            && let Some(listeners) = all.get_mut(&self.id)
        {
            listeners.retain(|listener| !listener.is_closed());
            if listeners.is_empty() {
                all.remove(&self.id);
            }
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_reach_those_who_listen_and_nobody_else() {
        let routes = Arc::new(Routes::default());
        let mut one = Routes::listen(&routes, "a");
        let mut two = Routes::listen(&routes, "a");
        let other = Routes::listen(&routes, "b");
        routes.tell(&json!({"type": "output", "id": "a", "data": "x"}));
        assert_eq!(one.next().await.unwrap()["data"], "x");
        assert_eq!(two.next().await.unwrap()["data"], "x");
        drop((one, other));
        assert_eq!(held(&routes.0).as_ref().unwrap().len(), 1);
        drop(two);
        assert!(held(&routes.0).as_ref().unwrap().is_empty());
        let mut late = Routes::listen(&routes, "a");
        routes.close();
        assert!(late.next().await.is_none() && !routes.open());
    }

    #[tokio::test]
    async fn a_listener_that_is_behind_holds_nobody_up() {
        let routes = Arc::new(Routes::default());
        let mut slow = Routes::listen(&routes, "a");
        for n in 0..2 * LIVE_QUEUED_MAX {
            routes.tell(&json!({"id": "a", "n": n}));
        }
        routes.close();
        let mut heard = 0;
        while slow.next().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, LIVE_QUEUED_MAX);
    }

    #[test]
    fn a_token_is_never_shown() {
        let target = Target {
            url: "http://a:1".into(),
            token: Some("secret".into()),
        };
        assert!(!format!("{target:?}").contains("secret"));
    }
}
