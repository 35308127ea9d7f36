//! A new program takes over from the running one, and no connection is refused or lost.
//!
//! ```text
//!  old process                               new process
//!  SIGUSR2: starts the program anew ───────▶ finds a channel where standard input is
//!  each listening socket, the pidfile ─────▶ reads its settings, binds: what was handed over, or anew
//!  goes on serving meanwhile                 serves; both accept from the same queues
//!  stops accepting, drains, ends ◀────────── ready
//!  goes on, and says why ◀────────────────── failed, or ended, or not ready in time
//! ```
//!
//! Sockets go over by the name of their endpoint, so that settings may be others in the new process.
//! The channel is a socket pair over which descriptors are passed (unix(7), `SCM_RIGHTS`); nothing
//! depends on numbers of descriptors, and nothing is inherited by accident.
//!
//! The order of calls, which [`Process`](crate::operations::Process) keeps. In the new process:
//! [`Heir::from_environment`] before anything else;
//! [`Registry::inherit`](ropewalk_core::endpoint::Registry::inherit) with each socket; when everything
//! is served, [`Heir::ready`]. In the old one: [`Attempt::launch`], [`Attempt::hand_over`] on a thread
//! that may wait, then [`Reactor::retire`](ropewalk_core::Reactor::retire).

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ropewalk_core::endpoint::Handed;
use rustix::process::{Pid, Signal, getppid, kill_process};
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Failure};
use crate::{pidfile, values};

mod channel;

use channel::{Channel, Message};

/// What tells a process that it is to take over: the process id of the one before it.
const VARIABLE: &str = "ROPEWALK_UPGRADE";

/// What the two processes have to agree on; changed when messages change.
const VERSION: u32 = 1;

/// How long each message may take, to a process that runs.
const MESSAGE: Duration = Duration::from_secs(10);

/// How long the new process may take, unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How an upgrade is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The program to start; by default what lies now where this one was started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// For how many seconds the new process may make itself ready; 60 by default.
    #[serde(with = "values::in_seconds")]
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { program: None, timeout: TIMEOUT }
    }
}

/// How this process was started, so that another can be.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    /// What paths among the arguments are relative to.
    folder: PathBuf,
}

impl Launch {
    /// As the command line has it. To be called early: once the program's file has been replaced, the
    /// system does not tell its name any more; and before the working directory changes.
    ///
    /// # Errors
    /// When the system does not tell it.
    pub fn same() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| "ropewalk".into());
        let (program, folder) = (env::current_exe()?, env::current_dir()?);
        Ok(Self { program, name, arguments: arguments.collect(), folder })
    }

    /// With another program, if there is one.
    #[must_use]
    pub fn with_program(mut self, program: Option<&Path>) -> Self {
        if let Some(program) = program {
            self.program = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
        }
        self
    }
}

/// What goes from one process to the next.
#[derive(Debug, Default)]
pub struct Estate {
    /// What is listened on.
    pub sockets: Vec<Handed>,
    /// The pidfile, locked: its path, and the file.
    pub pidfile: Option<(PathBuf, OwnedFd)>,
}

/// A new process that was started and is not ready yet.
#[derive(Debug)]
pub struct Attempt {
    channel: Channel,
    child: Child,
    given_up: Arc<AtomicBool>,
}

/// Gives an attempt up, from elsewhere.
#[derive(Debug)]
pub struct GiveUp {
    channel: Channel,
    given_up: Arc<AtomicBool>,
}

impl GiveUp {
    /// The new process is ended.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.channel.shut();
    }
}

