//! Where to listen or connect: Twisted's endpoints.
//!
//! ```text
//!  "tls:443:cert=site.pem" ── parse ──► Endpoint ──┬── bind ──► Bound ── listener ──► Listener
//!   Tcp::new(…), Tls {…} ──── wrap ──►             │                                     │ accept
//!                                                  │                                     ▼
//!                                                  └── connect ──► Transport ◄── establish ── Accepted
//! ```
//!
//! An endpoint is written outermost layer first: `tls:proxy:tcp:443` is TLS, over the PROXY protocol,
//! over TCP. It ends in one of
//!
//! | | listens | connects |
//! |---|---|---|
//! | `tcp:[HOST:]PORT` | `backlog`, `reuseport`, `dual`, `nodelay`, `keepalive` | `bind`, `timeout`, `nodelay`, `keepalive` |
//! | `unix:PATH` | `mode`, `backlog` | yes |
//! | `udp:[HOST:]PORT` | datagrams: `reuseport`, `dual` | datagrams: `bind` |
//! | `systemd:INDEX`, `systemd:NAME` | yes | |
//! | `fd:NUMBER` | yes | a connected socket |
//! | `stdio:` | one connection | yes |
//! | `exec:PROGRAM ARGUMENTS` | | yes |
//! | `memory:NAME` | within one [`Registry`] | `latency`, `chunk`, `capacity`, `seed` |
//!
//! and may be surrounded by
//!
//! | | listens | connects |
//! |---|---|---|
//! | `tls:` | `cert`, `key`, `folder`, `names`, `clients`, `ca`, `alpn`, `min`, `handshake` | `roots`, `pin`, `name`, `client-cert`, `client-key`, `alpn`, `min`, `handshake` |
//! | `proxy:` | `trust`, `header` | `version` |
//! | `socks5:HOST:PORT:` | | `user`, `password` |
//! | `http-connect:HOST:PORT:` | | `user`, `password` |
//!
//! `tcp:` may be left out before a port or an address: `8080`, `tls:[::1]:443`. Options are `key=value`
//! fields; at the end of the string each finds the innermost layer that knows it, and right behind a
//! layer's name it is that layer's. A backslash takes the next character as it is: `unix:/run/a\:b`.
//! Proxies for clients change the way by which the endpoint behind them is reached, so
//! `socks5:10.0.0.1:1080:tls:example.org:443` is TLS with example.org, and a chain is written in the
//! order in which it is travelled.
//!
//! ```
//! use ropewalk_core::endpoint::{Endpoint, Registry};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let names = Registry::new(); // whom `memory:` names are known to
//! let server = Endpoint::parse_with("proxy:memory:web", &names)?;
//! let client = Endpoint::parse_with("proxy:memory:web:version=1", &names)?;
//!
//! let bound = server.bind()?; // from here on, privileges may be dropped
//! let listener = bound.listener()?;
//! let from_us = client.connect().await?;
//! let accepted = listener.accept().await?;
//! let from_them = accepted.establish().await?; // the header, a handshake: not in the accept loop
//! assert_eq!(from_us.peer(), from_them.peer());
//!
//! let error = Endpoint::parse("tcp:80:nodeley=off").expect_err("a slip of the finger");
//! assert_eq!((error.offset(), error.help()), (7, "did you mean nodelay= ?"));
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).map_err(|e| e.to_string())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

mod bound;
mod connect;
mod dialogue;
mod exec;
mod failure;
mod handover;
mod http_connect;
mod inherited;
mod layers;
mod listener;
mod login;
mod memory;
mod parse;
mod print;
pub mod proxy;
pub mod race;
mod registry;
mod roles;
mod socks5;
mod tcp;
mod tls;
mod unix;
mod values;

#[cfg(test)]
mod tests;

use bound::Socket;
use failure::Wanted;
use listener::{Single, Step};

pub use bound::Bound;
pub use exec::Exec;
pub use failure::Failure;
pub use handover::Handed;
pub use http_connect::HttpConnect;
pub use inherited::Systemd;
pub use layers::{CustomLeaf, Leaf, Wrapper};
pub use listener::{AcceptError, Accepted, Listener};
pub use login::Login;
pub use memory::Memory;
pub use parse::{Argument, Arguments, Error, MAX_LAYERS};
pub use proxy::Proxy;
pub use race::{Resolve, SystemResolver};
pub use registry::{Custom, Kind, Registry, Source};
pub use socks5::Socks5;
pub use tcp::{BACKLOG, CONNECT_TIMEOUT, Tcp, Udp};
pub use tls::{Certificate, Clients, HANDSHAKE_TIME, Tls};
pub use unix::Unix;
pub use values::{Host, Name, NotAHost};

use crate::transport::stdio::Stdio;
use crate::{Address, Transport};

/// A future behind a pointer, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where to listen or connect. Cheap to clone; clones share what a client has loaded and the TLS
/// sessions it resumes.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    /// Outermost first.
    wrappers: Vec<Wrapper>,
    leaf: Leaf,
    registry: Registry,
}

