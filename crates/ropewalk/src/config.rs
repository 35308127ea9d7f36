//! `ropewalk.toml`: what is to run, and how.
//!
//! ```text
//!   grace = 30                       before all sections: what the process does
//!   [log] [limits] [control] …       once each: for all services
//!   [[web]] [[forward]] …            a service each; its keys are the long options of `ropewalk web`
//!   [web.limits]                     the limits of the one above
//! ```

mod document;
mod init;
mod print;
mod reference;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control;
use crate::exit::{Code, Failure};
use crate::guard::Limits;
use crate::kind::{Entry, Settings};
use crate::problem::Place;
use crate::{logging, metrics, privileges, upgrade, values};
use document::Document;

pub(crate) use init::init;
pub(crate) use reference::reference;

/// What the file is called unless said otherwise.
pub const FILE: &str = "ropewalk.toml";

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// For how long busy connections may go on, unless said otherwise.
const GRACE: Duration = Duration::from_secs(30);

/// What holds for all services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Globals {
    /// Worker threads, each with a socket of its own where that can be; one scheduler over all cores
    /// if this is not set. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<NonZeroUsize>,
    /// For how many seconds busy connections may go on when the command, or what they came by, stops.
    #[serde(with = "values::in_seconds")]
    pub grace: Duration,
    /// Whom to become when all ports are open: a user, by name or number. A change needs a restart, as
    /// that of the next two does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group to go with it; by default the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The file that the process id is written to, and that a second instance finds locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<PathBuf>,
    /// What is logged, and how.
    pub log: logging::Settings,
    /// Limits of services that say nothing of their own.
    pub limits: Limits,
    /// Where `ropewalk reload`, `status` and `stop` are heard.
    pub control: control::Settings,
    /// Where figures can be asked for.
    pub metrics: metrics::Settings,
    /// How the process is replaced.
    pub upgrade: upgrade::Settings,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            workers: None,
            grace: GRACE,
            user: None,
            group: None,
            pidfile: None,
            log: logging::Settings::default(),
            limits: Limits::default(),
            control: control::Settings::default(),
            metrics: metrics::Settings::default(),
            upgrade: upgrade::Settings::default(),
        }
    }
}

impl Globals {
    /// Whom the process is to become.
    #[must_use]
    pub fn privileges(&self) -> privileges::Settings {
        privileges::Settings { user: self.user.clone(), group: self.group.clone() }
    }
}

/// A whole file, or what a command line says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) globals: Globals,
    /// Where they are.
    pub(crate) place: Place,
    pub(crate) services: Vec<Service>,
}

/// One service.
pub(crate) struct Service {
    pub(crate) kind: &'static str,
    /// Unique: its kind, unless the file names it; a number follows from the second on.
    pub(crate) name: String,
    /// Whether the file names it.
    pub(crate) named: bool,
    pub(crate) settings: Box<dyn Settings>,
    pub(crate) place: Place,
}

impl Config {
    /// What one service is by its command line.
    pub(crate) fn of_one(
        kind: &'static str,
        settings: Box<dyn Settings>,
        globals: Globals,
    ) -> Self {
        let (name, place) = (kind.to_owned(), Place::Options);
        let services = vec![Service { kind, name, named: false, settings, place }];
        Self { globals, place: Place::Options, services }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of lines.
    pub(crate) fn read(path: &Path, kinds: &[Entry]) -> Result<Self, Vec<Failure>> {
        let text = read_text(path).map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::NotFound => "; `ropewalk init` writes one",
                _ => "",
            };
            let what = format!("cannot read {}: {error}{help}", path.display());
            vec![Failure::new(Code::of(&error), what)]
        })?;
        Self::parse(&path.display().to_string(), &text, kinds)
    }

    /// Understands the text of a file of this name.
    pub(crate) fn parse(file: &str, text: &str, kinds: &[Entry]) -> Result<Self, Vec<Failure>> {
        let mut document = Document::new(file, text);
        let services = document.services(kinds);
        let (globals, place) = document.globals(kinds);
        let services = match document.problems(services.is_empty()) {
            problems if problems.is_empty() => named(services),
            problems => return Err(problems),
        };
        Ok(Self { globals, place, services: services? })
    }

    /// The names, for what is only told.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| service.name.as_str())
    }
}

/// The text of a file that is not endless, as a device may be.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        let what = format!("it has more than {LARGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(text)
}

/// Gives names to the services that have none.
fn named(mut services: Vec<Service>) -> Result<Vec<Service>, Vec<Failure>> {
    let mut problems = Vec::new();
    let mut taken = HashSet::new();
    for service in services.iter().filter(|service| service.named) {
        if !taken.insert(service.name.clone()) {
            let what = format!("there is another service called `{}`", service.name);
            problems.push(service.place.failure("name", Code::Config, what));
        }
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    for service in services.iter_mut().filter(|service| !service.named) {
        let count = counts.entry(service.kind).or_default();
        while *count == 0 || taken.contains(&service.name) {
            *count += 1;
            if *count > 1 {
                service.name = format!("{}-{count}", service.kind);
            }
        }
        taken.insert(service.name.clone());
    }
    if problems.is_empty() { Ok(services) } else { Err(problems) }
}

/// The control socket that a file names, however wrong the rest of it is.
pub(crate) fn control_of(path: &Path) -> Option<PathBuf> {
    let text = read_text(path).ok()?;
    let (table, _) = toml::de::DeTable::parse_recoverable(&text);
    let socket = table.get_ref().get("control")?.get_ref().get("socket")?.get_ref().as_str()?;
    // Relative to the file, as all that is in it.
    Some(path.with_file_name(socket))
}

impl Clone for Config {
    fn clone(&self) -> Self {
        let (globals, place) = (self.globals.clone(), self.place.clone());
        Self { globals, place, services: self.services.clone() }
    }
}

impl Clone for Service {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind,
            name: self.name.clone(),
            named: self.named,
            settings: self.settings.boxed(),
            place: self.place.clone(),
        }
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.name) == (other.kind, &other.name)
            && self.settings.equals(&*other.settings)
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.globals == other.globals && self.services == other.services
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
