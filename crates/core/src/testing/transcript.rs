//! Conversations in text files.

mod parse;
mod play;

use std::fmt::{self, Debug, Display};
use std::path::Path;

use bytes::Bytes;

use super::Stage;
use super::cutting::Cutting;
use super::subject::Subject;
use crate::Protocol;
use parse::{Line, Step};

/// Whose part the protocol under test plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `S:` lines are the protocol's, `C:` lines its peer's.
    Server,
    /// `C:` lines are the protocol's, `S:` lines its peer's.
    Client,
}

/// A protocol, and how a test plays its user: what transcripts are run against.
///
/// A transcript is a conversation in a text file:
///
/// ```text
/// # A comment; so is nothing at all.
/// C: what the client says\t\x00\\      CR LF is added
/// S: what the server says
/// C: half a line \
/// C: and its other half
/// S: 250 at <any>, whatever the time
/// C: \{600 x}
/// @ hang up politely
/// +5m30s
/// = Event
/// ! line too long
/// C: <eof>
/// S: <eof>
/// ```
///
/// * `C:` and `S:` are followed by one space and a line, to which CR LF is added unless the line ends
///   in `\`. Escapes are `\r`, `\n`, `\t`, `\0`, `\\`, `\xNN`, and `\{N text}`, which repeats `text`
///   N times. What goes to the protocol under test is sent to it; what comes from it must come so,
///   byte for byte, where `<any>` stands for anything up to what follows it in the same line.
/// * `<eof>` alone is the end of that direction. Of the protocol under test it says that the protocol
///   is over, has failed, or has nothing to add after its peer's end.
/// * `+` lets time pass (`ms`, `s`, `m`, `h`, or several of them); deadlines are met on the way.
/// * `=` says that the oldest event not mentioned yet contains this text, as `{:?}` shows it. A
///   transcript with one such line must have one for every event.
/// * `!` says that the protocol fails, with an error whose text contains this.
/// * `@` calls the closure given by [`on_cue`](Self::on_cue) with the rest of the line.
///
/// Lines of the peer with nothing between them come at once, as pipelining peers send them. Then the
/// whole conversation is run again with them byte by byte, in two parts at every place, and by
/// chance: every expectation has to hold each time.
///
/// ```
/// use ropewalk_core::Lines;
/// use ropewalk_core::testing::{Role, Script};
///
/// Script::new(Role::Server, Lines::crlf)
///     .starting(|stage| stage.say("hello"))
///     .answering(|stage, line| stage.say(line))
///     .check("
///         S: hello
///         C: an echo
///         C: and another
///         S: an echo
///         S: and another
///         C: <eof>
///     ");
/// ```
pub struct Script<'a, P: Protocol, S = ()> {
    role: Role,
    subject: Subject<'a, P, S>,
    by_chance: u64,
    seed: u64,
}

impl<'a, P: Protocol> Script<'a, P> {
    /// Makes the protocol under test with `make`, anew for every run.
    pub fn new(role: Role, make: impl Fn() -> P + 'a) -> Self {
        Self::with_state(role, move || (make(), ()))
    }
}

impl<'a, P: Protocol, S> Script<'a, P, S> {
    /// Makes the protocol under test, and state for the closures, anew for every run.
    pub fn with_state(role: Role, make: impl Fn() -> (P, S) + 'a) -> Self {
        Self { role, subject: Subject::new(make), by_chance: 16, seed: 1 }
    }

    /// Does this first, as clients do who speak first.
    #[must_use]
    pub fn starting(
        mut self,
        start: impl Fn(&mut Stage<'_, P, S>) -> Result<(), P::Error> + 'a,
    ) -> Self {
        self.subject.start = Box::new(move |stage, ()| start(stage));
        self
    }

    /// Does this at every event, in the place of the protocol's user. An error counts as one of the
    /// protocol's own.
    #[must_use]
    pub fn answering(
        mut self,
        answer: impl Fn(&mut Stage<'_, P, S>, P::In) -> Result<(), P::Error> + 'a,
    ) -> Self {
        self.subject.answer = Box::new(answer);
        self
    }

    /// Does this at every `@` line.
    #[must_use]
    pub fn on_cue(
        mut self,
        cue: impl Fn(&mut Stage<'_, P, S>, &str) -> Result<(), P::Error> + 'a,
    ) -> Self {
        self.subject.cue = Some(Box::new(cue));
        self
    }

    /// Joins neighbouring events for which this gives bytes, as in [`Cuts`](super::Cuts::flowing).
    #[must_use]
    pub fn flowing(mut self, flow: impl Fn(&P, &P::In) -> Option<Bytes> + 'a) -> Self {
        self.subject.flow = Box::new(flow);
        self
    }

    /// Cuts by chance `count` times, from `seed` on. 16 times from 1 on unless told otherwise.
    #[must_use]
    pub fn seeded(mut self, count: u64, seed: u64) -> Self {
        (self.by_chance, self.seed) = (count, seed);
        self
    }
}

impl<P, S> Script<'_, P, S>
where
    P: Protocol<In: Debug, Error: Display>,
{
    /// Runs one transcript under every cut.
    ///
    /// # Panics
    /// When the text is no transcript or the protocol does not follow it, with the line.
    #[track_caller]
    pub fn check(&self, text: &str) {
        self.check_named("transcript", text);
    }

    /// Runs the transcript in a file under every cut.
    ///
    /// # Panics
    /// As [`check`](Self::check), and when the file cannot be read.
    #[track_caller]
    pub fn check_file(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        match std::fs::read_to_string(path) {
            Ok(text) => self.check_named(&path.display().to_string(), &text),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Runs every `.txt` file of a folder, in the order of their names.
    ///
    /// # Panics
    /// As [`check_file`](Self::check_file), and when the folder has no such file.
    #[track_caller]
    pub fn check_folder(&self, folder: impl AsRef<Path>) {
        let folder = folder.as_ref();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => panic!("{}: {error}", folder.display()),
        };
        let mut paths: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .collect();
        assert!(!paths.is_empty(), "{}: no transcript in it", folder.display());
        paths.sort();
        for path in paths {
            self.check_file(path);
        }
    }

    #[track_caller]
    fn check_named(&self, name: &str, text: &str) {
        if let Err(failure) = self.run(text) {
            panic!("{name}:{failure}");
        }
    }

    /// As [`check`](Self::check), without panicking.
    ///
    /// # Errors
    /// The first expectation that does not hold.
    pub fn run(&self, text: &str) -> Result<(), Failure> {
        let lines = parse::lines(text, self.role)?;
        play::play(&self.subject, &lines, Cutting::Whole)?;
        let turns = play::turn_lengths(&lines);
        for cutting in Cutting::all(turns, self.by_chance, self.seed) {
            play::play(&self.subject, &lines, cutting).map_err(|failure| {
                let turn = match cutting {
                    Cutting::Two { turn, .. } => play::turn_line(&lines, turn),
                    _ => None,
                };
                let place = turn.map(|line| format!(" of the turn at line {line}"));
                let place = place.unwrap_or_default();
                Failure { cut: Some(format!("{cutting}{place}")), ..failure }
            })?;
        }
        Ok(())
    }
}

impl<P: Protocol, S> Debug for Script<'_, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Where and how a protocol does not follow its transcript.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// The line of the transcript, from 1 on.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// How the peer's words were cut, if they were.
    pub cut: Option<String>,
}

impl Failure {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into(), cut: None }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)?;
        if let Some(cut) = &self.cut {
            write!(f, "\n  (it passes uncut; here the peer's words were cut {cut})")?;
        }
        Ok(())
    }
}
