//! Kinds of services: `ropewalk NAME` on the command line, `[[NAME]]` in `ropewalk.toml`.
//!
//! One struct is both: its fields are the long options, and the keys of the section, of the same names
//! ([`verify`] sees to it). A group of options that is flattened into it, as [`Limits`](crate::Limits)
//! are, is a table in the section. So whatever can be said in one place can be said in the other.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;

use clap::{ArgMatches, Args, Command, CommandFactory};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::de::ValueDeserializer;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::stage::Stage;

/// A kind of service, and the settings of one.
///
/// The type derives [`clap::Args`], whose documentation is the help, and serde's traits with
/// `#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]`. Its [`Default`] is what it is
/// without any option, so an option that must be given is one that [`start`](Self::start) misses.
/// [`verify`] in a test says whether all of that is so.
pub trait Kind:
    Args
    + Serialize
    + DeserializeOwned
    + Default
    + Clone
    + PartialEq
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// What it is called.
    const NAME: &'static str;

    /// Puts what it does on the stage: where it listens, with which factory, what it does besides.
    /// It is begun when all services could do so, and dropped without a trace when one could not.
    /// What belongs to one option is reported there ([`Stage::problem`]), so that all mistakes are
    /// told at once.
    ///
    /// Also called to find out what is wrong, for `ropewalk check`: so nothing may happen here but
    /// reading.
    ///
    /// # Errors
    /// When it cannot do its work.
    fn start(&self, stage: &mut Stage) -> Result<(), Failure>;
}

/// The settings of one service, of any kind.
pub(crate) trait Settings: fmt::Debug + Send + Sync {
    fn start(&self, stage: &mut Stage) -> Result<(), Failure>;
    /// What differs from the defaults.
    fn table(&self) -> toml::Table;
    fn boxed(&self) -> Box<dyn Settings>;
    fn equals(&self, other: &dyn Settings) -> bool;
    fn any(&self) -> &dyn Any;
}

impl<K: Kind> Settings for K {
    fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
        Kind::start(self, stage)
    }

    fn table(&self) -> toml::Table {
        differences(self, &K::default())
    }

    fn boxed(&self) -> Box<dyn Settings> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Settings) -> bool {
        other.any().downcast_ref::<K>() == Some(self)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// What of `value` differs from `standard`, in tables within it as well.
pub(crate) fn differences<T: Serialize>(value: &T, standard: &T) -> toml::Table {
    let table = |value| toml::Table::try_from(value).expect("settings are a table of plain values");
    without(table(value), &table(standard))
}

fn without(mut table: toml::Table, standard: &toml::Table) -> toml::Table {
    table.retain(|key, value| match (value, standard.get(key)) {
        (toml::Value::Table(inner), Some(toml::Value::Table(standard))) => {
            *inner = without(std::mem::take(inner), standard);
            !inner.is_empty()
        }
        (toml::Value::Table(inner), None) => !inner.is_empty(),
        (value, standard) => standard != Some(value),
    });
    table
}

/// A kind, without its type.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Its subcommand, with options of its own only.
    pub(crate) command: fn() -> Command,
    pub(crate) from_flags: fn(&ArgMatches) -> clap::error::Result<Box<dyn Settings>>,
    pub(crate) from_value: fn(ValueDeserializer<'_>) -> Result<Box<dyn Settings>, toml::de::Error>,
    /// In which table of its section an option is a key: `""` for the section itself.
    pub(crate) table_of: fn(&str) -> Option<String>,
}

impl Entry {
    pub(crate) fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            command: || K::augment_args(Command::new(K::NAME)),
            from_flags: |matches| Ok(Box::new(K::from_arg_matches(matches)?)),
            from_value: |value| Ok(Box::new(K::deserialize(value)?)),
            table_of: table_of::<K>,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

/// The long options of a command.
fn longs(command: &Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

/// The tables in a section of this kind: `limits`, and others of its own.
fn tables<K: Kind>() -> Vec<String> {
    let plain = toml::Table::try_from(K::default()).expect("settings are a table of plain values");
    plain.into_iter().filter(|(_, value)| value.is_table()).map(|(key, _)| key).collect()
}

/// In which table of its section an option is a key: `""` for the section itself.
fn table_of<K: Kind>(option: &str) -> Option<String> {
    // Its value may be of another type; that its name is known is what matters.
    let within =
        |key: &str, value| toml::Value::Table(toml::Table::from_iter([(key.to_owned(), value)]));
    let odd = || toml::Value::Array(vec![toml::Value::Boolean(true)]);
    let knows = |value: toml::Value| {
        let read = value.try_into::<K>();
        !read.is_err_and(|error| error.message().contains("unknown field"))
    };
    if knows(within(option, odd())) {
        return Some(String::new());
    }
    tables::<K>().into_iter().find(|table| knows(within(table, within(option, odd()))))
}

/// Says what is wrong with the definition of a kind: without options it is not its default, or the
/// options and the keys have other names. For tests.
///
/// # Panics
/// When something is.
pub fn verify<K: Kind>() {
    let taken = Cli::command().get_subcommands().any(|command| command.get_name() == K::NAME);
    let sections = ["log", "limits", "control", "metrics", "upgrade"].contains(&K::NAME);
    assert!(!taken && !sections, "`{}` means something else", K::NAME);
    let command = K::augment_args(Command::new(K::NAME).no_binary_name(true));
    command.clone().debug_assert();
    let matches = command.clone().get_matches_from([""; 0]);
    let plain = K::from_arg_matches(&matches).expect("every option may be left out");
    assert_eq!(plain, K::default(), "without options it is not the default");
    let options = longs(&command);
    assert!(!options.contains("name"), "every section has a key `name`, which is not its own");
    for (key, value) in toml::Table::try_from(&plain).expect("a table of plain values") {
        let keys = match &value {
            toml::Value::Table(table) => table.keys().cloned().collect(),
            _ => vec![key],
        };
        for key in keys {
            assert!(options.contains(&key), "the key `{key}` is no option of `{}`", K::NAME);
        }
    }
    for option in options {
        let table = table_of::<K>(&option);
        assert!(table.is_some(), "the option `--{option}` is no key of `[[{}]]`", K::NAME);
    }
}
