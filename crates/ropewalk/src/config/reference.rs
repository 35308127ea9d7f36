//! The list of all keys, made of what reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use clap::{Arg, Args, Command};

use crate::cli::{Global, Process};
use crate::guard::Limits;
use crate::kind::Entry;

const ABOUT: &str = "\
# ropewalk.toml

This page is made of the definitions that read the file; `ropewalk keys` prints it.

The file is [TOML](https://toml.io/). `ropewalk init` writes one to begin with, `ropewalk check` says \
what is wrong with one, and `ropewalk web … --print-config` prints the one that does the same as the \
options. Paths are relative to the folder of the file.

A section in double brackets is a service, and there may be any number of each; its keys are the long \
options of the command of the same name, and a plain option (`--no-listing`) is a key that is `true`. \
Each may have a `name`, by which logs and `ropewalk status` know it, and a section of limits of its own \
below it: `[web.limits]`. What is not set there is as in `[limits]`.

Times are numbers of seconds. Bytes are numbers, or strings as in `\"2M\"`.
";

/// The page.
pub(crate) fn reference(kinds: &[Entry]) -> String {
    let mut text = ABOUT.to_owned();
    let process = Process::augment_args(Command::new("process"));
    let top = ["workers", "grace", "user", "group", "pidfile"];
    section(&mut text, "Before all sections", "", options(&process, |name| top.contains(&name)));
    let log = Global::augment_args(Command::new("log"));
    let renamed = |name: &str| match name {
        "log-level" => Some("level"),
        "log-format" => Some("format"),
        "log-file" => Some("file"),
        "wire" => Some("wire"),
        _ => None,
    };
    let rows = log.get_arguments().filter_map(|arg| Some((renamed(arg.get_long()?)?, arg)));
    section(&mut text, "`[log]`", "", rows.map(|(name, arg)| row(name, arg)).collect());
    let limits = Limits::augment_args(Command::new("limits"));
    let about = "Of all services; or of one, as `[web.limits]`.";
    section(&mut text, "`[limits]`", about, options(&limits, |_| true));
    let control = options(&process, |name| name == "control");
    let control = control.iter().map(|row| row.replacen("`control`", "`socket`", 1)).collect();
    section(&mut text, "`[control]`", "", control);
    let metrics = options(&process, |name| name == "metrics");
    let metrics = metrics.iter().map(|row| row.replacen("`metrics`", "`listen`", 1)).collect();
    section(&mut text, "`[metrics]`", "", metrics);
    let upgrade = options(&process, |name| name.starts_with("upgrade-"));
    let upgrade = upgrade.iter().map(|row| row.replacen("`upgrade-", "`", 1)).collect();
    section(&mut text, "`[upgrade]`", "", upgrade);
    for kind in kinds {
        let command = (kind.command)();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let name = "| `name` | NAME | What it is called in logs and by `ropewalk status` |";
        // By the table that they are keys of, the section itself first.
        let mut tables = BTreeMap::from([(String::new(), vec![name.to_owned()])]);
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            let table = (kind.table_of)(long).unwrap_or_default();
            tables.entry(table).or_default().push(row(long, arg));
        }
        // Those are described above.
        tables.remove("limits");
        for (table, rows) in tables {
            let (heading, about) = match table.as_str() {
                "" => (format!("`[[{}]]`", kind.name), format!("{about}.")),
                table => (format!("`[{}.{table}]`", kind.name), String::new()),
            };
            section(&mut text, &heading, &about, rows);
        }
    }
    text
}

fn section(text: &mut String, heading: &str, about: &str, rows: Vec<String>) {
    let about = if about.len() < 2 { String::new() } else { format!("{about}\n\n") };
    write!(text, "\n## {heading}\n\n{about}| key | value | meaning |\n|---|---|---|\n")
        .expect("into a string");
    for row in rows {
        *text += &row;
        text.push('\n');
    }
}

fn options(command: &Command, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let known = |arg: &&Arg| arg.get_long().is_some_and(&wanted);
    let rows = command.get_arguments().filter(known);
    rows.map(|arg| row(arg.get_long().unwrap_or_default(), arg)).collect()
}

fn row(name: &str, arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    let standard: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    let flag = !arg.get_action().takes_values();
    let default = match standard.join(", ") {
        _ if flag => String::new(),
        text if text.is_empty() => text,
        text => format!(" [default: {text}]"),
    };
    let names = arg.get_value_names().unwrap_or_default();
    let choices: BTreeSet<String> =
        arg.get_possible_values().iter().map(|value| format!("\"{}\"", value.get_name())).collect();
    let value = match arg.get_action() {
        _ if flag => "true or false".to_owned(),
        clap::ArgAction::Append => format!("a list of {}", names.join(" ")),
        _ if !choices.is_empty() => choices.into_iter().collect::<Vec<_>>().join(", "),
        _ => names.join(" "),
    };
    format!("| `{name}` | {value} | {help}{default} |")
}

/// The keys of the sections that no command has, by section, as what reads them knows them: a test
/// compares them with the page.
#[cfg(test)]
pub(super) fn global_keys() -> Vec<(String, Vec<String>)> {
    let some = || Some("x".to_owned());
    let mut full = super::Globals {
        workers: std::num::NonZeroUsize::new(1),
        user: some(),
        group: some(),
        pidfile: some().map(Into::into),
        ..super::Globals::default()
    };
    full.log.file = some().map(Into::into);
    full.metrics.listen = some();
    full.upgrade.program = some().map(Into::into);
    let table = toml::Table::try_from(full).expect("a table of plain values");
    let mut keys = vec![(String::new(), Vec::new())];
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                keys.push((key, inner.into_iter().map(|(key, _)| key).collect()));
            }
            _ => keys[0].1.push(key),
        }
    }
    keys
}
