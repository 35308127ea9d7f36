//! Threads of a reactor's own, each with a runtime that serves what it accepts.

use std::io;
use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// A thread with a runtime of its own, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) handle: Handle,
    /// Dropped to end the thread.
    _alive: oneshot::Sender<()>,
}

impl Worker {
    pub(super) fn start(number: usize) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            // An error means that the sender is gone: the reactor has ended.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _alive: alive })
    }
}
