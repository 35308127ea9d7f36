//! Content as it goes: the sending half of RFC 9112 §6 and §7, for both roles.

use bytes::Bytes;
use http::HeaderMap;
use ropewalk_core::{FileRegion, Output};

use crate::emit;
use crate::error::{Error, Misuse, Result};

/// How the content of the message under way is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The message has no content whatever the caller says (HEAD, 204, 304): it is dropped.
    Silent,
    /// So many bytes are still owed.
    Length(u64),
    Chunked,
    /// Up to the end of the connection.
    UntilClose,
}

/// Puts content on the wire.
#[derive(Debug)]
pub(super) struct Writer {
    framing: Framing,
    /// Kept until the end, where they stand in a chunked message.
    trailers: Option<Box<HeaderMap>>,
}

impl Writer {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, trailers: None }
    }

    /// Whether what is sent goes anywhere.
    pub(super) fn takes_content(&self) -> bool {
        self.framing != Framing::Silent
    }

    pub(super) fn data(&mut self, data: Bytes, output: &mut Output) -> Result<()> {
        self.claim(data.len() as u64)?;
        match self.framing {
            Framing::Silent => {}
            Framing::Length(_) | Framing::UntilClose => output.push(data),
            Framing::Chunked => emit::chunk(data, output),
        }
        Ok(())
    }

    pub(super) fn file(&mut self, region: FileRegion, output: &mut Output) -> Result<()> {
        self.claim(region.len)?;
        match self.framing {
            Framing::Chunked if region.len > 0 => {
                emit::chunk_line(region.len, output);
                output.push_file(region);
                output.put(emit::CRLF);
            }
            Framing::Silent | Framing::Chunked => {}
            Framing::Length(_) | Framing::UntilClose => output.push_file(region),
        }
        Ok(())
    }

    /// # Errors
    /// [`Misuse::Order`] for a second trailer section, [`Misuse::Framing`] for fields that do not
    /// belong into one (RFC 9110 §6.5.1).
    pub(super) fn trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
        if self.trailers.is_some() {
            return Err(Error::Misuse(Misuse::Order));
        }
        if [CONTENT_LENGTH, TRANSFER_ENCODING, HOST].iter().any(|name| trailers.contains_key(name))
        {
            return Err(Error::Misuse(Misuse::Framing));
        }
        self.trailers = Some(Box::new(trailers));
        Ok(())
    }

    pub(super) fn end(&mut self, output: &mut Output) -> Result<()> {
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(Error::Misuse(Misuse::TooLittle)),
            Framing::Chunked => {
                emit::last_chunk(&self.trailers.take().unwrap_or_default(), output);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes `length` off what is owed.
    fn claim(&mut self, length: u64) -> Result<()> {
        if self.trailers.is_some() && length > 0 {
            return Err(Error::Misuse(Misuse::Order));
        }
        if let Framing::Length(left) = &mut self.framing {
            *left = left.checked_sub(length).ok_or(Error::Misuse(Misuse::TooMuch))?;
        }
        Ok(())
    }
}
