//! The command `ropewalk`, what `twistd` is to Twisted: any of the protocols as a server of its own, or
//! all of those that a file names.
//!
//! ```text
//!  arguments ── cli ──┐                       ┌─ problems, by line and key
//!                     ├─▶ Config ──▶ Stage ──▶┤
//!  ropewalk.toml ─────┘     settings of a     └─ drafts ──▶ Daemon: running in a Reactor
//!                           Kind each                          ▲ SIGHUP, control socket: the same again
//! ```
//!
//! # A service of one's own
//!
//! The library half is public, so that a program of one's own has all of this with a [`Kind`] more:
//! a subcommand, a section of the file, limits, reload, logs. `examples/greet.rs` is one.
//!
//! ```no_run
//! use ropewalk::{App, Failure, Kind, Limits, Stage};
//! use ropewalk_core::{BoxError, Connection, Raw, factory};
//!
//! /// Say hello to whoever connects
//! #[derive(Debug, Clone, Default, PartialEq, clap::Args, serde::Serialize, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
//! struct Greet {
//!     /// Where to listen
//!     #[arg(long, value_name = "ENDPOINT")]
//!     listen: Vec<String>,
//!     /// What it takes at most
//!     #[command(flatten)]
//!     limits: Limits,
//! }
//!
//! impl Kind for Greet {
//!     const NAME: &'static str = "greet"; // `ropewalk greet`, `[[greet]]`
//!
//!     fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
//!         let greet = |mut conn: Connection<Raw>| async move {
//!             conn.send("hello\n").await?;
//!             Ok::<_, BoxError>(conn.close().await?)
//!         };
//!         stage.listen(&self.listen, &self.limits, factory::serve_with(Raw::default, greet));
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     App::default().with::<Greet>().main()
//! }
//! ```
//!
//! Around services is the [process](operations): who it is ([`privileges`]), what names it
//! ([`pidfile`]), who is told of it ([`notify`], [`metrics`]), where its logs go ([`logfile`]) and how
//! it is replaced while it serves ([`upgrade`]).
//!
//! # The map
//!
//! | module | what it is |
//! |---|---|
//! | [`kind`], [`stage`] | what a service is; where it puts what it is to do |
//! | [`config`], [`problem`] | `ropewalk.toml`, and the places of mistakes in it |
//! | [`web`], [`forward`] | the services there are |
//! | [`get`] | a client: what is at a URL |
//! | [`cli`], [`exit`], [`logging`], [`pages`] | arguments, exit codes, logs, generated pages |
//! | [`control`], [`status`] | what a running command is asked, and what it says of itself |
//! | [`guard`], [`values`] | limits, values of options |
//! | [`run`], [`operations`] | from settings to the end of the process; in which order |
//! | [`privileges`], [`pidfile`], [`notify`], [`logfile`], [`metrics`], [`upgrade`] | what the process does beside serving |

pub mod access_log;
mod app;
pub mod cli;
pub mod config;
pub mod control;
mod daemon;
pub mod exit;
pub mod forward;
pub mod get;
pub mod guard;
pub mod kind;
pub mod logfile;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod operations;
pub mod pages;
pub mod pidfile;
pub mod privileges;
pub mod problem;
pub mod relay;
pub mod run;
pub mod stage;
pub mod status;
pub mod upgrade;
pub mod values;
pub mod web;

use std::process::ExitCode;

pub use app::App;
pub use exit::Failure;
pub use guard::Limits;
pub use kind::Kind;
pub use stage::Stage;

/// What the binary does: the arguments of this process, from parsing to the exit code.
#[must_use]
pub fn main() -> ExitCode {
    App::default().main()
}
