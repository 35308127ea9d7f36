//! How long the peer may take: deadlines as plain comparisons of times.

use std::time::{Duration, Instant};

use crate::error::{Awaited, Error};
use crate::types::Timeouts;

/// What is waited for, and since when.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// Nothing, or nobody has asked yet.
    Nothing,
    /// The first byte of a connection that owes us a head at once.
    First(Instant),
    /// The first byte of a next message.
    Idle(Instant),
    /// The rest of a head.
    Head(Instant),
    /// Content.
    Body(Instant),
}

/// What a deadline that has passed means.
#[derive(Debug)]
pub(super) enum Late {
    /// The connection ends without a word.
    Silently,
    /// The peer is told.
    Loudly(Error),
}

/// The clock of a session. It is told the time and never asks.
#[derive(Debug)]
pub(super) struct Clock {
    timeouts: Timeouts,
    wait: Wait,
    /// What is left of the body's grace when its wait began.
    credit: Duration,
    /// The first head is owed at once.
    fresh: bool,
}

impl Clock {
    /// `fresh`: whether the peer is to speak first.
    pub(super) fn new(timeouts: Timeouts, fresh: bool) -> Self {
        Self { timeouts, wait: Wait::Nothing, credit: Duration::ZERO, fresh }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (since, after) = match self.wait {
            Wait::Nothing => return None,
            Wait::Idle(since) => (since, self.timeouts.idle?),
            Wait::First(since) | Wait::Head(since) => (since, self.timeouts.head?),
            Wait::Body(since) => {
                self.timeouts.body?;
                (since, self.credit)
            }
        };
        since.checked_add(after)
    }

    /// A head is awaited at `now`; `begun` if some of it is there.
    pub(super) fn await_head(&mut self, now: Instant, begun: bool) -> Result<(), Late> {
        self.wait = match (self.wait, begun) {
            (Wait::First(since) | Wait::Head(since), true) => Wait::Head(since),
            (_, true) => Wait::Head(now),
            (wait @ (Wait::First(_) | Wait::Idle(_)), false) => wait,
            (_, false) if self.fresh => Wait::First(now),
            (_, false) => Wait::Idle(now),
        };
        self.check(now)
    }

    /// A head has come whole.
    #[inline]
    pub(super) fn head(&mut self) {
        self.wait = Wait::Nothing;
        self.fresh = false;
        self.credit = self.timeouts.body.map_or(Duration::ZERO, |pace| pace.grace);
    }

    /// Content is awaited at `now`.
    pub(super) fn await_body(&mut self, now: Instant) -> Result<(), Late> {
        if !matches!(self.wait, Wait::Body(_)) {
            self.wait = Wait::Body(now);
        }
        self.check(now)
    }

    /// So many bytes of input have been consumed as content.
    pub(super) fn body(&mut self, now: Instant, bytes: usize) {
        let Some(pace) = self.timeouts.body else { return };
        if let Wait::Body(since) = self.wait {
            self.credit = self.credit.saturating_sub(now.saturating_duration_since(since));
        }
        self.wait = Wait::Nothing;
        let earned = (bytes as u64)
            .saturating_mul(1_000_000_000)
            .checked_div(u64::from(pace.bytes_per_second))
            .map_or(pace.grace, Duration::from_nanos);
        self.credit = self.credit.saturating_add(earned).min(pace.grace);
    }

    /// Nobody waits for the peer.
    #[inline]
    pub(super) fn rest(&mut self) {
        self.wait = Wait::Nothing;
    }

    /// Whether the deadline has passed.
    fn check(&self, now: Instant) -> Result<(), Late> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let timeout = |awaited, after: Option<Duration>| {
            Err(Late::Loudly(Error::Timeout { awaited, after: after.unwrap_or_default() }))
        };
        match self.wait {
            Wait::Head(_) => timeout(Awaited::Head, self.timeouts.head),
            Wait::Body(_) => timeout(Awaited::Body, self.timeouts.body.map(|pace| pace.grace)),
            Wait::Nothing | Wait::First(_) | Wait::Idle(_) => Err(Late::Silently),
        }
    }
}
