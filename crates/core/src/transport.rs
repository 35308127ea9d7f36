//! One concrete type for every byte stream.
//!
//! A [`Transport`] is a TCP or Unix socket, TLS over any other transport, standard input and output, a
//! child process, one end of a pair in memory, or anything else that is `AsyncRead + AsyncWrite`. It
//! implements both traits itself, so a foreign engine can be handed one; and it is one type, so none
//! of this spreads through signatures.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::{Address, FileRegion, tls};

pub mod memory;
pub mod process;
pub mod stdio;

/// The most that one `sendfile` call is asked for, so that one download does not hold a thread.
const SENDFILE_AT_ONCE: u64 = 1024 * 1024;

/// A stream that somebody else made.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The kinds of streams.
enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Tls>),
    Memory(memory::MemoryStream),
    Other(Box<dyn Stream>),
    /// What is left when the stream was taken away: reads end, writes fail.
    Gone,
}

/// TLS over another transport, with what was negotiated.
struct Tls {
    stream: tokio_rustls::TlsStream<Transport>,
    facts: tls::Facts,
}

/// One concrete type for every byte stream; Twisted's `ITransport`.
pub struct Transport {
    kind: Kind,
    /// Bytes that were read too early and come first.
    unread: Bytes,
    peer: Address,
    local: Address,
}

impl Transport {
    fn new(kind: Kind, peer: Address, local: Address) -> Self {
        Self { kind, unread: Bytes::new(), peer, local }
    }

    /// A connected TCP socket. Its options are left as they are.
    #[must_use]
    pub fn tcp(stream: TcpStream) -> Self {
        let peer = stream.peer_addr().map_or(Address::Unknown, Address::from);
        Self::tcp_from(stream, peer)
    }

    /// A connected TCP socket whose peer is known from accepting it, which saves a system call.
    pub(crate) fn tcp_from(stream: TcpStream, peer: Address) -> Self {
        let local = stream.local_addr().map_or(Address::Unknown, Address::from);
        Self::new(Kind::Tcp(stream), peer, local)
    }

    /// A connected Unix socket.
    #[must_use]
    pub fn unix(stream: UnixStream) -> Self {
        let name = |address: io::Result<tokio::net::unix::SocketAddr>| {
            Address::Unix(address.ok().and_then(|a| a.as_pathname().map(Into::into)))
        };
        let (peer, local) = (name(stream.peer_addr()), name(stream.local_addr()));
        Self::new(Kind::Unix(stream), peer, local)
    }

    /// A stream of somebody else's making. It has no addresses until they are [set](Self::set_peer).
    #[must_use]
    pub fn other(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::new(Kind::Other(Box::new(stream)), Address::Unknown, Address::Unknown)
    }

    /// Two transports in memory, each the other's peer, with the default [knobs](memory::Knobs).
    #[must_use]
    pub fn memory() -> (Self, Self) {
        Self::memory_with(memory::Knobs::default(), "")
    }

    /// Two transports in memory, each the other's peer; `name` is the address of both.
    #[must_use]
    pub fn memory_with(knobs: memory::Knobs, name: &str) -> (Self, Self) {
        let address = Address::Memory(name.into());
        let (one, other) = memory::pipe(knobs);
        let end = |stream| Self::new(Kind::Memory(stream), address.clone(), address.clone());
        (end(one), end(other))
    }

    /// Shakes hands as the server of a TLS connection over this transport.
    ///
    /// Not cancel-safe: dropping the future drops the transport.
    ///
    /// # Errors
    /// When the peer speaks no TLS, or none that `config` accepts; the alert has then been sent.
    pub async fn tls_server(self, config: &tls::Server) -> io::Result<Self> {
        let (peer, local) = (self.peer.clone(), self.local.clone());
        let (stream, facts) = tls::accept(config, self).await?;
        Ok(Self::new(Kind::Tls(Box::new(Tls { stream: stream.into(), facts })), peer, local))
    }

    /// Shakes hands as the client of a TLS connection to the server called `name`.
    ///
    /// Not cancel-safe: dropping the future drops the transport.
    ///
    /// # Errors
    /// When the server speaks no TLS, none that `config` accepts, or cannot prove its name.
    pub async fn tls_client(
        self,
        config: &tls::Client,
        name: &ServerName<'static>,
    ) -> io::Result<Self> {
        let (peer, local) = (self.peer.clone(), self.local.clone());
        let (stream, facts) = tls::connect(config, name, self).await?;
        Ok(Self::new(Kind::Tls(Box::new(Tls { stream: stream.into(), facts })), peer, local))
    }

