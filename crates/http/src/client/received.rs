//! A response's content while it comes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use ropewalk_core::{BoxError, Peer, Transport, tls};

use super::error::{Error, ErrorKind};
use super::exchange::{Exchange, into_transport};
use super::place::Place;
use crate::{Body, Event};

/// The content of a response, as the server sends it.
///
/// It streams: the connection is read when the next piece is asked for, so that a server cannot send
/// faster than it is listened to; what is left of the request's content goes out meanwhile, too. When
/// the last piece has come, the connection is kept for other requests. Dropping it is fine: the
/// connection ends, unless all that is missing has come already.
///
/// Content that is cut short is an error, never a short success.
///
/// It is an [`http_body::Body`], and can be handed on as a [`Body`].
pub struct Received(Box<Inner>);

struct Inner {
    exchange: Exchange,
    place: Place,
    status: StatusCode,
    trailers: Option<HeaderMap>,
    most: u64,
    /// It has failed, and that has been said.
    failed: bool,
}

impl Received {
    pub(super) fn new(exchange: Exchange, place: Place, status: StatusCode, most: u64) -> Self {
        let inner = Inner { exchange, place, status, trailers: None, most, failed: false };
        Self(Box::new(inner))
    }

    /// The next piece, never empty; `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    /// When the content is cut short or otherwise wrong, or comes too slowly; then it is over.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| self.poll_data(cx)).await
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            match ready!(self.poll_part(cx))? {
                None => return Poll::Ready(Ok(None)),
                Some(Part::Data(data)) => return Poll::Ready(Ok(Some(data))),
                Some(Part::Trailers(trailers)) => self.0.trailers = Some(trailers),
            }
        }
    }

    /// All of it, in memory. Not cancel-safe: what had come is lost.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`ErrorKind::TooLarge`] when it is more than
    /// [`Builder::collect_at_most`](super::Builder::collect_at_most) says; nothing is read where the
    /// server announces more.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        self.collect().await
    }

    /// All of it, in memory, as text; its charset is taken to be UTF-8. Not cancel-safe.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`ErrorKind::NotText`].
    pub async fn text(mut self) -> Result<String, Error> {
        let bytes = self.collect().await?;
        String::from_utf8(bytes.into()).map_err(|_| self.error(ErrorKind::NotText))
    }

    async fn collect(&mut self) -> Result<Bytes, Error> {
        let limit = self.0.most;
        let too_large = |this: &Self| this.error(ErrorKind::TooLarge { limit });
        let missing = self.missing();
        if missing.is_some_and(|missing| missing > limit) {
            return Err(too_large(self));
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        // What is announced need not come.
        all.reserve(missing.unwrap_or_default().min(1 << 20) as usize);
        let mut next = Some(second);
        while let Some(data) = next {
            if (all.len() + data.len()) as u64 > limit {
                return Err(too_large(self));
            }
            all.extend_from_slice(&data);
            next = self.next().await?;
        }
        Ok(all.freeze())
    }

    /// The trailer section (RFC 9110 §6.5), once all of the content has come by
    /// [`next`](Self::next); those who poll frames get it as the last one.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.0.trailers.as_ref()
    }

    /// How many bytes are still to come, if that is known.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        if self.0.failed { Some(0) } else { self.0.exchange.missing() }
    }

    /// Where it comes from, after redirections: without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.place.to_string()
    }

    /// What TLS negotiated, if it comes over TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&tls::Facts> {
        self.0.exchange.tls()
    }

    /// Who sends it: where the connection leads.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.0.exchange.peer()
    }

    /// The connection itself, which now speaks another protocol: after 101 to a request with `Upgrade`
    /// (RFC 9110 §7.8), and after 2xx to CONNECT (§9.3.6). Bytes that have come already are read
    /// first. Not cancel-safe: dropping the future drops the connection.
    ///
    /// # Errors
    /// [`ErrorKind::NotSwitched`] when the server stays with HTTP; and the transport's.
    pub async fn into_transport(mut self) -> Result<Transport, Error> {
        let Some(conn) = self.0.exchange.take_switched() else {
            return Err(self.error(ErrorKind::NotSwitched(self.0.status)));
        };
        into_transport(conn)
            .await
            .map_err(|error| self.error(ErrorKind::Session(crate::Error::Io(error))))
    }

    /// Reads up to so many bytes and throws them away, so that the connection can be kept.
    pub(super) async fn drain(mut self, most: u64) {
        let mut left = most;
        if self.missing().is_some_and(|missing| missing > most) {
            return;
        }
        while let Ok(Some(data)) = self.next().await {
            let Some(rest) = left.checked_sub(data.len() as u64) else { return };
            left = rest;
        }
    }

    pub(super) fn exchange(&mut self) -> &mut Exchange {
        &mut self.0.exchange
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Part>, Error>> {
        let inner = &mut *self.0;
        if inner.failed || inner.exchange.is_over() {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(match ready!(inner.exchange.poll_event(cx)) {
            Ok(Some(Event::Data(data))) => Ok(Some(Part::Data(data))),
            Ok(Some(Event::Trailers(trailers))) => Ok(Some(Part::Trailers(trailers))),
            Ok(Some(Event::End | Event::Interim(_) | Event::Head(_)) | None) => Ok(None),
            Err(failed) => {
                inner.failed = true;
                Err(Error::new(&inner.place, inner.exchange.explain(failed)))
            }
        })
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.0.place, kind)
    }
}

enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(self.get_mut().poll_part(cx)) {
            Ok(None) => None,
            Ok(Some(Part::Data(data))) => Some(Ok(Frame::data(data))),
            Ok(Some(Part::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.failed || self.0.exchange.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.missing().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// To be sent on: what comes is what goes, and failures stay failures.
impl From<Received> for Body {
    fn from(received: Received) -> Self {
        Self::stream(received)
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("url", &self.0.place)
            .field("missing", &self.missing())
            .finish_non_exhaustive()
    }
}
