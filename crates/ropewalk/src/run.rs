//! From settings to the end of the process: the runtime, the reactor, the signals.
//!
//! ```text
//!   open all sockets ─▶ pidfile, drop privileges ─▶ begin ─▶ ready ─▶ … signals … ─▶ drain ─▶ end
//!                                                              SIGHUP: reload; SIGUSR1: logs anew;
//!                                                              SIGUSR2: a new process takes over
//! ```
//! What belongs to the process is done by [`operations`](crate::operations), in this order.

use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::endpoint::{Bound, Registry};
use ropewalk_core::{BoxError, Connection, Factory, Peer, Reactor, Refusal, Workers};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, info, warn};

use crate::cli::Global;
use crate::config::Config;
use crate::control;
use crate::daemon::{Controls, Daemon, Source};
use crate::exit::{Code, Failure};
use crate::kind::Entry;
use crate::logfile::LogFile;
use crate::logging::Levels;
use crate::operations::{Process, Start};

/// What a process is to do.
pub(crate) struct Job {
    pub(crate) source: Source,
    pub(crate) kinds: Vec<Entry>,
    pub(crate) registry: Registry,
    pub(crate) global: Global,
    pub(crate) levels: Levels,
    /// Where it is to listen for what is asked of it.
    pub(crate) control: Option<PathBuf>,
    /// Whether it cannot do without.
    pub(crate) control_named: bool,
    /// What the process before has left.
    pub(crate) start: Start,
    /// Where it logs to, if not to standard error.
    pub(crate) log: Option<LogFile>,
}

impl Job {
    /// Runs the services of `config` until the end.
    ///
    /// # Errors
    /// When one of them does not start: then none has; or what a service has put as the end.
    pub(crate) fn run(self, config: Config) -> Result<(), Failure> {
        let globals = &config.globals;
        let process = Process::begin(globals, &config.place, &self.registry, self.start, self.log)?;
        let process = Arc::new(process);
        let plan = Plan {
            workers: globals.workers,
            grace: globals.grace,
            registry: self.registry.clone(),
        };
        // Who closes the terminal of a command typed there means to end it.
        let ends = matches!(self.source, Source::Options(_)) && io::stderr().is_terminal();
        let ended = plan.run_to_end(async |reactor: &Reactor, running| {
            let logs = (self.global, Some(self.levels));
            let registry = self.registry.clone();
            let daemon = Daemon::new(
                self.source,
                self.kinds,
                self.registry,
                logs,
                reactor.clone(),
                process.clone(),
            );
            let daemon = Arc::new(daemon);
            // From now on they do not end the process.
            let signals = Signals::new()?;
            let forced = tokio::spawn(second_signal(reactor.clone()));
            let several = |failures: Vec<Failure>| Failure::several(&failures);
            let opened = daemon.open(config).await.map_err(several)?;
            let control = open_control(self.control, self.control_named, &registry)?;
            process.bound()?;
            let ended = async {
                daemon.begin(opened).await.map_err(several)?;
                if let Some(control) = control {
                    // Not before: who is answered there finds all of it.
                    let control = control::serve(control, Controls(daemon.clone())).await?;
                    daemon.controlled_by(control);
                }
                process.ready(&registry)?;
                let reopening = tokio::spawn(reopen_logs(process.clone(), signals.reopen));
                tokio::spawn(daemon.clone().close_when_stopping());
                let others = (signals.hangup, signals.upgrade);
                let running = async {
                    let ended = running.await;
                    if ended.is_err() {
                        // What attends to it must end, too.
                        reactor.stop().await;
                    }
                    ended
                };
                let (ended, ()) = tokio::join!(running, attend(&daemon, &process, others, ends));
                ended?;
                let ended = tokio::select! {
                    ended = daemon.end() => ended,
                    _ = forced => Ok(()),
                };
                reopening.abort();
                ended
            };
            let ended = ended.await;
            // Last: who asked for the end waits for this.
            daemon.end_control().await;
            ended
        });
        process.end();
        ended
    }
}

/// Opens the control socket. One that was not asked for by name may be missing.
fn open_control(
    path: Option<PathBuf>,
    named: bool,
    registry: &Registry,
) -> Result<Option<Bound>, Failure> {
    let Some(path) = path else { return Ok(None) };
    match control::bind(&path, registry) {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if named || error.kind() == io::ErrorKind::AddrInUse => {
            let what = format!("{error}; or name another with [control] socket, or --control");
            Err(Failure::new(Failure::bind(&error).code(), what))
        }
        Err(error) => {
            warn!(
                "{error}: `ropewalk reload`, `status`, `stop` and `upgrade` will not reach this \
                 process"
            );
            Ok(None)
        }
    }
}

