//! Datagrams, many at a time.
//!
//! Datagrams have no framing and no back-pressure. What costs is the system call for each, so a
//! [`Port`] receives and sends in batches:
//!
//! ```text
//!   recvmmsg ─▶ Batch ─▶ for each Datagram: decide ─▶ Outbox ─▶ sendmmsg
//!   up to 64    fixed buffer, made once               bounded, kept for the next round
//! ```
//!
//! Nothing is allocated for a datagram; the headers that the kernel wants are kept for each thread
//! (under 80 KiB). A server scales over cores with one `SO_REUSEPORT` socket for each worker.

mod batch;
mod calls;
mod outbox;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::net::UdpSocket;

pub use batch::{Batch, Datagram};
pub use outbox::{Full, Outbox};

use calls::Family;

/// The most datagrams that one system call receives or sends.
pub const MAX_BATCH: usize = 64;

/// A UDP socket that receives and sends in batches.
///
/// A socket bound to all addresses (`0.0.0.0`, `[::]`) is told with each datagram which one it came to,
/// and answers from there, as a client that checks (RFC 1123 §6.1.3.2 wants it of DNS) expects.
///
/// Errors that an ICMP message has caused (an earlier answer found nobody) end neither receiving nor
/// sending.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    family: Family,
    local: SocketAddr,
}

/// What became of the datagrams of an [`Outbox`].
#[derive(Debug, Default)]
#[must_use]
pub struct Sent {
    /// How many the kernel has taken. It may still drop them, as may anybody on their way.
    pub sent: usize,
    /// How many it has refused: too large, no route, no such source, no room.
    pub failed: usize,
    /// The first refusal.
    pub error: Option<io::Error>,
}

impl Port {
    /// Opens a socket that is bound to `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address is taken, not allowed or not of this machine.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::from_std(std::net::UdpSocket::bind(address)?)
    }

    /// Takes over a socket that is bound, and perhaps connected. It is made non-blocking, and told to
    /// report where each datagram came to.
    ///
    /// # Errors
    /// When the socket is of no IP family or the kernel refuses an option.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let family = Family::of(&local);
        family.ask_for_destinations(&socket)?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, family, local })
    }

    /// The address it is bound to.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits for datagrams and replaces those of `batch` by all that are there, up to its capacity;
    /// returns how many, at least one.
    ///
    /// Cancel-safe: no datagram is lost when the future is dropped, though `batch` may be empty then.
    ///
    /// # Errors
    /// When the socket fails. ICMP errors are not errors here.
    pub async fn recv(&self, batch: &mut Batch) -> io::Result<usize> {
        batch.clear();
        let descriptor = self.socket.as_raw_fd();
        loop {
            let receive = || Ok(calls::receive(descriptor, self.family, batch)?);
            match self.socket.async_io(Interest::READABLE, receive).await {
                Err(error) if is_echo(&error) => {
                    tracing::debug!(%error, "a datagram sent earlier did not arrive");
                }
                result => return result,
            }
        }
    }

    /// Sends all datagrams of `outbox` and empties it, waiting while the socket's buffer is full. One
    /// that the kernel refuses does not keep the others from being sent.
    ///
    /// Cancel-safe: when the future is dropped, `outbox` holds those that have not been sent.
    ///
    /// # Errors
    /// When the socket fails, as opposed to a datagram.
    pub async fn send(&self, outbox: &mut Outbox) -> io::Result<Sent> {
        let descriptor = self.socket.as_raw_fd();
        let bound_to_all = self.local.ip().is_unspecified();
        let mut report = Sent::default();
        let mut tried_before = false;
        while !outbox.is_empty() {
            let send = || Ok(calls::send(descriptor, self.family, bound_to_all, outbox)?);
            match self.socket.async_io(Interest::WRITABLE, send).await {
                Ok(count) => {
                    outbox.advance(count);
                    report.sent += count;
                    tried_before = false;
                }
                Err(error) if is_fatal(&error) => return Err(error),
                // It may be the echo of an earlier one, and is then gone: so try once more.
                Err(_) if !tried_before => tried_before = true,
                Err(error) => {
                    tracing::debug!(%error, "a datagram was refused");
                    outbox.advance(1);
                    report.failed += 1;
                    report.error.get_or_insert(error);
                    tried_before = false;
                }
            }
        }
        outbox.clear();
        Ok(report)
    }

    /// Sends one datagram, waiting while the socket's buffer is full. Cancel-safe: it is sent or not.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = self.family.address(to).ok_or(Errno::EAFNOSUPPORT)?;
        self.socket.send_to(bytes, to).await.map(|_all| ())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether an error tells of a datagram sent earlier: what ICMP messages become on a socket that is
/// connected or has asked for them.
fn is_echo(error: &io::Error) -> bool {
    use Errno::{
        EACCES, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EMSGSIZE, ENETDOWN, ENETUNREACH,
        ENONET, ENOPROTOOPT, EPROTO,
    };
    error.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
        matches!(
            errno,
            EACCES
                | ECONNREFUSED
                | ECONNRESET
                | EHOSTDOWN
                | EHOSTUNREACH
                | EMSGSIZE
                | ENETDOWN
                | ENETUNREACH
                | ENONET
                | ENOPROTOOPT
                | EPROTO
        )
    })
}

/// Whether an error in sending is that of the socket, so that nothing more can be sent.
fn is_fatal(error: &io::Error) -> bool {
    use Errno::{EBADF, EFAULT, ENOTSOCK, EPIPE, ESHUTDOWN};
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => matches!(errno, EBADF | EFAULT | ENOTSOCK | EPIPE | ESHUTDOWN),
        // Not the kernel's: the runtime is going away.
        None => true,
    }
}

#[cfg(test)]
mod tests;
