//! `exec:`: a child process as a transport.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::parse::{Arguments, Error};
use super::print::Printed;
use crate::{Address, Transport};

/// A program that is started for each connection: what we write is its standard input, what it writes
/// on its standard output is what we read; its standard error is ours. It is killed when the transport
/// is dropped.
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
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let address = child.id().map_or(Address::Unknown, Address::Process);
        let lost = || io::Error::other("the child came without its pipes");
        let stdin = Some(child.stdin.take().ok_or_else(lost)?);
        let stdout = child.stdout.take().ok_or_else(lost)?;
        let mut transport = Transport::other(Process { stdin, stdout, _child: child });
        transport.set_peer(address);
        transport.set_local(Address::Process(std::process::id()));
        Ok(transport)
    }
}

/// The pipes of a child that is killed on drop.
struct Process {
    /// `None` once we have ended our direction, which the child sees as the end of its input.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    _child: Child,
}

impl AsyncRead for Process {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Process {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Tokio's own shutdown of a child's input leaves it open.
        self.get_mut().stdin = None;
        Poll::Ready(Ok(()))
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
