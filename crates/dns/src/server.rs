//! The server: a [`Responder`] on sockets.
//!
//! One [`Server`] is shared by all workers: over UDP each runs [`datagrams`](Server::datagrams) on a
//! socket of its own (`SO_REUSEPORT`), over TCP and TLS the server is a [`Factory`].

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ropewalk_core::{Batch, BoxError, Connection, Factory, MAX_BATCH, Outbox, Peer, Port, Refusal};
use tracing::{debug, info, warn};

use crate::parse::Packet;
use crate::session::update::apply;
use crate::session::{
    Delta, From, Notice, Pending, Reply, Responder, Stream, Transfer, Transport, Zones, tsig,
};
use crate::types::Rcode;

/// The longest request that is taken in a datagram; real ones have some hundred bytes.
const REQUEST: usize = 4096;

/// The longest message.
const MESSAGE: usize = crate::emit::MAX_MESSAGE;

/// Who is told of what happens to the zones. All methods do nothing by themselves.
pub trait Watch: Send + Sync + 'static {
    /// A primary says that a zone has changed.
    fn noticed(&self, _notice: &Notice) {}

    /// A zone has been changed by an update, and is served so already. Called before the answer goes
    /// out: who keeps the change on disk does so here.
    fn changed(&self, _zones: &Zones, _delta: &Delta) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Watch for Nobody {}

