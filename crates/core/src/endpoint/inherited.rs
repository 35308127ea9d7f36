//! `systemd:` and `fd:`: sockets that were open before this program began.

use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::parse::{Arguments, Error};
use super::print::Printed;

/// The first descriptor that a service manager hands over (sd_listen_fds(3)).
const FIRST: RawFd = 3;

/// How many descriptors are taken from a service manager at most.
const MOST: u32 = 1024;

/// A socket handed over by systemd or a program that does it likewise: `systemd:0` is the first,
/// `systemd:web` is the one, or those, with `FileDescriptorName=web`.
///
/// What is used is a copy, so the original stays open for as long as the process lives, and children
/// inherit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Systemd {
    /// By its place, from 0.
    Index(u32),
    /// By its name in `LISTEN_FDNAMES`.
    Name(String),
}

impl Systemd {
    pub(super) const USAGE: &'static str = "systemd:INDEX or systemd:NAME";

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let which = arguments.sole("an index or a name")?.text();
        Ok(which.parse().map_or_else(|_| Self::Name(which.to_owned()), Self::Index))
    }

    pub(super) fn print(&self) -> Printed {
        let printed = Printed::new("systemd");
        match self {
            Self::Index(index) => printed.raw(index.to_string()),
            Self::Name(name) => printed.argument(name),
        }
    }

    /// The sockets it means, as copies: the originals stay open, so an endpoint may be bound again.
    pub(super) fn adopt(&self) -> io::Result<Vec<Adopted>> {
        self.find(&Handover::from_environment())?.into_iter().map(adopt).collect()
    }

    fn find(&self, handover: &Handover) -> io::Result<Vec<RawFd>> {
        if handover.count == 0 {
            return Err(not_found(
                "no sockets were handed over (LISTEN_FDS, LISTEN_PID): start it from a .socket \
                 unit, or with systemd-socket-activate",
            ));
        }
        let found: Vec<RawFd> = (0..handover.count)
            .filter(|at| match self {
                Self::Index(index) => at == index,
                Self::Name(name) => handover.names.get(*at as usize) == Some(name),
            })
            .filter_map(|at| RawFd::try_from(at).ok().map(|at| FIRST + at))
            .collect();
        if found.is_empty() {
            let count = handover.count;
            return Err(not_found(&match self {
                Self::Index(_) => format!("only {count} sockets were handed over, counted from 0"),
                Self::Name(_) => {
                    format!("the sockets handed over are {}", handover.names.join(", "))
                }
            }));
        }
        Ok(found)
    }
}

fn not_found(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}

/// What the environment says was handed over (sd_listen_fds(3)).
#[derive(Debug, Default)]
struct Handover {
    count: u32,
    names: Vec<String>,
}

impl Handover {
    fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self::new(
            std::process::id(),
            variable("LISTEN_PID").as_deref(),
            variable("LISTEN_FDS").as_deref(),
            variable("LISTEN_FDNAMES").as_deref(),
        )
    }

    /// `LISTEN_PID` keeps the children of whom it was meant for from taking it for theirs.
    fn new(own: u32, pid: Option<&str>, fds: Option<&str>, names: Option<&str>) -> Self {
        if pid.and_then(|pid| pid.parse().ok()) != Some(own) {
            return Self::default();
        }
        let count: u32 = fds.and_then(|fds| fds.parse().ok()).unwrap_or(0);
        let names = names.map(|names| names.split(':').map(str::to_owned).collect());
        Self { count: count.min(MOST), names: names.unwrap_or_default() }
    }
}

pub(super) fn parse_fd(arguments: &Arguments) -> Result<u32, Error> {
    let number = arguments.sole("a number")?;
    let fd = number.text().parse().ok().filter(|fd| i32::try_from(*fd).is_ok());
    fd.ok_or_else(|| {
        number.error(format!("`{}` is no file descriptor", number.text()), "write fd:3")
    })
}

/// A socket of somebody else's making, by what it is.
#[derive(Debug)]
pub(super) enum Adopted {
    TcpListener(TcpListener),
    UnixListener(UnixListener),
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
}

/// A copy of descriptor `fd` with `FD_CLOEXEC` and in non-blocking mode, as what it is.
pub(super) fn adopt(fd: RawFd) -> io::Result<Adopted> {
    let number = format!("file descriptor {fd}");
    match duplicate(fd) {
        Ok(socket) => recognize(socket, &number),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{number} is not open"))),
    }
}

