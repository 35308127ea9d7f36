//! Sending clients elsewhere.

use http::header::{HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, Uri};

use super::Handler;
use super::hosts::without_port;
use super::plain::plain;
use crate::{Body, Incoming};

/// A handler that answers every request with another place (RFC 9110 §15.4).
///
/// 308 (Permanent Redirect) unless told otherwise: the method and the content are sent again to the
/// new place, and browsers remember it.
///
/// ```
/// use http::StatusCode;
/// use ropewalk_http::Redirect;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let moved = Redirect::below("https://new.example.org")?; // /a?b goes to https://new.example.org/a?b
/// let closed = Redirect::to("/closed.html")?.status(StatusCode::SEE_OTHER)?;
/// let https = Redirect::https(443); // to the same host, path and query kept
/// # let _ = (moved, closed, https);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Redirect {
    status: StatusCode,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Always this.
    Fixed(HeaderValue),
    /// This, with the request's path and query behind it.
    Below(String),
    /// The same by TLS, on this port.
    Https(u16),
}

/// What is wrong with a redirect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRedirect {
    /// The place is neither a URL nor a path.
    #[error("`{0}` is no place to go to: write https://example.org/path, or /path")]
    Place(String),
    /// What paths go behind is no URL, or it has a query.
    #[error(
        "`{0}` is nothing that a path could go behind: write https://example.org, or more of its path"
    )]
    Base(String),
    /// The status is none that has a place.
    #[error("{0} redirects nobody: use 301, 302, 303, 307 or 308")]
    Status(StatusCode),
}

impl Redirect {
    /// To a URL, or to a path on the same host: the same one whatever is asked for.
    ///
    /// # Errors
    /// When it is neither.
    pub fn to(place: &str) -> Result<Self, BadRedirect> {
        let bad = || BadRedirect::Place(place.to_owned());
        let path = place.starts_with('/') && !place.starts_with("//");
        let uri: Uri = place.parse().map_err(|_| bad())?;
        if !path && !is_absolute(&uri) {
            return Err(bad());
        }
        Ok(Self::of(Place::Fixed(HeaderValue::from_str(place).map_err(|_| bad())?)))
    }

    /// To what is asked for, below a URL: the request's path and query are written behind it.
    ///
    /// # Errors
    /// When it is none, or has a query.
    pub fn below(base: &str) -> Result<Self, BadRedirect> {
        let bad = || BadRedirect::Base(base.to_owned());
        let uri: Uri = base.parse().map_err(|_| bad())?;
        if !is_absolute(&uri) || uri.query().is_some() {
            return Err(bad());
        }
        Ok(Self::of(Place::Below(base.trim_end_matches('/').to_owned())))
    }

    /// To what is asked for by https, on this port of the host that the client names.
    #[must_use]
    pub fn https(port: u16) -> Self {
        Self::of(Place::Https(port))
    }

    /// With another status: 301 and 302, after which many clients ask by GET whatever they had asked
    /// by, 303, after which all do, or 307, which is 308 for this once.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn status(mut self, status: StatusCode) -> Result<Self, BadRedirect> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Err(BadRedirect::Status(status));
        }
        self.status = status;
        Ok(self)
    }

    fn of(place: Place) -> Self {
        Self { status: StatusCode::PERMANENT_REDIRECT, place }
    }

    /// The answer to `request`: 400 if it does not say on which host it wants to be.
    #[must_use]
    pub fn respond<B>(&self, request: &Request<B>) -> Response<Body> {
        let place = match &self.place {
            Place::Fixed(place) => Some(place.clone()),
            Place::Below(base) => HeaderValue::try_from(format!("{base}{}", path(request))).ok(),
            Place::Https(port) => https(request, *port),
        };
        let Some(place) = place else { return plain(StatusCode::BAD_REQUEST) };
        let mut response = plain(self.status);
        response.headers_mut().insert(LOCATION, place);
        response
    }
}

fn is_absolute(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|h| !h.is_empty())
}

