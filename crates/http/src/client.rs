//! The client: requests to any number of servers, over connections that are kept.
//!
//! ```text
//!   Client::get, post … ──▶ Ask ──.await──▶ run ──▶ Pool, or Route and TLS: a connection
//!                                            │ ▲
//!                            redirect, retry ▼ │ head
//!                                         Exchange ──────▶ Response<Received>
//!                                            │                     │ next, bytes, poll_frame
//!                          session::Client on a Connection ◀───────┘ drives it; at the end: Pool
//! ```
//!
//! There is no task behind it: whoever awaits the response, and then its content, drives the
//! connection. So nothing is read that nobody asks for, and to drop either is to cancel.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response};

use crate::{Body, Limits};

mod ask;
mod connect;
mod error;
mod exchange;
mod place;
mod pool;
mod received;
mod redirect;
mod run;
mod settings;
mod upload;

pub use ask::Ask;
pub use error::{Error, ErrorKind, Slow, Stray};
pub use place::{IntoUrl, Origin};
pub use pool::Keep;
pub use received::Received;
pub use redirect::Redirects;
pub use settings::{Builder, Patience};

use connect::{Route, Trust};
use pool::Pool;

/// An HTTP client. Clones share connections, and are cheap.
///
/// It keeps connections for later requests, speaks TLS where the URL says so, follows redirections,
/// and sends a request that may be repeated once more when the connection it was given to had ended
/// while it waited. It has no cookies, no cache, and takes no proxy from the environment.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

/// What clones share.
struct Shared {
    pool: Arc<Pool>,
    trust: Trust,
    route: Route,
    limits: Limits,
    patience: Patience,
    redirects: Redirects,
    /// Fields of requests that have none of the name.
    fields: HeaderMap,
    expect_above: Option<u64>,
    most: u64,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with the default settings. Nothing is opened or read before the first request.
    #[must_use]
    pub fn new() -> Self {
        Builder::default().build()
    }

    /// A client to be configured.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// GET (RFC 9110 §9.3.1).
    pub fn get(&self, url: impl IntoUrl) -> Ask {
        self.request(Method::GET, url)
    }

    /// HEAD (RFC 9110 §9.3.2).
    pub fn head(&self, url: impl IntoUrl) -> Ask {
        self.request(Method::HEAD, url)
    }

    /// POST (RFC 9110 §9.3.3).
    pub fn post(&self, url: impl IntoUrl) -> Ask {
        self.request(Method::POST, url)
    }

    /// PUT (RFC 9110 §9.3.4).
    pub fn put(&self, url: impl IntoUrl) -> Ask {
        self.request(Method::PUT, url)
    }

    /// DELETE (RFC 9110 §9.3.5).
    pub fn delete(&self, url: impl IntoUrl) -> Ask {
        self.request(Method::DELETE, url)
    }

    /// Any method. A URL that is none is an error when the request is sent.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> Ask {
        Ask::new(self.clone(), method, url)
    }

    /// Sends a request of the `http` crate, whose URI has a scheme and an authority.
    ///
    /// Dropping the future gives the request up, as with [`Ask`].
    ///
    /// # Errors
    /// As [`Ask::send`].
    pub async fn send(
        &self,
        request: Request<impl Into<Body>>,
    ) -> Result<Response<Received>, Error> {
        Ask::of_request(self.clone(), request).send().await
    }

    /// How many connections wait for a next request.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.pool.len()
    }

    /// Ends the connections that wait, in order, and returns when they have ended; at most half a
    /// second. Without it they just end with the last clone. Requests that are under way go on.
    pub async fn close_idle(&self) {
        let closing: Vec<_> =
            self.0.pool.clear().into_iter().map(|conn| tokio::spawn(conn.close())).collect();
        for closed in closing {
            // How it ended is nobody's concern any more.
            let _ = closed.await;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("idle", &self.idle()).finish_non_exhaustive()
    }
}
