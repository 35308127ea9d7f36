//! Results that will arrive.
//!
//! A [`Deferred`] is the result of an operation that has already begun; whoever carries the operation
//! out holds the [`Resolver`]. The pair is what passes between a handle and its driver:
//!
//! ```text
//!  caller                    queue                    driver
//!    │  (command, Resolver) ──────────────────────────▶ │  writes the command at once
//!    │                                                  │  … the reply comes …
//!    │ ◀──────────────────────────── resolve(value) ─── │
//!  deferred.await
//! ```
//!
//! There are no callbacks to chain: `.await` is the chain. Because the operation runs whether or not
//! the deferred is awaited, a caller may begin many and await them afterwards, which is how clients
//! pipeline.

mod group;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::oneshot;

pub use group::{First, Gather, TryGather, first, gather, try_gather};

/// The result that will arrive of an operation already begun: Twisted's `Deferred`, as a future.
///
/// Dropping it cancels the operation: the [`Resolver`] sees it. Awaiting it by `&mut` is cancel-safe:
/// the result stays until it is taken.
///
/// Its size is one word; a pair costs one allocation of about 48 bytes and the result (it is
/// [`tokio::sync::oneshot`]). It needs no runtime, save for [`spawn`](Self::spawn) and
/// [`timeout`](Self::timeout).
///
/// # Panics
/// When it is polled again after it has given its result, as most futures do.
#[derive(Debug)]
#[must_use = "a dropped deferred cancels its operation"]
pub struct Deferred<T> {
    receiver: oneshot::Receiver<T>,
}

/// The other end of a [`Deferred`]: gives the result, or abandons the operation when dropped.
#[derive(Debug)]
#[must_use = "a dropped resolver abandons its operation"]
pub struct Resolver<T> {
    sender: oneshot::Sender<T>,
}

/// There will be no result: the [`Resolver`] was dropped, because the driver has ended or the task
/// that was to find the result has panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the operation was abandoned before it had a result")]
pub struct Abandoned;

/// Why [`Deferred::timeout`] has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TimeoutError {
    /// The time is over; the operation has been cancelled.
    #[error("no result within {0:?}")]
    Elapsed(Duration),
    /// There will never be a result.
    #[error(transparent)]
    Abandoned(#[from] Abandoned),
}

impl<T> Deferred<T> {
    /// A deferred without a result, and the resolver that gives it one.
    pub fn pair() -> (Resolver<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Resolver { sender }, Self { receiver })
    }

    /// A deferred that has its result already.
    pub fn ready(value: T) -> Self {
        let (resolver, deferred) = Self::pair();
        // The other end is in the next line, so the value cannot come back.
        let _taken = resolver.resolve(value);
        deferred
    }

    /// Begins `future` as a task of its own. Dropping the deferred drops the future at its next await;
    /// a future that panics is [`Abandoned`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(future: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (mut resolver, deferred) = Self::pair();
        tokio::spawn(async move {
            let value = tokio::select! {
                biased;
                () = resolver.cancelled() => return,
                value = future => value,
            };
            // Cancelled in this very moment: nobody wants the value.
            let _unwanted = resolver.resolve(value);
        });
        deferred
    }

    /// The result, if it comes within `duration`; else the operation is cancelled. Measured by tokio's
    /// clock from now on, not from the first poll.
    ///
    /// Not cancel-safe: dropping the future cancels the operation.
    ///
    /// # Errors
    /// [`TimeoutError::Elapsed`] when the time is over, [`TimeoutError::Abandoned`] when there will be
    /// no result.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn timeout(self, duration: Duration) -> impl Future<Output = Result<T, TimeoutError>> {
        let limited = tokio::time::timeout(duration, self);
        async move {
            match limited.await {
                Ok(result) => Ok(result?),
                Err(_elapsed) => Err(TimeoutError::Elapsed(duration)),
            }
        }
    }
}

impl<T> Future for Deferred<T> {
    type Output = Result<T, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.receiver).poll(cx)).map_err(|_| Abandoned))
    }
}

impl<T> Resolver<T> {
    /// Gives the result.
    ///
    /// # Errors
    /// Gives `value` back when the deferred has been dropped.
    pub fn resolve(self, value: T) -> Result<(), T> {
        self.sender.send(value)
    }

    /// Whether the deferred has been dropped, so that the operation need not go on.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the deferred has been dropped. Cancel-safe.
    pub async fn cancelled(&mut self) {
        self.sender.closed().await;
    }

    /// Whether the deferred has been dropped; if not, `cx` is woken when it is.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.poll_closed(cx)
    }
}

/// An operation without a result is, to those who speak of I/O, a connection that broke.
impl From<Abandoned> for io::Error {
    fn from(abandoned: Abandoned) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, abandoned)
    }
}

/// The same, with the kind of error that I/O has for it.
impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::Elapsed(_) => Self::new(io::ErrorKind::TimedOut, error),
            TimeoutError::Abandoned(abandoned) => abandoned.into(),
        }
    }
}

#[cfg(test)]
mod tests;
