//! From an accepted socket to the end of its connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, warn};

use super::listening::{Ledger, State, advance};
use super::{Entered, Inner, Listening, Phase};
use crate::connection::turn;
use crate::endpoint::{AcceptError, Accepted, Bound, Listener};
use crate::guarded::{Panicked, guarded};
use crate::{Connection, Factory, Peer, Refusal};

/// How long accepting pauses when the process or the system has run out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Begins to accept on `bound`, once per worker.
pub(super) async fn start<F: Factory>(
    inner: &Arc<Inner>,
    mut bound: Bound,
    factory: Arc<F>,
) -> io::Result<Listening> {
    let local = bound.local().to_vec();
    let listening = Listening {
        local,
        state: watch::Sender::new(State::Open),
        alive: watch::Sender::new(()),
        ledger: Arc::default(),
    };
    if inner.workers.is_empty() {
        let _guard = inner.home.enter();
        let listener = inner.listens(bound.listener()?);
        let held = Held::new(&listening, inner);
        inner.home.spawn(accept(inner.clone(), listener, factory, held));
        return Ok(listening);
    }
    bound.spread(inner.workers.len())?;
    let bound = Arc::new(bound);
    for worker in &inner.workers {
        let (ready, begun) = oneshot::channel();
        let (inner, bound, factory) = (inner.clone(), bound.clone(), factory.clone());
        let held = Held::new(&listening, &inner);
        worker.handle.spawn(async move {
            match bound.listener() {
                Ok(listener) => {
                    drop(bound);
                    let listener = inner.listens(listener);
                    let _ = ready.send(Ok(()));
                    accept(inner, listener, factory, held).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        begun.await.map_err(|_| io::Error::other("a worker thread has ended"))??;
    }
    Ok(listening)
}

/// What an accept loop has of its handle, and of the reactor that waits for it.
struct Held {
    state: watch::Sender<State>,
    ledger: Arc<Ledger>,
    _alive: watch::Receiver<()>,
    _busy: Busy,
}

impl Held {
    fn new(listening: &Listening, inner: &Inner) -> Self {
        Self {
            state: listening.state.clone(),
            ledger: listening.ledger.clone(),
            _alive: listening.alive.subscribe(),
            _busy: inner.loops(),
        }
    }
}

/// Something the reactor waits for before it has stopped.
pub(super) struct Busy(watch::Sender<usize>);

impl Inner {
    fn loops(&self) -> Busy {
        self.busy.send_modify(|busy| *busy += 1);
        Busy(self.busy.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|busy| *busy -= 1);
    }
}

/// Accepts until closed or stopped, then waits for the connections it accepted.
async fn accept<F: Factory>(
    inner: Arc<Inner>,
    listener: Arc<Listener>,
    factory: Arc<F>,
    held: Held,
) {
    let (mut phase, mut state) = (inner.phase.subscribe(), held.state.subscribe());
    let mut connections = JoinSet::new();
    let mut exhausted = false;
    let mut ended = pin!(async {
        tokio::select! {
            _ = state.wait_for(|state| *state != State::Open) => {}
            _ = phase.wait_for(|phase| *phase != Phase::Running) => {}
        }
    });
    loop {
        tokio::select! {
            biased;
            () = &mut ended => break,
            Some(ended) = connections.join_next() => report(&ended, &held.ledger),
            accepted = guarded(|| listener.accept()) => match accepted {
                Ok(Ok(accepted)) => {
                    exhausted = false;
                    let ledger = held.ledger.clone();
                    connections.spawn(serve(inner.clone(), factory.clone(), ledger, accepted));
                }
                Ok(Err(error)) => pause(&listener, &error, &mut exhausted).await,
                Err(Panicked) => {
                    error!(listener = %listener.local(), "accepting panicked");
                    held.ledger.broken.store(true, Ordering::Release);
                    advance(&held.state, State::Closed);
                    break;
                }
            },
        }
    }
    drop(listener);
    let (mut phase, mut state) = (inner.phase.subscribe(), held.state.subscribe());
    loop {
        tokio::select! {
            next = connections.join_next() => match next {
                Some(ended) => report(&ended, &held.ledger),
                None => return,
            },
            _ = phase.wait_for(|phase| *phase == Phase::Stopped) => break,
            _ = state.wait_for(|state| *state == State::Cut) => break,
        }
    }
    connections.abort_all();
    while connections.join_next().await.is_some() {}
}

/// A handler that panicked lost its connection; nobody else notices.
fn report(ended: &Result<(), JoinError>, ledger: &Ledger) {
    if let Err(error) = ended
        && error.is_panic()
    {
        ledger.panicked.fetch_add(1, Ordering::Relaxed);
        error!("a connection's handler panicked: {error}");
    }
}

/// What to do when accepting failed: a peer that is gone already is nothing, being out of
/// descriptors or memory needs time, and so does what should not happen.
async fn pause(listener: &Listener, error: &io::Error, exhausted: &mut bool) {
    if AcceptError::of(error) == AcceptError::Connection {
        debug!(%error, "a connection was gone before it was accepted");
        return;
    }
    // Said once, not ten times a second.
    if !std::mem::replace(exhausted, true) {
        warn!(listener = %listener.local(), %error, "cannot accept: trying again every {PAUSE:?}");
    }
    tokio::time::sleep(PAUSE).await;
}

/// One connection, from what was accepted to its end.
fn serve<F: Factory>(
    inner: Arc<Inner>,
    factory: Arc<F>,
    ledger: Arc<Ledger>,
    accepted: Accepted,
) -> impl Future<Output = ()> + Send {
    // Boxed, and not part of an `async fn` that would keep its arguments: what is done at the beginning
    // has a large state, and a connection that waits for its peer is to be small.
    let opening = Box::pin(open(inner, factory.clone(), ledger, accepted));
    async move {
        let Some((entered, connection)) = opening.await else { return };
        let serving = turn::counted(entered.peer.id(), factory.serve(connection));
        if let Err(error) = serving.await {
            let Entered { peer, ledger, .. } = &entered;
            ledger.failed.fetch_add(1, Ordering::Relaxed);
            debug!(id = peer.id(), peer = %peer.address(), %error, "the connection failed");
        }
        drop(entered);
    }
}

/// What comes before a connection is served: the PROXY header, the factory's verdict, the TLS
/// handshake. `None` when that was all.
async fn open<F: Factory>(
    inner: Arc<Inner>,
    factory: Arc<F>,
    ledger: Arc<Ledger>,
    mut accepted: Accepted,
) -> Option<(Entered, Connection<F::Protocol>)> {
    let id = inner.next_id();
    let address = accepted.peer().clone();
    if let Err(error) = accepted.proxied().await {
        debug!(id, peer = %address, %error, "no proper PROXY header");
        return None;
    }
    let peer = Peer::new(id, accepted.peer().clone(), accepted.local().clone());
    let entered = inner.enter(peer.clone(), ledger);
    let protocol = match factory.build(&peer) {
        Ok(protocol) => protocol,
        Err(why) => {
            entered.ledger.refuse(&why);
            refuse(&*factory, &why, accepted, &peer).await;
            return None;
        }
    };
    match accepted.establish().await {
        Ok(transport) => Some((entered, Connection::with_peer(protocol, transport, peer))),
        Err(error) => {
            entered.ledger.unserved.fetch_add(1, Ordering::Relaxed);
            debug!(id, peer = %peer.address(), %error, "the handshake failed");
            None
        }
    }
}

/// Says no, in the protocol's words where no handshake stands before them.
async fn refuse<F: Factory>(factory: &F, why: &Refusal, accepted: Accepted, peer: &Peer) {
    debug!(id = peer.id(), peer = %peer.address(), %why, "refused");
    let words = factory.refusal(why);
    if words.is_empty() || !accepted.is_established() {
        return;
    }
    let mut connection = Connection::with_peer(crate::Raw, accepted.into_transport(), peer.clone());
    connection.set_linger(Duration::from_secs(1));
    connection.set_stall(Duration::from_secs(1));
    connection.wire().output.put(&words);
    if let Err(error) = connection.close().await {
        debug!(id = peer.id(), %error, "the refused peer was gone");
    }
}
