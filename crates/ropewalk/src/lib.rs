//! The command `ropewalk`, what `twistd` is to Twisted: any of the protocols as a server of its own.
//!
//! ```text
//!  arguments ── cli ──▶ Args ── settings ──▶ Web, Forward ── start ──▶ listening in a Reactor
//!                        │                                                │
//!                        └─ logging, exit codes                           └─ run: until SIGTERM, drained
//! ```
//!
//! Around services is the [process](operations): who it is ([`privileges`]), what names it
//! ([`pidfile`]), who is told of it ([`notify`], [`metrics`]), where its logs go ([`logfile`]) and how
//! it is replaced while it serves ([`upgrade`]).
//!
//! The library half is public so that a program of one's own can have the same global options, logs,
//! limits, signals and exit codes around a service of its own: flatten [`cli::Global`] and
//! [`guard::Limits`] into a parser, and call [`run::Plan::run`].

pub mod access_log;
pub mod cli;
pub mod exit;
pub mod forward;
pub mod guard;
pub mod logfile;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod operations;
pub mod pages;
pub mod pidfile;
pub mod privileges;
pub mod relay;
pub mod run;
pub mod upgrade;
pub mod values;
pub mod web;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::{Code, Failure};

/// What the binary does: the arguments of this process, from parsing to the exit code.
#[must_use]
pub fn main() -> ExitCode {
    run_with(std::env::args_os())
}

/// The command with the given arguments, the first of which is its name.
pub fn run_with(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => exit::report(unless_it_panics(|| dispatch(cli))),
        Err(error) => {
            // Whoever asked for help may have stopped reading: no error.
            let _ = error.print();
            if error.use_stderr() { Code::Usage.into() } else { ExitCode::SUCCESS }
        }
    }
}

/// A panic on the main thread is a mistake of ours, with the exit code for that. What it was has been
/// said by the panic hook.
fn unless_it_panics(f: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| {
        let what = "it has made a mistake of its own and ends; please report what it said before";
        Err(Failure::new(Code::Software, what))
    })
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Web(args) => {
            let web = web::Web::new(args, &global)?;
            logging::start(&global)?;
            web.run()
        }
        Command::Forward(args) => {
            let forward = forward::Forward::new(args, &global)?;
            logging::start(&global)?;
            forward.run()
        }
        Command::Upgrade { pidfile, timeout } => {
            let pid = upgrade::ask(&pidfile, timeout)?;
            exit::print(format!("process {pid} has taken over\n").as_bytes())
        }
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { folder } => pages::man(folder.as_deref()),
    }
}
