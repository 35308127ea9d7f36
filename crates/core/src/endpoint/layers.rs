//! All kinds of layers: how each is written, parsed and printed.

use std::fmt;
use std::sync::Arc;

use super::exec::Exec;
use super::http_connect::HttpConnect;
use super::inherited::{Systemd, parse_fd};
use super::memory::Memory;
use super::parse::{Arguments, Error, Form, Shape};
use super::print::Printed;
use super::proxy::Proxy;
use super::registry::{Custom, Registry};
use super::socks5::Socks5;
use super::tcp::{Tcp, Udp};
use super::tls::Tls;
use super::unix::Unix;
use super::values::Host;

const fn leaf<'a>(name: &'a str, usage: &'a str, keys: &'a [&'a str]) -> Shape<'a> {
    Shape { name, usage, keys, form: Form::Leaf }
}

const fn wrapper<'a>(
    name: &'a str,
    usage: &'a str,
    keys: &'a [&'a str],
    arguments: usize,
) -> Shape<'a> {
    Shape { name, usage, keys, form: Form::Wrapper(arguments) }
}

/// The built-in kinds.
pub(super) const SHAPES: &[Shape<'static>] = &[
    leaf("tcp", Tcp::USAGE, Tcp::KEYS),
    leaf("udp", Udp::USAGE, Udp::KEYS),
    leaf("unix", Unix::USAGE, Unix::KEYS),
    leaf("systemd", Systemd::USAGE, &[]),
    leaf("fd", "fd:NUMBER", &[]),
    leaf("stdio", "stdio:", &[]),
    leaf("memory", Memory::USAGE, Memory::KEYS),
    Shape { name: "exec", usage: Exec::USAGE, keys: &[], form: Form::Rest },
    wrapper("tls", Tls::USAGE, Tls::KEYS, 0),
    wrapper("proxy", Proxy::USAGE, Proxy::KEYS, 0),
    wrapper("socks5", Socks5::USAGE, Socks5::KEYS, 2),
    wrapper("http-connect", HttpConnect::USAGE, HttpConnect::KEYS, 2),
];

/// What an endpoint ends in: where the bytes really go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Leaf {
    /// `tcp:`
    Tcp(Tcp),
    /// `udp:`, for datagrams only.
    Udp(Udp),
    /// `unix:`
    Unix(Unix),
    /// `systemd:`
    Systemd(Systemd),
    /// `fd:`: a socket this process was started with, by its descriptor.
    Fd(u32),
    /// `stdio:`: standard input and output. Listening, it is one connection.
    Stdio,
    /// `exec:`
    Exec(Exec),
    /// `memory:`
    Memory(Memory),
    /// Of a kind in the [`Registry`].
    Custom(CustomLeaf),
}

/// An endpoint of a registered kind, with the words it was parsed from.
#[derive(Debug, Clone)]
pub struct CustomLeaf {
    arguments: Arguments,
    custom: Arc<dyn Custom>,
}

impl CustomLeaf {
    /// What the kind made of it.
    #[must_use]
    pub fn custom(&self) -> &dyn Custom {
        &*self.custom
    }

    fn print(&self) -> Printed {
        let printed = Printed::new(self.arguments.kind());
        let arguments = self.arguments.positional().iter();
        let printed = arguments.fold(printed, |printed, word| printed.argument(word.text()));
        let options = self.arguments.options();
        options.fold(printed, |printed, (key, value)| printed.option(key, value.text()))
    }
}

impl Leaf {
    pub(super) fn parse(arguments: &Arguments, registry: &Registry) -> Result<Self, Error> {
        Ok(match arguments.kind() {
            "tcp" => Self::Tcp(Tcp::parse(arguments)?),
            "udp" => Self::Udp(Udp::parse(arguments)?),
            "unix" => Self::Unix(Unix::parse(arguments)?),
            "systemd" => Self::Systemd(Systemd::parse(arguments)?),
            "fd" => Self::Fd(parse_fd(arguments)?),
            "stdio" => parse_stdio(arguments)?,
            "exec" => Self::Exec(Exec::parse(arguments)?),
            "memory" => Self::Memory(Memory::parse(arguments)?),
            other => {
                let missing = || arguments.error(format!("no endpoint ends in {other}:"));
                let kind = registry.kind(other).ok_or_else(missing)?;
                let custom = kind.parse(arguments)?;
                Self::Custom(CustomLeaf { arguments: arguments.clone(), custom })
            }
        })
    }

