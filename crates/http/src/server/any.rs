//! Handlers of different types in one place.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};

use super::Handler;
use crate::{Body, Incoming};

type Answering<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// Any [`Handler`], behind a pointer: which one it is, is decided when the program runs. Costs an
/// allocation for each request. A clone is the same handler.
#[derive(Clone)]
pub struct AnyHandler(Arc<dyn Object>);

/// [`Handler`], as an object.
trait Object: Send + Sync {
    fn handle(&self, request: Request<Incoming>) -> Answering<'_>;
}

impl<H: Handler> Object for H {
    fn handle(&self, request: Request<Incoming>) -> Answering<'_> {
        Box::pin(Handler::handle(self, request))
    }
}

impl AnyHandler {
    /// `handler`, behind a pointer.
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self(Arc::new(handler))
    }

    /// Whether it is the same handler.
    #[cfg(test)]
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Handler for AnyHandler {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self.0.handle(request)
    }
}

impl fmt::Debug for AnyHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyHandler").finish_non_exhaustive()
    }
}
