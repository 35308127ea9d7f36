//! `socks5:`: connecting through a SOCKS proxy (RFC 1928, RFC 1929).

use std::io;
use std::net::IpAddr;

use bytes::{Buf, BytesMut};

use super::dialogue::{Dialogue, broken};
use super::login::Login;
use super::parse::{Arguments, Error};
use super::print::Printed;
use super::values::Host;

/// A SOCKS version 5 proxy through which the endpoint behind it is reached:
/// `socks5:127.0.0.1:1080:tcp:example.org:80`. Names are resolved by the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socks5 {
    /// Where the proxy is.
    pub host: Host,
    /// Its port, mostly 1080.
    pub port: u16,
    /// `user=` and `password=`, each of 1 to 255 bytes, if it wants them. They cross the wire in the
    /// clear (RFC 1929).
    pub login: Option<Login>,
}

impl Socks5 {
    pub(super) const KEYS: &'static [&'static str] = Login::KEYS;
    pub(super) const USAGE: &'static str = "socks5:HOST:PORT:tcp:TARGET:PORT";

    /// A proxy that wants no login.
    #[must_use]
    pub fn new(host: impl Into<Host>, port: u16) -> Self {
        Self { host: host.into(), port, login: None }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let (host, port) = arguments.host_and_port()?;
        let login = Login::parse(arguments)?;
        let texts =
            |login: &Login| [("user", login.user.len()), ("password", login.password.len())];
        for (key, length) in login.iter().flat_map(texts) {
            if let (true, Some(value)) = (length > 255, arguments.option(key)) {
                return Err(value.error(format!("{key}= is longer than 255 bytes"), "shorten it"));
            }
        }
        Ok(Self { host, port, login })
    }

    pub(super) fn print(&self) -> Printed {
        let place = Printed::new("socks5").raw(self.host.to_string()).raw(self.port.to_string());
        Login::print(self.login.as_ref(), place)
    }

    /// The conversation that ends in a connection to the target.
    pub(super) fn ask(&self, host: &Host, port: u16) -> io::Result<Conversation> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let sized = |text: &str| (1..=255).contains(&text.len());
        if self.login.as_ref().is_some_and(|l| !sized(&l.user) || !sized(&l.password)) {
            return wrong("user and password must have 1 to 255 bytes each");
        }
        if let Some(what) = host.meaningless_to_proxies() {
            return wrong(what);
        }
        let mut request = vec![5, 1, 0];
        match host {
            Host::Any => {} // was refused
            Host::Ip(IpAddr::V4(ip)) => {
                request.push(1);
                request.extend(ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) => {
                request.push(4);
                request.extend(ip.octets());
            }
            // `Name` is at most 253 bytes.
            Host::Name(name) => {
                request.extend([3, name.as_str().len() as u8]);
                request.extend(name.as_str().bytes());
            }
        }
        request.extend(port.to_be_bytes());
        Ok(Conversation { login: self.login.clone(), request, state: State::Begin })
    }
}

/// ```text
/// Begin ── methods ──► Method ──┬── none wanted ──────────────────► Request ──► over
///                               └── login wanted ──► Login ── ok ──►
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Method,
    Login,
    Request,
}

/// The client's side of RFC 1928.
#[derive(Debug)]
pub(super) struct Conversation {
    login: Option<Login>,
    request: Vec<u8>,
    state: State,
}

impl Dialogue for Conversation {
    /// The longest answer: a reply with a name of 255 bytes.
    const CAP: usize = 4 + 1 + 255 + 2;

    fn advance(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            self.state = match self.state {
                State::Begin => {
                    output.extend(if self.login.is_some() {
                        &[5, 2, 0, 2][..]
                    } else {
                        &[5, 1, 0]
                    });
                    State::Method
                }
                State::Method => match answer(input, 5)? {
                    None => return Ok(false),
                    Some(0) => self.say_request(output),
                    Some(2) if self.login.is_some() => self.say_login(output),
                    Some(0xff) => return Err(denied(self.login.is_some())),
                    Some(other) => {
                        return Err(broken(format!("the proxy chose method {other}, not offered")));
                    }
                },
                State::Login => match answer(input, 1)? {
                    None => return Ok(false),
                    Some(0) => self.say_request(output),
                    Some(_) => {
                        return Err(io::Error::new(
                            io::ErrorKind::PermissionDenied,
                            "the proxy refused user and password",
                        ));
                    }
                },
                State::Request => return reply(input),
            }
        }
    }
}

