//! The presentation form of names (RFC 1035 §5.1, RFC 4343 §2.1).

use std::fmt::{self, Write};

use super::{MAX_LABEL, MAX_NAME, NameRef};

/// Why a text, or a row of labels, is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing, or two dots with nothing between them.
    #[error("a name has an empty label")]
    EmptyLabel,
    /// A label above 63 bytes.
    #[error("a label has more than 63 bytes")]
    LabelTooLong,
    /// A name above 255 bytes.
    #[error("a name has more than 255 bytes")]
    TooLong,
    /// A backslash that is followed by nothing, or by digits that are no byte.
    #[error("an escape is neither a backslash and a character nor \\000 to \\255")]
    BadEscape,
    /// A name that needs an origin where there is none.
    #[error("a name without a dot at its end, or @, and no $ORIGIN to complete it")]
    NoOrigin,
    /// Bytes that are no row of labels.
    #[error("bytes that are no labels")]
    BadLabel,
}

/// Reads an escape, after its backslash: the byte, and how many bytes of `text` it takes.
pub(crate) fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    let first = *text.first()?;
    if !first.is_ascii_digit() {
        return Some((first, 1));
    }
    let digits = text.get(..3)?;
    let value = digits.iter().try_fold(0u32, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })?;
    u8::try_from(value).ok().map(|byte| (byte, 3))
}

/// Writes the name of `text` into `out` and returns how long it is.
pub(super) fn scan(
    text: &[u8],
    origin: Option<NameRef<'_>>,
    out: &mut [u8; MAX_NAME],
) -> Result<u8, NameError> {
    match text {
        b"" => return Err(NameError::EmptyLabel),
        b"." => {
            out[0] = 0;
            return Ok(1);
        }
        b"@" => return finish(0, origin.ok_or(NameError::NoOrigin)?, out),
        _ => {}
    }
    let (mut label, mut at, mut read) = (0, 1, 0);
    while let Some(&byte) = text.get(read) {
        read += 1;
        let byte = match byte {
            b'.' => {
                close(label, at, out)?;
                label = at;
                at += 1;
                continue;
            }
            b'\\' => {
                let (byte, taken) = unescape(&text[read..]).ok_or(NameError::BadEscape)?;
                read += taken;
                byte
            }
            byte => byte,
        };
        *out.get_mut(at).ok_or(NameError::TooLong)? = byte;
        at += 1;
    }
    if at == label + 1 {
        // It ended in a dot: the label that was begun is the root's.
        return finish(label, NameRef::ROOT, out);
    }
    close(label, at, out)?;
    finish(at, origin.ok_or(NameError::NoOrigin)?, out)
}

/// Writes the length of the label that began at `label` and ends before `at`.
fn close(label: usize, at: usize, out: &mut [u8; MAX_NAME]) -> Result<(), NameError> {
    let len = at - label - 1;
    match len {
        0 => return Err(NameError::EmptyLabel),
        1..=MAX_LABEL => {}
        _ => return Err(NameError::LabelTooLong),
    }
    *out.get_mut(label).ok_or(NameError::TooLong)? = len as u8;
    Ok(())
}

/// Writes `origin` at `at`.
fn finish(at: usize, origin: NameRef<'_>, out: &mut [u8; MAX_NAME]) -> Result<u8, NameError> {
    let end = at + origin.wire().len();
    out.get_mut(at..end).ok_or(NameError::TooLong)?.copy_from_slice(origin.wire());
    Ok(end as u8)
}

/// Writes a name with its dots.
pub(super) fn print(name: NameRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if name.is_root() {
        return f.write_char('.');
    }
    for label in name.labels() {
        for &byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                    write!(f, "\\{}", char::from(byte))?;
                }
                0x21..=0x7e => f.write_char(char::from(byte))?,
                _ => write!(f, "\\{byte:03}")?,
            }
        }
        f.write_char('.')?;
    }
    Ok(())
}
