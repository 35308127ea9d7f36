//! A request's content on its way.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use ropewalk_core::BoxError;

use super::pool::Conn;
use crate::body::{BoxBody, Content, Piece};
use crate::{Body, BodyLength, Error, Outgoing};

/// How many unsent bytes are enough: a stream is asked for no more while there are so many.
const ENOUGH: u64 = 64 * 1024;

/// Content that can be sent again, unless it is a stream that has begun.
#[derive(Debug)]
pub(super) struct Supply {
    content: Content,
    length: BodyLength,
    /// A stream, and it has been taken.
    spent: bool,
}

impl Supply {
    pub(super) fn new(body: Body) -> Self {
        let length = match body.len() {
            Some(0) => BodyLength::Empty,
            Some(length) => BodyLength::Known(length),
            None => BodyLength::Unknown,
        };
        let content = match length {
            BodyLength::Empty => Content::Empty,
            _ => body.into_content(),
        };
        Self { content, length, spent: false }
    }

    pub(super) fn length(&self) -> BodyLength {
        self.length
    }

    /// Whether there is something to be sent, once more perhaps.
    pub(super) fn is_there(&self) -> bool {
        !self.spent
    }

    /// What is to be sent now.
    pub(super) fn take(&mut self) -> Content {
        match &self.content {
            Content::Empty | Content::Switch(_) => Content::Empty,
            Content::Bytes(bytes) => Content::Bytes(bytes.clone()),
            Content::File(region) => Content::File(region.clone()),
            Content::Pieces(pieces) => Content::Pieces(pieces.clone()),
            Content::Stream(_) => {
                self.spent = true;
                std::mem::take(&mut self.content)
            }
        }
    }

    /// Takes back a stream that was not begun.
    pub(super) fn give_back(&mut self, content: Content) {
        if self.spent {
            self.content = content;
            self.spent = false;
        }
    }
}

/// What failed while content was sent.
#[derive(Debug)]
pub(super) enum Failed {
    Session(Error),
    Content(BoxError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

/// Content that is being sent.
#[derive(Debug, Default)]
pub(super) enum Upload {
    /// Not begun.
    Waiting(Content),
    Stream(Streaming),
    /// All has been handed to the connection, or nothing more will be.
    #[default]
    Done,
}

pub(super) struct Streaming(BoxBody);

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streaming")
    }
}

impl Upload {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Content that was not begun.
    pub(super) fn reclaim(&mut self) -> Option<Content> {
        match std::mem::take(self) {
            Self::Waiting(content) => Some(content),
            Self::Stream(_) | Self::Done => None,
        }
    }

    /// Queues what can be had and sent now. Ready if anything was queued, the end included.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut Conn,
    ) -> Poll<Result<(), Failed>> {
        match self {
            Self::Done => return Poll::Pending,
            Self::Waiting(content) => match std::mem::take(content) {
                Content::Stream(stream) => *self = Self::Stream(Streaming(stream)),
                content => {
                    *self = Self::Done;
                    queue(conn, content)?;
                    return Poll::Ready(Ok(()));
                }
            },
            Self::Stream(_) => {}
        }
        let Self::Stream(Streaming(stream)) = self else { return Poll::Pending };
        let mut queued = false;
        while conn.wire().output.len() < ENOUGH {
            let frame = match stream.as_mut().poll_frame(cx) {
                Poll::Pending if queued => return Poll::Ready(Ok(())),
                other => ready!(other),
            };
            queued = true;
            match frame {
                None => {
                    conn.queue(Outgoing::End)?;
                    *self = Self::Done;
                    break;
                }
                Some(Err(error)) => {
                    *self = Self::Done;
                    return Poll::Ready(Err(Failed::Content(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => conn.queue(data)?,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            conn.queue(Outgoing::Trailers(trailers))?;
                        }
                    }
                },
            }
        }
        if queued { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Queues content that is no stream, and its end.
fn queue(conn: &mut Conn, content: Content) -> Result<(), Error> {
    match content {
        Content::Empty | Content::Stream(_) | Content::Switch(_) => {}
        Content::Bytes(bytes) => conn.queue(bytes)?,
        Content::File(region) => conn.queue(region)?,
        Content::Pieces(pieces) => queue_pieces(conn, pieces)?,
    }
    conn.queue(Outgoing::End)
}

fn queue_pieces(conn: &mut Conn, pieces: VecDeque<Piece>) -> Result<(), Error> {
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => conn.queue(bytes)?,
            Piece::File(region) => conn.queue(region)?,
        }
    }
    Ok(())
}
