//! Version 1: a line of text (§2.1).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::header::{Command, Header, Invalid, Origin};
use super::tlv::Tlvs;

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line, CRLF included.
pub(super) const MAX: usize = 107;

pub(super) fn decode(input: &[u8]) -> Result<Option<(Header, usize)>, Invalid> {
    let within = &input[..input.len().min(MAX)];
    let Some(lf) = memchr::memchr(b'\n', within) else {
        return if input.len() < MAX { Ok(None) } else { Err(Invalid::LineTooLong) };
    };
    let line = within[..lf].strip_suffix(b"\r").ok_or(Invalid::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid::Line)?;
    let origin = origin(line).ok_or(Invalid::Line)?;
    let header = Header { command: Command::Proxy, origin, tlvs: Tlvs::default() };
    Ok(Some((header, lf + 1)))
}

fn origin(line: &str) -> Option<Origin> {
    let rest = line.strip_prefix("PROXY ")?;
    // What follows UNKNOWN is to be ignored.
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(Origin::Unknown);
    }
    let mut words = rest.split(' ');
    let is_v4 = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut ip = || words.next().and_then(|word| address(word, is_v4));
    let (source, destination) = (ip()?, ip()?);
    let mut port = || words.next().and_then(port);
    let (from, to) = (port()?, port()?);
    words.next().is_none().then_some(Origin::Tcp {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    })
}

fn address(word: &str, is_v4: bool) -> Option<IpAddr> {
    IpAddr::from_str(word).ok().filter(|ip| ip.is_ipv4() == is_v4)
}

/// Decimal, without leading zeros.
fn port(word: &str) -> Option<u16> {
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    let canonical = word == "0" || !word.starts_with('0');
    if digits && canonical { word.parse().ok() } else { None }
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let line = match (header.command, &header.origin) {
        (Command::Proxy, Origin::Tcp { source, destination }) => match (source, destination) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
            }
            _ => {
                let (from, to) = (super::v2::as_v6(*source), super::v2::as_v6(*destination));
                format!("PROXY TCP6 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
            }
        },
        _ => "PROXY UNKNOWN\r\n".to_owned(),
    };
    line.into_bytes()
}
