//! What a step of the driver waits for, and what ended it.

use std::time::Instant;

/// What a step waits for.
pub(super) enum Until {
    /// More input, the peer's end, the deadline or the reactor's stop.
    Input { cap: usize, deadline: Option<Instant> },
    /// At most so many bytes unsent; input is read meanwhile.
    Below(u64),
    /// Nothing unsent; input stays where it is.
    Written,
    /// The peer's end; input is read as long as there is room, and kept.
    Ended,
}

impl Until {
    pub(super) fn below(bytes: u64) -> Self {
        Self::Below(bytes)
    }
}

/// What ended a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woke {
    /// There is more input, or its end.
    Input,
    /// The deadline has passed.
    Deadline,
    /// The reactor is stopping, and no message is half read.
    Stop,
    /// Enough has been sent.
    Sent,
}
