//! What goes wrong, who is to blame, and the one mapping to the wire's reply.

use std::io;
use std::time::Duration;

use http::StatusCode;

/// A [`Result`](std::result::Result) of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What ended a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer sent what is not HTTP, or what two readers could take for two things.
    #[error("{fault} at byte {offset} of the connection")]
    Malformed {
        /// What is wrong.
        fault: Fault,
        /// Where the line or field that is wrong begins, in bytes from the beginning of the
        /// connection (from the beginning of the slice for the functions of [`parse`](crate::parse)).
        offset: u64,
    },
    /// The peer asked for what we do not do.
    #[error("{0}")]
    Unsupported(Unsupported),
    /// The peer, a server, said what was not asked for.
    #[error("{0}")]
    Misbehaved(Breach),
    /// The peer sent more than we take.
    #[error("{cap} has over {limit} bytes or fields: {got}")]
    Limit {
        /// Which cap of [`Limits`](crate::Limits).
        cap: Cap,
        /// The cap's value.
        limit: u64,
        /// What came; at least so much when the end had not come yet.
        got: u64,
    },
    /// The peer was too slow.
    #[error("no {awaited} within {after:?}")]
    Timeout {
        /// What we waited for.
        awaited: Awaited,
        /// How long.
        after: Duration,
    },
    /// The peer ended the connection in the middle of a message.
    #[error("the connection ended inside {awaited}")]
    Closed {
        /// What we waited for.
        awaited: Awaited,
        /// How many bytes of content are missing, where that is known.
        missing: Option<u64>,
    },
    /// Our caller said what may not be said now. A message that was begun stays unfinished.
    #[error("misuse: {0}")]
    Misuse(Misuse),
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer: malformed, misbehaved, too much, too slow, gone.
    Peer,
    /// Our caller.
    Caller,
    /// The transport.
    Transport,
}

impl Error {
    /// Who is to blame.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Misuse(_) => Blame::Caller,
            Self::Io(_) => Blame::Transport,
            _ => Blame::Peer,
        }
    }

    /// The status code with which a server answers, or `None` where there is nobody to answer or
    /// nothing to blame the client for.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::Unsupported(Unsupported::Coding) => StatusCode::NOT_IMPLEMENTED,
            Self::Unsupported(Unsupported::Version) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Unsupported(Unsupported::Expectation) => StatusCode::EXPECTATION_FAILED,
            Self::Limit { cap: Cap::StartLine, .. } => StatusCode::URI_TOO_LONG,
            Self::Limit { cap: Cap::ChunkLine, .. } => StatusCode::BAD_REQUEST,
            Self::Limit { cap: Cap::Body, .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Limit { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Misbehaved(_) | Self::Closed { .. } | Self::Misuse(_) | Self::Io(_) => {
                return None;
            }
        })
    }

    /// The same error, its offset counted from `base` bytes further up.
    pub(crate) fn based(mut self, base: u64) -> Self {
        if let Self::Malformed { offset, .. } = &mut self {
            *offset += base;
        }
        self
    }
}

/// Makes an enum whose variants have one text each, used for `Display` and for docs.
macro_rules! worded {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = $text] $variant,)* }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

worded! {
    /// What is malformed (RFC 9112 unless another is named).
    pub enum Fault {
        StartLine => "a start line that is none",
        Method => "an invalid method",
        Target => "an invalid request target, or one that does not go with the method (§3.2)",
        Version => "an invalid protocol version (§2.3)",
        Status => "an invalid status line (§4)",
        LineEnd => "a line end that is not CR LF (§2.2)",
        FieldName => "an invalid field name, or space around it (§5.1)",
        FieldValue => "an invalid field value (RFC 9110 §5.5)",
        Folding => "a folded field line (§5.2)",
        Host => "a missing, repeated or invalid Host (§3.2)",
        ContentLength => "an invalid or repeated Content-Length (§6.3)",
        TransferEncoding => "a Transfer-Encoding that does not end in one `chunked` (§6.1)",
        TwoLengths => "a Content-Length beside a Transfer-Encoding (§6.1)",
        ConnectBody => "content announced in a CONNECT request (RFC 9110 §9.3.6)",
        ChunkLine => "an invalid chunk size or chunk extension (§7.1)",
        ChunkEnd => "a chunk longer than its size (§7.1)",
        Trailer => "a trailer field that would change the framing (RFC 9110 §6.5.1)",
    }
}

worded! {
    /// What we do not do.
    pub enum Unsupported {
        Coding => "a transfer coding other than chunked",
        Version => "a protocol version other than 1.x",
        Expectation => "an expectation other than 100-continue",
    }
}

worded! {
    /// How a server broke its part.
    pub enum Breach {
        Unasked => "a response without a request",
        Upgrade => "a switch of protocols that was not asked for",
    }
}

worded! {
    /// A cap of [`Limits`](crate::Limits).
    pub enum Cap {
        StartLine => "the start line",
        Head => "the head",
        Fields => "the field section",
        ChunkLine => "a chunk line",
        Trailer => "the trailer section",
        Body => "the content",
    }
}

worded! {
    /// What a session waits for.
    pub enum Awaited {
        Head => "a head",
        Body => "content",
        Response => "a response",
    }
}

worded! {
    /// How our caller went wrong.
    pub enum Misuse {
        Over => "the session is over",
        Order => "out of order: nothing of this kind may be said now",
        Pipeline => "too many requests under way",
        TooMuch => "more content than was declared",
        TooLittle => "less content than was declared",
        Framing => "fields that contradict the framing",
        Status => "a status that does not belong here",
        Upgrade => "a switch of protocols that was not asked for, or before the request was whole",
        Target => "a request target that does not go with the method, or no Host",
        Version => "a version or framing that HTTP/1.0 does not have",
    }
}
