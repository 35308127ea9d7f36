//! Opening names below a folder, and nothing beside it.
//!
//! Every name is resolved relative to a descriptor of the root that is held open, by one `openat2`
//! that forbids the kernel to leave it. Where that call is missing (or a sandbox refuses it), the
//! components are opened one by one, each without following links.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// How many symbolic links one name may lead through, as in the kernel.
const MOST_LINKS: usize = 40;
/// How often a lookup is repeated that raced with a rename.
const MOST_RACES: usize = 8;

/// A folder that names are opened below.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    follow: bool,
    walk: bool,
}

/// What was opened: a regular file or a folder, never anything else.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fd: OwnedFd,
    pub(crate) folder: bool,
    pub(crate) facts: Facts,
}

/// What is known of a file: enough to tell one state of its content from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// And nanoseconds.
    pub(crate) nanos: u32,
    /// When anything of the file changed last, in seconds and nanoseconds: unlike the time of
    /// modification, nobody can set it back.
    pub(crate) changed: (i64, u32),
}

/// Why nothing was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// There is nothing of that name that may be shown: 404.
    Absent,
    /// There is, but the system does not let us read it: 403.
    Denied,
    /// We are at fault (out of descriptors, the disk fails): 500.
    Failed(Errno),
}

impl Root {
    /// Opens the folder. `follow`: symbolic links are followed, as long as they stay inside.
    /// `walk`: `openat2` is not used even if it is there.
    pub(crate) fn open(path: &Path, follow: bool, walk: bool) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, Mode::empty())?;
        let walk = walk || !has_openat2(folder.as_fd());
        Ok(Self { folder, follow, walk })
    }

    /// Opens a name: components joined by `/`, none of them empty, `.` or `..`; empty for the root.
    pub(crate) fn file(&self, name: &[u8]) -> Result<Opened, Unopened> {
        // A fifo must not make us wait, nor a terminal become ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = self.descriptor(name, flags)?;
        let stat = fs::fstat(&fd)?;
        let folder = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => false,
            FileType::Directory => true,
            _ => return Err(Unopened::Absent),
        };
        Ok(Opened { fd, folder, facts: Facts::of(&stat) })
    }

    /// What a directory entry is, without opening it: its facts, and whether it is a folder.
    /// `None` if it could not be served.
    pub(crate) fn entry(
        &self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        entry: &CStr,
    ) -> Option<(bool, Facts)> {
        let mut stat = fs::statat(folder, entry, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink && self.follow {
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let name = [path, separator, entry.to_bytes()].concat();
            stat = fs::fstat(self.descriptor(&name, LOOK | OFlags::CLOEXEC).ok()?).ok()?;
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Some((false, Facts::of(&stat))),
            FileType::Directory => Some((true, Facts::of(&stat))),
            _ => None,
        }
    }

    /// Whether `facts`, of a file that was opened by this name before, are still those of the name.
    ///
    /// It opens nothing and shows nothing, so it need not be kept below the root: what is equal in
    /// inode, size and times is the file that was opened there.
    pub(crate) fn is_still(&self, name: &[u8], facts: Facts) -> bool {
        let flags = if self.follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        fs::statat(&self.folder, name, flags).is_ok_and(|stat| Facts::of(&stat) == facts)
    }

    fn descriptor(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd, Unopened> {
        let name = if name.is_empty() { b"." } else { name };
        if self.walk {
            Ok(Walk { root: self.folder.as_fd(), links: 0, follow: self.follow }
                .open(name, flags)?)
        } else {
            Ok(openat2(self.folder.as_fd(), name, flags, self.follow)?)
        }
    }
}

impl Facts {
    #[expect(clippy::unnecessary_cast, reason = "the widths differ between platforms")]
    fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            seconds: stat.st_mtime as i64,
            nanos: stat.st_mtime_nsec as u32,
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}

impl From<Errno> for Unopened {
    fn from(errno: Errno) -> Self {
        match errno {
            // EXDEV: it would have led outside. ELOOP: it is or contains a link. ENXIO: a socket,
            // or a device without a driver.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ILSEQ => Self::Absent,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            errno => Self::Failed(errno),
        }
    }
}

/// Enough to look at something without reading it.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

#[cfg(target_os = "linux")]
fn openat2(
    root: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
    follow: bool,
) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if !follow {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    for _ in 0..MOST_RACES {
        // EAGAIN: something on the way was renamed, and the kernel cannot tell whether it left.
        match fs::openat2(root, name, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(target_os = "linux")]
fn has_openat2(root: BorrowedFd<'_>) -> bool {
    openat2(root, b".", LOOK | OFlags::CLOEXEC, false).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn openat2(_: BorrowedFd<'_>, _: &[u8], _: OFlags, _: bool) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
fn has_openat2(_: BorrowedFd<'_>) -> bool {
    false
}

/// The same in steps. `..` in a link goes back to the descriptor that we came from, so that a
/// folder moved away meanwhile does not take us along.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    links: usize,
    follow: bool,
}

impl Walk<'_> {
    fn open(&mut self, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut passed: Vec<OwnedFd> = Vec::new();
        let mut todo: Vec<Vec<u8>> = components(name);
        while let Some(component) = todo.pop() {
            if component == b".." {
                passed.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            let here = passed.last().map_or(self.root, AsFd::as_fd);
            let wanted = if todo.is_empty() { flags } else { LOOK | OFlags::DIRECTORY };
            match step(here, &component, wanted) {
                Ok(fd) if todo.is_empty() => return Ok(fd),
                Ok(fd) => passed.push(fd),
                Err(error) => {
                    let link = self.link(here, &component).ok_or(error)?;
                    self.links += 1;
                    if link.starts_with(b"/") {
                        return Err(Errno::XDEV);
                    }
                    if self.links > MOST_LINKS {
                        return Err(Errno::LOOP);
                    }
                    todo.extend(components(&link));
                }
            }
        }
        // The name was the root, or a link that ended in `..`.
        step(passed.last().map_or(self.root, AsFd::as_fd), b".", flags)
    }

    /// Where a link leads, if it is one and links are followed.
    fn link(&self, folder: BorrowedFd<'_>, name: &[u8]) -> Option<Vec<u8>> {
        if !self.follow {
            return None;
        }
        fs::readlinkat(folder, name, Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }
}

/// The last component first.
fn components(name: &[u8]) -> Vec<Vec<u8>> {
    name.rsplit(|&byte| byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect()
}

/// Opens one component, which must not be a link.
fn step(folder: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let fd = fs::openat(folder, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    // With O_PATH, O_NOFOLLOW opens the link itself.
    if flags.contains(LOOK) && !flags.contains(OFlags::DIRECTORY) {
        let stat = fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    Ok(fd)
}
