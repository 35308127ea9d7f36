//! What services are to do, before any of them does it.
//!
//! ```text
//!   settings ──▶ Stage ──▶ Draft: bound sockets, factories, work  ──▶ begun, all or none
//!                  │
//!                  └─ problems: by line and key, all of them
//! ```
//! A first start and a reload take the same way. On a reload the stage has the sockets that are open:
//! who asks for the same address gets the same socket.

use std::any::Any as Anything;
use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use ropewalk_core::endpoint::{Bound, Certificate, Endpoint, Host, Leaf, Registry, Wrapper};
use ropewalk_core::factory::Tally;
use ropewalk_core::{Address, BoxError, Factory, Listening, Reactor, Stopping};

use crate::exit::{Code, Failure};
use crate::guard::{Any, Limits};
use crate::logfile::{LogFile, Logs};
use crate::metrics::Metrics;
use crate::problem::Place;
use crate::run::Once;

/// Where a service puts what it is to do.
#[derive(Debug)]
pub struct Stage {
    scene: Scene,
    name: String,
    place: Place,
    tally: Tally,
    problems: Vec<Failure>,
    draft: Draft,
}

/// What all services of one start or reload share.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) registry: Registry,
    /// Whether it is only to be found out what is wrong: no socket is opened.
    pub(crate) rehearsal: bool,
    /// How many sockets are wanted for each address.
    pub(crate) workers: usize,
    /// Limits of services that say nothing of their own.
    pub(crate) limits: Limits,
    /// How many services there are.
    pub(crate) services: usize,
    /// Whether what comes and goes is shown.
    pub(crate) wire: bool,
    /// Sockets that are open, by the leaf of their endpoint; each can be taken once.
    pub(crate) open: Vec<(String, Arc<Bound>)>,
    /// Where somebody has asked to listen already.
    pub(crate) seen: Vec<(String, Leaf)>,
    pub(crate) ending: Ending,
    /// Where requests are counted, if somebody may ask for figures.
    pub(crate) metrics: Option<Metrics>,
    pub(crate) logs: Logs,
}

/// What a service is to do.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) works: Vec<Work>,
    /// Log files, not open yet.
    pub(crate) logs: Vec<LogFile>,
    /// Dropped when all connections of the service have ended.
    pub(crate) kept: Vec<Kept>,
}

/// A value that is only dropped, behind a lock that nobody takes: so it need not be `Sync`.
pub(crate) type Kept = Mutex<Box<dyn Anything + Send>>;

/// Something behind a box that will come.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Begins to accept.
pub(crate) type Serve = Arc<dyn Fn(&Reactor, Bound) -> Boxed<io::Result<Listening>> + Send + Sync>;

/// What is said of an address that is listened on.
type Says = Box<dyn Fn(&Address) -> String + Send + Sync>;

/// A socket and what is served there.
pub(crate) struct Listener {
    pub(crate) socket: Open,
    pub(crate) serve: Serve,
    says: Says,
}

/// Work of its own.
pub(crate) struct Work {
    pub(crate) name: String,
    /// What it works on, if it is a socket.
    pub(crate) socket: Option<Open>,
    pub(crate) begin: Arc<dyn Fn(Stopping) -> Boxed<Result<(), BoxError>> + Send + Sync>,
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) endpoint: Endpoint,
    pub(crate) leaf: String,
    pub(crate) bound: Arc<Bound>,
    /// The socket was open already.
    pub(crate) before: Option<Arc<Bound>>,
}

/// An endpoint that a service listens on. When it is only to be found out what is wrong, it is not
/// bound, and has no address.
#[derive(Debug)]
pub struct Socket {
    endpoint: Endpoint,
    open: Option<Open>,
}

impl Socket {
    /// Where it was asked to listen.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where it listens, with the port the system chose.
    #[must_use]
    pub fn local(&self) -> &[Address] {
        self.open.as_ref().map_or(&[], |open| open.bound.local())
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.endpoint.wrappers().iter().any(|layer| matches!(layer, Wrapper::Tls(_)))
    }
}

impl Stage {
    pub(crate) fn new(scene: Scene) -> Self {
        Self {
            scene,
            name: String::new(),
            place: Place::Options,
            tally: Tally::default(),
            problems: Vec::new(),
            draft: Draft::default(),
        }
    }

    /// The next service; the draft of the one before.
    pub(crate) fn enter(&mut self, name: &str, place: &Place, tally: Tally) -> Draft {
        (self.name, self.place, self.tally) = (name.to_owned(), place.clone(), tally);
        std::mem::take(&mut self.draft)
    }

