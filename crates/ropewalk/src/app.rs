//! The command: which services it has, and what it does with its arguments.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use ropewalk_core::endpoint::Registry;

use crate::cli::{self, Cli, Global, Process};
use crate::config::{self, Config, Globals};
use crate::control;
use crate::daemon::{self, Source};
use crate::exit::{self, Code, Failure};
use crate::forward::Forward;
use crate::get::Get;
use crate::kind::{Entry, Kind};
use crate::logfile::LogFile;
use crate::logging;
use crate::operations::{Options, Start};
use crate::pages;
use crate::run::Job;
use crate::upgrade;
use crate::web::Web;

/// A command with services: those of `ropewalk`, and any others.
#[derive(Debug, Clone)]
pub struct App {
    kinds: Vec<Entry>,
    registry: Registry,
}

impl Default for App {
    fn default() -> Self {
        let kinds = vec![Entry::of::<Web>(), Entry::of::<Forward>()];
        Self { kinds, registry: Registry::default() }
    }
}

impl App {
    /// With one more kind of service, or another in the place of one that has its name.
    #[must_use]
    pub fn with<K: Kind>(mut self) -> Self {
        self.kinds.retain(|kind| kind.name != K::NAME);
        self.kinds.push(Entry::of::<K>());
        self
    }

