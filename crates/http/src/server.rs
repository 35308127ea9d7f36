//! The server: a handler, and the factory that puts it on connections.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use ropewalk_core::{BoxError, Connection, Factory, Peer, Refusal};
use tracing::{debug, error};

use crate::body::{BoxBody, Content, Piece};
use crate::files::Files;
use crate::incoming::{Filler, Incoming};
use crate::session;
use crate::{Blame, Body, BodyLength, Error, Event, Limits, Outgoing, Timeouts};

mod access;
mod date;

pub use access::{AccessLog, Entry};

/// Answers requests.
///
/// An `async fn(Request<Incoming>) -> Response<Body>` is one, and so is a [`Files`](crate::files::Files).
/// When the connection fails while the handler waits for the request's content, its future is
/// dropped; when it panics, the client gets a 500 and the connection ends.
pub trait Handler: Send + Sync + 'static {
    /// The response to `request`.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send,
{
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self(request)
    }
}

impl Handler for Files {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self.serve(request)
    }
}

/// An HTTP server: a [`Factory`] around a [`Handler`].
pub struct Server<H> {
    handler: H,
    limits: Limits,
    timeouts: Timeouts,
    access_log: Option<Arc<dyn AccessLog>>,
}

impl<H: Handler> Server<H> {
    /// A server with the default limits and timeouts, and no access log.
    pub fn new(handler: H) -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        Self { handler, limits, timeouts, access_log: None }
    }

    /// The caps on what a client may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a client may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Who is told of each request that was answered.
    #[must_use]
    pub fn access_log(mut self, log: impl AccessLog) -> Self {
        self.access_log = Some(Arc::new(log));
        self
    }

    /// One request after the other, until the connection ends. What is said to a request without
    /// content is said here, without a future of its own: each one would move heads about.
    async fn exchanges(&self, conn: &mut Connection<session::Server>) -> Result<End, Error> {
        loop {
            let request = match conn.next().await? {
                Some(Event::Head(request)) => request,
                // The rest of a request whose handler did not want it.
                Some(_) => continue,
                None => return Ok(End::Whole),
            };
            let mut unread = None;
            let entry = self.access_log.as_ref().map(|_| Entry::begin(conn.peer(), &request));
            let response = match conn.try_next()? {
                Some(Event::End) => {
                    let incoming = Incoming::empty(conn.peer().clone(), conn.tls().cloned());
                    let mut handling = pin!(self.handler.handle(request.map(|()| incoming)));
                    match poll_fn(|cx| Poll::Ready(poll_caught(handling.as_mut(), cx))).await {
                        Poll::Ready(response) => response,
                        Poll::Pending => {
                            let handled = pin!(poll_fn(|cx| poll_caught(handling.as_mut(), cx)));
                            Box::pin(wait(conn, handled)).await?
                        }
                    }
                }
                first => {
                    let handling = self.handle_with_content(conn, request, first, &mut unread);
                    Box::pin(handling).await?
                }
            };
            let before = conn.peer().sent() + conn.wire().output.len();
            let (status, content) = begin(conn, response)?;
            let sent = match content {
                Some(content) => Box::pin(send_rest(conn, content, unread)).await,
                None => Ok(Ok(())),
            };
            if let (Some(log), Some(entry)) = (&self.access_log, entry) {
                // What is unsent when it was cut short never will be.
                let unsent = if let Ok(Ok(())) = sent { conn.wire().output.len() } else { 0 };
                let bytes = (conn.peer().sent() + unsent).saturating_sub(before);
                log.entry(&entry.end(status, bytes));
            }
            if let Err(error) = sent? {
                error!(id = conn.peer().id(), %error, "a response's body failed");
                return Ok(End::Cut);
            }
        }
    }

    /// Runs the handler and feeds it the request's content at the pace that it asks for. What is left
    /// of it stays in `unread`, for a response that is made of it.
    async fn handle_with_content(
        &self,
        conn: &mut Connection<session::Server>,
        request: Request<()>,
        first: Option<Event<Request<()>>>,
        unread: &mut Option<Unread>,
    ) -> Result<Response<Body>, Error> {
        let length = request.headers().get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let (filler, incoming) =
            Incoming::streamed(conn.peer().clone(), conn.tls().cloned(), length);
        let Unread { filler, first } = unread.insert(Unread { filler, first });
        let mut handling = pin!(self.handler.handle(request.map(|()| incoming)));
        let mut handling = poll_fn(|cx| poll_caught(handling.as_mut(), cx));
        // Whether content has come was asked above, but nobody waits for it yet.
        conn.protocol_mut().pause();
        loop {
            let ready = poll_fn(|cx| match Pin::new(&mut handling).poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => filler.poll_wanted(cx).map(|()| None),
            });
            if let Some(response) = wait(conn, pin!(ready)).await? {
                return Ok(response);
            }
            if conn.protocol().expects_continue() {
                conn.queue(Outgoing::proceed())?;
            }
            let event = match first.take() {
                Some(event) => Some(event),
                None => tokio::select! {
                    biased;
                    event = conn.next() => event?,
                    response = &mut handling => return Ok(response),
                },
            };
            if !fill(filler, event) {
                *unread = None;
                return wait(conn, Pin::new(&mut handling)).await;
            }
        }
    }
}