/// A socket, in non-blocking mode from now on, as what it is. `name` is for errors.
pub(super) fn recognize(socket: OwnedFd, name: &str) -> io::Result<Adopted> {
    let wrong =
        |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is {what}")));
    let Ok(kind) = sockopt::socket_type(&socket) else { return wrong("not a socket") };
    let family = sockopt::socket_domain(&socket)?;
    let inet = family == AddressFamily::INET || family == AddressFamily::INET6;
    let listens = sockopt::socket_acceptconn(&socket)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    match kind {
        SocketType::STREAM if inet && listens => Ok(Adopted::TcpListener(socket.into())),
        SocketType::STREAM if inet => Ok(Adopted::Tcp(socket.into())),
        SocketType::STREAM if family == AddressFamily::UNIX && listens => {
            Ok(Adopted::UnixListener(socket.into()))
        }
        SocketType::STREAM if family == AddressFamily::UNIX => Ok(Adopted::Unix(socket.into())),
        SocketType::DGRAM if inet => Ok(Adopted::Udp(socket.into())),
        _ => wrong("a socket, but not TCP, UDP or Unix stream"),
    }
}

/// Our own copy of a descriptor that is known by number only.
///
/// The number is sent through a socket to ourselves (unix(7), `SCM_RIGHTS`): the kernel checks it and
/// makes the copy, where a conversion from the number would have to be believed.
fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    let (here, there) = UnixStream::pair()?;
    let fds = [fd];
    sendmsg::<()>(
        here.as_fd().as_raw_fd(),
        &[io::IoSlice::new(b".")],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::empty(),
        None,
    )?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut buffers = [io::IoSliceMut::new(&mut byte)];
    recvmsg(&there, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let sent = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    sent.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handovers() {
        // LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, endpoint, descriptors
        let cases: &[(&str, &str, &str, Systemd, &[RawFd])] = &[
            ("7", "1", "", Systemd::Index(0), &[3]),
            ("7", "3", "", Systemd::Index(2), &[5]),
            ("7", "3", "", Systemd::Index(3), &[]),
            ("7", "2", "web:mail", Systemd::Name("mail".into()), &[4]),
            ("7", "3", "web:mail:web", Systemd::Name("web".into()), &[3, 5]),
            ("7", "1", "web:mail", Systemd::Name("mail".into()), &[]),
            ("7", "2", "web:mail", Systemd::Name("dns".into()), &[]),
            ("8", "1", "", Systemd::Index(0), &[]),
            ("", "1", "", Systemd::Index(0), &[]),
            ("7", "", "", Systemd::Index(0), &[]),
            ("7", "-1", "", Systemd::Index(0), &[]),
            ("7", "99999999999", "", Systemd::Index(0), &[]),
            ("7", "4294967295", "", Systemd::Index(4_294_967_294), &[]),
        ];
        for (pid, fds, names, which, found) in cases {
            let handover = Handover::new(7, Some(pid), Some(fds), Some(names));
            assert_eq!(which.find(&handover).unwrap_or_default(), *found, "{which:?} {handover:?}");
        }
        assert_eq!(Handover::new(7, None, Some("1"), None).count, 0);
    }

    #[test]
    fn adopts_what_it_is() {
        let raw = |fd: &dyn AsFd| fd.as_fd().as_raw_fd();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let adopted = adopt(raw(&tcp)).unwrap();
        let Adopted::TcpListener(copy) = adopted else { panic!("{adopted:?}") };
        assert_eq!(copy.local_addr().unwrap(), tcp.local_addr().unwrap());
        assert_ne!(raw(&copy), raw(&tcp));
        let flags = rustix::io::fcntl_getfd(&copy).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        drop(copy);
        TcpStream::connect(tcp.local_addr().unwrap()).expect("the original still listens");

        let udp = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap();
        assert!(matches!(adopt(raw(&udp)).unwrap(), Adopted::Udp(_)));
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(matches!(adopt(raw(&one)).unwrap(), Adopted::Unix(_)));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(adopt(raw(&file)).unwrap_err().to_string().contains("not a socket"));
        assert!(adopt(1_000_000).unwrap_err().to_string().contains("not open"));
    }
}
