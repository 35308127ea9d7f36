//! How the command ends: exit codes as in `sysexits.h`, and one line that says why.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use ropewalk_core::{endpoint, tls};

/// Exit codes, with the numbers and meanings of `sysexits.h`. Success is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The arguments are wrong (`EX_USAGE`).
    Usage = 64,
    /// A file or folder to be read is not there (`EX_NOINPUT`).
    NoInput = 66,
    /// A host of that name is not known (`EX_NOHOST`).
    NoHost = 68,
    /// An address is taken, or somebody does not answer (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A mistake of ours (`EX_SOFTWARE`).
    Software = 70,
    /// The system has run out of something (`EX_OSERR`).
    Os = 71,
    /// A file cannot be made (`EX_CANTCREAT`).
    CantCreate = 73,
    /// Reading or writing failed (`EX_IOERR`).
    Io = 74,
    /// It failed this time; trying again may help (`EX_TEMPFAIL`).
    TempFail = 75,
    /// The other side does not speak the protocol that was expected, or says no (`EX_PROTOCOL`).
    Protocol = 76,
    /// This user may not (`EX_NOPERM`).
    NoPermission = 77,
    /// A file was read and is wrong: a certificate, say (`EX_CONFIG`).
    Config = 78,
}

impl Code {
    /// What an error of the system means for us.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory => Self::NoInput,
            Kind::PermissionDenied => Self::NoPermission,
            Kind::InvalidInput | Kind::Unsupported => Self::Usage,
            Kind::InvalidData | Kind::UnexpectedEof if is_remote(error) => Self::Protocol,
            Kind::InvalidData => Self::Config,
            Kind::OutOfMemory | Kind::QuotaExceeded => Self::Os,
            Kind::HostUnreachable if is_unknown(error) => Self::NoHost,
            Kind::AddrInUse
            | Kind::AddrNotAvailable
            | Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::TimedOut => Self::Unavailable,
            _ => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => Self::Os,
                _ => Self::Io,
            },
        }
    }
}

/// Whether there is no host of that name: an error that the system has no kind for.
fn is_unknown(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("was not found")
}

/// Whether the other end is to blame for what could not be understood, rather than a file of ours: it
/// was being connected to, and what failed then is not how TLS was set up here.
fn is_remote(error: &io::Error) -> bool {
    let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<endpoint::Failure>())
    else {
        return false;
    };
    let ours = failure.cause().get_ref().and_then(|inner| inner.downcast_ref::<tls::Error>());
    failure.is_connecting()
        && ours.is_none_or(|error| matches!(error, tls::Error::Handshake { .. }))
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why the command ends: an exit code, and what to tell the user: one line, save for endpoints, which
/// are shown with a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    /// With a message of one's own: what is wrong, and what to do.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A string that was given for `option` and is no endpoint.
    #[must_use]
    pub fn endpoint(option: &str, error: &endpoint::Error) -> Self {
        Self::new(Code::Usage, format!("{option}: {error:#}"))
    }

    /// What was given for `option` does not work.
    #[must_use]
    pub fn option(option: &str, error: &io::Error) -> Self {
        Self::new(Code::of(error), format!("{option}: {error}"))
    }

    /// An endpoint that cannot be listened on: the core says why, we say what else to give.
    #[must_use]
    pub fn bind(error: &io::Error) -> Self {
        let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<endpoint::Failure>());
        // What is missing is the folder that a socket was to be made in; a missing certificate is no
        // error of the system as it comes here.
        let socket = failure.is_some_and(|failure| failure.cause().raw_os_error().is_some());
        let (code, help) = match error.kind() {
            io::ErrorKind::AddrInUse if error.to_string().contains("unix:") => {
                (Code::Unavailable, "; or choose another")
            }
            io::ErrorKind::AddrInUse => (Code::Unavailable, "; or choose another, port 0 for any"),
            io::ErrorKind::NotFound if socket => (Code::CantCreate, ""),
            _ => (Code::of(error), ""),
        };
        Self::new(code, format!("{error}{help}"))
    }

    /// Several at once, each on a line of its own, with the code of the first.
    #[must_use]
    pub fn several(failures: &[Self]) -> Self {
        let lines: Vec<&str> = failures.iter().map(|failure| failure.message.as_str()).collect();
        let code = failures.first().map_or(Code::Software, |failure| failure.code);
        Self::new(code, lines.join("\nropewalk: "))
    }

    /// With other words.
    pub(crate) fn amend(&mut self, other: impl FnOnce(&str) -> String) {
        self.message = other(&self.message);
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Code::of(&error), error.to_string())
    }
}

