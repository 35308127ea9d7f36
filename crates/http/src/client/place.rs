//! Where a request goes: URLs, taken apart.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use url::Url;

/// Scheme, host and port: what connections can be shared for, and what credentials are for (RFC 9110
/// §4.3.1). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    /// As in `Host`: an IPv6 address in brackets, and no port if it is the scheme's own.
    authority: Arc<str>,
    /// How much of `authority` is the host.
    host: usize,
    port: u16,
}

impl Origin {
    fn new(secure: bool, host: &str, port: Option<u16>) -> Self {
        let usual = if secure { 443 } else { 80 };
        let port = port.unwrap_or(usual);
        let authority =
            if port == usual { Arc::from(host) } else { Arc::from(format!("{host}:{port}")) };
        Self { secure, authority, host: host.len(), port }
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name in lower case, or an address; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.authority[..self.host]
    }

    /// The port, the scheme's own if none was given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `Host` says: the host, and the port if it is not the scheme's own.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }
}

/// `https://host[:port]`
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

/// A URL as a client needs it. Without credentials, so that it can be shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: Origin,
    /// Path and query, as the target of a request.
    pub(super) target: Uri,
}

/// User and password of a URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// Anything that is a URL of `http` or `https`: text, [`Uri`], [`Url`].
///
/// Text is read as browsers do (the WHATWG's URL standard): names in any script, `..` taken out of
/// paths, spaces encoded. A user and a password in it are sent by the Basic scheme (RFC 7617) to this
/// origin and no other, and never shown; a fragment is not sent.
pub trait IntoUrl: Sealed {}

impl<T: Sealed> IntoUrl for T {}

pub(super) mod sealed {
    use super::{Login, Place};

    pub trait Sealed {
        /// Where it leads, or what is wrong with it.
        #[allow(private_interfaces, reason = "it is sealed")]
        fn place(self) -> Result<(Place, Option<Login>), Bad>;
    }

    /// A URL that is none of ours, as it was given without what may be a password, and why.
    #[derive(Debug)]
    pub struct Bad(pub(in super::super) String, pub(in super::super) String);
}

use sealed::{Bad, Sealed};

impl Place {
    /// What `location` means here (RFC 9110 §10.2.2). A user and a password in it are dropped: a
    /// server does not say as whom we come to another.
    pub(super) fn join(&self, location: &str) -> Result<Self, Bad> {
        let bad = |why: &str| Bad(String::from("Location"), why.to_owned());
        let base = Url::parse(&self.to_string()).map_err(|error| bad(&error.to_string()))?;
        let url = base.join(location).map_err(|error| bad(&error.to_string()))?;
        of_url(&url).map(|(place, _)| place)
    }
}

/// The URL, without credentials.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn of_url(url: &Url) -> Result<(Place, Option<Login>), Bad> {
    let bad = |why: &str| Err(Bad(shown(url), why.to_owned()));
    let secure = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return bad("only http: and https: are spoken here"),
    };
    let host = match url.host_str() {
        None | Some("" | "*") => return bad("it names no host"),
        Some(host) => host,
    };
    let path = match url.query() {
        None => PathAndQuery::try_from(url.path()),
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", url.path())),
    };
    let Ok(path) = path else { return bad("its path cannot be sent") };
    let place = Place { origin: Origin::new(secure, host, url.port()), target: Uri::from(path) };
    Ok((place, login(url.username(), url.password())))
}

fn login(user: &str, password: Option<&str>) -> Option<Login> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (!user.is_empty() || password.is_some())
        .then(|| Login { user: decoded(user), password: decoded(password.unwrap_or_default()) })
}

/// A URL without credentials.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails where a URL cannot have any.
    let _ = (url.set_username(""), url.set_password(None));
    shown_text(url.as_str())
}

/// Text that is no URL, without what may be a password.
fn shown_text(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("***@{rest}"),
        None => text.to_owned(),
    }
}

impl Sealed for &str {
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        let url = Url::parse(self).map_err(|error| {
            let why = match error {
                url::ParseError::RelativeUrlWithoutBase => {
                    "it has no scheme: write http:// or https:// before it".to_owned()
                }
                error => error.to_string(),
            };
            Bad(shown_text(self), why)
        })?;
        of_url(&url)
    }
}

impl Sealed for String {
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        self.as_str().place()
    }
}

impl Sealed for &String {
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        self.as_str().place()
    }
}

impl Sealed for &Url {
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        of_url(self)
    }
}

impl Sealed for Url {
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        of_url(&self)
    }
}

