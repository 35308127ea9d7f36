//! The process around services: who it is, what names it, who is told of it, and how it is replaced.
//!
//! ```text
//!  begin ─▶ bind everything ─▶ bound ─▶ serve ─▶ ready ─▶ attend, beside the reactor ─▶ drop
//!    │                           │                 │        └ SIGUSR1, SIGUSR2, watchdog, the end
//!    │                           │                 └ metrics served, READY=1, the old process may go
//!    │                           └ privileges dropped, then logs opened
//!    └ what an old process leaves; the user looked up; the pidfile; metrics bound
//! ```
//!
//! [`Plan::run`](crate::run::Plan::run) calls these in order; the modules that do the work are
//! [`privileges`], [`pidfile`], [`notify`](crate::notify), [`logfile`], [`metrics`] and [`upgrade`], and
//! can be used without this one.

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ropewalk_core::endpoint::{Bound, Registry};
use ropewalk_core::{Endpoint, Protocol, Reactor};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info, warn};

use crate::exit::{Code, Failure};
use crate::guard;
use crate::logfile::{self, LogFile};
use crate::metrics::{self, Metrics};
use crate::notify::Notify;
use crate::pidfile::{self, Pidfile};
use crate::privileges::{self, Identity};
use crate::upgrade::{self, Attempt, Estate, GiveUp, Heir, Launch};

/// For how long after a handover idle connections may ask once more.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Options of all that serves.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Process")]
pub struct Options {
    /// Become this user, by name or number, when all ports are open; for root only
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The group to go with --user, by name or number [default: the user's own]
    #[arg(long, value_name = "GROUP", requires = "user")]
    pub group: Option<String>,
    /// Write the process id to this file, and start only if no living process holds it
    #[arg(long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Answer GET /metrics with figures for Prometheus here, as in 127.0.0.1:9090
    #[arg(long, value_name = "ENDPOINT")]
    pub metrics: Option<String>,
}

impl Options {
    /// What they mean.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            privileges: privileges::Settings { user: self.user.clone(), group: self.group.clone() },
            pidfile: pidfile::Settings { path: self.pidfile.clone() },
            metrics: metrics::Settings { listen: self.metrics.clone() },
            ..Settings::default()
        }
    }
}

/// All that can be set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whom to become.
    pub privileges: privileges::Settings,
    /// The pidfile.
    pub pidfile: pidfile::Settings,
    /// Where figures can be asked for.
    pub metrics: metrics::Settings,
    /// How it is replaced.
    pub upgrade: upgrade::Settings,
    /// The logs in files, by the names that metrics have for them.
    pub logs: Vec<(&'static str, LogFile)>,
}

/// The running process. To be dropped last: the pidfile goes, and the logs are written to their end.
#[derive(Debug)]
pub struct Process {
    identity: Option<Identity>,
    notify: Notify,
    metrics: Option<Metrics>,
    metrics_bound: Mutex<Option<Bound>>,
    launch: Option<Launch>,
    patience: Duration,
    workers: usize,
    registry: Registry,
    heir: Mutex<Option<Heir>>,
    upgrading: AtomicBool,
    /// What ends an upgrade under way.
    attempt: Mutex<Option<GiveUp>>,
    /// Another process has taken over.
    handed_over: AtomicBool,
    // Dropped in this order: what is kept may still write to a log.
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    pidfile: Mutex<Option<Pidfile>>,
    logs: Vec<LogFile>,
    writers: Mutex<Vec<logfile::Writer>>,
}

/// The signals that [`Process::attend`] attends to. Made early, since they end a process that does not
/// listen.
#[derive(Debug)]
pub struct Signals {
    reopen: Signal,
    upgrade: Signal,
}

impl Signals {
    /// Begins to listen, in the present runtime.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn new() -> io::Result<Self> {
        let reopen = signal(SignalKind::user_defined1())?;
        Ok(Self { reopen, upgrade: signal(SignalKind::user_defined2())? })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done where it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// The first thing to be done, on the main thread, before any other is started. What an old process
    /// leaves goes to `registry`, which endpoints are bound with. `workers` is the number of those with
    /// sockets of their own, 0 if none has.
    ///
    /// # Errors
    /// When a setting makes no sense, another instance holds the pidfile, or the place for metrics
    /// cannot be listened on.
    pub fn begin(settings: Settings, registry: &Registry, workers: usize) -> Result<Self, Failure> {
        let (heir, estate) = Heir::from_environment()?.unzip();
        let begun = Self::begin_with(settings, registry, workers, estate.unwrap_or_default());
        match (begun, heir) {
            (Ok(process), heir) => {
                *lock(&process.heir) = heir;
                Ok(process)
            }
            (Err(failure), heir) => {
                if let Some(heir) = heir {
                    heir.failed(&failure);
                }
                Err(failure)
            }
        }
    }

