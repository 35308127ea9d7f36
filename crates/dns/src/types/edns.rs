//! Extensions (RFC 6891): the OPT record, and the options in it.

use std::net::IpAddr;

use super::Rcode;
use crate::error::{Fault, WireError};

/// The number of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionCode(pub u16);

impl OptionCode {
    /// The server's identifier (RFC 5001).
    pub const NSID: Self = Self(3);
    /// The network of the client (RFC 7871).
    pub const CLIENT_SUBNET: Self = Self(8);
    /// How long a zone's data is valid (RFC 7314).
    pub const EXPIRE: Self = Self(9);
    /// Cookies (RFC 7873).
    pub const COOKIE: Self = Self(10);
    /// How long a TCP connection may be idle (RFC 7828).
    pub const KEEPALIVE: Self = Self(11);
    /// Filling (RFC 7830).
    pub const PADDING: Self = Self(12);
    /// Why (RFC 8914).
    pub const EXTENDED_ERROR: Self = Self(15);
}

/// A cookie (RFC 7873 §4): the client's 8 bytes, and the server's 8 to 32 or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// The client's half.
    pub client: [u8; 8],
    /// The server's half; empty, or 8 to 32 bytes.
    pub server: &'a [u8],
}

impl<'a> Cookie<'a> {
    /// Reads the option's data.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&client, server) = data.split_first_chunk()?;
        matches!(server.len(), 0 | 8..=32).then_some(Self { client, server })
    }
}

/// The network of the client (RFC 7871 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet {
    /// The network's address; its host part is zero.
    pub address: IpAddr,
    /// How many bits of it the client tells.
    pub source: u8,
    /// How many bits the answer is good for; 0 in a question.
    pub scope: u8,
}

impl ClientSubnet {
    /// Reads the option's data: no longer than the bits need, and zero beyond them.
    #[must_use]
    pub fn new(data: &[u8]) -> Option<Self> {
        let &[high, low, source, scope, ref part @ ..] = data else { return None };
        let mut bytes = [0u8; 16];
        bytes.get_mut(..part.len())?.copy_from_slice(part);
        let (address, bits) = match u16::from_be_bytes([high, low]) {
            1 if part.len() <= 4 => ([bytes[0], bytes[1], bytes[2], bytes[3]].into(), 32),
            2 => (bytes.into(), 128),
            _ => return None,
        };
        let clean =
            |used: u8| u128::from_be_bytes(bytes).checked_shl(u32::from(used)).unwrap_or(0) == 0;
        let good = source <= bits
            && scope <= bits
            && part.len() == usize::from(source).div_ceil(8)
            && clean(source);
        good.then_some(Self { address, source, scope })
    }

    /// Appends the option's data.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (family, bytes) = match self.address {
            IpAddr::V4(address) => (1, address.to_ipv6_compatible().octets()[12..].to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        let len = usize::from(self.source).div_ceil(8).min(bytes.len());
        out.extend_from_slice(&[0, family, self.source, self.scope]);
        out.extend_from_slice(&bytes[..len]);
    }
}

/// Why an answer is what it is (RFC 8914 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError<'a> {
    /// The number.
    pub code: u16,
    /// For people; often empty.
    pub text: &'a str,
}

impl ExtendedError<'_> {
    /// Other.
    pub const OTHER: u16 = 0;
    /// The zone has expired, but is served (RFC 8767).
    pub const STALE: u16 = 3;
    /// The server is not ready.
    pub const NOT_READY: u16 = 14;
    /// Refused by a rule.
    pub const PROHIBITED: u16 = 18;
    /// Not authoritative for the name.
    pub const NOT_AUTHORITATIVE: u16 = 20;
    /// Not supported.
    pub const NOT_SUPPORTED: u16 = 21;
    /// The zone has expired or could not be loaded.
    pub const INVALID_DATA: u16 = 24;
}

