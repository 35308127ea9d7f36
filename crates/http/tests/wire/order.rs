//! One request after the other: order, what a slow or a bad handler does to the others, and what keeps
//! a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_http::{Body, BodyLength, Incoming, Outgoing, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use crate::talk::{SECOND, all, ask, dial, get, hear, nets, patient, post, read, request};

/// Takes as many seconds as the path says, and says the path.
async fn slow(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let seconds = path.trim_matches(|c: char| !c.is_ascii_digit());
    if let Ok(seconds) = seconds.parse::<u32>() {
        sleep(SECOND * seconds).await;
    }
    if request.method() == "POST" {
        read(request).await.unwrap();
    }
    if path.contains("panic") {
        panic!("told to panic");
    }
    Response::new(Body::from(path))
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order_whatever_the_first_one_takes() {
    for (name, net) in nets() {
        net.listen("site", patient(slow));
        let mut conn = dial(&net);
        let paths = ["/10s", "/a", "/b", "/5s", "/c", "/d"];
        for path in paths {
            ask(&mut conn, &format!("GET {path}")).await;
            post(&mut conn, &format!("POST {path}"), b"some content").await;
        }
        for path in paths {
            for _ in 0..2 {
                let answer = hear(&mut conn).await.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(answer.text(), path, "{name}");
            }
        }
        conn.close().await.unwrap();
        assert!(net.stop().await.is_empty(), "{name}");
    }
}

/// When each of these, sent in one write, is answered.
async fn times(net: &Net, requests: &[&str]) -> Vec<u64> {
    let mut conn = dial(net);
    for text in requests {
        match text.strip_prefix("POST") {
            Some(_) => post(&mut conn, text, b"some content").await,
            None => ask(&mut conn, text).await,
        }
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    for text in requests {
        hear(&mut conn).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        times.push(begun.elapsed().as_secs());
    }
    times
}

/// What is ready goes out before a handler keeps us waiting, not behind it.
#[tokio::test(start_paused = true)]
async fn a_slow_handler_does_not_hold_back_the_answer_before_its_own() {
    let net = Net::new();
    net.listen("site", Server::new(slow));
    for (requests, expected) in [
        (&["GET /a", "GET /5s", "GET /b"][..], &[0, 5, 5][..]),
        (&["GET /a", "POST /5s", "GET /b"], &[0, 5, 5]),
        (&["POST /a", "POST /b", "GET /7s"], &[0, 0, 7]),
        (&["GET /3s", "GET /3s", "GET /3s"], &[3, 6, 9]),
        (&["HEAD /a", "HEAD /5s", "GET /b"], &[0, 5, 5]),
    ] {
        assert_eq!(times(&net, requests).await, expected, "{requests:?}");
    }
}

/// An answer that is waiting to be taken does not keep the handler of the next one from working.
#[tokio::test(start_paused = true)]
async fn a_handler_works_while_the_answer_before_its_own_goes_out() {
    let net = Net::new();
    let done = Arc::new(AtomicUsize::new(0));
    net.listen("site", {
        let done = done.clone();
        Server::new(move |request: Request<Incoming>| {
            let done = done.clone();
            async move {
                if request.uri().path() == "/large" {
                    return Response::new(Body::from(vec![b'x'; 120_000]));
                }
                for _ in 0..5 {
                    sleep(SECOND).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Response::new(Body::from("done"))
            }
        })
    });
    let mut conn = dial(&net);
    ask(&mut conn, "GET /large").await;
    ask(&mut conn, "GET /slow").await;
    conn.flush().await.unwrap();
    // Nothing is read meanwhile.
    sleep(6 * SECOND).await;
    assert_eq!(done.load(Ordering::Relaxed), 5);
    assert_eq!(hear(&mut conn).await.unwrap().content.len(), 120_000);
    assert_eq!(hear(&mut conn).await.unwrap().text(), "done");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_500_and_the_end_of_its_connection_only() {
    for (name, net) in nets() {
        net.listen("site", patient(slow));
        let mut other = dial(&net);
        assert_eq!(get(&mut other, "GET /a").await.text(), "/a", "{name}");
        for text in ["GET /panic", "GET /2panic", "POST /panic", "POST /2panic"] {
            let name = format!("{name}, {text}");
            let mut conn = dial(&net);
            ask(&mut conn, "GET /before").await;
            match text.strip_prefix("POST") {
                Some(_) => post(&mut conn, text, b"some content").await,
                None => ask(&mut conn, text).await,
            }
            ask(&mut conn, "GET /after").await;
            assert_eq!(hear(&mut conn).await.expect(&name).text(), "/before", "{name}");
            let answer = hear(&mut conn).await.expect(&name);
            assert_eq!((answer.status, answer.closes()), (500, true), "{name}");
            assert!(!answer.text().contains("told"), "{name}: nothing leaks: {}", answer.text());
            hear(&mut conn).await.expect_err(&name);
        }
        assert_eq!(get(&mut other, "GET /b").await.text(), "/b", "{name}");
    }
}

/// A handler that panics while content is still coming.
#[tokio::test(start_paused = true)]
async fn a_panic_amid_content_is_a_500_too() {
    let net = Net::new();
    net.listen("site", Server::new(slow));
    let mut conn = dial(&net);
    conn.send(request("PUT /2panic", BodyLength::Known(10))).await.unwrap();
    conn.send(Bytes::from("12345")).await.unwrap();
    let answer = hear(&mut conn).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (500, true));
    assert!(conn.is_stopping() || conn.send(Outgoing::End).await.is_err());
}

/// What a client says about the connection, what the handler does, and what comes of it.
const KEPT: &[(&str, &str, &str, bool)] = &[
    ("HTTP/1.1", "", "", true),
    ("HTTP/1.1", "keep-alive", "", true),
    ("HTTP/1.1", "close", "close", false),
    ("HTTP/1.1", "Close, x", "close", false),
    ("HTTP/1.0", "", "close", false),
    ("HTTP/1.0", "keep-alive", "keep-alive", true),
    ("HTTP/1.0", "Keep-Alive", "keep-alive", true),
    ("HTTP/1.0", "keep-alive, close", "close", false),
];

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_as_long_as_both_want_it() {
    let net = Net::new();
    let say = |connection: &'static str| {
        Server::new(move |_: Request<Incoming>| async move {
            let builder = Response::builder().header("date", "D");
            let builder = match connection {
                "" => builder,
                connection => builder.header("connection", connection),
            };
            builder.body(Body::from("x")).unwrap()
        })
    };
    net.listen("site", say(""));
    net.listen("closing", say("close"));
    for (version, connection, said, kept) in KEPT {
        let name = format!("{version}, {connection:?}");
        let field = match *connection {
            "" => String::new(),
            connection => format!("Connection: {connection}\r\n"),
        };
        let text = format!("GET / {version}\r\nHost: a\r\n{field}\r\n");
        let field = if said.is_empty() { String::new() } else { format!("connection: {said}\r\n") };
        let answer = format!("HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 1\r\n{field}\r\nx");
        for (site, turns, answer) in [
            ("site", if *kept { 2 } else { 1 }, answer.clone()),
            (
                "closing",
                1,
                "HTTP/1.1 200 OK\r\ndate: D\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx"
                    .into(),
            ),
        ] {
            let mut transport = net.connect(site).unwrap();
            transport.write_all(text.repeat(2).as_bytes()).await.unwrap();
            let begun = Instant::now();
            let heard = all(&mut transport).await;
            assert_eq!(heard, answer.repeat(turns), "{name}, {site}");
            // A kept connection ends when it has been idle for a minute.
            let seconds = if turns == 2 { 60 } else { 0 };
            assert_eq!(begun.elapsed().as_secs(), seconds, "{name}, {site}");
        }
    }
}