/// Says on standard error why it ends, if it ends badly.
#[must_use]
pub fn report(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    // With nobody to read it there is still the code.
    let _ = writeln!(io::stderr(), "ropewalk: {failure}");
    failure.code.into()
}

/// Writes to standard output; a reader who has left is no error.
///
/// # Errors
/// Anything else that goes wrong.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Code::Io, format!("cannot write the output: {error}"))),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ropewalk_core::endpoint::{BoxFuture, Endpoint, Registry, Resolve};
    use rustix::io::Errno;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn errors_of_the_system_have_their_codes() {
        for (errno, code) in [
            (Errno::NOENT, Code::NoInput),
            (Errno::NOTDIR, Code::NoInput),
            (Errno::ACCESS, Code::NoPermission),
            (Errno::PERM, Code::NoPermission),
            (Errno::INVAL, Code::Usage),
            (Errno::ADDRINUSE, Code::Unavailable),
            (Errno::ADDRNOTAVAIL, Code::Unavailable),
            (Errno::CONNREFUSED, Code::Unavailable),
            (Errno::HOSTUNREACH, Code::Unavailable),
            (Errno::MFILE, Code::Os),
            (Errno::NOMEM, Code::Os),
            (Errno::IO, Code::Io),
        ] {
            assert_eq!(Code::of(&errno.into()), code, "{errno}");
        }
    }

    /// Knows no name.
    struct Nobody;

    impl Resolve for Nobody {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Err(io::Error::other("no such name")) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_with_the_other_end_is_not_our_configuration() {
        let registry = Registry::new().with_resolver(Nobody);
        for name in ["mail", "silent"] {
            let endpoint = Endpoint::parse_with(&format!("memory:{name}"), &registry);
            let listener = endpoint.expect("an endpoint").listen().expect("a free name");
            tokio::spawn(async move {
                while let Ok(accepted) = listener.accept().await {
                    let mut transport = accepted.establish().await.expect("no layers");
                    let greeting: &[u8] = if name == "mail" { b"220 hello\r\n" } else { b"" };
                    let _ = transport.write_all(greeting).await;
                    let _ = transport.shutdown().await;
                    let _ = transport.read_to_end(&mut Vec::new()).await;
                }
            });
        }
        let pin = "00".repeat(32);
        for (text, code) in [
            ("tcp:nowhere.test:80".to_owned(), Code::NoHost),
            ("tls:tcp:nowhere.test:80".to_owned(), Code::NoHost),
            (format!("tls:memory:mail:name=a.test:pin={pin}"), Code::Protocol),
            (format!("tls:memory:silent:name=a.test:pin={pin}"), Code::Protocol),
            ("tls:memory:mail:name=a.test:roots=/nonexistent.pem".to_owned(), Code::NoInput),
            ("tls:memory:mail:name=a.test:roots=/dev/null".to_owned(), Code::Config),
            (format!("tls:memory:mail:pin={pin}"), Code::Usage),
            ("systemd:0".to_owned(), Code::Usage),
        ] {
            let endpoint = Endpoint::parse_with(&text, &registry).expect(&text);
            let error = endpoint.connect().await.expect_err(&text);
            assert_eq!(Code::of(&error), code, "{text}: {error}");
        }
    }
}
