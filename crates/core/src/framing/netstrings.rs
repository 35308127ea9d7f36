//! Netstrings: `5:hello,`.

use bytes::Bytes;

use super::{COMFORTABLE, DEFAULT_MAX, FrameError, unfinished};
use crate::{Protocol, Wire};

/// Netstrings, as D. J. Bernstein's `netstrings.txt` (1997) defines them: the length in decimal
/// digits without leading zeros, a colon, the bytes, a comma.
///
/// ```
/// use ropewalk_core::Netstrings;
/// use ropewalk_core::testing::cuts;
///
/// let heard = cuts(Netstrings::new, b"5:hello,0:,");
/// assert_eq!(heard.events, [r#"b"hello""#, r#"b"""#]);
/// ```
#[derive(Debug, Clone)]
pub struct Netstrings {
    max: usize,
}

impl Default for Netstrings {
    fn default() -> Self {
        Self::new()
    }
}

impl Netstrings {
    /// Netstrings of at most 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self { max: DEFAULT_MAX }
    }

    /// Accepts netstrings of at most `bytes`, the length and punctuation not counted. What is sent is
    /// not capped.
    #[must_use]
    pub fn max(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// Reads `length ":"`: the announced length, and where the bytes begin. `None` while incomplete.
    fn header(&self, input: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
        let mut len = 0usize;
        for (at, byte) in input.iter().enumerate() {
            match byte {
                b'0'..=b'9' if at == 1 && input[0] == b'0' => {
                    return Err(FrameError::Malformed { what: "a length with a leading zero" });
                }
                b'0'..=b'9' => {
                    len = len
                        .checked_mul(10)
                        .and_then(|tens| tens.checked_add(usize::from(byte - b'0')))
                        .filter(|len| *len <= self.max)
                        .ok_or(FrameError::TooLong { limit: self.max })?;
                }
                b':' if at > 0 => return Ok(Some((len, at + 1))),
                _ => return Err(FrameError::Malformed { what: "a length that is not digits" }),
            }
        }
        Ok(None)
    }
}

impl Protocol for Netstrings {
    type In = Bytes;
    type Out = Bytes;
    type Error = FrameError;

    #[inline]
    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
        let Some((len, start)) = self.header(&wire.input)? else {
            return unfinished(wire);
        };
        // A length near the top of usize is never reached, since no input is that long.
        let end = start.saturating_add(len);
        match wire.input.get(end) {
            None => unfinished(wire),
            Some(b',') => {
                let frame = wire.input.split_to(end + 1).freeze();
                Ok(Some(frame.slice(start..end)))
            }
            Some(_) => Err(FrameError::Malformed { what: "no comma after a netstring" }),
        }
    }

    #[inline]
    fn send(&mut self, frame: Bytes, wire: &mut Wire) -> Result<(), FrameError> {
        use std::io::Write as _;
        write!(wire.output, "{}:", frame.len())?;
        wire.output.push(frame);
        wire.output.put(b",");
        Ok(())
    }

    fn input_cap(&self) -> usize {
        // The longest length has 20 digits; then colon and comma.
        self.max.saturating_add(22).max(COMFORTABLE)
    }
}