    pub(super) fn print(&self) -> Printed {
        match self {
            Self::Tcp(tcp) => tcp.print(),
            Self::Udp(udp) => udp.print(),
            Self::Unix(unix) => unix.print(),
            Self::Systemd(systemd) => systemd.print(),
            Self::Fd(fd) => Printed::new("fd").raw(fd.to_string()),
            Self::Stdio => Printed::new("stdio"),
            Self::Exec(exec) => exec.print(),
            Self::Memory(memory) => memory.print(),
            Self::Custom(custom) => custom.print(),
        }
    }

    /// The host it names, if it is of the Internet.
    pub(super) fn host(&self) -> Option<&Host> {
        match self {
            Self::Tcp(tcp) => Some(&tcp.host),
            Self::Udp(udp) => Some(&udp.host),
            _ => None,
        }
    }

    pub(super) fn only_for_clients(&self) -> Option<&'static str> {
        match self {
            Self::Tcp(tcp) => tcp.only_for_clients(),
            Self::Udp(udp) => udp.bind.map(|_| "bind"),
            _ => None,
        }
    }

    pub(super) fn only_for_servers(&self) -> Option<&'static str> {
        match self {
            Self::Tcp(tcp) => tcp.only_for_servers(),
            Self::Unix(unix) => unix.only_for_servers(),
            _ => None,
        }
    }
}

fn parse_stdio(arguments: &Arguments) -> Result<Leaf, Error> {
    match arguments.positional() {
        [] => Ok(Leaf::Stdio),
        [nothing] if nothing.text().is_empty() => Ok(Leaf::Stdio),
        [more, ..] => Err(more.error("stdio: takes no arguments", "write stdio:")),
    }
}

/// What surrounds an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrapper {
    /// `tls:`
    Tls(Box<Tls>),
    /// `proxy:`
    Proxy(Proxy),
    /// `socks5:`
    Socks5(Socks5),
    /// `http-connect:`
    HttpConnect(HttpConnect),
}

impl Wrapper {
    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        Ok(match arguments.kind() {
            "tls" => Self::Tls(Box::new(Tls::parse(arguments)?)),
            "proxy" => Self::Proxy(Proxy::parse(arguments)?),
            "socks5" => Self::Socks5(Socks5::parse(arguments)?),
            "http-connect" => Self::HttpConnect(HttpConnect::parse(arguments)?),
            other => return Err(arguments.error(format!("{other}: goes around nothing"))),
        })
    }

    pub(super) fn print(&self) -> Printed {
        match self {
            Self::Tls(tls) => tls.print(),
            Self::Proxy(proxy) => proxy.print(),
            Self::Socks5(socks5) => socks5.print(),
            Self::HttpConnect(http_connect) => http_connect.print(),
        }
    }

    pub(super) fn only_for_clients(&self) -> Option<&'static str> {
        match self {
            Self::Tls(tls) => tls.only_for_clients(),
            Self::Proxy(proxy) => proxy.only_for_clients(),
            Self::Socks5(_) | Self::HttpConnect(_) => None,
        }
    }

    pub(super) fn only_for_servers(&self) -> Option<&'static str> {
        match self {
            Self::Tls(tls) => tls.only_for_servers(),
            Self::Proxy(proxy) => proxy.only_for_servers(),
            Self::Socks5(_) | Self::HttpConnect(_) => None,
        }
    }
}

macro_rules! from {
    ($($outer:ident :: $inner:ident),*) => {$(
        impl From<$inner> for $outer {
            fn from(inner: $inner) -> Self {
                Self::$inner(inner)
            }
        }
    )*};
}

from!(Leaf::Tcp, Leaf::Udp, Leaf::Unix, Leaf::Systemd, Leaf::Exec, Leaf::Memory);
from!(Wrapper::Proxy, Wrapper::Socks5, Wrapper::HttpConnect);

impl From<Tls> for Wrapper {
    fn from(tls: Tls) -> Self {
        Self::Tls(Box::new(tls))
    }
}

impl fmt::Debug for dyn super::registry::Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.local())
    }
}
