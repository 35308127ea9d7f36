//! `http-connect:`: connecting through an HTTP proxy (RFC 9110 §9.3.6).

use std::io;

use bytes::{Buf, BytesMut};

use super::dialogue::{Dialogue, broken};
use super::login::Login;
use super::parse::{Arguments, Error};
use super::print::Printed;
use super::values::Host;

/// An HTTP proxy through which the endpoint behind it is reached:
/// `http-connect:proxy.example:3128:tcp:example.org:80`. Names are resolved by the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConnect {
    /// Where the proxy is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// `user=` and `password=`, if it wants them. They are sent at once by the Basic scheme, which
    /// hides nothing (RFC 7617); the user's name has no colon.
    pub login: Option<Login>,
}

impl HttpConnect {
    pub(super) const KEYS: &'static [&'static str] = Login::KEYS;
    pub(super) const USAGE: &'static str = "http-connect:HOST:PORT:tcp:TARGET:PORT";

    /// A proxy that wants no login.
    #[must_use]
    pub fn new(host: impl Into<Host>, port: u16) -> Self {
        Self { host: host.into(), port, login: None }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let (host, port) = arguments.host_and_port()?;
        let login = Login::parse(arguments)?;
        if let (Some(Login { user, .. }), Some(value)) = (&login, arguments.option("user"))
            && user.contains(':')
        {
            return Err(value.error("a user's name with a colon", "Basic has no way to say it"));
        }
        Ok(Self { host, port, login })
    }

    pub(super) fn print(&self) -> Printed {
        let place = Printed::new("http-connect").raw(self.host.to_string());
        Login::print(self.login.as_ref(), place.raw(self.port.to_string()))
    }

    /// The conversation that ends in a tunnel to the target.
    pub(super) fn ask(&self, host: &Host, port: u16) -> io::Result<Tunnel> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if let Some(what) = host.meaningless_to_proxies() {
            return wrong(what);
        }
        if self.login.as_ref().is_some_and(|login| login.user.contains(':')) {
            return wrong("a user's name with a colon cannot be sent by Basic");
        }
        let target = format!("{host}:{port}");
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(Login { user, password }) = &self.login {
            let credentials = base64(format!("{user}:{password}").as_bytes());
            request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
        }
        request.push_str("\r\n");
        Ok(Tunnel { request: Some(request), login: self.login.is_some() })
    }
}

/// The client's side of a CONNECT request.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// What is to be said first.
    request: Option<String>,
    login: bool,
}

impl Dialogue for Tunnel {
    /// The longest head of a response.
    const CAP: usize = 8192;

    fn advance(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> io::Result<bool> {
        if let Some(request) = self.request.take() {
            output.extend(request.bytes());
        }
        loop {
            let Some(end) = head_end(input)? else { return Ok(false) };
            let (status, reason) = status_line(&input[..end])?;
            match status {
                // A final response will follow (RFC 9110 §15.2).
                100 | 102..=199 => input.advance(end),
                // Of a successful one, the tunnel begins right behind the head, whatever the head
                // says of a content (RFC 9110 §9.3.6).
                200..=299 => {
                    input.advance(end);
                    return Ok(true);
                }
                _ => return Err(self.refused(status, &reason)),
            }
        }
    }
}

impl Tunnel {
    fn refused(&self, status: u16, reason: &str) -> io::Error {
        let (kind, help) = match (status, self.login) {
            (407, false) => (io::ErrorKind::PermissionDenied, ": give it user= and password="),
            (401 | 407, true) => {
                (io::ErrorKind::PermissionDenied, ": it refused user and password")
            }
            (403, _) => (io::ErrorKind::PermissionDenied, ": its rules forbid this target"),
            (504, _) => (io::ErrorKind::TimedOut, ": the target did not answer in time"),
            (502 | 503, _) => (io::ErrorKind::HostUnreachable, ": it cannot reach the target"),
            _ => (io::ErrorKind::Other, ""),
        };
        io::Error::new(kind, format!("the proxy says {status} {reason}{help}"))
    }
}

/// Where the head of a response ends, with its lines checked as far as they have come. Lines end in
/// CRLF and nothing else; names are tokens (RFC 9110 §5.1); nothing is folded (RFC 9112 §5.2).
fn head_end(input: &[u8]) -> io::Result<Option<usize>> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let shared = input.len().min(BEGIN.len());
    if input[..shared] != BEGIN[..shared] {
        return Err(broken("the proxy does not speak HTTP/1"));
    }
    let mut at = 0;
    while let Some(lf) = memchr::memchr(b'\n', &input[at..]) {
        let malformed = || broken("the proxy's response is malformed");
        let line = input[at..at + lf].strip_suffix(b"\r").ok_or_else(malformed)?;
        let is_first = at == 0;
        at += lf + 1;
        if line.is_empty() {
            return Ok(Some(at));
        }
        let control = |b: &u8| b.is_ascii_control() && *b != b'\t';
        if line.iter().any(control) || !(is_first || is_field(line)) {
            return Err(malformed());
        }
    }
    Ok(None)
}

