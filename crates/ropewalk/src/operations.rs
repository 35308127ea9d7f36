//! The process around services: who it is, what names it, who is told of it, and how it is replaced.
//!
//! ```text
//!  Start ─▶ begin ─▶ bind everything ─▶ bound ─▶ accept ─▶ ready ─▶ … reloads, upgrade … ─▶ end
//!   │         │                           │                  └ READY=1; the old process may go
//!   │         │                           └ pidfile written, privileges dropped, then logs opened
//!   │         └ the user looked up; the pidfile locked; what an old process leaves put in its place
//!   └ what an old process leaves
//! ```
//!
//! `ropewalk run` and the commands of services call these in order; the modules that do the work are
//! [`privileges`], [`pidfile`](crate::pidfile), [`notify`](crate::notify), [`logfile`](crate::logfile), [`metrics`](crate::metrics) and
//! [`upgrade`], and can be used without this one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use ropewalk_core::Reactor;
use ropewalk_core::endpoint::{Handed, Registry};
use tracing::{debug, info, warn};

use crate::config::Globals;
use crate::exit::{Code, Failure};
use crate::logfile::{LogFile, Logs, Writer};
use crate::notify::Notify;
use crate::pidfile::Pidfile;
use crate::privileges::{self, Identity};
use crate::problem::Place;
use crate::upgrade::{self, Attempt, Estate, Heir, Launch};
use crate::values;

/// Options of what the process does beside serving. What is given stands before what a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Process")]
pub struct Options {
    /// Become this user, by name or number, when all ports are open; for root only
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The group to go with the user, by name or number [default: the user's own]
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Write the process id to this file, and start only if no living process holds it
    #[arg(long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Answer GET /metrics with figures for Prometheus here, as in 127.0.0.1:9090
    #[arg(long, value_name = "ENDPOINT")]
    pub metrics: Option<String>,
    /// The program that an upgrade starts [default: what lies where this one was started from]
    #[arg(long, value_name = "FILE")]
    pub upgrade_program: Option<PathBuf>,
    /// For how many seconds a new process may make itself ready in an upgrade [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub upgrade_timeout: Option<Duration>,
}

impl Options {
    /// Puts what is given in the place of what is there.
    pub fn over(&self, globals: &mut Globals) {
        fn put<T: Clone>(place: &mut Option<T>, given: Option<&T>) {
            if given.is_some() {
                *place = given.cloned();
            }
        }
        put(&mut globals.user, self.user.as_ref());
        put(&mut globals.group, self.group.as_ref());
        put(&mut globals.pidfile, self.pidfile.as_ref());
        put(&mut globals.metrics.listen, self.metrics.as_ref());
        put(&mut globals.upgrade.program, self.upgrade_program.as_ref());
        globals.upgrade.timeout = self.upgrade_timeout.unwrap_or(globals.upgrade.timeout);
    }

