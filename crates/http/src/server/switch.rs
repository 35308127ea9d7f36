//! Handing a connection over: `Upgrade` (RFC 9110 §7.8) and `CONNECT` (§9.3.6).

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use ropewalk_core::{BoxError, Connection, Raw};

use crate::Body;
use crate::session;

type Serving = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
type Then = Box<dyn FnOnce(Connection<Raw>) -> Serving + Send>;

/// What becomes of a connection that HTTP gives up: after `101 Switching Protocols`, or after a 2xx to
/// `CONNECT`.
///
/// It is given the connection as it is: TLS, counters, throttles, lifetime and the reactor's stop hold
/// on, and what the client has sent right behind its request is the first thing that it reads.
/// [`Connection::switch`] makes any other protocol of it, [`Connection::into_transport`] an
/// `AsyncRead + AsyncWrite`, at the price of all but TLS.
///
/// A handler answers with one by [`upgrade`](Self::upgrade) or [`tunnel`](Self::tunnel); or it makes
/// the response itself, with a `Switch` for its [`Body`]. A response that does not hand the connection
/// over, because the client did not ask for it or its request has not been read whole, becomes a 500.
///
/// ```
/// use http::{HeaderValue, Request, Response, header};
/// use ropewalk_core::{BoxError, Connection, Raw};
/// use ropewalk_http::{Body, Incoming, Switch};
///
/// async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
///     while let Some(bytes) = conn.next().await? {
///         conn.send(bytes).await?;
///     }
///     Ok(conn.close().await?)
/// }
///
/// async fn site(request: Request<Incoming>) -> Response<Body> {
///     match request.headers().get(header::UPGRADE) {
///         Some(wanted) if wanted == "echo" => {
///             Switch::new(echo).upgrade(HeaderValue::from_static("echo"))
///         }
///         _ => Response::new("This could be an echo.\n".into()),
///     }
/// }
/// # let _ = ropewalk_http::Server::new(site);
/// ```
///
/// Clones are the same switch, and only one of them is thrown: so it may travel in the
/// [extensions](Response::extensions) of a response whose body is of another type.
#[derive(Clone)]
pub struct Switch(Arc<Mutex<Option<Then>>>);

impl Switch {
    /// Has `then` live on the connection from now on to its end. The response has been sent when it is
    /// called; when the connection is dropped rather than closed, what was not sent is lost.
    #[must_use]
    pub fn new<F, R>(then: F) -> Self
    where
        F: FnOnce(Connection<Raw>) -> R + Send + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let then: Then = Box::new(|connection| Box::pin(then(connection)));
        Self(Arc::new(Mutex::new(Some(then))))
    }

    /// `101 Switching Protocols`, to `protocol`, which must be one that the client has asked for.
    #[must_use]
    pub fn upgrade(self, protocol: HeaderValue) -> Response<Body> {
        let mut response = Response::new(self.into());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(UPGRADE, protocol);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response
    }

    /// `200 OK` to `CONNECT`: what follows is a tunnel.
    #[must_use]
    pub fn tunnel(self) -> Response<Body> {
        Response::new(self.into())
    }

    /// Hands the connection over.
    pub(super) async fn throw(self, conn: Connection<session::Server>) -> Result<(), BoxError> {
        let then = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut conn = conn.switch(Raw);
        // The client waits for our word before it speaks, perhaps, and `then` for the client's.
        conn.flush().await?;
        match then {
            Some(then) => then(conn).await,
            None => Err("a switch was thrown twice".into()),
        }
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").finish_non_exhaustive()
    }
}
