//! `tcp:` and `udp:`: sockets of the Internet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::parse::{Argument, Arguments, Error};
use super::print::Printed;
use super::race::{ATTEMPT_DELAY, Resolve, race};
use super::values::{Host, Time, bind_address};

/// How many connections the kernel holds that were not accepted yet. It caps this by
/// `net.core.somaxconn`.
pub const BACKLOG: u32 = 1024;

/// How long connecting may take in all.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A TCP endpoint: `tcp:80`, `tcp:[::1]:80`, `tcp:example.org:80:timeout=5s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tcp {
    /// Where. A name is resolved when it is bound or connected to, not when it is parsed.
    pub host: Host,
    /// The port; 0 lets the system choose one for listening.
    pub port: u16,
    /// `backlog=`: for listening, how many connections may wait to be accepted.
    pub backlog: u32,
    /// `reuseport=`: for listening, whether others of this user may listen on the same port, and the
    /// kernel shares the connections out.
    pub reuseport: bool,
    /// `dual=`: for listening on `*` or `[::]`, whether IPv4 comes in too. On by default.
    pub dual: bool,
    /// `nodelay=`: whether small segments go out at once. On by default.
    pub nodelay: bool,
    /// `keepalive=`: how long a silent connection is trusted before the kernel probes it.
    pub keepalive: Option<Duration>,
    /// `bind=`: for connecting, our own address and, unless 0, our port.
    pub bind: Option<SocketAddr>,
    /// `timeout=`: for connecting, how long it may take in all: resolving, racing and, through
    /// proxies, talking them into it.
    pub timeout: Duration,
}

