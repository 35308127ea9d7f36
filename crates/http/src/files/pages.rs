//! Answers that are not a file: small pages that say what is wrong, and nothing of why inside.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::body::Body;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(crate) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Our pages run and fetch nothing; this keeps what somebody smuggles into one from doing so.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:");

macro_rules! text {
    ($title:literal, $words:literal) => {
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<link rel=\"icon\" href=\"data:,\">\n<title>",
            $title,
            "</title>\n<style>\n",
            ":root{color-scheme:light dark}\n",
            "body{box-sizing:border-box;margin:0;min-height:90vh;display:grid;place-content:center;padding:1.5rem;",
            "font:16px/1.5 system-ui,sans-serif;text-align:center}\n",
            "h1{margin:0 0 .25rem;font-size:1.5rem;font-weight:600}\np{margin:0;opacity:.7}\n",
            "</style>\n</head>\n<body>\n<h1>",
            $title,
            "</h1>\n<p>",
            $words,
            "</p>\n</body>\n</html>\n"
        )
    };
}

fn text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => text!("400 Bad Request", "This address is malformed."),
        StatusCode::FORBIDDEN => text!("403 Forbidden", "This may not be shown."),
        StatusCode::NOT_FOUND => text!("404 Not Found", "There is nothing here."),
        StatusCode::METHOD_NOT_ALLOWED => {
            text!("405 Method Not Allowed", "Files can only be read here.")
        }
        StatusCode::PRECONDITION_FAILED => {
            text!("412 Precondition Failed", "The file is not the one you mean.")
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            text!("416 Range Not Satisfiable", "The file has no such part.")
        }
        StatusCode::MOVED_PERMANENTLY => text!("301 Moved Permanently", "This is a folder."),
        _ => text!("500 Internal Server Error", "The server could not read this."),
    }
}

/// A page of ours, without its body if it was asked for by HEAD.
pub(crate) fn html(method: &Method, status: StatusCode, page: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(page.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HTML);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    without_body(method, response)
}

/// The page for a status.
pub(crate) fn error(method: &Method, status: StatusCode) -> Response<Body> {
    html(method, status, text(status))
}

/// The page for a folder, which says nothing of how long it stays true.
pub(crate) fn listing(method: &Method, page: String) -> Response<Body> {
    let mut response = html(method, StatusCode::OK, page);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// 405 with the methods that there are (RFC 9110 §15.5.6).
pub(crate) fn method_not_allowed(method: &Method) -> Response<Body> {
    let mut response = error(method, StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

/// The answer to OPTIONS (RFC 9110 §9.3.7).
pub(crate) fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

/// 301 to a place relative to the request's.
pub(crate) fn moved(method: &Method, place: HeaderValue) -> Response<Body> {
    let mut response = error(method, StatusCode::MOVED_PERMANENTLY);
    response.headers_mut().insert(LOCATION, place);
    response
}

/// HEAD is answered like GET, length included, but without the body (RFC 9110 §9.3.2).
pub(crate) fn without_body(method: &Method, mut response: Response<Body>) -> Response<Body> {
    take_body(method, &mut response);
    response
}

/// The same, in place.
pub(crate) fn take_body(method: &Method, response: &mut Response<Body>) {
    if method == Method::HEAD {
        if let Some(len) = response.body().len() {
            response.headers_mut().insert(CONTENT_LENGTH, len.into());
        }
        *response.body_mut() = Body::empty();
    }
}