/// Waits for the signal that means *at once*: one that comes when the end has begun.
async fn second_signal(reactor: Reactor) {
    let listen = |kind| signal(kind).ok();
    let (Some(mut terminate), Some(mut interrupt)) =
        (listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        // In this order: a first signal has been seen here when the reactor begins to stop by it.
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = reactor.stopping() => {}
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The signals that are attended to while it runs.
struct Signals {
    hangup: Signal,
    reopen: Signal,
    upgrade: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

/// Opens logs anew whenever SIGUSR1 comes, also while connections end.
async fn reopen_logs(process: Arc<Process>, mut signals: Signal) {
    while signals.recv().await.is_some() {
        debug!("SIGUSR1: logs are opened anew");
        process.logs().reopen();
    }
}

/// Attends to SIGHUP, to SIGUSR2 and to the watchdog until the reactor begins to stop, and says so to
/// the service manager. What comes of signals is logged.
async fn attend(
    daemon: &Arc<Daemon>,
    process: &Process,
    (mut hangups, mut upgrades): (Signal, Signal),
    ends: bool,
) {
    let reactor = daemon.reactor().clone();
    let mut stopping = pin!(reactor.stopping());
    let mut watchdog = pin!(async {
        match process.notify() {
            Some(notify) => notify.watchdog(&reactor).await,
            None => std::future::pending().await,
        }
    });
    loop {
        tokio::select! {
            () = &mut stopping => break,
            () = &mut watchdog => {}
            _ = hangups.recv() => {
                if ends {
                    info!("SIGHUP: stopping");
                    let reactor = reactor.clone();
                    tokio::spawn(async move { reactor.stop().await });
                    continue;
                }
                info!("SIGHUP: reloading");
                let daemon = daemon.clone();
                // In a task of its own, lest the watchdog wait for it. It logs what comes of it.
                tokio::spawn(async move { drop(daemon.reload().await) });
            }
            _ = upgrades.recv() => {
                info!("SIGUSR2: starting a new process");
                let daemon = daemon.clone();
                tokio::spawn(async move { drop(daemon.upgrade().await) });
            }
        }
    }
    if let Some(notify) = process.notify() {
        notify.stopping();
    }
}

/// How services are run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Worker threads that accept each for itself; `None` leaves it to the reactor's default.
    pub workers: Option<NonZeroUsize>,
    /// For how long busy connections may go on after the first SIGTERM.
    pub grace: Duration,
    /// What endpoints may name.
    pub registry: Registry,
}

impl Plan {
    /// Has `start` set up what is to run in a reactor, then runs that until SIGTERM or SIGINT, and
    /// returns when all has ended. A signal that comes while `start` is at work is not lost.
    ///
    /// # Errors
    /// Those of `start`, and when there can be no runtime.
    pub fn run<T>(
        self,
        start: impl AsyncFnOnce(&Reactor) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.run_to_end(async |reactor, running| {
            let started = start(reactor).await?;
            running.await?;
            Ok(started)
        })
    }

    /// As [`run`](Self::run), with the end of the reactor as a future: what comes after it is awaited.
    fn run_to_end<T>(
        self,
        run: impl AsyncFnOnce(&Reactor, Ending<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        raise_open_files();
        let workers = self.workers.map_or_else(Workers::default, |n| Workers::PerCore(n.get()));
        let runtime = runtime(workers)
            .map_err(|error| Failure::new(Code::Os, format!("cannot start threads: {error}")))?;
        let result = runtime.block_on(async {
            let reactor = Reactor::builder()
                .workers(workers)
                .grace(self.grace)
                .registry(self.registry)
                .build()?;
            let mut running = pin!(reactor.run());
            // From its first step on it hears signals.
            let first = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await;
            let ended = async {
                match first {
                    Poll::Ready(ended) => ended,
                    Poll::Pending => running.await,
                }
            };
            run(&reactor, Box::pin(ended)).await
        });
        // A read of standard input holds a thread that nothing can wake.
        runtime.shutdown_background();
        result
    }
}

/// The end of a reactor.
type Ending<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

/// The runtime that fits: workers of their own leave only signals and timers to this one.
fn runtime(workers: Workers) -> io::Result<Runtime> {
    let mut builder = match workers {
        Workers::Shared => Builder::new_multi_thread(),
        Workers::PerCore(_) => Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

/// How many descriptors this process may have open, as far as that is limited.
#[must_use]
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the soft limit of open files to the hard one: each connection takes one or two.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "the limit of open files stays as it is");
    }
}

/// Stops the reactor when a connection has ended: for endpoints that have only one.
#[derive(Debug)]
pub struct Once<F> {
    inner: F,
    reactor: Reactor,
}

impl<F> Once<F> {
    /// `inner`, whose first connection is the last.
    #[must_use]
    pub fn new(inner: F, reactor: Reactor) -> Self {
        Self { inner, reactor }
    }
}

impl<F: Factory> Factory for Once<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        let reactor = self.reactor.clone();
        // Held until the connection has ended, whatever ends it.
        peer.hold(Stop(reactor));
        self.inner.build(peer)
    }

    async fn serve(&self, connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        self.inner.serve(connection).await
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        self.inner.refusal(why)
    }
}

/// Stops a reactor when dropped.
struct Stop(Reactor);

impl Drop for Stop {
    fn drop(&mut self) {
        let reactor = self.0.clone();
        // Not spawned in the reactor: that would wait for itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { reactor.stop().await });
        }
    }
}
