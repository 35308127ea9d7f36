//! A client that keeps its connection.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Backoff, BoxFuture, Delays, Service};
use crate::deferred::{Deferred, Resolver};
use crate::{BoxError, Transport};

/// How long one try to connect may take, unless [`ClientService::connect_within`] says otherwise.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// A client that keeps its connection: it connects, runs a session, and connects again after a
/// jittered wait when either fails or ends. Twisted's `ClientService`.
///
/// * *Connect* is a function without arguments, called for each try, whose future gives a `T`.
/// * *Session* is handed each `T` and an [`Online`], and lives as long as the connection. It says by
///   [`Online::announce`] when the connection is fit for use, giving a handle `H` (a client, a sender;
///   `()` if there is nothing to hand out), which is what [`Link::when_connected`] awaits. A session
///   that panics loses its connection, not the service.
///
/// ```text
///  start ─▶ connect ──ok──▶ session ──ends──▶ wait ─▶ connect …          stop: from anywhere
///              └──fails─────────────────────▶  (too many failures: over)
/// ```
///
/// Starting it does not wait for a connection. How long the waits are, and how many failures too many,
/// is the [`Backoff`]'s. Dropping it cuts its connection.
///
/// ```
/// use ropewalk_core::{Backoff, BoxError, ClientService, Connection, Endpoint, Raw, Services};
///
/// # fn main() -> Result<(), BoxError> {
/// let server: Endpoint = "tcp:irc.example.org:6667".parse()?;
/// let client = ClientService::new(
///     "bot",
///     &Backoff::default(),
///     fastrand::Rng::new(),
///     move || {
///         let server = server.clone();
///         async move { server.connect().await }
///     },
///     async |transport, online| {
///         let mut connection = Connection::new(Raw::default(), transport);
///         online.announce(());
///         while let Some(_bytes) = connection.next().await? {}
///         Ok(connection.close().await?)
///     },
/// );
/// let connected = client.when_connected();
/// let services = Services::new("all").with(client);
/// # drop((connected, services));
/// # Ok(())
/// # }
/// ```
pub struct ClientService<H, T = Transport> {
    name: String,
    link: Link<H>,
    /// `None` while it runs.
    engine: Option<Engine<H, T>>,
    running: Option<Running<H, T>>,
}

type Connect<T> = dyn FnMut() -> BoxFuture<'static, Result<T, BoxError>> + Send;
type Session<H, T> = dyn FnMut(T, Online<H>) -> BoxFuture<'static, Result<(), BoxError>> + Send;

/// What the loop needs; it gives it back when it ends.
struct Engine<H, T> {
    name: String,
    connect: Box<Connect<T>>,
    connect_within: Duration,
    session: Box<Session<H, T>>,
    steady: Duration,
    delays: Delays,
    /// The last session was cut at the deadline of stopping.
    cut: bool,
}

struct Running<H, T> {
    /// When to be gone, as soon as somebody wants that.
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<Engine<H, T>>,
}

impl<H, T> Drop for Running<H, T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where others learn of the connection of a [`ClientService`]. Cheap to clone.
pub struct Link<H> {
    shared: Arc<Mutex<Shared<H>>>,
}

/// What the service and its links know.
struct Shared<H> {
    state: State<H>,
    waiting: Vec<Resolver<H>>,
}

enum State<H> {
    /// There may be a connection later.
    Offline,
    /// There is one, and this is its handle.
    Online(H),
    /// There will be none unless the service is started again.
    Over,
}

/// What a session has of its [`ClientService`].
pub struct Online<H> {
    link: Link<H>,
    stop: watch::Receiver<Option<Instant>>,
}

impl<H: Clone + Send + 'static> Online<H> {
    /// The connection is fit for use: gives `handle` to all who wait, and to all who come while the
    /// session lasts. A later call replaces the handle.
    pub fn announce(&self, handle: H) {
        let waiting = {
            let mut shared = self.link.lock();
            shared.state = State::Online(handle.clone());
            std::mem::take(&mut shared.waiting)
        };
        for resolver in waiting {
            // One that has gone away does not want it.
            let _gone = resolver.resolve(handle.clone());
        }
    }

    /// Waits until the service is being stopped, so that the session can say goodbye and return: select
    /// on it. A session that does not is cut at the deadline. Cancel-safe.
    pub async fn stopping(&mut self) {
        let _deadline = stopping(&mut self.stop).await;
    }
}

