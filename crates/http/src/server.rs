//! The server: a handler, and the factory that puts it on connections.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use ropewalk_core::{BoxError, Connection, Factory, Peer, Refusal};
use tracing::{debug, error};

use crate::body::Content;
use crate::error::Misuse;
use crate::files::Files;
use crate::incoming::{Filler, Incoming};
use crate::session;
use crate::spare::Spare;
use crate::{Blame, Body, BodyLength, Error, Event, Limits, Outgoing, Timeouts};

mod access;
mod any;
mod date;
mod hosts;
mod plain;
mod redirect;
mod send;
mod switch;
#[cfg(feature = "tower")]
mod tower;

pub use access::{AccessLog, Entry};
pub use any::AnyHandler;
pub use hosts::{BadHost, Hosts};
use plain::plain;
pub use redirect::{BadRedirect, HttpsOnly, Redirect};
use send::send_rest;
pub use switch::Switch;
#[cfg(feature = "tower")]
pub use tower::Tower;

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
    half_close: bool,
}

impl<H: Handler> Server<H> {
    /// A server with the default limits and timeouts, and no access log.
    pub fn new(handler: H) -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        Self { handler, limits, timeouts, access_log: None, half_close: false }
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

    /// Whether a client may end its direction while a response's stream is silent, and still gets the
    /// rest. If not, which is the default, that is taken for its leaving: the stream is dropped, and
    /// the connection ends at once rather than when there is something to send again. Responses that
    /// keep nobody waiting are sent whole to either.
    #[must_use]
    pub fn half_close(mut self, allowed: bool) -> Self {
        self.half_close = allowed;
        self
    }

    /// One request after the other, until the connection ends.
    async fn exchanges(
        &self,
        conn: &mut Connection<session::Server>,
        logged: &mut Option<Box<Logged>>,
    ) -> Result<End, Error> {
        loop {
            // The handler's future, made where it is polled.
            let mut handling = pin!(None);
            let handle = |request| self.handler.handle(request);
            let next =
                poll_fn(|cx| self.poll_exchanges(cx, conn, handling.as_mut(), logged, handle));
            let mut unread = None;
            let content = match next.await? {
                Next::End => return Ok(End::Whole),
                Next::Content(content) => Some(content),
                Next::Request(request) => {
                    let handling = self.handle_with_content(conn, *request, &mut unread);
                    let mut response = Box::pin(handling).await?;
                    // What is made of the request wants it; that cannot be said any more once the
                    // response has begun.
                    if response.body().is_stream()
                        && unread.as_ref().is_some_and(Filler::is_heard)
                        && conn.protocol().expects_continue()
                    {
                        conn.queue(Outgoing::proceed())?;
                    }
                    begin(conn, &mut response, logged)?
                }
                Next::Owed => {
                    let handled = pin!(poll_fn(|cx| {
                        let mut polled = Poll::Pending;
                        if let Some(future) = handling.as_mut().as_pin_mut() {
                            poll_caught(future, cx, &mut polled);
                        }
                        polled
                    }));
                    let mut response = Box::pin(wait(conn, handled)).await?;
                    handling.set(None);
                    begin(conn, &mut response, logged)?
                }
            };
            let sent = match content {
                Some(Content::Switch(switch)) => {
                    self.log(conn, logged, true);
                    return Ok(End::Switched(switch));
                }
                Some(content) => Box::pin(send_rest(conn, content, unread, self.half_close)).await,
                None => Ok(Ok(())),
            };
            self.log(conn, logged, matches!(sent, Ok(Ok(()))));
            if let Err(error) = sent? {
                error!(id = conn.peer().id(), %error, "a response's body failed");
                return Ok(End::Cut);
            }
        }
    }

