//! Two protocols that talk to each other in virtual time.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Protocol, Wire};

/// Two protocols and the two wires between them, in virtual time.
///
/// What one says is carried to the other by [`drive`](Self::drive), and time passes only by
/// [`advance`](Self::advance), which meets every deadline and every arrival on the way exactly.
///
/// ```
/// use std::time::Duration;
///
/// use ropewalk_core::framing::Lines;
/// use ropewalk_core::testing::Pair;
///
/// let mut pair = Pair::new(Lines::crlf(), Lines::crlf()).latency(Duration::from_millis(40));
/// pair.client.say("NOOP")?;
/// pair.advance(Duration::from_millis(39));
/// assert_eq!(pair.server.hear(), None); // still on its way
/// pair.advance(Duration::from_millis(1));
/// assert_eq!(pair.server.hear().as_deref(), Some(&b"NOOP"[..]));
/// # Ok::<(), ropewalk_core::framing::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Pair<C: Protocol, S: Protocol> {
    /// One end.
    pub client: Side<C>,
    /// The other end.
    pub server: Side<S>,
    now: Instant,
    latency: Duration,
    chunk: usize,
}

/// One end of a [`Pair`].
pub struct Side<P: Protocol> {
    /// The protocol.
    pub protocol: P,
    /// Its wire.
    pub wire: Wire,
    heard: VecDeque<P::In>,
    error: Option<P::Error>,
    arriving: VecDeque<(Instant, Parcel)>,
    finished: Finished,
}

/// What is on its way to a side.
enum Parcel {
    Bytes(Bytes),
    End,
}

#[derive(PartialEq, Eq)]
enum Finished {
    No,
    /// Wanted: the end follows what is in the output.
    Wanted,
    Sent,
}

impl<P: Protocol> Side<P> {
    fn new(protocol: P, now: Instant) -> Self {
        Self {
            protocol,
            wire: Wire::new(now),
            heard: VecDeque::new(),
            error: None,
            arriving: VecDeque::new(),
            finished: Finished::No,
        }
    }

    /// Sends `item`; it leaves at the next [`drive`](Pair::drive) or [`advance`](Pair::advance).
    ///
    /// # Errors
    /// When the protocol refuses it.
    pub fn say(&mut self, item: impl Into<P::Out>) -> Result<(), P::Error> {
        self.protocol.send(item.into(), &mut self.wire)
    }

    /// The oldest event that was not taken yet.
    pub fn hear(&mut self) -> Option<P::In> {
        self.heard.pop_front()
    }

    /// All events that were not taken yet.
    pub fn hear_all(&mut self) -> Vec<P::In> {
        self.heard.drain(..).collect()
    }

    /// Ends this side's direction, after what it has said. It still hears.
    pub fn finish(&mut self) {
        if self.finished == Finished::No {
            self.finished = Finished::Wanted;
        }
    }

    /// What ended this side. Nothing is heard after it.
    #[must_use]
    pub fn error(&self) -> Option<&P::Error> {
        self.error.as_ref()
    }

    /// Whether a driver would read no more.
    fn is_deaf(&self) -> bool {
        self.error.is_some() || self.protocol.is_over()
    }

