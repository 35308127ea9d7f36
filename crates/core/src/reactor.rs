//! Listens, connects, spawns, keeps time, and stops in order.
//!
//! A [`Reactor`] is a value, not a place: two in one process do not notice each other. It runs on the
//! tokio runtime it was made in, or on worker threads of its own.
//!
//! ```text
//!  running ──▶ draining: nothing is accepted; idle connections say goodbye and end; busy ones go on
//!     │           ▲  │  all have ended, or the grace is over
//!     ▼           │  ▼
//!  leaving ───────┘ stopped: what is left is aborted
//!  another process accepts now; idle connections may ask once more
//! ```

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::endpoint::{self, Endpoint, Listener, Registry};
use crate::{Deferred, Factory, Peer, Transport};

mod accept;
mod handover;
mod listening;
mod workers;

use listening::Ledger;
pub use listening::{Listening, Totals};
use workers::Worker;

/// Where connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Workers {
    /// On the runtime that the reactor was made in, whose scheduler spreads them.
    #[default]
    Shared,
    /// On so many threads of the reactor's own. Each accepts by itself, from a socket of its own where
    /// the endpoint can have several (`SO_REUSEPORT`), and keeps what it accepted.
    PerCore(usize),
}

/// How far the reactor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Leaving,
    Draining,
    Stopped,
}

/// Listens, connects, spawns, keeps time, stops gracefully. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Reactor {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    grace: Mutex<Duration>,
    home: Handle,
    workers: Vec<Worker>,
    phase: watch::Sender<Phase>,
    next_id: AtomicU64,
    /// All open connections, by id.
    peers: Mutex<HashMap<u64, Peer>>,
    /// How many things the reactor waits for when it drains: connections and accept loops.
    busy: watch::Sender<usize>,
    /// What is accepted on, for as long as it is.
    listeners: Mutex<Vec<Weak<Listener>>>,
}

/// What can be set before a reactor is made.
#[derive(Debug)]
pub struct Builder {
    workers: Workers,
    grace: Duration,
    registry: Registry,
}

impl Builder {
    /// Where connections are served. Default: [`Workers::Shared`].
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// For how long busy connections may go on when the reactor stops. Default: 30 s.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Which kinds of endpoints strings can name, and the names in memory. Default: a new registry
    /// with all built-in kinds.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Makes the reactor, in the present tokio runtime.
    ///
    /// # Errors
    /// Outside a tokio runtime, or when a worker thread cannot be started.
    pub fn build(self) -> io::Result<Reactor> {
        let home = Handle::try_current().map_err(io::Error::other)?;
        let workers = match self.workers {
            Workers::Shared => Vec::new(),
            Workers::PerCore(count) => {
                (0..count.max(1)).map(Worker::start).collect::<io::Result<_>>()?
            }
        };
        let inner = Inner {
            registry: self.registry,
            grace: Mutex::new(self.grace),
            home,
            workers,
            phase: watch::Sender::new(Phase::Running),
            next_id: AtomicU64::new(1),
            peers: Mutex::default(),
            busy: watch::Sender::new(0),
            listeners: Mutex::default(),
        };
        Ok(Reactor { inner: Arc::new(inner) })
    }
}

