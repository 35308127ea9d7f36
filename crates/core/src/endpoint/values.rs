//! The values options take: on and off, numbers, times, hosts, networks, lists.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::parse::{Argument, Arguments, Error};

/// Where a name, an address or "all of this machine's addresses" is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Every address: `*`, or nothing before the port. For connecting it means this machine.
    Any,
    /// An address.
    Ip(IpAddr),
    /// A name to be resolved.
    Name(Name),
}

/// A host name that can stand in a wire header: 1 to 253 printable ASCII characters without blanks,
/// colons apart, which only a scoped IPv6 address (`fe80::1%eth0`) has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no host: empty, too long, or with a character no host name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host name: 1 to 253 ASCII letters, digits, dots, hyphens or underscores")]
pub struct NotAHost;

/// `*`, an IPv4 address, an IPv6 address with or without brackets, or a name.
impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        if text.is_empty() || text == "*" {
            return Ok(Self::Any);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let Some(inner) = text.strip_prefix('[') else {
            return name(text, |b| matches!(b, b'.' | b'-' | b'_'));
        };
        let inner = inner.strip_suffix(']').ok_or(NotAHost)?;
        if let Ok(ip) = inner.parse::<Ipv6Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let (address, zone) = inner.split_once('%').ok_or(NotAHost)?;
        address.parse::<Ipv6Addr>().map_err(|_| NotAHost)?;
        name(zone, |b| matches!(b, b'.' | b'-' | b'_'))?;
        Ok(Self::Name(Name(inner.to_owned())))
    }
}

impl Host {
    /// Why it cannot be said to a proxy, if so.
    pub(super) fn meaningless_to_proxies(&self) -> Option<&'static str> {
        match self {
            Self::Any => Some("a target behind a proxy needs a host"),
            Self::Name(name) if name.0.contains('%') => {
                Some("the zone of an address (%) means nothing to a proxy")
            }
            Self::Ip(_) | Self::Name(_) => None,
        }
    }
}

fn name(text: &str, also: impl Fn(u8) -> bool) -> Result<Host, NotAHost> {
    let good = |b: u8| b.is_ascii_alphanumeric() || also(b);
    let fits = (1..=253).contains(&text.len());
    // Only digits and dots, and no address: a slip that a resolver must not guess at.
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if fits && !number && text.bytes().all(good) {
        Ok(Host::Name(Name(text.to_owned())))
    } else {
        Err(NotAHost)
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

/// As it stands in an endpoint: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) if name.0.contains(':') => write!(f, "[{}]", name.0),
            Self::Name(name) => f.write_str(&name.0),
        }
    }
}

/// A time as options write it: `250ms`, `10s`, `2m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

impl FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| ())?;
        let millis = match unit {
            "ms" => 1,
            "s" | "" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(()),
        };
        number.checked_mul(millis).map(Duration::from_millis).map(Self).ok_or(())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis if millis % 1000 != 0 => write!(f, "{millis}ms"),
            millis => write!(f, "{}s", millis / 1000),
        }
    }
}

impl Arguments {
    /// An option that is `on` or `off`.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.option(key) {
            None => Ok(default),
            Some(value) => value.flag(),
        }
    }

    /// An option's value by `FromStr`; `help` says what it may be.
    pub(super) fn value<T: FromStr>(&self, key: &str, help: &str) -> Result<Option<T>, Error> {
        self.option(key).map(|value| value.as_value(key, help)).transpose()
    }

    pub(super) fn time(&self, key: &str) -> Result<Option<Duration>, Error> {
        let time: Option<Time> = self.value(key, "write a number and ms, s, m or h, as in 10s")?;
        Ok(time.map(|time| time.0))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        self.option(key).map(|value| value.filled(key).map(str::to_owned)).transpose()
    }

    pub(super) fn path(&self, key: &str) -> Result<Option<PathBuf>, Error> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    /// A list between commas, none of them empty.
    pub(super) fn list<T>(
        &self,
        key: &str,
        help: &str,
        item: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(value) = self.option(key) else { return Ok(None) };
        let wrong = |part: &str| value.error(format!("`{part}` is no value for {key}="), help);
        let parts = value.text().split(',').map(|part| item(part).ok_or_else(|| wrong(part)));
        parts.collect::<Result<_, _>>().map(Some)
    }

    /// `HOST:PORT`, or `PORT` alone, which is every address.
    pub(super) fn host_and_port(&self) -> Result<(Host, u16), Error> {
        match self.positional() {
            [] => Err(self.error(format!("{}: lacks a port", self.kind()))),
            [port] if port.text().bytes().all(|b| b.is_ascii_digit()) => {
                Ok((Host::Any, port.port()?))
            }
            [host] => Err(host.error("no port behind the host", "write HOST:PORT")),
            [host, port] => Ok((host.host()?, port.port()?)),
            [_, _, more, ..] => Err(more.error(
                "more than a host and a port",
                "write an IPv6 address in brackets, as in [::1]:80",
            )),
        }
    }
}

impl Argument {
    pub(super) fn flag(&self) -> Result<bool, Error> {
        match self.text() {
            "on" | "yes" | "true" => Ok(true),
            "off" | "no" | "false" => Ok(false),
            other => Err(self.error(format!("`{other}` is neither on nor off"), "write on or off")),
        }
    }

    fn as_value<T: FromStr>(&self, key: &str, help: &str) -> Result<T, Error> {
        let wrong = |_| self.error(format!("`{}` is no value for {key}=", self.text()), help);
        self.text().parse().map_err(wrong)
    }

    fn filled(&self, key: &str) -> Result<&str, Error> {
        match self.text() {
            "" => Err(self.error(format!("{key}= is empty"), "give it a value or leave it out")),
            text => Ok(text),
        }
    }

    pub(super) fn host(&self) -> Result<Host, Error> {
        let help = "write a name, an IPv4 address, an IPv6 address in brackets, or *";
        let wrong = |_| self.error(format!("`{}` is no host", self.text()), help);
        self.text().parse().map_err(wrong)
    }

    pub(super) fn port(&self) -> Result<u16, Error> {
        let digits = !self.text().is_empty() && self.text().bytes().all(|b| b.is_ascii_digit());
        let wrong = || self.error(format!("`{}` is no port", self.text()), "write 0 to 65535");
        self.text().parse().ok().filter(|_| digits).ok_or_else(wrong)
    }
}

/// An address to bind to before connecting: with port 0 if none is given.
pub(super) fn bind_address(text: &str) -> Option<SocketAddr> {
    let ip = text.trim_start_matches('[').trim_end_matches(']');
    let alone = ip.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    text.parse().ok().or(alone)
}

/// A network, `10.0.0.0/8` or `[fd00::]/8`, or one address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let plain: String = text.chars().filter(|c| !matches!(c, '[' | ']')).collect();
    let alone = || plain.parse::<IpAddr>().ok().map(IpNet::from);
    plain.parse().ok().or_else(alone)
}

pub(super) fn commas<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
