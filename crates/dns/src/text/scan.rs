//! Presentation form to wire form.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

use super::lex::{Word, Words};
use super::numbers::{number, period};
use super::{Scanned, moment, special};
use crate::error::TextFault;
use crate::parse::rdata::check_plain;
use crate::types::rdata::{Field, layout};
use crate::types::{NameBuf, NameRef, Type, TypeSet, unescape};

/// Memory that reading uses again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Words put together.
    pub(super) joined: Vec<u8>,
    pub(super) name: NameBuf,
}

/// Reads data of a type and appends its wire form to `out`.
pub(crate) fn scan(
    rtype: Type,
    words: &mut Words<'_>,
    origin: Option<NameRef<'_>>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Scanned<()> {
    let (start, first) = (out.len(), words.taken() + 1);
    // What is wrong as a whole is told at the first word.
    let check = |words: &mut Words<'_>, data: &[u8]| {
        check_plain(rtype, data).inspect_err(|_| words.back_to(first))
    };
    if words.peek().is_some_and(|word| !word.quoted && word.text == b"\\#") {
        generic(words, scratch, out)?;
        return Ok(check(words, &out[start..])?);
    }
    let fields = layout(rtype).ok_or(TextFault::Opaque)?;
    for &field in fields {
        one(field, words, origin, scratch, out)?;
    }
    if needs_check(fields) || out.len() - start > crate::types::MAX_RDATA {
        check(words, &out[start..])?;
    }
    Ok(())
}

/// Whether fields that are each right may make data that is wrong as a whole.
fn needs_check(fields: &[Field]) -> bool {
    fields.iter().any(|field| matches!(field, Field::Special(_) | Field::Bitmap { .. }))
}