/// One option, borrowed; what is in it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EdnsOption<'a> {
    /// The server's identifier; empty in a question (RFC 5001).
    Nsid(&'a [u8]),
    /// The client's network (RFC 7871).
    ClientSubnet(ClientSubnet),
    /// In seconds; `None` in a question (RFC 7314).
    Expire(Option<u32>),
    /// Cookies (RFC 7873).
    Cookie(Cookie<'a>),
    /// In units of 100 ms; `None` in a question (RFC 7828).
    Keepalive(Option<u16>),
    /// So many bytes of filling (RFC 7830).
    Padding(u16),
    /// Why (RFC 8914).
    ExtendedError(ExtendedError<'a>),
    /// Any other.
    Other(OptionCode, &'a [u8]),
}

impl<'a> EdnsOption<'a> {
    /// Reads an option's data; `None` if it cannot be that option's.
    #[must_use]
    pub fn new(code: OptionCode, data: &'a [u8]) -> Option<Self> {
        Some(match code {
            OptionCode::NSID => Self::Nsid(data),
            OptionCode::CLIENT_SUBNET => Self::ClientSubnet(ClientSubnet::new(data)?),
            OptionCode::EXPIRE => Self::Expire(match data.len() {
                0 => None,
                _ => Some(u32::from_be_bytes(data.try_into().ok()?)),
            }),
            OptionCode::COOKIE => Self::Cookie(Cookie::new(data)?),
            OptionCode::KEEPALIVE => Self::Keepalive(match data.len() {
                0 => None,
                _ => Some(u16::from_be_bytes(data.try_into().ok()?)),
            }),
            OptionCode::PADDING => Self::Padding(u16::try_from(data.len()).ok()?),
            OptionCode::EXTENDED_ERROR => {
                let (&code, text) = data.split_first_chunk()?;
                // §2: the text is UTF-8, and may have a NUL at its end that is no part of it.
                let text = std::str::from_utf8(text).ok()?.trim_end_matches('\0');
                Self::ExtendedError(ExtendedError { code: u16::from_be_bytes(code), text })
            }
            code => Self::Other(code, data),
        })
    }

    /// Its number.
    #[must_use]
    pub fn code(&self) -> OptionCode {
        match self {
            Self::Nsid(_) => OptionCode::NSID,
            Self::ClientSubnet(_) => OptionCode::CLIENT_SUBNET,
            Self::Expire(_) => OptionCode::EXPIRE,
            Self::Cookie(_) => OptionCode::COOKIE,
            Self::Keepalive(_) => OptionCode::KEEPALIVE,
            Self::Padding(_) => OptionCode::PADDING,
            Self::ExtendedError(_) => OptionCode::EXTENDED_ERROR,
            Self::Other(code, _) => *code,
        }
    }

    /// Appends its data, without number and length.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nsid(data) | Self::Other(_, data) => out.extend_from_slice(data),
            Self::ClientSubnet(subnet) => subnet.write(out),
            Self::Expire(seconds) => {
                out.extend(seconds.iter().flat_map(|seconds| seconds.to_be_bytes()));
            }
            Self::Cookie(cookie) => {
                out.extend_from_slice(&cookie.client);
                out.extend_from_slice(cookie.server);
            }
            Self::Keepalive(time) => out.extend(time.iter().flat_map(|time| time.to_be_bytes())),
            Self::Padding(len) => out.resize(out.len() + usize::from(*len), 0),
            Self::ExtendedError(error) => {
                out.extend_from_slice(&error.code.to_be_bytes());
                out.extend_from_slice(error.text.as_bytes());
            }
        }
    }
}

/// Options, one after the other, as they are on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Options(Vec<u8>);

impl Options {
    /// Adds an option.
    ///
    /// # Errors
    /// When there would be more than 65,535 bytes; nothing is added then.
    pub fn push(&mut self, option: &EdnsOption<'_>) -> Result<(), WireError> {
        let before = self.0.len();
        self.0.extend_from_slice(&option.code().0.to_be_bytes());
        self.0.extend_from_slice(&[0, 0]);
        option.write(&mut self.0);
        let len = self.0.len() - before - 4;
        if self.0.len() > super::MAX_RDATA {
            self.0.truncate(before);
            return Err(WireError { fault: Fault::RdataTooLong, offset: before });
        }
        // Not above the length of the whole, which fits.
        self.0[before + 2..before + 4].copy_from_slice(&(len as u16).to_be_bytes());
        Ok(())
    }

    /// Takes the data of an OPT record.
    ///
    /// # Errors
    /// When it is no row of options.
    pub fn from_wire(data: &[u8]) -> Result<Self, WireError> {
        check(data, 0)?;
        Ok(Self(data.to_vec()))
    }

    /// The wire form.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The options. What cannot be the option that it says is left out.
    pub fn iter(&self) -> impl Iterator<Item = EdnsOption<'_>> {
        each(&self.0).filter_map(|(code, data)| EdnsOption::new(code, data))
    }
}

