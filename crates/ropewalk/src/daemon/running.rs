//! Services that run, and those that have no successor.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropewalk_core::endpoint::Bound;
use ropewalk_core::{
    Address, BoxService, Lasting, Listening, Reactor, Restarts, Service as _, Services, Stopping,
    Totals, tls,
};
use tokio::time::Instant;

use crate::stage::{Boxed, Draft, Kept, Listener, Serve, Work};
use crate::status;

/// A listener whose accept loop has begun, before its service has it.
pub(super) struct Served {
    info: Info,
    leaf: String,
    bound: Arc<Bound>,
    /// The socket was open already, by this.
    before: Option<Arc<Bound>>,
    serve: Serve,
    listening: Arc<Listening>,
}

/// What there is to know of a listener, without its socket, which would stay open by it.
#[derive(Clone)]
struct Info {
    endpoint: String,
    addresses: Vec<String>,
    certificate: Option<String>,
}

/// What keeps a socket open while it is accepted on, and between two accept loops on it. Emptied when
/// nobody will accept any more: whoever connects then is refused, and does not wait in vain.
#[derive(Clone)]
struct Port(Arc<Mutex<Option<Arc<Bound>>>>);

impl Port {
    fn new(bound: Arc<Bound>) -> Self {
        Self(Arc::new(Mutex::new(Some(bound))))
    }

    fn bound(&self) -> Option<Arc<Bound>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Begins to accept on all of them, or on none.
pub(super) async fn serve(listeners: &[Listener], reactor: &Reactor) -> io::Result<Vec<Served>> {
    let mut all: Vec<Served> = Vec::new();
    for listener in listeners {
        let begun = async {
            let bound = listener.socket.bound.try_clone()?;
            (listener.serve)(reactor, bound).await
        };
        match begun.await {
            Ok(listening) => all.push(Served::new(listener, Arc::new(listening))),
            Err(error) => {
                all.iter().for_each(Served::close);
                return Err(error);
            }
        }
    }
    Ok(all)
}

impl Served {
    fn new(listener: &Listener, listening: Arc<Listening>) -> Self {
        let socket = &listener.socket;
        let certificate = socket.bound.tls().next().and_then(tls::Server::fingerprint);
        let info = Info {
            endpoint: socket.endpoint.redacted(),
            addresses: socket.bound.local().iter().map(Address::to_string).collect(),
            certificate: certificate.map(|fingerprint| format!("{fingerprint:#}")),
        };
        Self {
            info,
            leaf: socket.leaf.clone(),
            bound: socket.bound.clone(),
            before: socket.before.clone(),
            serve: listener.serve.clone(),
            listening,
        }
    }

    /// Whether the socket was not open before.
    pub(super) fn is_new(&self) -> bool {
        self.before.is_none()
    }

    pub(super) fn close(&self) {
        self.listening.close();
    }
}

/// The accept loops that one socket has had: the last one accepts, of those before it connections may
/// be open.
#[derive(Default)]
struct History(Mutex<Past>);

#[derive(Default)]
struct Past {
    /// Of those that have ended.
    ended: Totals,
    loops: Vec<Arc<Listening>>,
}

impl History {
    fn past(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, listening: Arc<Listening>) {
        let mut past = self.past();
        let (ended, live): (Vec<_>, Vec<_>) =
            past.loops.drain(..).partition(|listening| listening.has_ended());
        past.ended = ended.iter().fold(past.ended, |sum, listening| sum + listening.totals());
        past.loops = live;
        past.loops.push(listening);
    }

    fn loops(&self) -> Vec<Arc<Listening>> {
        self.past().loops.clone()
    }

    fn totals(&self) -> Totals {
        let past = self.past();
        past.loops.iter().fold(past.ended, |sum, listening| sum + listening.totals())
    }

    fn is_open(&self) -> bool {
        self.past().loops.last().is_some_and(|listening| listening.is_open())
    }

