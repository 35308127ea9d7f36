//! Going where a response says (RFC 9110 §15.4).

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Response, StatusCode};

use super::error::Stray;
use super::place::Place;

/// Which redirections are followed.
///
/// 301 and 302 turn POST into GET, as browsers do; 303 turns everything but HEAD into GET; 307 and 308
/// change nothing. Credentials (`Authorization`, `Cookie`, `Proxy-Authorization`) and a `Host` of
/// one's own are not sent to another origin than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirects {
    /// How many, one after the other. Default 10. 0 follows none: the response that redirects is the
    /// one that is returned.
    pub most: u32,
    /// From `https` to `http`, too. Default no.
    pub downgrade: bool,
}

impl Default for Redirects {
    fn default() -> Self {
        Self { most: 10, downgrade: false }
    }
}

impl Redirects {
    /// Follows none.
    pub const NONE: Self = Self { most: 0, downgrade: false };
}

/// Where to go next, and how.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) place: Place,
    pub(super) method: Method,
    /// The content goes there, too.
    pub(super) with_content: bool,
}

/// What a response to `method` at `place` asks for, after `done` turns.
pub(super) fn turn(
    policy: Redirects,
    done: u32,
    (place, method): (&Place, &Method),
    response: &Response<()>,
) -> Result<Option<Turn>, Stray> {
    let Some((method, with_content)) = next_method(method, response.status()) else {
        return Ok(None);
    };
    if policy.most == 0 {
        return Ok(None);
    }
    let mut locations = response.headers().get_all(header::LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else { return Ok(None) };
    if done >= policy.most {
        return Err(Stray::TooMany(policy.most));
    }
    // Raw UTF-8 is not allowed in a field, and sent all the same.
    let location = String::from_utf8_lossy(location.as_bytes());
    let next = place.join(&location).map_err(|bad| Stray::Location(bad.1))?;
    if place.origin.is_secure() && !next.origin.is_secure() && !policy.downgrade {
        return Err(Stray::Downgrade(next.to_string()));
    }
    Ok(Some(Turn { place: next, method, with_content }))
}

/// How the next request is made, if the status asks for one; and whether with the content.
fn next_method(method: &Method, status: StatusCode) -> Option<(Method, bool)> {
    let same = || Some((method.clone(), true));
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => {
            Some((Method::GET, false))
        }
        StatusCode::SEE_OTHER if *method == Method::HEAD => same(),
        StatusCode::SEE_OTHER => Some((Method::GET, false)),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => same(),
        _ => None,
    }
}

/// Takes out what another origin must not get to know.
pub(super) fn drop_credentials(fields: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::HOST] {
        fields.remove(name);
    }
}

/// Takes out what is said of content that is not sent again.
pub(super) fn drop_content(fields: &mut HeaderMap) {
    const NAMES: [HeaderName; 7] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::EXPECT,
    ];
    for name in NAMES {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;

    use super::super::place::sealed::Sealed as _;
    use super::*;

    /// `METHOD URL STATUS Location`, and what is done: `METHOD URL [with]`, or a word of the error.
    fn check(policy: Redirects, said: &str, expected: &str) {
        let words: Vec<&str> = said.split(' ').collect();
        let (place, _) = words[1].place().expect("a URL");
        let mut response = Response::new(());
        *response.status_mut() = words[2].parse().expect("a status");
        for location in &words[3..] {
            response.headers_mut().append(LOCATION, location.parse().expect("a value"));
        }
        let method = words[0].parse().expect("a method");
        let found = match turn(policy, 3, (&place, &method), &response) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(Turn { place, method, with_content })) => {
                format!("{method} {place}{}", if with_content { " with" } else { "" })
            }
            Err(stray) => stray.to_string(),
        };
        assert!(
            found == expected || found.contains(expected) && expected.starts_with("redirected"),
            "{said}: {found}"
        );
    }

    #[test]
    fn every_status_and_method() {
        let usual = Redirects::default();
        #[rustfmt::skip]
        let table = [
            ("GET http://a/b 301 /c", "GET http://a/c with"),
            ("POST http://a/b 301 /c", "GET http://a/c"),
            ("POST http://a/b 302 c", "GET http://a/c"),
            ("PUT http://a/b 302 c", "PUT http://a/c with"),
            ("PUT http://a/b 303 c", "GET http://a/c"),
            ("HEAD http://a/b 303 c", "HEAD http://a/c with"),
            ("POST http://a/b 307 https://c", "POST https://c/ with"),
            ("POST http://a/b 308 //c/d", "POST http://c/d with"),
            ("GET http://a/b 300 /c", "nothing"),
            ("GET http://a/b 304 /c", "nothing"),
            ("GET http://a/b 200 /c", "nothing"),
            ("GET http://a/b 302", "nothing"),
            ("GET http://a/b 302 /c /d", "nothing"),
            ("GET https://a/b 302 http://a/b", "redirected from https to http://a/b"),
            ("GET http://a/b 302 file:///etc/passwd", "redirected to nowhere: only http:"),
        ];
        for (said, expected) in table {
            check(usual, said, expected);
        }
        check(Redirects::NONE, "GET http://a/b 301 /c", "nothing");
        check(Redirects { most: 3, ..usual }, "GET http://a/b 301 /c", "redirected more than 3");
        check(
            Redirects { downgrade: true, ..usual },
            "GET https://a/b 302 http://a/b",
            "GET http://a/b with",
        );
    }
}