/// The options in checked data, not yet looked into.
pub(crate) fn each(data: &[u8]) -> impl Iterator<Item = (OptionCode, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let &[c0, c1, l0, l1, ref after @ ..] = rest else { return None };
        let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = after;
        Some((OptionCode(u16::from_be_bytes([c0, c1])), data))
    })
}

/// Checks that data is a row of options; `base` is where it begins.
pub(crate) fn check(data: &[u8], base: usize) -> Result<(), WireError> {
    let used: usize = each(data).map(|(_, data)| 4 + data.len()).sum();
    if used == data.len() {
        return Ok(());
    }
    Err(WireError { fault: Fault::Option, offset: base + used })
}

/// What an OPT record says (RFC 6891 §6.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edns {
    /// The longest UDP message that the sender takes, in bytes; below 512 counts as 512.
    pub udp_size: u16,
    /// The version, 0.
    pub version: u8,
    /// DO: DNSSEC's records are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// The bits beside DO, reserved: zero.
    pub reserved: u16,
    /// The options.
    pub options: Options,
}

impl Edns {
    /// The size that fits through nearly every path unfragmented (RFC 9715 §3.1): 1,232 bytes.
    pub const SAFE_SIZE: u16 = 1232;
}

impl Default for Edns {
    /// Version 0, 1,232 bytes, no options.
    fn default() -> Self {
        Self {
            udp_size: Self::SAFE_SIZE,
            version: 0,
            dnssec_ok: false,
            reserved: 0,
            options: Options::default(),
        }
    }
}

/// The upper bits of a code, as OPT carries them.
pub(crate) fn extended(rcode: Rcode) -> u8 {
    (rcode.0 >> 4) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_there_and_back() {
        let subnet =
            |text: &str, source| ClientSubnet { address: text.parse().unwrap(), source, scope: 0 };
        let table = [
            EdnsOption::Nsid(b"a server"),
            EdnsOption::ClientSubnet(subnet("192.0.2.0", 24)),
            EdnsOption::ClientSubnet(subnet("192.0.2.128", 25)),
            EdnsOption::ClientSubnet(subnet("2001:db8::", 32)),
            EdnsOption::ClientSubnet(subnet("0.0.0.0", 0)),
            EdnsOption::Expire(None),
            EdnsOption::Expire(Some(86400)),
            EdnsOption::Cookie(Cookie { client: [7; 8], server: b"" }),
            EdnsOption::Cookie(Cookie { client: [7; 8], server: &[1; 16] }),
            EdnsOption::Keepalive(Some(300)),
            EdnsOption::Padding(13),
            EdnsOption::ExtendedError(ExtendedError { code: 18, text: "no" }),
            EdnsOption::Other(OptionCode(65001), b"x"),
        ];
        let mut options = Options::default();
        for option in &table {
            options.push(option).unwrap();
        }
        assert!(options.iter().eq(table));
        let read = Options::from_wire(options.wire()).unwrap();
        assert_eq!(read, options);
        assert!(Options::from_wire(&options.wire()[1..]).is_err());
    }

    #[test]
    fn options_that_are_none() {
        let table: &[(OptionCode, &[u8])] = &[
            (OptionCode::COOKIE, &[1; 7]),
            (OptionCode::COOKIE, &[1; 15]),
            (OptionCode::COOKIE, &[1; 41]),
            (OptionCode::CLIENT_SUBNET, &[0, 1, 24, 0, 192, 0]),
            (OptionCode::CLIENT_SUBNET, &[0, 1, 24, 0, 192, 0, 2, 1]),
            (OptionCode::CLIENT_SUBNET, &[0, 1, 23, 0, 192, 0, 3]),
            (OptionCode::CLIENT_SUBNET, &[0, 1, 33, 0, 192, 0, 2, 1, 0]),
            (OptionCode::CLIENT_SUBNET, &[0, 3, 0, 0]),
            (OptionCode::EXPIRE, &[1]),
            (OptionCode::KEEPALIVE, &[1]),
            (OptionCode::EXTENDED_ERROR, &[1]),
            (OptionCode::EXTENDED_ERROR, &[0, 1, 0xff]),
        ];
        for (code, data) in table {
            assert_eq!(EdnsOption::new(*code, data), None, "{code:?} {data:?}");
        }
    }
}
