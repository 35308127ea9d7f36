//! Any cut of the input makes no difference.

use std::fmt::{self, Debug, Display};

use bytes::Bytes;

use super::Stage;
use super::cutting::Cutting;
use super::subject::{Heard, Run, Subject, quoted};
use crate::Protocol;

/// Runs a protocol on `input` whole, byte by byte, in two parts at every place and in parts by
/// chance, then ends the stream; asserts that events, errors and output are the same each time, and
/// returns them. [`Cuts`] is this with settings.
///
/// ```
/// use ropewalk_core::Lines;
/// use ropewalk_core::testing::cuts;
///
/// let heard = cuts(Lines::crlf, b"NOOP\r\nQU");
/// assert_eq!(heard.events, [r#"b"NOOP""#]);
/// assert!(heard.error.unwrap().contains("2 bytes into it"));
/// ```
///
/// # Panics
/// When a cut makes a difference: the message says which, and shows both.
#[track_caller]
pub fn cuts<P>(make: impl Fn() -> P, input: &[u8]) -> Heard
where
    P: Protocol<In: Debug, Error: Display>,
{
    Cuts::of(make).check(input)
}

/// Any cut of the input makes no difference: TCP keeps bytes in order and says nothing about how many
/// come at once.
///
/// Two-part cuts are made at every place of an input of up to 8 KiB, and at so many places of a
/// longer one; the work is the square of the length, so inputs had better be short. Input is never
/// shown beyond [`Protocol::input_cap`], and a protocol that asks for more at its cap fails.
///
/// ```
/// use ropewalk_core::Raw;
/// use ropewalk_core::testing::Cuts;
///
/// let heard = Cuts::of(|| Raw)
///     .flowing(|_, bytes| Some(bytes.clone())) // how they are divided is not the point
///     .answering(|stage, bytes| stage.say(bytes))
///     .check(b"echo");
/// assert_eq!(heard.events, [r#"b"echo""#]);
/// assert_eq!(heard.output, "echo");
/// ```
pub struct Cuts<'a, P: Protocol, S = ()> {
    subject: Subject<'a, P, S>,
    by_chance: u64,
    seed: u64,
    open: bool,
}

impl<'a, P: Protocol> Cuts<'a, P> {
    /// Makes the protocol with `make`, anew for every run.
    pub fn of(make: impl Fn() -> P + 'a) -> Self {
        Self::with_state(move || (make(), ()))
    }
}

impl<'a, P: Protocol, S> Cuts<'a, P, S> {
    /// Makes the protocol, and state for the closures of the test, anew for every run.
    pub fn with_state(make: impl Fn() -> (P, S) + 'a) -> Self {
        Self { subject: Subject::new(make), by_chance: 32, seed: 1, open: false }
    }

    /// Does this before anything comes, as clients do who speak first.
    #[must_use]
    pub fn starting(
        mut self,
        start: impl Fn(&mut Stage<'_, P, S>) -> Result<(), P::Error> + 'a,
    ) -> Self {
        self.subject.start = Box::new(move |stage, ()| start(stage));
        self
    }

    /// Does this at every event, in the place of the protocol's user. An error ends the run like one
    /// of the protocol's own.
    #[must_use]
    pub fn answering(
        mut self,
        answer: impl Fn(&mut Stage<'_, P, S>, P::In) -> Result<(), P::Error> + 'a,
    ) -> Self {
        self.subject.answer = Box::new(answer);
        self
    }

    /// Joins neighbouring events for which this gives bytes: pieces of a longer run, whose division
    /// depends on the cut and does not matter.
    #[must_use]
    pub fn flowing(mut self, flow: impl Fn(&P, &P::In) -> Option<Bytes> + 'a) -> Self {
        self.subject.flow = Box::new(flow);
        self
    }

    /// Cuts by chance `count` times, from `seed` on. 32 times from 1 on unless told otherwise.
    #[must_use]
    pub fn seeded(mut self, count: u64, seed: u64) -> Self {
        (self.by_chance, self.seed) = (count, seed);
        self
    }

    /// Leaves the stream open after the input.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }
}

impl<P, S> Cuts<'_, P, S>
where
    P: Protocol<In: Debug, Error: Display>,
{
    /// Runs the protocol on `input` under every cut and returns what came of it.
    ///
    /// # Panics
    /// When a cut makes a difference.
    #[track_caller]
    pub fn check(&self, input: &[u8]) -> Heard {
        match self.run(input) {
            Ok(heard) => heard,
            Err(difference) => panic!("{difference}"),
        }
    }

    /// As [`check`](Self::check), without panicking.
    ///
    /// # Errors
    /// The first cut that makes a difference, in words.
    pub fn run(&self, input: &[u8]) -> Result<Heard, String> {
        let whole = self.heard(Cutting::Whole, input);
        for cutting in Cutting::all(vec![input.len()], self.by_chance, self.seed) {
            let cut = self.heard(cutting, input);
            if let Some(difference) = difference(&whole, &cut) {
                let shown = shown(cutting, input);
                return Err(format!(
                    "cutting the input makes a difference\n  cut {cutting}: {shown}\n{difference}"
                ));
            }
        }
        Ok(whole)
    }

    fn heard(&self, cutting: Cutting, input: &[u8]) -> Heard {
        let mut run = Run::new(&self.subject);
        for part in cutting.parts(0, input) {
            run.feed(part);
        }
        if !self.open {
            run.finish();
        }
        run.into_heard()
    }
}

impl<P: Protocol, S> Debug for Cuts<'_, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by_chance, seed, open, .. } = self;
        f.debug_struct("Cuts")
            .field("by_chance", by_chance)
            .field("seed", seed)
            .field("open", open)
            .finish_non_exhaustive()
    }
}

