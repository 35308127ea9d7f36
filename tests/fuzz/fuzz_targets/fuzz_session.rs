//! Sessions of both roles: the same events whole or cut, no panic, and no more output than one
//! answer to each request and one to an error.
#![no_main]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../crates/http/tests/framing/harness.rs"]
mod harness;

use harness::{Session, Stage};
use http::{Method, Request};
use libfuzzer_sys::fuzz_target;
use ropewalk_core::Protocol;
use ropewalk_http::{BodyLength, Limits, Outgoing};

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    let whole = run(*choice, rest, rest.len().max(1));
    for piece in [1, 2, 7, 64] {
        assert_eq!(run(*choice, rest, piece), whole, "pieces of {piece}");
    }
});

/// Everything a session hears of `bytes` that come in pieces, the peer's end behind them.
fn run(choice: u8, bytes: &[u8], piece: usize) -> Vec<String> {
    let mut stage = stage(choice);
    for piece in bytes.chunks(piece) {
        stage.wire.input.extend_from_slice(piece);
        if !stage.is_over() {
            stage.listen(true);
        }
    }
    stage.wire.eof = true;
    if !stage.is_over() {
        stage.listen(true);
    }
    let messages = stage.heard.iter().filter(|line| *line == "end").count() as u64;
    let bound = 1024 + messages * 256;
    assert!(stage.wire.output.len() < bound, "{} bytes of output", stage.wire.output.len());
    if stage.is_switched() {
        stage.heard.push(format!("switched, {:?}", stage.wire.input));
    }
    stage.heard
}

fn stage(choice: u8) -> Stage {
    let mut limits = Limits::default();
    if choice & 1 != 0 {
        limits.body = Some(100);
        (limits.start_line, limits.head, limits.fields) = (60, 200, 5);
        (limits.chunk_line, limits.trailer) = (10, 40);
    }
    if choice & 2 == 0 {
        return Stage::server(limits);
    }
    let mut stage = Stage::client(limits);
    let Session::Client(client) = &mut stage.session else { return stage };
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let mut request = Request::new(BodyLength::Empty);
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from_static("http://a/");
        for item in [Outgoing::Head(request), Outgoing::End] {
            client.send(item, &mut stage.wire).expect("a request that may be sent");
        }
    }
    stage
}
