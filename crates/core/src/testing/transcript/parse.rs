//! The format of transcripts.

use std::time::Duration;

use super::{Failure, Role};

/// The most that `\{N text}` makes, in bytes.
const MOST_REPEATED: usize = 16 * 1024 * 1024;

/// One line of a transcript that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// Its number, from 1 on.
    pub(super) number: usize,
    pub(super) step: Step<'t>,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'t> {
    /// The peer says this.
    Peer(Vec<u8>),
    /// The peer ends its direction.
    PeerEnds,
    /// The protocol says this: literal pieces, with anything between one and the next.
    Ours(Vec<Vec<u8>>),
    /// The protocol ends.
    OursEnds,
    /// An event contains this text.
    Event(&'t str),
    /// The protocol fails with this text.
    Fails(&'t str),
    /// The test does something.
    Cue(&'t str),
    /// Time passes.
    Wait(Duration),
}

/// Reads a transcript.
pub(super) fn lines(text: &str, role: Role) -> Result<Vec<Line<'_>>, Failure> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        // Trailing space is the line's, leading space is the layout of the test's source.
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let step = step(line, role).map_err(|what| Failure::new(number, what))?;
        lines.push(Line { number, step });
    }
    Ok(lines)
}

fn step(line: &str, role: Role) -> Result<Step<'_>, String> {
    let speech = [("C:", Role::Client), ("S:", Role::Server)];
    for (mark, speaker) in speech {
        if let Some(words) = line.strip_prefix(mark) {
            let words = words.strip_prefix(' ').unwrap_or(words);
            return if speaker == role { ours(words) } else { peer(words) };
        }
    }
    let words = line.get(1..).map_or("", str::trim);
    match line.as_bytes()[0] {
        b'+' => duration(words).map(Step::Wait),
        b'=' => Ok(Step::Event(words)),
        b'!' => Ok(Step::Fails(words)),
        b'@' => Ok(Step::Cue(words)),
        _ => Err(format!("a line of a transcript begins with C: S: + = ! @ or #, not so {line:?}")),
    }
}

fn peer(words: &str) -> Result<Step<'static>, String> {
    match words {
        "<eof>" => Ok(Step::PeerEnds),
        _ => unescaped(words).map(Step::Peer),
    }
}

fn ours(words: &str) -> Result<Step<'static>, String> {
    if words == "<eof>" {
        return Ok(Step::OursEnds);
    }
    let mut pieces = words.split("<any>").peekable();
    let mut literals = Vec::new();
    while let Some(piece) = pieces.next() {
        // Only the end of the line can be a continuation mark or get a CR LF.
        let last = pieces.peek().is_none();
        literals.push(if last { unescaped(piece)? } else { escapes(piece)?.0 });
    }
    Ok(Step::Ours(literals))
}

/// The bytes that a line means, with its CR LF unless it is continued.
fn unescaped(words: &str) -> Result<Vec<u8>, String> {
    let (mut bytes, continued) = escapes(words)?;
    if !continued {
        bytes.extend_from_slice(b"\r\n");
    }
    Ok(bytes)
}

/// The bytes that text with escapes means, and whether it ends in a continuation mark.
fn escapes(text: &str) -> Result<(Vec<u8>, bool), String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let Some(mark) = after.chars().next() else {
            return Ok((bytes, true));
        };
        rest = &after[mark.len_utf8()..];
        match mark {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let byte = rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.push(byte.ok_or("\\x is followed by two hexadecimal digits")?);
                rest = &rest[2..];
            }
            '{' => {
                let (inside, after) = rest.split_once('}').ok_or("\\{ has no }")?;
                bytes.extend(repeated(inside)?);
                rest = after;
            }
            other => return Err(format!("there is no escape \\{other}")),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok((bytes, false))
}

/// `N text`: the text N times.
fn repeated(inside: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("\\{{{inside}}} is not a count, a space and a text");
    let (count, text) = inside.split_once(' ').ok_or_else(wrong)?;
    let count: usize = count.parse().map_err(|_| wrong())?;
    let (bytes, _) = escapes(text)?;
    if bytes.len().saturating_mul(count) > MOST_REPEATED {
        return Err(format!("\\{{{inside}}} is longer than {MOST_REPEATED} bytes"));
    }
    Ok(bytes.repeat(count))
}

/// `1h30m`, `5s`, `250ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: 5s, 250ms, 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u32 = rest[..digits].parse().map_err(|_| wrong())?;
        let after = &rest[digits..];
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &after[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(wrong()),
        };
        total += unit * count;
        rest = &after[letters..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Step<'_>, &str>) {
        match (step(line, Role::Server), expected) {
            (Ok(step), Ok(expected)) => assert_eq!(step, expected, "{line}"),
            (Err(what), Err(part)) => assert!(what.contains(part), "{line}: {what}"),
            (got, expected) => panic!("{line}: {got:?}, not {expected:?}"),
        }
    }

    fn said(pieces: &[&[u8]]) -> Step<'static> {
        Step::Ours(pieces.iter().map(|piece| piece.to_vec()).collect())
    }

    #[test]
    fn lines_say() {
        check("C: a b ", Ok(Step::Peer(b"a b \r\n".to_vec())));
        check("C:", Ok(Step::Peer(b"\r\n".to_vec())));
        check("C:  two", Ok(Step::Peer(b" two\r\n".to_vec())));
        check(r"C: a\", Ok(Step::Peer(b"a".to_vec())));
        check(r"C: a\\", Ok(Step::Peer(b"a\\\r\n".to_vec())));
        check(r"C: \r\n\t\0\xfF\", Ok(Step::Peer(b"\r\n\t\0\xff".to_vec())));
        check(r"C: <\{3 ab}>\", Ok(Step::Peer(b"<ababab>".to_vec())));
        check(r"C: \{2 \n}\", Ok(Step::Peer(b"\n\n".to_vec())));
        check("C: <eof>", Ok(Step::PeerEnds));
        check(r"C: \x3ceof>", Ok(Step::Peer(b"<eof>\r\n".to_vec())));
        check("S: <eof>", Ok(Step::OursEnds));
        check("S: 250 ok", Ok(said(&[b"250 ok\r\n"])));
        check("S: a<any>b<any>", Ok(said(&[b"a", b"b", b"\r\n"])));
        check("= Line(", Ok(Step::Event("Line(")));
        check("! too long", Ok(Step::Fails("too long")));
        check("@ do it", Ok(Step::Cue("do it")));
        check("+1h2m3s4ms", Ok(Step::Wait(Duration::from_millis(3_723_004))));
    }

    #[test]
    fn lines_that_say_nothing_are_refused() {
        check("X: what", Err("begins with"));
        check("é", Err("begins with"));
        check(r"C: \q", Err(r"no escape \q"));
        check(r"C: \x1", Err("two hexadecimal"));
        check(r"C: \xéa", Err("two hexadecimal"));
        check(r"C: \{3", Err("has no }"));
        check(r"C: \{x y}", Err("a count"));
        check(r"C: \{99999999999 y}", Err("longer than"));
        check("+", Err("no time"));
        check("+5", Err("no time"));
        check("+5 s", Err("no time"));
        check("+s", Err("no time"));
    }

    #[test]
    fn a_failure_names_its_line() {
        let failure = lines("# fine\n\nC: a\nnonsense\n", Role::Client).expect_err("no transcript");
        assert_eq!(failure.line, 4);
    }
}