/// The path and the query; `*` and what CONNECT asks for have none.
fn path<B>(request: &Request<B>) -> &str {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if path.starts_with('/') { path } else { "/" }
}

fn https<B>(request: &Request<B>, port: u16) -> Option<HeaderValue> {
    let host = without_port(request.headers().get(HOST)?.to_str().ok()?);
    if host.is_empty() {
        return None;
    }
    let path = path(request);
    let place = match port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    };
    HeaderValue::try_from(place).ok()
}

impl Handler for Redirect {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        self.respond(&request)
    }
}

/// Sends who comes without TLS to https, and everybody else to another handler.
#[derive(Debug, Clone)]
pub struct HttpsOnly<H> {
    inner: H,
    redirect: Redirect,
}

impl<H> HttpsOnly<H> {
    /// `inner` by TLS only. `port` is where clients find that, behind a balancer perhaps.
    #[must_use]
    pub fn new(port: u16, inner: H) -> Self {
        Self { inner, redirect: Redirect::https(port) }
    }
}

impl<H: Handler> Handler for HttpsOnly<H> {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        if request.body().tls().is_some() {
            self.inner.handle(request).await
        } else {
            self.redirect.respond(&request)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `GET target` of `host` is sent by the redirect.
    fn check(redirect: &Redirect, target: &str, host: &str, place: &str) {
        let mut request = Request::builder().uri(target);
        if !host.is_empty() {
            request = request.header(HOST, host);
        }
        let response = redirect.respond(&request.body(()).expect("a request"));
        let found =
            response.headers().get(LOCATION).map_or("", |place| place.to_str().expect("text"));
        assert_eq!(found, place, "{redirect:?}, {target} of {host}");
        let status = if place.is_empty() { 400 } else { 308 };
        assert_eq!(response.status().as_u16(), status, "{redirect:?}, {target} of {host}");
    }

    #[test]
    fn places() {
        let fixed = Redirect::to("https://b.test/x?y").expect("a place");
        check(&fixed, "/a?b", "a.test", "https://b.test/x?y");
        check(&Redirect::to("/closed").expect("a place"), "/a", "a.test", "/closed");
        for base in ["https://b.test", "https://b.test/"] {
            let below = Redirect::below(base).expect("a base");
            check(&below, "/a%20b?c=d", "a.test", "https://b.test/a%20b?c=d");
            check(&below, "/", "", "https://b.test/");
            check(&below, "//evil.test", "a.test", "https://b.test//evil.test");
            check(&below, "*", "a.test", "https://b.test/");
        }
        let below = Redirect::below("http://b.test:8080/old/").expect("a base");
        check(&below, "/a", "a.test", "http://b.test:8080/old/a");
        check(&Redirect::https(443), "/a?b", "a.test:80", "https://a.test/a?b");
        check(&Redirect::https(8443), "/a?b", "a.test:8080", "https://a.test:8443/a?b");
        check(&Redirect::https(443), "http://a.test/a?b", "a.test", "https://a.test/a?b");
        check(&Redirect::https(8443), "/", "[::1]:80", "https://[::1]:8443/");
        check(&Redirect::https(8443), "/", "[::1]", "https://[::1]:8443/");
        check(&Redirect::https(443), "/", "", "");
        check(&Redirect::https(443), "/", ":80", "");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for place in
            ["", "a", "//b.test/", "ftp://b.test/", "https://", "https://b.test/a b", "/a\r\nb"]
        {
            assert!(matches!(Redirect::to(place), Err(BadRedirect::Place(_))), "{place}");
        }
        for base in ["", "/a", "https://b.test/?a", "ftp://b.test"] {
            assert!(matches!(Redirect::below(base), Err(BadRedirect::Base(_))), "{base}");
        }
        let with = |status| Redirect::https(443).status(status).is_ok();
        let ok = [301, 302, 303, 307, 308];
        for status in 200..400 {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(with(status), ok.contains(&status.as_u16()), "{status}");
        }
    }
}
