//! Deadlines, as a client sees them. The time is virtual.

use std::time::Duration;

use http::{Request, Response};
use ropewalk_core::testing::Net;
use ropewalk_http::{Body, Incoming, Pace, Server, Timeouts};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use crate::talk::{SECOND, all, count};

/// Sends each piece after a pause of so many seconds; then the answer's first line, and after how many
/// seconds the connection had ended.
async fn check(timeouts: Timeouts, pieces: &[(u32, &str)], line: &str, ended: u64) {
    let net = Net::new();
    net.listen("site", Server::new(count).timeouts(timeouts));
    let transport = net.connect("site").unwrap();
    let (mut reading, mut writing) = tokio::io::split(transport);
    let begun = Instant::now();
    let write = async {
        for (pause, piece) in pieces {
            sleep(SECOND * *pause).await;
            // The server may have ended already: that is what is under test.
            let _ = writing.write_all(piece.as_bytes()).await;
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut reading, &mut text).await.unwrap();
        text
    };
    let text = tokio::select! { text = read => text, () = write => unreachable!() };
    let last = text.rfind("HTTP/").map_or("", |last| text[last..].lines().next().unwrap());
    assert_eq!((last, begun.elapsed().as_secs()), (line, ended), "{pieces:?}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK";
const LATE: &str = "HTTP/1.1 408 Request Timeout";

#[tokio::test(start_paused = true)]
async fn a_client_has_so_long() {
    let default = Timeouts::default();
    // Nothing at all: a silent end.
    check(default, &[], "", 10).await;
    // A head that does not get whole, however busily it comes.
    check(default, &[(0, "G")], LATE, 10).await;
    check(default, &[(3, "G"), (3, "E"), (3, "T"), (3, " ")], LATE, 10).await;
    check(default, &[(0, GET), (20, "GET / HTTP/1.1\r\n"), (9, "Host: a\r\n")], LATE, 30).await;
    // An empty line is no head.
    check(default, &[(2, "\r\n")], "", 10).await;
    // Idle: a silent end.
    check(default, &[(5, GET)], OK, 65).await;
    check(default, &[(5, GET), (59, GET), (59, GET)], OK, 183).await;
    // Content: ten seconds of grace, then too slow.
    check(default, &[(0, POST), (3, "12345")], LATE, 10).await;
    check(default, &[(0, POST), (9, "1234567890")], OK, 69).await;
    check(default, &[(0, POST), (9, "12345"), (9, "67890")], LATE, 10).await;
    // At other settings.
    let strict = Timeouts {
        head: Some(2 * SECOND),
        idle: Some(4 * SECOND),
        body: Some(Pace { bytes_per_second: 1, grace: 3 * SECOND }),
    };
    check(strict, &[], "", 2).await;
    check(strict, &[(0, GET)], OK, 4).await;
    check(strict, &[(0, POST), (2, "12"), (2, "34"), (2, "56"), (2, "7890")], OK, 12).await;
    check(strict, &[(0, POST), (2, "1"), (2, "2"), (2, "3")], LATE, 5).await;
}

/// A handler may take as long as it likes: no deadline of the client's runs meanwhile.
#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_not_the_clients_fault() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| {
            sleep(1000 * SECOND).await;
            let response = count(request).await;
            sleep(1000 * SECOND).await;
            response
        }),
    );
    for (text, answer) in [(GET.to_owned(), "0"), (POST.to_owned() + "1234567890", "10")] {
        let mut transport = net.connect("site").unwrap();
        transport.write_all(text.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let heard = all(&mut transport).await;
        assert!(heard.starts_with(OK) && heard.ends_with(answer), "{heard}");
        assert_eq!(begun.elapsed().as_secs(), 2060, "the answer, then a minute of idleness");
    }
}

/// A handler that reads piece by piece, slowly, from a client that sends as fast as it may. Pieces come
/// with half of the next chunk's line, so that there is always something that is not whole.
#[tokio::test(start_paused = true)]
async fn a_handler_that_reads_slowly_is_not_the_clients_fault() {
    use http_body_util::BodyExt as _;
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| {
            let (mut body, mut got) = (request.into_body(), 0);
            while let Some(frame) = body.frame().await {
                got += frame.unwrap().into_data().unwrap().len();
                sleep(30 * SECOND).await;
            }
            Response::new(Body::from(got.to_string()))
        }),
    );
    let (mut reading, mut writing) = tokio::io::split(net.connect("site").unwrap());
    let writer = tokio::spawn(async move {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1";
        writing.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..20 {
            sleep(Duration::from_millis(100)).await;
            writing.write_all(b"\r\nx\r\n1").await.unwrap();
            // Until the handler has taken it and asks for more.
            sleep(30 * SECOND).await;
        }
        writing.write_all(b"\r\nx\r\n0\r\n\r\n").await.unwrap();
        writing
    });
    let mut heard = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut reading, &mut heard).await.unwrap();
    assert!(heard.ends_with("\r\n\r\n21"), "{heard}");
    drop(writer.await.unwrap());
}

/// The rest of a head that comes while the handler of the request before is busy.
#[tokio::test(start_paused = true)]
async fn half_a_head_behind_a_slow_request_is_not_the_clients_fault() {
    let net = Net::new();
    net.listen(
        "site",
        Server::new(async |request: Request<Incoming>| {
            sleep(50 * SECOND).await;
            count(request).await
        }),
    );
    for first in [GET.to_owned(), POST.to_owned() + "1234567890"] {
        let mut transport = net.connect("site").unwrap();
        let (half, rest) = GET.split_at(9);
        transport.write_all((first + half).as_bytes()).await.unwrap();
        sleep(55 * SECOND).await;
        transport.write_all(rest.as_bytes()).await.unwrap();
        let heard = all(&mut transport).await;
        assert_eq!(heard.matches(OK).count(), 2, "{heard}");
        assert_eq!(heard.matches("HTTP/").count(), 2, "{heard}");
    }
}
