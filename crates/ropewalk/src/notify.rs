//! What a service manager is told (sd_notify(3)), if there is one that listens.
//!
//! Without `NOTIFY_SOCKET` in the environment all of it does nothing. Nothing here waits or fails: a
//! manager that does not listen is no reason not to serve.
//!
//! The order of calls, which [`Process`](crate::operations::Process) keeps: [`Notify::ready`] when
//! everything listens; [`Notify::watchdog`] beside the reactor; [`Notify::reloading`], then
//! [`ready`](Notify::ready), around a reload; [`Notify::main_pid`] in an upgrade; [`Notify::stopping`]
//! when the reactor begins to stop.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use ropewalk_core::Reactor;
use rustix::time::{ClockId, clock_gettime};
use tracing::debug;

/// The way to a service manager.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants a sign of life, at least.
    watchdog: Option<Duration>,
}

impl Notify {
    /// To the one that has started us, if it wants to hear of us.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name: &str| env::var(name).ok();
        let watchdog = watchdog(
            std::process::id(),
            variable("WATCHDOG_PID").as_deref(),
            variable("WATCHDOG_USEC").as_deref(),
        );
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        Self::to(&name, watchdog).unwrap_or_else(|error| {
            debug!(%error, socket = ?name, "no service manager is told");
            Self::default()
        })
    }

    /// To the one that listens on the socket `name`, a path or, after `@`, an abstract name, and wants
    /// a sign of life each `watchdog`.
    ///
    /// # Errors
    /// When that is no name of a socket.
    pub fn to(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "no path, no abstract name",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some((socket, address)), watchdog })
    }

    /// Everything listens, or has been read anew.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is being read anew. To be followed by [`ready`](Self::ready), whatever comes
    /// of it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The process is on its way to its end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Another process is the service's main one now. From then on it is for that one to speak.
    pub fn main_pid(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}"));
    }

    /// How things are, in one line for people.
    pub fn status(&self, status: impl Display) {
        self.say(&format!("STATUS={}", status.to_string().replace('\n', " ")));
    }

    /// Gives a sign of life in half of the time in which one is wanted, each after all workers have had
    /// a turn: a process that only seems to live is restarted. Never returns; to be dropped when the
    /// reactor has ended. Cancel-safe.
    pub async fn watchdog(&self, reactor: &Reactor) {
        let Some(watchdog) = self.watchdog.filter(|_| self.socket.is_some()) else {
            return std::future::pending().await;
        };
        loop {
            reactor.turn().await;
            self.say("WATCHDOG=1");
            tokio::time::sleep(watchdog / 2).await;
        }
    }

    fn say(&self, what: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            debug!(%error, what, "the service manager does not listen");
        }
    }
}

/// The watchdog's time, if it is meant for this process (sd_watchdog_enabled(3)).
fn watchdog(own: u32, pid: Option<&str>, micros: Option<&str>) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    is_ours.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager, and the way to it.
    fn manager(watchdog: Option<Duration>) -> (UnixDatagram, Notify) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-notify-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, Notify::to(format!("@{name}").as_ref(), watchdog).unwrap())
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 1000];
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn each_message_is_as_the_manager_reads_it() {
        let (socket, notify) = manager(None);
        let check = |say: &dyn Fn(&Notify), wanted: &str| {
            say(&notify);
            let found = heard(&socket).unwrap();
            let begins = wanted.strip_suffix('*').is_some_and(|begin| found.starts_with(begin));
            assert!(found == wanted || begins, "{found:?} is not {wanted:?}");
        };
        check(&Notify::ready, "READY=1");
        check(&Notify::reloading, "RELOADING=1\nMONOTONIC_USEC=*");
        check(&Notify::stopping, "STOPPING=1");
        check(&|notify| notify.main_pid(7), "MAINPID=7");
        check(&|notify| notify.status("2 open\n\nREADY=1"), "STATUS=2 open  READY=1");
        drop(socket);
        notify.ready();
        Notify::default().ready();
    }

    #[test]
    fn a_path_will_do_too() {
        let path = env::temp_dir().join(format!("ropewalk-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        Notify::to(path.as_os_str(), None).unwrap().ready();
        assert_eq!(heard(&socket).as_deref(), Some("READY=1"));
        std::fs::remove_file(path).unwrap();
        for name in ["", "relative", "vsock:2:1"] {
            Notify::to(name.as_ref(), None).expect_err(name);
        }
    }

    #[test]
    fn whose_watchdog_it_is() {
        let second = Some(Duration::from_secs(1));
        for (pid, micros, wanted) in [
            (Some("7"), Some("1000000"), second),
            (None, Some("1000000"), second),
            (Some("8"), Some("1000000"), None),
            (Some(""), Some("1000000"), None),
            (Some("7"), Some("0"), None),
            (Some("7"), Some("-1"), None),
            (Some("7"), None, None),
        ] {
            assert_eq!(watchdog(7, pid, micros), wanted, "{pid:?} {micros:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_come_in_half_the_time() {
        let (socket, notify) = manager(Some(Duration::from_secs(10)));
        let reactor = Reactor::new().unwrap();
        let time = Duration::from_secs(26);
        tokio::time::timeout(time, notify.watchdog(&reactor)).await.unwrap_err();
        let signs = std::iter::from_fn(|| heard(&socket));
        // At 0, 5, 10, 15, 20 and 25 seconds.
        assert_eq!(signs.collect::<Vec<_>>(), ["WATCHDOG=1"; 6]);
    }
}
