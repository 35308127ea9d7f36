//! `exec:`: a child process as a transport.

use std::io;

use tokio::process::Command;

use super::parse::{Arguments, Error};
use super::print::Printed;
use crate::transport::process::{Process, Stderr};
use crate::{Address, Transport};

/// A program that is started for each connection: what we write is its standard input, what it writes
/// on its standard output is what we read; its standard error is ours. It is killed when the transport
/// is dropped. [`Process`] itself tells how it ends, and can log what it says on standard error.
///
/// `exec:` takes all the rest of the string, colons and all: `exec:ssh -W localhost:25 relay`. Words
/// are split at blanks; `'…'`, `"…"` and a backslash keep them together. No shell is involved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exec {
    /// The program, looked for in `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Exec {
    pub(super) const USAGE: &'static str = "exec:PROGRAM ARGUMENTS";

    /// A program with its arguments.
    #[must_use]
    pub fn new<A: Into<String>>(
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let lacking = || arguments.error("exec: lacks a program");
        let line = arguments.positional().first().ok_or_else(lacking)?;
        let words = words(line.text())
            .map_err(|what| line.error(what, "close the quotes, or escape them by a backslash"))?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(lacking)?;
        Ok(Self { program, arguments: words.collect() })
    }

    pub(super) fn print(&self) -> Printed {
        let words: Vec<_> =
            std::iter::once(&self.program).chain(&self.arguments).map(|word| quote(word)).collect();
        Printed::new("exec").raw(words.join(" "))
    }

    /// Starts it. Inside a runtime.
    pub(super) fn start(&self) -> io::Result<Transport> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let process = Process::spawn(command, Stderr::Inherit)?;
        let address = Address::Process(process.id());
        let mut transport = Transport::other(process);
        transport.set_peer(address);
        transport.set_local(Address::Process(std::process::id()));
        Ok(transport)
    }
}

/// Splits a command line as a shell would that knows quotes only.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let literal = chars.next().ok_or("a backslash with nothing behind it")?;
                word.get_or_insert_default().push(literal);
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(_) => Err("quotes that are not closed"),
        None => Ok(words),
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| !matches!(c, ' ' | '\t' | '\'' | '"' | '\\');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("cat", Some(&["cat"])),
            ("  ssh  -W localhost:25\thost ", Some(&["ssh", "-W", "localhost:25", "host"])),
            ("a 'b c' \"d e\"", Some(&["a", "b c", "d e"])),
            (r#"a\ b "c\"d" 'e\f'"#, Some(&["a b", "c\"d", "e\\f"])),
            ("a '' \"\"", Some(&["a", "", ""])),
            ("a'b'c", Some(&["abc"])),
            ("", Some(&[])),
            ("a 'b", None),
            ("a \\", None),
        ];
        for (line, expected) in cases {
            let words = words(line).ok();
            assert_eq!(
                words.as_deref(),
                expected.map(|e| e.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{line}"
            );
            if let Some(words) = words {
                let printed: Vec<_> = words.iter().map(|word| quote(word)).collect();
                assert_eq!(super::words(&printed.join(" ")).unwrap(), words);
            }
        }
    }
}
