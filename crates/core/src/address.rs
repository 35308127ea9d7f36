//! Where a transport begins or ends.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Where a transport begins or ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket; the end that did not bind has no path.
    Unix(Option<Arc<Path>>),
    /// A name in memory: tests, and services that talk within one process.
    Memory(Arc<str>),
    /// Standard input and output.
    Stdio,
    /// A child process, by its id.
    Process(u32),
    /// A transport of somebody else's making that has no address.
    Unknown,
}

impl Address {
    /// The IP address, if it has one. An IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2), as a
    /// dual-stack listener sees it, comes out as IPv4, so that lists and caps see one address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(socket) => Some(socket.ip().to_canonical()),
            _ => None,
        }
    }

    /// The port, if it has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(socket) => Some(socket.port()),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        Self::Ip(SocketAddr::new(socket.ip().to_canonical(), socket.port()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(socket) => socket.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
            Self::Memory(name) => write!(f, "memory:{name}"),
            Self::Stdio => f.write_str("stdio:"),
            Self::Process(id) => write!(f, "process:{id}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
