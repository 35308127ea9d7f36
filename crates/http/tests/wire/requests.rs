//! Content that comes in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use ropewalk_core::testing::Net;
use ropewalk_http::{Body, BodyLength, Event, Incoming, Outgoing, Server};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::talk::{
    KIB, MIB, SECOND, ask, count, dial, get, hear, nets, noise, patient, post, read, request,
};

#[tokio::test(start_paused = true)]
async fn content_and_trailers_come_as_they_were_sent() {
    for (name, net) in nets() {
        net.listen(
            "site",
            patient(async |request: Request<Incoming>| {
                let hint = request.body().size_hint().exact();
                let (content, trailers) = read(request).await.unwrap();
                let mut response = Response::new(Body::from(content));
                let hint = hint.map_or_else(|| "none".into(), |hint| hint.to_string());
                response.headers_mut().insert("x-hint", hint.parse().unwrap());
                if let Some(sum) = trailers.get("x-sum") {
                    response.headers_mut().insert("x-sum", sum.clone());
                }
                response
            }),
        );
        let mut conn = dial(&net);
        for (size, known) in
            [(0, true), (0, false), (1, true), (5000, false), (20 * KIB, true), (9 * KIB, false)]
        {
            let name = format!("{name}, {size} bytes, {known}");
            let content = noise(size);
            let length = if known { BodyLength::Known(size as u64) } else { BodyLength::Unknown };
            conn.send(request("POST /", length)).await.unwrap();
            for piece in content.chunks(1000) {
                conn.send(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            if !known {
                let sum = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
                conn.send(Outgoing::Trailers(sum)).await.unwrap();
            }
            conn.send(Outgoing::End).await.unwrap();
            let answer = hear(&mut conn).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(answer.content, content, "{name}");
            let (hint, sum) = (size.to_string(), if known { "" } else { "7" });
            assert_eq!(answer.field("x-hint"), if known { &hint } else { "none" }, "{name}");
            assert_eq!(answer.field("x-sum"), sum, "{name}");
        }
        conn.close().await.unwrap();
        assert!(net.stop().await.is_empty(), "{name}");
    }
}

/// A size hint says what is still to come (`http_body::Body::size_hint`).
#[tokio::test(start_paused = true)]
async fn a_size_hint_shrinks_with_what_was_read() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| {
            let mut body = request.into_body();
            let mut left = body.size_hint().exact().unwrap();
            while let Some(frame) = body.frame().await {
                left -= frame.unwrap().into_data().unwrap().len() as u64;
                assert_eq!(body.size_hint().exact(), Some(left));
            }
            assert_eq!(left, 0);
            assert!(body.is_end_stream());
            Response::new(Body::from("fine"))
        }),
    );
    let mut conn = dial(&net);
    post(&mut conn, "PUT /", &noise(100 * KIB)).await;
    assert_eq!(hear(&mut conn).await.unwrap().text(), "fine");
}

/// What the handler does not ask for stays with the client.
#[tokio::test(start_paused = true)]
async fn a_handler_that_reads_slowly_keeps_the_client_waiting() {
    const ALL: usize = 4 * MIB;
    for length in [BodyLength::Known(ALL as u64), BodyLength::Unknown] {
        let net = Net::new();
        net.listen(
            "site",
            Server::new(async |request: Request<Incoming>| {
                let mut body = request.into_body();
                let mut got = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
                sleep(30 * SECOND).await;
                while let Some(frame) = body.frame().await {
                    got += frame.unwrap().into_data().unwrap().len();
                }
                Response::new(Body::from(got.to_string()))
            }),
        );
        let sent = Arc::new(AtomicUsize::new(0));
        let mut conn = dial(&net);
        let client = tokio::spawn({
            let sent = sent.clone();
            async move {
                conn.send(request("POST /", length)).await.unwrap();
                for piece in noise(ALL).chunks(16 * KIB) {
                    conn.send(Bytes::copy_from_slice(piece)).await.unwrap();
                    sent.fetch_add(piece.len(), Ordering::Relaxed);
                }
                conn.send(Outgoing::End).await.unwrap();
                hear(&mut conn).await.unwrap()
            }
        });
        sleep(29 * SECOND).await;
        // The client's high-water mark, what the pipe holds, and the server's input.
        let most = (64 + 64 + 64 + 2 * 16) * KIB;
        let before = sent.load(Ordering::Relaxed);
        assert!(before <= most, "{before} of at most {most} bytes were taken: {length:?}");
        assert_eq!(client.await.unwrap().text(), ALL.to_string(), "{length:?}");
    }
}

