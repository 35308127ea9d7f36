//! What runs: services with their sockets, and how they are given new settings.
//!
//! ```text
//!   Config ──▶ Stage ──▶ Draft ──▶ begun ──▶ running ◀─────────────┐
//!                │                   │                              │ SIGHUP, `ropewalk reload`:
//!                └ problems          └ an error: nothing is begun   │ Config ──▶ Stage ──▶ …
//! ```
//! On a reload, whatever listens at the same address gets the socket that is open, so no connection is
//! refused meanwhile: a second accept loop begins on it, with the new settings, and the first one ends.
//! Connections stay with the settings they began with. What is gone from the file drains.

mod handler;
mod running;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ropewalk_core::Reactor;
use ropewalk_core::endpoint::Registry;
use ropewalk_core::factory::Tally;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::cli::Global;
use crate::config::{Config, Globals};
use crate::exit::{Code, Failure};
use crate::kind::Entry;
use crate::logging::{self, Levels, NOTICE};
use crate::problem::Place;
use crate::stage::{Draft, Ending, Scene, Stage};
use crate::status::Status;
use running::{Retired, Running, Served};

pub(crate) use handler::Controls;

/// How long work may take to end when all connections have.
const WORK: Duration = Duration::from_secs(10);

/// Where settings come from, each time anew.
#[derive(Debug)]
pub(crate) enum Source {
    /// The command line, which stays as it is; certificates may change.
    Options(Box<Config>),
    /// A file, by its absolute path.
    File(PathBuf),
}