    pub(crate) fn problems(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.problems)
    }

    /// What the service is called: its kind, unless the file gives it a name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is only to be found out what is wrong: what is put here is never begun.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.scene.rehearsal
    }

    /// Kinds of endpoints, and names in memory.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.scene.registry
    }

    /// Where the service may count its requests or commands; `None` if nobody can ask for figures.
    #[must_use]
    pub fn metrics(&self) -> Option<&Metrics> {
        self.scene.metrics.as_ref()
    }

    /// A log in a file, of whatever `kind`: opened when the service begins, with the privileges that
    /// the process has then, and anew on SIGUSR1.
    pub fn log_file(&mut self, kind: &'static str, path: &Path) -> LogFile {
        let log = self.scene.logs.file(kind, path);
        self.draft.logs.push(log.clone());
        log
    }

    /// Where what ends the whole command is put.
    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.scene.ending
    }

    /// Notes what is wrong with the value of a key (`path`, `listen[1]`): told with its place, and
    /// with all else that is wrong. Nothing is begun then.
    pub fn problem(&mut self, key: &str, code: Code, what: impl AsRef<str>) {
        self.problems.push(self.place.failure(key, code, what));
    }

    /// An endpoint from the value of a key; notes a problem if it is none.
    pub fn endpoint(&mut self, key: &str, text: &str) -> Option<Endpoint> {
        match Endpoint::parse_with(text, &self.scene.registry) {
            Ok(endpoint) => Some(endpoint),
            Err(error) => {
                self.problems.push(self.place.endpoint(key, &error));
                None
            }
        }
    }

    /// Opens the socket of an endpoint, or takes over the one that is open; notes a problem if that
    /// cannot be done.
    pub fn bind(&mut self, key: &str, endpoint: Endpoint) -> Option<Socket> {
        let open = if self.scene.rehearsal {
            self.scene.rehearse(&endpoint).map(|()| None)
        } else {
            self.scene.open(&endpoint).map(Some)
        };
        match open {
            Ok(open) => Some(Socket { endpoint, open }),
            Err(error) => {
                let failure = Failure::bind(&error);
                let ours = match error.kind() {
                    io::ErrorKind::AddrInUse if self.scene.has_port(&endpoint) => {
                        " (it is open under another description, which only a restart can change)"
                    }
                    io::ErrorKind::AddrInUse if self.scene.is_taken(&endpoint) => {
                        " (another listener of this command has it)"
                    }
                    _ => "",
                };
                self.problem(key, failure.code(), format!("{failure}{ours}"));
                None
            }
        }
    }

    /// [`endpoint`](Self::endpoint), `with`, and [`bind`](Self::bind) for each of the texts of a key.
    pub fn sockets(
        &mut self,
        key: &str,
        texts: &[String],
        with: impl Fn(Endpoint) -> Result<Endpoint, Failure>,
    ) -> Vec<Socket> {
        if texts.is_empty() {
            self.problem(key, Code::Usage, "say where: an endpoint, as in tcp:127.0.0.1:8080");
        }
        let mut sockets = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let key = format!("{key}[{index}]");
            let Some(endpoint) = self.endpoint(&key, text) else { continue };
            match with(endpoint) {
                Ok(endpoint) => sockets.extend(self.bind(&key, endpoint)),
                Err(failure) => self.problem(&key, failure.code(), failure.to_string()),
            }
        }
        sockets
    }

    /// Puts around `factory` the limits of the service and those of all services. Connections are
    /// counted together with those that the service had before a reload.
    #[must_use]
    pub fn guard<F: Factory>(
        &self,
        protocol: &'static str,
        limits: &Limits,
        sockets: &[Socket],
        factory: F,
    ) -> Any<F::Protocol>
    where
        F::Protocol: 'static,
    {
        let places: Vec<Address> = sockets.iter().flat_map(Socket::local).cloned().collect();
        let limits = limits.or(&self.scene.limits).shared_by(self.scene.services);
        limits.guard(protocol, self.scene.wire, &places, &self.tally, factory)
    }

    /// Serves `factory` there; `says` is logged of each address when it has begun.
    pub fn serve<F: Factory>(
        &mut self,
        socket: Socket,
        factory: F,
        says: impl Fn(&Address) -> String + Send + Sync + 'static,
    ) {
        let Some(open) = socket.open else { return };
        let only = matches!(open.endpoint.leaf(), Leaf::Stdio);
        let factory = Arc::new(factory);
        let serve: Serve = Arc::new(move |reactor: &Reactor, bound| {
            let (reactor, factory) = (reactor.clone(), factory.clone());
            Box::pin(async move {
                if only {
                    reactor.serve(bound, Once::new(factory, reactor.clone())).await
                } else {
                    reactor.serve(bound, factory).await
                }
            })
        });
        self.draft.listeners.push(Listener { socket: open, serve, says: Box::new(says) });
    }

    /// All of the usual: opens the sockets of the key `listen`, guards the factory, serves it, and
    /// says so.
    pub fn listen<F: Factory>(&mut self, listen: &[String], limits: &Limits, factory: F)
    where
        F::Protocol: 'static,
    {
        let sockets = self.sockets("listen", listen, Ok);
        let factory = self.guard("service", limits, &sockets, factory);
        let name: Arc<str> = self.name.as_str().into();
        for socket in sockets {
            let name = name.clone();
            self.serve(socket, factory.clone(), move |address| format!("{name} at {address}"));
        }
    }

    /// Work beside the connections: begun with the service, told to stop with it, and begun again
    /// after a while when it panics or fails.
    pub fn work<W>(
        &mut self,
        name: impl Into<String>,
        begin: impl Fn(Stopping) -> W + Send + Sync + 'static,
    ) where
        W: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let begin = Arc::new(move |stopping| Box::pin(begin(stopping)) as Boxed<_>);
        self.draft.works.push(Work { name: name.into(), socket: None, begin });
    }

    /// [`work`](Self::work) on a socket that does not accept, as `udp:`. On a reload what was begun
    /// before is stopped first.
    pub fn work_on<W>(
        &mut self,
        socket: Socket,
        name: impl Into<String>,
        begin: impl Fn(Bound, Stopping) -> W + Send + Sync + 'static,
    ) where
        W: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let Some(open) = socket.open else { return };
        let bound = open.bound.clone();
        let begin = Arc::new(move |stopping| match bound.try_clone() {
            Ok(bound) => Box::pin(begin(bound, stopping)) as Boxed<_>,
            Err(error) => Box::pin(async { Err(error.into()) }),
        });
        self.draft.works.push(Work { name: name.into(), socket: Some(open), begin });
    }

    /// Keeps a value until the service has ended, and all of its connections.
    pub fn keep(&mut self, value: impl Anything + Send) {
        self.draft.kept.push(Mutex::new(Box::new(value)));
    }
}