impl<H> Link<H> {
    fn new() -> Self {
        let shared = Shared { state: State::Offline, waiting: Vec::new() };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    fn lock(&self) -> MutexGuard<'_, Shared<H>> {
        // Only a handle's `clone` could panic under the lock, and it leaves the state whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the handle; those who wait go on waiting, unless it is over.
    fn set(&self, state: State<H>) {
        let mut shared = self.lock();
        let over = matches!(state, State::Over);
        let old = std::mem::replace(&mut shared.state, state);
        let abandoned = if over { std::mem::take(&mut shared.waiting) } else { Vec::new() };
        drop(shared);
        // Foreign code runs here (the handle's drop, the wakers), so not under the lock.
        drop((old, abandoned));
    }
}

impl<H: Clone> Link<H> {
    /// The handle of the connection: at once if there is one, else when there is. It may have broken
    /// again by the time it is used.
    ///
    /// [`Abandoned`](crate::Abandoned) when the service has stopped or given up, or is dropped before
    /// there is a connection.
    pub fn when_connected(&self) -> Deferred<H> {
        let mut shared = self.lock();
        match &shared.state {
            State::Online(handle) => Deferred::ready(handle.clone()),
            State::Over => Deferred::pair().1,
            State::Offline => {
                let (resolver, deferred) = Deferred::pair();
                // Those that went away are cleared out whenever the list would have to grow.
                if shared.waiting.len() == shared.waiting.capacity() {
                    shared.waiting.retain(|resolver| !resolver.is_cancelled());
                }
                shared.waiting.push(resolver);
                deferred
            }
        }
    }

    /// The handle of the connection, if there is one now.
    #[must_use]
    pub fn handle(&self) -> Option<H> {
        match &self.lock().state {
            State::Online(handle) => Some(handle.clone()),
            State::Offline | State::Over => None,
        }
    }
}

impl<H, T> ClientService<H, T>
where
    H: Clone + Send + 'static,
    T: Send + 'static,
{
    /// A client that connects by `connect` and hands each connection to `session`. `rng` chooses the
    /// waits: seeded alike, they are alike.
    #[must_use]
    pub fn new<C, S, E>(
        name: impl Into<String>,
        backoff: &Backoff,
        rng: Rng,
        mut connect: impl FnMut() -> C + Send + 'static,
        mut session: impl FnMut(T, Online<H>) -> S + Send + 'static,
    ) -> Self
    where
        C: Future<Output = Result<T, E>> + Send + 'static,
        S: Future<Output = Result<(), BoxError>> + Send + 'static,
        E: Into<BoxError>,
    {
        let name = name.into();
        let engine = Engine {
            name: name.clone(),
            connect: Box::new(move || {
                let connecting = connect();
                Box::pin(async move { connecting.await.map_err(E::into) })
            }),
            connect_within: CONNECT_WITHIN,
            session: Box::new(move |transport, online| Box::pin(session(transport, online))),
            steady: backoff.steady,
            delays: backoff.delays(rng),
            cut: false,
        };
        Self { name, link: Link::new(), engine: Some(engine), running: None }
    }

    /// How long one try to connect may take: 30 s unless said otherwise. Without effect once started.
    #[must_use]
    pub fn connect_within(mut self, duration: Duration) -> Self {
        if let Some(engine) = &mut self.engine {
            engine.connect_within = duration;
        }
        self
    }

    /// Where others learn of the connection, when the service itself is given away.
    #[must_use]
    pub fn link(&self) -> Link<H> {
        self.link.clone()
    }

    /// [`Link::when_connected`].
    pub fn when_connected(&self) -> Deferred<H> {
        self.link.when_connected()
    }
}

impl<H, T> Service for ClientService<H, T>
where
    H: Clone + Send + 'static,
    T: Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    /// Begins to connect, and does not wait for it.
    ///
    /// # Errors
    /// When it runs already, or when its connect function has panicked before.
    async fn start(&mut self) -> Result<(), BoxError> {
        let mut engine = self.engine.take().ok_or("it runs already, or has panicked")?;
        engine.delays.reset();
        self.link.set(State::Offline);
        let (stop, stopping) = watch::channel(None);
        let task = tokio::spawn(engine.run(self.link.clone(), stopping));
        self.running = Some(Running { stop, task });
        Ok(())
    }