/// Waits for what a handler does. What is owed goes out meanwhile, so that no response has to wait for
/// the next request's; if it cannot, the handler is dropped.
async fn wait<T>(
    conn: &mut Connection<session::Server>,
    mut handling: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Error> {
    let done = tokio::select! {
        biased;
        done = handling.as_mut() => done,
        flushed = conn.flush() => {
            flushed?;
            handling.await
        }
    };
    // Whatever is waited for from now on is not to be charged with the time that the handler took.
    conn.wire().now = tokio::time::Instant::now().into_std();
    Ok(done)
}

/// The content of a request that has not been read to its end.
struct Unread {
    filler: Filler,
    /// What of it was looked at before anybody asked.
    first: Option<Event<Request<()>>>,
}

/// Hands one event to the handler. Returns whether there may be more.
fn fill(filler: &Filler, event: Option<Event<Request<()>>>) -> bool {
    match event {
        Some(Event::Data(data)) => filler.data(data),
        Some(Event::Trailers(trailers)) => filler.trailers(trailers),
        Some(Event::End) => {
            filler.end();
            return false;
        }
        // The connection has ended, and the session has said so by an error if that was too early.
        Some(Event::Head(_)) | None => return false,
        Some(Event::Interim(never)) => match never {},
    }
    true
}

impl<H: Handler> Factory for Server<H> {
    type Protocol = session::Server;

    fn build(&self, _peer: &Peer) -> Result<Self::Protocol, Refusal> {
        Ok(session::Server::new(self.limits, self.timeouts))
    }

    fn serve(
        &self,
        conn: Connection<Self::Protocol>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        // Made here, since the future would hold the connection a second time.
        let mut live = Live(Some(conn));
        async move {
            let Some(conn) = &mut live.0 else { return Ok(()) };
            let ended = self.exchanges(conn).await;
            match live.0.take() {
                Some(conn) => end(conn, ended).await,
                None => Ok(()),
            }
        }
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        let (line, retry) = match why {
            Refusal::Denied => ("403 Forbidden", ""),
            Refusal::TooManyFromAddress | Refusal::TooFast => {
                ("429 Too Many Requests", "Retry-After: 10\r\n")
            }
            _ => ("503 Service Unavailable", "Retry-After: 10\r\n"),
        };
        let text = format!("{}\n", &line[4..]);
        let length = text.len();
        format!(
            "HTTP/1.1 {line}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n{retry}Connection: close\r\n\r\n{text}"
        )
        .into()
    }
}

/// A connection while it is served. If that is broken off, by the reactor or by a panic in a body, the
/// client must not take for whole what it has of a response that only the connection's end would end.
struct Live(Option<Connection<session::Server>>);

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(mut conn) = self.0.take()
            && (conn.protocol().is_sending() || !conn.wire().output.is_empty())
        {
            conn.abort();
        }
    }
}

/// Ends a connection as befits what became of it.
async fn end(conn: Connection<session::Server>, ended: Result<End, Error>) -> Result<(), BoxError> {
    let failed = match ended {
        Ok(End::Whole) => return Ok(conn.close().await?),
        Ok(End::Cut) => {
            conn.abort();
            return Ok(());
        }
        Err(error) => error,
    };
    debug!(id = conn.peer().id(), peer = %conn.peer().address(), error = %failed, "ended");
    if failed.blame() != Blame::Peer || conn.protocol().is_sending() {
        conn.abort();
        return Err(failed.into());
    }
    // The session has put its answer on the wire.
    Ok(conn.close().await?)
}

/// How a connection ends that did not fail.
enum End {
    /// Every response was sent whole.
    Whole,
    /// A body failed in its middle: the client must not take what it has for the whole.
    Cut,
}

/// What the handler returns, or a 500 if it panics: one bad request must not look like a dead server.
fn poll_caught(
    handling: Pin<&mut impl Future<Output = Response<Body>>>,
    cx: &mut Context<'_>,
) -> Poll<Response<Body>> {
    let polled = catch_unwind(AssertUnwindSafe(|| handling.poll(cx)));
    polled.unwrap_or_else(|_| {
        error!("a handler panicked");
        Poll::Ready(internal_error())
    })
}

