//! The data of records: checked by the layout of its type, and cut into pieces.

use super::Cursor;
use crate::error::{Fault, WireError};
use crate::types::rdata::{Field, NameKind, Special, check_len, layout};
use crate::types::{NameBuf, Type};

/// A piece of a record's data, in order.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// Bytes that stay as they are.
    Bytes(&'a [u8]),
    /// A name that begins here, perhaps compressed.
    Name(Cursor<'a>, NameKind),
}

/// Cuts data into pieces and checks each.
pub(crate) fn walk<'a>(
    rtype: Type,
    mut cursor: Cursor<'a>,
    mut visit: impl FnMut(Piece<'a>),
) -> Result<(), WireError> {
    let Some(fields) = layout(rtype) else {
        visit(Piece::Bytes(cursor.rest()));
        return Ok(());
    };
    for &field in fields {
        one(field, &mut cursor, &mut visit)?;
    }
    if cursor.is_empty() { Ok(()) } else { Err(cursor.error(Fault::RdataLength)) }
}

fn one<'a>(
    field: Field,
    cursor: &mut Cursor<'a>,
    visit: &mut impl FnMut(Piece<'a>),
) -> Result<(), WireError> {
    let before = *cursor;
    match field {
        Field::Name(kind) => return name(kind, cursor, visit),
        Field::Special(Special::Ipseckey) => return ipseckey(cursor, visit),
        Field::Special(Special::Hip) => return hip(cursor, visit),
        Field::U8 | Field::Algorithm => drop(cursor.u8()?),
        Field::U16 | Field::Type | Field::CertType => drop(cursor.u16()?),
        Field::U32 | Field::Period | Field::Time | Field::V4 => drop(cursor.u32()?),
        Field::U48 => drop(cursor.take(6)?),
        Field::V6 => drop(cursor.take(16)?),
        Field::Eui(len) => drop(cursor.take(len)?),
        Field::Text | Field::Salt => drop(text(cursor)?),
        Field::Hash => not_empty(&before, text(cursor)?)?,
        Field::Texts => {
            text(cursor)?;
            while !cursor.is_empty() {
                text(cursor)?;
            }
        }
        Field::Tag => {
            let tag = text(cursor)?;
            not_empty(&before, tag)?;
            if !tag.iter().all(u8::is_ascii_alphanumeric) {
                return Err(before.error(Fault::Tag));
            }
        }
        Field::TextRest => drop(rest(cursor)?),
        Field::Base64 | Field::Hex => not_empty(&before, rest(cursor)?)?,
        Field::Blob => {
            let len = cursor.u16()?;
            cursor.take(usize::from(len))?;
        }
        Field::Bitmap { may_be_empty } => bitmap(may_be_empty, cursor)?,
        Field::Special(Special::Apl) => prefixes(cursor)?,
        Field::Special(Special::Loc) => location(cursor)?,
        Field::Special(Special::Params) => params(cursor)?,
    }
    let len = cursor.at() - before.at();
    visit(Piece::Bytes(&before.rest()[..len]));
    Ok(())
}

fn not_empty(at: &Cursor<'_>, bytes: &[u8]) -> Result<(), WireError> {
    if bytes.is_empty() { Err(at.error(Fault::Empty)) } else { Ok(()) }
}

fn rest<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    cursor.take(cursor.rest().len())
}

/// A character string (RFC 1035 §3.3).
fn text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    let len = cursor.u8()?;
    cursor.take(usize::from(len))
}

fn name<'a>(
    kind: NameKind,
    cursor: &mut Cursor<'a>,
    visit: &mut impl FnMut(Piece<'a>),
) -> Result<(), WireError> {
    let start = *cursor;
    cursor.skip_name()?;
    if kind == NameKind::Exact && start.plain_name_len() != Some(cursor.at() - start.at()) {
        return Err(start.error(Fault::Compressed));
    }
    visit(Piece::Name(start, kind));
    Ok(())
}

/// A map of types (RFC 4034 §4.1.2): windows in ascending order, none of them empty, and no zero bytes
/// at the end of one.
fn bitmap(may_be_empty: bool, cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    if cursor.is_empty() && !may_be_empty {
        return Err(cursor.error(Fault::Bitmap));
    }
    let mut last = None;
    while !cursor.is_empty() {
        let at = *cursor;
        let (window, len) = (cursor.u8()?, cursor.u8()?);
        let map = cursor.take(usize::from(len))?;
        let good = matches!(len, 1..=32) && last.is_none_or(|last| last < window);
        if !good || map.last() == Some(&0) {
            return Err(at.error(Fault::Bitmap));
        }
        last = Some(window);
    }
    Ok(())
}

/// Address prefixes (RFC 3123 §4).
fn prefixes(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    while !cursor.is_empty() {
        let at = *cursor;
        let (family, prefix, len) = (cursor.u16()?, cursor.u8()?, cursor.u8()? & 0x7f);
        let part = cursor.take(usize::from(len))?;
        let good = match family {
            1 => prefix <= 32 && len <= 4,
            2 => prefix <= 128 && len <= 16,
            _ => true,
        };
        if !good || part.last() == Some(&0) {
            return Err(at.error(Fault::Prefix));
        }
    }
    Ok(())
}

