//! `parse(emit(x)) == x` over heads made by a small generator: deterministic, no clock, no seed.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use ropewalk_core::Output;
use ropewalk_http::parse::{self, Scan, Section};
use ropewalk_http::{Limits, emit};

/// xorshift64*, good enough to choose.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn text(&mut self, alphabet: &[u8], least: usize, most: usize) -> Vec<u8> {
        let length = least + self.below(most - least + 1);
        (0..length).map(|_| *self.one(alphabet)).collect()
    }
}

const TOKEN: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
const PATH: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789-._~!$&'()*+,;=:@%/?";
const NAMES: &[&str] = &["accept", "cookie", "user-agent", "x", "etag", "range", "via", "te"];

fn fields(dice: &mut Dice) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("example.com:8080"));
    for _ in 0..dice.below(12) {
        let name = match dice.below(2) {
            0 => HeaderName::from_static(NAMES[dice.below(NAMES.len())]),
            _ => HeaderName::from_bytes(&[b"x-", &dice.text(TOKEN, 1, 70)[..]].concat()).unwrap(),
        };
        fields.append(name, value(dice));
    }
    fields
}

/// Any bytes that a value may have, without space at its ends.
fn value(dice: &mut Dice) -> HeaderValue {
    let any: Vec<u8> = (0x20..=0xff).filter(|&byte| byte != 0x7f).chain([b'\t']).collect();
    let text = dice.text(&any, 0, 60);
    HeaderValue::from_bytes(text.trim_ascii()).unwrap()
}

fn target(dice: &mut Dice, method: &Method) -> Uri {
    let path = dice.text(PATH, 0, 60);
    let path = std::str::from_utf8(&path).unwrap();
    let target = match (method, dice.below(6)) {
        (&Method::CONNECT, _) => "example.com:443".to_owned(),
        (&Method::OPTIONS, 0 | 1) => "*".to_owned(),
        (_, 2) => format!("http://example.com:8080/{path}"),
        _ => format!("/{path}"),
    };
    match target.parse() {
        Ok(uri) => uri,
        Err(error) => panic!("{target}: {error}"),
    }
}

fn methods(dice: &mut Dice) -> Method {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE"];
    match dice.below(10) {
        0 => Method::from_bytes(&dice.text(TOKEN, 1, 30)).unwrap(),
        _ => Method::from_bytes(dice.one(&known).as_bytes()).unwrap(),
    }
}

fn emitted(emit: impl FnOnce(&mut Output)) -> (Bytes, Scan) {
    let mut output = Output::default();
    emit(&mut output);
    let head = output.take().unwrap();
    let mut scan = Scan::default();
    let found = scan.find(&head, Section::Head, &Limits::default()).unwrap();
    assert_eq!(found, Some(head.len()), "{head:?}");
    (head, scan)
}

#[test]
fn a_request_emitted_is_parsed_as_it_was() {
    let mut dice = Dice(0x5eed);
    for _ in 0..4000 {
        let mut request = Request::new(());
        *request.method_mut() = methods(&mut dice);
        *request.uri_mut() = target(&mut dice, &request.method().clone());
        *request.version_mut() = *dice.one(&[Version::HTTP_10, Version::HTTP_11]);
        *request.headers_mut() = fields(&mut dice);
        let (head, scan) = emitted(|output| emit::request(&request, output));
        let (parsed, _, _) =
            parse::request(&head, &scan).unwrap_or_else(|error| panic!("{error}: {head:?}"));
        assert_eq!(parsed.method(), request.method());
        assert_eq!(parsed.uri(), request.uri());
        assert_eq!(parsed.version(), request.version());
        assert_eq!(parsed.headers(), request.headers());
    }
}

#[test]
fn a_response_emitted_is_parsed_as_it_was() {
    let mut dice = Dice(0xcafe);
    for _ in 0..4000 {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(100 + dice.below(900) as u16).unwrap();
        *response.version_mut() = *dice.one(&[Version::HTTP_10, Version::HTTP_11]);
        *response.headers_mut() = fields(&mut dice);
        let (head, scan) = emitted(|output| emit::response(&response, output));
        let (parsed, _, _) =
            parse::response(&head, &scan).unwrap_or_else(|error| panic!("{error}: {head:?}"));
        assert_eq!(parsed.status(), response.status());
        assert_eq!(parsed.version(), response.version());
        assert_eq!(parsed.headers(), response.headers());
    }
}

#[test]
fn chunk_lines_emitted_are_parsed_as_they_were() {
    let mut sizes: Vec<u64> = (0..64).map(|bit| 1_u64 << bit).collect();
    sizes.extend([u64::MAX, 9, 10, 15, 255, 4096, 65_535, 1_000_000]);
    for size in sizes {
        let mut output = Output::default();
        emit::chunk_line(size, &mut output);
        let line = output.take().unwrap();
        assert_eq!(parse::chunk_line(&line, 256).unwrap(), Some((size, line.len())));
    }
}
