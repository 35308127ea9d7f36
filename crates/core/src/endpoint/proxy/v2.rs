//! Version 2: binary (§2.2).

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::header::{Command, Header, Invalid, Origin};
use super::tlv::{self, Tlvs};

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The most that may follow the fixed part, in bytes.
pub(super) const MAX: u16 = 4096;

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// The length of `sun_path` in a header.
const PATH: usize = 108;

pub(super) fn decode(input: &[u8]) -> Result<Option<(Header, usize)>, Invalid> {
    // Each byte is judged when it has come, not when the header is whole.
    let version = input.get(12).filter(|byte| **byte >> 4 != 2 || **byte & 0xf > 1);
    let family = input.get(13).filter(|byte| **byte >> 4 > 3 || **byte & 0xf > 2);
    if let Some(byte) = version.or(family) {
        return Err(Invalid::Unassigned(*byte));
    }
    let Some(fixed) = input.first_chunk::<FIXED>() else { return Ok(None) };
    let length = u16::from_be_bytes([fixed[14], fixed[15]]);
    if length > MAX {
        return Err(Invalid::TooLong(length));
    }
    let end = FIXED + usize::from(length);
    let Some(body) = input.get(FIXED..end) else { return Ok(None) };
    let command = if fixed[12] & 0xf == 0 { Command::Local } else { Command::Proxy };
    let (origin, rest) = origin(fixed[13], body)?;
    // Of a LOCAL connection, everything but the length is to be ignored.
    let tlvs = if command == Command::Local { Tlvs::default() } else { Tlvs::decode(rest)? };
    if tlvs.crc32c().is_some_and(|sum| sum != checksum(&input[..end], body.len() - rest.len())) {
        return Err(Invalid::Checksum);
    }
    let origin = if command == Command::Local { Origin::Unknown } else { origin };
    Ok(Some((Header { command, origin, tlvs }, end)))
}

/// The CRC32c over the header with the checksum's own bytes as zeros; the TLVs begin `addresses`
/// bytes behind the fixed part.
fn checksum(header: &[u8], addresses: usize) -> u32 {
    let mut header = header.to_vec();
    let mut at = FIXED + addresses;
    while let Some([kind, high, low]) =
        header.get(at..).and_then(|rest| rest.first_chunk()).copied()
    {
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind == tlv::CRC32C {
            header.iter_mut().skip(at + 3).take(length).for_each(|byte| *byte = 0);
        }
        at += 3 + length;
    }
    tlv::crc32c(&header)
}

/// The addresses at the front of `body`, and what is behind them.
fn origin(byte: u8, body: &[u8]) -> Result<(Origin, &[u8]), Invalid> {
    let (family, protocol) = (byte >> 4, byte & 0xf);
    let cut = |length| body.split_at_checked(length).ok_or(Invalid::AddressesCut);
    match (family, protocol) {
        (1, 1 | 2) => cut(12).map(|(at, rest)| {
            let ip = |from: usize| IpAddr::from(*at[from..].first_chunk::<4>().unwrap_or(&[0; 4]));
            let (source, destination) = (ip(0), ip(4));
            (inet(protocol, (source, destination), &at[8..]), rest)
        }),
        (2, 1 | 2) => cut(36).map(|(at, rest)| {
            let ip =
                |from: usize| IpAddr::from(*at[from..].first_chunk::<16>().unwrap_or(&[0; 16]));
            let (source, destination) = (ip(0), ip(16));
            (inet(protocol, (source, destination), &at[32..]), rest)
        }),
        (3, 1 | 2) => cut(2 * PATH).map(|(at, rest)| {
            let (source, destination) = (path(&at[..PATH]), path(&at[PATH..]));
            (Origin::Unix { source, destination, datagram: protocol == 2 }, rest)
        }),
        // AF_UNSPEC or an unspecified protocol: where TLVs would begin is unknown too, unless there
        // are no addresses.
        (0, 0) => Ok((Origin::Unknown, body)),
        _ => Ok((Origin::Unknown, &[])),
    }
}

fn inet(protocol: u8, (from, to): (IpAddr, IpAddr), ports: &[u8]) -> Origin {
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let (source, destination) = (SocketAddr::new(from, port(0)), SocketAddr::new(to, port(2)));
    match protocol {
        1 => Origin::Tcp { source, destination },
        _ => Origin::Udp { source, destination },
    }
}

/// A path ends at the first NUL; an abstract name, which begins with one, is no path.
fn path(bytes: &[u8]) -> Option<Arc<Path>> {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    (end > 0).then(|| Path::new(OsStr::from_bytes(&bytes[..end])).into())
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.push(if header.command == Command::Local { 0x20 } else { 0x21 });
    let (byte, addresses) = match &header.origin {
        Origin::Unknown => (0x00, Vec::new()),
        Origin::Tcp { source, destination } => inet_bytes(1, *source, *destination),
        Origin::Udp { source, destination } => inet_bytes(2, *source, *destination),
        Origin::Unix { source, destination, datagram } => {
            let mut paths = path_bytes(source.as_deref());
            paths.extend(path_bytes(destination.as_deref()));
            (if *datagram { 0x32 } else { 0x31 }, paths)
        }
    };
    bytes.push(byte);
    let tlvs = header.tlvs.encoded();
    // Addresses take at most 216 bytes and `Tlvs` keeps within the rest.
    let length = u16::try_from(addresses.len() + tlvs.len()).unwrap_or(MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(&addresses);
    bytes.extend(tlvs);
    seal(&mut bytes, addresses.len(), &header.tlvs);
    bytes
}

/// Fills a checksum in, if the header is to have one.
fn seal(bytes: &mut [u8], addresses: usize, tlvs: &Tlvs) {
    let Some(offset) = tlvs.checksum_offset() else { return };
    let sum = checksum(bytes, addresses);
    let at = FIXED + addresses + offset;
    bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
}

fn inet_bytes(protocol: u8, source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    match (source, destination) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            (0x10 | protocol, [&from.ip().octets()[..], &to.ip().octets(), &ports].concat())
        }
        _ => {
            let (from, to) = (as_v6(source), as_v6(destination));
            (0x20 | protocol, [&from.ip().octets()[..], &to.ip().octets(), &ports].concat())
        }
    }
}

/// One family must do for both ends: IPv4 goes into IPv6 (RFC 4291 §2.5.5.2).
pub(super) fn as_v6(address: SocketAddr) -> SocketAddrV6 {
    let ip: Ipv6Addr = match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
        IpAddr::V6(ip) => ip,
    };
    SocketAddrV6::new(ip, address.port(), 0, 0)
}

fn path_bytes(path: Option<&Path>) -> Vec<u8> {
    let mut bytes = path.map_or(&[][..], |path| path.as_os_str().as_bytes()).to_vec();
    bytes.resize(PATH, 0);
    bytes
}