    fn begin_with(
        settings: Settings,
        registry: &Registry,
        workers: usize,
        estate: Estate,
    ) -> Result<Self, Failure> {
        let Settings { privileges, pidfile, metrics, upgrade, logs } = settings;
        estate.sockets.into_iter().for_each(|handed| registry.inherit(handed));
        let identity = privileges.identity()?;
        if let Some(identity) = &identity {
            identity.prepare()?;
        }
        let pidfile = own_pidfile(pidfile.path, estate.pidfile)?;
        let endpoint = metrics.endpoint("--metrics", registry)?;
        let bound = endpoint.as_ref().map(Endpoint::bind).transpose();
        let bound = bound.map_err(|error| Failure::new(Code::of(&error), error.to_string()))?;
        let metrics = bound.is_some().then(Metrics::new);
        if let Some(metrics) = &metrics {
            logs.iter().for_each(|(name, log)| metrics.log(name, log.clone()));
        }
        let launch = Launch::same(upgrade.program.as_deref());
        Ok(Self {
            identity,
            notify: Notify::from_environment(),
            metrics,
            metrics_bound: Mutex::new(bound),
            launch: launch.inspect_err(|error| debug!(%error, "no upgrades")).ok(),
            patience: Duration::from_secs(upgrade.timeout),
            workers,
            registry: registry.clone(),
            heir: Mutex::default(),
            upgrading: AtomicBool::new(false),
            attempt: Mutex::default(),
            handed_over: AtomicBool::new(false),
            kept: Mutex::default(),
            pidfile: Mutex::new(pidfile),
            logs: logs.into_iter().map(|(_, log)| log).collect(),
            writers: Mutex::default(),
        })
    }

    /// Everything is bound, and nothing accepted yet: opens the sockets of all workers, drops
    /// privileges, opens the logs.
    ///
    /// # Errors
    /// When any of that fails: nothing must be served then.
    pub fn bound(&self, bound: &mut [Bound]) -> Result<(), Failure> {
        if self.workers > 0 {
            let mut own = lock(&self.metrics_bound);
            for bound in bound.iter_mut().chain(own.as_mut()) {
                bound.spread(self.workers).map_err(|error| Failure::bind(&error))?;
            }
        }
        if let Some(identity) = &self.identity {
            identity.assume()?;
            debug!(user = identity.name(), "privileges dropped");
        }
        for log in &self.logs {
            lock(&self.writers).push(log.open()?);
        }
        Ok(())
    }

