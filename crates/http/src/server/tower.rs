//! Services of `tower` as handlers.

use std::any::Any;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use ropewalk_core::BoxError;
use tower_service::Service;
use tracing::error;

use super::Handler;
use super::plain::plain;
use crate::{Body, Incoming, Switch};

/// A [`tower_service::Service`] as a handler: an axum `Router`, or any stack of layers.
///
/// ```
/// use axum::{Router, routing::get};
/// use ropewalk_http::{Server, Tower};
///
/// let router = Router::new().route("/", get(async || "Hello, world!\n"));
/// let server = Server::new(Tower::new(router));
/// # let _: &dyn Send = &server;
/// ```
///
/// Each request has a clone of the service, which is called when it says that it is ready; until then
/// the request waits, and with it what the client sends next. A service that fails is answered 503 if
/// it failed before it was called and 500 afterwards, the error is logged, and the client is told
/// nothing of it.
///
/// The request's [extensions](Request::extensions) have the [`Peer`](ropewalk_core::Peer) that sent it
/// and, over TLS, the [`tls::Facts`](ropewalk_core::tls::Facts): in axum, `Extension<Peer>`. A
/// [`Switch`] in the response's hands the connection over. A body that is one of ours goes out as what
/// it is, files by `sendfile`; others stream, and those that are ready at once go out with their heads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tower<S>(S);

impl<S> Tower<S> {
    /// The service as a handler.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Handler for Tower<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn handle(&self, mut request: Request<Incoming>) -> Response<Body> {
        let mut service = self.0.clone();
        let (peer, tls) = (request.body().peer().clone(), request.body().tls().cloned());
        let id = peer.id();
        if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into) {
            return failed(id, StatusCode::SERVICE_UNAVAILABLE, error.as_ref());
        }
        request.extensions_mut().insert(peer);
        if let Some(tls) = tls {
            request.extensions_mut().insert(tls);
        }
        match service.call(request).await.map_err(Into::into) {
            Ok(response) => ours(response).await,
            Err(error) => failed(id, StatusCode::INTERNAL_SERVER_ERROR, error.as_ref()),
        }
    }
}

/// What a client gets to know of a service's error: nothing but that it is one.
fn failed(id: u64, status: StatusCode, error: &(dyn Error + 'static)) -> Response<Body> {
    error!(id, %status, %error, "a service failed");
    plain(status)
}

/// The response with a body of ours.
async fn ours<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let body = match parts.extensions.remove::<Switch>() {
        Some(switch) => switch.into(),
        None => {
            let mut body = Some(body);
            poll_fn(|cx| Poll::Ready(body.take().map(|body| converted(body, cx)))).await
        }
        .unwrap_or_default(),
    };
    Response::from_parts(parts, body)
}

/// What is at hand is taken at once, so that it goes out in one write with the head.
fn converted<B>(body: B, cx: &mut Context<'_>) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut body = Some(body);
    if let Some(body) = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>() {
        return body.take().unwrap_or_default();
    }
    let Some(body) = body else { return Body::empty() };
    let length = body.size_hint().exact();
    let mut stream = Stream { first: None, rest: Box::pin(body) };
    let Some(length) = length else { return Body::stream(stream) };
    if let Poll::Ready(first) = stream.rest.as_mut().poll_frame(cx) {
        stream.first = match first {
            Some(frame) => Some(frame.map_err(Into::into)),
            None if length == 0 => return Body::empty(),
            None => Some(Err("a body has less than it says".into())),
        };
    }
    let data = match &stream.first {
        None => Bytes::new(),
        Some(Ok(frame)) => frame.data_ref().cloned().unwrap_or_default(),
        Some(Err(_)) => return Body::stream(stream),
    };
    if data.len() as u64 == length && stream.rest.is_end_stream() {
        return data.into();
    }
    Body::stream(stream)
}

/// A body of any error, of which a frame may have been taken.
struct Stream<B> {
    first: Option<Result<Frame<Bytes>, BoxError>>,
    rest: Pin<Box<B>>,
}

impl<B> http_body::Body for Stream<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.rest.as_mut().poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let taken = match &self.first {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(taken));
        }
        hint.set_lower(rest.lower().saturating_add(taken));
        hint
    }
}
