//! Accepting connections, and what is done before one is handed over.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;

use super::memory::Inbox;
use super::proxy::{Header, Proxy};
use super::registry::Source;
use super::unix::Unlink;
use super::{BoxFuture, stdio};
use crate::{Address, Transport, tls};

/// Accepts the connections of one endpoint, in one runtime.
#[derive(Debug)]
pub struct Listener {
    pub(super) live: Vec<Live>,
    steps: Arc<[Step]>,
    local: Vec<Address>,
    /// What its sockets are known by to another process.
    pub(super) name: Arc<str>,
}

/// One address that is accepted on.
#[derive(Debug)]
pub(super) enum Live {
    Tcp(tokio::net::TcpListener),
    /// The path is removed when the last listener on it is dropped.
    Unix(tokio::net::UnixListener, Option<Arc<Unlink>>),
    Memory(Arc<Inbox>),
    Single(Arc<Mutex<Option<Single>>>),
    Source(Arc<dyn Source>),
}

/// A connection that is there from the beginning, and the only one.
pub(super) enum Single {
    Stdio,
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// What a layer does with an accepted connection.
#[derive(Debug)]
pub(super) enum Step {
    Proxy(Proxy),
    Tls(tls::Server, Duration),
}

impl Listener {
    pub(super) fn new(
        live: Vec<Live>,
        steps: Arc<[Step]>,
        local: Vec<Address>,
        name: Arc<str>,
    ) -> Self {
        Self { live, steps, local, name }
    }

    /// Where it listens, with the port the system chose; the first address if there are several.
    #[must_use]
    pub fn local(&self) -> &Address {
        self.local.first().unwrap_or(&Address::Unknown)
    }

    /// All addresses it listens on.
    #[must_use]
    pub fn locals(&self) -> &[Address] {
        &self.local
    }

    /// The next connection, as it comes off the socket; nothing was read from it, so that a slow
    /// peer keeps nobody waiting. Several tasks may accept on one listener.
    ///
    /// Where there is one connection only (`stdio:`, `fd:` of a connected socket), a second call
    /// waits for ever.
    ///
    /// Cancel-safe: no connection is lost.
    ///
    /// # Errors
    /// Those of accept(2). Most are no reason to stop: see [`AcceptError::of`].
    pub async fn accept(&self) -> io::Result<Accepted> {
        let transport = match self.live.as_slice() {
            [only] => only.accept().await?,
            live => any(live.iter().map(Live::accept)).await?,
        };
        Ok(Accepted { transport, steps: self.steps.clone(), done: 0, header: None })
    }
}

/// What an error of [`Listener::accept`] means for the loop that called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcceptError {
    /// It was that connection's: accept the next at once. `ECONNABORTED`, a signal, a firewall's
    /// refusal (`EPERM`), and the network errors that Linux passes on from the new socket.
    Connection,
    /// Descriptors or memory have run out: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`. The connection
    /// still waits, so accepting at once would spin: pause, until a connection has ended or for some
    /// 100 ms.
    Exhausted,
    /// Anything else: the listener is of no use any more.
    Fatal,
}

impl AcceptError {
    /// What `error` means (accept(2), section "Error handling").
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(
                Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::INTR
                | Errno::AGAIN
                | Errno::PERM
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NONET
                | Errno::TIMEDOUT,
            ) => Self::Connection,
            _ => Self::Fatal,
        }
    }
}

impl Live {
    async fn accept(&self) -> io::Result<Transport> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok(Transport::tcp_from(stream, peer.into()))
            }
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                Ok(Transport::unix(stream))
            }
            Self::Memory(inbox) => inbox.accept().await,
            Self::Single(single) => {
                let taken = single.lock().unwrap_or_else(PoisonError::into_inner).take();
                match taken {
                    Some(single) => single.open(),
                    None => std::future::pending().await,
                }
            }
            Self::Source(source) => source.accept().await,
        }
    }
}