impl Conversation {
    fn say_request(&self, output: &mut Vec<u8>) -> State {
        output.extend(&self.request);
        State::Request
    }

    /// RFC 1929 §2. `ask` has checked the lengths.
    fn say_login(&self, output: &mut Vec<u8>) -> State {
        if let Some(Login { user, password }) = &self.login {
            output.push(1);
            for text in [user, password] {
                output.push(text.len() as u8);
                output.extend(text.bytes());
            }
        }
        State::Login
    }
}

fn denied(offered: bool) -> io::Error {
    let what = if offered {
        "the proxy accepts neither user and password nor nobody"
    } else {
        "the proxy wants to know who asks: give it user= and password="
    };
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

/// The two bytes that answer the methods and the login: a version and a value.
fn answer(input: &mut BytesMut, version: u8) -> io::Result<Option<u8>> {
    if input.first().is_some_and(|first| *first != version) {
        return Err(broken("the proxy does not speak SOCKS version 5"));
    }
    if input.len() < 2 {
        return Ok(None);
    }
    let value = input[1];
    input.advance(2);
    Ok(Some(value))
}

/// RFC 1928 §6.
fn reply(input: &mut BytesMut) -> io::Result<bool> {
    if input.first().is_some_and(|first| *first != 5) {
        return Err(broken("the proxy does not speak SOCKS version 5"));
    }
    if let Some(error) = input.get(1).copied().and_then(failure) {
        return Err(error);
    }
    if input.get(2).is_some_and(|reserved| *reserved != 0) {
        return Err(broken("the proxy's reply is malformed"));
    }
    let length = match input.get(3..) {
        Some([1, ..]) => 4 + 4 + 2,
        Some([3, name, ..]) => 4 + 1 + usize::from(*name) + 2,
        Some([4, ..]) => 4 + 16 + 2,
        None | Some([] | [3]) => return Ok(false),
        Some(_) => return Err(broken("the proxy's reply has an unknown type of address")),
    };
    if input.len() < length {
        return Ok(false);
    }
    input.advance(length);
    Ok(true)
}

fn failure(code: u8) -> Option<io::Error> {
    use io::ErrorKind as Kind;
    let (kind, what) = match code {
        0 => return None,
        1 => (Kind::Other, "it failed in general"),
        2 => (Kind::PermissionDenied, "its rules forbid this target"),
        3 => (Kind::NetworkUnreachable, "the target's network is unreachable"),
        4 => (Kind::HostUnreachable, "the target is unreachable"),
        5 => (Kind::ConnectionRefused, "the target refused the connection"),
        6 => (Kind::TimedOut, "the target did not answer in time"),
        7 => (Kind::Unsupported, "it does not connect for others"),
        8 => (Kind::Unsupported, "it does not know this type of address"),
        _ => (Kind::InvalidData, "it replied with an unassigned code"),
    };
    Some(io::Error::new(kind, format!("the proxy says: {what}")))
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::rehearse;
    use super::*;

    const PLAIN: &[u8] = b"\x05\x01\x00";
    const OFFER: &[u8] = b"\x05\x02\x00\x02";
    const LOGIN: &[u8] = b"\x01\x01u\x03pwd";
    const NAMED: &[u8] = b"\x05\x01\x00\x03\x0bexample.org\x00\x50";

    /// What the proxy says; what we said; the rest, or the kind of the error.
    fn check(login: bool, said: &[u8], ours: &[&[u8]], end: Result<&[u8], io::ErrorKind>) {
        let mut proxy = Socks5::new(Host::Any, 1080);
        proxy.login = login.then(|| Login::new("u", "pwd"));
        let ask = || proxy.ask(&"example.org".parse().unwrap(), 80).unwrap();
        let mut runs = vec![vec![said]];
        runs.extend((0..=said.len()).map(|cut| vec![&said[..cut], &said[cut..]]));
        runs.push(said.chunks(1).collect());
        for pieces in runs {
            let result = rehearse(ask(), &pieces);
            match (result, end) {
                (Ok((output, over, rest)), Ok(expected)) => {
                    assert!(over, "{said:?} is not the end");
                    assert_eq!((output, rest), (ours.concat(), expected.to_vec()));
                }
                (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error}"),
                (result, end) => panic!("{said:?}: {result:?}, not {end:?}"),
            }
        }
    }

    #[test]
    fn conversations() {
        use io::ErrorKind as Kind;
        let ok4 = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50";
        let ok6 = [b"\x05\x00\x00\x04".as_slice(), &[0; 18]].concat();
        let ok_name = b"\x05\x00\x00\x03\x02ab\x00\x50";
        check(false, &[b"\x05\x00", ok4.as_slice()].concat(), &[PLAIN, NAMED], Ok(b""));
        check(
            false,
            &[b"\x05\x00", ok4.as_slice(), b"220 hi"].concat(),
            &[PLAIN, NAMED],
            Ok(b"220 hi"),
        );
        check(false, &[b"\x05\x00", ok6.as_slice(), b"x"].concat(), &[PLAIN, NAMED], Ok(b"x"));
        check(false, &[b"\x05\x00", ok_name.as_slice(), b"x"].concat(), &[PLAIN, NAMED], Ok(b"x"));
        check(true, &[b"\x05\x00", ok4.as_slice()].concat(), &[OFFER, NAMED], Ok(b""));
        check(
            true,
            &[b"\x05\x02\x01\x00", ok4.as_slice()].concat(),
            &[OFFER, LOGIN, NAMED],
            Ok(b""),
        );
        check(true, b"\x05\x02\x01\x01", &[], Err(Kind::PermissionDenied));
        check(true, b"\x05\xff", &[], Err(Kind::PermissionDenied));
        check(false, b"\x05\xff", &[], Err(Kind::PermissionDenied));
        check(false, b"\x05\x02", &[], Err(Kind::InvalidData));
        check(true, b"\x05\x01", &[], Err(Kind::InvalidData));
        check(false, b"\x04\x00", &[], Err(Kind::InvalidData));
        check(false, b"HTTP/1.1 400", &[], Err(Kind::InvalidData));
        check(true, b"\x05\x02\x05\x00", &[], Err(Kind::InvalidData));
        check(false, b"\x05\x00\x05\x05\x00\x01", &[], Err(Kind::ConnectionRefused));
        check(false, b"\x05\x00\x05\x02\x00\x01", &[], Err(Kind::PermissionDenied));
        check(false, b"\x05\x00\x05\x04\x00\x01", &[], Err(Kind::HostUnreachable));
        check(false, b"\x05\x00\x05\x09\x00\x01", &[], Err(Kind::InvalidData));
        check(false, b"\x05\x00\x05\x00\x01\x01", &[], Err(Kind::InvalidData));
        check(false, b"\x05\x00\x05\x00\x00\x02", &[], Err(Kind::InvalidData));
        check(false, b"\x05\x00\x04\x00\x00\x01", &[], Err(Kind::InvalidData));
    }

    #[test]
    fn requests() {
        let proxy = Socks5::new(Host::Any, 1080);
        let bytes = |host: &str| proxy.ask(&host.parse().unwrap(), 258).map(|c| c.request);
        assert_eq!(bytes("192.0.2.7").unwrap(), b"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\x02");
        assert_eq!(bytes("[::1]").unwrap().len(), 4 + 16 + 2);
        assert_eq!(bytes("a").unwrap(), b"\x05\x01\x00\x03\x01a\x01\x02");
        assert!(bytes("*").is_err() && bytes("[fe80::1%eth0]").is_err());
    }
}
