//! What wrapping factories hang onto a connection: bandwidth, idle time, lifetime, a look at the bytes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Peer;

/// A direction of bytes, seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to us.
    Received,
    /// From us to the peer.
    Sent,
}

/// What a [`Shape`] allows at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Up to so many bytes, at least one.
    Now(usize),
    /// Nothing before then.
    Later(Instant),
}

/// Bounds how fast bytes come or go.
pub trait Shape: Send + Sync {
    /// How much of `wanted` bytes (at least one) may pass now.
    fn allow(&self, direction: Direction, wanted: usize, now: Instant) -> Allowance;
    /// So many bytes have passed.
    fn passed(&self, direction: Direction, bytes: usize);
}

/// Sees all bytes of a connection, above TLS.
pub trait Tap: Send + Sync {
    /// `bytes` have come or were taken by the transport.
    fn bytes(&self, peer: &Peer, direction: Direction, bytes: &[u8]);
    /// So many bytes of a file went out without passing through memory.
    fn file(&self, _peer: &Peer, _bytes: u64) {}
}

/// All hooks of one connection; most have none.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) idle: Option<Duration>,
    pub(super) ends: Option<Instant>,
    pub(super) shapes: Vec<Arc<dyn Shape>>,
    pub(super) taps: Vec<Arc<dyn Tap>>,
}

impl Hooks {
    /// How much of `wanted` bytes all shapes together allow.
    pub(super) fn allow(&self, direction: Direction, wanted: usize, now: Instant) -> Allowance {
        let mut allowed = wanted;
        for shape in &self.shapes {
            match shape.allow(direction, allowed, now) {
                Allowance::Now(bytes) => allowed = allowed.min(bytes.max(1)),
                later @ Allowance::Later(_) => return later,
            }
        }
        Allowance::Now(allowed)
    }

    pub(super) fn passed(&self, direction: Direction, bytes: usize) {
        for shape in &self.shapes {
            shape.passed(direction, bytes);
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("idle", &self.idle)
            .field("ends", &self.ends)
            .field("shapes", &self.shapes.len())
            .field("taps", &self.taps.len())
            .finish()
    }
}
