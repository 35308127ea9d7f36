//! Content that goes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_http::body::Piece;
use ropewalk_http::{Body, Event, Incoming, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::talk::{
    KIB, MIB, SECOND, Step, Steps, all, ask, dial, file, get, hear, nets, noise, patient,
};

/// How large the content of most bodies here is.
const SIZE: usize = 5000;

fn data(range: std::ops::Range<usize>) -> Step {
    Step::Data(noise(SIZE).slice(range))
}

/// All content in two pieces.
fn halves() -> [Step; 3] {
    [data(0..2000), Step::Wait(SECOND), data(2000..SIZE)]
}

fn failing(how: Step) -> Steps {
    Steps::new([data(0..2000), Step::Wait(SECOND), data(2000..4000), how])
}

/// A body, and what the client is to make of it: all of [`noise`]'s bytes, nothing, or no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    All,
    Nothing,
    Cut,
}

type Make = fn() -> Body;

/// Every kind of body that a handler can give.
const BODIES: &[(&str, Make, Outcome)] = &[
    ("empty", Body::empty, Outcome::Nothing),
    ("bytes", || Body::from(noise(SIZE)), Outcome::All),
    ("file", || Body::file(file(&noise(SIZE), 0..SIZE as u64)), Outcome::All),
    ("empty file", || Body::file(file(b"", 0..0)), Outcome::Nothing),
    ("pieces", pieces, Outcome::All),
    ("known stream", || Steps::new(halves()).known(SIZE as u64).body(), Outcome::All),
    ("stream", || Steps::new(halves()).body(), Outcome::All),
    ("empty stream", || Steps::new([]).body(), Outcome::Nothing),
    ("failing stream", || failing(Step::Fail).body(), Outcome::Cut),
    ("failing known stream", || failing(Step::Fail).known(SIZE as u64).body(), Outcome::Cut),
    ("failing at the end", || Steps::new([data(0..SIZE), Step::Fail]).body(), Outcome::Cut),
    ("failing at once", || Steps::new([Step::Fail]).body(), Outcome::Cut),
    ("panicking stream", || failing(Step::Panic).body(), Outcome::Cut),
    ("short stream", || Steps::new([data(0..2000)]).known(SIZE as u64).body(), Outcome::Cut),
    ("long stream", || Steps::new([data(0..SIZE)]).known(2000).body(), Outcome::Cut),
    ("short file", || Body::file(file(&noise(2000), 0..SIZE as u64)), Outcome::Cut),
    ("short piece", short_piece, Outcome::Cut),
];

fn pieces() -> Body {
    let all = noise(SIZE);
    Body::pieces([
        Piece::Bytes(all.slice(..10)),
        Piece::File(file(&all, 10..3000)),
        Piece::Bytes(all.slice(3000..3001)),
        Piece::File(file(&all, 3001..SIZE as u64)),
    ])
}

fn short_piece() -> Body {
    let all = noise(SIZE);
    Body::pieces([Piece::File(file(&all[..100], 0..4000)), Piece::Bytes(all.slice(4000..))])
}

/// Answers with the body of this number.
async fn numbered(request: Request<Incoming>) -> Response<Body> {
    let number: usize = request.uri().path()[1..].parse().unwrap();
    Response::new(BODIES[number].1())
}

