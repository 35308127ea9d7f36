//! `unix:`: sockets with a path.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use super::parse::{Arguments, Error};
use super::print::Printed;
use super::tcp::BACKLOG;

/// A Unix socket: `unix:/run/x.sock`, `unix:x.sock:mode=660`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unix {
    /// Its path, at most 107 bytes (the system's limit).
    pub path: PathBuf,
    /// `mode=`: for listening, who may connect, in octal as `chmod` has it. By default the process's
    /// umask decides.
    pub mode: Option<u32>,
    /// `backlog=`: for listening, how many connections may wait to be accepted.
    pub backlog: u32,
}

impl Unix {
    pub(super) const KEYS: &'static [&'static str] = &["mode", "backlog"];
    pub(super) const USAGE: &'static str = "unix:PATH";

    /// With the default options.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: None, backlog: BACKLOG }
    }

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let path = arguments.sole("a path")?;
        let backlog = arguments.value("backlog", "write a number of connections")?;
        let mode = |value: &super::Argument| {
            let mode = u32::from_str_radix(value.text(), 8).ok().filter(|mode| *mode <= 0o777);
            let wrong = || value.error(format!("`{}` is no mode", value.text()), "write mode=660");
            mode.ok_or_else(wrong)
        };
        Ok(Self {
            mode: arguments.option("mode").map(mode).transpose()?,
            backlog: backlog.unwrap_or(BACKLOG),
            path: path.text().into(),
        })
    }

    pub(super) fn print(&self) -> Printed {
        Printed::new("unix")
            .argument(&self.path.to_string_lossy())
            .maybe("mode", self.mode.map(|mode| format!("{mode:03o}")))
            .unless("backlog", &self.backlog, &BACKLOG)
    }

    pub(super) fn only_for_servers(&self) -> Option<&'static str> {
        let backlog = (self.backlog != BACKLOG).then_some("backlog");
        self.mode.map(|_| "mode").or(backlog)
    }

    /// Listens, in the place of a socket that nobody answers on any more.
    pub(super) fn listen(&self) -> io::Result<(UnixListener, Arc<Unlink>)> {
        let listener = match self.listen_once() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(&self.path)?;
                self.listen_once()?
            }
            other => other?,
        };
        let unlink = Unlink::new(&self.path)?;
        if let Some(mode) = self.mode {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))?;
        }
        Ok((listener, Arc::new(unlink)))
    }

    fn listen_once(&self) -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if let Some(mode) = self.mode {
            // The path takes the socket's mode as far as the umask lets it: at no time is it wider.
            rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(mode))?;
        }
        socket.bind(&SockAddr::unix(&self.path)?)?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }
}

/// Removes what is at `path` if it is a socket and its listener is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |what| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return in_use("something that is no socket has this name: move it away");
    }
    // Not waiting: a socket with a full backlog would hold us for as long as its owner likes.
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Gone since: as well.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Its owner may be too busy to answer: whoever does not refuse is alive.
        _ => in_use("another program answers on this socket: stop it first"),
    }
}

/// Removes the path of a socket when its last listener is dropped, unless somebody else has taken the
/// path meanwhile.
#[derive(Debug)]
pub(super) struct Unlink {
    path: PathBuf,
    inode: (u64, u64),
    /// It has become another process's.
    left: AtomicBool,
}

impl Unlink {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        // The working directory may change before it is dropped.
        let path = std::path::absolute(path)?;
        Ok(Self { inode: inode(&path)?, path, left: AtomicBool::new(false) })
    }

    /// As [`new`](Self::new), of a path that stays another process's until it is
    /// [taken](Self::take).
    pub(super) fn borrowed(path: &Path) -> io::Result<Self> {
        let unlink = Self::new(path)?;
        unlink.leave();
        Ok(unlink)
    }

    /// The path is ours from now on.
    pub(super) fn take(&self) {
        self.left.store(false, Ordering::Release);
    }

    /// The path stays: another process listens on it now.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }
}

impl Drop for Unlink {
    fn drop(&mut self) {
        if !*self.left.get_mut() && inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            // Nobody is there to be told, and the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
