//! What a server is: it makes the protocol for each new connection and lives on it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Connection, Peer, Protocol};

/// What wrapping factories hand on as it is: the words of a refusal, and, if they have nothing to do
/// with it, the serving.
macro_rules! hand_on {
    (refusal) => {
        fn refusal(&self, why: &crate::Refusal) -> bytes::Bytes {
            self.inner.refusal(why)
        }
    };
    (serve) => {
        fn serve(
            &self,
            connection: crate::Connection<Self::Protocol>,
        ) -> impl Future<Output = Result<(), crate::BoxError>> + Send {
            // Not `async`: a future of ours would hold the connection a second time.
            self.inner.serve(connection)
        }
    };
}
mod accept_rate;
mod access;
mod at_most;
mod bucket;
mod deadlines;
mod meter;
mod prefix;
mod throttle;
mod traced;
mod wire_log;

pub use accept_rate::AcceptRate;
pub use access::{AccessList, Rules};
pub use at_most::{AtMost, Tally};
pub use bucket::Rate;
pub use deadlines::Deadlines;
pub use meter::{Counts, Meter};
pub use throttle::Throttle;
pub use traced::Traced;
pub use wire_log::{Redact, Usual, WireLog};

/// Any error, as a factory reports it to the reactor, which logs it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Makes the protocol for each new connection and serves it, from greeting to close; Twisted's
/// `Factory`. Each protocol crate's `Server` is one; [`serve_with`] makes one of two closures; wrappers
/// (caps, throttles, lists, logs) take a factory and are one.
pub trait Factory: Send + Sync + 'static {
    /// What is spoken.
    type Protocol: Protocol + Send;

    /// The protocol for a new connection, or a refusal. Called once for each, as soon as it is known
    /// who the peer is (behind a proxy: after its header) and before any TLS handshake is paid for.
    ///
    /// # Errors
    /// When this peer is not served now. On a connection without TLS it gets the
    /// [words](Self::refusal) of the protocol.
    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal>;

    /// From greeting to close. An error is logged, with the peer; it must not contain secrets.
    fn serve(
        &self,
        connection: Connection<Self::Protocol>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// How the protocol says no: 503, 421, ERROR. Nothing, if it has no words for it.
    fn refusal(&self, _why: &Refusal) -> Bytes {
        Bytes::new()
    }
}

/// A factory behind an `Arc` is one, so that several listeners can share it.
impl<F: Factory> Factory for Arc<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        (**self).build(peer)
    }

    fn serve(
        &self,
        connection: Connection<Self::Protocol>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        // Not `async`: a future of ours would hold the connection a second time.
        (**self).serve(connection)
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        (**self).refusal(why)
    }
}

/// Why a connection is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// As many connections as may be are open.
    TooMany,
    /// As many as may be are open from this address.
    TooManyFromAddress,
    /// Connections come faster than they may.
    TooFast,
    /// The address is not welcome.
    Denied,
    /// Anything else, in words for the log.
    Other(Cow<'static, str>),
}

impl Refusal {
    /// The kinds there are, as [`kind`](Self::kind) names them.
    pub const KINDS: [&str; 5] =
        ["too_many", "too_many_from_address", "too_fast", "denied", "other"];

    /// The kind, in a word that does not change, for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.place()]
    }

    /// Its place in [`KINDS`](Self::KINDS).
    pub(crate) fn place(&self) -> usize {
        match self {
            Self::TooMany => 0,
            Self::TooManyFromAddress => 1,
            Self::TooFast => 2,
            Self::Denied => 3,
            Self::Other(_) => 4,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many connections",
            Self::TooManyFromAddress => "too many connections from this address",
            Self::TooFast => "connections come too fast",
            Self::Denied => "address denied",
            Self::Other(why) => why,
        })
    }
}

impl Error for Refusal {}

/// A factory of two closures, for small things: one makes the protocol, one serves the connection.
///
/// ```
/// use ropewalk_core::{Connection, Raw, factory::{self, BoxError}};
///
/// async fn echo(mut conn: Connection<Raw>) -> Result<(), BoxError> {
///     while let Some(bytes) = conn.next().await? {
///         conn.send(bytes).await?;
///     }
///     Ok(conn.close().await?)
/// }
///
/// let factory = factory::serve_with(Raw::default, echo);
/// ```
pub fn serve_with<P, F>(
    build: impl Fn() -> P + Send + Sync + 'static,
    serve: impl Fn(Connection<P>) -> F + Send + Sync + 'static,
) -> impl Factory<Protocol = P>
where
    P: Protocol + Send + 'static,
    F: Future<Output = Result<(), BoxError>> + Send,
{
    Closures { build, serve }
}

struct Closures<B, S> {
    build: B,
    serve: S,
}

impl<P, F, B, S> Factory for Closures<B, S>
where
    P: Protocol + Send,
    B: Fn() -> P + Send + Sync + 'static,
    S: Fn(Connection<P>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), BoxError>> + Send,
{
    type Protocol = P;

    fn build(&self, _peer: &Peer) -> Result<P, Refusal> {
        Ok((self.build)())
    }

    fn serve(
        &self,
        connection: Connection<P>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        (self.serve)(connection)
    }
}

#[cfg(test)]
mod testing;