async fn check(net: &Net, number: usize, (kind, _, outcome): &(&str, Make, Outcome), how: &str) {
    let mut conn = dial(net);
    let (method, version) = how.split_once(' ').unwrap();
    ask(&mut conn, &format!("{method} /{number} {version}")).await;
    let heard = hear(&mut conn).await;
    let name = format!("{how}, {kind}");
    match (outcome, method) {
        (Outcome::Cut, "GET") => {
            let error = heard.expect_err(&name);
            assert!(!error.starts_with("ended"), "{name}: a reset, not an end: {error}");
            return;
        }
        (Outcome::All, "GET") => assert_eq!(heard.expect(&name).content, noise(SIZE), "{name}"),
        _ => assert_eq!(heard.expect(&name).content, b"", "{name}"),
    }
    // What follows on the same connection is not confused by any of them.
    if version == "HTTP/1.1" {
        assert_eq!(get(&mut conn, "GET /1").await.content, noise(SIZE), "{name}");
        conn.close().await.expect(&name);
    } else {
        assert!(conn.next().await.expect(&name).is_none(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_body_reaches_every_client_whole_or_not_at_all() {
    for (name, net) in nets() {
        net.listen("site", patient(numbered));
        for (number, body) in BODIES.iter().enumerate() {
            for how in ["GET HTTP/1.1", "GET HTTP/1.0", "HEAD HTTP/1.1", "HEAD HTTP/1.0"] {
                let checked = timeout(300 * SECOND, check(&net, number, body, how)).await;
                assert!(checked.is_ok(), "{name}, {how}, {}: hangs", body.0);
            }
        }
        // A panic in a body is its connection's end: there is one to find here.
        drop(net);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_follow_a_stream_where_they_can() {
    for (name, net) in nets() {
        net.listen(
            "site",
            patient(async |_: Request<Incoming>| {
                let steps = [data(0..9), Step::Wait(SECOND), Step::Trailer("x-sum", "7")];
                Response::new(Steps::new(steps).body())
            }),
        );
        let mut conn = dial(&net);
        let answer = get(&mut conn, "GET /").await;
        assert_eq!(
            (&answer.content[..], &answer.trailers["x-sum"]),
            (&noise(9)[..], &"7".parse().unwrap()),
            "{name}"
        );
        let answer = get(&mut conn, "HEAD /").await;
        assert!(answer.content.is_empty() && answer.trailers.is_empty(), "{name}");
        let answer = get(&mut conn, "GET / HTTP/1.0").await;
        assert_eq!((&answer.content[..], answer.trailers.len()), (&noise(9)[..], 0), "{name}");
    }
}

/// What is made goes out before the next frame is waited for, not behind it.
#[tokio::test(start_paused = true)]
async fn a_stream_is_flushed_when_its_next_frame_keeps_us_waiting() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |_: Request<Incoming>| {
            let second = |n: usize| [data(n..n + 1), Step::Wait(SECOND)];
            Response::new(Steps::new((0..5).flat_map(second)).body())
        }),
    );
    let mut conn = dial(&net);
    ask(&mut conn, "GET /").await;
    let (begun, mut times) = (Instant::now(), Vec::new());
    loop {
        match conn.next().await.unwrap().unwrap() {
            Event::Data(data) => times.extend(data.iter().map(|_| begun.elapsed().as_secs())),
            Event::End => break,
            _ => {}
        }
    }
    assert_eq!(times, [0, 1, 2, 3, 4]);
}

/// A stream is made no faster than the client reads.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_keeps_a_stream_waiting() {
    let made = Arc::new(AtomicU32::new(0));
    let net = Net::new();
    net.listen("site", {
        let made = made.clone();
        Server::new(move |_: Request<Incoming>| {
            let frame = Step::Data(Bytes::from(vec![0; 16 * KIB]));
            let steps = Steps::new(std::iter::repeat_n(frame, 256)).counted(&made);
            async move { Response::new(steps.body()) }
        })
    });
    let mut conn = dial(&net);
    ask(&mut conn, "GET /").await;
    conn.flush().await.unwrap();
    sleep(30 * SECOND).await;
    // The pipe, our high-water mark, and the one that waits above it.
    let most = (64 + 64) / 16 + 2;
    let before = made.load(Ordering::Relaxed);
    assert!(before <= most, "{before} frames of at most {most}");
    assert_eq!(hear(&mut conn).await.unwrap().content.len(), 4 * MIB);
}

/// A large body is one buffer, sent as fast as it is read.
#[tokio::test(start_paused = true)]
async fn large_bytes_and_files_reach_a_slow_reader() {
    let net = Net::new();
    let large = noise(3 * MIB);
    net.listen("site", {
        let large = large.clone();
        Server::new(move |request: Request<Incoming>| {
            let large = large.clone();
            async move {
                Response::new(match request.uri().path() {
                    "/bytes" => Body::from(large),
                    _ => Body::file(file(&large, 0..large.len() as u64)),
                })
            }
        })
    });
    for path in ["/bytes", "/file"] {
        let mut conn = dial(&net);
        ask(&mut conn, &format!("GET {path}")).await;
        let mut content = Vec::new();
        loop {
            match conn.next().await.unwrap().unwrap() {
                Event::Data(data) => content.extend_from_slice(&data),
                Event::End => break,
                _ => {}
            }
            sleep(SECOND).await;
        }
        assert!(content == large, "{path}");
    }
}

/// A client that takes nothing for a minute is given up.
#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_given_up() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |_: Request<Incoming>| Response::new(Body::from(noise(MIB)))),
    );
    let mut conn = dial(&net);
    ask(&mut conn, "GET /").await;
    conn.flush().await.unwrap();
    sleep(59 * SECOND).await;
    assert_eq!(net.open(), 1);
    sleep(2 * SECOND).await;
    assert_eq!(net.open(), 0);
    hear(&mut conn).await.expect_err("it was reset");
}