/// `100 Continue` is sent when the handler asks, not before and not else (RFC 9110 §10.1.1).
#[tokio::test(start_paused = true)]
async fn the_client_is_told_to_go_on_only_when_the_handler_asks() {
    for (name, net) in nets() {
        net.listen(
            "site",
            patient(async |request: Request<Incoming>| match request.uri().path() {
                "/refuse" => Response::new(Body::from("no")),
                "/later" => {
                    sleep(20 * SECOND).await;
                    count(request).await
                }
                _ => count(request).await,
            }),
        );
        let cases =
            [("/now", 0, &[100][..], "5"), ("/later", 20, &[100], "5"), ("/refuse", 0, &[], "no")];
        for (path, seconds, interim, text) in cases {
            let name = format!("{name}, {path}");
            let mut conn = dial(&net);
            let begun = Instant::now();
            let head = format!("POST {path} | expect: 100-continue");
            conn.send(request(&head, BodyLength::Known(5))).await.unwrap();
            let first = conn.next().await.unwrap().unwrap();
            // A bad network takes up to a second for so many bytes.
            assert_eq!(begun.elapsed().as_secs() / 10, seconds / 10, "{name}");
            if !interim.is_empty() {
                let Event::Interim(first) = first else { panic!("{name}: {first:?}") };
                assert_eq!(first.status(), 100, "{name}");
                conn.send(Bytes::from("12345")).await.unwrap();
                conn.send(Outgoing::End).await.unwrap();
                assert_eq!(hear(&mut conn).await.unwrap().text(), text, "{name}");
            } else {
                let Event::Head(head) = first else { panic!("{name}: {first:?}") };
                assert_eq!(head.status(), 200, "{name}");
                // What follows the head may be content or the next request: nobody can know.
                assert_eq!(head.headers()["connection"], "close", "{name}");
                assert_eq!(hear(&mut conn).await.unwrap().text(), text, "{name}");
            }
            conn.close().await.unwrap();
        }
        assert!(net.stop().await.is_empty(), "{name}");
    }
}

/// A client that does not wait for its 100, or does not want one, is sent none.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_to_go_on_who_went_on_already() {
    let net = Net::new();
    net.listen("site", Server::new(count));
    for head in
        ["POST / | expect: 100-continue", "POST /", "POST / HTTP/1.0 | expect: 100-continue"]
    {
        let mut conn = dial(&net);
        post(&mut conn, head, b"12345").await;
        let answer = hear(&mut conn).await.unwrap();
        assert_eq!((answer.text(), &answer.interim[..]), ("5", &[][..]), "{head}");
    }
}