    /// Exchanges, as long as they are of the kind that most are: a request without content, and a
    /// response whose content is at hand.
    ///
    /// No future of its own for each step, because each would move heads about.
    fn poll_exchanges<F: Future<Output = Response<Body>>>(
        &self,
        cx: &mut Context<'_>,
        conn: &mut Connection<session::Server>,
        mut handling: Pin<&mut Option<F>>,
        logged: &mut Option<Box<Logged>>,
        handle: impl Fn(Request<Incoming>) -> F,
    ) -> Poll<Result<Next, Error>> {
        let mut waited = handling.is_some();
        let mut spare = Spare::take();
        loop {
            if let Some(future) = handling.as_mut().as_pin_mut() {
                let mut polled = Poll::Pending;
                poll_caught(future, cx, &mut polled);
                let Poll::Ready(response) = &mut polled else {
                    let owed = !conn.wire().output.is_empty();
                    return if owed { Poll::Ready(Ok(Next::Owed)) } else { Poll::Pending };
                };
                handling.set(None);
                if std::mem::take(&mut waited) {
                    catch_up(conn);
                }
                if let Some(content) = begin(conn, response, logged)? {
                    return Poll::Ready(Ok(Next::Content(content)));
                }
                spare.give_back(response.headers_mut());
                self.log(conn, logged, true);
            }
            let incoming = Incoming::empty(conn.peer().clone(), conn.tls().cloned());
            let mut request = Request::new(incoming);
            spare.equip(request.headers_mut());
            let head =
                conn.poll_next_with(cx, |session, wire| session.receive_head(wire, &mut request));
            match head? {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => return Poll::Ready(Ok(Next::End)),
                Poll::Pending => {
                    spare.give_back(request.headers_mut());
                    return Poll::Pending;
                }
            }
            if self.access_log.is_some() {
                *logged = Some(Box::new(Logged::new(conn.peer(), &request)));
            }
            if !conn.protocol_mut().take_end() {
                return Poll::Ready(Ok(Next::Request(Box::new(request))));
            }
            handling.set(Some(handle(request)));
        }
    }

    /// Tells the log of a response that has been handed over, or of what was sent of it.
    #[inline]
    fn log(
        &self,
        conn: &mut Connection<session::Server>,
        logged: &mut Option<Box<Logged>>,
        whole: bool,
    ) {
        if let (Some(log), Some(logged)) = (&self.access_log, logged.take()) {
            // What is unsent when it was cut short never will be.
            let said = if whole { said(conn) } else { conn.peer().sent() };
            let bytes = said.saturating_sub(logged.before);
            log.entry(&logged.entry.end(logged.status, bytes));
        }
    }

    /// Tells the log of what the session has answered by itself, if that is how the connection ended.
    #[cold]
    fn log_refused(&self, conn: &Connection<session::Server>, logged: Option<Box<Logged>>) {
        if let (Some(log), Some(refused)) = (&self.access_log, conn.protocol().refused()) {
            let known = logged.map(|logged| logged.entry);
            let entry = known.unwrap_or_else(|| Entry::refused(conn.peer(), refused));
            log.entry(&entry.end(refused.status, refused.bytes));
        }
    }

