//! The decider: bytes and items in, events and bytes out, no waiting.

use std::io;
use std::time::Instant;

use crate::Wire;

/// Decides what bytes mean and what is said: the counterpart of Twisted's `Protocol`, without I/O,
/// without a clock and without tokio.
///
/// A protocol is *pulled*: the driver ([`Connection`](crate::Connection), or a test) fills
/// [`Wire::input`] and asks for the next event; it takes what the protocol appended to
/// [`Wire::output`] and sends it. All state is in the value, so dropping a future that awaits an
/// event loses nothing.
pub trait Protocol {
    /// What the peer tells us.
    type In;
    /// What we tell the peer.
    type Out;
    /// What goes wrong: with the peer, with the transport, with our caller.
    type Error: From<io::Error>;

    /// The next event, if `wire.input` holds a whole one. May owe bytes to `wire.output`.
    ///
    /// Called whenever bytes have come, the peer has ended (`wire.eof`), or [`deadline`](Self::deadline)
    /// has passed; compare it with `wire.now`, *after* having looked at the input. Incomplete input is
    /// `Ok(None)`, never an error. Called again until it returns `Ok(None)`.
    ///
    /// # Errors
    /// When the peer broke the protocol or a deadline passed. What was appended to `wire.output`
    /// before (the protocol's own words for the error) is still sent by `close`.
    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Self::In>, Self::Error>;

    /// Appends `item` to `wire.output`, or refuses it in this state.
    ///
    /// # Errors
    /// When `item` may not be said now. Then nothing has been appended.
    fn send(&mut self, item: Self::Out, wire: &mut Wire) -> Result<(), Self::Error>;

    /// When to look again even if the peer stays silent.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The server is stopping: say goodbye, if the protocol has words for it (421, BYE,
    /// `Connection: close`). Called at most once, while an event is awaited and none is half read.
    ///
    /// Returns whether the connection may end at once. A protocol that is in the middle of something
    /// returns `false`, finishes it, and says by [`is_over`](Self::is_over) when it has.
    fn farewell(&mut self, _wire: &mut Wire) -> bool {
        true
    }

    /// Nothing more will be received, though the peer may still send: the goodbye has been said.
    /// The driver then flushes and reports the end. Asked whenever [`receive`](Self::receive) had
    /// nothing.
    fn is_over(&self) -> bool {
        false
    }

    /// How many unconsumed bytes of input this protocol may need to see at once, in bytes. The driver
    /// reads no further, and a protocol that wants more than this of one event is told so by an error.
    fn input_cap(&self) -> usize {
        64 * 1024
    }
}

/// A protocol behind a box is that protocol.
impl<P: Protocol + ?Sized> Protocol for Box<P> {
    type In = P::In;
    type Out = P::Out;
    type Error = P::Error;

    fn receive(&mut self, wire: &mut Wire) -> Result<Option<Self::In>, Self::Error> {
        (**self).receive(wire)
    }

    fn send(&mut self, item: Self::Out, wire: &mut Wire) -> Result<(), Self::Error> {
        (**self).send(item, wire)
    }

    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }

    fn farewell(&mut self, wire: &mut Wire) -> bool {
        (**self).farewell(wire)
    }

    fn is_over(&self) -> bool {
        (**self).is_over()
    }

    fn input_cap(&self) -> usize {
        (**self).input_cap()
    }
}