    fn has_ended(&self) -> bool {
        self.past().loops.iter().all(|listening| listening.has_ended())
    }
}

/// A socket that is accepted on.
struct Live {
    info: Info,
    leaf: String,
    port: Port,
    history: Arc<History>,
    /// Begins to accept again when that has panicked; ends when dropped.
    _watch: BoxService,
}

/// A service that runs.
pub(super) struct Running {
    kind: &'static str,
    name: String,
    listeners: Vec<Live>,
    /// Sockets of work.
    others: Vec<(String, Arc<Bound>)>,
    work: Services,
    restarts: Restarts,
    kept: Vec<Kept>,
    /// Loops on sockets that a successor has taken over, which still have connections.
    handed: Vec<Arc<Listening>>,
}

impl Running {
    /// Takes over what of `old` it has the sockets of, and begins its work.
    pub(super) async fn begin(
        (kind, name): (&'static str, String),
        draft: Draft,
        served: Vec<Served>,
        old: &mut [Self],
        reactor: &Reactor,
    ) -> Self {
        let restarts = Restarts::default();
        let mut listeners = Vec::new();
        for served in served {
            let history = served.before.as_ref().and_then(|before| hand_over(old, before));
            let history = history.unwrap_or_default();
            history.push(served.listening.clone());
            let port = Port::new(served.bound.clone());
            let mut watch = watch(&name, &served, &port, &history, reactor, &restarts);
            begun(watch.start().await);
            let Served { info, leaf, .. } = served;
            listeners.push(Live { info, leaf, port, history, _watch: watch });
        }
        let mut work = Services::new(name.clone());
        let mut others = Vec::new();
        for Work { name, socket, begin } in draft.works {
            others.extend(socket.map(|socket| (socket.leaf, socket.bound)));
            let lasting = Lasting::new(name, move |stopping| begin(stopping));
            work = work.with(lasting.counting_in(&restarts));
        }
        begun(Services::start(&mut work).await);
        let (kept, handed) = (draft.kept, Vec::new());
        Self { kind, name, listeners, others, work, restarts, kept, handed }
    }

    /// The sockets that are open, by their leaf.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (String, Arc<Bound>)> {
        let open = |live: &Live| Some((live.leaf.clone(), live.port.bound()?));
        let listeners = self.listeners.iter().filter_map(open);
        listeners.chain(self.others.iter().cloned())
    }

    /// Those of work, which nobody accepts on.
    pub(super) fn others(&self) -> impl Iterator<Item = &Bound> {
        self.others.iter().map(|(_, bound)| &**bound)
    }

    /// Ends what it does beside its connections.
    pub(super) async fn stop_work(&mut self, deadline: Instant) {
        // What did not stop well has been logged, and has ended none the less.
        let _ = Services::stop(&mut self.work, deadline).await;
    }

    /// What is left of it, to be ended.
    pub(super) fn retire(self) -> Retired {
        let left = |live: Live| {
            live.port.close();
            (live.info, live.history)
        };
        let listeners = self.listeners.into_iter().map(left).collect();
        Retired { name: self.name, listeners, handed: self.handed, kept: Mutex::new(self.kept) }
    }

    pub(super) fn view(&self) -> View {
        let listeners = self.listeners.iter().map(|live| (live.info.clone(), live.history.clone()));
        View {
            kind: self.kind,
            name: self.name.clone(),
            restarts: self.restarts.clone(),
            listeners: listeners.collect(),
            ports: self.listeners.iter().map(|live| live.port.clone()).collect(),
            work: self.work.names().map(str::to_owned).collect(),
        }
    }
}

/// Work of this kind begins in a task of its own, and so cannot fail to.
fn begun<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::error!("{error}");
    }
}

/// Has the owner of a socket accept no more on it; what it has had.
fn hand_over(old: &mut [Running], before: &Arc<Bound>) -> Option<Arc<History>> {
    let is_it = |live: &Live| live.port.bound().is_some_and(|bound| Arc::ptr_eq(&bound, before));
    let owner = old.iter_mut().find(|running| running.listeners.iter().any(is_it))?;
    let at = owner.listeners.iter().position(is_it)?;
    let live = owner.listeners.swap_remove(at);
    for listening in live.history.loops() {
        listening.close();
        owner.handed.push(listening);
    }
    Some(live.history)
}

/// Sees to it that somebody accepts.
fn watch(
    name: &str,
    served: &Served,
    port: &Port,
    history: &Arc<History>,
    reactor: &Reactor,
    restarts: &Restarts,
) -> BoxService {
    let first = Mutex::new(Some(served.listening.clone()));
    let (port, serve) = (port.clone(), served.serve.clone());
    let (history, reactor) = (history.clone(), reactor.clone());
    let begin = move |mut stopping: Stopping| {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (port, serve) = (port.clone(), serve.clone());
        let (history, reactor) = (history.clone(), reactor.clone());
        let work = async move {
            let listening = match first {
                Some(listening) => listening,
                None => {
                    let Some(bound) = port.bound() else { return Ok(()) };
                    let listening = Arc::new(serve(&reactor, bound.try_clone()?).await?);
                    history.push(listening.clone());
                    listening
                }
            };
            tokio::select! {
                () = listening.failed() => Err("accepting panicked".into()),
                () = listening.ended() => Ok(()),
                _ = stopping.requested() => Ok(()),
            }
        };
        Box::pin(work) as Boxed<_>
    };
    let name = format!("{name}: {}", served.info.endpoint);
    Lasting::new(name, begin).counting_in(restarts).boxed()
}

