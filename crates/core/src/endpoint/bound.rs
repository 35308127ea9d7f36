//! Sockets that are open, before there is a runtime.

use std::fmt;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Wrapper;
use super::inherited::Adopted;
use super::listener::{Listener, Live, Single, Step};
use super::memory::Inbox;
use super::registry::Source;
use super::tcp::{Tcp, Udp};
use super::unix::Unlink;
use crate::{Address, tls};

/// An endpoint that is bound: its sockets are open and listen, its certificates are loaded, and
/// privileges may be dropped. Needs no runtime, and is shared by the workers of one.
#[derive(Debug)]
pub struct Bound {
    pub(super) sockets: Vec<Socket>,
    /// What is done with each accepted connection, innermost layer first.
    pub(super) steps: Arc<[Step]>,
    /// What the steps were made of, in the same order.
    pub(super) layers: Arc<[Wrapper]>,
    pub(super) local: Vec<Address>,
    /// What its sockets are known by to another process.
    pub(super) name: Arc<str>,
    /// Which sibling the next listener gets.
    next: AtomicUsize,
    /// Between how many listeners the siblings are shared out.
    share: usize,
}

/// One address that is listened on.
#[derive(Debug)]
pub(super) enum Socket {
    /// The first was bound, the others are its siblings by `SO_REUSEPORT`. `None` for the description
    /// of an inherited one, which cannot be bound again.
    Tcp(Vec<TcpListener>, Option<Tcp>),
    Udp(Vec<UdpSocket>, Option<Udp>),
    Unix(UnixListener, Option<Arc<Unlink>>),
    Memory(Arc<Inbox>),
    Single(Arc<Mutex<Option<Single>>>, Address),
    Source(Arc<dyn Source>),
}

impl Bound {
    pub(super) fn new(
        name: Arc<str>,
        sockets: Vec<Socket>,
        steps: Vec<Step>,
        layers: Vec<Wrapper>,
    ) -> io::Result<Self> {
        let local = sockets.iter().map(Socket::local).collect::<io::Result<_>>()?;
        let (steps, layers) = (steps.into(), layers.into());
        Ok(Self { sockets, steps, layers, local, name, next: AtomicUsize::new(0), share: 1 })
    }

    /// Sees to it that there are `count` sockets on each TCP or UDP address, between which the kernel
    /// shares connections out (`SO_REUSEPORT`), so that `count` workers accept without treading on
    /// each other. Other kinds, and sockets of somebody else's making, are left as they are: their
    /// listeners share one.
    ///
    /// To be called before privileges are dropped: the port is bound again for each, and by the same
    /// user. From then on each socket must be accepted on, since a connection that the kernel gives
    /// to one is not seen by the others.
    ///
    /// # Errors
    /// The system's. Sockets made so far are kept.
    pub fn spread(&mut self, count: usize) -> io::Result<()> {
        self.share = count.max(1);
        for socket in &mut self.sockets {
            match socket {
                Socket::Tcp(siblings, Some(tcp)) => {
                    while siblings.len() < count {
                        siblings.push(tcp.sibling(&siblings[0])?);
                    }
                }
                Socket::Udp(siblings, Some(udp)) => {
                    while siblings.len() < count {
                        siblings.push(udp.sibling(&siblings[0])?);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A listener in the current runtime. May be called once for each worker: each call gets the next
    /// of the sockets that [`spread`](Self::spread) made; when there are no more, and the endpoint
    /// says `reuseport=on`, one of its own; else a copy of one that is there.
    ///
    /// The port stays open as long as this value or a listener lives: whoever stops accepting must
    /// drop both, or the kernel goes on taking connections in.
    ///
    /// # Errors
    /// When descriptors have run out, or for `udp:`, which has no connections to accept.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn listener(&self) -> io::Result<Listener> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut live = Vec::with_capacity(self.sockets.len());
        for socket in &self.sockets {
            live.extend(socket.live(turn, self.share)?);
        }
        Ok(Listener::new(live, self.steps.clone(), self.local.clone(), self.name.clone()))
    }

    /// The UDP sockets, non-blocking, one for each local address; each call gets the next of those
    /// that [`spread`](Self::spread) made, or copies. Empty if this is not `udp:`.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn datagrams(&self) -> io::Result<Vec<UdpSocket>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let socket = |socket: &Socket| match socket {
            Socket::Udp(siblings, _) => Some(siblings[turn % siblings.len()].try_clone()),
            _ => None,
        };
        self.sockets.iter().filter_map(socket).collect()
    }

    /// A copy over the same sockets.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn try_clone(&self) -> io::Result<Self> {
        let (steps, layers) = (self.steps.clone(), self.layers.clone());
        self.over_the_same(steps, layers)
    }

    /// Copies of the same sockets, with other layers.
    pub(super) fn with_layers(&self, steps: Vec<Step>, layers: Vec<Wrapper>) -> io::Result<Self> {
        self.over_the_same(steps.into(), layers.into())
    }

    fn over_the_same(&self, steps: Arc<[Step]>, layers: Arc<[Wrapper]>) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(Socket::try_clone).collect::<io::Result<_>>()?;
        let (local, name, next) = (self.local.clone(), self.name.clone(), AtomicUsize::new(0));
        Ok(Self { sockets, steps, layers, local, name, next, share: self.share })
    }

