//! Responses in plain text that say their status and nothing else.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::Body;

/// A response that says only what it is.
pub(super) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(match status.canonical_reason() {
        Some(reason) => format!("{reason}\n"),
        None => format!("{status}\n"),
    }));
    *response.status_mut() = status;
    let media = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}