    /// What is counted, if anything is.
    #[must_use]
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Counts the connections of a listener, if that is asked for; else `factory` as it is.
    #[must_use]
    pub fn watch<P: Protocol + Send + 'static>(
        &self,
        service: &str,
        listener: &str,
        factory: guard::Any<P>,
    ) -> guard::Any<P> {
        match &self.metrics {
            Some(metrics) => metrics.watch(service, listener, factory),
            None => factory,
        }
    }

    /// Who is told how things are.
    #[must_use]
    pub fn notify(&self) -> &Notify {
        &self.notify
    }

    /// Keeps something until the process is dropped, and drops it before the logs end: what writes to
    /// one, say.
    pub fn keep(&self, something: impl Any + Send) {
        lock(&self.kept).push(Box::new(something));
    }

    /// Everything is served: serves the figures, too, and tells those who wait for it.
    ///
    /// # Errors
    /// When the figures cannot be served.
    pub async fn ready(&self, reactor: &Reactor) -> Result<(), Failure> {
        let bound = lock(&self.metrics_bound).take();
        if let (Some(bound), Some(metrics)) = (bound, &self.metrics) {
            let listening = reactor.serve(bound, metrics.server()).await?;
            for address in listening.locals() {
                info!("figures at {address}, path /metrics");
            }
        }
        for handed in self.registry.unclaimed() {
            warn!("nobody listens on {} any more; who waits there is turned away", handed.name);
        }
        if self.identity.is_none() && privileges::is_root() {
            warn!("it runs as root: name an unprivileged user with --user");
        }
        let heir = lock(&self.heir).take();
        match heir {
            Some(heir) => {
                if let Some(pidfile) = &mut *lock(&self.pidfile) {
                    let path = pidfile.path().to_owned();
                    pidfile.write().map_err(|error| {
                        let what = format!("pidfile {}: {error}", path.display());
                        Failure::new(Code::CantCreate, what)
                    })?;
                }
                // The service manager knows already that the service is ready, and hears from the old
                // process who is the main one now.
                heir.ready();
                info!("taken over from the process before");
            }
            None => self.notify.ready(),
        }
        Ok(())
    }

    /// Nothing has come of it: tells the process that this one was to replace.
    pub fn failed(&self, failure: &Failure) {
        if let Some(heir) = lock(&self.heir).take() {
            heir.failed(failure);
        }
    }

    /// Attends to signals and to the watchdog until the reactor stops, and says so to the service
    /// manager. To be awaited beside [`Reactor::run`].
    pub async fn attend(&self, reactor: &Reactor, mut signals: Signals) {
        let mut watchdog = pin!(self.notify.watchdog(reactor));
        let mut stopping = pin!(reactor.stopping());
        let none = || Box::pin(std::future::pending()) as Pin<Box<dyn Future<Output = ()> + Send>>;
        let mut upgrade: Pin<Box<dyn Future<Output = ()> + Send + '_>> = none();
        let mut upgrades = false;
        loop {
            tokio::select! {
                () = &mut stopping => break,
                () = &mut watchdog => {}
                () = &mut upgrade => (upgrade, upgrades) = (none(), false),
                _ = signals.reopen.recv() => self.reopen_logs(),
                _ = signals.upgrade.recv(), if !upgrades => {
                    info!("SIGUSR2: starting a new process");
                    let upgrading = async {
                        if let Err(failure) = self.upgrade(reactor).await {
                            error!("no upgrade, it goes on as before: {failure}");
                        }
                    };
                    (upgrade, upgrades) = (Box::pin(upgrading), true);
                }
            }
        }
        if !self.handed_over.load(Ordering::Acquire) {
            self.notify.stopping();
        }
        if upgrades {
            if let Some(attempt) = &*lock(&self.attempt) {
                attempt.give_up();
            }
            upgrade.await;
        }
    }

    /// Opens all logs in files anew.
    pub fn reopen_logs(&self) {
        debug!(logs = self.logs.len(), "logs are opened anew");
        self.logs.iter().for_each(LogFile::reopen);
    }

    /// Starts a new process, hands it what is listened on, and retires when it is ready: returns its id
    /// when all connections have ended. Until it is ready, and if it never is, this one goes on.
    ///
    /// # Errors
    /// When there is an upgrade under way, when something cannot be handed over, or the new process
    /// does not become ready; the message says why.
    pub async fn upgrade(&self, reactor: &Reactor) -> Result<u32, Failure> {
        if self.upgrading.swap(true, Ordering::AcqRel) {
            return Err(Failure::new(Code::Unavailable, "an upgrade is under way"));
        }
        let started = self.start_next(reactor).await;
        lock(&self.attempt).take();
        self.upgrading.store(false, Ordering::Release);
        let pid = match started {
            Ok(pid) => pid,
            Err(failure) => {
                if let Some(pidfile) = &mut *lock(&self.pidfile)
                    && let Err(error) = pidfile.write()
                {
                    warn!(%error, "the pidfile cannot be written");
                }
                return Err(failure);
            }
        };
        self.notify.main_pid(pid);
        self.handed_over.store(true, Ordering::Release);
        if let Some(pidfile) = lock(&self.pidfile).take() {
            pidfile.leave();
        }
        info!(pid, "a new process has taken over; this one ends with its connections");
        reactor.retire(LAST_REQUESTS).await;
        Ok(pid)
    }

    async fn start_next(&self, reactor: &Reactor) -> Result<u32, Failure> {
        let unavailable = |what: &str| Failure::new(Code::Unavailable, what);
        let Some(launch) = &self.launch else {
            return Err(unavailable("the system does not tell what this program is"));
        };
        let pidfile = match &*lock(&self.pidfile) {
            Some(pidfile) => Some((pidfile.path().to_owned(), pidfile.copy()?)),
            None => None,
        };
        let estate = Estate { sockets: reactor.sockets()?, pidfile };
        let attempt = Attempt::launch(launch)?;
        *lock(&self.attempt) = Some(attempt.give_up()?);
        let patience = self.patience;
        let handing = tokio::task::spawn_blocking(move || attempt.hand_over(estate, patience));
        handing.await.map_err(|_| unavailable("the handover was broken off"))?
    }
}

/// The pidfile that is asked for: that of the process before, if it has the same, or a new one.
fn own_pidfile(
    path: Option<PathBuf>,
    inherited: Option<(PathBuf, std::os::fd::OwnedFd)>,
) -> Result<Option<Pidfile>, Failure> {
    let Some(path) = path else { return Ok(None) };
    match inherited {
        Some((before, file)) if std::path::absolute(&path).is_ok_and(|path| path == before) => {
            Ok(Some(Pidfile::inherit(before, file)))
        }
        _ => Pidfile::take(&path).map(Some),
    }
}