    /// What is left of a transport that was taken.
    pub(crate) fn gone() -> Self {
        Self::new(Kind::Gone, Address::Unknown, Address::Unknown)
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// Our end.
    #[must_use]
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// Says who the other end really is, as a PROXY header does.
    pub fn set_peer(&mut self, peer: Address) {
        self.peer = peer;
    }

    /// Says where the other end really connected to.
    pub fn set_local(&mut self, local: Address) {
        self.local = local;
    }

    /// What TLS negotiated, if this is a TLS transport.
    #[must_use]
    pub fn tls(&self) -> Option<&tls::Facts> {
        match &self.kind {
            Kind::Tls(tls) => Some(&tls.facts),
            _ => None,
        }
    }

    /// Puts bytes back: they are read first.
    pub fn unread(&mut self, bytes: Bytes) {
        if self.unread.is_empty() {
            self.unread = bytes;
        } else if !bytes.is_empty() {
            self.unread = [&bytes[..], &self.unread[..]].concat().into();
        }
    }

    /// How many bytes were put back and not read since.
    #[must_use]
    pub fn unread_len(&self) -> usize {
        self.unread.len()
    }

    /// Makes the end of this transport an abrupt one (a TCP reset): the peer must not take what it
    /// has for the whole.
    pub fn abort(self) {
        use tokio_rustls::TlsStream::{Client, Server};
        match self.kind {
            Kind::Tcp(stream) => {
                // Failure means that the socket is dead already.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            Kind::Memory(stream) => stream.abort(),
            Kind::Tls(tls) => match tls.stream {
                Client(stream) => stream.into_inner().0.abort(),
                Server(stream) => stream.into_inner().0.abort(),
            },
            Kind::Unix(_) | Kind::Other(_) | Kind::Gone => {}
        }
    }

    /// Whether file regions can go out by `sendfile`.
    pub(crate) fn sends_files(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_) | Kind::Unix(_))
    }

    /// Sends bytes at the front of `region`, up to `limit`, from the page cache to the socket.
    /// Only where [`sends_files`](Self::sends_files).
    pub(crate) fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        region: &FileRegion,
        limit: u64,
    ) -> Poll<io::Result<u64>> {
        let count = region.len.min(limit).min(SENDFILE_AT_ONCE) as usize;
        let mut offset = region.offset;
        loop {
            let sent = match &self.kind {
                Kind::Tcp(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_io(Interest::WRITABLE, || {
                        Ok(rustix::fs::sendfile(socket, &region.file, Some(&mut offset), count)?)
                    })
                }
                Kind::Unix(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_io(Interest::WRITABLE, || {
                        Ok(rustix::fs::sendfile(socket, &region.file, Some(&mut offset), count)?)
                    })
                }
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
            return Poll::Ready(match sent {
                Ok(0) if count > 0 => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file became shorter while it was sent",
                )),
                Ok(sent) => Ok(sent as u64),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            });
        }
    }

    /// Writes `bytes`, telling a TCP socket that more follows at once, so that a response's head and
    /// the file after it share segments.
    pub(crate) fn poll_write_more(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (Kind::Tcp(socket), [only]) = (&self.kind, slices) else {
            return Pin::new(self).poll_write_vectored(cx, slices);
        };
        loop {
            ready!(socket.poll_write_ready(cx))?;
            let sent = socket.try_io(Interest::WRITABLE, || {
                let flags = rustix::net::SendFlags::MORE | rustix::net::SendFlags::NOSIGNAL;
                Ok(rustix::net::send(socket, only, flags)?)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let count = this.unread.len().min(buffer.remaining());
            buffer.put_slice(&this.unread[..count]);
            this.unread.advance(count);
            if this.unread.is_empty() {
                this.unread = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        match &mut this.kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buffer),
            Kind::Memory(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Other(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, bytes),
            Kind::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Other(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Tls(tls) => Pin::new(&mut tls.stream).poll_write_vectored(cx, slices),
            Kind::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Other(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Tcp(_) | Kind::Unix(_) => true,
            Kind::Tls(tls) => tls.stream.is_write_vectored(),
            Kind::Memory(stream) => stream.is_write_vectored(),
            Kind::Other(stream) => stream.is_write_vectored(),
            Kind::Gone => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
            Kind::Memory(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Other(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tcp(_) | Kind::Unix(_) | Kind::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Ends our direction; the peer's stays open. Over TLS the close is announced first (RFC 8446
    /// §6.1).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
            Kind::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Other(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Tcp(_) => "tcp",
            Kind::Unix(_) => "unix",
            Kind::Tls(_) => "tls",
            Kind::Memory(_) => "memory",
            Kind::Other(_) => "other",
            Kind::Gone => "gone",
        };
        f.debug_struct("Transport")
            .field("kind", &kind)
            .field("peer", &self.peer)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
