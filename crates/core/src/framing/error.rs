//! What goes wrong between bytes and frames.

use std::io;

/// What goes wrong between bytes and frames, with the facts. All lengths are in bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer sends a frame above our cap, whose full length is not known.
    #[error("the peer sends a frame of more than {limit} bytes")]
    TooLong {
        /// Our cap.
        limit: usize,
    },
    /// The peer announces a frame above our cap.
    #[error("the peer announces a frame of {announced} bytes, more than {limit}")]
    AnnouncedTooLong {
        /// Our cap.
        limit: usize,
        /// What the prefix says.
        announced: u64,
    },
    /// The peer ended in the middle of a frame.
    #[error("the peer ended in the middle of a frame, {got} bytes into it")]
    Truncated {
        /// How much of the frame has come, with its header.
        got: usize,
    },
    /// The peer ended in the middle of a counted stretch of raw bytes.
    #[error("the peer ended {missing} bytes before the end of the raw bytes")]
    RawTruncated {
        /// How many bytes have not come.
        missing: u64,
    },
    /// The peer breaks the grammar of the framing.
    #[error("the peer breaks the framing: {what}")]
    Malformed {
        /// Which rule is broken.
        what: &'static str,
    },
    /// Our caller wants to send a line that has a CR or LF in it: the peer would see two.
    #[error("a line to be sent has a line break in it, at byte {at}")]
    LineBreak {
        /// Where the first CR or LF is.
        at: usize,
    },
    /// Our caller wants to send a frame whose length does not fit in the prefix.
    #[error("a frame of {len} bytes cannot be sent: its prefix counts to {limit}")]
    Unframeable {
        /// How long the frame is.
        len: usize,
        /// The most that the prefix can say.
        limit: u64,
    },
    /// The transport fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The peer broke the protocol or went beyond a cap.
    Peer,
    /// The program that uses the protocol asked for what cannot be.
    Caller,
    /// The network, or whatever carries the bytes.
    Transport,
}

impl FrameError {
    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::TooLong { .. }
            | Self::AnnouncedTooLong { .. }
            | Self::Truncated { .. }
            | Self::RawTruncated { .. }
            | Self::Malformed { .. } => Blame::Peer,
            Self::LineBreak { .. } | Self::Unframeable { .. } => Blame::Caller,
            Self::Io(_) => Blame::Transport,
        }
    }
}
