//! Types → bytes, pure. Law: `parse(emit(x)) == x`.
//!
//! Heads are copied piece by piece into the output's buffer; nothing is formatted on the way.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use ropewalk_core::Output;

/// A request's head as it is, fields in the map's order, no field added.
pub fn request<T>(request: &Request<T>, output: &mut Output) {
    request_line(request.method(), request.uri(), request.version(), output);
    fields(request.headers(), output);
    output.put(CRLF);
}

/// A response's head as it is, fields in the map's order, no field added.
pub fn response<T>(response: &Response<T>, output: &mut Output) {
    status_line(response.version(), response.status(), output);
    fields(response.headers(), output);
    output.put(CRLF);
}

/// The end of a line.
pub(crate) const CRLF: &[u8] = b"\r\n";

/// `request-line` (RFC 9112 §3), the target in the form that the URI has: an authority alone for
/// CONNECT, else absolute when it has a scheme, else its path and query.
pub fn request_line(method: &Method, uri: &Uri, version: Version, output: &mut Output) {
    output.put(method.as_str().as_bytes());
    output.put(b" ");
    if let Some(scheme) = uri.scheme_str() {
        output.put(scheme.as_bytes());
        output.put(b"://");
    }
    if let Some(authority) = uri.authority() {
        output.put(authority.as_str().as_bytes());
    }
    if let Some(path_and_query) = uri.path_and_query() {
        output.put(path_and_query.as_str().as_bytes());
    }
    output.put(if version == Version::HTTP_10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
}

/// `status-line` (RFC 9112 §4) with the registered reason phrase, or none.
#[inline(always)]
pub fn status_line(version: Version, status: StatusCode, output: &mut Output) {
    if version != Version::HTTP_10 && status == StatusCode::OK {
        output.put(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    output.put(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    output.put(status.as_str().as_bytes());
    output.put(b" ");
    output.put(status.canonical_reason().unwrap_or_default().as_bytes());
    output.put(CRLF);
}

/// All fields of a map.
pub fn fields(fields: &HeaderMap, output: &mut Output) {
    for (name, value) in fields {
        field(name, value, output);
    }
}

/// `field-line CRLF` (RFC 9112 §5).
#[inline(always)]
pub fn field(name: &HeaderName, value: &HeaderValue, output: &mut Output) {
    output.put(name.as_str().as_bytes());
    output.put(b": ");
    output.put(value.as_bytes());
    output.put(b"\r\n");
}

/// `Content-Length` and its line end.
#[inline(always)]
pub fn content_length(length: u64, output: &mut Output) {
    // Room for the most digits that there are; they come last first.
    let mut digits = *b"00000000000000000000\r\n";
    let mut begin = digits.len() - 2;
    let mut left = length;
    for (at, digit) in digits[..20].iter_mut().enumerate().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            begin = at;
            break;
        }
    }
    output.put(b"content-length: ");
    output.put(&digits[begin..]);
}

/// The line before a chunk of `size` bytes, which must not be zero: a chunk of none is the last.
pub fn chunk_line(size: u64, output: &mut Output) {
    output.put(Hex::of(size).as_bytes());
    output.put(CRLF);
}

/// A chunk, or nothing for no data (RFC 9112 §7.1).
pub fn chunk(data: Bytes, output: &mut Output) {
    if !data.is_empty() {
        chunk_line(data.len() as u64, output);
        output.push(data);
        output.put(CRLF);
    }
}

/// `last-chunk trailer-section CRLF` (RFC 9112 §7.1).
pub fn last_chunk(trailers: &HeaderMap, output: &mut Output) {
    output.put(b"0\r\n");
    fields(trailers, output);
    output.put(CRLF);
}

/// A number in digits of base 16.
struct Hex {
    buffer: [u8; 16],
    begin: usize,
}

impl Hex {
    fn of(mut number: u64) -> Self {
        let mut digits = Self { buffer: [b'0'; 16], begin: 16 };
        loop {
            digits.begin -= 1;
            digits.buffer[digits.begin] = b"0123456789abcdef"[(number % 16) as usize];
            number /= 16;
            if number == 0 {
                return digits;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.begin..]
    }
}
