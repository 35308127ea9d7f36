//! Playing a transcript to a protocol.

use std::fmt::{Debug, Display};

use bytes::Buf;

use super::super::subject::{Run, Subject, quoted};
use super::{Cutting, Failure, Line, Step};
use crate::Protocol;

/// How many bytes the peer says in each of its turns.
pub(super) fn turn_lengths(lines: &[Line<'_>]) -> Vec<usize> {
    turns(lines).map(|(_, bytes)| bytes.len()).collect()
}

/// The line at which a turn of the peer's begins.
pub(super) fn turn_line(lines: &[Line<'_>], turn: usize) -> Option<usize> {
    turns(lines).nth(turn).map(|(line, _)| line)
}

/// What the peer says at once, and the line where it begins.
fn turns(lines: &[Line<'_>]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    lines
        .chunk_by(|one, other| is_speech(one) && is_speech(other))
        .filter(|turn| is_speech(&turn[0]))
        .map(|turn| (turn[0].number, turn.iter().flat_map(speech).copied().collect()))
}

fn is_speech(line: &Line<'_>) -> bool {
    matches!(line.step, Step::Peer(_))
}

fn speech<'l>(line: &'l Line<'_>) -> &'l [u8] {
    match &line.step {
        Step::Peer(bytes) => bytes,
        _ => &[],
    }
}

/// Plays a transcript, the peer's turns cut as told.
pub(super) fn play<'a, P, S>(
    subject: &Subject<'a, P, S>,
    lines: &[Line<'_>],
    cutting: Cutting,
) -> Result<(), Failure>
where
    P: Protocol<In: Debug, Error: Display>,
{
    let events = lines.iter().any(|line| matches!(line.step, Step::Event(_)));
    let mut player = Player { run: Run::new(subject), turn: 0, events, expected: false };
    for lines in lines.chunk_by(|one, other| is_speech(one) && is_speech(other)) {
        if is_speech(&lines[0]) {
            player.turn(lines, cutting)?;
        } else {
            player.step(&lines[0])?;
        }
    }
    let last = lines.last().map_or(1, |line| line.number);
    player.quiet(last, "and the transcript ends")
}

/// A transcript being played.
struct Player<'s, 'a, P: Protocol, S> {
    run: Run<'s, 'a, P, S>,
    /// How many turns the peer has had.
    turn: usize,
    /// Whether the transcript lists events.
    events: bool,
    /// Whether the failure that there was had been announced.
    expected: bool,
}

impl<P, S> Player<'_, '_, P, S>
where
    P: Protocol<In: Debug, Error: Display>,
{
    /// The peer says these lines at once.
    fn turn(&mut self, lines: &[Line<'_>], cutting: Cutting) -> Result<(), Failure> {
        let number = lines[0].number;
        self.quiet(number, "before the peer goes on")?;
        if self.run.is_deaf() {
            return Err(Failure::new(number, "the protocol is over and reads no more"));
        }
        let bytes: Vec<u8> = lines.iter().flat_map(speech).copied().collect();
        for part in cutting.parts(self.turn, &bytes) {
            self.run.feed(part);
        }
        self.turn += 1;
        Ok(())
    }

    fn step(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let number = line.number;
        match &line.step {
            // Only turns have them.
            Step::Peer(_) => {}
            Step::PeerEnds => {
                self.quiet(number, "before the peer ends")?;
                self.run.finish();
            }
            Step::Wait(time) => {
                self.quiet(number, "before time passes")?;
                self.run.wait(*time);
            }
            Step::Cue(words) => {
                self.quiet(number, "before the cue")?;
                if !self.run.cue(words) {
                    return Err(Failure::new(number, "a cue, and no closure for cues"));
                }
            }
            Step::Ours(pieces) => self.says(number, pieces)?,
            Step::OursEnds => self.ends(number)?,
            Step::Event(text) => self.tells(number, text)?,
            Step::Fails(text) => self.fails(number, text)?,
        }
        Ok(())
    }

    /// Nothing may have happened that the transcript does not have.
    fn quiet(&mut self, line: usize, when: &str) -> Result<(), Failure> {
        if !self.run.said().is_empty() {
            let said = quoted(self.run.said());
            return Err(Failure::new(line, format!("the protocol says more {when}: {said}")));
        }
        if let Some(event) = self.events.then(|| self.run.next_told()).flatten() {
            return Err(Failure::new(line, format!("an event that is not listed {when}: {event}")));
        }
        match self.run.error() {
            Some(error) if !self.expected => {
                Err(Failure::new(line, format!("the protocol fails {when}: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// The protocol says a line.
    fn says(&mut self, line: usize, pieces: &[Vec<u8>]) -> Result<(), Failure> {
        let error = self.run.error().map(|error| format!("; it failed: {error}"));
        let said = self.run.said();
        if let Some(len) = matched(said, pieces) {
            said.advance(len);
            return Ok(());
        }
        let expected: Vec<String> = pieces.iter().map(|piece| quoted(piece)).collect();
        // As much as was expected, up to the end of its line, tells the story.
        let end = said.iter().position(|byte| *byte == b'\n').map_or(said.len(), |at| at + 1);
        let got = if said.is_empty() { "nothing".to_owned() } else { quoted(&said[..end]) };
        let (expected, error) = (expected.join(" <any> "), error.unwrap_or_default());
        Err(Failure::new(
            line,
            format!("expected {expected}\n  but the protocol says {got}{error}"),
        ))
    }

    /// The protocol has nothing more to say.
    fn ends(&mut self, line: usize) -> Result<(), Failure> {
        if !self.run.said().is_empty() {
            let said = quoted(self.run.said());
            return Err(Failure::new(line, format!("the protocol does not end but says {said}")));
        }
        if self.run.is_deaf() || self.run.has_peer_ended() {
            return Ok(());
        }
        Err(Failure::new(line, "the protocol does not end: it waits for more"))
    }

    /// The protocol told an event.
    fn tells(&mut self, line: usize, text: &str) -> Result<(), Failure> {
        match self.run.next_told() {
            Some(event) if event.contains(text) => Ok(()),
            Some(event) => {
                Err(Failure::new(line, format!("expected an event with {text:?}, got {event}")))
            }
            None => {
                let error = self.run.error().map(|error| format!("; the protocol failed: {error}"));
                let error = error.unwrap_or_default();
                Err(Failure::new(line, format!("expected an event with {text:?}, got none{error}")))
            }
        }
    }

    /// The protocol failed.
    fn fails(&mut self, line: usize, text: &str) -> Result<(), Failure> {
        self.expected = true;
        match self.run.error() {
            Some(error) if error.contains(text) => Ok(()),
            Some(error) => {
                Err(Failure::new(line, format!("expected an error with {text:?}, got {error:?}")))
            }
            None => Err(Failure::new(line, format!("expected an error with {text:?}, got none"))),
        }
    }
}

/// How much of `said` is `pieces`, with anything but LF between one and the next.
fn matched(said: &[u8], pieces: &[Vec<u8>]) -> Option<usize> {
    let (first, others) = pieces.split_first()?;
    let mut at = said.starts_with(first).then_some(first.len())?;
    for piece in others {
        let rest = &said[at..];
        let within = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |lf| lf + 1);
        at += memchr::memmem::find(&rest[..within], piece)? + piece.len();
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_is_anything_in_the_same_line() {
        let check = |said: &str, pieces: &[&str], expected: Option<usize>| {
            let pieces: Vec<Vec<u8>> =
                pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
            assert_eq!(matched(said.as_bytes(), &pieces), expected, "{said:?} {pieces:?}");
        };
        check("ab\r\nc", &["ab\r\n"], Some(4));
        check("ab\r\nc", &["b\r\n"], None);
        check("ab at 12:00\r\nc", &["ab at ", "\r\n"], Some(13));
        check("ab\r\nat\r\n", &["a", "t\r\n"], None);
        check("", &["", "\r\n"], None);
        check("a--b--c", &["a", "b", "c"], Some(7));
    }

    /// What goes wrong when an echo that fails at `boom` and cues `say` plays `text`.
    fn failure(text: &str) -> String {
        use crate::framing::{FrameError, Lines};
        use crate::testing::{Role, Script};
        let outcome = Script::new(Role::Server, Lines::crlf)
            .starting(|stage| stage.say("hello"))
            .answering(|stage, line| match &line[..] {
                b"boom" => Err(FrameError::Malformed { what: "boom" }),
                // The mistake that only a cut shows: it looks at what else has come.
                b"peek" if stage.wire.input.is_empty() => stage.say("alone"),
                b"silent" => Ok(()),
                _ => stage.say(line),
            })
            .run(text);
        outcome.map_or_else(|failure| failure.to_string(), |()| "it passes".into())
    }

    #[test]
    fn failures_say_where_and_what() {
        let check = |text: &str, expected: &str| assert_eq!(failure(text), expected, "{text}");
        check("S: hello\nC: a\nS: a\n+1s\nC: boom\n! boom\nS: <eof>", "it passes");
        check("S: hello\n= a\nC: a", "2: expected an event with \"a\", got none");
        check("C: a", "1: the protocol says more before the peer goes on: \"hello\\r\\n\"");
        check(
            "S: hello\nC: a\nC: b\nS: a\nS: c",
            "5: expected \"c\\r\\n\"\n  but the protocol says \"b\\r\\n\"",
        );
        check(
            "S: hello\nC: boom\nS: boom",
            "3: expected \"boom\\r\\n\"\n  but the protocol says nothing; it failed: \
             the peer breaks the framing: boom",
        );
        check(
            "S: hello\nC: boom\n# comment\n+1s",
            "4: the protocol fails before time passes: the peer breaks the framing: boom",
        );
        check("S: hello\nC: boom\n! boom\nC: a", "4: the protocol is over and reads no more");
        check("S: hello\nC: a\n! boom", "3: expected an error with \"boom\", got none");
        check("S: hello\nC: a\nS: a\nS: <eof>", "4: the protocol does not end: it waits for more");
        check("S: hello\n@ cue", "2: a cue, and no closure for cues");
        check(
            "S: hello\nC: silent\n= silent\nC: silent",
            "4: an event that is not listed and the transcript ends: b\"silent\"",
        );
        check(
            "S: hello\nC: peek\nC: x\nS: peek\nS: x",
            "4: expected \"peek\\r\\n\"\n  but the protocol says \"alone\\r\\n\"\n  (it \
             passes uncut; here the peer's words were cut byte by byte)",
        );
    }
}