    /// With paths that stay the same when the working directory changes.
    #[must_use]
    pub fn absolute(mut self) -> Self {
        for path in [&mut self.pidfile, &mut self.upgrade_program].into_iter().flatten() {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        self
    }
}

/// How this process was started, and what one before it has left. The first thing to be made, before
/// the working directory changes.
#[derive(Debug)]
pub struct Start {
    launch: Option<Launch>,
    heir: Option<Arc<Heir>>,
    estate: Estate,
}

impl Start {
    /// Does `f` with it; if that fails, the process before this one, which goes on then, is told why.
    ///
    /// # Errors
    /// Those of `f`, and when what is left cannot be taken over.
    pub fn with(f: impl FnOnce(Self) -> Result<(), Failure>) -> Result<(), Failure> {
        let launch = Launch::same().inspect_err(|error| debug!(%error, "no upgrades")).ok();
        let (heir, estate) = Heir::from_environment()?.unzip();
        let (heir, estate) = (heir.map(Arc::new), estate.unwrap_or_default());
        let done = f(Self { launch, heir: heir.clone(), estate });
        if let (Err(failure), Some(heir)) = (&done, heir) {
            heir.failed(failure);
        }
        done
    }
}

/// The running process. The default has nobody to tell, and logs to standard error.
#[derive(Debug, Default)]
pub struct Process {
    identity: Option<Identity>,
    notify: Notify,
    launch: Option<Launch>,
    heir: Mutex<Option<Arc<Heir>>>,
    upgrading: AtomicBool,
    /// Another process has taken over.
    handed_over: AtomicBool,
    pidfile: Mutex<Option<Pidfile>>,
    logs: Logs,
    /// What is logged of the process itself.
    log: Option<LogFile>,
    writer: Mutex<Option<Arc<Writer>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done where it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// To be called on the main thread, before any other is started. What an old process leaves goes
    /// to `registry`, which endpoints are bound with; `place` is where `globals` come from, and `log`
    /// where this process logs to, if not to standard error.
    ///
    /// # Errors
    /// When a setting makes no sense, or another instance holds the pidfile.
    pub fn begin(
        globals: &Globals,
        place: &Place,
        registry: &Registry,
        start: Start,
        log: Option<LogFile>,
    ) -> Result<Self, Failure> {
        let Start { launch, heir, estate } = start;
        estate.sockets.into_iter().for_each(|handed| registry.inherit(handed));
        let identity = identity(globals, place)?;
        if let Some(identity) = &identity {
            identity.prepare()?;
        }
        let pidfile = own_pidfile(globals.pidfile.as_deref(), estate.pidfile)?;
        let logs = Logs::default();
        if let Some(log) = &log {
            logs.adopt("log", log.clone());
        }
        Ok(Self {
            identity,
            notify: Notify::from_environment(),
            launch,
            heir: Mutex::new(heir),
            upgrading: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            pidfile: Mutex::new(pidfile),
            logs,
            log,
            writer: Mutex::default(),
        })
    }

    /// Everything is bound, and nothing accepted yet: writes the pidfile, drops privileges, opens the
    /// log.
    ///
    /// # Errors
    /// When any of that fails: nothing must be served then.
    pub fn bound(&self) -> Result<(), Failure> {
        // In an upgrade it is the old process's until this one serves.
        if lock(&self.heir).is_none() {
            self.write_pidfile()?;
        }
        if let Some(identity) = &self.identity {
            identity.assume()?;
            debug!(user = identity.name(), "privileges dropped");
        }
        if let Some(log) = &self.log {
            *lock(&self.writer) = Some(self.logs.open(log)?);
        }
        Ok(())
    }

    fn write_pidfile(&self) -> Result<(), Failure> {
        let mut pidfile = lock(&self.pidfile);
        let Some(pidfile) = &mut *pidfile else { return Ok(()) };
        pidfile.write().map_err(|error| {
            let what = format!("pidfile {}: {error}", pidfile.path().display());
            Failure::new(Code::CantCreate, what)
        })
    }

    /// Everything is served: tells those who wait for it.
    ///
    /// # Errors
    /// When the pidfile that an old process has left cannot be written.
    pub fn ready(&self, registry: &Registry) -> Result<(), Failure> {
        if self.identity.is_none() && privileges::is_root() {
            warn!("it runs as root: name an unprivileged user with --user, or the key `user`");
        }
        let heir = lock(&self.heir).take();
        match heir {
            None => self.notify.ready(),
            Some(heir) => {
                self.write_pidfile()?;
                // The service manager knows already that the service is ready, and hears from the old
                // process who is the main one now.
                heir.ready();
                info!("taken over from the process before");
            }
        }
        // Not before: what fails until then leaves everything to the old process.
        for handed in registry.unclaimed() {
            warn!("nobody listens on {} any more; who waits there is turned away", handed.name);
        }
        Ok(())
    }

    /// Who is told how things are; nobody any more when another process has taken over, which is for
    /// that one to do then.
    #[must_use]
    pub fn notify(&self) -> Option<&Notify> {
        (!self.has_handed_over()).then_some(&self.notify)
    }