/// A location (RFC 1876 §2). Versions other than 0 are opaque.
fn location(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    /// The equator and the prime meridian; a degree is 3,600,000.
    const ZERO: u32 = 1 << 31;
    let at = *cursor;
    if cursor.u8()? != 0 {
        rest(cursor)?;
        return Ok(());
    }
    let sizes: [u8; 3] = cursor.array()?;
    let (latitude, longitude) = (cursor.u32()?, cursor.u32()?);
    cursor.u32()?;
    let good = sizes.iter().all(|size| size >> 4 <= 9 && size & 15 <= 9)
        && latitude.abs_diff(ZERO) <= 90 * 3_600_000
        && longitude.abs_diff(ZERO) <= 180 * 3_600_000;
    if good { Ok(()) } else { Err(at.error(Fault::Location)) }
}

/// A key for IPsec (RFC 4025 §2): its gateway is nothing, an address or a name.
fn ipseckey<'a>(
    cursor: &mut Cursor<'a>,
    visit: &mut impl FnMut(Piece<'a>),
) -> Result<(), WireError> {
    let at = *cursor;
    let head = cursor.take(3)?;
    visit(Piece::Bytes(head));
    match head[1] {
        0 => {}
        1 => visit(Piece::Bytes(cursor.take(4)?)),
        2 => visit(Piece::Bytes(cursor.take(16)?)),
        3 => name(NameKind::Exact, cursor, visit)?,
        _ => return Err(at.error(Fault::Gateway)),
    }
    visit(Piece::Bytes(rest(cursor)?));
    Ok(())
}

/// A host identity (RFC 8005 §5): lengths, the tag, the key, and names of servers.
fn hip<'a>(cursor: &mut Cursor<'a>, visit: &mut impl FnMut(Piece<'a>)) -> Result<(), WireError> {
    let at = *cursor;
    let (tag, _algorithm, key) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    if tag == 0 || key == 0 {
        return Err(at.error(Fault::Empty));
    }
    let len = usize::from(tag) + usize::from(key);
    cursor.take(len)?;
    visit(Piece::Bytes(&at.rest()[..4 + len]));
    while !cursor.is_empty() {
        name(NameKind::Exact, cursor, visit)?;
    }
    Ok(())
}

/// The parameters of SVCB (RFC 9460 §2.2): in strictly ascending order, and those that we know with
/// values that they can have (§7, §8, RFC 9461 §5, RFC 9540 §4).
fn params(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    let start = *cursor;
    let mut last = None;
    while !cursor.is_empty() {
        let at = *cursor;
        let (key, len) = (cursor.u16()?, cursor.u16()?);
        let value = cursor.take(usize::from(len))?;
        if last.is_some_and(|last| last >= key) {
            return Err(at.error(Fault::ParamOrder));
        }
        last = Some(key);
        let good = match key {
            0 => mandatory(value, start),
            1 => alpn(value),
            2 | 8 => value.is_empty(),
            3 => value.len() == 2,
            4 => !value.is_empty() && value.len().is_multiple_of(4),
            5 => !value.is_empty(),
            6 => !value.is_empty() && value.len().is_multiple_of(16),
            7 => std::str::from_utf8(value).is_ok(),
            _ => key != u16::MAX,
        };
        if !good {
            return Err(at.error(Fault::ParamValue));
        }
    }
    Ok(())
}

/// Keys in strictly ascending order, not `mandatory` itself, and each of them there (§8).
fn mandatory(value: &[u8], params: Cursor<'_>) -> bool {
    let keys = || value.chunks_exact(2).map(|key| u16::from_be_bytes([key[0], key[1]]));
    let mut present = params;
    let mut has = |wanted: u16| {
        // Both are in order, so that one pass finds all.
        while let (Ok(key), Ok(len)) = (present.u16(), present.u16()) {
            if present.take(usize::from(len)).is_err() || key >= wanted {
                return key == wanted;
            }
        }
        false
    };
    value.len() >= 2
        && value.len().is_multiple_of(2)
        && keys().zip(keys().skip(1)).all(|(left, right)| left < right)
        && keys().all(|key| key != 0 && has(key))
}

/// Names of protocols, none of them empty (§7.1.1).
fn alpn(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((&len, after)) = rest.split_first() {
        match after.split_at_checked(usize::from(len)) {
            Some((_, after)) if len > 0 => rest = after,
            _ => return false,
        }
    }
    !value.is_empty()
}

/// Checks data that stands alone: no message is around it that could be pointed into.
pub(crate) fn check_plain(rtype: Type, bytes: &[u8]) -> Result<(), WireError> {
    check_len(bytes.len())?;
    let mut compressed = None;
    walk(rtype, Cursor::new(bytes), |piece| {
        if let Piece::Name(start, _) = piece
            && start.plain_name_len().is_none()
        {
            compressed.get_or_insert_with(|| start.error(Fault::Compressed));
        }
    })?;
    compressed.map_or(Ok(()), Err)
}

/// Appends data to `out`, its names not compressed.
pub(crate) fn expand(
    rtype: Type,
    packet: &[u8],
    at: usize,
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let before = out.len();
    walk(rtype, Cursor::within(packet, at, at + len), |piece| match piece {
        Piece::Bytes(bytes) => out.extend_from_slice(bytes),
        Piece::Name(mut start, _) => {
            let mut name = NameBuf::new();
            // The walk has checked it.
            if start.name(&mut name).is_ok() {
                out.extend_from_slice(name.borrowed().wire());
            }
        }
    })?;
    check_len(out.len() - before).map_err(|_| WireError { fault: Fault::RdataTooLong, offset: at })
}
