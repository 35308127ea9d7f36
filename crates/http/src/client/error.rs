//! What goes wrong with a request, and who is to blame.

use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;
use ropewalk_core::{BoxError, tls};

use crate::Blame;
use crate::error::{Awaited, Error as SessionError};

/// Why there is no response, or not the whole of it. Says in one line the URL, without credentials,
/// and what is wrong.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    url: String,
    kind: ErrorKind,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL is none, or none of ours: why.
    Url(String),
    /// The request cannot be made: a field that is none, say.
    Request(String),
    /// Whom to trust cannot be found out.
    Trust(tls::Error),
    /// There is no connection: the name is unknown, nobody answers, the certificate is wrong.
    Connect(io::Error),
    /// It took too long.
    Timeout(Slow, Duration),
    /// The request's content failed while it was sent.
    Content(BoxError),
    /// The connection failed, or what came is no HTTP, too much, or was cut short.
    Session(SessionError),
    /// A redirection that is not followed.
    Redirect(Stray),
    /// More content than was to be collected.
    TooLarge {
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// The content is not UTF-8.
    NotText,
    /// The server stays with HTTP: the status of its answer.
    NotSwitched(StatusCode),
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slow {
    /// Connecting, with the TLS handshake.
    Connect,
    /// The response's head, after the request had been sent.
    Head,
    /// The response's content: too little came for too long.
    Content,
    /// All of it.
    Total,
}

/// Why a redirection is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stray {
    /// There were so many before it.
    TooMany(u32),
    /// From `https` to `http`, where anybody can read and change it; where to.
    Downgrade(String),
    /// The request would have to be repeated, but its content was a stream, which is gone; where to.
    Unrepeatable(String),
    /// `Location` is no URL of ours: why.
    Location(String),
}

impl Error {
    pub(super) fn new(url: impl fmt::Display, kind: ErrorKind) -> Self {
        Self(Box::new(Inner { url: url.to_string(), kind }))
    }

    /// The URL that was asked for, the last one of redirections, without credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Who is to blame.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match &self.0.kind {
            ErrorKind::Url(_)
            | ErrorKind::Request(_)
            | ErrorKind::Trust(_)
            | ErrorKind::Content(_) => Blame::Caller,
            ErrorKind::Redirect(Stray::Unrepeatable(_)) => Blame::Caller,
            ErrorKind::Connect(_) => Blame::Transport,
            ErrorKind::Session(error) => error.blame(),
            ErrorKind::Timeout(..)
            | ErrorKind::Redirect(_)
            | ErrorKind::TooLarge { .. }
            | ErrorKind::NotText
            | ErrorKind::NotSwitched(_) => Blame::Peer,
        }
    }

    /// Whether something took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout(..))
    }

    /// Whether the response was cut short, or never came: the connection ended or failed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Session(SessionError::Closed { .. } | SessionError::Io(_)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { url, kind } = &*self.0;
        write!(f, "{url}: ")?;
        match kind {
            ErrorKind::Url(why) => write!(f, "no URL to go to: {why}"),
            ErrorKind::Request(why) => write!(f, "no request to send: {why}"),
            ErrorKind::Trust(error) => error.fmt(f),
            ErrorKind::Connect(error) => error.fmt(f),
            ErrorKind::Timeout(slow, after) => {
                let what = match slow {
                    Slow::Connect => "no connection",
                    Slow::Head => "no answer",
                    Slow::Content => "next to nothing came",
                    Slow::Total => "it was not done",
                };
                write!(f, "{what} within {after:?}")
            }
            ErrorKind::Content(error) => write!(f, "the request's content failed: {error}"),
            ErrorKind::Session(SessionError::Closed {
                awaited: Awaited::Body,
                missing: Some(missing),
            }) => write!(f, "cut short: {missing} bytes are missing"),
            ErrorKind::Session(SessionError::Closed { awaited: Awaited::Body, .. }) => {
                f.write_str("cut short before its end")
            }
            ErrorKind::Session(SessionError::Closed { .. }) => {
                f.write_str("the server ended the connection without an answer")
            }
            ErrorKind::Session(error) => error.fmt(f),
            ErrorKind::Redirect(stray) => stray.fmt(f),
            ErrorKind::TooLarge { limit } => {
                write!(f, "over {limit} bytes of content, which is the most to be collected")
            }
            ErrorKind::NotText => f.write_str("the content is not UTF-8"),
            ErrorKind::NotSwitched(status) => {
                write!(f, "the server does not switch protocols: it answered {status}")
            }
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(limit) => write!(f, "redirected more than {limit} times"),
            Self::Downgrade(to) => write!(f, "redirected from https to {to}, which is not safe"),
            Self::Unrepeatable(to) => {
                write!(f, "redirected to {to}, but the request's content cannot be sent again")
            }
            Self::Location(why) => write!(f, "redirected to nowhere: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ErrorKind::Trust(error) => Some(error),
            ErrorKind::Connect(error) => Some(error),
            ErrorKind::Content(error) => Some(&**error),
            ErrorKind::Session(error) => Some(error),
            _ => None,
        }
    }
}