/// What a reload has left of a service.
pub(super) struct Retired {
    name: String,
    listeners: Vec<(Info, Arc<History>)>,
    handed: Vec<Arc<Listening>>,
    kept: Mutex<Vec<Kept>>,
}

impl Retired {
    /// What is to be said of it.
    pub(super) fn says(&self) -> Vec<String> {
        let says = |(info, history): &(Info, Arc<History>)| {
            let (name, open) = (&self.name, history.totals().open);
            format!("{name} no longer at {}; connections open: {open}", info.addresses.join(" "))
        };
        self.listeners.iter().map(says).collect()
    }

    /// Drains until `deadline`; how many connections it had to abort. Then waits for connections on
    /// sockets that have been handed over, and lets go of what was kept for them.
    pub(super) fn end(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> impl Future<Output = u64> + Send + use<> {
        let this = self.clone();
        let stop = |listening: Arc<Listening>| async move { listening.stop(deadline).await };
        let loops = this.listeners.iter().flat_map(|(_, history)| history.loops());
        let begin = |listening: Arc<Listening>| {
            // At once, not when the task has its turn.
            listening.drain();
            tokio::spawn(stop(listening))
        };
        let stopping: Vec<_> = loops.map(begin).collect();
        async move {
            let mut left = 0;
            for stopping in stopping {
                left += stopping.await.unwrap_or(0);
            }
            for listening in &this.handed {
                listening.ended().await;
            }
            let kept =
                std::mem::take(&mut *this.kept.lock().unwrap_or_else(PoisonError::into_inner));
            // It may wait for a reader.
            let _ = tokio::task::spawn_blocking(move || drop(kept)).await;
            left
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What its listeners have seen, by endpoint.
    pub(super) fn totals(&self) -> impl Iterator<Item = (String, Totals)> {
        self.listeners.iter().map(|(info, history)| (info.endpoint.clone(), history.totals()))
    }

    /// Whether there is nothing to be told of it any more.
    pub(super) fn has_ended(&self) -> bool {
        self.listeners.iter().all(|(_, history)| history.has_ended())
    }

    pub(super) fn status(&self) -> Vec<status::Listener> {
        self.listeners.iter().map(|(info, history)| listener(info, history)).collect()
    }
}

/// What there is to know of a service.
pub(super) struct View {
    kind: &'static str,
    name: String,
    restarts: Restarts,
    listeners: Vec<(Info, Arc<History>)>,
    ports: Vec<Port>,
    work: Vec<String>,
}

impl View {
    /// Closes its sockets, when nobody will accept any more.
    pub(super) fn close(&self) {
        self.ports.iter().for_each(Port::close);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What its listeners have seen, by endpoint.
    pub(super) fn totals(&self) -> impl Iterator<Item = (String, Totals)> {
        self.listeners.iter().map(|(info, history)| (info.endpoint.clone(), history.totals()))
    }

    /// Its name, and how often something of it was begun again.
    pub(super) fn restarts(&self) -> (String, u64) {
        (self.name.clone(), self.restarts.get())
    }

    pub(super) fn status(&self) -> status::Service {
        status::Service {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            restarts: self.restarts.get(),
            listeners: self
                .listeners
                .iter()
                .map(|(info, history)| listener(info, history))
                .collect(),
            work: self.work.clone(),
        }
    }
}

fn listener(info: &Info, history: &History) -> status::Listener {
    let totals = history.totals();
    status::Listener {
        endpoint: info.endpoint.clone(),
        addresses: info.addresses.clone(),
        open: history.is_open(),
        certificate: info.certificate.clone(),
        connections: totals.open,
        accepted: totals.accepted,
        refused: totals.refused.iter().sum(),
        unserved: totals.unserved,
        failed: totals.failed,
        panicked: totals.panicked,
        received: totals.received,
        sent: totals.sent,
    }
}
