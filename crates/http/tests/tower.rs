//! Services of `tower` as handlers, in memory: what is ready, what fails, what streams.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request as AxumRequest};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use ropewalk_core::testing::Net;
use ropewalk_core::{BoxError, Connection, FileRegion, Raw};
use ropewalk_http::{Body, Handler, Incoming, Server, Switch, Timeouts, Tower};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What is heard after `sent`, without the date.
async fn say(net: &Net, sent: &str) -> String {
    let mut transport = net.connect("site").unwrap();
    transport.write_all(sent.as_bytes()).await.unwrap();
    let mut heard = String::new();
    // What is cut short ends with a reset.
    let _ = transport.read_to_string(&mut heard).await;
    let lines = heard.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

fn site(service: impl Handler) -> Net {
    let net = Net::new();
    net.listen("site", Server::new(service).timeouts(Timeouts::NONE));
    net
}

/// A service that takes its time to be ready, and may fail before or after it.
#[derive(Clone, Default)]
struct Slow {
    fails_ready: bool,
    fails_call: bool,
    ready: bool,
    called: Arc<AtomicU32>,
    until: Option<Instant>,
}

impl Service<Request<Incoming>> for Slow {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.fails_ready {
            return Poll::Ready(Err("secret: not ready".into()));
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + Duration::from_secs(3));
        if Instant::now() < until {
            let waker = cx.waker().clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                waker.wake();
            });
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        assert!(self.ready, "called before it was ready");
        self.ready = false;
        self.called.fetch_add(1, Ordering::Relaxed);
        ready(match self.fails_call {
            true => Err("secret: failed".into()),
            false => Ok(Response::new("served".into())),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_called_when_it_is_ready() {
    let slow = Slow::default();
    let net = site(Tower::new(slow.clone()));
    let begun = Instant::now();
    let heard = say(&net, GET).await;
    assert!(heard.starts_with("HTTP/1.1 200 ") && heard.ends_with("served"), "{heard}");
    assert_eq!((begun.elapsed().as_secs(), slow.called.load(Ordering::Relaxed)), (3, 1));

    let net = site(Tower::new(Slow { fails_ready: true, ..slow.clone() }));
    let heard = say(&net, GET).await;
    assert!(heard.starts_with("HTTP/1.1 503 ") && !heard.contains("secret"), "{heard}");
    assert_eq!(slow.called.load(Ordering::Relaxed), 1);

    let net = site(Tower::new(Slow { fails_call: true, ..slow.clone() }));
    let heard = say(&net, GET).await;
    assert!(heard.starts_with("HTTP/1.1 500 ") && !heard.contains("secret"), "{heard}");
    assert_eq!(slow.called.load(Ordering::Relaxed), 2);
}

/// A body of frames, each after a pause; `None` is a failure.
struct Frames(VecDeque<Option<Frame<Bytes>>>, Option<u64>, Option<Pin<Box<Sleep>>>);

impl Frames {
    fn new(frames: impl IntoIterator<Item = Option<Frame<Bytes>>>, length: Option<u64>) -> Self {
        Self(frames.into_iter().collect(), length, None)
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        if let Some(pause) = &mut self.2 {
            std::task::ready!(pause.as_mut().poll(cx));
        }
        self.2 = Some(Box::pin(sleep(Duration::from_secs(1))));
        let frame = self.0.pop_front();
        if let Some(Some(frame)) = &frame
            && let (Some(length), Some(data)) = (self.1, frame.data_ref())
        {
            self.1 = Some(length.saturating_sub(data.len() as u64));
        }
        Poll::Ready(frame.map(|frame| frame.ok_or_else(|| "secret".to_owned())))
    }

    fn size_hint(&self) -> SizeHint {
        self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A service of a function that makes a body.
#[derive(Clone)]
struct Of<F>(F);

impl<B, F: Fn() -> B> Service<Request<Incoming>> for Of<F> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::new((self.0)())))
    }
}

async fn check<B, F>(make: F, expected: &str)
where
    F: Fn() -> B + Clone + Send + Sync + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let heard = say(&site(Tower::new(Of(make))), GET).await;
    let expected = format!("HTTP/1.1 200 OK\r\n{expected}");
    assert_eq!(heard.replace("connection: close\r\n", ""), expected);
}

