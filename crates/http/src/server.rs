//! The server: a handler, and the factory that puts it on connections.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
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

    /// One request and its response. Returns whether the connection goes on.
    async fn exchange(
        &self,
        conn: &mut Connection<session::Server>,
        request: Request<()>,
    ) -> Result<bool, Error> {
        let entry = self.access_log.as_ref().map(|_| Entry::begin(conn.peer(), &request));
        let response = match conn.try_next()? {
            Some(Event::End) => {
                let incoming = Incoming::empty(conn.peer().clone(), conn.tls().cloned());
                let handling = self.handler.handle(request.map(|()| incoming));
                unless_it_panics(pin!(handling)).await
            }
            first => Box::pin(self.handle_with_content(conn, request, first)).await?,
        };
        let status = response.status();
        let before = conn.peer().sent() + conn.wire().output.len();
        let whole = respond(conn, response).await?;
        if let (Some(log), Some(entry)) = (&self.access_log, entry) {
            let bytes = conn.peer().sent() + conn.wire().output.len() - before;
            log.entry(&entry.end(status, bytes));
        }
        Ok(whole)
    }

    /// Runs the handler and feeds it the request's content at the pace that it asks for.
    async fn handle_with_content(
        &self,
        conn: &mut Connection<session::Server>,
        request: Request<()>,
        first: Option<Event<Request<()>>>,
    ) -> Result<Response<Body>, Error> {
        let length = request.headers().get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let (filler, incoming) =
            Incoming::streamed(conn.peer().clone(), conn.tls().cloned(), length);
        let mut handling = pin!(self.handler.handle(request.map(|()| incoming)));
        let mut next = first;
        let mut handling = pin!(unless_it_panics(handling.as_mut()));
        loop {
            let ready = poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => filler.poll_wanted(cx).map(|()| None),
            });
            if let Some(response) = ready.await {
                return Ok(response);
            }
            if conn.protocol().expects_continue() {
                conn.queue(Outgoing::proceed())?;
            }
            let event = match next.take() {
                Some(event) => Some(event),
                None => tokio::select! {
                    biased;
                    event = conn.next() => event?,
                    response = &mut handling => return Ok(response),
                },
            };
            if !fill(&filler, event) {
                drop(filler);
                return Ok(handling.await);
            }
        }
    }
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

    async fn serve(&self, mut conn: Connection<Self::Protocol>) -> Result<(), BoxError> {
        let failed = loop {
            match conn.next().await {
                Ok(Some(Event::Head(request))) => match self.exchange(&mut conn, request).await {
                    Ok(true) => {}
                    Ok(false) => {
                        conn.abort();
                        return Ok(());
                    }
                    Err(error) => break error,
                },
                // The rest of a request whose handler did not want it.
                Ok(Some(_)) => {}
                Ok(None) => return Ok(conn.close().await?),
                Err(error) => break error,
            }
        };
        debug!(id = conn.peer().id(), peer = %conn.peer().address(), error = %failed, "ended");
        if failed.blame() != Blame::Peer || conn.protocol().is_sending() {
            conn.abort();
            return Err(failed.into());
        }
        // The session has put its answer on the wire.
        Ok(conn.close().await?)
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

/// What the handler returns, or a 500 if it panics: one bad request must not look like a dead server.
async fn unless_it_panics(
    mut handling: Pin<&mut (impl Future<Output = Response<Body>> + Send)>,
) -> Response<Body> {
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            error!("a handler panicked");
            Poll::Ready(internal_error())
        })
    })
    .await
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

/// Sends a response. Returns whether it went out whole: a body that fails in its middle leaves the
/// client with a message that must not look complete.
async fn respond(
    conn: &mut Connection<session::Server>,
    mut response: Response<Body>,
) -> Result<bool, Error> {
    if conn.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let now = conn.now();
    conn.protocol_mut().set_date(Some(date::at(now)));
    let (parts, body) = response.into_parts();
    let length = match body.len() {
        Some(0) => BodyLength::Empty,
        Some(length) => BodyLength::Known(length),
        None => BodyLength::Unknown,
    };
    let head = Response::from_parts(parts, length);
    let content = match body.into_content() {
        Content::Empty => Content::Bytes(Bytes::new()),
        content => content,
    };
    if let Content::Bytes(bytes) = content {
        conn.send(Outgoing::Whole(head, bytes)).await?;
        return Ok(true);
    }
    conn.queue(head)?;
    if conn.protocol().takes_content()
        && let Err(error) = Box::pin(send_content(conn, content)).await?
    {
        error!(id = conn.peer().id(), %error, "a response's body failed");
        return Ok(false);
    }
    conn.queue(Outgoing::End)?;
    Ok(true)
}

/// Sends what follows a head. The inner error is the body's.
async fn send_content(
    conn: &mut Connection<session::Server>,
    content: Content,
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
        Content::Stream(stream) => return send_stream(conn, stream).await,
    }
    Ok(Ok(()))
}

/// Sends frames as they are made, and what is unsent whenever the next one keeps us waiting. The
/// inner error is the body's.
async fn send_stream(
    conn: &mut Connection<session::Server>,
    mut stream: BoxBody,
) -> Result<Result<(), BoxError>, Error> {
    loop {
        let frame = {
            let mut next = poll_fn(|cx| stream.as_mut().poll_frame(cx));
            tokio::select! {
                biased;
                frame = &mut next => frame,
                flushed = conn.flush() => {
                    flushed?;
                    next.await
                }
            }
        };
        match frame {
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

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
