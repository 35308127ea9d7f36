//! From settings to the end of the process: the runtime, the reactor, the signals.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ropewalk_core::endpoint::{Bound, Certificate, Endpoint, Registry, Wrapper};
use ropewalk_core::{BoxError, Connection, Factory, Peer, Reactor, Refusal, Workers};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tracing::debug;

use crate::exit::{Code, Failure};
use crate::operations::{self, Process, Signals};

/// How services are run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Worker threads that accept each for itself; `None` leaves it to the reactor's default.
    pub workers: Option<NonZeroUsize>,
    /// For how long busy connections may go on after the first SIGTERM.
    pub grace: Duration,
    /// What endpoints may name.
    pub registry: Registry,
    /// Who the process is, and how it is replaced.
    pub process: operations::Settings,
}

impl Plan {
    /// Has `start` set up what is to run in a reactor, then runs that until SIGTERM or SIGINT, or until
    /// a new process has taken over, and returns when all has ended. A signal that comes while `start`
    /// is at work is not lost.
    ///
    /// `start` binds all it listens on, calls [`Process::bound`], and only then serves: that is where
    /// privileges are dropped.
    ///
    /// # Errors
    /// Those of `start`, and when there can be no runtime.
    pub fn run<T>(
        self,
        start: impl AsyncFnOnce(&Reactor, &Process) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        raise_open_files();
        let workers = self.workers.map_or_else(Workers::default, |n| Workers::PerCore(n.get()));
        let own = self.workers.map_or(0, NonZeroUsize::get);
        let process = Process::begin(self.process, &self.registry, own)?;
        let runtime = runtime(workers)
            .map_err(|error| Failure::new(Code::Os, format!("cannot start threads: {error}")))?;
        let result = runtime.block_on(async {
            let signals = Signals::new()?;
            let reactor = Reactor::builder()
                .workers(workers)
                .grace(self.grace)
                .registry(self.registry)
                .build()?;
            let mut running = pin!(reactor.run());
            // From its first step on it hears signals.
            let first = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await;
            let started = start(&reactor, &process).await?;
            process.ready(&reactor).await?;
            match first {
                Poll::Ready(ended) => ended?,
                Poll::Pending => {
                    let (ended, ()) = tokio::join!(running, process.attend(&reactor, signals));
                    ended?;
                }
            }
            Ok(started)
        });
        let result: Result<T, Failure> = result;
        if let Err(failure) = &result {
            process.failed(failure);
        }
        // A read of standard input holds a thread that nothing can wake.
        runtime.shutdown_background();
        result
    }
}

/// The runtime that fits: workers of their own leave only signals and timers to this one.
fn runtime(workers: Workers) -> std::io::Result<Runtime> {
    let mut builder = match workers {
        Workers::Shared => Builder::new_multi_thread(),
        Workers::PerCore(_) => Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

/// How many descriptors this process may have open, as far as that is limited.
#[must_use]
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the soft limit of open files to the hard one: each connection takes one or two.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "the limit of open files stays as it is");
    }
}

/// What to say of a certificate that was made for this run, so that people can compare it.
#[must_use]
pub fn made_for_this_run(endpoint: &Endpoint, bound: &Bound) -> Option<String> {
    let is_made = |layer: &Wrapper| matches!(layer, Wrapper::Tls(tls) if tls.certificate == Certificate::SelfSigned);
    let fingerprint = bound.tls().next()?.fingerprint()?;
    let says = || {
        format!(
            "the certificate was made for this run; its SHA-256 fingerprint is {fingerprint}, \
             in endpoints pin={fingerprint:#}"
        )
    };
    endpoint.wrappers().iter().any(is_made).then(says)
}

/// Stops the reactor when a connection has ended: for endpoints that have only one.
#[derive(Debug)]
pub struct Once<F> {
    inner: F,
    reactor: Reactor,
}

impl<F> Once<F> {
    /// `inner`, whose first connection is the last.
    #[must_use]
    pub fn new(inner: F, reactor: Reactor) -> Self {
        Self { inner, reactor }
    }
}

impl<F: Factory> Factory for Once<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        let reactor = self.reactor.clone();
        // Held until the connection has ended, whatever ends it.
        peer.hold(Stop(reactor));
        self.inner.build(peer)
    }

    async fn serve(&self, connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        self.inner.serve(connection).await
    }

    fn refusal(&self, why: &Refusal) -> Bytes {
        self.inner.refusal(why)
    }
}

/// Stops a reactor when dropped.
struct Stop(Reactor);

impl Drop for Stop {
    fn drop(&mut self) {
        let reactor = self.0.clone();
        // Not spawned in the reactor: that would wait for itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { reactor.stop().await });
        }
    }
}
