//! Wire form to presentation form.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use super::scan::CERT_TYPES;
use super::{moment, special};
use crate::error::WireError;
use crate::parse::Cursor;
use crate::types::rdata::{Field, Special, layout};
use crate::types::{NameBuf, Type, types_of};

/// Why printing stops: who is written to fails, or the data is not right for its type.
pub(super) enum Stop {
    Format,
    Wire,
}

impl From<fmt::Error> for Stop {
    fn from(_: fmt::Error) -> Self {
        Self::Format
    }
}

impl From<WireError> for Stop {
    fn from(_: WireError) -> Self {
        Self::Wire
    }
}

/// Writes data; in RFC 3597's form where the type has no other, or the data is not right for it.
pub(crate) fn rdata(rtype: Type, bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(fields) = layout(rtype).filter(|_| is_printable(rtype, bytes)) else {
        return generic(bytes, f);
    };
    let mut cursor = Cursor::new(bytes);
    for (at, &field) in fields.iter().enumerate() {
        let blank = at > 0 && !is_empty_tail(field, &cursor);
        if blank {
            f.write_char(' ')?;
        }
        match one(field, &mut cursor, f) {
            Ok(()) => {}
            Err(Stop::Format) => return Err(fmt::Error),
            // The data was checked when it was made.
            Err(Stop::Wire) => return Ok(()),
        }
    }
    Ok(())
}

/// Whether a field that takes all that is left has nothing to write.
fn is_empty_tail(field: Field, cursor: &Cursor<'_>) -> bool {
    matches!(field, Field::Bitmap { .. } | Field::Special(Special::Params)) && cursor.is_empty()
}

/// Whether data has a form of its own: it must be right for its type, and of a version that is known.
fn is_printable(rtype: Type, bytes: &[u8]) -> bool {
    let known = match rtype {
        Type::LOC => bytes.first() == Some(&0),
        Type::APL => special::families_are_known(bytes),
        Type::IPSECKEY => special::has_key_form(bytes),
        // An empty value cannot be told from none.
        _ => true,
    };
    known && crate::parse::rdata::check_plain(rtype, bytes).is_ok()
}

/// `\# LENGTH HEX` (RFC 3597 §5).
fn generic(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "\\# {}", bytes.len())?;
    if bytes.is_empty() {
        return Ok(());
    }
    f.write_char(' ')?;
    HEXUPPER.encode_write(bytes, f)
}

/// Writes one field.
pub(super) fn one(
    field: Field,
    cursor: &mut Cursor<'_>,
    f: &mut fmt::Formatter<'_>,
) -> Result<(), Stop> {
    match field {
        Field::U8 | Field::Algorithm => write!(f, "{}", cursor.u8()?)?,
        Field::U16 => write!(f, "{}", cursor.u16()?)?,
        Field::U32 | Field::Period => write!(f, "{}", cursor.u32()?)?,
        Field::U48 => {
            let [a, b, c, d, e, g] = cursor.array()?;
            write!(f, "{}", u64::from_be_bytes([0, 0, a, b, c, d, e, g]))?;
        }
        Field::Time => {
            let [year, month, day, hour, minute, second] = moment::parts(cursor.u32()?);
            write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")?;
        }
        Field::Type => write!(f, "{}", Type(cursor.u16()?))?,
        Field::CertType => {
            let kind = cursor.u16()?;
            match CERT_TYPES.iter().find(|(_, number)| *number == kind) {
                Some((word, _)) => f.write_str(word)?,
                None => write!(f, "{kind}")?,
            }
        }
        Field::V4 => write!(f, "{}", Ipv4Addr::from(cursor.array::<4>()?))?,
        Field::V6 => write!(f, "{}", Ipv6Addr::from(cursor.array::<16>()?))?,
        Field::Name(_) => {
            let mut name = NameBuf::new();
            cursor.name(&mut name)?;
            write!(f, "{name}")?;
        }
        Field::Text => quoted(counted(cursor)?, f)?,
        Field::Texts => {
            quoted(counted(cursor)?, f)?;
            while !cursor.is_empty() {
                f.write_char(' ')?;
                quoted(counted(cursor)?, f)?;
            }
        }
        // Letters and digits.
        Field::Tag => f.write_str(&String::from_utf8_lossy(counted(cursor)?))?,
        Field::TextRest => quoted(rest(cursor)?, f)?,
        Field::Base64 => BASE64.encode_write(rest(cursor)?, f)?,
        Field::Hex => HEXUPPER.encode_write(rest(cursor)?, f)?,
        Field::Salt => match counted(cursor)? {
            [] => f.write_char('-')?,
            salt => HEXUPPER.encode_write(salt, f)?,
        },
        Field::Hash => BASE32HEX_NOPAD.encode_write(counted(cursor)?, f)?,
        Field::Bitmap { .. } => {
            for (at, rtype) in types_of(rest(cursor)?).enumerate() {
                write!(f, "{}{rtype}", if at > 0 { " " } else { "" })?;
            }
        }
        Field::Eui(len) => {
            for (at, byte) in cursor.take(len)?.iter().enumerate() {
                write!(f, "{}{byte:02x}", if at > 0 { "-" } else { "" })?;
            }
        }
        Field::Blob => {
            let len = cursor.u16()?;
            write!(f, "{len}")?;
            if len > 0 {
                f.write_char(' ')?;
                BASE64.encode_write(cursor.take(usize::from(len))?, f)?;
            }
        }
        Field::Special(which) => special::print(which, cursor, f)?,
    }
    Ok(())
}

pub(super) fn rest<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    cursor.take(cursor.rest().len())
}

fn counted<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    let len = cursor.u8()?;
    cursor.take(usize::from(len))
}

/// Writes bytes as a quoted string.
pub(super) fn quoted(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "\\{byte:03}")?,
        }
    }
    f.write_char('"')
}
