//! `$GENERATE`, which BIND has invented: `START-STOP[/STEP] NAME [TTL] [CLASS] TYPE DATA`, where each `$`
//! is the number, and `${OFFSET[,WIDTH[,BASE]]}` a form of it.

use std::io::Write as _;

use super::State;
use crate::error::TextFault;
use crate::text::{Span, Words, lex};

/// The most records that one directive makes.
const MOST: u64 = 1 << 24;

/// How many digits a number may have.
const MAX_WIDTH: usize = 255;

/// A directive that is being carried out.
pub(super) struct Generate {
    next: u64,
    stop: u64,
    step: u64,
    /// The record with its dollars; blanks between words are one.
    template: Vec<u8>,
    /// The record without.
    line: Vec<u8>,
}

impl Generate {
    pub(super) fn new(words: &mut Words<'_>) -> Result<Self, TextFault> {
        let range = range(words.next()?.text).ok_or(TextFault::Generate)?;
        let (next, stop, step) = range;
        if next > stop || step == 0 {
            return Err(TextFault::Generate);
        }
        if (stop - next) / step >= MOST {
            return Err(TextFault::GenerateMany(MOST));
        }
        let mut template = Vec::new();
        let mut count = 0;
        while let Some(word) = words.more() {
            let quote: &[u8] = if word.quoted { b"\"" } else { b"" };
            template.extend([quote, word.text, quote, b" "].concat());
            count += 1;
        }
        if count < 3 {
            return Err(TextFault::Generate);
        }
        // What is wrong with it shall be told here, and not at the first record.
        fill(&template, next, &mut Vec::new())?;
        Ok(Self { next, stop, step, template, line: Vec::new() })
    }

    /// Makes the next record, if there is one.
    pub(super) fn next(
        &mut self,
        state: &mut State,
        spans: &mut Vec<Span>,
    ) -> Result<bool, TextFault> {
        if self.next > self.stop {
            return Ok(false);
        }
        self.line.clear();
        fill(&self.template, self.next, &mut self.line)?;
        self.next += self.step;
        spans.clear();
        lex::cut(&self.line, spans).map_err(|(fault, _)| fault)?;
        state.record(&mut Words::new(&self.line, spans), false)?;
        Ok(true)
    }
}

/// `START-STOP[/STEP]`.
fn range(text: &[u8]) -> Option<(u64, u64, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, stop) = range.split_once('-')?;
    let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
    Some((number(start)?, number(stop)?, number(step)?))
}

/// Puts the number into a template. `\$` and `$$` are a dollar.
fn fill(template: &[u8], number: u64, line: &mut Vec<u8>) -> Result<(), TextFault> {
    let mut rest = template;
    while let Some(at) = memchr::memchr2(b'$', b'\\', rest) {
        line.extend_from_slice(&rest[..at]);
        let (here, after) = (rest[at], &rest[at + 1..]);
        rest = match (here, after) {
            (b'\\', [b'$', after @ ..]) | (b'$', [b'$', after @ ..]) => {
                line.push(b'$');
                after
            }
            (b'\\', [next, after @ ..]) => {
                line.extend_from_slice(&[b'\\', *next]);
                after
            }
            (b'$', [b'{', after @ ..]) => {
                let end = memchr::memchr(b'}', after).ok_or(TextFault::Generate)?;
                form(&after[..end], number, line).ok_or(TextFault::Generate)?;
                &after[end + 1..]
            }
            (b'$', after) => {
                // Writing to memory does not fail.
                let _written = write!(line, "{number}");
                after
            }
            (_, after) => after,
        };
    }
    line.extend_from_slice(rest);
    Ok(())
}

/// Writes a number as `OFFSET[,WIDTH[,BASE]]` says; the bases are `d`, `o`, `x`, `X`, and `n`, `N` for
/// nibbles with dots between them, the lowest first.
fn form(form: &[u8], number: u64, line: &mut Vec<u8>) -> Option<()> {
    let mut parts = std::str::from_utf8(form).ok()?.split(',');
    let offset: i64 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().map_or(Ok(0), str::parse).ok()?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() || width > MAX_WIDTH {
        return None;
    }
    let number = i64::try_from(number).ok()?.checked_add(offset).filter(|number| *number >= 0)?;
    match base {
        "d" => write!(line, "{number:0width$}"),
        "o" => write!(line, "{number:0width$o}"),
        "x" => write!(line, "{number:0width$x}"),
        "X" => write!(line, "{number:0width$X}"),
        "n" | "N" => {
            // Each nibble takes two of the width, as BIND counts.
            let width = width.div_ceil(2);
            let digits = format!("{number:0width$x}");
            let digits = if base == "N" { digits.to_uppercase() } else { digits };
            let nibbles: Vec<_> = digits.chars().rev().map(String::from).collect();
            write!(line, "{}", nibbles.join("."))
        }
        _ => return None,
    }
    .ok()
}