impl Scene {
    fn rehearse(&mut self, endpoint: &Endpoint) -> io::Result<()> {
        if self.is_taken(endpoint) {
            let what = format!("{}: named before in this file", endpoint.redacted());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        }
        self.seen.push((self.leaf(endpoint), endpoint.leaf().clone()));
        endpoint.rehearse()
    }

    /// Whether somebody has asked for the same place already, or for one that has it in it.
    fn is_taken(&self, endpoint: &Endpoint) -> bool {
        let text = self.leaf(endpoint);
        self.seen.iter().any(|(seen, other)| match (other, endpoint.leaf()) {
            (Leaf::Tcp(one), Leaf::Tcp(other)) => {
                let shared = one.reuseport && other.reuseport;
                let hosts = one.host == other.host || is_any(&one.host) || is_any(&other.host);
                one.port != 0 && one.port == other.port && hosts && !shared
            }
            _ => *seen == text,
        })
    }

    /// Whether one of the open sockets has the port of an endpoint.
    fn has_port(&self, endpoint: &Endpoint) -> bool {
        let Leaf::Tcp(tcp) = endpoint.leaf() else { return false };
        let has = |address: &Address| address.port() == Some(tcp.port);
        self.open.iter().any(|(_, bound)| bound.local().iter().any(has))
    }

    /// What an endpoint ends in: where its socket is.
    fn leaf(&self, endpoint: &Endpoint) -> String {
        Endpoint::new(endpoint.leaf().clone()).with_registry(&self.registry).to_string()
    }

    fn open(&mut self, endpoint: &Endpoint) -> io::Result<Open> {
        let leaf = self.leaf(endpoint);
        let before = self.open.iter().position(|(open, _)| *open == leaf);
        if let Some(before) = before {
            let bound = Arc::new(endpoint.rebind(&self.open[before].1)?);
            // In order: of several with a port of the system's choice each keeps its own.
            let (_, before) = self.open.remove(before);
            return Ok(Open { endpoint: endpoint.clone(), leaf, bound, before: Some(before) });
        }
        let mut bound = endpoint.bind()?;
        self.seen.push((leaf.clone(), endpoint.leaf().clone()));
        // Now, while we may: later there may be no privilege to bind the port again.
        bound.spread(self.workers)?;
        Ok(Open { endpoint: endpoint.clone(), leaf, bound: Arc::new(bound), before: None })
    }
}

/// Whether a host stands for all addresses.
fn is_any(host: &Host) -> bool {
    match host {
        Host::Any => true,
        Host::Ip(ip) => ip.is_unspecified(),
        Host::Name(_) => false,
    }
}

impl Listener {
    /// What is to be said now that it listens.
    pub(crate) fn says(&self) -> Vec<String> {
        let bound = &self.socket.bound;
        let mut lines: Vec<String> = bound.local().iter().map(|at| (self.says)(at)).collect();
        lines.extend(made_for_this_run(&self.socket.endpoint, bound));
        lines
    }
}

/// What to say of a certificate that was made for this run, so that people can compare it.
fn made_for_this_run(endpoint: &Endpoint, bound: &Bound) -> Option<String> {
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

/// What the command ends with, if not well: for a service whose only connection has failed. Clones
/// are one.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<Mutex<Option<Failure>>>);

impl Ending {
    /// Has the command end with this, unless something else is there already. Does not end it.
    pub fn fail(&self, failure: Failure) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    pub(crate) fn take(&self) -> Result<(), Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("name", &self.name).finish_non_exhaustive()
    }
}
