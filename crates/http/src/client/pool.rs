//! Connections that wait for their next request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use ropewalk_core::Connection;
use tokio::runtime::Handle;

use super::place::Origin;
use crate::session;

/// A client's connection. Boxed, because it is handed on with each request.
pub(super) type Conn = Box<Connection<session::Client>>;

/// How often those that wait are looked at: whether the server has ended them, or they have waited
/// long enough.
const ROUND: Duration = Duration::from_secs(1);

/// How many connections are kept for later requests, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For each origin. Default 64; 0 keeps none.
    pub per_origin: usize,
    /// In all. Default 256. One more ends one that has waited.
    pub total: usize,
    /// For how long one may wait. Default 50 s, somewhat less than servers do.
    pub idle: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self { per_origin: 64, total: 256, idle: Duration::from_secs(50) }
    }
}

/// Connections that wait.
pub(super) struct Pool {
    keep: Keep,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one that has waited longest first. No list is empty.
    waiting: HashMap<Origin, Vec<Waiting>>,
    count: usize,
    /// Somebody makes the rounds.
    watched: bool,
}

struct Waiting {
    conn: Conn,
    since: Instant,
}

impl Pool {
    pub(super) fn new(keep: Keep) -> Arc<Self> {
        Arc::new(Self { keep, state: Mutex::default() })
    }

    /// A connection to `origin` that can take a request: the one that has waited least.
    pub(super) fn take(&self, origin: &Origin) -> Option<Conn> {
        let mut state = self.lock();
        let State { waiting, count, .. } = &mut *state;
        let list = waiting.get_mut(origin)?;
        let mut found = None;
        while let (None, Some(mut candidate)) = (&found, list.pop()) {
            *count -= 1;
            if now().saturating_duration_since(candidate.since) < self.keep.idle
                && is_quiet(&mut candidate.conn)
            {
                found = Some(candidate.conn);
            }
        }
        if list.is_empty() {
            waiting.remove(origin);
        }
        found
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) fn put(self: &Arc<Self>, origin: Origin, conn: Conn) {
        // Without a runtime nobody would ever look at it again.
        let Ok(runtime) = Handle::try_current() else { return };
        if self.keep.per_origin == 0 || self.keep.total == 0 {
            return;
        }
        let mut state = self.lock();
        if state.count >= self.keep.total {
            state.drop_eldest();
        }
        let list = state.waiting.entry(origin).or_default();
        let full = list.len() >= self.keep.per_origin;
        if full {
            list.remove(0);
        }
        list.push(Waiting { conn, since: now() });
        state.count += usize::from(!full);
        if !state.watched {
            state.watched = true;
            let watch = Watch(Arc::downgrade(self));
            runtime.spawn(watch.rounds());
        }
    }

    /// Ends all that wait.
    pub(super) fn clear(&self) -> Vec<Conn> {
        let mut state = self.lock();
        state.count = 0;
        let lists = std::mem::take(&mut state.waiting);
        lists.into_values().flatten().map(|waiting| waiting.conn).collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_eldest(&mut self) {
        let eldest = self.waiting.iter().min_by_key(|(_, list)| list.first().map(|w| w.since));
        let Some(origin) = eldest.map(|(origin, _)| origin.clone()) else { return };
        if let Some(list) = self.waiting.get_mut(&origin) {
            list.remove(0);
            self.count -= 1;
            if list.is_empty() {
                self.waiting.remove(&origin);
            }
        }
    }

    /// Takes out those that have waited until `since` or that the server has ended.
    fn sift(&mut self, since: Option<Instant>) -> Vec<Conn> {
        let mut over = Vec::new();
        let mut count = 0;
        self.waiting.retain(|_, list| {
            for mut waiting in std::mem::take(list) {
                if since.is_some_and(|since| waiting.since <= since) {
                    over.push(waiting.conn);
                } else if is_quiet(&mut waiting.conn) {
                    list.push(waiting);
                }
            }
            count += list.len();
            !list.is_empty()
        });
        self.count = count;
        over
    }
}

/// Makes the rounds for as long as anything waits.
struct Watch(Weak<Pool>);

impl Watch {
    async fn rounds(mut self) {
        loop {
            tokio::time::sleep(ROUND).await;
            let Some(pool) = self.0.upgrade() else { return };
            let (over, done) = {
                let mut state = pool.lock();
                let over = state.sift(now().checked_sub(pool.keep.idle));
                let done = state.count == 0;
                if done {
                    // In the same breath: what is put next begins another.
                    self.0 = Weak::new();
                    state.watched = false;
                }
                (over, done)
            };
            for conn in over {
                tokio::spawn(conn.close());
            }
            if done {
                return;
            }
        }
    }
}

impl Drop for Watch {
    /// The runtime may end before the pool does: then another one is needed.
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.lock().watched = false;
        }
    }
}

/// Whether nothing has come on it, neither bytes nor an end: what comes without having been asked
/// for is not the answer to our next request.
fn is_quiet(conn: &mut Conn) -> bool {
    conn.poll_next(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// The runtime's clock, which tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("keep", &self.keep).field("waiting", &self.len()).finish()
    }
}
