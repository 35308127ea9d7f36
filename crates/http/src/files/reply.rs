//! The answer with a file, once it is found: 200, 206, 304, 412 or 416.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::conditional::{self, Validators, Verdict};
use super::found::{Head, Source};
use super::{Asked, Problem, Shared, dress, pages, range};
use crate::body::{Body, Piece};

const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Makes the boundaries of multipart answers, which no file can foresee: one that contained its own
/// boundary could make a client see parts that are none.
#[derive(Debug, Default)]
pub(super) struct Boundaries(RandomState);

impl Boundaries {
    fn of(&self, head: &Head) -> String {
        let etag = head.etag.as_bytes();
        format!("{:016x}{:016x}", self.0.hash_one((1, etag)), self.0.hash_one((2, etag)))
    }
}

impl Shared {
    pub(super) fn reply(
        &self,
        asked: Asked<'_>,
        head: &Head,
        source: &Source,
    ) -> Result<Response<Body>, Problem> {
        let validators = Validators { etag: head.etag.as_bytes(), modified: head.facts.modified() };
        match conditional::evaluate(asked.method, asked.headers, validators, asked.now) {
            Verdict::Whole => self.whole(asked, head, source),
            Verdict::NotModified => Ok(self.not_modified(head)),
            Verdict::Failed => Err(Problem::Status(StatusCode::PRECONDITION_FAILED)),
            Verdict::Range => {
                let size = head.facts.size;
                match range::parse(asked.headers, size, self.settings.ranges_most) {
                    range::Asked::Whole => self.whole(asked, head, source),
                    range::Asked::One(range) => self.part(head, source, range),
                    range::Asked::Many(ranges) => self.parts(head, source, ranges),
                    range::Asked::Unsatisfiable => Ok(unsatisfiable(asked, size)),
                }
            }
        }
    }

    fn whole(
        &self,
        asked: Asked<'_>,
        head: &Head,
        source: &Source,
    ) -> Result<Response<Body>, Problem> {
        let all = 0..head.facts.size;
        // HEAD needs no content: a region says how long it would be.
        let read_below =
            if asked.method == http::Method::HEAD { 0 } else { self.settings.sendfile_from };
        let mut response = Response::new(body(source.piece(all, read_below)?));
        *response.headers_mut() = self.fields(head, head.media.clone());
        Ok(pages::without_body(asked.method, response))
    }

    /// One range (RFC 9110 §15.3.7.1).
    fn part(
        &self,
        head: &Head,
        source: &Source,
        range: Range<u64>,
    ) -> Result<Response<Body>, Problem> {
        let content_range = field(range::content_range(&range, head.facts.size));
        let mut response = Response::new(body(source.piece(range, self.settings.sendfile_from)?));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        *response.headers_mut() = self.fields(head, head.media.clone());
        response.headers_mut().insert(CONTENT_RANGE, content_range);
        Ok(response)
    }

    /// Several (RFC 9110 §15.3.7.2).
    fn parts(
        &self,
        head: &Head,
        source: &Source,
        ranges: Vec<Range<u64>>,
    ) -> Result<Response<Body>, Problem> {
        let boundary = self.boundaries.of(head);
        let media = head.media.to_str().unwrap_or("application/octet-stream");
        let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
        for range in ranges {
            let part = range::part_head(&boundary, media, &range, head.facts.size);
            pieces.push(Piece::Bytes(part.into()));
            pieces.push(source.piece(range, self.settings.sendfile_from)?);
        }
        pieces.push(Piece::Bytes(range::closing(&boundary).into()));
        let mut response = Response::new(Body::pieces(pieces));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let media = field(format!("multipart/byteranges; boundary={boundary}"));
        *response.headers_mut() = self.fields(head, media);
        Ok(response)
    }

    /// What a 304 says again is what keeps a cache right (RFC 9110 §15.4.5).
    fn not_modified(&self, head: &Head) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().insert(ETAG, head.etag.clone());
        dress::fresh(response.headers_mut(), self.freshness.as_ref());
        if self.settings.precompressed {
            response.headers_mut().insert(VARY, ACCEPT_ENCODING);
        }
        response
    }

    fn fields(&self, head: &Head, media: HeaderValue) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(6);
        fields.insert(CONTENT_TYPE, media);
        if let Some(coding) = head.coding {
            fields.insert(CONTENT_ENCODING, coding.header());
        }
        fields.insert(ETAG, head.etag.clone());
        if let Some(modified) = &head.modified {
            fields.insert(LAST_MODIFIED, modified.clone());
        }
        fields.insert(ACCEPT_RANGES, BYTES);
        fields.insert(X_CONTENT_TYPE_OPTIONS, pages::NOSNIFF);
        dress::fresh(&mut fields, self.freshness.as_ref());
        if self.settings.precompressed {
            fields.insert(VARY, ACCEPT_ENCODING);
        }
        fields
    }
}

fn unsatisfiable(asked: Asked<'_>, size: u64) -> Response<Body> {
    let mut response = pages::error(asked.method, StatusCode::RANGE_NOT_SATISFIABLE);
    response.headers_mut().insert(CONTENT_RANGE, field(range::unsatisfied(size)));
    response.headers_mut().insert(ACCEPT_RANGES, BYTES);
    response
}

fn body(piece: Piece) -> Body {
    match piece {
        Piece::Bytes(bytes) => bytes.into(),
        Piece::File(region) => Body::file(region),
    }
}

/// Of text that we wrote.
fn field(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("only visible ASCII was written")
}
