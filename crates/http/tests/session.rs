//! Whole sessions, from `transcripts/*.txt`: each with its input whole, byte by byte and under every
//! cut of every part of it; and our client against our server, through two wires in memory.
//!
//! A transcript begins with `role server` or `role client`, then:
//!
//! ```text
//! C: a line of the client's, CR LF is added       C> bytes of the client's as they are
//! S: the same of the server's                     S> the same
//! E: an event, as in parse.rs, fields left out    eof    wait 10s    (the peer's end; virtual time)
//! > say 200 known 5 | name: value                 > ask GET / chunked | name: value
//! > data text   > file text   > trailers | name: value   > end   > proceed   > interim 103 | ...
//! > whole 200 known 5 text | name: value          > whole PUT / known 5 text | name: value
//! > farewell done | busy                          refused WHAT > any of these
//! is over | kept | switched | expecting | owing | silent | sending | idle     not ...
//! deadline 10s | none     date TEXT     limit name value     timeout none
//! ```
//!
//! `known N`, `chunked` (length unknown) or `empty` says how long the content is. What the session
//! says must be in the transcript, and nothing else.

#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[allow(dead_code, reason = "each file of tests uses its part")]
#[path = "framing/harness.rs"]
mod harness;
#[path = "framing/pair.rs"]
mod pair;
#[path = "framing/script.rs"]
mod script;

use script::{Cut, Script};

/// Runs a transcript under every cut.
fn check(name: &str, text: &str) {
    let script = Script::parse(name, text);
    script.run(Cut::Whole);
    script.run(Cut::Bytes);
    for at in 1..script.longest_input() {
        script.run(Cut::At(at));
    }
}

/// One test for each transcript.
macro_rules! transcripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let name = stringify!($name);
            check(name, include_str!(concat!("transcripts/", stringify!($name), ".txt")));
        }
    )*

        #[test]
        fn every_transcript_is_run() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
            let names = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(names.contains(&name), "{name} is not run");
            }
        }
    };
}

transcripts! {
    server_responses
    server_fields
    server_whole
    server_farewell_draining
    server_pipelining
    server_deadlines
    server_body_pace
    server_expect
    server_early_response
    server_upgrade
    server_connect
    server_farewell
    server_farewell_idle
    server_refusals
    server_refused_midway
    server_misuse
    server_too_little
    server_too_much
    server_http10
    client_requests
    client_whole
    client_pipelining
    client_misuse
    client_early_response
    client_deadlines
    client_farewell
    client_close
    client_upgrade
}

/// A deadline of the caller's holds whatever is waited for, and no longer than it is set.
#[test]
fn a_client_keeps_its_callers_deadline() {
    use std::time::{Duration, Instant};

    use ropewalk_core::{Protocol as _, Wire};
    use ropewalk_http::session::Client;
    use ropewalk_http::{BodyLength, Error, Event, Limits, Outgoing, Timeouts};

    let begun = Instant::now();
    let five = Duration::from_secs(5);
    let asked = || {
        let (mut session, mut wire) =
            (Client::new(Limits::default(), Timeouts::NONE), Wire::new(begun));
        let request = http::Request::get("/").header("host", "a").body(BodyLength::Empty);
        session.send(Outgoing::Head(request.unwrap()), &mut wire).unwrap();
        session.send(Outgoing::End, &mut wire).unwrap();
        session.set_deadline(Some((begun + five, five)));
        (session, wire)
    };
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na";
    for heard in [&b""[..], &head[..10], head] {
        let (mut session, mut wire) = asked();
        wire.input.extend_from_slice(heard);
        while session.receive(&mut wire).unwrap().is_some() {}
        let missing = if heard.len() == head.len() { Some(2) } else { Some(0) };
        assert_eq!((session.missing(), session.deadline()), (missing, Some(begun + five)));
        wire.now = begun + five;
        let error = session.receive(&mut wire).unwrap_err();
        assert!(matches!(error, Error::Timeout { after, .. } if after == five), "{error}");
        assert!(session.receive(&mut wire).unwrap().is_none());
    }
    // What came in time counts, however late somebody looks; and it can be taken away.
    let (mut session, mut wire) = asked();
    wire.input.extend_from_slice(head);
    wire.now = begun + five;
    assert!(matches!(session.receive(&mut wire).unwrap(), Some(Event::Head(_))));
    assert!(matches!(session.receive(&mut wire).unwrap(), Some(Event::Data(_))));
    session.set_deadline(None);
    assert!(session.receive(&mut wire).unwrap().is_none());
    assert_eq!(session.deadline(), None);
}