    /// Runs the handler and feeds it the request's content at the pace that it asks for. What feeds it
    /// stays in `unread` if there is more, for a response that is made of it.
    async fn handle_with_content(
        &self,
        conn: &mut Connection<session::Server>,
        request: Request<Incoming>,
        unread: &mut Option<Filler>,
    ) -> Result<Response<Body>, Error> {
        let length = request.headers().get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let (filler, incoming) =
            Incoming::streamed(conn.peer().clone(), conn.tls().cloned(), length);
        let filler = unread.insert(filler);
        let mut handling = pin!(self.handler.handle(request.map(|_| incoming)));
        let mut handling = poll_fn(|cx| {
            let mut polled = Poll::Pending;
            poll_caught(handling.as_mut(), cx, &mut polled);
            polled
        });
        loop {
            let ready = poll_fn(|cx| match Pin::new(&mut handling).poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => filler.poll_wanted(cx).map(|()| None),
            });
            if let Some(response) = wait(conn, pin!(ready)).await? {
                return Ok(response);
            }
            // Who has sent some of it does not wait.
            if conn.protocol().expects_continue() && conn.wire().input.is_empty() {
                conn.queue(Outgoing::proceed())?;
            }
            let event = tokio::select! {
                biased;
                event = conn.next() => event?,
                response = &mut handling => return Ok(response),
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
    catch_up(conn);
    Ok(done)
}

/// A handler has taken its time: whatever is waited for from now on is not to be charged with that.
fn catch_up(conn: &mut Connection<session::Server>) {
    conn.wire().now = tokio::time::Instant::now().into_std();
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
            let mut logged = None;
            let ended = self.exchanges(conn, &mut logged).await;
            if ended.is_err() {
                self.log_refused(conn, logged);
            }
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

/// What [`Server::poll_exchanges`] leaves to others.
enum Next {
    /// The connection has ended.
    End,
    /// A request with content.
    Request(Box<Request<Incoming>>),
    /// The content of a response whose head has been said.
    Content(Content),
    /// A handler takes its time, and something is owed meanwhile.
    Owed,
}

/// What is noted of an exchange for the access log.
struct Logged {
    entry: Entry,
    status: StatusCode,
    /// What the connection had [`said`] before the response.
    before: u64,
}

impl Logged {
    fn new(peer: &Peer, request: &Request<Incoming>) -> Self {
        Self { entry: Entry::begin(peer, request), status: StatusCode::OK, before: 0 }
    }
}

/// How many bytes have been sent or wait to be.
fn said(conn: &mut Connection<session::Server>) -> u64 {
    conn.peer().sent() + conn.wire().output.len()
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
        Ok(End::Switched(switch)) => return Box::pin(switch.throw(conn)).await,
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
    /// It is another protocol's from now on.
    Switched(Switch),
    /// A body failed in its middle: the client must not take what it has for the whole.
    Cut,
}

/// Puts what the handler returns into `polled`, or a 500 if it panics: one bad request must not look
/// like a dead server.
// Put, not returned: a response is large enough for that to be felt.
#[inline]
fn poll_caught(
    handling: Pin<&mut impl Future<Output = Response<Body>>>,
    cx: &mut Context<'_>,
    polled: &mut Poll<Response<Body>>,
) {
    if catch_unwind(AssertUnwindSafe(|| *polled = handling.poll(cx))).is_err() {
        error!("a handler panicked");
        *polled = Poll::Ready(internal_error());
    }
}

/// What a client gets to know of an error of ours: nothing but that it is one.
fn internal_error() -> Response<Body> {
    let mut response = plain(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Queues a response's head, with the content if that is at hand; else the content is returned. A
/// response that contradicts itself becomes a 500.
#[inline]
fn begin(
    conn: &mut Connection<session::Server>,
    response: &mut Response<Body>,
    logged: &mut Option<Box<Logged>>,
) -> Result<Option<Content>, Error> {
    match say(conn, response, logged) {
        Err(Error::Misuse(misuse)) if conn.protocol().owes_response() => {
            error!(id = conn.peer().id(), %misuse, "a handler's response cannot be said");
            say(conn, &mut internal_error(), logged)
        }
        said => said,
    }
}

/// Queues a response as it is.
#[inline]
fn say(
    conn: &mut Connection<session::Server>,
    response: &mut Response<Body>,
    logged: &mut Option<Box<Logged>>,
) -> Result<Option<Content>, Error> {
    if let Some(logged) = logged {
        (logged.status, logged.before) = (response.status(), said(conn));
    }
    let switch = response.body().is_switch();
    if switch && !conn.protocol().switches(response.status()) {
        return Err(Error::Misuse(Misuse::Upgrade));
    }
    if conn.is_stopping() && !switch {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let (session, wire) = conn.split();
    session.date_from(wire.now, date::at);
    let body = std::mem::take(response.body_mut());
    let length = match body.len() {
        Some(0) => BodyLength::Empty,
        Some(length) => BodyLength::Known(length),
        None => BodyLength::Unknown,
    };
    let data = match body.into_content() {
        Content::Empty => Bytes::new(),
        Content::Bytes(bytes) => bytes,
        content => {
            let mut head = Response::new(length);
            *head.status_mut() = response.status();
            std::mem::swap(head.headers_mut(), response.headers_mut());
            conn.queue(head)?;
            return Ok(Some(content));
        }
    };
    session
        .respond(response.status(), response.headers(), length, data, &mut wire.output)
        .map(|()| None)
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
