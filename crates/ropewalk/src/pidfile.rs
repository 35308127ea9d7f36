//! The file that says which process is running.
//!
//! It is locked (flock(2)) for as long as the process lives, so that whoever finds it knows whether it
//! is true: a second instance gets a clear error, and a file that a killed one has left is taken over.
//!
//! The order of calls, which [`Process`](crate::operations::Process) keeps: [`Pidfile::lock`] before
//! anything is bound, so that a second instance says why rather than that a port is taken;
//! [`Pidfile::write`] when everything is bound; the file is removed when the
//! value is dropped. In an upgrade, [`Pidfile::copy`] goes to the new process, which makes
//! [`Pidfile::inherit`] of it: the lock is never open to a third. The old one then
//! [`leaves`](Pidfile::leave) it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tracing::warn;

use crate::exit::{Code, Failure};

/// A file with our process id in it, removed when dropped. Where the user that the process has become
/// may not remove it, it is emptied.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    file: File,
    /// It is the next process's now.
    left: bool,
}

/// How often a file that vanishes while it is being locked is made anew.
const TRIES: usize = 16;

impl Pidfile {
    /// As [`lock`](Self::lock), and writes our process id into it.
    ///
    /// # Errors
    /// When a living process holds it, when it is no file, cannot be made or written.
    pub fn take(path: &Path) -> Result<Self, Failure> {
        let mut pidfile = Self::lock(path)?;
        pidfile.write().map_err(|error| failure(&pidfile.path, &error))?;
        Ok(pidfile)
    }

    /// Makes the file, or takes over one that nobody holds. Its folder must exist, and should belong
    /// to nobody who is not trusted.
    ///
    /// # Errors
    /// When a living process holds it, when it is no file, or cannot be made.
    pub fn lock(path: &Path) -> Result<Self, Failure> {
        // The working directory may change before it is removed.
        let path = std::path::absolute(path).map_err(|error| failure(path, &error))?;
        for _ in 0..TRIES {
            let file = open(&path).map_err(|error| failure(&path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(&path, file)),
                Err(TryLockError::Error(error)) => return Err(failure(&path, &error)),
            }
            let mut pidfile = Self { path: path.clone(), file, left: false };
            if pidfile.is_in_place() {
                // What a killed process has left is nobody's number.
                pidfile.file.set_len(0).map_err(|error| failure(&path, &error))?;
                return Ok(pidfile);
            }
            // Whoever held it has removed it before we had the lock.
            pidfile.left = true;
        }
        let what = format!("pidfile {}: somebody removes it all the time", path.display());
        Err(Failure::new(Code::CantCreate, what))
    }

    /// The file of the process before this one, lock and all. Until it is [written](Self::write), it is
    /// still that one's, and not removed.
    #[must_use]
    pub fn inherit(path: PathBuf, file: OwnedFd) -> Self {
        Self { path, file: file.into(), left: true }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes our process id into it.
    ///
    /// # Errors
    /// The system's: the disk is full, say.
    pub fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.left = false;
        writeln!(self.file, "{}", std::process::id())
    }

    /// A copy for another process; the lock is both's.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn copy(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }

    /// Another process has it now: it is neither unlocked nor removed.
    pub fn leave(mut self) {
        self.left = true;
    }

    /// Whether the path still leads to what we hold.
    fn is_in_place(&self) -> bool {
        let held = self.file.metadata().map(|found| (found.dev(), found.ino()));
        let there = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if self.left || !self.is_in_place() {
            return;
        }
        if fs::remove_file(&self.path).is_err()
            && let Err(error) = self.file.set_len(0)
        {
            warn!(%error, path = %self.path.display(), "the pidfile can neither be removed nor emptied");
        }
    }
}

/// The process that a pidfile names, if it is held by a living one.
///
/// # Errors
/// When there is no such file, or nobody holds it.
pub fn holder(path: &Path) -> Result<u32, Failure> {
    let mut file = File::open(path).map_err(|error| {
        Failure::new(Code::of(&error), format!("pidfile {}: {error}", path.display()))
    })?;
    let nobody = || {
        let what = format!("pidfile {}: nobody holds it: no process is running", path.display());
        Failure::new(Code::Unavailable, what)
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => number(&mut file).ok_or_else(nobody),
        _ => Err(nobody()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    let file = options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is no file"));
    }
    Ok(file)
}

fn number(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn held(path: &Path, mut file: File) -> Failure {
    let by = number(&mut file).map_or_else(String::new, |pid| format!(", with process id {pid}"));
    let what = format!("pidfile {}: it is running already{by}; stop it first", path.display());
    Failure::new(Code::Unavailable, what)
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let code = match Code::of(error) {
        Code::NoInput | Code::Io => Code::CantCreate,
        code => code,
    };
    Failure::new(code, format!("pidfile {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("ropewalk-pidfile-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn join(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn one_at_a_time() {
        let folder = Folder::new("one");
        let path = folder.join("a.pid");
        let own = format!("{}\n", std::process::id());
        let first = Pidfile::take(&path).unwrap();
        assert_eq!(content(&path), own);
        assert_eq!(holder(&path), Ok(std::process::id()));
        let error = Pidfile::take(&path).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        let words = format!("process id {}", std::process::id());
        assert!(error.to_string().contains(&words), "{error}");
        drop(first);
        assert!(!path.exists());
        holder(&path).expect_err("there is none");
        Pidfile::take(&path).expect("it is free again");
    }

    #[test]
    fn what_a_killed_process_has_left_is_taken_over() {
        let folder = Folder::new("stale");
        let path = folder.join("a.pid");
        for left in ["", "999999999\n", "rubbish", &"1".repeat(1000)] {
            fs::write(&path, left).unwrap();
            holder(&path).expect_err("nobody holds it");
            let pidfile = Pidfile::take(&path).unwrap();
            assert_eq!(content(&path), format!("{}\n", std::process::id()), "{left:?}");
            drop(pidfile);
        }
    }

    #[test]
    fn who_has_left_it_neither_removes_nor_unlocks_it() {
        let folder = Folder::new("leave");
        let path = folder.join("a.pid");
        let old = Pidfile::take(&path).unwrap();
        let mut new = Pidfile::inherit(old.path().to_owned(), old.copy().unwrap());
        old.leave();
        Pidfile::take(&path).expect_err("the new one holds it");
        new.write().unwrap();
        assert_eq!(content(&path), format!("{}\n", std::process::id()));
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_another_s_is_not_removed() {
        let folder = Folder::new("other");
        let path = folder.join("a.pid");
        let pidfile = Pidfile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = Pidfile::take(&path).unwrap();
        drop(pidfile);
        assert!(path.exists());
        drop(other);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let folder = Folder::new("none");
        let link = folder.join("link");
        std::os::unix::fs::symlink(folder.join("target"), &link).unwrap();
        for path in [link, folder.0.clone(), folder.join("absent/a.pid")] {
            let error = Pidfile::take(&path).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
        assert!(!folder.join("target").exists());
    }
}