/// The first thing in which two runs differ.
fn difference(whole: &Heard, cut: &Heard) -> Option<String> {
    let told = |what: &str, whole: &str, cut: &str| {
        Some(format!("  {what}, uncut: {whole}\n  {what}, cut:   {cut}"))
    };
    let nothing = || "(none)".to_owned();
    for at in 0..whole.events.len().max(cut.events.len()) {
        let (one, other) = (whole.events.get(at), cut.events.get(at));
        if one != other {
            let show = |event: Option<&String>| event.cloned().unwrap_or_else(nothing);
            return told(&format!("event {at}"), &show(one), &show(other));
        }
    }
    if whole.error != cut.error {
        let show = |error: &Option<String>| error.clone().unwrap_or_else(nothing);
        return told("error", &show(&whole.error), &show(&cut.error));
    }
    if whole.output != cut.output {
        return told("output", &quoted(&whole.output), &quoted(&cut.output));
    }
    if whole.left != cut.left {
        return told("unconsumed input", &quoted(&whole.left), &quoted(&cut.left));
    }
    None
}

/// The parts of the input; of long ones only what is near the cuts.
fn shown(cutting: Cutting, input: &[u8]) -> String {
    const NEAR: usize = 24;
    const PARTS: usize = 12;
    let parts = cutting.parts(0, input);
    let mut shown: Vec<String> = parts
        .iter()
        .take(PARTS)
        .map(|part| {
            if part.len() <= 2 * NEAR {
                return quoted(part);
            }
            let (head, tail) = (&part[..NEAR], &part[part.len() - NEAR..]);
            format!("{}…{}", quoted(head), quoted(tail))
        })
        .collect();
    if parts.len() > PARTS {
        shown.push("…".into());
    }
    shown.join(" | ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::Wire;

    /// A protocol with one of the usual mistakes.
    #[derive(Debug, Clone, Copy)]
    enum Wrong {
        /// One read is one message.
        ReadIsMessage,
        /// CR at the end of a read is the end of a line.
        SplitCrlf,
        /// An answer for each read.
        AnswersReads,
        /// An error as long as the input is short.
        Impatient,
        /// Asks for more than its cap.
        BeyondCap,
        /// Tells without consuming.
        Endless,
        /// Leaves what came in the last read.
        Forgets,
    }

    impl Protocol for Wrong {
        type In = String;
        type Out = ();
        type Error = io::Error;

        fn receive(&mut self, wire: &mut Wire) -> io::Result<Option<String>> {
            if wire.input.is_empty() {
                return Ok(None);
            }
            let take = |wire: &mut Wire| String::from_utf8_lossy(&wire.input.split()).into_owned();
            match self {
                Self::ReadIsMessage => Ok(Some(take(wire))),
                Self::SplitCrlf if wire.input.ends_with(b"\r") => Ok(Some(take(wire))),
                Self::AnswersReads => {
                    let _ = take(wire);
                    wire.output.put(b"ok\n");
                    Ok(None)
                }
                Self::Impatient if wire.input.len() < 3 => Err(io::Error::other("too short")),
                Self::Impatient if !wire.eof => Ok(None),
                Self::Impatient => Ok(Some(take(wire))),
                Self::Endless => Ok(Some("again".into())),
                Self::Forgets if wire.input.len() > 2 => {
                    wire.input.clear();
                    Ok(None)
                }
                Self::SplitCrlf | Self::BeyondCap | Self::Forgets => Ok(None),
            }
        }

        fn send(&mut self, (): (), _: &mut Wire) -> io::Result<()> {
            Ok(())
        }

        fn input_cap(&self) -> usize {
            if matches!(self, Self::BeyondCap) { 4 } else { 1024 }
        }
    }

    fn check(wrong: Wrong, input: &str, parts: &[&str]) {
        let difference = match Cuts::of(|| wrong).run(input.as_bytes()) {
            Ok(heard) => heard.error.expect("every cut is equally wrong, but wrong"),
            Err(difference) => difference,
        };
        for part in parts {
            assert!(difference.contains(part), "{wrong:?}: {part:?} is not in\n{difference}");
        }
    }

    #[test]
    fn every_usual_mistake_is_found_and_shown() {
        let bytewise = "cut byte by byte: \"a\" | \"b\"";
        check(Wrong::ReadIsMessage, "ab", &[bytewise, "event 0, uncut: \"ab\"", "cut:   \"a\""]);
        check(Wrong::SplitCrlf, "a\r\nb", &["\"\\r\" | ", "uncut: (none)", "cut:   \"a\\r\""]);
        check(Wrong::AnswersReads, "ab", &["output, uncut: \"ok\\n\"", "\"ok\\nok\\n\""]);
        check(Wrong::Impatient, "abcd", &["event 0, uncut: \"abcd\"", "cut:   (none)"]);
        check(Wrong::BeyondCap, "abcdef", &["4 bytes of input before it", "input_cap is 4"]);
        check(Wrong::Endless, "a", &["events in a row consumed no input"]);
        check(Wrong::Forgets, "abcd", &["unconsumed input, uncut: \"\"", "cut:   \"d\""]);
    }

    #[test]
    fn a_long_input_is_shown_near_its_cuts() {
        let input = [b'x'; 100];
        let cutting = Cutting::Two { turn: 0, at: 90 };
        let x = |count| quoted(&input[..count]);
        assert_eq!(shown(cutting, &input), format!("{}…{} | {}", x(24), x(24), x(10)));
        assert!(shown(Cutting::Bytewise, &input).ends_with("\"x\" | …"));
    }
}
