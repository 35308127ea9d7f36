//! Noticing that the peer has left while there is nothing to say to it.

use std::io;
use std::task::{Context, Poll, ready};

use super::Connection;
use super::step::Until;
use crate::Protocol;

impl<P: Protocol> Connection<P> {
    /// Waits until the peer has ended its direction or is gone, and sends what is owed meanwhile. What
    /// it still says is kept for [`next`](Self::next), up to 64 KiB; from then on nothing is read, and
    /// its end is not seen either. Neither the protocol's deadline nor the [idle time](Self::set_idle)
    /// runs meanwhile.
    ///
    /// For a caller that waits for something else, to see that nobody waits for it any more. A peer
    /// that has only ended its direction may still listen: nothing tells the two apart before
    /// something is sent.
    ///
    /// # Errors
    /// As [`flush`](Self::flush): the peer is gone.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(ready!(self.link.poll(cx, &Until::Ended)).map(drop))
    }
}