    /// Ends the try or the wait at once; a session may say goodbye until `deadline`.
    ///
    /// # Errors
    /// When the session had to be cut, or the connect function has panicked.
    async fn stop(&mut self, deadline: Instant) -> Result<(), BoxError> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.stop.send_replace(Some(deadline));
        let engine = (&mut running.task).await?;
        let cut = engine.cut;
        self.engine = Some(engine);
        if cut { Err("its session did not end in time and was cut".into()) } else { Ok(()) }
    }
}

impl<H, T> Engine<H, T>
where
    H: Clone + Send + 'static,
    T: Send + 'static,
{
    /// Connects and attends to sessions until told to stop, or until too many tries have failed.
    async fn run(mut self, link: Link<H>, mut stop: watch::Receiver<Option<Instant>>) -> Self {
        // However this ends, nobody shall wait for a connection any longer.
        let link = Last(link);
        self.cut = false;
        while let Some(connected) = until(&mut stop, self.connect()).await {
            let delay = match connected {
                Ok(transport) => self.attend(transport, &link.0, &mut stop).await,
                Err(error) => {
                    tracing::debug!(service = self.name, %error, "did not connect");
                    self.delays.next()
                }
            };
            let Some(delay) = delay else {
                let failed = self.delays.failed();
                tracing::error!(service = self.name, failed, "gives up connecting");
                break;
            };
            if until(&mut stop, sleep(delay)).await.is_none() {
                break;
            }
        }
        self
    }

    async fn connect(&mut self) -> Result<T, BoxError> {
        let within = self.connect_within;
        timeout(within, (self.connect)())
            .await
            .unwrap_or_else(|_elapsed| Err(format!("no connection within {within:?}").into()))
    }

    /// Runs one session to its end and tells how long to wait after it.
    async fn attend(
        &mut self,
        transport: T,
        link: &Link<H>,
        stop: &mut watch::Receiver<Option<Instant>>,
    ) -> Option<Duration> {
        let begin = Instant::now();
        let online = Online { link: link.clone(), stop: stop.clone() };
        let mut session = Deferred::spawn((self.session)(transport, online));
        let ended = tokio::select! {
            biased;
            ended = &mut session => Some(ended),
            deadline = stopping(stop) => timeout_at(deadline, session).await.ok(),
        };
        link.set(State::Offline);
        match ended {
            Some(Ok(Ok(()))) => tracing::debug!(service = self.name, "session ended"),
            Some(Ok(Err(error))) => tracing::debug!(service = self.name, %error, "session failed"),
            Some(Err(_abandoned)) => tracing::error!(service = self.name, "session panicked"),
            None => self.cut = true,
        }
        if begin.elapsed() >= self.steady {
            Some(self.delays.success())
        } else {
            self.delays.next()
        }
    }
}

/// The link as the loop holds it: over when the loop is.
struct Last<H>(Link<H>);

impl<H> Drop for Last<H> {
    fn drop(&mut self) {
        self.0.set(State::Over);
    }
}

/// Waits until there is a deadline, and gives it.
async fn stopping(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stop.wait_for(Option::is_some).await.map(|deadline| *deadline) {
        Ok(Some(deadline)) => deadline,
        // The service was dropped, and whoever asks is about to be.
        Ok(None) | Err(_) => Instant::now(),
    }
}

/// What `future` gives, unless there is to be a stop before.
async fn until<T>(
    stop: &mut watch::Receiver<Option<Instant>>,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _deadline = stopping(stop) => None,
        value = future => Some(value),
    }
}

impl<H> Clone for Link<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<H> fmt::Debug for Link<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.lock().state {
            State::Offline => "offline",
            State::Online(_) => "online",
            State::Over => "over",
        };
        f.debug_tuple("Link").field(&format_args!("{state}")).finish()
    }
}

impl<H> fmt::Debug for Online<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Online").field("link", &self.link).finish_non_exhaustive()
    }
}

impl<H, T> fmt::Debug for ClientService<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService")
            .field("name", &self.name)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