/// An authoritative server. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    zones: ArcSwap<Zones>,
    /// Held by who changes the zones: one after the other.
    changing: Mutex<()>,
    responder: Responder,
    watch: Box<dyn Watch>,
    idle: Duration,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("responder", &self.shared.responder).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves zones as the responder does.
    pub fn new(zones: Zones, responder: Responder) -> Self {
        Self::watched(zones, responder, Nobody)
    }

    /// As [`new`](Self::new), and somebody is told of what happens.
    pub fn watched(zones: Zones, responder: Responder, watch: impl Watch) -> Self {
        let idle = Duration::from_secs(10);
        let (zones, watch) = (ArcSwap::from_pointee(zones), Box::new(watch));
        Self {
            shared: Arc::new(Shared { zones, changing: Mutex::default(), responder, watch, idle }),
        }
    }

    /// The zones as they are.
    #[must_use]
    pub fn zones(&self) -> Arc<Zones> {
        self.shared.zones.load_full()
    }

    /// Changes the zones: `change` is given a copy, which shares all zones, and what it leaves is served
    /// from then on. No request is lost or answered from half a change. Others that want to change
    /// something wait meanwhile.
    pub fn change<T>(&self, change: impl FnOnce(&mut Zones) -> T) -> T {
        let _alone = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut zones = Zones::clone(&self.shared.zones.load());
        let result = change(&mut zones);
        self.shared.zones.store(Arc::new(zones));
        result
    }

    /// Answers the datagrams of a socket until it fails. Several may do so on sockets of one address,
    /// each in a task of its own.
    ///
    /// Cancel-safe: a request whose answer has not gone out is lost, as datagrams may be.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn datagrams(&self, port: &Port) -> io::Result<()> {
        let mut responder = self.shared.responder.clone();
        let mut batch = Batch::new(MAX_BATCH, REQUEST);
        let mut outbox = Outbox::new(MAX_BATCH, MAX_BATCH * REQUEST);
        let mut buffer = vec![0; MESSAGE];
        loop {
            port.recv(&mut batch).await?;
            let (zones, now) = (self.shared.zones.load(), now());
            for datagram in batch.iter().filter(|datagram| !datagram.truncated) {
                let from = From { address: datagram.from.ip(), transport: Transport::Udp };
                let reply = responder.respond(&zones, datagram.bytes, from, now, &mut buffer);
                let len = match reply {
                    Reply::Silence => continue,
                    Reply::Answer(len) => len,
                    reply => match self.settle(reply, datagram.bytes, now, &mut buffer) {
                        Some(len) => len,
                        None => continue,
                    },
                };
                if outbox.reply(&datagram, &buffer[..len]).is_err() {
                    debug!(peer = %datagram.from, "no room for an answer");
                }
            }
            let sent = port.send(&mut outbox).await?;
            if let Some(error) = sent.error {
                debug!(%error, failed = sent.failed, "answers were refused");
            }
        }
    }

    /// What is more than an answer, but has one of one message.
    fn settle(&self, reply: Reply, request: &[u8], now: u64, buffer: &mut [u8]) -> Option<usize> {
        match reply {
            Reply::Silence => None,
            Reply::Answer(len) => Some(len),
            Reply::Notify(notice, len) => {
                info!(zone = %notice.origin, serial = ?notice.serial, "notified");
                self.shared.watch.noticed(&notice);
                Some(len)
            }
            Reply::Update(pending) => self.update(*pending, request, buffer),
            // Over UDP, IXFR is answered by the SOA record alone.
            Reply::Transfer(mut transfer, mut session) => {
                transfer.next(buffer, session.as_mut(), now).ok().flatten()
            }
        }
    }

    /// Makes an update, and answers it.
    fn update(&self, pending: Pending, request: &[u8], buffer: &mut [u8]) -> Option<usize> {
        let origin = pending.hosted.origin.clone();
        let rcode = self.change(|zones| {
            let Ok(packet) = Packet::parse(request) else { return Rcode::FORMERR };
            // It may have changed since the request was looked at.
            let Some(mut hosted) = zones.get(origin.borrowed()).map(|hosted| (**hosted).clone())
            else {
                return Rcode::NOTAUTH;
            };
            let Some(zone) = &hosted.zone else { return Rcode::SERVFAIL };
            match apply(zone, &packet) {
                Err(rcode) => rcode,
                Ok(updated) => {
                    let Some(delta) = updated.delta else { return Rcode::NOERROR };
                    info!(zone = %origin, serial = updated.zone.serial(), "updated");
                    hosted.zone = Some(updated.zone);
                    hosted.journal.push(delta.clone());
                    zones.insert(hosted);
                    self.shared.watch.changed(zones, &delta);
                    Rcode::NOERROR
                }
            }
        });
        pending.answer(rcode, buffer)
    }

    /// Answers a request that came over a stream.
    async fn exchange(
        &self,
        responder: &mut Responder,
        request: &[u8],
        from: From,
        connection: &mut Connection<Stream>,
    ) -> Result<(), BoxError> {
        let mut buffer = vec![0; MESSAGE];
        let (zones, now) = (self.shared.zones.load_full(), now());
        match responder.respond(&zones, request, from, now, &mut buffer) {
            Reply::Transfer(transfer, session) => {
                self.transfer(*transfer, session, buffer, connection).await
            }
            reply => {
                if let Some(len) = self.settle(reply, request, now, &mut buffer) {
                    connection.send(Bytes::copy_from_slice(&buffer[..len])).await?;
                }
                Ok(())
            }
        }
    }

    /// Sends a zone, as fast as it is taken.
    async fn transfer(
        &self,
        mut transfer: Transfer,
        mut session: Option<tsig::Session>,
        mut buffer: Vec<u8>,
        connection: &mut Connection<Stream>,
    ) -> Result<(), BoxError> {
        info!(zone = %transfer.origin(), peer = %connection.peer().address(), "transfer");
        loop {
            match transfer.next(&mut buffer, session.as_mut(), now()) {
                Ok(Some(len)) => connection.send(Bytes::copy_from_slice(&buffer[..len])).await?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    warn!(zone = %transfer.origin(), "a record fits into no message");
                    return Err(error.into());
                }
            }
        }
    }
}

impl Factory for Server {
    type Protocol = Stream;

    fn build(&self, _peer: &Peer) -> Result<Stream, Refusal> {
        Ok(Stream::new(self.shared.idle))
    }

    async fn serve(&self, mut connection: Connection<Stream>) -> Result<(), BoxError> {
        let transport = if connection.tls().is_some() { Transport::Tls } else { Transport::Tcp };
        // Who has no IP address is on this machine.
        let local = std::net::Ipv4Addr::LOCALHOST.into();
        let from = From { address: connection.peer().address().ip().unwrap_or(local), transport };
        let mut responder = self.shared.responder.clone();
        while let Some(request) = connection.next().await? {
            self.exchange(&mut responder, &request, from, &mut connection).await?;
        }
        Ok(connection.close().await?)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