impl Endpoint {
    /// From a string, with a registry of its own: a name in memory is then known only to clones of
    /// this endpoint.
    ///
    /// # Errors
    /// When the string is none; [`Error`] points at the place.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &Registry::default())
    }

    /// From a string, with the kinds, names in memory and resolver of `registry`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, registry: &Registry) -> Result<Self, Error> {
        let layers = registry.with_shapes(|shapes| parse::parse(text, shapes))?;
        let (leaf, wrappers) = layers.split_last().expect("the grammar ends in a leaf");
        let wrappers = wrappers.iter().map(Wrapper::parse).collect::<Result<_, _>>()?;
        let leaf = Leaf::parse(leaf, registry)?;
        Ok(Self(Arc::new(Inner { wrappers, leaf, registry: registry.clone() })))
    }

    /// From code: `Endpoint::new(Tcp::new(Host::Any, 80))`.
    #[must_use]
    pub fn new(leaf: impl Into<Leaf>) -> Self {
        let registry = Registry::default();
        Self(Arc::new(Inner { wrappers: Vec::new(), leaf: leaf.into(), registry }))
    }

    /// With one more layer around it.
    #[must_use]
    pub fn wrap(mut self, wrapper: impl Into<Wrapper>) -> Self {
        Arc::make_mut(&mut self.0).wrappers.insert(0, wrapper.into());
        self
    }

    /// With the names in memory and the resolver of `registry`.
    #[must_use]
    pub fn with_registry(mut self, registry: &Registry) -> Self {
        Arc::make_mut(&mut self.0).registry = registry.clone();
        self
    }

    /// What it ends in.
    #[must_use]
    pub fn leaf(&self) -> &Leaf {
        &self.0.leaf
    }

    /// What surrounds it, outermost first.
    #[must_use]
    pub fn wrappers(&self) -> &[Wrapper] {
        &self.0.wrappers
    }

    /// Whether it is for datagrams.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        matches!(self.0.leaf, Leaf::Udp(_))
    }

    /// The string with `***` in the place of passwords, for logs.
    #[must_use]
    pub fn redacted(&self) -> String {
        self.print(true)
    }

    fn print(&self, hide: bool) -> String {
        let wrappers = self.0.wrappers.iter().map(Wrapper::print);
        let layers: Vec<_> = wrappers.chain([self.0.leaf.print()]).collect();
        self.0.registry.with_shapes(|shapes| print::print(&layers, shapes, hide))
    }

    /// Opens the sockets and loads the certificates. Needs no runtime, so that privileges can be
    /// dropped after it; a host name is resolved by the system, and may block.
    ///
    /// # Errors
    /// A [`Failure`] inside, in one line: the endpoint, what went wrong, and what to do.
    pub fn bind(&self) -> io::Result<Bound> {
        self.open().map_err(|error| Failure::wrap(Wanted::Listen, self.redacted(), error))
    }

    /// [`bind`](Self::bind) and [`Bound::listener`].
    ///
    /// # Errors
    /// Those of both.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn listen(&self) -> io::Result<Listener> {
        self.bind()?.listener()
    }

    /// As [`bind`](Self::bind), on the sockets of `bound`, which was bound for an endpoint with the
    /// same [leaf](Self::leaf): layers may differ, and certificates are read anew. What `bound` was
    /// served to is left alone. How a listener is given new settings while its port stays open.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), but for those of sockets; when descriptors have run out.
    pub fn rebind(&self, bound: &Bound) -> io::Result<Bound> {
        let opened = self.0.is_for_listening().and_then(|()| {
            let (steps, layers) = self.steps(Some(bound))?;
            bound.with_layers(steps, layers)
        });
        opened.map_err(|error| Failure::wrap(Wanted::Listen, self.redacted(), error))
    }

    /// Does what [`bind`](Self::bind) does but for the sockets: whether certificates can be loaded and
    /// all makes sense, without taking a port.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn rehearse(&self) -> io::Result<()> {
        let opened = self.0.is_for_listening().and_then(|()| self.steps(None));
        opened.map(drop).map_err(|error| Failure::wrap(Wanted::Listen, self.redacted(), error))
    }

    fn open(&self) -> io::Result<Bound> {
        self.0.is_for_listening()?;
        // Certificates first: a mistake there must not have opened a port.
        let (steps, layers) = self.steps(None)?;
        let name = self.name();
        let sockets = match self.0.registry.claim(&name) {
            inherited if inherited.is_empty() => self.sockets()?,
            inherited => self.adopt(inherited)?,
        };
        Bound::new(name.into(), sockets, steps, layers)
    }

    /// The layers innermost first, and what each does with a connection. A layer that `before` has,
    /// too, is its successor: TLS sessions may be resumed, and a certificate that was made for this
    /// run is the same.
    fn steps(&self, before: Option<&Bound>) -> io::Result<(Vec<Step>, Vec<Wrapper>)> {
        let layers: Vec<Wrapper> = self.0.wrappers.iter().rev().cloned().collect();
        let step = |layer: &Wrapper| match (layer, before) {
            (Wrapper::Tls(tls), Some(before)) => {
                let old = before.layers.iter().zip(&*before.steps);
                let mut same = old.filter_map(|pair| match pair {
                    (Wrapper::Tls(old), Step::Tls(server, _)) if old == tls => Some(server),
                    _ => None,
                });
                match same.next() {
                    Some(server) => Ok(Step::Tls(server.reloaded()?, tls.handshake)),
                    None => self.step(layer),
                }
            }
            _ => self.step(layer),
        };
        Ok((layers.iter().map(step).collect::<io::Result<_>>()?, layers))
    }

    fn step(&self, wrapper: &Wrapper) -> io::Result<Step> {
        match wrapper {
            Wrapper::Tls(tls) => Ok(Step::Tls(tls.server(self.0.leaf.host())?, tls.handshake)),
            Wrapper::Proxy(proxy) => Ok(Step::Proxy(proxy.clone())),
            Wrapper::Socks5(_) | Wrapper::HttpConnect(_) => {
                Err(unsupported("a proxy for clients is not for listening"))
            }
        }
    }

    fn sockets(&self) -> io::Result<Vec<Socket>> {
        Ok(match &self.0.leaf {
            Leaf::Tcp(tcp) => {
                let tcp_socket = |socket| Socket::Tcp(vec![socket], Some(tcp.clone()));
                tcp.listen()?.into_iter().map(tcp_socket).collect()
            }
            Leaf::Udp(udp) => {
                let udp_socket = |socket| Socket::Udp(vec![socket], Some(udp.clone()));
                udp.bind()?.into_iter().map(udp_socket).collect()
            }
            Leaf::Unix(unix) => {
                let (socket, unlink) = unix.listen()?;
                vec![Socket::Unix(socket, Some(unlink))]
            }
            Leaf::Systemd(systemd) => {
                systemd.adopt()?.into_iter().map(Socket::adopted).collect::<io::Result<_>>()?
            }
            Leaf::Fd(fd) => vec![Socket::adopted(adopt(*fd)?)?],
            Leaf::Stdio => vec![Socket::single(Single::Stdio, Address::Stdio)],
            Leaf::Memory(memory) => {
                vec![Socket::Memory(self.0.registry.memory.listen(&memory.name)?)]
            }
            Leaf::Exec(_) => return Err(unsupported("exec: is not for listening")),
            Leaf::Custom(leaf) => vec![Socket::Source(leaf.custom().bind()?)],
        })
    }

    /// Connects: resolves, races, talks proxies into it, sends a PROXY header, shakes hands.
    ///
    /// Cancel-safe in that dropping the future drops the attempt.
    ///
    /// # Errors
    /// A [`Failure`] inside, in one line: the endpoint, what went wrong, and what to do.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn connect(&self) -> io::Result<Transport> {
        self.connect_for(None).await
    }

    /// As [`connect`](Self::connect), on behalf of a connection `from` somebody `to` somewhere, which
    /// a `proxy:` layer tells the server: for relays.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_as(&self, from: &Address, to: &Address) -> io::Result<Transport> {
        self.connect_for(Some((from, to))).await
    }

    async fn connect_for(&self, relayed: Option<(&Address, &Address)>) -> io::Result<Transport> {
        let failed = |error| Failure::wrap(Wanted::Connect, self.redacted(), error);
        connect::connect(&self.0, relayed).await.map_err(failed)
    }

    /// For `udp:`, a socket, non-blocking, that sends to and hears from the first address of the host.
    ///
    /// # Errors
    /// A [`Failure`] inside; [`Unsupported`](io::ErrorKind::Unsupported) if this is not `udp:`.
    pub async fn connect_datagram(&self) -> io::Result<UdpSocket> {
        let socket = match (&self.0.leaf, self.0.wrappers.as_slice()) {
            (Leaf::Udp(udp), []) => udp.connect(&*self.0.registry.resolver).await,
            _ => Err(unsupported("only udp: has datagrams")),
        };
        socket.map_err(|error| Failure::wrap(Wanted::Connect, self.redacted(), error))
    }
}

fn adopt(fd: u32) -> io::Result<inherited::Adopted> {
    inherited::adopt(i32::try_from(fd).map_err(|_| invalid("there is no such descriptor"))?)
}

/// Standard input and output.
fn stdio() -> Transport {
    let mut transport = Transport::other(Stdio::new());
    transport.set_peer(Address::Stdio);
    transport.set_local(Address::Stdio);
    transport
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// The string that parses to this endpoint, passwords and all; see [`Endpoint::redacted`].
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(false))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.redacted())
    }
}

/// Endpoints are equal if they are written alike, whatever their registries.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.print(false) == other.print(false)
    }
}

impl Eq for Endpoint {}
