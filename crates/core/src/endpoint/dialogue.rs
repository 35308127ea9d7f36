//! Talking a proxy into a connection: what socks5 and http-connect have in common.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Transport;

/// One side of a short conversation, without I/O.
pub(super) trait Dialogue {
    /// The most unconsumed input it may need to see, in bytes.
    const CAP: usize;

    /// Takes what it understands off `input` and appends what is to be said to `output`. `true` when
    /// it is over; the rest of `input` belongs to what follows.
    ///
    /// First called with no input.
    fn advance(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> io::Result<bool>;
}

/// Holds a dialogue over a transport. Bytes behind its end are put back.
pub(super) async fn hold<D: Dialogue>(
    transport: &mut Transport,
    dialogue: &mut D,
) -> io::Result<()> {
    let (mut input, mut output) = (BytesMut::new(), Vec::new());
    loop {
        let over = dialogue.advance(&mut input, &mut output)?;
        if !output.is_empty() {
            transport.write_all(&output).await?;
            transport.flush().await?;
            output.clear();
        }
        if over {
            transport.unread(input.freeze());
            return Ok(());
        }
        if input.len() >= D::CAP {
            return Err(broken("the proxy's answer is too long"));
        }
        input.reserve(512.min(D::CAP - input.len()));
        if transport.read_buf(&mut input).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the proxy closed the connection before it answered",
            ));
        }
    }
}

pub(super) fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Feeds `answer` to a dialogue in the given pieces: what was said, whether it came to its end, and
/// what was left over.
#[cfg(test)]
pub(super) fn rehearse<D: Dialogue>(
    mut dialogue: D,
    pieces: &[&[u8]],
) -> io::Result<(Vec<u8>, bool, Vec<u8>)> {
    let (mut input, mut output) = (BytesMut::new(), Vec::new());
    let mut over = dialogue.advance(&mut input, &mut output)?;
    for piece in pieces {
        input.extend_from_slice(piece);
        if !over {
            assert!(input.len() <= D::CAP + piece.len(), "asked for more than its cap");
            over = dialogue.advance(&mut input, &mut output)?;
        }
    }
    Ok((output, over, input.to_vec()))
}
