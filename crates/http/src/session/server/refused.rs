//! What is known of a request that the session itself has answered, for whoever keeps a log.

use bytes::Bytes;
use http::{Request, StatusCode};
use ropewalk_core::Wire;

use super::{Server, Writing};
use crate::error::Error;
use crate::parse::{self, Scan, Section};

/// How much of a request line that was not understood is kept, in bytes.
const LINE: usize = 1024;

/// A response of the session's own to what it could not take ([`Error::status`]).
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// Its size on the wire in bytes, head included.
    pub bytes: u64,
    head: Option<Bytes>,
    line: Option<Bytes>,
}

impl Refused {
    /// The request, if it was refused before it was [delivered](crate::Event::Head) but was
    /// understood: one that announces too much content, say.
    #[must_use]
    pub fn request(&self) -> Option<Request<()>> {
        let (head, mut scan) = (self.head.as_ref()?, Scan::default());
        scan.find(head, Section::Head, &crate::Limits::default()).ok()??;
        parse::request(head, &scan).ok().map(|(request, ..)| request)
    }

    /// The request line as it came, as far as it came, if the request was refused before it was
    /// delivered: at most 1,024 bytes of anything. `None` if nothing had come, or if the request was
    /// delivered before the error.
    #[must_use]
    pub fn line(&self) -> Option<&Bytes> {
        self.line.as_ref()
    }
}

impl Server {
    /// The response that the session has put on the wire by itself, if the connection ended so.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_deref()
    }

    /// A whole head has come that is refused.
    #[cold]
    pub(super) fn misread(&mut self, error: Error, head: Bytes) -> Error {
        if let Some(status) = error.status() {
            let line = first_line(&head);
            let (head, bytes) = (Some(head), 0);
            self.refused = Some(Box::new(Refused { status, bytes, head, line }));
        }
        error
    }

    /// The session ends with an error; the client is told if it is to blame and can be told.
    #[cold]
    pub(super) fn fail(&mut self, error: &Error, wire: &mut Wire) {
        let can = matches!(self.writing, Writing::Idle | Writing::Owed);
        if let (Some(status), true) = (error.status(), can) {
            let line = match self.writing {
                Writing::Idle => first_line(&wire.input),
                _ => None,
            };
            let before = wire.output.len();
            self.refuse(status, &mut wire.output);
            let bytes = wire.output.len() - before;
            match &mut self.refused {
                Some(refused) => refused.bytes = bytes,
                None => {
                    let refused = Refused { status, bytes, head: None, line };
                    self.refused = Some(Box::new(refused));
                }
            }
        }
        self.end = super::Ending::Over;
    }
}

/// What stands before the first line end, or all; `None` if that is nothing.
fn first_line(bytes: &[u8]) -> Option<Bytes> {
    let line = &bytes[..bytes.len().min(LINE)];
    let line = line.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    (!line.is_empty()).then(|| Bytes::copy_from_slice(line))
}
