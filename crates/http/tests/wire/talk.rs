//! What all of these tests speak with: networks, requests, answers, and bodies that are made step by
//! step.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use ropewalk_core::testing::Net;
use ropewalk_core::{BoxError, Connection, FileRegion, Transport};
use ropewalk_http::session::Client;
use ropewalk_http::{
    Body, BodyLength, Event, Handler, Incoming, Limits, Outgoing, Server, Timeouts,
};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Sleep, sleep};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// A good network and some bad ones, each with what to call it.
pub(crate) fn nets() -> impl Iterator<Item = (String, Net)> {
    let bad = (0..12).map(|seed| (format!("seed {seed}"), Net::seeded(seed)));
    [("good".to_owned(), Net::new())].into_iter().chain(bad)
}

/// A server that waits for ever: bad networks are slower than the deadlines allow.
pub(crate) fn patient<H: Handler>(handler: H) -> Server<H> {
    Server::new(handler).timeouts(Timeouts::NONE)
}

/// A connection to `site` on `net`, for a client that waits for ever.
pub(crate) fn dial(net: &Net) -> Connection<Client> {
    net.dial("site", Client::new(Limits::default(), Timeouts::NONE)).unwrap()
}

/// `METHOD /path[ HTTP/1.0][ | name: value]*`, as text.
pub(crate) fn request(text: &str, length: BodyLength) -> Request<BodyLength> {
    let mut parts = text.split(" | ");
    let mut line = parts.next().unwrap().split(' ');
    let mut request = Request::builder().method(line.next().unwrap()).uri(line.next().unwrap());
    if line.next() == Some("HTTP/1.0") {
        request = request.version(http::Version::HTTP_10);
    }
    request = request.header("host", "site.test");
    for field in parts {
        let (name, value) = field.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(length).unwrap()
}

/// Asks without content.
pub(crate) async fn ask(conn: &mut Connection<Client>, text: &str) {
    conn.send(request(text, BodyLength::Empty)).await.unwrap();
    conn.send(Outgoing::End).await.unwrap();
}

/// Asks with this content.
pub(crate) async fn post(conn: &mut Connection<Client>, text: &str, content: &[u8]) {
    let content = Bytes::copy_from_slice(content);
    let head = request(text, BodyLength::Known(content.len() as u64));
    conn.send(Outgoing::Whole(head, content)).await.unwrap();
}

/// A response that came whole.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    /// The interim responses before it.
    pub(crate) interim: Vec<u16>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("connection") == "close"
    }
}

/// The next response, or why there is no whole one.
pub(crate) async fn hear(conn: &mut Connection<Client>) -> Result<Answer, String> {
    let mut answer = Answer::default();
    loop {
        match conn.next().await {
            Ok(Some(Event::Interim(interim))) => answer.interim.push(interim.status().as_u16()),
            Ok(Some(Event::Head(head))) => {
                answer.status = head.status().as_u16();
                answer.fields = head.into_parts().0.headers;
            }
            Ok(Some(Event::Data(data))) => answer.content.extend_from_slice(&data),
            Ok(Some(Event::Trailers(trailers))) => answer.trailers = trailers,
            Ok(Some(Event::End)) => return Ok(answer),
            Ok(None) => return Err(format!("ended after {} bytes", answer.content.len())),
            Err(error) => return Err(format!("{error} after {} bytes", answer.content.len())),
        }
    }
}

/// Asks and hears, in one.
pub(crate) async fn get(conn: &mut Connection<Client>, text: &str) -> Answer {
    ask(conn, text).await;
    hear(conn).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Everything up to the end, as text.
pub(crate) async fn all(transport: &mut Transport) -> String {
    let mut bytes = Vec::new();
    transport.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// All of a request's content and its trailers, in the handler.
pub(crate) async fn read(request: Request<Incoming>) -> Result<(Bytes, HeaderMap), BoxError> {
    let collected = request.into_body().collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok((collected.to_bytes(), trailers))
}

/// Says how many bytes of content came, or that not all did.
pub(crate) async fn count(request: Request<Incoming>) -> Response<Body> {
    match read(request).await {
        Ok((content, _)) => Response::new(content.len().to_string().into()),
        Err(error) => panic!("{error}"),
    }
}

/// One step of a body that is made while it is sent.
#[derive(Clone)]
pub(crate) enum Step {
    Data(Bytes),
    Wait(Duration),
    Trailer(&'static str, &'static str),
    Fail,
    Panic,
}

/// A body of steps.
pub(crate) struct Steps {
    steps: VecDeque<Step>,
    length: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
    made: Arc<AtomicU32>,
}

impl Steps {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let (steps, made) = (steps.into_iter().collect(), Arc::default());
        Self { steps, length: None, sleep: None, made }
    }

    /// Says beforehand how long it is.
    pub(crate) fn known(self, length: u64) -> Self {
        Self { length: Some(length), ..self }
    }

    /// How many steps have been made, as seen from outside.
    pub(crate) fn counted(self, made: &Arc<AtomicU32>) -> Self {
        Self { made: made.clone(), ..self }
    }

    pub(crate) fn body(self) -> Body {
        Body::stream(self)
    }
}

impl http_body::Body for Steps {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(waiting) = &mut this.sleep {
                ready!(waiting.as_mut().poll(cx));
                this.sleep = None;
            }
            let Some(step) = this.steps.pop_front() else { return Poll::Ready(None) };
            this.made.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Some(match step {
                Step::Data(data) => Ok(Frame::data(data)),
                Step::Trailer(name, value) => {
                    let trailer = (name.parse().unwrap(), value.parse().unwrap());
                    Ok(Frame::trailers(HeaderMap::from_iter([trailer])))
                }
                Step::Fail => Err("told to fail".into()),
                Step::Panic => panic!("told to panic"),
                Step::Wait(time) => {
                    this.sleep = Some(Box::pin(sleep(time)));
                    continue;
                }
            }));
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Bytes of which no two stretches are alike.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 1_u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(byte).collect()
}

/// A file without a name.
pub(crate) fn file(content: &[u8], region: std::ops::Range<u64>) -> FileRegion {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ropewalk-wire-{}-{count}", std::process::id()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(content).unwrap();
    FileRegion { file: Arc::new(file), offset: region.start, len: region.end - region.start }
}