fn data(text: &'static str) -> Option<Frame<Bytes>> {
    Some(Frame::data(Bytes::from(text)))
}

fn trailer() -> Option<Frame<Bytes>> {
    let fields = [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))];
    Some(Frame::trailers(HeaderMap::from_iter(fields)))
}

#[tokio::test(start_paused = true)]
async fn bodies_of_others_go_out_as_what_they_are() {
    type Full = http_body_util::Full<Bytes>;
    check(|| Full::from("abc"), "content-length: 3\r\n\r\nabc").await;
    check(|| Full::from(""), "content-length: 0\r\n\r\n").await;
    check(http_body_util::Empty::<Bytes>::new, "content-length: 0\r\n\r\n").await;
    check(|| Frames::new([data("ab"), data("c")], Some(3)), "content-length: 3\r\n\r\nabc").await;
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let body = || Frames::new([data("ab"), data("c")], None);
    check(body, &format!("{chunked}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")).await;
    let body = || Frames::new([data("ab"), trailer()], None);
    check(body, &format!("{chunked}2\r\nab\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    // What fails, or is not what it said, never looks whole.
    let heard = say(&site(Tower::new(Of(|| Frames::new([data("ab"), None], None)))), GET).await;
    assert!(!heard.ends_with("0\r\n\r\n") && !heard.contains("secret"), "{heard}");
    for texts in [&[][..], &[None], &[Some("ab")]] {
        let make = move || Frames::new(texts.iter().map(|text| text.and_then(data)), Some(3));
        let heard = say(&site(Tower::new(Of(make))), GET).await;
        assert!(!heard.contains("abc") && !heard.contains("secret"), "{heard}");
        let content = heard.split_once("\r\n\r\n").map_or("", |(_, content)| content);
        assert!(content.len() < 3, "{heard}");
    }
    // Ours is taken apart rather than polled: a file without a byte of it in memory.
    let path = std::env::temp_dir().join(format!("ropewalk-tower-{}", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(b"a file").unwrap();
    let file = Arc::new(std::fs::File::open(&path).unwrap());
    std::fs::remove_file(path).unwrap();
    let body = move || Body::file(FileRegion { file: file.clone(), offset: 2, len: 4 });
    check(body, "content-length: 4\r\n\r\nfile").await;
}

async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
    while let Some(bytes) = conn.next().await? {
        conn.send(bytes).await?;
    }
    Ok(conn.close().await?)
}

#[tokio::test(start_paused = true)]
async fn a_router_streams_and_hands_connections_over() {
    let router = Router::new()
        .route("/echo", post(async |request: AxumRequest| Response::new(request.into_body())))
        .route(
            "/who",
            get(async |Extension(peer): Extension<ropewalk_core::Peer>| peer.id().to_string()),
        )
        .route(
            "/switch",
            get(async || {
                let fields = [("upgrade", "echo"), ("connection", "upgrade")];
                let mut response = (http::StatusCode::SWITCHING_PROTOCOLS, fields).into_response();
                response.extensions_mut().insert(Switch::new(echo));
                response
            }),
        );
    let net = site(Tower::new(router));
    let fields = "Host: a\r\nConnection: close\r\n";
    let heard = say(&net, &format!("GET /who HTTP/1.1\r\n{fields}\r\n")).await;
    assert!(heard.ends_with("\r\n\r\n1"), "{heard}");
    let chunked = format!("POST /echo HTTP/1.1\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    let heard = say(&net, &format!("{chunked}3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")).await;
    assert!(heard.ends_with("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"), "{heard}");
    let mut transport = net.connect("site").unwrap();
    let upgrade = "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    transport.write_all(format!("{upgrade}behind").as_bytes()).await.unwrap();
    transport.shutdown().await.unwrap();
    let mut heard = String::new();
    transport.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 101 ") && heard.ends_with("\r\n\r\nbehind"), "{heard}");
}