impl Tcp {
    pub(super) const KEYS: &'static [&'static str] =
        &["backlog", "reuseport", "dual", "nodelay", "keepalive", "bind", "timeout"];
    pub(super) const USAGE: &'static str = "tcp:[HOST:]PORT";

    /// With the default options.
    #[must_use]
    pub fn new(host: impl Into<Host>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            backlog: BACKLOG,
            reuseport: false,
            dual: true,
            nodelay: true,
            keepalive: None,
            bind: None,
            timeout: CONNECT_TIMEOUT,
        }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let (host, port) = arguments.host_and_port()?;
        let default = Self::new(host, port);
        let backlog = arguments.value("backlog", "write a number of connections")?;
        let keepalive = match arguments.option("keepalive").map(Argument::text) {
            None | Some("off") => None,
            Some(_) => arguments.time("keepalive")?,
        };
        Ok(Self {
            backlog: backlog.unwrap_or(default.backlog),
            reuseport: arguments.flag("reuseport", false)?,
            dual: arguments.flag("dual", true)?,
            nodelay: arguments.flag("nodelay", true)?,
            keepalive,
            bind: bind_option(arguments)?,
            timeout: arguments.time("timeout")?.unwrap_or(default.timeout),
            ..default
        })
    }

    pub(super) fn print(&self) -> Printed {
        let default = Self::new(Host::Any, 0);
        Printed::new("tcp")
            .raw(self.host.to_string())
            .raw(self.port.to_string())
            .unless("backlog", &self.backlog, &default.backlog)
            .flag("reuseport", self.reuseport, false)
            .flag("dual", self.dual, true)
            .flag("nodelay", self.nodelay, true)
            .maybe("keepalive", self.keepalive.map(Time))
            .maybe("bind", self.bind)
            .unless("timeout", &Time(self.timeout), &Time(default.timeout))
    }

    /// The option that makes no sense for listening.
    pub(super) fn only_for_clients(&self) -> Option<&'static str> {
        let timeout = (self.timeout != CONNECT_TIMEOUT).then_some("timeout");
        self.bind.map(|_| "bind").or(timeout)
    }

    /// The option that makes no sense for connecting.
    pub(super) fn only_for_servers(&self) -> Option<&'static str> {
        [(self.backlog != BACKLOG, "backlog"), (self.reuseport, "reuseport"), (!self.dual, "dual")]
            .into_iter()
            .find_map(|(set, key)| set.then_some(key))
    }

    /// One listening socket for each address of the host.
    pub(super) fn listen(&self) -> io::Result<Vec<TcpListener>> {
        each_address(&self.host, self.port, |address| {
            self.listen_at(address, self.reuseport).map(|socket| (socket.local_addr(), socket))
        })
    }

    /// Another socket on the port of `first`, between which the kernel shares connections out.
    ///
    /// `first` was bound without `SO_REUSEPORT` unless the endpoint asked for it, so that a port that
    /// is another program's was refused; only now that it is ours is it opened to our own siblings.
    pub(super) fn sibling(&self, first: &TcpListener) -> io::Result<TcpListener> {
        SockRef::from(first).set_reuse_port(true)?;
        self.listen_at(first.local_addr()?, true)
    }

    fn listen_at(&self, address: SocketAddr, reuseport: bool) -> io::Result<TcpListener> {
        let socket = inet_socket(address, Type::STREAM, self.dual)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(reuseport)?;
        // Accepted sockets inherit both, which saves two system calls for each.
        self.set_options(&SockRef::from(&socket))?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    }

    fn set_options(&self, socket: &SockRef<'_>) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay)?;
        match self.keepalive {
            Some(time) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time)),
            None => Ok(()),
        }
    }

    /// Connects a socket with these options to the first address of `host` that answers.
    pub(super) async fn dial(
        &self,
        host: &Host,
        port: u16,
        resolver: &dyn Resolve,
    ) -> io::Result<TcpStream> {
        let mut addresses = resolve(host, port, resolver).await?;
        if let Some(bind) = self.bind {
            addresses.retain(|address| address.is_ipv4() == bind.is_ipv4());
            if addresses.is_empty() {
                let what = format!("{host} has no address of the family of bind={bind}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        }
        race(&addresses, ATTEMPT_DELAY, |address| self.dial_one(address)).await
    }

    async fn dial_one(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        self.set_options(&SockRef::from(&socket))?;
        if let Some(bind) = self.bind {
            socket.set_reuseaddr(bind.port() != 0)?;
            socket.bind(bind)?;
        }
        socket.connect(address).await
    }
}

/// A UDP endpoint: `udp:53`, `udp:[::1]:53`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Udp {
    /// Where.
    pub host: Host,
    /// The port; 0 lets the system choose one for listening.
    pub port: u16,
    /// `reuseport=`: whether others of this user may bind the same port.
    pub reuseport: bool,
    /// `dual=`: on `*` or `[::]`, whether IPv4 comes in too. On by default.
    pub dual: bool,
    /// `bind=`: for connecting, our own address and, unless 0, our port.
    pub bind: Option<SocketAddr>,
}

impl Udp {
    pub(super) const KEYS: &'static [&'static str] = &["reuseport", "dual", "bind"];
    pub(super) const USAGE: &'static str = "udp:[HOST:]PORT";

    /// With the default options.
    #[must_use]
    pub fn new(host: impl Into<Host>, port: u16) -> Self {
        Self { host: host.into(), port, reuseport: false, dual: true, bind: None }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let (host, port) = arguments.host_and_port()?;
        Ok(Self {
            reuseport: arguments.flag("reuseport", false)?,
            dual: arguments.flag("dual", true)?,
            bind: bind_option(arguments)?,
            host,
            port,
        })
    }

    pub(super) fn print(&self) -> Printed {
        Printed::new("udp")
            .raw(self.host.to_string())
            .raw(self.port.to_string())
            .flag("reuseport", self.reuseport, false)
            .flag("dual", self.dual, true)
            .maybe("bind", self.bind)
    }

    /// One socket for each address of the host.
    pub(super) fn bind(&self) -> io::Result<Vec<UdpSocket>> {
        each_address(&self.host, self.port, |address| {
            self.bind_at(address, self.reuseport).map(|socket| (socket.local_addr(), socket))
        })
    }

    /// Another socket on the port of `first`, between which the kernel shares senders out.
    pub(super) fn sibling(&self, first: &UdpSocket) -> io::Result<UdpSocket> {
        SockRef::from(first).set_reuse_port(true)?;
        self.bind_at(first.local_addr()?, true)
    }

    fn bind_at(&self, address: SocketAddr, reuseport: bool) -> io::Result<UdpSocket> {
        let socket = inet_socket(address, Type::DGRAM, self.dual)?;
        socket.set_reuse_port(reuseport)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    }

    /// A socket that sends to, and hears from, the first address of the host only.
    pub(super) async fn connect(&self, resolver: &dyn Resolve) -> io::Result<UdpSocket> {
        let addresses = resolve(&self.host, self.port, resolver).await?;
        let fits = |address: &&SocketAddr| {
            self.bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4())
        };
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no fitting address");
        let address = *addresses.iter().find(fits).ok_or_else(none)?;
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let from = self.bind.unwrap_or_else(|| (any, 0).into());
        let socket = inet_socket(from, Type::DGRAM, true)?;
        socket.bind(&from.into())?;
        socket.connect(&address.into())?;
        Ok(socket.into())
    }
}