    /// Where it listens, with the port the system chose; at least one address. A name may stand for
    /// several.
    #[must_use]
    pub fn local(&self) -> &[Address] {
        &self.local
    }

    /// The TLS configurations of its layers, innermost first, to be reloaded or asked for their
    /// fingerprint.
    pub fn tls(&self) -> impl Iterator<Item = &tls::Server> {
        self.steps.iter().filter_map(|step| match step {
            Step::Tls(server, _) => Some(server),
            Step::Proxy(_) => None,
        })
    }
}

impl Socket {
    /// For one of somebody else's making.
    pub(super) fn adopted(adopted: Adopted) -> io::Result<Self> {
        Ok(match adopted {
            Adopted::TcpListener(socket) => Self::Tcp(vec![socket], None),
            Adopted::Udp(socket) => Self::Udp(vec![socket], None),
            Adopted::UnixListener(socket) => Self::Unix(socket, None),
            Adopted::Tcp(socket) => {
                let local = socket.local_addr()?.into();
                Self::single(Single::Tcp(socket), local)
            }
            Adopted::Unix(socket) => Self::single(Single::Unix(socket), Address::Unix(None)),
        })
    }

    pub(super) fn single(single: Single, local: Address) -> Self {
        Self::Single(Arc::new(Mutex::new(Some(single))), local)
    }

    fn local(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(siblings, _) => siblings[0].local_addr()?.into(),
            Self::Udp(siblings, _) => siblings[0].local_addr()?.into(),
            Self::Unix(socket, _) => {
                Address::Unix(socket.local_addr()?.as_pathname().map(Into::into))
            }
            Self::Memory(inbox) => inbox.local(),
            Self::Single(_, local) => local.clone(),
            Self::Source(source) => source.local(),
        })
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(siblings, tcp) => {
                let copies = siblings.iter().map(TcpListener::try_clone);
                Self::Tcp(copies.collect::<io::Result<_>>()?, tcp.clone())
            }
            Self::Udp(siblings, udp) => {
                let copies = siblings.iter().map(UdpSocket::try_clone);
                Self::Udp(copies.collect::<io::Result<_>>()?, udp.clone())
            }
            Self::Unix(socket, unlink) => Self::Unix(socket.try_clone()?, unlink.clone()),
            Self::Memory(inbox) => Self::Memory(inbox.clone()),
            Self::Single(single, local) => Self::Single(single.clone(), local.clone()),
            Self::Source(source) => Self::Source(source.clone()),
        })
    }

    /// What the listener whose turn it is accepts on, one of `share`: more than one where there are
    /// more siblings than listeners, since each must be accepted on.
    fn live(&self, turn: usize, share: usize) -> io::Result<Vec<Live>> {
        Ok(vec![match self {
            Self::Tcp(siblings, tcp) => {
                let live = |socket| Ok(Live::Tcp(tokio::net::TcpListener::from_std(socket)?));
                let own = siblings.iter().skip(turn).step_by(share);
                let own: Vec<_> = own.map(TcpListener::try_clone).collect::<io::Result<_>>()?;
                if !own.is_empty() {
                    return own.into_iter().map(live).collect();
                }
                // Without the privilege to bind once more, a shared socket must do.
                let more = tcp.as_ref().filter(|tcp| tcp.reuseport);
                let more = more.and_then(|tcp| tcp.sibling(&siblings[0]).ok());
                live(more.map_or_else(|| siblings[turn % siblings.len()].try_clone(), Ok)?)?
            }
            Self::Unix(socket, unlink) => {
                let socket = tokio::net::UnixListener::from_std(socket.try_clone()?)?;
                Live::Unix(socket, unlink.clone())
            }
            Self::Udp(..) => {
                let what = "udp: has no connections to accept: take its datagrams by a Port";
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            Self::Memory(inbox) => Live::Memory(inbox.clone()),
            Self::Single(single, _) => Live::Single(single.clone()),
            Self::Source(source) => Live::Source(source.clone()),
        }])
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdio => "stdio",
            Self::Tcp(_) => "tcp",
            Self::Unix(_) => "unix",
        })
    }
}
