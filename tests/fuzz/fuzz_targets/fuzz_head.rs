//! Heads: the search for their end does not depend on the cut, and what is parsed, emitted and parsed
//! again is the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ropewalk_core::Output;
use ropewalk_http::parse::{self, Scan, Section};
use ropewalk_http::{Limits, emit};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    for section in [Section::Head, Section::Trailer] {
        let mut whole = Scan::default();
        let found = whole.find(data, section, &limits);
        let mut cut = Scan::default();
        let piecewise = (0..=data.len())
            .map(|end| cut.find(&data[..end], section, &limits))
            .find(|found| !matches!(found, Ok(None)))
            .unwrap_or(Ok(None));
        match (&found, &piecewise) {
            (Ok(found), Ok(piecewise)) => assert_eq!(found, piecewise),
            (Err(error), Err(other)) => assert_eq!(error.status(), other.status()),
            _ => panic!("{found:?} is not {piecewise:?}"),
        }
        let Ok(Some(length)) = found else { continue };
        let head = Bytes::copy_from_slice(&data[..length]);
        match section {
            Section::Head => both(&head, &whole),
            Section::Trailer => drop(parse::trailers(&head, &whole)),
        }
    }
    let _ = parse::chunk_line(data, limits.chunk_line);
});

fn both(head: &Bytes, scan: &Scan) {
    if let Ok((request, facts, body)) = parse::request(head, scan) {
        let (head, scan) = again(|output| emit::request(&request, output));
        let (same, same_facts, same_body) = parse::request(&head, &scan).expect("it was a request");
        assert_eq!(same.method(), request.method());
        assert_eq!(same.uri(), request.uri());
        assert_eq!(same.version(), request.version());
        assert_eq!(same.headers(), request.headers());
        assert_eq!((same_facts.close, same_body), (facts.close, body));
    }
    if let Ok((response, facts, body)) = parse::response(head, scan) {
        let (head, scan) = again(|output| emit::response(&response, output));
        let (same, same_facts, same_body) = parse::response(&head, &scan).expect("it was a response");
        assert_eq!(same.status(), response.status());
        assert_eq!(same.version(), response.version());
        assert_eq!(same.headers(), response.headers());
        assert_eq!((same_facts.close, same_body), (facts.close, body));
    }
}

/// What is emitted may be longer than what was read (a status has its name added), so no caps.
fn again(emit: impl FnOnce(&mut Output)) -> (Bytes, Scan) {
    let mut limits = Limits::default();
    (limits.start_line, limits.head) = (1 << 24, 1 << 24);
    let mut output = Output::default();
    emit(&mut output);
    let head = output.take().expect("there is no file in it");
    let mut scan = Scan::default();
    assert_eq!(scan.find(&head, Section::Head, &limits).expect("it is a head"), Some(head.len()));
    (head, scan)
}