    /// All logs in files.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Whether another process has taken over.
    #[must_use]
    pub fn has_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Starts a new process, hands it `sockets` and the pidfile, and waits until it is ready: its id.
    /// Until then, and if it never is, this one goes on. A reactor that begins to stop meanwhile ends
    /// the new process, too.
    ///
    /// # Errors
    /// When there is an upgrade under way or done, when something cannot be handed over, or the new
    /// process does not become ready; the message says why.
    pub async fn upgrade(
        &self,
        settings: &upgrade::Settings,
        sockets: Vec<Handed>,
        reactor: &Reactor,
    ) -> Result<u32, Failure> {
        let unavailable = |what: &str| Failure::new(Code::Unavailable, what);
        if self.has_handed_over() {
            return Err(unavailable("another process has taken over already"));
        }
        if self.upgrading.swap(true, Ordering::AcqRel) {
            return Err(unavailable("an upgrade is under way"));
        }
        let started = self.start_next(settings, sockets, reactor).await;
        self.upgrading.store(false, Ordering::Release);
        if let Err(failure) = started {
            // Its change tells those who ask by the pidfile that nothing has come of it.
            if let Err(error) = self.write_pidfile() {
                warn!("{error}");
            }
            return Err(failure);
        }
        if let Ok(pid) = started {
            self.notify.main_pid(pid);
            self.handed_over.store(true, Ordering::Release);
            if let Some(pidfile) = lock(&self.pidfile).take() {
                pidfile.leave();
            }
            info!(pid, "a new process has taken over; this one ends with its connections");
        }
        started
    }

    async fn start_next(
        &self,
        settings: &upgrade::Settings,
        sockets: Vec<Handed>,
        reactor: &Reactor,
    ) -> Result<u32, Failure> {
        let unavailable = |what: &str| Failure::new(Code::Unavailable, what);
        let Some(launch) = &self.launch else {
            return Err(unavailable("the system does not tell what this program is"));
        };
        let pidfile = match &*lock(&self.pidfile) {
            Some(pidfile) => Some((pidfile.path().to_owned(), pidfile.copy()?)),
            None => None,
        };
        let estate = Estate { sockets, pidfile };
        let attempt = Attempt::launch(&launch.clone().with_program(settings.program.as_deref()))?;
        let (give_up, patience) = (attempt.give_up()?, settings.timeout);
        let mut handing = tokio::task::spawn_blocking(move || attempt.hand_over(estate, patience));
        let handed = tokio::select! {
            handed = &mut handing => handed,
            () = reactor.stopping() => {
                give_up.give_up();
                handing.await
            }
        };
        handed.map_err(|_| unavailable("the handover was broken off"))?
    }

    /// The last thing to be called: the pidfile goes, and the log is written to its end.
    pub fn end(&self) {
        lock(&self.pidfile).take();
        lock(&self.writer).take();
    }
}

/// Whom settings name.
///
/// # Errors
/// As [`privileges::Settings::identity`], with the place.
pub(crate) fn identity(globals: &Globals, place: &Place) -> Result<Option<Identity>, Failure> {
    globals.privileges().identity().map_err(|failure| {
        let key = if globals.user.is_some() { "user" } else { "group" };
        place.failure(key, failure.code(), failure.to_string())
    })
}

/// The pidfile that is asked for: that of the process before, if it has the same, or a new one.
fn own_pidfile(
    path: Option<&Path>,
    inherited: Option<(PathBuf, std::os::fd::OwnedFd)>,
) -> Result<Option<Pidfile>, Failure> {
    let Some(path) = path else { return Ok(None) };
    match inherited {
        Some((before, file)) if std::path::absolute(path).is_ok_and(|path| path == before) => {
            Ok(Some(Pidfile::inherit(before, file)))
        }
        _ => Pidfile::lock(path).map(Some),
    }
}
