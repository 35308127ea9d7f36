//! The interop matrix: foreign programs against ours, each case with its result.

mod clients;
mod core;
mod curl;
mod fetch;
mod front;
mod http;
mod load;
mod ours;
mod report;
mod sites;
mod stop;
mod tls;
mod upgrade;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::cargo;
use crate::peers::{self, Peer};
use crate::process::{Running, Scratch};

#[derive(Args, Default)]
pub struct Options {
    /// Which part of the matrix: all of it when none is named
    pub names: Vec<Group>,
    /// The command to prove instead of one built here
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Install nothing; what is missing is skipped
    #[arg(long)]
    pub no_install: bool,
    /// Let Chromium take a picture of the listing and keep it here (PNG)
    #[arg(long)]
    pub screenshot: Option<PathBuf>,
    /// Print the matrix only, leave docs/interop.md as it is
    #[arg(long)]
    pub no_write: bool,
}

/// A part of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Clients of HTTP and proxies in front, against `ropewalk web`; `ropewalk get` from servers
    Http,
    /// Transports and endpoints: TLS, Unix sockets, PROXY protocol, SOCKS, through `ropewalk forward`
    Core,
    /// One process taking over from another under the load of wrk
    Upgrade,
}

impl Group {
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Core => "core",
            Self::Upgrade => "upgrade",
        }
    }
}

/// Who speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The peer is the client.
    ToOurs,
    /// Ours is the client.
    ToTheirs,
    /// Ours stands in the middle.
    Through,
}

impl Direction {
    pub fn words(self) -> &'static str {
        match self {
            Self::ToOurs => "peer → ours",
            Self::ToTheirs => "ours → peer",
            Self::Through => "peer → ours → peer",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// One line of the matrix.
#[derive(Debug, Clone)]
pub struct Row {
    pub group: Group,
    pub peer: String,
    pub case: String,
    pub direction: Direction,
    pub outcome: Outcome,
}

/// What a case needs: a folder, the command under proof, the list of results.
pub struct Lab {
    pub scratch: Scratch,
    pub binary: PathBuf,
    pub screenshot: Option<PathBuf>,
    rows: Vec<Row>,
    group: Group,
    versions: Vec<(&'static str, String)>,
}

impl Lab {
    fn new(binary: PathBuf, screenshot: Option<PathBuf>) -> Result<Self> {
        let scratch = Scratch::new("interop")?;
        let group = Group::Http;
        Ok(Self { scratch, binary, screenshot, rows: Vec::new(), group, versions: Vec::new() })
    }

    /// Runs one case and notes its result. A peer that is not here is skipped, and that by name.
    pub fn case(
        &mut self,
        peer: Peer,
        direction: Direction,
        case: &str,
        body: impl FnOnce(&Scratch) -> Result<()>,
    ) {
        let outcome = if peer.path().is_none() {
            Outcome::Skipped(peer.absence())
        } else {
            match body(&self.scratch) {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::Failed(format!("{error:#}")),
            }
        };
        self.note(peer, direction, case, outcome);
    }

    /// Notes a case that cannot run for want of something else than the peer.
    pub fn skip(&mut self, peer: Peer, direction: Direction, case: &str, why: &str) {
        self.note(peer, direction, case, Outcome::Skipped(why.to_owned()));
    }

    fn note(&mut self, peer: Peer, direction: Direction, case: &str, outcome: Outcome) {
        let peer = self.named(peer);
        let row = Row { group: self.group, peer, case: case.to_owned(), direction, outcome };
        report::line(&row);
        self.rows.push(row);
    }

    /// The peer and its version, which is asked for once.
    fn named(&mut self, peer: Peer) -> String {
        let known = self.versions.iter().find(|(program, _)| *program == peer.program);
        let version = known.map_or_else(|| peer.version(), |(_, version)| version.clone());
        let name = format!("{} {version}", peer.program).trim().to_owned();
        self.versions.push((peer.program, version));
        name
    }

    /// Starts a server of theirs.
    pub fn start(&self, name: &str, command: &std::process::Command) -> Result<Running> {
        let log = self.scratch.join(format!("{name}.log"));
        Running::start(name, command, log)
    }
}

/// Runs the parts named (all of them when none is) and returns the rows.
///
/// # Errors
/// When not even the first step could be made (no folder, nothing built). A case that fails is a row.
pub fn matrix(options: &Options) -> Result<Vec<Row>> {
    for reason in peers::install(peers::INTEROP, !options.no_install)? {
        println!("missing: {reason}");
    }
    let binary = match &options.binary {
        Some(binary) => std::fs::canonicalize(binary)?,
        None => cargo::ropewalk(false)?,
    };
    let mut lab = Lab::new(binary, options.screenshot.clone())?;
    for group in groups(options) {
        lab.group = group;
        match group {
            Group::Http => http::run(&mut lab)?,
            Group::Core => core::run(&mut lab)?,
            Group::Upgrade => upgrade::run(&mut lab)?,
        }
    }
    Ok(lab.rows)
}

fn groups(options: &Options) -> Vec<Group> {
    match options.names.as_slice() {
        [] => Group::value_variants().to_vec(),
        names => names.to_vec(),
    }
}

pub fn run(options: &Options) -> Result<bool> {
    let start = Instant::now();
    let rows = matrix(options)?;
    let tally = Tally::of(&rows);
    if !options.no_write {
        for group in groups(options) {
            report::write(group, &rows)?;
        }
        println!("written to docs/interop.md");
    }
    report_failures(&rows);
    println!("{tally} in {:.0} s", start.elapsed().as_secs_f32());
    Ok(tally.failed == 0)
}

pub use report::failures as report_failures;

/// How many rows ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    pub fn of(rows: &[Row]) -> Self {
        rows.iter().fold(Self::default(), |mut tally, row| {
            match row.outcome {
                Outcome::Passed => tally.passed += 1,
                Outcome::Failed(_) => tally.failed += 1,
                Outcome::Skipped(_) => tally.skipped += 1,
            }
            tally
        })
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}