/// All that runs in a process.
pub(crate) struct Daemon {
    source: Source,
    kinds: Vec<Entry>,
    registry: Registry,
    global: Global,
    levels: Option<Levels>,
    reactor: Reactor,
    ending: Ending,
    begun: Instant,
    /// One reload at a time.
    state: tokio::sync::Mutex<State>,
    /// For those who only look; replaced by each reload.
    shown: Mutex<Shown>,
    reloads: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct State {
    globals: Globals,
    running: Vec<Running>,
    /// Counts of connections, which outlive settings.
    tallies: HashMap<String, Tally>,
    /// What has no successor, while it ends.
    retiring: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shown {
    services: Vec<running::View>,
    retired: Vec<Arc<Retired>>,
}

impl Source {
    /// What is to run.
    pub(crate) fn read(&self, kinds: &[Entry]) -> Result<Config, Vec<Failure>> {
        match self {
            Self::Options(config) => Ok(Config::clone(config)),
            Self::File(path) => Config::read(path, kinds),
        }
    }
}

/// What is wrong with a configuration, besides what was found when it was read: nothing is opened.
pub(crate) fn rehearse(config: &Config, registry: &Registry) -> Vec<Failure> {
    let scene = Scene {
        registry: registry.clone(),
        rehearsal: true,
        workers: 0,
        limits: config.globals.limits.clone(),
        services: config.services.len(),
        wire: false,
        open: Vec::new(),
        seen: HashSet::new(),
        ending: Ending::default(),
    };
    let mut problems = log_problem(config);
    problems.extend(set(config, scene, &HashMap::new()).err().unwrap_or_default());
    problems
}

/// Levels that cannot be understood.
fn log_problem(config: &Config) -> Vec<Failure> {
    let understood = config.globals.log.level.as_deref().map_or(Ok(()), logging::check);
    let failure = |what: String| config.place.failure("log.level", Code::Config, what);
    understood.map_err(failure).err().into_iter().collect()
}

/// Puts all services on a stage.
fn set(
    config: &Config,
    scene: Scene,
    tallies: &HashMap<String, Tally>,
) -> Result<Vec<Draft>, Vec<Failure>> {
    let mut stage = Stage::new(scene);
    let mut drafts = Vec::new();
    let mut problems = Vec::new();
    for service in &config.services {
        let tally = tallies.get(&service.name).cloned().unwrap_or_default();
        stage.enter(&service.name, &service.place, tally);
        let started = service.settings.start(&mut stage);
        problems.extend(stage.problems());
        if let Err(failure) = started {
            problems.push(match &service.place {
                Place::Options => failure,
                place => place.failure("", failure.code(), failure.to_string()),
            });
        }
        drafts.push(stage.enter("", &Place::Options, Tally::default()));
    }
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

impl Daemon {
    pub(crate) fn new(
        source: Source,
        kinds: Vec<Entry>,
        registry: Registry,
        (global, levels): (Global, Option<Levels>),
        reactor: Reactor,
    ) -> Self {
        Self {
            source,
            kinds,
            registry,
            global,
            levels,
            reactor,
            ending: Ending::default(),
            begun: Instant::now(),
            state: tokio::sync::Mutex::default(),
            shown: Mutex::default(),
            reloads: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Opens all sockets and all that services need: what may need privileges. Nothing is accepted.
    pub(crate) async fn open(&self, config: Config) -> Result<Opened, Vec<Failure>> {
        let mut state = self.state.lock().await;
        let drafts = self.stage(&mut state, &config).await?;
        Ok(Opened { config, drafts })
    }

    /// Begins what was opened.
    pub(crate) async fn begin(&self, opened: Opened) -> Result<(), Vec<Failure>> {
        let mut state = self.state.lock().await;
        for line in self.exchange(&mut state, opened).await? {
            info!(target: NOTICE, "{line}");
        }
        Ok(())
    }

    /// Reads everything again. What is returned has been logged as well.
    pub(crate) async fn reload(&self) -> Result<Vec<String>, Vec<Failure>> {
        let mut state = self.state.lock().await;
        let result = self.reload_in(&mut state).await;
        match &result {
            Ok(said) => {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                for line in said {
                    info!(target: NOTICE, "{line}");
                }
            }
            Err(failures) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                for failure in failures {
                    error!("not reloaded: {failure}");
                }
            }
        }
        result
    }

    async fn reload_in(&self, state: &mut State) -> Result<Vec<String>, Vec<Failure>> {
        if self.reactor.is_stopping() {
            return Err(vec![Failure::new(Code::Unavailable, "it is stopping")]);
        }
        let config = self.source.read(&self.kinds)?;
        let problems = log_problem(&config);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut said = vec!["reloaded".to_owned()];
        said.extend(fixed(&state.globals, &config.globals));
        let levels = config.globals.log.under(&self.global);
        let drafts = self.stage(state, &config).await?;
        said.extend(self.exchange(state, Opened { config, drafts }).await?);
        if let Some(change) = &self.levels {
            // It was understood above.
            change.change(&levels).map_err(|failure| vec![failure])?;
        }
        Ok(said)
    }

    /// Opens what is not open yet, away from the threads that serve: names are resolved and files read.
    async fn stage(&self, state: &mut State, config: &Config) -> Result<Vec<Draft>, Vec<Failure>> {
        for service in &config.services {
            state.tallies.entry(service.name.clone()).or_default();
        }
        let scene = Scene {
            registry: self.registry.clone(),
            rehearsal: false,
            workers: self.reactor.workers(),
            limits: config.globals.limits.clone(),
            services: config.services.len(),
            wire: config.globals.log.wire,
            open: state.running.iter().flat_map(Running::sockets).collect(),
            seen: HashSet::new(),
            ending: self.ending.clone(),
        };
        let (config, tallies) = (config.clone(), state.tallies.clone());
        let staged = tokio::task::spawn_blocking(move || set(&config, scene, &tallies)).await;
        staged.unwrap_or_else(|_| {
            let what = "starting a service panicked; please report what was said before";
            Err(vec![Failure::new(Code::Software, what)])
        })
    }

    /// Begins the new, then ends the old. An error leaves the old as it was.
    async fn exchange(
        &self,
        state: &mut State,
        opened: Opened,
    ) -> Result<Vec<String>, Vec<Failure>> {
        let Opened { config, drafts } = opened;
        let mut said = Vec::new();
        let mut begun: Vec<Vec<Served>> = Vec::new();
        for draft in &drafts {
            match running::serve(&draft.listeners, &self.reactor).await {
                Ok(served) => begun.push(served),
                Err(error) => {
                    begun.iter().flatten().for_each(Served::close);
                    return Err(vec![error.into()]);
                }
            }
        }
        let mut old: Vec<Running> = std::mem::take(&mut state.running);
        for running in &mut old {
            running.stop_work(Instant::now() + WORK).await;
        }
        for ((service, draft), served) in config.services.iter().zip(drafts).zip(begun) {
            for (listener, served) in draft.listeners.iter().zip(&served) {
                if served.is_new() {
                    said.extend(listener.says());
                }
            }
            let (kind, name) = (service.kind, service.name.clone());
            let running =
                Running::begin((kind, name), draft, served, &mut old, &self.reactor).await;
            state.running.push(running);
        }
        self.reactor.set_grace(config.globals.grace);
        said.extend(self.retire(state, old, config.globals.grace));
        state.tallies.retain(|name, _| config.names().any(|other| other == name));
        state.globals = config.globals;
        self.shown().services = state.running.iter().map(Running::view).collect();
        if self.reactor.is_stopping() {
            self.close();
        }
        Ok(said)
    }

    /// Ends what has no successor, in the background, and what was kept for old connections with them.
    fn retire(&self, state: &mut State, old: Vec<Running>, grace: Duration) -> Vec<String> {
        let mut said = Vec::new();
        state.retiring.retain(|retiring| !retiring.is_finished());
        for running in old {
            let retired = Arc::new(running.retire());
            said.extend(retired.says());
            self.shown().retired.push(retired.clone());
            let handle = retired.end(Instant::now() + grace);
            state.retiring.push(tokio::spawn(async move {
                let left = handle.await;
                if left > 0 {
                    warn!(left, "connections of a removed listener outlived the grace: aborted");
                }
            }));
        }
        said
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs. Waits for nothing.
    pub(crate) fn status(&self) -> Status {
        let mut shown = self.shown();
        shown.retired.retain(|retired| !retired.has_ended());
        let uptime = self.begun.elapsed().as_secs();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let file = match &self.source {
            Source::Options(_) => None,
            Source::File(path) => Some(path.display().to_string()),
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            file,
            since: now.saturating_sub(uptime),
            uptime,
            stopping: self.reactor.is_stopping(),
            reloads: self.reloads.load(Ordering::Relaxed),
            failed_reloads: self.failed.load(Ordering::Relaxed),
            services: shown.services.iter().map(running::View::status).collect(),
            draining: shown.retired.iter().flat_map(|retired| retired.status()).collect(),
        }
    }

    /// Closes all sockets when the reactor has begun to stop, so that whoever connects is refused.
    pub(crate) async fn close_when_stopping(self: Arc<Self>) {
        self.reactor.stopping().await;
        self.close();
    }

    fn close(&self) {
        self.shown().services.iter().for_each(running::View::close);
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Ends the work of all services, when the reactor has stopped; what the command ends with.
    pub(crate) async fn end(&self) -> Result<(), Failure> {
        let mut state = self.state.lock().await;
        let deadline = Instant::now() + WORK;
        for running in state.running.iter_mut().rev() {
            running.stop_work(deadline).await;
        }
        let kept: Vec<_> = std::mem::take(&mut state.running);
        // Access logs of before a reload may have lines left.
        for retiring in std::mem::take(&mut state.retiring) {
            let _ = timeout_at(deadline, retiring).await;
        }
        // What is kept may wait for a reader when it is dropped.
        let _ = tokio::task::spawn_blocking(move || drop(kept)).await;
        self.ending.take()
    }
}

/// What was opened, before anything is begun.
pub(crate) struct Opened {
    config: Config,
    drafts: Vec<Draft>,
}

/// What a reload cannot change.
fn fixed(old: &Globals, new: &Globals) -> Vec<String> {
    let stays = |what: &str| format!("{what} has changed, which takes a restart");
    [
        (old.workers != new.workers, "workers"),
        (old.control != new.control, "control.socket"),
        (old.log.format != new.log.format, "log.format"),
    ]
    .into_iter()
    .filter(|(changed, _)| *changed)
    .map(|(_, what)| stays(what))
    .collect()
}

#[cfg(test)]
mod tests;
