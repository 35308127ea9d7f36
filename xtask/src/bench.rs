//! Measurements: ours and the peers alternately, in one run, on one machine.

mod client;
mod core;
mod files;
mod http;
mod idle;
mod machine;
mod measure;
mod reload;
mod report;
mod tls;
mod wrk;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::cargo;
use crate::peers;
use crate::process::Scratch;
pub use measure::{Measured, Scenario, Series};
use report::Page;

/// How many rounds are measured unless told.
const ROUNDS: usize = 15;

#[derive(Args)]
pub struct Options {
    /// What to measure: all of it when nothing is named
    names: Vec<Suite>,
    /// Two rounds instead of fifteen: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// How many rounds are measured
    #[arg(long, value_name = "N", conflicts_with = "quick", default_value_t = ROUNDS)]
    rounds: usize,
    /// Install nothing; what is missing is left out
    #[arg(long)]
    no_install: bool,
    /// Print only, leave docs/benchmarks as it is
    #[arg(long)]
    no_write: bool,
    /// The command to measure instead of one built here
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Measure only the scenarios whose name holds this (implies --no-write)
    #[arg(long)]
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// What a Connection costs: echo beside bare tokio and beside Framed
    Core,
    /// Small answers, files, idle connections, beside hyper, nginx, Caddy and Twisted
    Http,
    /// New settings under open connections and under load
    Reload,
    /// Ours as a client, beside hyper-util and curl
    HttpClient,
    /// Handshakes and bulk over TLS 1.3, beside nginx
    HttpTls,
}

/// How much is measured, with what, and where things lie.
pub struct Plan {
    pub rounds: usize,
    /// Of one load, in seconds.
    pub seconds: u32,
    /// How many idle connections are wanted.
    pub idle: usize,
    pub scratch: Scratch,
    /// Where `cargo build --release` puts programs.
    pub release: PathBuf,
    pub ropewalk: PathBuf,
    only: Option<String>,
}

impl Plan {
    fn new(options: &Options) -> Result<Self> {
        let (rounds, seconds, idle) =
            if options.quick { (2, 1, 1000) } else { (options.rounds.max(1), 1, 10_000) };
        println!("building");
        let release = cargo::build(true, &["--package", "peer-hyper", "--package", "peer-load"])?;
        let ropewalk = match &options.binary {
            Some(binary) => std::fs::canonicalize(binary)?,
            None => cargo::ropewalk(true)?,
        };
        let (scratch, only) = (Scratch::new("bench")?, options.only.clone());
        Ok(Self { rounds, seconds, idle, scratch, release, ropewalk, only })
    }

    /// Whether a scenario of this name is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

/// What a suite hands back.
type Suited = Result<(Vec<Scenario>, Vec<report::Goal>)>;

pub fn run(options: &Options) -> Result<bool> {
    for reason in peers::install(peers::BENCH, !options.no_install)? {
        println!("missing: {reason}");
    }
    let files = machine::raise_file_limit();
    let plan = Plan::new(options)?;
    let suites = match options.names.as_slice() {
        [] => Suite::value_variants(),
        names => names,
    };
    for suite in suites {
        let start = Instant::now();
        let (name, title, about, (scenarios, goals)) = match suite {
            Suite::Core => ("core", core::TITLE, core::ABOUT, core::measure(&plan)?),
            Suite::HttpClient => {
                ("http-client", client::TITLE, client::ABOUT, client::measure(&plan, files)?)
            }
            Suite::Http => ("http", http::TITLE, http::ABOUT, http::measure(&plan, files)?),
            Suite::Reload => {
                ("reload", reload::TITLE, reload::ABOUT, reload::measure(&plan, files)?)
            }
            Suite::HttpTls => ("http-tls", tls::TITLE, tls::ABOUT, tls::measure(&plan, files)?),
        };
        let quick = options.quick;
        let loads = if *suite == Suite::Core { core::loads(&plan) } else { plan.rounds };
        let rounds = plan.rounds;
        let page = Page { name, title, about, scenarios, goals, rounds, loads, quick };
        println!("\n{}", page.tables());
        println!("{name}: measured in {:.0} s", start.elapsed().as_secs_f32());
        if !options.no_write && options.only.is_none() {
            page.write()?;
        }
    }
    Ok(true)
}
