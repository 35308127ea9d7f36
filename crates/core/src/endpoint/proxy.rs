//! `proxy:`: the PROXY protocol, versions 1 and 2: who the client of a balancer really is.
//!
//! The codec ([`decode`], [`Header::encode`]) is pure; the source is the specification that HAProxy
//! publishes, "The PROXY protocol, Versions 1 & 2" (proxy-protocol.txt), whose sections are named
//! here.

mod header;
mod tlv;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::parse::{Arguments, Error};
use super::print::Printed;
use super::values::{Time, commas, network};
use crate::{Address, Transport};

pub use header::{Command, Header, Invalid, Origin, Version, decode};
pub use tlv::{Ssl, Tlv, Tlvs};

/// How long a balancer may take for its header: it speaks first and has it ready.
pub const HEADER_TIME: Duration = Duration::from_secs(5);

/// From whom a PROXY header is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// Peers in this network.
    Network(IpNet),
    /// Peers without an IP address: those of Unix sockets, which have a mode, and of memory.
    Local,
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(IpNet::V6(net)) => write!(f, "[{}]/{}", net.addr(), net.prefix_len()),
            Self::Network(net) => net.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

/// The PROXY protocol around another endpoint.
///
/// Listening, each connection must begin with a header, `proxy:tcp:80:trust=10.0.0.0/8`, and those of
/// untrusted peers are refused: a header that anybody may send says nothing. Connecting, one is sent:
/// `proxy:tcp:example.org:80:version=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// `trust=`: for listening, from whom headers are taken. By default from this machine:
    /// `127.0.0.0/8,[::1]/128,unix`.
    pub trust: Vec<Trusted>,
    /// `header=`: for listening, how long the header may take.
    pub header: Duration,
    /// `version=`: for connecting, which header is sent.
    pub version: Version,
}

impl Default for Proxy {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].into_iter().filter_map(network);
        let trust = loopback.map(Trusted::Network).chain([Trusted::Local]).collect();
        Self { trust, header: HEADER_TIME, version: Version::Two }
    }
}

impl Proxy {
    pub(super) const KEYS: &'static [&'static str] = &["trust", "header", "version"];
    pub(super) const USAGE: &'static str = "proxy:ENDPOINT, as in proxy:tcp:80:trust=10.0.0.0/8";

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let default = Self::default();
        let trust = arguments.list(
            "trust",
            "write networks, as in 10.0.0.0/8,[fd00::]/8, or unix",
            |item| match item {
                "unix" => Some(Trusted::Local),
                net => network(net).map(Trusted::Network),
            },
        )?;
        let version = match arguments.option("version").map(|value| (value.text(), value)) {
            None | Some(("2", _)) => Version::Two,
            Some(("1", _)) => Version::One,
            Some((_, value)) => {
                return Err(value.error("no such version of the PROXY protocol", "write 1 or 2"));
            }
        };
        Ok(Self {
            trust: trust.unwrap_or(default.trust),
            header: arguments.time("header")?.unwrap_or(default.header),
            version,
        })
    }

    pub(super) fn print(&self) -> Printed {
        let default = Self::default();
        let printed = Printed::new("proxy");
        let printed = if self.trust == default.trust {
            printed
        } else {
            printed.option("trust", commas(&self.trust))
        };
        let printed = printed.unless("header", &Time(self.header), &Time(default.header));
        if self.version == Version::One { printed.option("version", 1) } else { printed }
    }

    pub(super) fn only_for_clients(&self) -> Option<&'static str> {
        (self.version != Version::Two).then_some("version")
    }

    pub(super) fn only_for_servers(&self) -> Option<&'static str> {
        let default = Self::default();
        [(self.trust != default.trust, "trust"), (self.header != default.header, "header")]
            .into_iter()
            .find_map(|(set, key)| set.then_some(key))
    }

    fn trusts(&self, peer: &Address) -> bool {
        self.trust.iter().any(|trusted| match (trusted, peer.ip()) {
            (Trusted::Network(net), Some(ip)) => net.contains(&ip),
            (Trusted::Local, None) => true,
            _ => false,
        })
    }

    /// Reads the header and takes the addresses in it over. Bytes behind it are put back.
    ///
    /// Not cancel-safe: what was read of the header is lost.
    pub(super) async fn receive(&self, transport: &mut Transport) -> io::Result<Header> {
        let peer = transport.peer().clone();
        if !self.trusts(&peer) {
            let what = format!("{peer} is not trusted to send a PROXY header: see trust=");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        let header = tokio::time::timeout(self.header, read(transport)).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("{peer} sent no PROXY header in time"))
        })??;
        if let Some((source, destination)) = header.addresses() {
            transport.set_peer(source);
            transport.set_local(destination);
        }
        Ok(header)
    }

    /// Sends the header for a connection `from` somebody `to` somebody.
    pub(super) async fn send(
        &self,
        transport: &mut Transport,
        from: &Address,
        to: &Address,
    ) -> io::Result<()> {
        let header = Header::between(from, to);
        transport.write_all(&header.encode(self.version)).await?;
        transport.flush().await
    }
}

async fn read(transport: &mut Transport) -> io::Result<Header> {
    let mut input = BytesMut::with_capacity(512);
    loop {
        let decoded = decode(&input).map_err(|invalid| {
            let what = format!("{} sent a bad PROXY header: {invalid}", transport.peer());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        if let Some((header, length)) = decoded {
            let rest: Bytes = input.split_off(length).freeze();
            transport.unread(rest);
            return Ok(header);
        }
        // What is undecided is shorter than a header may be, so the buffer stays small.
        if transport.read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
