//! What `ropewalk get` sends.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use ropewalk_core::{BoxError, FileRegion};
use ropewalk_http::Body;
use tokio::sync::mpsc::{Receiver, channel};

use crate::exit::{Code, Failure};

/// How much is read of a stream at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Where content comes from.
#[derive(Debug, Default)]
pub(super) enum Source {
    #[default]
    None,
    Text(Bytes),
    /// A file with a length.
    File(String),
    /// What has no length and comes once: a pipe, standard input; its name.
    Stream(String),
    /// It came.
    Spent,
}

impl Source {
    /// `TEXT`, `@FILE`, `@-` or `-`.
    pub(super) fn of_data(data: &str) -> Result<Self, Failure> {
        match data.strip_prefix('@') {
            _ if data == "-" => Ok(Self::Stream("-".to_owned())),
            Some(file) => Self::of_file(file),
            None => Ok(Self::Text(Bytes::copy_from_slice(data.as_bytes()))),
        }
    }

    /// `FILE` or `-`.
    pub(super) fn of_file(file: &str) -> Result<Self, Failure> {
        if file == "-" {
            return Ok(Self::Stream(file.to_owned()));
        }
        let facts = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
        if facts.is_dir() {
            let what = format!("{file}: it is a folder; send it as an archive");
            return Err(Failure::new(Code::NoInput, what));
        }
        let file = file.to_owned();
        Ok(if facts.is_file() { Self::File(file) } else { Self::Stream(file) })
    }

    /// Whether it can be sent again.
    pub(super) fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Stream(_) | Self::Spent)
    }

    /// The content, once more if need be.
    pub(super) fn body(&mut self) -> Result<Body, Failure> {
        match self {
            Self::None | Self::Spent => Ok(Body::empty()),
            Self::Text(text) => Ok(Body::from(text.clone())),
            Self::File(name) => {
                let open = || {
                    let file = File::open(&*name)?;
                    let len = file.metadata()?.len();
                    Ok(FileRegion { file: Arc::new(file), offset: 0, len })
                };
                open().map(Body::file).map_err(|error| unreadable(name, &error))
            }
            Self::Stream(name) => {
                let body = if name == "-" {
                    Pieces::read(io::stdin())
                } else {
                    Pieces::read(File::open(&*name).map_err(|error| unreadable(name, &error))?)
                };
                *self = Self::Spent;
                Ok(Body::stream(body))
            }
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(Code::of(error), format!("{name}: cannot be read: {error}"))
}

/// What is read on a thread of its own, piece by piece.
struct Pieces(Receiver<io::Result<Bytes>>);

impl Pieces {
    fn read(mut source: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel(2);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE];
                let read = match source.read(&mut piece) {
                    Ok(0) => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(count) => {
                        piece.truncate(count);
                        Ok(Bytes::from(piece))
                    }
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if sender.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self(receiver)
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.get_mut().0.poll_recv(cx);
        next.map(|next| next.map(|read| read.map(Frame::data).map_err(BoxError::from)))
    }
}