impl Single {
    pub(super) fn open(self) -> io::Result<Transport> {
        Ok(match self {
            Self::Stdio => stdio(),
            Self::Tcp(stream) => Transport::tcp(tokio::net::TcpStream::from_std(stream)?),
            Self::Unix(stream) => Transport::unix(tokio::net::UnixStream::from_std(stream)?),
        })
    }
}

/// The first of several futures, none of which loses anything by being dropped.
async fn any<'a, T, F: Future<Output = T> + Send + 'a>(futures: impl Iterator<Item = F>) -> T {
    let mut futures: Vec<BoxFuture<'a, T>> =
        futures.map(|future| Box::pin(future) as Pin<Box<_>>).collect();
    // Whose turn is first must not be always the same one's.
    let begin = fastrand::usize(..futures.len().max(1));
    futures.rotate_left(begin);
    std::future::poll_fn(|cx| {
        for future in &mut futures {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection that was accepted, before its PROXY header and its TLS handshake.
#[derive(Debug)]
pub struct Accepted {
    transport: Transport,
    steps: Arc<[Step]>,
    /// How many of the steps were done.
    done: usize,
    header: Option<Header>,
}

impl Accepted {
    /// Reads the PROXY header, if the endpoint wants one before anything else. From then on
    /// [`peer`](Self::peer) and [`local`](Self::local) are those of the header. A header inside TLS
    /// is read by [`establish`](Self::establish).
    ///
    /// Not cancel-safe: to be dropped with the future.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) when the peer is not trusted to send
    /// one, [`TimedOut`](io::ErrorKind::TimedOut), [`InvalidData`](io::ErrorKind::InvalidData), and
    /// the transport's own. The connection is then to be dropped.
    pub async fn proxied(&mut self) -> io::Result<()> {
        while let Some(Step::Proxy(proxy)) = self.steps.get(self.done) {
            self.header = Some(proxy.receive(&mut self.transport).await?);
            // Only now: a header that was not read to its end must not count as read.
            self.done += 1;
        }
        Ok(())
    }

    /// Who connected, as far as is known.
    #[must_use]
    pub fn peer(&self) -> &Address {
        self.transport.peer()
    }

    /// Where it connected to, as far as is known.
    #[must_use]
    pub fn local(&self) -> &Address {
        self.transport.local()
    }

    /// The PROXY header that was read, with its TLVs.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Whether [`establish`](Self::establish) has something to wait for.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.done == self.steps.len()
    }

    /// Does what is left: the PROXY header, the TLS handshake.
    ///
    /// Not cancel-safe: dropping the future drops the connection.
    ///
    /// # Errors
    /// Those of [`proxied`](Self::proxied) and of
    /// [`Transport::tls_server`]; [`TimedOut`](io::ErrorKind::TimedOut) when the handshake takes
    /// longer than the endpoint's `handshake=`.
    pub async fn establish(mut self) -> io::Result<Transport> {
        for step in &self.steps[self.done..] {
            match step {
                Step::Proxy(proxy) => {
                    proxy.receive(&mut self.transport).await?;
                }
                Step::Tls(server, limit) => {
                    let handshake = self.transport.tls_server(server);
                    self.transport = super::tls::within(*limit, handshake).await?;
                }
            }
        }
        Ok(self.transport)
    }

    /// The transport as it is, with what is left undone: to say a refusal in the clear, or to drop it.
    #[must_use]
    pub fn into_transport(self) -> Transport {
        self.transport
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_accept() {
        let of = |errno: Errno| AcceptError::of(&errno.into());
        assert_eq!(of(Errno::MFILE), AcceptError::Exhausted);
        assert_eq!(of(Errno::NFILE), AcceptError::Exhausted);
        assert_eq!(of(Errno::CONNABORTED), AcceptError::Connection);
        assert_eq!(of(Errno::PERM), AcceptError::Connection);
        assert_eq!(of(Errno::BADF), AcceptError::Fatal);
        assert_eq!(of(Errno::INVAL), AcceptError::Fatal);
        assert_eq!(AcceptError::of(&io::Error::other("made up")), AcceptError::Fatal);
    }
}
