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

mod board;
mod handler;
mod running;
mod succession;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

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
use crate::logfile::Logs;
use crate::logging::{self, Levels, NOTICE};
use crate::metrics::Metrics;
use crate::operations::{self, Options, Process};
use crate::problem::Place;
use crate::stage::{Draft, Ending, Scene, Stage};
use board::Board;
use running::{Running, Served};

pub(crate) use handler::Controls;

/// How long work may take to end when all connections have.
const WORK: Duration = Duration::from_secs(10);

/// Where settings come from, each time anew.
#[derive(Debug)]
pub(crate) enum Source {
    /// The command line, which stays as it is; certificates may change.
    Options(Box<Config>),
    /// A file, by its absolute path, and the options that stand before what it says.
    File(PathBuf, Box<Options>),
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
    process: Arc<Process>,
    metrics: Metrics,
    /// For those who only look.
    board: Arc<Board>,
    /// What answers on the control socket.
    control: OnceLock<Reactor>,
    /// One reload or upgrade at a time.
    state: tokio::sync::Mutex<State>,
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

impl Source {
    /// What is to run.
    pub(crate) fn read(&self, kinds: &[Entry]) -> Result<Config, Vec<Failure>> {
        match self {
            Self::Options(config) => Ok(Config::clone(config)),
            Self::File(path, options) => {
                let mut config = Config::read(path, kinds)?;
                options.over(&mut config.globals);
                Ok(config)
            }
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
        seen: Vec::new(),
        ending: Ending::default(),
        metrics: None,
        logs: Logs::default(),
    };
    let mut problems = log_problem(config);
    problems.extend(operations::identity(&config.globals, &config.place).err());
    let metrics = Metrics::new(Default::default, Logs::default());
    problems.extend(set(config, scene, &HashMap::new(), &metrics).err().unwrap_or_default());
    problems
}

/// Levels that cannot be understood.
fn log_problem(config: &Config) -> Vec<Failure> {
    let understood = config.globals.log.level.as_deref().map_or(Ok(()), logging::check);
    let failure = |what: String| config.place.failure("log.level", Code::Config, what);
    understood.map_err(failure).err().into_iter().collect()
}

/// A service as it is to be begun.
struct Drafted {
    kind: &'static str,
    name: String,
    draft: Draft,
}

/// What figures are served by: no service of the file, but it is begun, reloaded and ended as one.
const METRICS: &str = "metrics";

/// Puts all services on a stage.
fn set(
    config: &Config,
    scene: Scene,
    tallies: &HashMap<String, Tally>,
    metrics: &Metrics,
) -> Result<Vec<Drafted>, Vec<Failure>> {
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
        let draft = stage.enter("", &Place::Options, Tally::default());
        drafts.push(Drafted { kind: service.kind, name: service.name.clone(), draft });
    }
    if config.globals.metrics.listen.is_some() {
        stage.enter(METRICS, &config.place, Tally::default());
        config.globals.metrics.start(&mut stage, metrics);
        problems.extend(stage.problems());
        let draft = stage.enter("", &Place::Options, Tally::default());
        drafts.push(Drafted { kind: METRICS, name: METRICS.to_owned(), draft });
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
        process: Arc<Process>,
    ) -> Self {
        let file = match &source {
            Source::Options(_) => None,
            Source::File(path, _) => Some(path.display().to_string()),
        };
        let board = Arc::new(Board::new(file, reactor.clone()));
        let seen = board.clone();
        let metrics = Metrics::new(move || seen.seen(), process.logs().clone());
        Self {
            source,
            kinds,
            registry,
            global,
            levels,
            reactor,
            ending: Ending::default(),
            process,
            metrics,
            board,
            control: OnceLock::new(),
            state: tokio::sync::Mutex::default(),
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
        if let Some(notify) = self.process.notify() {
            notify.reloading();
        }
        let result = self.reload_in(&mut state).await;
        if let Some(notify) = self.process.notify() {
            // Whatever has come of it: it serves.
            notify.ready();
        }
        self.board.reloaded(result.is_ok());
        match &result {
            Ok(said) => {
                for line in said {
                    info!(target: NOTICE, "{line}");
                }
            }
            Err(failures) => {
                for failure in failures {
                    error!("not reloaded: {failure}");
                }
            }
        }
        result
    }

    async fn reload_in(&self, state: &mut State) -> Result<Vec<String>, Vec<Failure>> {
        if self.reactor.is_stopping() || self.process.has_handed_over() {
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
    async fn stage(
        &self,
        state: &mut State,
        config: &Config,
    ) -> Result<Vec<Drafted>, Vec<Failure>> {
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
            seen: Vec::new(),
            ending: self.ending.clone(),
            metrics: config.globals.metrics.listen.as_ref().map(|_| self.metrics.clone()),
            logs: self.process.logs().clone(),
        };
        let (config, tallies) = (config.clone(), state.tallies.clone());
        let metrics = self.metrics.clone();
        let set = move || set(&config, scene, &tallies, &metrics);
        let staged = tokio::task::spawn_blocking(set).await;
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
        let Opened { config, mut drafts } = opened;
        let mut said = Vec::new();
        for Drafted { draft, .. } in &mut drafts {
            for log in &draft.logs {
                let writer = self.process.logs().open(log).map_err(|failure| vec![failure])?;
                // Last, so that what writes to it ends before it.
                draft.kept.push(Mutex::new(Box::new(writer)));
            }
        }
        let mut begun: Vec<Vec<Served>> = Vec::new();
        for Drafted { draft, .. } in &drafts {
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
        for (Drafted { kind, name, draft }, served) in drafts.into_iter().zip(begun) {
            for (listener, served) in draft.listeners.iter().zip(&served) {
                if served.is_new() {
                    said.extend(listener.says());
                }
            }
            let running =
                Running::begin((kind, name), draft, served, &mut old, &self.reactor).await;
            state.running.push(running);
        }
        self.reactor.set_grace(config.globals.grace);
        said.extend(self.retire(state, old, config.globals.grace));
        state.tallies.retain(|name, _| config.names().any(|other| other == name));
        state.globals = config.globals;
        self.board.show(state.running.iter().map(Running::view).collect());
        if self.reactor.is_stopping() {
            self.board.close();
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
            self.board.retire(retired.clone());
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

    /// What there is to be seen.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// Closes all sockets when the reactor has begun to stop, so that whoever connects is refused.
    pub(crate) async fn close_when_stopping(self: Arc<Self>) {
        self.reactor.stopping().await;
        self.board.close();
    }

    /// Ends what answers on the control socket.
    pub(crate) async fn end_control(&self) {
        if let Some(control) = self.control.get() {
            control.stop().await;
        }
    }

    /// Notes what answers on the control socket, which goes to the next process, too.
    pub(crate) fn controlled_by(&self, control: Reactor) {
        // There is one only.
        let _ = self.control.set(control);
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Ends the work of all services, when the reactor has stopped; what the command ends with.
    pub(crate) async fn end(&self) -> Result<(), Failure> {
        // It may be that nobody has had the time to.
        self.board.close();
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
    drafts: Vec<Drafted>,
}

/// What a reload cannot change.
fn fixed(old: &Globals, new: &Globals) -> Vec<String> {
    let stays = |what: &str| format!("{what} has changed, which takes a restart");
    [
        (old.workers != new.workers, "workers"),
        (old.control != new.control, "control.socket"),
        (old.log.format != new.log.format, "log.format"),
        (old.log.file != new.log.file, "log.file"),
        (old.user != new.user, "user"),
        (old.group != new.group, "group"),
        (old.pidfile != new.pidfile, "pidfile"),
    ]
    .into_iter()
    .filter(|(changed, _)| *changed)
    .map(|(_, what)| stays(what))
    .collect()
}

#[cfg(test)]
mod tests;