impl Sealed for &Uri {
    /// Taken as it is: nothing is made regular.
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        let bad = |why: &str| Err(Bad(shown_text(&self.to_string()), why.to_owned()));
        let secure = match self.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            None => return bad("it has no scheme: write http:// or https:// before it"),
            Some(_) => return bad("only http: and https: are spoken here"),
        };
        let Some(authority) = self.authority() else { return bad("it names no host") };
        let host = authority.host();
        if host.is_empty() || host == "*" {
            return bad("it names no host");
        }
        let lower;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            &lower
        } else {
            host
        };
        let path = self.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = match path.as_bytes() {
            [b'/', ..] => self.path_and_query().cloned(),
            _ => PathAndQuery::try_from(format!("/{path}")).ok(),
        };
        let Some(path) = path else { return bad("its path cannot be sent") };
        let origin = Origin::new(secure, host, authority.port_u16());
        let userinfo = authority.as_str().rsplit_once('@').map(|(userinfo, _)| userinfo);
        let login = userinfo.and_then(|userinfo| {
            let (user, password) = match userinfo.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            };
            login(user, password)
        });
        Ok((Place { origin, target: Uri::from(path) }, login))
    }
}

impl Sealed for Uri {
    #[allow(private_interfaces, reason = "it is sealed")]
    fn place(self) -> Result<(Place, Option<Login>), Bad> {
        (&self).place()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Sealed>(url: T, shown: &str, expected: Result<&str, &str>) {
        match (url.place(), expected) {
            (Ok((place, login)), Ok(expected)) => {
                let login = login.map(|login| format!("{}:{}@", login.user, login.password));
                let found = format!("{}{place}", login.unwrap_or_default());
                assert_eq!(found, expected, "{shown}");
            }
            (Err(Bad(_, why)), Err(expected)) => assert!(why.contains(expected), "{shown}: {why}"),
            (found, _) => panic!("{shown}: {:?}", found.map(|(place, _)| place)),
        }
    }

    #[test]
    fn urls_in_text() {
        #[rustfmt::skip]
        let table = [
            ("http://a.test", Ok("http://a.test/")),
            ("HTTP://A.Test:80/x?y#z", Ok("http://a.test/x?y")),
            ("https://a.test:443/../b", Ok("https://a.test/b")),
            ("https://a.test:8443/?", Ok("https://a.test:8443/?")),
            ("http://a.test/a b", Ok("http://a.test/a%20b")),
            ("http://bücher.test/ü", Ok("http://xn--bcher-kva.test/%C3%BC")),
            ("http://[::1]:8080/", Ok("http://[::1]:8080/")),
            ("http://u:p@a.test/", Ok("u:p@http://a.test/")),
            ("http://u%40x:p%3A@a.test/", Ok("u@x:p:@http://a.test/")),
            ("http://u@a.test/", Ok("u:@http://a.test/")),
            ("http://a.test/{x}|^\"", Ok("http://a.test/%7Bx%7D|^%22")),
            ("ftp://a.test/", Err("only http:")),
            ("a.test/x", Err("no scheme")),
            ("http://", Err("empty host")),
            ("http://*/", Err("no host")),
            ("", Err("no scheme")),
        ];
        for (text, expected) in table {
            check(text, text, expected);
        }
    }

    #[test]
    fn uris_are_taken_as_they_are() {
        #[rustfmt::skip]
        let table = [
            ("http://A.test", Ok("http://a.test/")),
            ("http://a.test:80/x/../y?z", Ok("http://a.test/x/../y?z")),
            ("http://a.test?z", Ok("http://a.test/?z")),
            ("http://u:p%3A@a.test/", Ok("u:p:@http://a.test/")),
            ("/x", Err("no scheme")),
            ("ftp://a.test/", Err("only http:")),
        ];
        for (text, expected) in table {
            check(text.parse::<Uri>().expect("a URI"), text, expected);
        }
    }

    #[test]
    fn locations() {
        #[rustfmt::skip]
        let table = [
            ("/x", Ok("http://a.test:81/x")),
            ("x?y", Ok("http://a.test:81/b/x?y")),
            ("../x#f", Ok("http://a.test:81/x")),
            ("//c.test/x", Ok("http://c.test/x")),
            ("https://u:p@c.test", Ok("https://c.test/")),
            ("?q", Ok("http://a.test:81/b/c?q")),
            ("mailto:x", Err("only http:")),
            ("http://[", Err("IPv6")),
        ];
        let (base, _) = "http://a.test:81/b/c".place().expect("a URL");
        for (location, expected) in table {
            match (base.join(location), expected) {
                (Ok(place), Ok(expected)) => assert_eq!(place.to_string(), expected, "{location}"),
                (Err(Bad(_, why)), Err(expected)) => {
                    assert!(why.contains(expected), "{location}: {why}");
                }
                (found, _) => panic!("{location}: {found:?}"),
            }
        }
    }

    #[test]
    fn nothing_wrong_shows_a_password() {
        for text in ["ftp://u:secret@a.test/", "u:secret@a.test", "http://u:secret@[x/"] {
            let Err(Bad(shown, why)) = text.place() else { panic!("{text} is one") };
            assert!(!format!("{shown} {why}").contains("secret"), "{shown} {why}");
        }
    }
}
