//! The parameters of SVCB (RFC 9460 §2.1, appendix A).

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::super::Scanned;
use super::super::lex::{Word, Words};
use super::super::print::{Stop, quoted};
use super::super::scan::{bytes_of, close, open};
use crate::error::TextFault;
use crate::parse::Cursor;
use crate::types::rdata::{key_name, key_of};

const FAULT: TextFault = TextFault::Param;

/// Reads parameters in any order and appends them in that of their keys.
pub(super) fn scan(words: &mut Words<'_>, out: &mut Vec<u8>) -> Scanned<()> {
    let mut params: Vec<(u16, Vec<u8>)> = Vec::new();
    while let Some(word) = words.more() {
        let (key, given) = match memchr::memchr(b'=', word.text) {
            Some(at) => (&word.text[..at], Some(&word.text[at + 1..])),
            None => (word.text, None),
        };
        let key = key_of(key).ok_or(FAULT)?;
        // key="value": the lexer has cut before the quote, which follows at once.
        let value = match given {
            Some(b"") if words.peek().is_some_and(|next| next.quoted && next.follows(word)) => {
                Some(words.next()?.text)
            }
            given => given,
        };
        let mut bytes = Vec::new();
        match value {
            Some(text) => self::value(key, text, &mut bytes)?,
            // Only these may have no value.
            None if matches!(key, 0..=1 | 3..=7) => return Err(FAULT),
            None => {}
        }
        if params.iter().any(|(other, _)| *other == key) {
            return Err(TextFault::ParamTwice);
        }
        params.push((key, bytes));
    }
    params.sort_unstable();
    for (key, value) in params {
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&u16::try_from(value.len()).map_err(|_| FAULT)?.to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

/// The wire form of a value.
fn value(key: u16, text: &[u8], out: &mut Vec<u8>) -> Scanned<()> {
    let mut plain = Vec::new();
    bytes_of(Word::bare(text), &mut plain)?;
    let parts = || plain.split(|byte| *byte == b',');
    let utf8 = |part| std::str::from_utf8(part).map_err(|_| FAULT);
    match key {
        0 => {
            let mut keys = parts().map(key_of).collect::<Option<Vec<_>>>().ok_or(FAULT)?;
            keys.sort_unstable();
            out.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
        }
        1 => list(&plain, out)?,
        2 | 8 if plain.is_empty() => {}
        2 | 8 => return Err(FAULT),
        3 => out.extend_from_slice(&utf8(&plain)?.parse::<u16>().map_err(|_| FAULT)?.to_be_bytes()),
        4 => {
            for part in parts() {
                let address: Ipv4Addr = utf8(part)?.parse().map_err(|_| FAULT)?;
                out.extend_from_slice(&address.octets());
            }
        }
        5 => {
            let bytes = BASE64.decode(&plain).map_err(|_| TextFault::Encoding("base64"))?;
            out.extend_from_slice(&bytes);
        }
        6 => {
            for part in parts() {
                let address: Ipv6Addr = utf8(part)?.parse().map_err(|_| FAULT)?;
                out.extend_from_slice(&address.octets());
            }
        }
        _ => out.extend_from_slice(&plain),
    }
    Ok(())
}

/// A list whose items have commas and backslashes escaped once more (appendix A.1).
fn list(text: &[u8], out: &mut Vec<u8>) -> Scanned<()> {
    let mut bytes = text.iter();
    let mut start = open(out);
    loop {
        match bytes.next() {
            Some(b'\\') => out.push(*bytes.next().ok_or(FAULT)?),
            Some(b',') => {
                close(start, out)?;
                start = open(out);
            }
            Some(byte) => out.push(*byte),
            None => return close(start, out),
        }
    }
}

/// Writes parameters, with a blank between two.
pub(super) fn print(cursor: &mut Cursor<'_>, f: &mut fmt::Formatter<'_>) -> Result<(), Stop> {
    let mut first = true;
    while !cursor.is_empty() {
        let (key, len) = (cursor.u16()?, cursor.u16()?);
        let value = cursor.take(usize::from(len))?;
        if !std::mem::take(&mut first) {
            f.write_char(' ')?;
        }
        print_key(key, f)?;
        if !value.is_empty() {
            f.write_char('=')?;
            print_value(key, value, f)?;
        }
    }
    Ok(())
}

fn print_key(key: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match key_name(key) {
        Some(name) => f.write_str(name),
        None => write!(f, "key{key}"),
    }
}

fn print_value(key: u16, value: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let comma = |at: usize| if at > 0 { "," } else { "" };
    match key {
        0 => {
            for (at, key) in value.chunks_exact(2).enumerate() {
                f.write_str(comma(at))?;
                print_key(u16::from_be_bytes([key[0], key[1]]), f)?;
            }
            Ok(())
        }
        1 => print_list(value, f),
        3 => write!(f, "{}", value.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte))),
        4 => {
            for (at, part) in value.chunks_exact(4).enumerate() {
                let address = Ipv4Addr::new(part[0], part[1], part[2], part[3]);
                write!(f, "{}{address}", comma(at))?;
            }
            Ok(())
        }
        5 => BASE64.encode_write(value, f),
        6 => {
            for (at, part) in value.as_chunks::<16>().0.iter().enumerate() {
                write!(f, "{}{}", comma(at), Ipv6Addr::from(*part))?;
            }
            Ok(())
        }
        _ => quoted(value, f),
    }
}

/// Writes a list as one quoted string, with commas and backslashes in items escaped twice.
fn print_list(value: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut rest, mut plain) = (value, Vec::new());
    while let Some((&len, after)) = rest.split_first() {
        let (item, after) = after.split_at_checked(usize::from(len)).unwrap_or((after, &[]));
        rest = after;
        for &byte in item {
            if matches!(byte, b',' | b'\\') {
                plain.push(b'\\');
            }
            plain.push(byte);
        }
        if !rest.is_empty() {
            plain.push(b',');
        }
    }
    quoted(&plain, f)
}
