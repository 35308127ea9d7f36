//! What follows a response's head: its content, and the end.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use ropewalk_core::{BoxError, Connection};

use super::fill;
use crate::body::{BoxBody, Content, Piece};
use crate::error::Awaited;
use crate::incoming::Filler;
use crate::session;
use crate::{Error, Outgoing};

/// Sends what follows a head, to the response's end. The inner error is the body's.
pub(super) async fn send_rest(
    conn: &mut Connection<session::Server>,
    content: Content,
    unread: Option<Filler>,
    half_close: bool,
) -> Result<Result<(), BoxError>, Error> {
    if conn.protocol().takes_content()
        && let Err(error) = send_content(conn, content, unread, half_close).await?
    {
        return Ok(Err(error));
    }
    conn.queue(Outgoing::End).map(Ok)
}

/// Sends the content. The inner error is the body's.
async fn send_content(
    conn: &mut Connection<session::Server>,
    content: Content,
    unread: Option<Filler>,
    half_close: bool,
) -> Result<Result<(), BoxError>, Error> {
    match content {
        Content::Empty | Content::Switch(_) => {}
        Content::Bytes(bytes) => conn.send(bytes).await?,
        Content::File(region) => conn.send(region).await?,
        Content::Pieces(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => conn.send(bytes).await?,
                    Piece::File(region) => conn.send(region).await?,
                }
            }
        }
        Content::Stream(stream) => return send_stream(conn, stream, unread, half_close).await,
    }
    Ok(Ok(()))
}

/// Sends frames as they are made, and what is unsent whenever the next one keeps us waiting. The
/// inner error is the body's.
async fn send_stream(
    conn: &mut Connection<session::Server>,
    mut stream: BoxBody,
    mut unread: Option<Filler>,
    half_close: bool,
) -> Result<Result<(), BoxError>, Error> {
    loop {
        match next_frame(conn, &mut stream, &mut unread, half_close).await? {
            None => return Ok(Ok(())),
            Some(Err(error)) => return Ok(Err(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => conn.send(data).await?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        conn.send(Outgoing::Trailers(trailers)).await?;
                    }
                }
            },
        }
    }
}

/// The next frame. The stream may be made of the request's content: then it is fed as the handler was.
async fn next_frame(
    conn: &mut Connection<session::Server>,
    stream: &mut BoxBody,
    unread: &mut Option<Filler>,
    half_close: bool,
) -> Result<Option<Result<Frame<Bytes>, BoxError>>, Error> {
    let mut next = poll_fn(|cx| stream.as_mut().poll_frame(cx));
    loop {
        let wanted = poll_fn(|cx| match unread {
            Some(filler) => filler.poll_wanted(cx),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            frame = &mut next => return Ok(frame),
            () = wanted => {}
            gone = silence(conn, half_close) => return Err(gone),
        }
        // This sends what is owed, too.
        let event = tokio::select! {
            biased;
            event = conn.next() => event?,
            frame = &mut next => return Ok(frame),
        };
        if unread.as_ref().is_some_and(|filler| !fill(filler, event)) {
            *unread = None;
        }
    }
}

/// While a stream keeps us waiting: sends what is unsent, and returns when there is nobody left to send
/// to.
async fn silence(conn: &mut Connection<session::Server>, half_close: bool) -> Error {
    if half_close {
        return match conn.flush().await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        };
    }
    match poll_fn(|cx| conn.poll_ended(cx)).await {
        Ok(()) => Error::Closed { awaited: Awaited::Response, missing: None },
        Err(error) => error.into(),
    }
}