fn bind_option(arguments: &Arguments) -> Result<Option<SocketAddr>, Error> {
    let Some(value) = arguments.option("bind") else { return Ok(None) };
    let wrong = || {
        value.error(
            format!("`{}` is no address of this machine", value.text()),
            "write an address, with a port behind it if need be: 10.0.0.1, [::1], 10.0.0.1\\:20",
        )
    };
    bind_address(value.text()).map(Some).ok_or_else(wrong)
}

fn inet_socket(address: SocketAddr, kind: Type, dual: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!(dual && v6.ip().is_unspecified()))?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds each address of the host with `bind`, which also says what port it got: where the system is
/// to choose one, the addresses after the first take the same. An address of a name that this machine
/// does not have is passed over as long as another one can be bound.
fn each_address<T>(
    host: &Host,
    mut port: u16,
    bind: impl Fn(SocketAddr) -> io::Result<(io::Result<SocketAddr>, T)>,
) -> io::Result<Vec<T>> {
    let mut sockets = Vec::new();
    let mut passed_over = None;
    for mut address in local_addresses(host, port)? {
        if *host == Host::Any && !sockets.is_empty() {
            break; // the first of them covers both families
        }
        address.set_port(port);
        match bind(address) {
            Ok((local, socket)) => {
                port = local?.port();
                sockets.push(socket);
            }
            Err(error) if is_missing(&error) => passed_over = Some(error),
            Err(error) => return Err(error),
        }
    }
    match passed_over {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// This machine has no such address, or no such family.
fn is_missing(error: &io::Error) -> bool {
    let no_family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(no_family)
}

/// For [`Host::Any`], IPv6 (which takes IPv4 in) and, for a machine without it, IPv4.
fn local_addresses(host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        Host::Any => {
            Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
        }
        Host::Ip(ip) => Ok(vec![(*ip, port).into()]),
        Host::Name(name) => {
            let found = (name.as_str(), port).to_socket_addrs();
            let mut addresses: Vec<_> =
                found.map_err(|error| unresolved(name.as_str(), error))?.collect();
            addresses.sort();
            addresses.dedup();
            Ok(addresses)
        }
    }
}

async fn resolve(host: &Host, port: u16, resolver: &dyn Resolve) -> io::Result<Vec<SocketAddr>> {
    match host {
        Host::Any => {
            Ok(vec![(Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into()])
        }
        Host::Ip(ip) => Ok(vec![(*ip, port).into()]),
        Host::Name(name) => {
            let found = resolver.resolve(name.as_str(), port).await;
            found.map_err(|error| unresolved(name.as_str(), error))
        }
    }
}

/// The standard library has no kind for a name that does not resolve.
fn unresolved(name: &str, error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::TimedOut {
        return error;
    }
    let what = format!("the name {name} was not found: {error}");
    io::Error::new(io::ErrorKind::HostUnreachable, what)
}
