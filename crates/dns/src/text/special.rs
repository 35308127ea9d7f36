//! Data whose fields depend on one another: APL, IPSECKEY, HIP. LOC and SVCB have files of their own.

mod location;
mod params;

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXUPPER};

use super::Scanned;
use super::lex::{Word, Words};
use super::print::{self, Stop};
use super::scan::{self, Scratch, utf8};
use crate::error::TextFault;
use crate::parse::Cursor;
use crate::types::NameRef;
use crate::types::rdata::{Field, NameKind, Special};

/// Reads it.
pub(super) fn scan(
    which: Special,
    words: &mut Words<'_>,
    origin: Option<NameRef<'_>>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Scanned<()> {
    match which {
        Special::Apl => {
            while let Some(word) = words.more() {
                prefix(word, out)?;
            }
            Ok(())
        }
        Special::Loc => location::scan(words, out),
        Special::Ipseckey => ipseckey(words, origin, scratch, out),
        Special::Hip => hip(words, origin, scratch, out),
        Special::Params => params::scan(words, out),
    }
}

/// Writes it.
pub(super) fn print(
    which: Special,
    cursor: &mut Cursor<'_>,
    f: &mut fmt::Formatter<'_>,
) -> Result<(), Stop> {
    match which {
        Special::Apl => print_prefixes(cursor, f),
        Special::Loc => location::print(cursor, f),
        Special::Ipseckey => print_ipseckey(cursor, f),
        Special::Hip => print_hip(cursor, f),
        Special::Params => params::print(cursor, f),
    }
}

/// `[!]FAMILY:ADDRESS/PREFIX` (RFC 3123 §5).
fn prefix(word: Word<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let text = utf8(word).ok_or(TextFault::Prefix)?;
    let (negated, text) = text.strip_prefix('!').map_or((0, text), |text| (0x80, text));
    let parts = text.split_once(':').and_then(|(family, rest)| {
        let (address, len) = rest.rsplit_once('/')?;
        Some((family, address, len.parse::<u8>().ok()?))
    });
    let (family, address, len) = parts.ok_or(TextFault::Prefix)?;
    let address = match family {
        "1" => address.parse::<Ipv4Addr>().map(|address| address.octets().to_vec()),
        "2" => address.parse::<Ipv6Addr>().map(|address| address.octets().to_vec()),
        _ => return Err(TextFault::Prefix),
    };
    let address = address.map_err(|_| TextFault::Prefix)?;
    if usize::from(len) > address.len() * 8 {
        return Err(TextFault::Prefix);
    }
    // §4: zero bytes at the end are left out.
    let used = address.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&[0, family.as_bytes()[0] - b'0', len, negated | used as u8]);
    out.extend_from_slice(&address[..used]);
    Ok(())
}

/// Whether all prefixes are of families that have a form.
pub(super) fn families_are_known(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let &[high, low, _, len, ref after @ ..] = rest {
        if !matches!((high, low), (0, 1 | 2)) {
            return false;
        }
        rest = after.get(usize::from(len & 0x7f)..).unwrap_or_default();
    }
    true
}

fn print_prefixes(cursor: &mut Cursor<'_>, f: &mut fmt::Formatter<'_>) -> Result<(), Stop> {
    let mut first = true;
    while !cursor.is_empty() {
        let (family, len, used) = (cursor.u16()?, cursor.u8()?, cursor.u8()?);
        let part = cursor.take(usize::from(used & 0x7f))?;
        let mut bytes = [0u8; 16];
        bytes[..part.len().min(16)].copy_from_slice(&part[..part.len().min(16)]);
        let address: IpAddr = match family {
            1 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
            _ => Ipv6Addr::from(bytes).into(),
        };
        let blank = if std::mem::take(&mut first) { "" } else { " " };
        let negated = if used & 0x80 != 0 { "!" } else { "" };
        write!(f, "{blank}{negated}{family}:{address}/{len}")?;
    }
    Ok(())
}

/// `PRECEDENCE KIND ALGORITHM GATEWAY [KEY]` (RFC 4025 §3.1).
fn ipseckey(
    words: &mut Words<'_>,
    origin: Option<NameRef<'_>>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Scanned<()> {
    let start = out.len();
    for _ in 0..3 {
        scan::one(Field::U8, words, origin, scratch, out)?;
    }
    match out[start + 1] {
        0 => {
            if words.next()?.text != b"." {
                return Err(TextFault::Address("empty (.)"));
            }
        }
        1 => scan::one(Field::V4, words, origin, scratch, out)?,
        2 => scan::one(Field::V6, words, origin, scratch, out)?,
        3 => scan::one(Field::Name(NameKind::Exact), words, origin, scratch, out)?,
        _ => return Err(TextFault::Number(3)),
    }
    match out[start + 2] {
        // Algorithm 0: there is no key (§2.4).
        0 => Ok(()),
        _ => scan::one(Field::Base64, words, origin, scratch, out),
    }
}

/// Whether a key is there exactly if there is an algorithm: the form has no way to say otherwise.
pub(super) fn has_key_form(bytes: &[u8]) -> bool {
    let &[_, kind, algorithm, ref rest @ ..] = bytes else { return false };
    let gateway = match kind {
        0 => Some(0),
        1 => Some(4),
        2 => Some(16),
        3 => crate::types::wire_len(rest),
        _ => None,
    };
    gateway.is_some_and(|gateway| (rest.len() > gateway) == (algorithm != 0))
}

fn print_ipseckey(cursor: &mut Cursor<'_>, f: &mut fmt::Formatter<'_>) -> Result<(), Stop> {
    let [precedence, kind, algorithm] = cursor.array()?;
    write!(f, "{precedence} {kind} {algorithm} ")?;
    match kind {
        1 => print::one(Field::V4, cursor, f)?,
        2 => print::one(Field::V6, cursor, f)?,
        3 => print::one(Field::Name(NameKind::Exact), cursor, f)?,
        _ => f.write_char('.')?,
    }
    if !cursor.is_empty() {
        f.write_char(' ')?;
        print::one(Field::Base64, cursor, f)?;
    }
    Ok(())
}

/// `ALGORITHM TAG KEY [SERVER...]` (RFC 8005 §6).
fn hip(
    words: &mut Words<'_>,
    origin: Option<NameRef<'_>>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Scanned<()> {
    let start = out.len();
    out.push(0);
    out.push(scan::algorithm(words.next()?.text)?);
    out.extend_from_slice(&[0, 0]);
    let tag = out.len();
    scan::hex_word(words.next()?, out)?;
    let key = out.len();
    scan::base64_word(words.next()?, out)?;
    out[start] = u8::try_from(key - tag).map_err(|_| TextFault::TextTooLong)?;
    let len = u16::try_from(out.len() - key).map_err(|_| TextFault::TextTooLong)?;
    out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
    while !words.is_done() {
        scan::one(Field::Name(NameKind::Exact), words, origin, scratch, out)?;
    }
    Ok(())
}

fn print_hip(cursor: &mut Cursor<'_>, f: &mut fmt::Formatter<'_>) -> Result<(), Stop> {
    let (tag, algorithm, key) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    write!(f, "{algorithm} ")?;
    HEXUPPER.encode_write(cursor.take(usize::from(tag))?, f)?;
    f.write_char(' ')?;
    BASE64.encode_write(cursor.take(usize::from(key))?, f)?;
    while !cursor.is_empty() {
        f.write_char(' ')?;
        print::one(Field::Name(NameKind::Exact), cursor, f)?;
    }
    Ok(())
}
