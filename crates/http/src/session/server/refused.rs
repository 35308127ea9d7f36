//! What is known of a request that the session itself has answered, for whoever keeps a log.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use ropewalk_core::Wire;

use super::{Server, Writing};
use crate::error::Error;

/// How much of a request line that was not understood is kept, in bytes.
const LINE: usize = 1024;

/// A response of the session's own to what it could not take ([`Error::status`]).
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// Its size on the wire in bytes, head included.
    pub bytes: u64,
    request: Option<Request<()>>,
    line: Option<Bytes>,
}

impl Refused {
    /// The request, if it was refused before it was [delivered](crate::Event::Head) but was
    /// understood: one that announces too much content, say.
    #[must_use]
    pub fn request(&self) -> Option<&Request<()>> {
        self.request.as_ref()
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

    /// A whole head has come that is refused. `head` is empty if it became the fields of `request`,
    /// which are all there if it was `understood`.
    #[cold]
    pub(super) fn misread<B>(
        &mut self,
        error: Error,
        head: &Bytes,
        request: &mut Request<B>,
        understood: bool,
    ) -> Error {
        if let Some(status) = error.status() {
            let line = if head.is_empty() { line_of(request) } else { first_line(head) };
            let request = understood.then(|| taken(request));
            self.refused = Some(Box::new(Refused { status, bytes: 0, request, line }));
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
                    let refused = Refused { status, bytes, request: None, line };
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

/// The request line of a request.
fn line_of<B>(request: &Request<B>) -> Option<Bytes> {
    let version = if request.version() == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    first_line(format!("{} {} {version}", request.method(), request.uri()).as_bytes())
}

/// The head of a request, which is left without one.
fn taken<B>(request: &mut Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = std::mem::take(request.method_mut());
    *head.uri_mut() = std::mem::take(request.uri_mut());
    *head.version_mut() = request.version();
    *head.headers_mut() = std::mem::take(request.headers_mut());
    head
}
