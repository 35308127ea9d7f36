//! A header of either version, and telling them apart.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::tlv::Tlvs;
use super::{v1, v2};
use crate::Address;

/// Which form a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text (§2.1).
    One,
    /// Binary, with TLVs (§2.2).
    Two,
}

/// Whose connection it is (§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// The balancer's own, such as a health check: the addresses are those of the socket.
    Local,
    /// Somebody's, relayed.
    Proxy,
}

/// The two ends of the relayed connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Not told (`UNKNOWN`, `AF_UNSPEC`): the addresses are those of the socket.
    Unknown,
    /// Over TCP.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// Over UDP, by a relay that turns datagrams into a stream. Version 2 only.
    Udp {
        /// The client.
        source: SocketAddr,
        /// Where it sent to.
        destination: SocketAddr,
    },
    /// Over a Unix socket; an unnamed end is `None`. Version 2 only.
    Unix {
        /// The client.
        source: Option<Arc<Path>>,
        /// The path it connected to.
        destination: Option<Arc<Path>>,
        /// Whether it is a datagram socket.
        datagram: bool,
    },
}

/// What a PROXY header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is.
    pub command: Command,
    /// Its two ends.
    pub origin: Origin,
    /// What else version 2 says; empty in version 1.
    pub tlvs: Tlvs,
}

impl Header {
    /// A header for a connection between two addresses. Two IP addresses are told, two Unix sockets
    /// as well; of anything else the header says that it is our own connection.
    #[must_use]
    pub fn between(from: &Address, to: &Address) -> Self {
        let origin = match (from, to) {
            (Address::Ip(source), Address::Ip(destination)) => {
                Origin::Tcp { source: *source, destination: *destination }
            }
            (Address::Unix(source), Address::Unix(destination)) => Origin::Unix {
                source: source.clone(),
                destination: destination.clone(),
                datagram: false,
            },
            _ => Origin::Unknown,
        };
        let own = origin == Origin::Unknown;
        let command = if own { Command::Local } else { Command::Proxy };
        Self { command, origin, tlvs: Tlvs::default() }
    }

    /// Client and destination, if the header tells them and they are to be used.
    #[must_use]
    pub fn addresses(&self) -> Option<(Address, Address)> {
        match (self.command, &self.origin) {
            (Command::Local, _) | (_, Origin::Unknown) => None,
            (_, Origin::Tcp { source, destination } | Origin::Udp { source, destination }) => {
                Some(((*source).into(), (*destination).into()))
            }
            (_, Origin::Unix { source, destination, .. }) => {
                Some((Address::Unix(source.clone()), Address::Unix(destination.clone())))
            }
        }
    }

    /// The bytes of this header. What version 1 has no words for is `UNKNOWN` in it, and its TLVs are
    /// left out.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        match version {
            Version::One => v1::encode(self),
            Version::Two => v2::encode(self),
        }
    }
}

/// A header that is none, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The peer speaks something else.
    #[error("it does not begin like one: does the balancer send it (send-proxy)?")]
    NoHeader,
    /// Longer than 107 bytes, which no line of version 1 is (§2.1).
    #[error("a line of version 1 longer than 107 bytes")]
    LineTooLong,
    /// A line of version 1 with another grammar.
    #[error("a malformed line of version 1")]
    Line,
    /// Version 2 with more than 4096 bytes of addresses and TLVs.
    #[error("a header of version 2 that announces {0} bytes, more than 4096")]
    TooLong(u16),
    /// A version, command, family or protocol that is not assigned.
    #[error("a header of version 2 with the unassigned value {0:#04x}")]
    Unassigned(u8),
    /// Too short for the addresses it announces.
    #[error("a header of version 2 too short for its addresses")]
    AddressesCut,
    /// A TLV that reaches beyond the header, or has the wrong length for its type.
    #[error("a header of version 2 with a malformed TLV of type {0:#04x}")]
    Tlv(u8),
    /// The checksum is wrong (§2.2.3).
    #[error("a header of version 2 with a wrong CRC32c")]
    Checksum,
}

/// Reads a header off the front of `input`: the header and its length in bytes, or `None` while it
/// can still become one. At most 4112 bytes are ever asked for.
///
/// # Errors
/// When it is no header; more input does not help.
pub fn decode(input: &[u8]) -> Result<Option<(Header, usize)>, Invalid> {
    if begins(input, &v2::SIGNATURE) {
        v2::decode(input)
    } else if begins(input, v1::SIGNATURE) {
        v1::decode(input)
    } else {
        Err(Invalid::NoHeader)
    }
}

/// Whether `input` begins with `signature`, as far as it goes.
fn begins(input: &[u8], signature: &[u8]) -> bool {
    let shared = input.len().min(signature.len());
    input[..shared] == signature[..shared]
}

/// The word that version 1 and logs use.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("UNKNOWN"),
            Self::Tcp { source, destination } => write!(f, "TCP {source} to {destination}"),
            Self::Udp { source, destination } => write!(f, "UDP {source} to {destination}"),
            Self::Unix { source, destination, .. } => {
                let ends = [source, destination].map(|end| Address::Unix(end.clone()));
                write!(f, "{} to {}", ends[0], ends[1])
            }
        }
    }
}
