//! Clients that leave while a response is under way: nobody goes on working for them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use ropewalk_core::BoxError;
use ropewalk_core::factory::Deadlines;
use ropewalk_core::testing::Net;
use ropewalk_http::{Body, Incoming, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::talk::{SECOND, Step, Steps, nets};

/// A stream that says when it is dropped.
struct Watched(Steps, Arc<AtomicU32>);

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// It ends its direction and goes on listening.
    Half,
    Close,
    Reset,
}

const SILENCE: u32 = 1000;

/// A site whose only response is silent for long in its middle.
fn site(dropped: &Arc<AtomicU32>, half_close: bool) -> Server<impl ropewalk_http::Handler> {
    let dropped = dropped.clone();
    let handler = move |_: Request<Incoming>| {
        let steps =
            [Step::Data("begun".into()), Step::Wait(SILENCE * SECOND), Step::Data("done".into())];
        let body = Watched(Steps::new(steps), dropped.clone());
        async move { Response::new(Body::stream(body)) }
    };
    Server::new(handler).half_close(half_close)
}

async fn check(net: &Net, dropped: &AtomicU32, leave: Leave, sent: &str, stays: bool, name: &str) {
    let name = format!("{name}, {leave:?} after {:.50}", sent.replace("\r\n", "|"));
    let before = dropped.load(Ordering::Relaxed);
    let mut transport = net.connect("site").expect(&name);
    transport.write_all(sent.as_bytes()).await.expect(&name);
    let mut heard = Vec::new();
    while !heard.ends_with(b"begun\r\n") {
        assert_ne!(transport.read_buf(&mut heard).await.expect(&name), 0, "{name}");
    }
    sleep(100 * SECOND).await;
    assert_eq!(dropped.load(Ordering::Relaxed), before, "{name}: it has not left yet");
    match leave {
        Leave::Half => transport.shutdown().await.expect(&name),
        Leave::Close => drop(transport),
        Leave::Reset => transport.abort(),
    }
    sleep(10 * SECOND).await;
    assert_eq!(dropped.load(Ordering::Relaxed) > before, !stays, "{name}: after it has left");
    sleep(SILENCE * SECOND).await;
    assert_eq!(dropped.load(Ordering::Relaxed), before + 1, "{name}: at the end");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Its content is not read by the handler.
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test(start_paused = true)]
async fn a_stream_is_dropped_as_soon_as_its_client_has_left() {
    for (name, net) in nets() {
        let dropped = Arc::default();
        net.listen("site", site(&dropped, false));
        for leave in [Leave::Half, Leave::Close, Leave::Reset] {
            for sent in [GET.to_owned(), POST.to_owned(), GET.to_owned() + "GET / HT"] {
                check(&net, &dropped, leave, &sent, false, &name).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_the_rest_if_that_is_allowed() {
    let (net, dropped) = (Net::new(), Arc::default());
    net.listen("site", site(&dropped, true));
    check(&net, &dropped, Leave::Half, GET, true, "allowed").await;
    // Who is silent, and for how long, is the handler's affair.
    let guarded = Deadlines::idle(30 * SECOND, site(&dropped, false));
    net.listen("guarded", guarded);
    let mut transport = net.connect("guarded").unwrap();
    transport
        .write_all(format!("{}Connection: close\r\n\r\n", &GET[..GET.len() - 2]).as_bytes())
        .await
        .unwrap();
    let mut heard = String::new();
    transport.read_to_string(&mut heard).await.unwrap();
    assert!(heard.contains("done"), "{heard}");
}

/// Who pipelines more than is kept is not disturbed; and what comes with the silence is not lost.
#[tokio::test(start_paused = true)]
async fn what_comes_during_the_silence_is_kept() {
    for (name, net) in nets() {
        let dropped = Arc::default();
        net.listen("site", site(&dropped, false));
        let mut transport = net.connect("site").expect(&name);
        let mut sent = GET.as_bytes().to_vec();
        let padded = format!("{}X: {}\r\n\r\n", &GET[..GET.len() - 2], "x".repeat(9000));
        for _ in 0..9 {
            sent.extend_from_slice(padded.as_bytes());
        }
        let last = format!("{}Connection: close\r\n\r\n", &GET[..GET.len() - 2]);
        sent.extend_from_slice(last.as_bytes());
        let (mut reading, mut writing) = tokio::io::split(&mut transport);
        let mut heard = String::new();
        let (wrote, read) =
            tokio::join!(writing.write_all(&sent), reading.read_to_string(&mut heard));
        wrote.expect(&name);
        read.expect(&name);
        assert_eq!(heard.matches("done").count(), 11, "{name}");
    }
}
