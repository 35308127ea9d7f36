//! The line before a chunk.

use memchr::memchr;

use super::fault;
use crate::error::{Cap, Error, Fault, Result};

/// `chunk-size [ chunk-ext ] CRLF` (RFC 9112 §7.1): the size, and the line's length in bytes, or
/// `None` if the line is not yet whole. Extensions are skipped, as §7.1.1 asks.
///
/// # Errors
/// [`Error::Limit`] for a line over `cap` bytes, else a [`Fault`]: no digits or over 16 of them,
/// space around the size, a control character in an extension, a line end that is not CR LF.
pub fn chunk_line(input: &[u8], cap: usize) -> Result<Option<(u64, usize)>> {
    let end = memchr(b'\n', &input[..input.len().min(cap)]);
    let Some(end) = end else {
        return if input.len() < cap {
            Ok(None)
        } else {
            Err(Error::Limit { cap: Cap::ChunkLine, limit: cap as u64, got: input.len() as u64 })
        };
    };
    let Some(line) = input[..end].strip_suffix(b"\r") else {
        return Err(fault(Fault::LineEnd, 0));
    };
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if !(1..=16).contains(&digits) || !is_chunk_ext(&line[digits..]) {
        return Err(fault(Fault::ChunkLine, 0));
    }
    let size = line[..digits].iter().fold(0, |size, &digit| size << 4 | hex(digit));
    Ok(Some((size, end + 1)))
}

/// `chunk-ext` (RFC 9112 §7.1.1), as far as it matters: nothing, or a semicolon and printable text.
fn is_chunk_ext(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [b';', rest @ ..] => {
            !rest.is_empty()
                && rest.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 127)
        }
        _ => false,
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}