    /// With what endpoints may name besides the usual.
    #[must_use]
    pub fn registry(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// Does what the arguments of this process say, and logs what goes wrong.
    #[must_use]
    pub fn main(&self) -> ExitCode {
        self.run_with(std::env::args_os())
    }

    /// As [`main`](Self::main), with the given arguments, the first of which is the command's name.
    pub fn run_with(
        &self,
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> ExitCode {
        match self.command().try_get_matches_from(arguments) {
            Ok(matches) => exit::report(unless_it_panics(|| self.dispatch(&matches))),
            Err(error) => {
                // Whoever asked for help may have stopped reading: no error.
                let _ = error.print();
                if error.use_stderr() { Code::Usage.into() } else { ExitCode::SUCCESS }
            }
        }
    }

    /// The definition of the arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let services = self.kinds.iter().map(|kind| {
            let command = (kind.command)();
            let about = (command.get_about().cloned(), command.get_long_about().cloned());
            // What all services share, without its own word on what it is about.
            let command = Process::augment_args(command).about(about.0.unwrap_or_default());
            match about.1 {
                Some(long) => command.long_about(long),
                None => command.long_about(None::<&str>),
            }
        });
        services.fold(Cli::command(), Command::subcommand)
    }

    fn dispatch(&self, matches: &ArgMatches) -> Result<(), Failure> {
        let usage = |error: clap::Error| Failure::new(Code::Usage, error.to_string());
        if let Some((name, matches)) = matches.subcommand()
            && let Some(kind) = self.kinds.iter().find(|kind| kind.name == name)
        {
            let global = Global::from_arg_matches(matches).map_err(usage)?;
            let process = Process::from_arg_matches(matches).map_err(usage)?;
            let settings = (kind.from_flags)(matches).map_err(usage)?;
            let config = Config::of_one(kind.name, settings, globals(&process, &global));
            return self.service(config, process, global);
        }
        let Cli { global, command } = Cli::from_arg_matches(matches).map_err(usage)?;
        match command {
            cli::Command::Run { file, options } => {
                Start::with(|start| self.run(&file, options.absolute(), global, start))
            }
            cli::Command::Get(args) => {
                let get = Get::new(*args, &global)?;
                let log = global.log_file.as_ref().map(LogFile::new);
                // Written to its end when dropped.
                let _writer = log.as_ref().map(LogFile::open).transpose()?;
                logging::start(&global, log.as_ref())?;
                get.run()
            }
            cli::Command::Check { file } => self.check(&file),
            cli::Command::Init { file } => config::init(&file),
            cli::Command::Reload(which) => control::reload(&which),
            cli::Command::Stop(which) => control::stop(&which),
            cli::Command::Upgrade { pidfile, timeout, which } => {
                let pid = match pidfile {
                    Some(pidfile) => upgrade::ask(&pidfile, timeout)?,
                    None => control::upgrade(&which, timeout)?,
                };
                exit::print(format!("process {pid} has taken over\n").as_bytes())
            }
            cli::Command::Status { json, which } => control::status(&which, json),
            cli::Command::Keys => exit::print(config::reference(&self.kinds).as_bytes()),
            cli::Command::Completions { shell } => pages::completions(self.command(), shell),
            cli::Command::Man { folder } => pages::man(self.command(), folder.as_deref()),
        }
    }

    /// One service, from options.
    fn service(&self, config: Config, process: Process, global: Global) -> Result<(), Failure> {
        if process.print_config {
            return exit::print(config.print().as_bytes());
        }
        Start::with(|start| self.serve(config, process, global, start))
    }

    fn serve(
        &self,
        config: Config,
        process: Process,
        global: Global,
        start: Start,
    ) -> Result<(), Failure> {
        let log = global.log_file.as_ref().map(LogFile::new);
        let levels = logging::start(&global, log.as_ref())?;
        let control_named = process.control.is_some();
        let job = Job {
            source: Source::Options(Box::new(config.clone())),
            kinds: self.kinds.clone(),
            registry: self.registry.clone(),
            global,
            levels,
            control: process.control,
            control_named,
            start,
            log,
        };
        job.run(config)
    }

    /// All services of a file.
    fn run(
        &self,
        file: &Path,
        options: Options,
        mut global: Global,
        start: Start,
    ) -> Result<(), Failure> {
        // What is given here is relative to where we are now.
        global.log_file = global.log_file.map(|path| std::path::absolute(&path).unwrap_or(path));
        let file = enter(file)?;
        let source = Source::File(file, Box::new(options));
        let config = source.read(&self.kinds).map_err(|all| Failure::several(&all))?;
        let under = config.globals.log.under(&global);
        let log = under.log_file.as_ref().map(LogFile::new);
        let levels = logging::start(&under, log.as_ref())?;
        let named = config.globals.control.socket.clone();
        let job = Job {
            source,
            kinds: self.kinds.clone(),
            registry: self.registry.clone(),
            global,
            levels,
            control_named: named.is_some(),
            control: Some(named.unwrap_or_else(control::standard)),
            start,
            log,
        };
        job.run(config)
    }

    /// What is wrong with a file.
    fn check(&self, file: &Path) -> Result<(), Failure> {
        let name = file.display().to_string();
        let file = enter(file)?;
        let problems = match Config::read(&file, &self.kinds) {
            Ok(config) => daemon::rehearse(&config, &self.registry),
            Err(problems) => problems,
        };
        if problems.is_empty() {
            return exit::print(format!("{name}: nothing is wrong with it\n").as_bytes());
        }
        Err(Failure::several(&problems))
    }
}

/// What the options of a process mean.
pub(crate) fn globals(process: &Process, global: &Global) -> Globals {
    let mut globals = Globals {
        workers: process.workers,
        grace: process.grace,
        log: global.into(),
        control: control::Settings { socket: process.control.clone() },
        ..Globals::default()
    };
    process.options.over(&mut globals);
    globals
}

/// Goes to the folder of a file, to which what is in it is relative; the file's absolute path.
fn enter(file: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| {
        let what = format!("cannot go to the folder of {}: {error}", file.display());
        Failure::new(Code::of(&error), what)
    };
    let path = std::path::absolute(file).map_err(failed)?;
    if let Some(folder) = path.parent()
        && folder.exists()
    {
        std::env::set_current_dir(folder).map_err(failed)?;
    }
    Ok(path)
}

/// A panic on the main thread is a mistake of ours, with the exit code for that. What it was has been
/// said by the panic hook.
fn unless_it_panics(f: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| {
        let what = "it has made a mistake of its own and ends; please report what it said before";
        Err(Failure::new(Code::Software, what))
    })
}
