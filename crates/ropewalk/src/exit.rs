//! How the command ends: exit codes as in `sysexits.h`, and one line that says why.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use ropewalk_core::endpoint;

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
    /// The other side said what makes no sense, or no (`EX_PROTOCOL`).
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
            Kind::InvalidData => Self::Config,
            Kind::OutOfMemory | Kind::QuotaExceeded => Self::Os,
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

    /// An endpoint that cannot be listened on: the core says why, we say what else to give.
    #[must_use]
    pub fn bind(error: &io::Error) -> Self {
        let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<endpoint::Failure>());
        // What is missing is the folder that a socket was to be made in; a missing certificate is no
        // error of the system as it comes here.
        let socket = failure.is_some_and(|failure| failure.cause().raw_os_error().is_some());
        let (code, help) = match error.kind() {
            io::ErrorKind::AddrInUse if error.to_string().contains("unix:") => {
                (Code::Unavailable, "; or choose another with --listen")
            }
            io::ErrorKind::AddrInUse => {
                (Code::Unavailable, "; or choose another with --listen, port 0 for any")
            }
            io::ErrorKind::NotFound if socket => (Code::CantCreate, ""),
            _ => (Code::of(error), ""),
        };
        Self::new(code, format!("{error}{help}"))
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
    use rustix::io::Errno;

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
}