impl Reactor {
    /// A reactor with the defaults of [`builder`](Self::builder), in the present tokio runtime.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// What can be set before.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            workers: Workers::default(),
            grace: Duration::from_secs(30),
            registry: Registry::default(),
        }
    }

    /// Serves `factory` at `endpoint` until the reactor stops or the returned handle is told to.
    /// Dropping the handle changes nothing.
    ///
    /// # Errors
    /// When the endpoint cannot be understood, or bound (in use, not allowed, a file missing).
    pub async fn listen(
        &self,
        endpoint: impl IntoEndpoint,
        factory: impl Factory,
    ) -> io::Result<Listening> {
        let endpoint = endpoint.into_endpoint(&self.inner.registry)?;
        self.serve(endpoint.bind()?, factory).await
    }

    /// Serves `factory` on sockets that were bound before, perhaps with privileges since dropped.
    ///
    /// # Errors
    /// When a worker cannot take the socket over, or the reactor is stopping.
    pub async fn serve(
        &self,
        bound: endpoint::Bound,
        factory: impl Factory,
    ) -> io::Result<Listening> {
        if self.is_stopping() {
            return Err(io::Error::other("the reactor is stopping"));
        }
        accept::start(&self.inner, bound, Arc::new(factory)).await
    }

    /// Connects to `endpoint`. Cancel-safe: dropping the future gives up.
    ///
    /// # Errors
    /// When the endpoint cannot be understood or reached.
    pub async fn connect(&self, endpoint: impl IntoEndpoint) -> io::Result<Transport> {
        endpoint.into_endpoint(&self.inner.registry)?.connect().await
    }

    /// Begins `future` now. Dropping the deferred cancels it, and so does the reactor's end.
    pub fn spawn<F>(&self, future: F) -> Deferred<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut phase = self.inner.phase.subscribe();
        let (resolver, deferred) = Deferred::pair();
        self.inner.home.spawn(async move {
            let mut resolver = resolver;
            tokio::select! {
                output = future => drop(resolver.resolve(output)),
                () = resolver.cancelled() => {}
                _ = phase.wait_for(|phase| *phase == Phase::Stopped) => {}
            }
        });
        deferred
    }

    /// Begins `future` after `delay`. Dropping the deferred cancels it; Twisted's `callLater`.
    pub fn call_later<F>(&self, delay: Duration, future: F) -> Deferred<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            future.await
        })
    }

    /// Calls `f` every `period`, the first time after one, and waits for what it returns. When that
    /// takes longer than a period, the ticks it overslept are skipped, and the next call is told how
    /// many. Dropping the deferred ends it; Twisted's `LoopingCall.withCount`.
    pub fn call_every<F>(
        &self,
        period: Duration,
        mut f: impl FnMut(u64) -> F + Send + 'static,
    ) -> Deferred<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(async move {
            let mut due = tokio::time::Instant::now();
            let period = period.max(Duration::from_millis(1));
            loop {
                let late = tokio::time::Instant::now().saturating_duration_since(due);
                let skipped = (late.as_nanos() / period.as_nanos()) as u64;
                due += period * u32::try_from(skipped).unwrap_or(u32::MAX - 1) + period;
                tokio::time::sleep_until(due).await;
                f(skipped).await;
            }
        })
    }

    /// Runs until SIGINT or SIGTERM comes or [`stop`](Self::stop) is called elsewhere, then stops
    /// gracefully. A second signal ends it at once.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub async fn run(&self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut phase = self.inner.phase.subscribe();
        let signalled = tokio::select! {
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => false,
            name = named(&mut interrupt, &mut terminate) => {
                info!("{name}: stopping");
                true
            }
        };
        let insisted = async {
            if !signalled {
                let name = named(&mut interrupt, &mut terminate).await;
                info!("{name}: stopping already");
            }
            named(&mut interrupt, &mut terminate).await;
        };
        tokio::select! {
            () = self.stop() => {}
            () = insisted => self.abort(),
        }
        Ok(())
    }

    /// Stops in order: accepts nothing more, has every idle connection say goodbye, waits for the busy
    /// ones for the grace, aborts what is left. Returns when all has ended.
    pub async fn stop(&self) {
        self.drain();
        let mut busy = self.inner.busy.subscribe();
        let ended = busy.wait_for(|busy| *busy == 0);
        let grace = self.grace();
        if tokio::time::timeout(grace, ended).await.is_err() {
            let left = self.connections().len();
            warn!(left, ?grace, "connections outlived the grace and are aborted");
        }
        self.abort();
        // An aborted task ends at its next await; one that never awaits is not waited for.
        let ended = busy.wait_for(|busy| *busy == 0);
        let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
    }

    /// For how long busy connections may go on when the reactor stops.
    #[must_use]
    pub fn grace(&self) -> Duration {
        *self.inner.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the [grace](Builder::grace). A stop that has begun keeps the old one.
    pub fn set_grace(&self, grace: Duration) {
        *self.inner.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    /// How many threads of its own accept; 0 with [`Workers::Shared`].
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.workers.len()
    }

    /// Begins to stop, without waiting.
    fn drain(&self) {
        self.inner.phase.send_if_modified(|phase| {
            let begins = *phase < Phase::Draining;
            if begins {
                *phase = Phase::Draining;
            }
            begins
        });
        for peer in self.inner.peers().values() {
            peer.stop();
        }
    }

    /// Ends at once: every connection and every spawned task is dropped where it is.
    pub fn abort(&self) {
        self.inner.phase.send_replace(Phase::Stopped);
    }

    /// Whether the reactor has begun to stop or to [retire](Self::retire).
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.inner.phase.borrow() != Phase::Running
    }

    /// All open connections, in the order of their ids.
    #[must_use]
    pub fn connections(&self) -> Vec<Peer> {
        let mut peers: Vec<Peer> = self.inner.peers().values().cloned().collect();
        peers.sort_by_key(Peer::id);
        peers
    }

    /// Which kinds of endpoints strings can name here, and the names in memory.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }
}

impl Inner {
    fn peers(&self) -> MutexGuard<'_, HashMap<u64, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection, for as long as the returned value lives.
    fn enter(self: &Arc<Self>, peer: Peer, ledger: Arc<Ledger>) -> Entered {
        self.peers().insert(peer.id(), peer.clone());
        // Noted first, then asked: a stop in between reaches it one way or the other.
        match *self.phase.borrow() {
            Phase::Running => {}
            Phase::Leaving => peer.leave(),
            Phase::Draining | Phase::Stopped => peer.stop(),
        }
        ledger.enter(&peer);
        Entered { inner: self.clone(), peer, ledger }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// The name of the signal that comes.
async fn named(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// An open connection's place in the reactor.
struct Entered {
    inner: Arc<Inner>,
    peer: Peer,
    ledger: Arc<Ledger>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.inner.peers().remove(&self.peer.id());
        self.ledger.leave(&self.peer);
        self.peer.let_go();
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("workers", &self.inner.workers.len())
            .field("phase", &*self.inner.phase.borrow())
            .field("connections", &self.inner.peers().len())
            .finish_non_exhaustive()
    }
}

/// What can be understood as an endpoint: one that is, or a string.
pub trait IntoEndpoint {
    /// The endpoint; strings may name what `registry` knows.
    ///
    /// # Errors
    /// When a string cannot be understood; the message points at the place.
    fn into_endpoint(self, registry: &Registry) -> io::Result<Endpoint>;
}

impl IntoEndpoint for Endpoint {
    fn into_endpoint(self, _registry: &Registry) -> io::Result<Endpoint> {
        Ok(self)
    }
}

impl IntoEndpoint for &Endpoint {
    fn into_endpoint(self, _registry: &Registry) -> io::Result<Endpoint> {
        Ok(self.clone())
    }
}

impl IntoEndpoint for &str {
    fn into_endpoint(self, registry: &Registry) -> io::Result<Endpoint> {
        Endpoint::parse_with(self, registry)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl IntoEndpoint for &String {
    fn into_endpoint(self, registry: &Registry) -> io::Result<Endpoint> {
        self.as_str().into_endpoint(registry)
    }
}
