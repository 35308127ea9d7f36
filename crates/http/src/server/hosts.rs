//! Virtual hosts: several sites on one address.

use std::collections::HashMap;
use std::fmt;

use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};

use super::Handler;
use super::any::AnyHandler;
use super::plain::plain;
use crate::parse::is_host;
use crate::{Body, Incoming};

/// Several sites by the `Host` of the request (RFC 9110 §7.2).
///
/// A name stands for itself, `*.example.org` for every name below example.org, however deep; a name
/// itself is before a `*`, and of several `*` the longest is. Case, the port and a dot at the end do
/// not count. What no name fits is the [`fallback`](Self::fallback)'s, or is answered 421 (Misdirected
/// Request); so is a request without `Host`, which only HTTP/1.0 can have.
///
/// ```
/// use http::{Request, Response};
/// use ropewalk_http::files::{Files, Settings};
/// use ropewalk_http::{Body, Hosts, Incoming, Server};
///
/// async fn api(_: Request<Incoming>) -> Response<Body> {
///     Response::new("{}\n".into())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let site = Files::new(".", Settings::default())?;
/// let server = Server::new(Hosts::new().host("example.org", site)?.host("*.api.example.org", api)?);
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Hosts {
    names: HashMap<String, AnyHandler>,
    /// By what stands behind `*.`.
    wild: HashMap<String, AnyHandler>,
    fallback: Option<AnyHandler>,
}

/// A name that is none of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a host: write example.org, *.example.org or an address, without a port"
)]
pub struct BadHost(String);

impl Hosts {
    /// No sites yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With `handler` for the host `name`, or for all below it if that begins with `*.`; it takes the
    /// place of an earlier one for the same.
    ///
    /// # Errors
    /// When `name` cannot be one. Names outside of ASCII are written as they are sent: `xn--…`.
    pub fn host(mut self, name: &str, handler: impl Handler) -> Result<Self, BadHost> {
        let bad = || BadHost(name.to_owned());
        let (wild, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let host = canonical(rest);
        // A port would have been taken off.
        let whole = host.len() == rest.trim_end_matches('.').len();
        if host.is_empty() || !whole || !is_host(host.as_bytes()) || host.contains('*') {
            return Err(bad());
        }
        let sites = if wild { &mut self.wild } else { &mut self.names };
        sites.insert(host, AnyHandler::new(handler));
        Ok(self)
    }

    /// With `handler` for all other hosts.
    #[must_use]
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallback = Some(AnyHandler::new(handler));
        self
    }

    fn site(&self, fields: &HeaderMap) -> Option<&AnyHandler> {
        let host = fields.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = canonical(host);
        if let Some(site) = self.names.get(&host) {
            return Some(site);
        }
        let mut rest = host.as_str();
        while let Some((_, below)) = rest.split_once('.') {
            if let Some(site) = self.wild.get(below) {
                return Some(site);
            }
            rest = below;
        }
        self.fallback.as_ref()
    }
}

/// A host in small letters, without port and the dot of the root.
fn canonical(host: &str) -> String {
    let mut name = without_port(host).to_ascii_lowercase();
    if name.ends_with('.') {
        name.pop();
    }
    name
}

/// A `Host` without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

impl Handler for Hosts {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        match self.site(request.headers()) {
            Some(site) => site.handle(request).await,
            None => plain(StatusCode::MISDIRECTED_REQUEST),
        }
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts")
            .field("names", &self.names.keys())
            .field("wild", &self.wild.keys())
            .field("fallback", &self.fallback.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn site(_: Request<Incoming>) -> Response<Body> {
        Response::new(Body::empty())
    }

    /// Which of the names the handler belongs to that a host finds.
    fn found(names: &[&str], host: &str) -> String {
        let mut hosts = Hosts::new();
        for name in names {
            hosts = hosts.host(name, site).unwrap_or_else(|error| panic!("{error}"));
        }
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_str(host).expect("a value"));
        let Some(found) = hosts.site(&fields) else { return "none".to_owned() };
        let named = |(name, site): (&String, &AnyHandler)| site.is(found).then(|| name.clone());
        let wild =
            |(name, site): (&String, &AnyHandler)| site.is(found).then(|| format!("*.{name}"));
        let mut all =
            hosts.names.iter().filter_map(named).chain(hosts.wild.iter().filter_map(wild));
        all.next().expect("one of them")
    }

    #[test]
    fn hosts_find_their_sites() {
        let names = ["a.test", "*.a.test", "*.b.a.test", "www.a.test", "[::1]", "192.0.2.1"];
        for (host, name) in [
            ("a.test", "a.test"),
            ("A.Test:8080", "a.test"),
            ("a.test.", "a.test"),
            ("a.test.:80", "a.test"),
            ("www.a.test", "www.a.test"),
            ("ftp.a.test", "*.a.test"),
            ("x.y.a.test", "*.a.test"),
            ("b.a.test", "*.a.test"),
            ("x.b.a.test", "*.b.a.test"),
            ("x.y.b.a.test:1", "*.b.a.test"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("b.test", "none"),
            ("test", "none"),
            ("xa.test", "none"),
            ("", "none"),
            (".a.test", "*.a.test"),
        ] {
            assert_eq!(found(&names, host), name, "{host}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "*", "*.", "a*.test", "*.*.test", "a.test:80", "a b", "ü.test", "a/b", "."]
        {
            let refused = Hosts::new().host(name, site).map(drop);
            assert_eq!(refused, Err(BadHost(name.to_owned())), "{name}");
        }
    }
}