/// What a client gets to know of an error of ours: nothing but that it is one.
fn internal_error() -> Response<Body> {
    let mut response = Response::new(Body::from("Internal Server Error\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Queues a response's head, with the content if that is at hand; else the content is returned. A
/// response that contradicts itself becomes a 500.
fn begin(
    conn: &mut Connection<session::Server>,
    response: Response<Body>,
) -> Result<(StatusCode, Option<Content>), Error> {
    let status = response.status();
    match say(conn, response) {
        Err(Error::Misuse(misuse)) if conn.protocol().owes_response() => {
            error!(id = conn.peer().id(), %misuse, "a handler's response cannot be said");
            Ok((StatusCode::INTERNAL_SERVER_ERROR, say(conn, internal_error())?))
        }
        said => Ok((status, said?)),
    }
}

/// Queues a response as it is.
fn say(
    conn: &mut Connection<session::Server>,
    mut response: Response<Body>,
) -> Result<Option<Content>, Error> {
    if conn.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let now = conn.now();
    conn.protocol_mut().set_date(Some(date::at(now)));
    let body = std::mem::take(response.body_mut());
    let length = match body.len() {
        Some(0) => BodyLength::Empty,
        Some(length) => BodyLength::Known(length),
        None => BodyLength::Unknown,
    };
    let head = response.map(|_| length);
    match body.into_content() {
        Content::Empty => conn.queue(Outgoing::Whole(head, Bytes::new())).map(|()| None),
        Content::Bytes(bytes) => conn.queue(Outgoing::Whole(head, bytes)).map(|()| None),
        content => conn.queue(head).map(|()| Some(content)),
    }
}

/// Sends what follows a head, to the response's end. The inner error is the body's.
async fn send_rest(
    conn: &mut Connection<session::Server>,
    content: Content,
    unread: Option<Unread>,
) -> Result<Result<(), BoxError>, Error> {
    if conn.protocol().takes_content()
        && let Err(error) = send_content(conn, content, unread).await?
    {
        return Ok(Err(error));
    }
    conn.queue(Outgoing::End).map(Ok)
}

/// Sends the content. The inner error is the body's.
async fn send_content(
    conn: &mut Connection<session::Server>,
    content: Content,
    unread: Option<Unread>,
) -> Result<Result<(), BoxError>, Error> {
    match content {
        Content::Empty => {}
        Content::Bytes(bytes) => conn.send(bytes).await?,
        Content::File(region) => conn.send(region).await?,
        Content::Pieces(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => conn.send(bytes).await?,
                    Piece::File(region) => conn.send(region).await?,
                }
            }
        }
        Content::Stream(stream) => return send_stream(conn, stream, unread).await,
    }
    Ok(Ok(()))
}

/// Sends frames as they are made, and what is unsent whenever the next one keeps us waiting. The
/// inner error is the body's.
async fn send_stream(
    conn: &mut Connection<session::Server>,
    mut stream: BoxBody,
    mut unread: Option<Unread>,
) -> Result<Result<(), BoxError>, Error> {
    loop {
        match next_frame(conn, &mut stream, &mut unread).await? {
            None => return Ok(Ok(())),
            Some(Err(error)) => return Ok(Err(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => conn.send(data).await?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        conn.send(Outgoing::Trailers(trailers)).await?;
                    }
                }
            },
        }
    }
}

/// The next frame. The stream may be made of the request's content: then it is fed as the handler was.
async fn next_frame(
    conn: &mut Connection<session::Server>,
    stream: &mut BoxBody,
    unread: &mut Option<Unread>,
) -> Result<Option<Result<Frame<Bytes>, BoxError>>, Error> {
    let mut next = poll_fn(|cx| stream.as_mut().poll_frame(cx));
    let mut flushed = false;
    loop {
        let wanted = poll_fn(|cx| match unread {
            Some(unread) => unread.filler.poll_wanted(cx),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            frame = &mut next => return Ok(frame),
            () = wanted => {}
            sent = conn.flush(), if !flushed => {
                sent?;
                flushed = true;
                continue;
            }
        }
        let Some(Unread { filler, first }) = unread else { continue };
        let event = match first.take() {
            Some(event) => Some(event),
            // This sends what is owed, too.
            None => tokio::select! {
                biased;
                event = conn.next() => event?,
                frame = &mut next => return Ok(frame),
            },
        };
        if !fill(filler, event) {
            *unread = None;
        }
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