    /// Hands what was said, and the end, over to be carried.
    fn depart(&mut self) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        if !self.wire.output.is_empty() {
            let bytes = self.wire.output.take().expect("a file that a test sends is whole");
            parcels.push(Parcel::Bytes(bytes));
        }
        if self.finished == Finished::Wanted {
            self.finished = Finished::Sent;
            parcels.push(Parcel::End);
        }
        parcels
    }

    /// Puts what has arrived by now into the input, up to `chunk` bytes. Whether there was any.
    fn arrive(&mut self, chunk: usize) -> bool {
        let deaf = self.is_deaf();
        let now = self.wire.now;
        let Some((_, parcel)) = self.arriving.front_mut().filter(|(when, _)| *when <= now) else {
            return false;
        };
        match parcel {
            Parcel::End => self.wire.eof = true,
            // Nobody reads it.
            Parcel::Bytes(_) if deaf => {}
            Parcel::Bytes(bytes) => {
                let cap = self.protocol.input_cap();
                let room = cap.saturating_sub(self.wire.input.len());
                assert!(room > 0, "a protocol asks for more at its input_cap of {cap} bytes");
                let part = bytes.split_to(bytes.len().min(room).min(chunk));
                self.wire.input.extend_from_slice(&part);
                if !bytes.is_empty() {
                    return true;
                }
            }
        }
        self.arriving.pop_front();
        true
    }

    /// Asks for events until there are none.
    fn pump(&mut self) {
        while !self.is_deaf() {
            match self.protocol.receive(&mut self.wire) {
                Ok(Some(event)) => self.heard.push_back(event),
                Ok(None) => break,
                Err(error) => self.error = Some(error),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.is_deaf() { None } else { self.protocol.deadline() }
    }

    /// When something happens to this side by itself.
    fn next_moment(&self) -> Option<Instant> {
        let arrival = self.arriving.front().map(|(when, _)| *when);
        [arrival, self.deadline()].into_iter().flatten().min()
    }

    fn assert_awake(&self, name: &str) {
        assert!(
            self.deadline().is_none_or(|deadline| deadline > self.wire.now),
            "a deadline of the {name}'s has passed, it had nothing to tell and did not move the \
             deadline: a driver would spin"
        );
    }
}

impl<C: Protocol, S: Protocol> Pair<C, S> {
    /// Two protocols that have not met yet. What they have to say by themselves (a greeting) goes out
    /// at the first [`drive`](Self::drive).
    pub fn new(client: C, server: S) -> Self {
        // A std Instant has no other origin; the clock is not looked at again.
        let now = Instant::now();
        Self {
            client: Side::new(client, now),
            server: Side::new(server, now),
            now,
            latency: Duration::ZERO,
            chunk: usize::MAX,
        }
    }

    /// What is said takes this long to the other side.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// No more than `bytes` arrive at once; at least one does.
    #[must_use]
    pub fn chunk(mut self, bytes: usize) -> Self {
        self.chunk = bytes.max(1);
        self
    }

    /// The virtual present.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Carries everything that can be carried at this moment, until both sides are silent.
    ///
    /// # Panics
    /// When a protocol lets its deadline stand after it has passed.
    pub fn drive(&mut self) {
        loop {
            self.client.pump();
            self.server.pump();
            let arrival = self.now + self.latency;
            let sent = (self.client.depart(), self.server.depart());
            let mut moved = !sent.0.is_empty() || !sent.1.is_empty();
            self.server.arriving.extend(sent.0.into_iter().map(|parcel| (arrival, parcel)));
            self.client.arriving.extend(sent.1.into_iter().map(|parcel| (arrival, parcel)));
            moved |= self.client.arrive(self.chunk);
            moved |= self.server.arrive(self.chunk);
            if !moved {
                break;
            }
        }
        self.client.assert_awake("client");
        self.server.assert_awake("server");
    }

    /// Lets time pass. Both sides hear of every deadline and every arrival at its very moment.
    ///
    /// # Panics
    /// When a protocol lets its deadline stand after it has passed.
    pub fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        self.drive();
        loop {
            let moments = [self.client.next_moment(), self.server.next_moment()];
            let next = moments.into_iter().flatten().min().filter(|moment| *moment <= until);
            let Some(moment) = next else { break };
            self.set_now(moment.max(self.now));
            self.drive();
        }
        self.set_now(until);
        self.drive();
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.client.wire.now = now;
        self.server.wire.now = now;
    }
}

impl<P: Protocol> fmt::Debug for Side<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side")
            .field("wire", &self.wire)
            .field("heard", &self.heard.len())
            .field("arriving", &self.arriving.len())
            .field("failed", &self.error.is_some())
            .finish_non_exhaustive()
    }
}