impl Attempt {
    /// Starts the new process.
    ///
    /// # Errors
    /// When there is no such program, or the system has run out of something.
    pub fn launch(launch: &Launch) -> Result<Self, Failure> {
        let failure = |error: io::Error| {
            let (program, folder) = (launch.program.display(), launch.folder.display());
            let what = format!("cannot start {program} in {folder}: {error}");
            Failure::new(Code::of(&error), what)
        };
        let (channel, theirs) = Channel::pair().map_err(failure)?;
        let mut command = Command::new(&launch.program);
        command.arg0(&launch.name).args(&launch.arguments).current_dir(&launch.folder);
        command.env(VARIABLE, std::process::id().to_string());
        // What they say is of this process; the sockets go over by their names.
        for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::from(theirs));
        let child = command.spawn().map_err(failure)?;
        Ok(Self { channel, child, given_up: Arc::default() })
    }

    /// What ends it before its time.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn give_up(&self) -> io::Result<GiveUp> {
        Ok(GiveUp { channel: self.channel.try_clone()?, given_up: self.given_up.clone() })
    }

    /// Hands everything over and waits until the new process is ready: its id. Blocks, for `patience`
    /// at most.
    ///
    /// # Errors
    /// When it says that it has failed, or ends, or takes longer; it has been ended then.
    pub fn hand_over(mut self, estate: Estate, patience: Duration) -> Result<u32, Failure> {
        let waited = self.give(estate).and_then(|()| self.await_ready(patience));
        let waited = match waited {
            Ok(()) if self.given_up.load(Ordering::Acquire) => Err("it was given up".to_owned()),
            waited => waited,
        };
        if waited.is_err() {
            // It may have ended already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let why = |why| Failure::new(Code::Unavailable, format!("the new process: {why}"));
        waited.map(|()| self.child.id()).map_err(why)
    }

    fn give(&mut self, estate: Estate) -> Result<(), String> {
        let channel = &self.channel;
        let give = || {
            channel.set_patience(MESSAGE)?;
            for Handed { name, group, socket } in estate.sockets {
                channel.send(&Message::Socket { name, group }, Some(&socket))?;
            }
            if let Some((path, file)) = estate.pidfile {
                channel.send(&Message::Pidfile(path), Some(&file))?;
            }
            channel.send(&Message::End { version: VERSION }, None)
        };
        give().map_err(|error| self.silent(&error))
    }

    fn await_ready(&mut self, patience: Duration) -> Result<(), String> {
        let patience = patience.max(Duration::from_millis(1));
        self.channel.set_patience(patience).map_err(|error| error.to_string())?;
        match self.channel.receive() {
            Ok(Some((Message::Ready, _))) => Ok(()),
            Ok(Some((Message::Failed(why), _))) => Err(why),
            Ok(Some(_)) => Err("it says what makes no sense".to_owned()),
            Ok(None) => Err(self.silent(&io::ErrorKind::UnexpectedEof.into())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(format!("it was not ready within {patience:?}"))
            }
            Err(error) => Err(self.silent(&error)),
        }
    }

    /// Why nothing more is heard of it: as a rule it has ended, which may be known a moment later only.
    fn silent(&mut self, error: &io::Error) -> String {
        for _ in 0..50 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return format!("it has ended ({status}); it may have said why before");
            }
            thread::sleep(Duration::from_millis(10));
        }
        format!("it does not take over: {error}")
    }
}

/// This process takes over from another.
#[derive(Debug)]
pub struct Heir {
    channel: Channel,
}

impl Heir {
    /// What the process before this one has left, if there is one. It came in the place of standard
    /// input, which is empty from now on.
    ///
    /// # Errors
    /// When it cannot be taken over: it is of a version that says other things, say.
    pub fn from_environment() -> Result<Option<(Self, Estate)>, Failure> {
        let before = env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
        let parent = getppid().map(Pid::as_raw_pid);
        // Those whom that one starts later must not take it for theirs.
        if before.is_none() || before != parent {
            return Ok(None);
        }
        let wrong = |error: io::Error| {
            let what = format!("cannot take over from process {}: {error}", before.unwrap_or(0));
            Failure::new(Code::Unavailable, what)
        };
        let Some(channel) = Channel::from_stdin().map_err(wrong)? else { return Ok(None) };
        channel.set_patience(MESSAGE).map_err(wrong)?;
        let mut estate = Estate::default();
        let odd = |what: &str| wrong(io::Error::new(io::ErrorKind::InvalidData, what));
        loop {
            match channel.receive().map_err(wrong)? {
                Some((Message::Socket { name, group }, Some(socket))) => {
                    estate.sockets.push(Handed { name, group, socket });
                }
                Some((Message::Pidfile(path), Some(file))) => estate.pidfile = Some((path, file)),
                Some((Message::End { version: VERSION }, _)) => {
                    return Ok(Some((Self { channel }, estate)));
                }
                Some((Message::End { .. }, _)) => return Err(odd("it speaks another version")),
                Some(_) => return Err(odd("it says what makes no sense")),
                None => return Err(odd("it has ended")),
            }
        }
    }

    /// Everything is served: the process before this one may go. If it is gone already, so be it.
    pub fn ready(&self) {
        let _ = self.channel.send(&Message::Ready, None);
    }

    /// Nothing will come of it, and why.
    pub fn failed(&self, failure: &Failure) {
        let _ = self.channel.send(&Message::Failed(failure.to_string()), None);
    }
}

/// Asks the process that holds a pidfile to upgrade, and waits until another holds it: its id.
///
/// # Errors
/// When nobody holds the file, may not be asked, goes on as before, or `patience` is over.
pub fn ask(pidfile: &Path, patience: Duration) -> Result<u32, Failure> {
    let unavailable = |what: String| Failure::new(Code::Unavailable, what);
    let old = pidfile::holder(pidfile)?;
    let pid = i32::try_from(old).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| unavailable(format!("{old} is no process id")))?;
    let written = modified(pidfile);
    kill_process(pid, Signal::USR2).map_err(|errno| {
        let error = io::Error::from(errno);
        Failure::new(Code::of(&error), format!("process {old} cannot be asked: {error}"))
    })?;
    let end = Instant::now() + patience;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
        match pidfile::holder(pidfile) {
            Ok(new) if new != old => return Ok(new),
            // It writes its own number again when nothing has come of it.
            Ok(_) if modified(pidfile) != written => {
                let what = format!("process {old} goes on as before: its log says why");
                return Err(unavailable(what));
            }
            _ => {}
        }
    }
    Err(unavailable(format!("process {old} has not upgraded within {patience:?}: see its log")))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
