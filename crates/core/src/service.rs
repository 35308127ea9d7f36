//! Things that are started and stopped.
//!
//! ```text
//!   Services::start     web ──▶ dns ──▶ smtp      one after the other; a failure stops those before it
//!   Services::stop      web ◀── dns ◀── smtp      in reverse, within one deadline
//! ```

mod backoff;
mod client;
mod group;
mod lasting;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use crate::BoxError;

pub use backoff::{Backoff, Delays};
pub use client::{ClientService, Link, Online};
pub use group::{Laggard, Services, StartError, StopError};
pub use lasting::{Lasting, Restarts, Stopping};

/// Something with a start and a stop that the command supervises: Twisted's `Service`.
///
/// Several make a [`Services`], which is one itself; [`boxed`](Self::boxed) makes those of different
/// types one type.
pub trait Service: Send + 'static {
    /// What it is called in logs and errors.
    fn name(&self) -> &str;

    /// Begins. When this returns the service does its work, in tasks of its own; what can fail early
    /// (a busy port, a missing file) fails here.
    ///
    /// Dropping the future leaves the service not started: what it has taken is given back.
    ///
    /// # Errors
    /// When it cannot do its work. Then it is not started, and will not be stopped.
    fn start(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Ends, politely until `deadline` and at once from then on. Called at most once after each
    /// successful [`start`](Self::start). A service that takes longer is dropped.
    ///
    /// # Errors
    /// When the end was not clean. It has ended none the less.
    fn stop(&mut self, deadline: Instant) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// This service as a type that all services share.
    fn boxed(self) -> BoxService
    where
        Self: Sized,
    {
        BoxService(Box::new(self))
    }
}

/// A future behind a box, as an object-safe trait needs it.
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any [`Service`], made by [`Service::boxed`]. One allocation for each start and stop.
pub struct BoxService(Box<dyn DynService>);

/// The object-safe companion of [`Service`].
trait DynService: Send + 'static {
    fn dyn_name(&self) -> &str;
    fn dyn_start(&mut self) -> BoxFuture<'_, Result<(), BoxError>>;
    fn dyn_stop(&mut self, deadline: Instant) -> BoxFuture<'_, Result<(), BoxError>>;
}

impl<S: Service> DynService for S {
    fn dyn_name(&self) -> &str {
        self.name()
    }

    fn dyn_start(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(self.start())
    }

    fn dyn_stop(&mut self, deadline: Instant) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(self.stop(deadline))
    }
}

impl Service for BoxService {
    fn name(&self) -> &str {
        self.0.dyn_name()
    }

    fn start(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.dyn_start()
    }

    fn stop(&mut self, deadline: Instant) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.dyn_stop(deadline)
    }

    fn boxed(self) -> Self {
        self
    }
}

impl fmt::Debug for BoxService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoxService").field(&self.name()).finish()
    }
}
