//! From a text to sections, with the place of everything and all that is wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{Globals, Service};
use crate::exit::{Code, Failure};
use crate::kind::Entry;
use crate::problem::{Place, Section};

/// How many mistakes are told of one section.
const MOST: usize = 50;

/// A text and what has been found wrong with it.
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    table: DeTable<'t>,
    problems: Vec<(usize, Failure)>,
}

/// What a value of a section is read by.
type Read<T> = fn(ValueDeserializer<'_>) -> Result<T, toml::de::Error>;

impl<'t> Document<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut document = Self { file, text, table: table.into_inner(), problems: Vec::new() };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            document.problem(at, Code::Config, error.message().to_owned());
        }
        document
    }

    /// The services, in the order of the file.
    pub(super) fn services(&mut self, kinds: &[Entry]) -> Vec<Service> {
        let mut sections = Vec::new();
        for kind in kinds {
            let Some((key, value)) = self.table.remove_entry(kind.name) else { continue };
            match value.into_inner() {
                DeValue::Array(items) => {
                    sections.extend(items.into_iter().map(|item| (kind, item)));
                }
                // One `[web]` is one service.
                DeValue::Table(table) => {
                    let span = key.span();
                    sections.push((kind, Spanned::new(span, DeValue::Table(table))));
                }
                _ => self.problem(key.span().start, Code::Config, wants_section(kind.name)),
            }
        }
        sections.sort_by_key(|(_, item)| item.span().start);
        sections.into_iter().filter_map(|(kind, item)| self.service(kind, item)).collect()
    }

    fn service(&mut self, kind: &Entry, item: Spanned<DeValue<'t>>) -> Option<Service> {
        let span = item.span();
        let DeValue::Table(mut table) = item.into_inner() else {
            self.problem(span.start, Code::Config, wants_section(kind.name));
            return None;
        };
        let place = self.place(kind.name, span.start, &table);
        let name = match table.remove("name").map(Spanned::into_inner) {
            None => None,
            Some(DeValue::String(name)) if is_name(&name) => Some(name.into_owned()),
            Some(_) => {
                let what = "a name is made of letters, digits, - and _, and begins with a letter";
                self.fail(&place, "name", what);
                None
            }
        };
        let settings = self.section(&place, table, span, kind.from_value)?;
        let named = name.is_some();
        let name = name.unwrap_or_else(|| kind.name.to_owned());
        Some(Service { kind: kind.name, name, named, settings, place })
    }

    /// What stands before all sections, and the sections for all services.
    pub(super) fn globals(&mut self, kinds: &[Entry]) -> (Globals, Place) {
        let table = std::mem::take(&mut self.table);
        let place = self.place("", 0, &table);
        let before = self.problems.len();
        let globals = self.section(&place, table, 0..0, |value| Globals::deserialize(value));
        // A section may be what is missing a letter.
        let names = kinds.iter().map(|kind| kind.name);
        let known: Vec<&str> =
            names.chain(["log", "limits", "control", "metrics", "upgrade"]).collect();
        for (_, failure) in &mut self.problems[before..] {
            failure.amend(|what| widen(what, &known));
        }
        (globals.unwrap_or_default(), place)
    }

    /// Reads a section as often as it takes to find all mistakes: each time without the last one.
    fn section<T>(
        &mut self,
        place: &Place,
        mut table: DeTable<'t>,
        span: Range<usize>,
        read: Read<T>,
    ) -> Option<T> {
        for _ in 0..MOST {
            let whole = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match read(ValueDeserializer::from(whole)) {
                Ok(settings) => return Some(settings),
                Err(error) => error,
            };
            let at = error.span().unwrap_or_else(|| span.clone());
            let key = without(&mut table, &at, String::new());
            let what = explain(error.message());
            self.problem_at(place, at.start, key.as_deref().unwrap_or_default(), &what);
            key?;
        }
        None
    }

    /// Where the keys of a section are.
    fn place(&self, name: &str, start: usize, table: &DeTable<'t>) -> Place {
        let mut lines = BTreeMap::new();
        self.lines(table, "", &mut lines);
        let (file, name, line) = (self.file.to_owned(), name.to_owned(), self.line(start));
        Place::Section(Arc::new(Section { file, name, line, lines }))
    }

    fn lines(&self, table: &DeTable<'t>, prefix: &str, lines: &mut BTreeMap<String, usize>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            lines.insert(name.clone(), self.line(key.span().start));
            match value.get_ref() {
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        lines.insert(format!("{name}[{index}]"), self.line(item.span().start));
                    }
                }
                DeValue::Table(inner) => self.lines(inner, &format!("{name}."), lines),
                _ => {}
            }
        }
    }

    /// The number of the line with that byte.
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|b| **b == b'\n').count() + 1
    }

    fn problem(&mut self, at: usize, code: Code, what: String) {
        let line = self.line(at);
        let what = format!("{}:{line}: {what}", self.file);
        self.problems.push((line, Failure::new(code, what)));
    }

    fn problem_at(&mut self, place: &Place, at: usize, key: &str, what: &str) {
        self.problems.push((self.line(at), place.failure(key, Code::Config, what)));
    }

    fn fail(&mut self, place: &Place, key: &str, what: &str) {
        self.problems.push((0, place.failure(key, Code::Config, what)));
    }

    /// All that was found wrong, in the order of lines.
    pub(super) fn problems(mut self, empty: bool) -> Vec<Failure> {
        if empty && self.problems.is_empty() {
            let what = "there is no service in it: add one, as in [[web]]";
            self.problem(0, Code::Config, what.to_owned());
        }
        self.problems.sort_by_key(|(line, _)| *line);
        let mut problems: Vec<Failure> = self.problems.into_iter().map(|(_, what)| what).collect();
        problems.dedup();
        problems
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn wants_section(name: &str) -> String {
    format!("{name}: write a section, [[{name}]], for each")
}

/// Takes the innermost key around `at` out of the table, and says which it was.
fn without(table: &mut DeTable<'_>, at: &Range<usize>, prefix: String) -> Option<String> {
    let around = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let inner = table.iter().find_map(|(key, value)| {
        let table = matches!(value.get_ref(), DeValue::Table(_));
        let is_key = around(key.span());
        // The span of a table of its own is its heading: look inside as well.
        (is_key || around(value.span()) || table && holds(value, at)).then(|| {
            (
                key.get_ref().to_string(),
                !is_key && table,
                if is_key { String::new() } else { element(value, at) },
            )
        })
    });
    let (key, is_table, element) = inner?;
    if is_table
        && let Some(DeValue::Table(inner)) = table.get_mut(key.as_str()).map(Spanned::get_mut)
        && let Some(found) = without(inner, at, format!("{prefix}{key}."))
    {
        return Some(found);
    }
    table.remove(key.as_str());
    Some(format!("{prefix}{key}{element}"))
}

/// Whether `at` is of a key or a value in the table.
fn holds(value: &Spanned<DeValue<'_>>, at: &Range<usize>) -> bool {
    let around = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let DeValue::Table(table) = value.get_ref() else { return false };
    table.iter().any(|(key, value)| around(key.span()) || around(value.span()) || holds(value, at))
}

/// Which element of a list is at fault.
fn element(value: &Spanned<DeValue<'_>>, at: &Range<usize>) -> String {
    let DeValue::Array(items) = value.get_ref() else { return String::new() };
    let around = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let index = items.iter().position(|item| around(item.span()));
    index.map(|index| format!("[{index}]")).unwrap_or_default()
}

/// The words of serde, for people: an unknown key gets a suggestion.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else { return message.to_owned() };
    let mut words = rest.split('`').skip(1).step_by(2);
    let unknown = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    unknown_key(unknown, &known)
}

/// What to say of a key that nobody knows.
fn unknown_key(unknown: &str, known: &[&str]) -> String {
    match nearest(unknown, known) {
        Some(near) => format!("no such key: did you mean `{near}`?"),
        None => format!("no such key; there are {}", known.join(", ")),
    }
}

/// With the names of sections among the suggestions.
fn widen(what: &str, known: &[&str]) -> String {
    let Some((place, rest)) = what.split_once(": no such key") else { return what.to_owned() };
    let unknown = place.rsplit([' ', '.']).next().unwrap_or_default();
    match nearest(unknown, known) {
        Some(near) => format!("{place}: no such key: did you mean `{near}`?"),
        None => format!("{place}: no such key{rest}"),
    }
}

/// The one that was meant, if one is near enough.
fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let unknown = unknown.replace('_', "-");
    let score = |known: &str| {
        // Two letters in the wrong order are near, which Jaro's measure does not see in short words.
        let slip = strsim::osa_distance(&unknown, known) == 1;
        strsim::jaro_winkler(&unknown, known).max(if slip { 0.9 } else { 0.0 })
    };
    let best = known.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) > 0.8).then_some(*best)
}
