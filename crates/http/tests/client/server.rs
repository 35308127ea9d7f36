//! Our client and our server, on a good network and on bad ones.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use ropewalk_core::testing::Net;
use ropewalk_core::{BoxError, Connection, Raw, factory};
use ropewalk_http::client::{Client, ErrorKind, Patience};
use ropewalk_http::{Body, Incoming, Limits, Server, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::on;

const KIB: usize = 1024;

/// A good network and some bad ones, each with what to call it.
fn nets() -> impl Iterator<Item = (String, Net)> {
    let bad = (0..12).map(|seed| (format!("seed {seed}"), Net::seeded(seed)));
    [("good".to_owned(), Net::new())].into_iter().chain(bad)
}

/// Bytes of which no two stretches are alike.
fn noise(length: usize) -> Bytes {
    let mut state = 1_u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(byte).collect()
}

/// A stream of frames of this size, and a trailer; counts what was asked of it.
struct Frames {
    left: Bytes,
    size: usize,
    trailer: bool,
    made: Arc<AtomicU64>,
}

impl Frames {
    fn of(content: Bytes, size: usize) -> Self {
        Self { left: content, size, trailer: true, made: Arc::default() }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.left.is_empty() {
            let trailer = std::mem::take(&mut this.trailer).then(|| {
                let fields =
                    HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
                Ok(Frame::trailers(fields))
            });
            return Poll::Ready(trailer);
        }
        let data = this.left.split_to(this.size.min(this.left.len()));
        this.made.fetch_add(data.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

async fn site(request: Request<Incoming>) -> Response<Body> {
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match request.uri().path() {
        "/hello" => Response::new(Body::from("hello")),
        "/noise" => Response::new(Body::from(noise(40 * KIB))),
        "/stream" => Response::new(Body::stream(Frames::of(noise(40 * KIB), 3000))),
        "/echo" => Response::new(Body::stream(request.into_body())),
        "/refuse" => {
            let mut response = Response::new(Body::from("too much for me"));
            *response.status_mut() = status(413);
            response
        }
        "/slow" => {
            sleep(Duration::from_secs(5)).await;
            Response::new(Body::from("slow"))
        }
        "/there" => Response::builder()
            .status(303)
            .header("location", "/hello")
            .body(Body::empty())
            .unwrap(),
        "/count" => {
            let collected = request.into_body().collect().await.unwrap();
            let trailer = collected.trailers().and_then(|fields| fields.get("x-sum")).cloned();
            let trailer = trailer.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
            Response::new(Body::from(format!("{} {trailer}", collected.to_bytes().len())))
        }
        _ => Response::builder().status(404).body(Body::from("no such thing")).unwrap(),
    }
}

/// Client and server that wait for ever: bad networks are slower than deadlines allow.
fn pair(net: &Net) -> Client {
    net.listen("site", Server::new(site).timeouts(Timeouts::NONE));
    patient(net)
}

fn patient(net: &Net) -> Client {
    let patience =
        Patience { connect: None, head: None, body: None, total: None, ..Patience::default() };
    on(net).patience(patience).build()
}

async fn text(client: &Client, method: Method, path: &str, body: Body) -> String {
    let ask = client.request(method, format!("http://site{path}")).body(body);
    let response = ask.await.unwrap_or_else(|error| panic!("{path}: {error}"));
    let status = response.status().as_u16();
    let text = response.into_body().text().await.unwrap_or_else(|error| panic!("{path}: {error}"));
    format!("{status} {text}")
}

#[tokio::test(start_paused = true)]
async fn everything_comes_whole_whatever_the_network() {
    for (name, net) in nets() {
        let client = pair(&net);
        let get = |path| client.get(format!("http://site{path}")).send();
        for _ in 0..2 {
            assert_eq!(
                text(&client, Method::GET, "/hello", ().into()).await,
                "200 hello",
                "{name}"
            );
            assert_eq!(text(&client, Method::HEAD, "/hello", ().into()).await, "200 ", "{name}");
            assert_eq!(
                text(&client, Method::PUT, "/there", "x".into()).await,
                "200 hello",
                "{name}"
            );
            let bytes = get("/noise").await.unwrap().into_body().bytes().await.unwrap();
            assert_eq!(bytes, noise(40 * KIB), "{name}");
            let mut streamed = get("/stream").await.unwrap().into_body();
            let mut bytes = Vec::new();
            while let Some(data) = streamed.next().await.unwrap() {
                bytes.extend_from_slice(&data);
            }
            assert_eq!(bytes, noise(40 * KIB), "{name}");
            assert_eq!(streamed.trailers().unwrap()["x-sum"], "7", "{name}");
            let stream = Body::stream(Frames::of(noise(20 * KIB), 700));
            assert_eq!(
                text(&client, Method::POST, "/count", stream).await,
                "200 20480 7",
                "{name}"
            );
            let bytes = Body::from(noise(20 * KIB));
            assert_eq!(text(&client, Method::PUT, "/count", bytes).await, "200 20480 ", "{name}");
        }
        assert_eq!(client.idle(), 1, "{name}: one connection did it all");
        drop(client);
        assert!(net.stop().await.is_empty(), "{name}");
    }
}

/// The server answers with what it is still being sent.
#[tokio::test(start_paused = true)]
async fn content_goes_both_ways_at_once() {
    for (name, net) in nets().take(6) {
        let client = pair(&net);
        let (content, made) = (noise(300 * KIB), Arc::<AtomicU64>::default());
        let frames = Frames { made: made.clone(), ..Frames::of(content.clone(), 1000) };
        let ask = client.post("http://site/echo").without_expect().body(Body::stream(frames));
        let mut body = ask.await.unwrap().into_body();
        // Nobody reads: what is made of the content is bounded.
        let _ = timeout(Duration::from_secs(30), std::future::pending::<()>()).await;
        assert!(made.load(Ordering::Relaxed) < 250 * KIB as u64, "{name}: {made:?}");
        let mut bytes = Vec::new();
        while let Some(data) = body.next().await.unwrap() {
            bytes.extend_from_slice(&data);
        }
        assert!(bytes == content, "{name}");
        assert_eq!(client.idle(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_middle_of_the_content_is_heard() {
    for (name, net) in nets() {
        let limits = Limits { drain: 1000, ..Limits::default() };
        net.listen("site", Server::new(site).timeouts(Timeouts::NONE).limits(limits));
        let client = patient(&net);
        let made = Arc::<AtomicU64>::default();
        let frames = Frames { made: made.clone(), ..Frames::of(noise(3000 * KIB), 1000) };
        let ask = client.post("http://site/refuse").without_expect().body(Body::stream(frames));
        let response = ask.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status(), 413, "{name}");
        let text = response.into_body().text().await;
        assert_eq!(text.unwrap_or_else(|error| panic!("{name}: {error}")), "too much for me");
        assert!(made.load(Ordering::Relaxed) < 1000 * KIB as u64, "{name}: it stopped");
        assert_eq!(client.idle(), 0, "{name}");
    }
}

/// Drops a request after every number of steps, and the content after every number of pieces; what
/// comes next is never disturbed.
#[tokio::test(start_paused = true)]
async fn giving_up_at_any_step_poisons_nothing() {
    for (name, net) in nets().take(6) {
        let client = pair(&net);
        for path in ["/hello", "/stream", "/echo", "/there"] {
            for steps in 0..40 {
                let body = Body::stream(Frames::of(noise(3 * KIB), 500));
                {
                    let ask = client.post(format!("http://site{path}")).without_expect().body(body);
                    let mut asking = pin!(ask.into_future());
                    let mut response = None;
                    for _ in 0..steps {
                        let cx = &mut Context::from_waker(Waker::noop());
                        if let Poll::Ready(ready) = asking.as_mut().poll(cx) {
                            response = Some(ready.unwrap().into_body());
                            break;
                        }
                        sleep(Duration::from_millis(1 + steps)).await;
                    }
                    if let Some(mut body) = response {
                        for _ in 0..steps / 4 {
                            let _ = timeout(Duration::from_millis(3), body.next()).await;
                        }
                    }
                }
                let found = text(&client, Method::GET, "/hello", ().into()).await;
                assert_eq!(found, "200 hello", "{name} {path} {steps}");
            }
        }
        assert!(client.idle() <= 1, "{name}: {}", client.idle());
    }
}

/// Says so much, then ends in order or abruptly.
async fn cut_at(mut conn: Connection<Raw>, said: &'static str) -> Result<(), BoxError> {
    let _ = conn.next().await?;
    conn.send(Bytes::from_static(said.as_bytes())).await?;
    if said.len().is_multiple_of(2) {
        conn.flush().await?;
        sleep(Duration::from_secs(5)).await;
        conn.abort();
        return Ok(());
    }
    Ok(conn.close().await?)
}

/// A server that ends connections whenever it likes: each answer is whole, or an error.
#[tokio::test(start_paused = true)]
async fn ends_at_any_byte_are_never_short_successes() {
    let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
    for (name, net) in nets().take(6) {
        for cut in 0..=whole.len() {
            let said = &whole[..cut];
            let server = factory::serve_with(Raw::default, move |conn| cut_at(conn, said));
            net.listen("site", server);
            let client = patient(&net);
            let answer = async { client.get("http://site/").await?.into_body().text().await }.await;
            match answer {
                Ok(text) => assert_eq!((&*text, cut), ("helloworld", whole.len()), "{name}"),
                Err(error) => assert!(cut < whole.len() && error.is_cut(), "{name} {cut}: {error}"),
            }
            net.unlisten("site");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn time_limits_are_kept() {
    let net = Net::new();
    let _ = pair(&net);
    let client = on(&net).build();
    let slow = || client.get("http://site/slow");
    let begun = tokio::time::Instant::now();
    let error = slow().answer_within(Duration::from_secs(2)).await.expect_err("slow");
    assert_eq!(error.to_string(), "http://site/slow: no answer within 2s");
    let error = slow().done_within(Duration::from_secs(3)).await.expect_err("slow");
    assert_eq!(error.to_string(), "http://site/slow: it was not done within 3s");
    assert!(error.is_timeout());
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(slow().done_within(Duration::from_secs(6)).await.unwrap().status(), 200);
    // A response that is not read in time is not read.
    let mut body = client
        .get("http://site/noise")
        .done_within(Duration::from_secs(1))
        .await
        .unwrap()
        .into_body();
    sleep(Duration::from_secs(2)).await;
    let error = loop {
        match body.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it came too late"),
            Err(error) => break error,
        }
    };
    assert!(error.is_timeout(), "{error}");
    let never = Client::builder().transports(|_| std::future::pending()).build();
    let error = never.get("http://a/").await.expect_err("never connected");
    assert_eq!(error.to_string(), "http://a/: no connection within 30s");
    let error =
        never.get("http://a/").done_within(Duration::from_secs(1)).await.expect_err("never");
    assert_eq!(error.to_string(), "http://a/: it was not done within 1s");
}

#[tokio::test(start_paused = true)]
async fn collecting_has_a_cap() {
    let net = Net::new();
    drop(pair(&net));
    let client = on(&net).collect_at_most(1000).build();
    for path in ["/noise", "/stream"] {
        let response = client.get(format!("http://site{path}")).await.unwrap();
        let error = response.into_body().bytes().await.expect_err("too much");
        assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: 1000 }), "{error}");
    }
    assert_eq!(text(&client, Method::GET, "/hello", ().into()).await, "200 hello");
}

/// What is not a request is said before anything is sent.
#[tokio::test(start_paused = true)]
async fn wrong_requests() {
    let net = Net::new();
    let client = pair(&net);
    let get = |url: &str| client.get(url);
    for (ask, words) in [
        (get("site"), "site: no URL to go to: it has no scheme"),
        (get("ftp://u:secret@site/"), "ftp://site/: no URL to go to: only http: and https:"),
        (
            get("http://site/").header("a b", "c"),
            "http://site/: no request to send: a field's name",
        ),
        (
            get("http://site/").header("a", "c\n"),
            "http://site/: no request to send: a field's value",
        ),
        (
            get("http://site/").header("transfer-encoding", "x"),
            "fields that contradict the framing",
        ),
        (get("http://site/").body("x").header("content-length", "2"), "contradict the framing"),
    ] {
        let error = ask.await.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Hands the connection over, to a server that says something at once.
#[tokio::test(start_paused = true)]
async fn other_protocols_take_over() {
    for (name, net) in nets() {
        let server = factory::serve_with(Raw::default, async |mut conn: Connection<Raw>| {
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                heard.extend_from_slice(&conn.next().await?.ok_or("an end")?);
            }
            let answer = match heard
                .starts_with(b"CONNECT target.test:443 HTTP/1.1\r\nhost: target.test:443\r\n")
            {
                true => "HTTP/1.1 200 OK\r\n\r\nhello",
                false if heard.starts_with(b"CONNECT") => {
                    "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
                }
                false => {
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello"
                }
            };
            conn.send(Bytes::from(answer)).await?;
            while let Some(bytes) = conn.next().await? {
                conn.send(bytes).await?;
            }
            Ok(conn.close().await?)
        });
        net.listen("site", server);
        let client = patient(&net);
        let connect = client
            .request(Method::CONNECT, "http://site/")
            .target("target.test:443".parse().unwrap());
        let upgrade =
            client.get("http://site/").header("connection", "upgrade").header("upgrade", "echo");
        for ask in [connect, upgrade] {
            let response = ask.await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut transport = response.into_body().into_transport().await.unwrap();
            transport.write_all(b" and on").await.unwrap();
            let mut heard = [0; 12];
            transport.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"hello and on", "{name}");
        }
        let ask =
            client.request(Method::CONNECT, "http://site/").target("b.test:1".parse().unwrap());
        let error = ask.await.unwrap().into_body().into_transport().await.expect_err("forbidden");
        assert!(error.to_string().contains("403"), "{error}");
        assert_eq!(client.idle(), 1, "{name}: the refusal was HTTP");
    }
}