/// `\# LENGTH HEX` (RFC 3597 §5).
fn generic(words: &mut Words<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Scanned<()> {
    words.next()?;
    let len = number(words.next()?.text, 65_535).map_err(|_| TextFault::Generic)?;
    let before = out.len();
    join(words, scratch);
    decode(&HEXLOWER_PERMISSIVE, &scratch.joined, out).ok_or(TextFault::Generic)?;
    if (out.len() - before) as u64 == len { Ok(()) } else { Err(TextFault::Generic) }
}

/// Reads one field.
pub(super) fn one(
    field: Field,
    words: &mut Words<'_>,
    origin: Option<NameRef<'_>>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Scanned<()> {
    match field {
        Field::U8 => out.push(number(words.next()?.text, 0xff)? as u8),
        Field::U16 => u16_of(number(words.next()?.text, 0xffff)?, out),
        Field::U32 => u32_of(number(words.next()?.text, 0xffff_ffff)? as u32, out),
        Field::U48 => {
            let number = number(words.next()?.text, (1 << 48) - 1)?;
            out.extend_from_slice(&number.to_be_bytes()[2..]);
        }
        Field::Period => {
            let seconds = period(words.next()?.text, u32::MAX);
            u32_of(seconds.ok_or(TextFault::Period(u32::MAX))?, out);
        }
        Field::Time => u32_of(moment::scan(words.next()?.text).ok_or(TextFault::Time)?, out),
        Field::Type => {
            let rtype = Type::from_word(words.next()?.text).ok_or(TextFault::Type)?;
            u16_of(u64::from(rtype.0), out);
        }
        Field::Algorithm => out.push(algorithm(words.next()?.text)?),
        Field::CertType => u16_of(cert_type(words.next()?.text)?, out),
        Field::V4 => {
            let address = utf8(words.next()?).and_then(|text| text.parse::<Ipv4Addr>().ok());
            out.extend_from_slice(&address.ok_or(TextFault::Address("IPv4"))?.octets());
        }
        Field::V6 => {
            let address = utf8(words.next()?).and_then(|text| text.parse::<Ipv6Addr>().ok());
            out.extend_from_slice(&address.ok_or(TextFault::Address("IPv6"))?.octets());
        }
        Field::Name(_) => {
            scratch.name.set_text(words.next()?.text, origin)?;
            out.extend_from_slice(scratch.name.borrowed().wire());
        }
        Field::Text => text(words.next()?, out)?,
        Field::Texts => {
            text(words.next()?, out)?;
            while let Some(word) = words.more() {
                text(word, out)?;
            }
        }
        Field::Tag => {
            let word = words.next()?;
            if word.text.is_empty() || !word.text.iter().all(u8::is_ascii_alphanumeric) {
                return Err(TextFault::Tag);
            }
            text(word, out)?;
        }
        Field::TextRest => bytes_of(words.next()?, out)?,
        Field::Base64 => {
            words.peek().ok_or(TextFault::Missing)?;
            base64(words, scratch, out)?;
        }
        Field::Hex => {
            words.next()?;
            words.back_to(words.taken() - 1);
            hex(words, scratch, out)?;
        }
        Field::Salt => salt(words.next()?, out)?,
        Field::Hash => {
            let start = open(out);
            let digits = words.next()?.text.to_ascii_uppercase();
            decode(&BASE32HEX_NOPAD, &digits, out)
                .ok_or(TextFault::Encoding("base32 with extended hex digits"))?;
            close(start, out)?;
            if out.len() == start + 1 {
                return Err(TextFault::Missing);
            }
        }
        Field::Bitmap { .. } => bitmap(words, out)?,
        Field::Eui(len) => eui(words.next()?, len, out)?,
        Field::Blob => {
            // Its length in bytes, and as much in base64 in one word, as dig prints TSIG.
            let len = number(words.next()?.text, 0xffff)?;
            u16_of(len, out);
            let before = out.len();
            if len > 0 {
                let word = words.next()?;
                decode(&BASE64, word.text, out).ok_or(TextFault::Encoding("base64"))?;
            }
            if (out.len() - before) as u64 != len {
                return Err(TextFault::Encoding("base64 of that length"));
            }
        }
        Field::Special(which) => special::scan(which, words, origin, scratch, out)?,
    }
    Ok(())
}

fn u16_of(number: u64, out: &mut Vec<u8>) {
    // Callers have it below 65,536.
    out.extend_from_slice(&(number as u16).to_be_bytes());
}

fn u32_of(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn utf8(word: Word<'_>) -> Option<&str> {
    std::str::from_utf8(word.text).ok()
}

/// Leaves room for a length of one byte, and says where.
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// Writes the length of what came after `start`.
pub(super) fn close(start: usize, out: &mut [u8]) -> Scanned<()> {
    out[start] = u8::try_from(out.len() - start - 1).map_err(|_| TextFault::TextTooLong)?;
    Ok(())
}

/// A character string.
pub(super) fn text(word: Word<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let start = open(out);
    bytes_of(word, out)?;
    close(start, out)
}

/// The bytes of a word, its escapes resolved.
pub(super) fn bytes_of(word: Word<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let mut rest = word.text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (byte, taken) = unescape(&rest[at + 1..]).ok_or(TextFault::Escape)?;
        out.push(byte);
        rest = &rest[at + 1 + taken..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Puts all words that are left together.
fn join(words: &mut Words<'_>, scratch: &mut Scratch) {
    scratch.joined.clear();
    while let Some(word) = words.more() {
        scratch.joined.extend_from_slice(word.text);
    }
}

/// Appends what a text of this encoding stands for.
fn decode(encoding: &data_encoding::Encoding, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    out.resize(before + encoding.decode_len(text.len()).ok()?, 0);
    let len = encoding.decode_mut(text, &mut out[before..]).ok()?;
    out.truncate(before + len);
    Some(())
}

/// Base64 in all words that are left.
pub(super) fn base64(
    words: &mut Words<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Scanned<()> {
    join(words, scratch);
    decode(&BASE64, &scratch.joined, out).ok_or(TextFault::Encoding("base64"))
}

/// Hexadecimal in all words that are left.
fn hex(words: &mut Words<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Scanned<()> {
    join(words, scratch);
    decode(&HEXLOWER_PERMISSIVE, &scratch.joined, out).ok_or(TextFault::Encoding("hexadecimal"))
}

/// Hexadecimal in one word.
pub(super) fn hex_word(word: Word<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    decode(&HEXLOWER_PERMISSIVE, word.text, out).ok_or(TextFault::Encoding("hexadecimal"))
}

/// Base64 in one word.
pub(super) fn base64_word(word: Word<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    decode(&BASE64, word.text, out).ok_or(TextFault::Encoding("base64"))
}

/// Hexadecimal, or `-` for nothing (RFC 5155 §3.3).
fn salt(word: Word<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let start = open(out);
    if word.text != b"-" {
        hex_word(word, out)?;
    }
    close(start, out)
}

/// Types up to the end (RFC 4034 §4.2).
fn bitmap(words: &mut Words<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let mut types = Vec::new();
    while let Some(word) = words.more() {
        types.push(Type::from_word(word.text).ok_or(TextFault::Type)?);
    }
    TypeSet::new(types).write(out);
    Ok(())
}

/// `00-1f-...` (RFC 7043 §3.2, §4.2).
fn eui(word: Word<'_>, len: usize, out: &mut Vec<u8>) -> Scanned<()> {
    let fault = TextFault::Address(if len == 6 { "EUI-48" } else { "EUI-64" });
    if word.text.len() != 3 * len - 1 {
        return Err(fault);
    }
    for part in word.text.chunks(3) {
        let good = matches!(part, [_, _] | [_, _, b'-']);
        decode(&HEXLOWER_PERMISSIVE, &part[..2], out).filter(|()| good).ok_or(fault)?;
    }
    Ok(())
}

/// An algorithm of DNSSEC: its number, or the word of the registry (RFC 4034 §2.2, appendix A.1).
pub(super) fn algorithm(text: &[u8]) -> Scanned<u8> {
    const WORDS: &[(&str, u8)] = &[
        ("DELETE", 0),
        ("RSAMD5", 1),
        ("DH", 2),
        ("DSA", 3),
        ("RSASHA1", 5),
        ("DSA-NSEC3-SHA1", 6),
        ("NSEC3DSA", 6),
        ("RSASHA1-NSEC3-SHA1", 7),
        ("NSEC3RSASHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECC-GOST", 12),
        ("ECCGOST", 12),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
        ("INDIRECT", 252),
        ("PRIVATEDNS", 253),
        ("PRIVATEOID", 254),
    ];
    let known = WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word.as_bytes()));
    match known {
        Some((_, number)) => Ok(*number),
        None => number(text, 255).map(|number| number as u8).map_err(|_| TextFault::Algorithm),
    }
}

/// A kind of certificate: its number, or the word of the registry (RFC 4398 §2.1).
fn cert_type(text: &[u8]) -> Scanned<u64> {
    let known = CERT_TYPES.iter().find(|(word, _)| text.eq_ignore_ascii_case(word.as_bytes()));
    known.map_or_else(|| number(text, 0xffff), |(_, number)| Ok(u64::from(*number)))
}

/// Kinds of certificates (RFC 4398 §2.1).
pub(super) const CERT_TYPES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];