/// Whether a line is `name: value`.
fn is_field(line: &[u8]) -> bool {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let colon = memchr::memchr(b':', line).unwrap_or(0);
    colon > 0 && line[..colon].iter().all(token)
}

/// Status and reason (RFC 9112 §4).
fn status_line(head: &[u8]) -> io::Result<(u16, String)> {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let parsed = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', a, b, c, rest @ ..]
            if [a, b, c].iter().all(|digit| digit.is_ascii_digit())
                && matches!(rest, [] | [b' ', ..]) =>
        {
            let digit = |d: &u8| u16::from(*d - b'0');
            let reason = String::from_utf8_lossy(rest).trim().chars().take(100).collect();
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), reason))
        }
        _ => None,
    };
    let (status, reason) = parsed.ok_or_else(|| broken("the proxy's status line is malformed"))?;
    if (100..600).contains(&status) {
        Ok((status, reason))
    } else {
        Err(broken(format!("the proxy's status {status} is none")))
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let triple = chunk.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        let triple = triple << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sextet = (triple >> (18 - 6 * at)) & 0x3f;
            text.push(if at <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::rehearse;
    use super::*;

    /// What the proxy says, and what is left for the tunnel or the kind of the error.
    fn check(said: &str, end: Result<&str, io::ErrorKind>) {
        let proxy = HttpConnect::new(Host::Any, 3128);
        let ask = || proxy.ask(&"example.org".parse().unwrap(), 443).unwrap();
        let ours = "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n";
        let said = said.as_bytes();
        let mut runs = vec![vec![said]];
        runs.extend((0..=said.len()).map(|cut| vec![&said[..cut], &said[cut..]]));
        runs.push(said.chunks(1).collect());
        for pieces in runs {
            match (rehearse(ask(), &pieces), end) {
                (Ok((output, true, rest)), Ok(expected)) => {
                    assert_eq!(output, ours.as_bytes());
                    assert_eq!(rest, expected.as_bytes());
                }
                (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error}"),
                (result, end) => panic!("{}: {result:?}, not {end:?}", said.escape_ascii()),
            }
        }
    }

    #[test]
    fn responses() {
        use io::ErrorKind as Kind;
        check("HTTP/1.1 200 OK\r\n\r\n", Ok(""));
        check("HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n220 hi", Ok("220 hi"));
        check("HTTP/1.1 204\r\n\r\nx", Ok("x"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", Ok("abcd"));
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA:b\r\n\r\nx", Ok("x"));
        check(
            "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n",
            Err(Kind::PermissionDenied),
        );
        check("HTTP/1.1 401 Who are you\r\n\r\n", Err(Kind::Other));
        check("HTTP/1.1 403 No\r\n\r\n", Err(Kind::PermissionDenied));
        check("HTTP/1.1 502 Bad Gateway\r\n\r\n", Err(Kind::HostUnreachable));
        check("HTTP/1.1 504 Gateway Timeout\r\n\r\n", Err(Kind::TimedOut));
        check("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", Err(Kind::Other));
        check("HTTP/1.1 101 Switching\r\n\r\n", Err(Kind::Other));
        check("HTTP/1.1 200 OK\n\n", Err(Kind::InvalidData));
        check("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 200 OK\r\n folded\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 200 OK\r\n: c\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1  200 OK\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 20 OK\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 2000 OK\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 099 OK\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.1 600 OK\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/1.2 200 OK\r\n\r\n", Err(Kind::InvalidData));
        check("HTTP/2 200\r\n\r\n", Err(Kind::InvalidData));
        check("220 smtp.example.org\r\n", Err(Kind::InvalidData));
        check("\r\n\r\n", Err(Kind::InvalidData));
    }

    #[test]
    fn login_goes_with_the_request() {
        let mut proxy = HttpConnect::new(Host::Any, 3128);
        proxy.login = Some(Login::new("Aladdin", "open sesame"));
        let tunnel = proxy.ask(&"[::1]".parse().unwrap(), 80).unwrap();
        assert_eq!(
            tunnel.request.unwrap(),
            "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
        proxy.login = Some(Login::new("a:b", "c"));
        assert!(proxy.ask(&"a".parse().unwrap(), 80).is_err());
    }

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
