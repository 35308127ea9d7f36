//! Listening sockets on their way from one process to the next.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::bound::Socket;
use super::inherited::{Adopted, recognize};
use super::listener::Live;
use super::unix::Unlink;
use super::{Bound, Endpoint, Leaf, Listener};

/// A listening socket, and what it listens for: what [`Reactor::sockets`](crate::Reactor::sockets)
/// gives and [`Registry::inherit`](super::Registry::inherit) takes.
#[derive(Debug)]
pub struct Handed {
    /// The innermost part of the endpoint, without options: `tcp:127.0.0.1:80`, `unix:/run/x.sock`,
    /// `systemd:web`. Layers around it, and options, may be others in the next process.
    pub name: String,
    /// Those of one endpoint have the same number: the port 0, say, may be asked for more than once.
    pub group: usize,
    /// The socket.
    pub socket: OwnedFd,
}

impl Endpoint {
    /// What its sockets are known by from one process to the next.
    pub(super) fn name(&self) -> String {
        match self.leaf() {
            Leaf::Tcp(tcp) => format!("tcp:{}:{}", tcp.host, tcp.port),
            Leaf::Udp(udp) => format!("udp:{}:{}", udp.host, udp.port),
            Leaf::Unix(unix) => {
                let path = std::path::absolute(&unix.path);
                format!("unix:{}", path.as_ref().unwrap_or(&unix.path).display())
            }
            _ => Self::new(self.leaf().clone()).with_registry(&self.0.registry).redacted(),
        }
    }

    /// Sockets of the process before, in the place of new ones: those of one address are siblings.
    pub(super) fn adopt(&self, sockets: Vec<OwnedFd>) -> io::Result<Vec<Socket>> {
        let mut adopted = Vec::<Socket>::new();
        for socket in sockets {
            match (recognize(socket, "what was handed over")?, self.leaf()) {
                (Adopted::TcpListener(socket), Leaf::Tcp(tcp)) => {
                    let local = socket.local_addr()?;
                    let sibling = adopted.iter_mut().find_map(|other| match other {
                        Socket::Tcp(siblings, _) => {
                            (siblings[0].local_addr().ok() == Some(local)).then_some(siblings)
                        }
                        _ => None,
                    });
                    match sibling {
                        Some(siblings) => siblings.push(socket),
                        None => adopted.push(Socket::Tcp(vec![socket], Some(tcp.clone()))),
                    }
                }
                (Adopted::Udp(socket), Leaf::Udp(udp)) => {
                    let local = socket.local_addr()?;
                    let sibling = adopted.iter_mut().find_map(|other| match other {
                        Socket::Udp(siblings, _) => {
                            (siblings[0].local_addr().ok() == Some(local)).then_some(siblings)
                        }
                        _ => None,
                    });
                    match sibling {
                        Some(siblings) => siblings.push(socket),
                        None => adopted.push(Socket::Udp(vec![socket], Some(udp.clone()))),
                    }
                }
                (Adopted::UnixListener(socket), Leaf::Unix(unix)) => {
                    // Until then the other process may go on, and wants it where it is.
                    let unlink = Unlink::borrowed(&unix.path).ok().map(Arc::new);
                    self.0.registry.take_when_settled(unlink.as_ref());
                    adopted.push(Socket::Unix(socket, unlink));
                }
                (other, _) => adopted.push(Socket::adopted(other)?),
            }
        }
        Ok(adopted)
    }
}

impl Bound {
    /// Copies of its sockets, for another process: of one that is not accepted on, as `udp:`, whose
    /// sockets [`Reactor::sockets`](crate::Reactor::sockets) does not know of. The group is 0.
    ///
    /// # Errors
    /// As those of [`Reactor::sockets`](crate::Reactor::sockets).
    pub fn handed(&self) -> io::Result<Vec<Handed>> {
        let mut all = Vec::new();
        for socket in &self.sockets {
            let fds: Vec<_> = match socket {
                Socket::Tcp(siblings, _) => siblings.iter().map(AsFd::as_fd).collect(),
                Socket::Udp(siblings, _) => siblings.iter().map(AsFd::as_fd).collect(),
                Socket::Unix(socket, _) => vec![socket.as_fd()],
                Socket::Memory(_) | Socket::Single(..) | Socket::Source(_) => {
                    return Err(no_socket(&self.name));
                }
            };
            for fd in fds {
                let (name, socket) = (self.name.to_string(), fd.try_clone_to_owned()?);
                all.push(Handed { name, group: 0, socket });
            }
        }
        Ok(all)
    }
}

fn no_socket(name: &str) -> io::Error {
    let what = format!("{name} cannot be handed over: it is no socket");
    io::Error::new(io::ErrorKind::Unsupported, what)
}

impl Listener {
    /// Copies of its sockets, in the given group.
    pub(crate) fn handed(&self, group: usize) -> io::Result<Vec<Handed>> {
        let copy = |live: &Live| {
            let socket = match live {
                Live::Tcp(socket) => socket.as_fd(),
                Live::Unix(socket, _) => socket.as_fd(),
                Live::Memory(_) | Live::Single(_) | Live::Source(_) => {
                    return Err(no_socket(&self.name));
                }
            };
            let (name, socket) = (self.name.to_string(), socket.try_clone_to_owned()?);
            Ok(Handed { name, group, socket })
        };
        self.live.iter().map(copy).collect()
    }

    /// What its sockets are known by.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The paths of its sockets stay when it is dropped.
    pub(crate) fn leave_paths(&self) {
        for live in &self.live {
            if let Live::Unix(_, Some(unlink)) = live {
                unlink.leave();
            }
        }
    }
}
