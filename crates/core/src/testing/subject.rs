//! A protocol under test, and the machine that feeds it.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::{Protocol, Wire};

/// So many events in a row that consume nothing are taken for an endless loop.
pub(super) const ENDLESS: usize = 10_000;

/// What a test's closure is given: the protocol, its wire and the test's own state.
#[derive(Debug)]
pub struct Stage<'a, P, S = ()> {
    /// The protocol under test.
    pub protocol: &'a mut P,
    /// Its wire.
    pub wire: &'a mut Wire,
    /// The test's state, made anew for every run.
    pub state: &'a mut S,
}

impl<P: Protocol, S> Stage<'_, P, S> {
    /// Sends `item`.
    ///
    /// # Errors
    /// When the protocol refuses it.
    pub fn say(&mut self, item: impl Into<P::Out>) -> Result<(), P::Error> {
        self.protocol.send(item.into(), self.wire)
    }
}

/// Does something on a stage because of a `T`.
type Act<'a, P, S, T> =
    Box<dyn Fn(&mut Stage<'_, P, S>, T) -> Result<(), <P as Protocol>::Error> + 'a>;

/// Does something on a stage because of the words of a cue.
type Cue<'a, P, S> =
    Box<dyn Fn(&mut Stage<'_, P, S>, &str) -> Result<(), <P as Protocol>::Error> + 'a>;

/// Takes the bytes out of an event that is a piece of a longer run.
type Flow<'a, P> = Box<dyn Fn(&P, &<P as Protocol>::In) -> Option<Bytes> + 'a>;

/// How to make the protocol under test, and how the test plays its user.
pub(super) struct Subject<'a, P: Protocol, S> {
    pub(super) make: Box<dyn Fn() -> (P, S) + 'a>,
    pub(super) start: Act<'a, P, S, ()>,
    pub(super) answer: Act<'a, P, S, P::In>,
    pub(super) cue: Option<Cue<'a, P, S>>,
    pub(super) flow: Flow<'a, P>,
}

impl<'a, P: Protocol, S> Subject<'a, P, S> {
    pub(super) fn new(make: impl Fn() -> (P, S) + 'a) -> Self {
        Self {
            make: Box::new(make),
            start: Box::new(|_, ()| Ok(())),
            answer: Box::new(|_, _| Ok(())),
            cue: None,
            flow: Box::new(|_, _| None),
        }
    }
}

/// What the protocol told, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Event(String),
    Flow(BytesMut),
}

/// A protocol under test in the middle of a run.
pub(super) struct Run<'s, 'a, P: Protocol, S> {
    subject: &'s Subject<'a, P, S>,
    protocol: P,
    state: S,
    wire: Wire,
    told: Vec<Told>,
    said: BytesMut,
    error: Option<String>,
}