/// Answers after so many frames, which the path says.
async fn some(request: Request<Incoming>) -> Response<Body> {
    let frames: usize = request.uri().path()[1..].parse().unwrap();
    let mut body = request.into_body();
    for _ in 0..frames {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    sleep(SECOND).await;
    Response::new(Body::from("enough"))
}

/// What was not read is thrown away, if it is not too much, and the connection goes on.
#[tokio::test(start_paused = true)]
async fn unread_content_is_thrown_away_or_ends_the_connection() {
    for (name, net) in nets() {
        net.listen("site", patient(some));
        for frames in 0..3 {
            let name = format!("{name}, {frames} frames");
            let mut conn = dial(&net);
            post(&mut conn, &format!("POST /{frames}"), &noise(30 * KIB)).await;
            ask(&mut conn, "GET /0").await;
            for _ in 0..2 {
                let answer = hear(&mut conn).await.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!((answer.text(), answer.closes()), ("enough", false), "{name}");
            }
            conn.close().await.unwrap();
        }
        assert!(net.stop().await.is_empty(), "{name}");
    }
    // More than `Limits::drain`: the answer comes whole, and says that it is the last.
    for frames in 0..3 {
        let net = Net::new();
        net.listen("site", patient(some));
        let mut conn = dial(&net);
        conn.send(request(&format!("POST /{frames}"), BodyLength::Known(4 * MIB as u64)))
            .await
            .unwrap();
        let content = noise(4 * MIB);
        for piece in content.chunks(64 * KIB) {
            // The server ends before it has read all of this.
            if conn.send(Bytes::copy_from_slice(piece)).await.is_err() {
                break;
            }
        }
        let answer = hear(&mut conn).await.unwrap();
        assert_eq!((answer.text(), answer.closes()), ("enough", true), "{frames} frames");
    }
}

/// How a request may be cut short: what is said of it, and what the last thing is.
const CUTS: &[(&str, BodyLength, &str)] = &[
    ("no byte of a known length", BodyLength::Known(10), ""),
    ("most of a known length", BodyLength::Known(10), "123456789"),
    ("no chunk", BodyLength::Unknown, ""),
    ("some chunks and no last one", BodyLength::Unknown, "12345"),
];

/// The body outlives the handler here, in a task of its own.
#[tokio::test(start_paused = true)]
async fn a_request_cut_short_is_an_error_and_never_a_short_success() {
    for (name, net) in nets() {
        let (tell, mut told) = mpsc::unbounded_channel();
        net.listen(
            "site",
            patient(move |request: Request<Incoming>| {
                let tell = tell.clone();
                async move {
                    // Outlives the handler, which is dropped.
                    tokio::spawn(async move { tell.send(read(request).await.is_ok()) });
                    std::future::pending::<Response<Body>>().await
                }
            }),
        );
        for (cut, length, content) in CUTS {
            for aborts in [false, true] {
                let mut conn = dial(&net);
                conn.send(request("POST /", *length)).await.unwrap();
                conn.send(Bytes::from(*content)).await.unwrap();
                conn.flush().await.unwrap();
                sleep(SECOND).await;
                if aborts {
                    conn.abort();
                } else {
                    conn.close().await.unwrap();
                }
                assert!(!told.recv().await.unwrap(), "{name}, {cut}, {aborts}");
                sleep(10 * SECOND).await;
                assert_eq!(net.open(), 0, "{name}, {cut}: the connection is over");
            }
        }
    }
}

/// Notes when it is dropped.
struct Noted(Arc<Mutex<Vec<&'static str>>>, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_content_is_dropped_when_the_client_breaks_off() {
    for (name, net) in nets() {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let noted = notes.clone();
        net.listen(
            "site",
            patient(move |request: Request<Incoming>| {
                let _dropped = Noted(noted.clone(), "dropped");
                let done = Noted(noted.clone(), "went on");
                async move {
                    let (_dropped, done) = (_dropped, done);
                    let response = count(request).await;
                    drop(done);
                    response
                }
            }),
        );
        let mut conn = dial(&net);
        conn.send(request("POST /", BodyLength::Known(10))).await.unwrap();
        conn.send(Bytes::from("12345")).await.unwrap();
        conn.flush().await.unwrap();
        sleep(SECOND).await;
        assert!(notes.lock().unwrap().is_empty(), "{name}");
        conn.abort();
        sleep(SECOND).await;
        // In the order of declaration backwards, so the one that the handler would have dropped first.
        assert_eq!(notes.lock().unwrap()[..], ["went on", "dropped"], "{name}");
        assert_eq!(net.open(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_follows_whatever_became_of_the_content() {
    for (name, net) in nets() {
        net.listen("site", patient(some));
        let mut conn = dial(&net);
        for turn in 0..5 {
            post(&mut conn, "POST /1", &noise(3000)).await;
            let answer = hear(&mut conn).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(answer.text(), "enough", "{name}, {turn}");
        }
        assert_eq!(get(&mut conn, "GET /0").await.text(), "enough", "{name}");
    }
}

/// What comes in goes out, while it comes in.
#[tokio::test(start_paused = true)]
async fn a_response_may_be_made_of_the_request() {
    for (name, net) in nets() {
        net.listen(
            "site",
            patient(async |request: Request<Incoming>| {
                Response::new(Body::stream(request.into_body()))
            }),
        );
        for size in [0, 1, 5000, 20 * KIB] {
            let name = format!("{name}, {size} bytes");
            let mut conn = dial(&net);
            let content = noise(size);
            for length in [BodyLength::Unknown, BodyLength::Known(size as u64)] {
                conn.send(request("POST /", length)).await.unwrap();
                for piece in content.chunks(1000) {
                    conn.send(Bytes::copy_from_slice(piece)).await.unwrap();
                }
                conn.send(Outgoing::End).await.unwrap();
                let answer = hear(&mut conn).await.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(
                    (&answer.content, answer.closes()),
                    (&content.to_vec(), false),
                    "{name}"
                );
            }
            conn.close().await.unwrap();
        }
        // A request that is cut short makes an answer that is.
        let mut conn = dial(&net);
        conn.send(request("POST /", BodyLength::Unknown)).await.unwrap();
        conn.send(Bytes::from("12345")).await.unwrap();
        conn.half_close().await.unwrap();
        hear(&mut conn).await.expect_err(&name);
    }
}

/// Each piece comes back before the next one is sent.
#[tokio::test(start_paused = true)]
async fn a_conversation_within_one_request() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| {
            Response::new(Body::stream(request.into_body()))
        }),
    );
    let mut conn = dial(&net);
    conn.send(request("POST /", BodyLength::Unknown)).await.unwrap();
    for word in ["one", "two", "three"] {
        conn.send(Bytes::from(word)).await.unwrap();
        loop {
            match conn.next().await.unwrap().unwrap() {
                Event::Data(data) => break assert_eq!(data, word),
                Event::Head(head) => assert_eq!(head.status(), 200),
                other => panic!("{other:?}"),
            }
        }
        sleep(2 * SECOND).await;
    }
    conn.send(Outgoing::End).await.unwrap();
    assert_eq!(hear(&mut conn).await.unwrap().content, b"");
    assert_eq!(get(&mut conn, "GET /").await.status, 200);
}
