//! Two protocols that talk to each other in virtual time.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::subject::ENDLESS;
use crate::{Protocol, Wire};

/// So many exchanges at one moment are taken for a conversation that never ends.
const ENDLESS_TALK: usize = 10_000_000;

/// Two protocols and the two wires between them, in virtual time.
///
/// What one says is carried to the other by [`drive`](Self::drive), and time passes only by
/// [`advance`](Self::advance), which meets every deadline and every arrival on the way exactly.
///
/// ```
/// use std::time::Duration;
///
/// use ropewalk_core::Lines;
/// use ropewalk_core::testing::Pair;
///
/// let mut pair = Pair::new(Lines::crlf(), Lines::crlf()).latency(Duration::from_millis(40));
/// pair.client.say("NOOP")?;
/// pair.advance(Duration::from_millis(39));
/// assert_eq!(pair.server.hear(), None); // still on its way
/// pair.advance(Duration::from_millis(1));
/// assert_eq!(pair.server.hear().as_deref(), Some(&b"NOOP"[..]));
/// # Ok::<(), ropewalk_core::FrameError>(())
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
        let mut idle = 0;
        while !self.is_deaf() {
            let before = self.wire.input.len();
            match self.protocol.receive(&mut self.wire) {
                Ok(Some(event)) => {
                    self.heard.push_back(event);
                    idle = if self.wire.input.len() == before { idle + 1 } else { 0 };
                    assert!(idle < ENDLESS, "{ENDLESS} events in a row consumed no input");
                }
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
    /// When a protocol lets its deadline stand after it has passed, or two never stop talking.
    pub fn drive(&mut self) {
        for exchange in 0.. {
            assert!(exchange < ENDLESS_TALK, "two protocols that never stop talking");
            self.client.pump();
            self.server.pump();
            // Here and not at the end: with a ping at every look there would be none.
            self.client.assert_awake("client");
            self.server.assert_awake("server");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{FrameError, Lines};

    /// Says `ping` when the peer was silent for a minute, and fails when it is silent for two.
    #[derive(Debug)]
    struct Watchful {
        lines: Lines,
        since: Option<Instant>,
        pinged: bool,
        careless: bool,
    }

    impl Watchful {
        fn new() -> Self {
            Self { lines: Lines::crlf(), since: None, pinged: false, careless: false }
        }
    }

    impl Protocol for Watchful {
        type In = Bytes;
        type Out = crate::framing::LineOut;
        type Error = FrameError;

        fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>, FrameError> {
            let line = self.lines.receive(wire)?;
            if line.is_some() || self.since.is_none() {
                (self.since, self.pinged) = (Some(wire.now), false);
            } else if self.deadline().is_some_and(|deadline| deadline <= wire.now) {
                if self.pinged {
                    return Err(FrameError::Malformed { what: "silence" });
                }
                self.pinged = !self.careless;
                self.lines.send("ping".into(), wire)?;
            }
            Ok(line)
        }

        fn send(&mut self, item: Self::Out, wire: &mut Wire) -> Result<(), FrameError> {
            self.lines.send(item, wire)
        }

        fn deadline(&self) -> Option<Instant> {
            Some(self.since? + Duration::from_secs(if self.pinged { 120 } else { 60 }))
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn deadlines_are_met_exactly_and_arrivals_too() {
        let mut pair = Pair::new(Lines::crlf(), Watchful::new()).latency(SECOND);
        pair.advance(60 * SECOND);
        assert_eq!(pair.client.hear(), None, "the ping is on its way");
        pair.advance(SECOND);
        assert_eq!(pair.client.hear().as_deref(), Some(&b"ping"[..]));
        pair.client.say("pong").expect("a line");
        // In one long step: the pong arrives at 62, pings leave at 122, the end is at 182.
        pair.advance(1000 * SECOND);
        assert_eq!(pair.client.hear_all(), ["ping"]);
        assert_eq!(pair.server.hear_all(), ["pong"]);
        assert!(pair.server.error().is_some_and(|error| error.to_string().contains("silence")));
        assert_eq!(pair.server.protocol.since.map(|since| pair.now() - since), Some(999 * SECOND));
    }

    #[test]
    #[should_panic(expected = "a deadline of the server's has passed")]
    fn a_deadline_that_stands_is_found() {
        let server = Watchful { careless: true, ..Watchful::new() };
        Pair::new(Lines::crlf(), server).advance(60 * SECOND);
    }

    #[test]
    fn the_end_follows_what_was_said_and_the_other_direction_stays_open() {
        let mut pair = Pair::new(Lines::crlf(), Lines::crlf()).chunk(1).latency(SECOND);
        pair.client.say("last words").expect("a line");
        pair.client.finish();
        pair.client.finish();
        pair.drive();
        assert!(!pair.server.wire.eof);
        pair.advance(SECOND);
        assert!(pair.server.wire.eof && !pair.client.wire.eof);
        assert_eq!(pair.server.hear_all(), ["last words"]);
        pair.server.say("farewell").expect("a line");
        pair.advance(SECOND);
        assert_eq!(pair.client.hear_all(), ["farewell"]);
    }

    #[test]
    fn more_than_the_cap_comes_in_portions() {
        let mut pair = Pair::new(crate::framing::Raw, crate::framing::Raw);
        pair.client.say(vec![b'x'; 1_000_000]).expect("bytes");
        pair.drive();
        let portions: Vec<usize> = pair.server.hear_all().iter().map(Bytes::len).collect();
        assert_eq!(portions.iter().sum::<usize>(), 1_000_000);
        assert!(portions.iter().all(|len| *len <= pair.server.protocol.input_cap()));
    }
}