impl<'s, 'a, P, S> Run<'s, 'a, P, S>
where
    P: Protocol<In: Debug, Error: Display>,
{
    /// Makes the protocol, lets the test begin, and lets the protocol greet.
    pub(super) fn new(subject: &'s Subject<'a, P, S>) -> Self {
        let (protocol, state) = (subject.make)();
        let wire = Wire::new(Instant::now());
        let (told, said) = (Vec::new(), BytesMut::new());
        let mut run = Self { subject, protocol, state, wire, told, said, error: None };
        run.act(|subject, stage| (subject.start)(stage, ()));
        run.pump();
        run
    }

    /// Bytes come, as many at a time as the protocol may be shown.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_deaf() {
            let cap = self.protocol.input_cap();
            let room = cap.saturating_sub(self.wire.input.len()).min(bytes.len());
            if room == 0 {
                self.error = Some(format!(
                    "the protocol has {} bytes of input before it, asks for more, and its \
                     input_cap is {cap}",
                    self.wire.input.len()
                ));
                return;
            }
            let (now, later) = bytes.split_at(room);
            self.wire.input.extend_from_slice(now);
            bytes = later;
            self.pump();
        }
    }

    /// The peer ends its direction.
    pub(super) fn finish(&mut self) {
        self.wire.eof = true;
        self.pump();
    }

    /// Time passes; every deadline on the way is met exactly.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.wire.now + time;
        while let Some(deadline) = self.deadline().filter(|deadline| *deadline <= until) {
            self.wire.now = self.wire.now.max(deadline);
            self.pump();
            if self.deadline() == Some(deadline) {
                self.error = Some(
                    "a deadline has passed, the protocol had nothing to tell and did not move \
                     it: a driver would spin"
                        .into(),
                );
                return;
            }
        }
        self.wire.now = until;
        self.pump();
    }

    /// The test's closure for cues is called, if there is one.
    pub(super) fn cue(&mut self, words: &str) -> bool {
        let known = self.subject.cue.is_some();
        self.act(|subject, stage| subject.cue.as_ref().map_or(Ok(()), |cue| cue(stage, words)));
        self.pump();
        known
    }

    /// Calls a closure of the test's, keeping its error and what was said.
    fn act(
        &mut self,
        act: impl FnOnce(&Subject<'a, P, S>, &mut Stage<'_, P, S>) -> Result<(), P::Error>,
    ) {
        let Self { subject, protocol, wire, state, .. } = self;
        let outcome = act(subject, &mut Stage { protocol, wire, state });
        if let Err(error) = outcome {
            self.error.get_or_insert_with(|| error.to_string());
        }
        self.collect();
    }

    /// Asks for events until there are none.
    fn pump(&mut self) {
        let mut idle = 0;
        while self.error.is_none() {
            let before = self.wire.input.len();
            match self.protocol.receive(&mut self.wire) {
                Ok(Some(event)) => {
                    idle = if self.wire.input.len() == before { idle + 1 } else { 0 };
                    self.tell(event);
                }
                Ok(None) => break,
                Err(error) => self.error = Some(error.to_string()),
            }
            if idle == ENDLESS {
                self.error = Some(format!("{ENDLESS} events in a row consumed no input"));
            }
        }
        self.collect();
    }

    /// Notes an event and lets the test answer it.
    fn tell(&mut self, event: P::In) {
        match ((self.subject.flow)(&self.protocol, &event), self.told.last_mut()) {
            (Some(bytes), Some(Told::Flow(flow))) => flow.extend_from_slice(&bytes),
            (Some(bytes), _) => self.told.push(Told::Flow(BytesMut::from(&bytes[..]))),
            (None, _) => self.told.push(Told::Event(format!("{event:?}"))),
        }
        self.act(|subject, stage| (subject.answer)(stage, event));
    }

    /// Takes what was said off the wire.
    fn collect(&mut self) {
        match self.wire.output.take() {
            Ok(bytes) => self.said.extend_from_slice(&bytes),
            Err(error) => {
                self.error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.is_deaf() { None } else { self.protocol.deadline() }
    }

    /// Whether a driver would read no more.
    pub(super) fn is_deaf(&self) -> bool {
        self.error.is_some() || self.protocol.is_over()
    }

    /// Whether the peer has ended its direction.
    pub(super) fn has_peer_ended(&self) -> bool {
        self.wire.eof
    }

    /// What went wrong, in words.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What was said and not taken yet.
    pub(super) fn said(&mut self) -> &mut BytesMut {
        &mut self.said
    }

    /// The oldest event that was not taken yet, in words.
    pub(super) fn next_told(&mut self) -> Option<String> {
        (!self.told.is_empty()).then(|| in_words(self.told.remove(0)))
    }

    /// Everything that came of the run.
    pub(super) fn into_heard(self) -> Heard {
        let left = if self.is_deaf() { Bytes::new() } else { self.wire.input.freeze() };
        let events = self.told.into_iter().map(in_words).collect();
        Heard { events, output: self.said.freeze(), error: self.error, left }
    }
}

/// Everything that came of a protocol's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The events, as `{:?}` shows them; those that flow are joined and shown as `b"…"`.
    pub events: Vec<String>,
    /// What the protocol said.
    pub output: Bytes,
    /// The error that ended it, as `{}` shows it.
    pub error: Option<String>,
    /// Input that nobody consumed; empty when an error, or the protocol itself, ended it.
    pub left: Bytes,
}

fn in_words(told: Told) -> String {
    match told {
        Told::Event(words) => words,
        Told::Flow(bytes) => format!("{bytes:?}"),
    }
}

/// Bytes in quotes, with everything that is not printable escaped.
pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