/// A handler that contradicts itself: the client gets an error page, and nothing of the reason.
#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_said_is_a_500() {
    type Build = fn(http::response::Builder) -> http::response::Builder;
    let cases: &[(&str, Build)] = &[
        ("a length that is not the content's", |r| r.header("content-length", "7")),
        ("a framing of its own", |r| r.header("transfer-encoding", "chunked")),
        ("an interim status", |r| r.status(102)),
        ("a switch that nobody asked for", |r| r.status(101).header("upgrade", "x")),
    ];
    for (name, build) in cases {
        let net = Net::new();
        let build = *build;
        net.listen(
            "site",
            Server::new(move |_: Request<Incoming>| async move {
                build(Response::builder()).body(Body::from("hello")).unwrap()
            }),
        );
        let mut conn = dial(&net);
        ask(&mut conn, "GET /").await;
        let answer = hear(&mut conn).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status, answer.closes()), (500, true), "{name}");
        assert_eq!(answer.text(), "Internal Server Error\n", "{name}");
    }
}

/// The bytes themselves, once, so that no agreement of two wrongs is taken for right.
#[tokio::test(start_paused = true)]
async fn what_is_on_the_wire() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| {
            let steps = [
                Step::Data("ab".into()),
                Step::Wait(SECOND),
                Step::Data("c".into()),
                Step::Trailer("x-sum", "7"),
            ];
            let body = match request.uri().path() {
                "/stream" => Steps::new(steps).body(),
                "/file" => Body::file(file(b"0123456789", 2..5)),
                _ => Body::from("abc"),
            };
            Response::builder().header("date", "D").body(body).unwrap()
        }),
    );
    let cases = [
        (
            "GET /stream HTTP/1.1",
            "transfer-encoding: chunked\r\n",
            "2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
        ("HEAD /stream HTTP/1.1", "transfer-encoding: chunked\r\n", ""),
        ("GET /stream HTTP/1.0", "", "abc"),
        ("GET /file HTTP/1.1", "content-length: 3\r\n", "234"),
        ("HEAD /file HTTP/1.0", "content-length: 3\r\n", ""),
        ("GET /bytes HTTP/1.0", "content-length: 3\r\n", "abc"),
    ];
    for (line, length, content) in cases {
        let mut transport = net.connect("site").unwrap();
        let text = format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n");
        transport.write_all(text.as_bytes()).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ndate: D\r\n{length}connection: close\r\n\r\n");
        assert_eq!(all(&mut transport).await, head + content, "{line}");
    }
}
