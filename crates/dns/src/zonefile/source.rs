//! A file while it is read.

use std::io::{self, Read};

use super::{MAX_ENTRY, Place};
use crate::error::{TextFault, ZoneFileCause, ZoneFileError};
use crate::text::lex::Ending;
use crate::types::{Name, NameBuf};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// One file on the stack of those that include each other.
pub(super) struct Source<'r> {
    /// As errors name it.
    pub(super) file: String,
    /// Origin and owner of the file that included it.
    pub(super) after: Option<(Option<Name>, NameBuf, bool)>,
    input: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    /// The entry, and what was read beyond it.
    start: usize,
    filled: usize,
    /// How long the entry is.
    len: usize,
    ended: bool,
    /// The line at which the entry begins.
    line: u64,
}

impl<'r> Source<'r> {
    pub(super) fn new(file: &str, input: Box<dyn Read + 'r>) -> Self {
        Self {
            file: file.to_owned(),
            after: None,
            input,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            len: 0,
            ended: false,
            line: 1,
        }
    }

    /// The next entry, which stays there until it is [consumed](Self::consume).
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ZoneFileError> {
        let mut ending = Ending::default();
        loop {
            let text = &self.buffer[self.start..self.filled];
            if self.ended && text.is_empty() {
                return Ok(None);
            }
            if let Some(len) = ending.find(text, self.ended) {
                self.len = len;
                return Ok(Some(&self.buffer[self.start..self.start + len]));
            }
            if text.len() > MAX_ENTRY {
                let error = self.error(ZoneFileCause::Text(TextFault::EntryTooLong(MAX_ENTRY)));
                // What is left of it cannot be told from what follows.
                (self.start, self.filled, self.ended) = (0, 0, true);
                return Err(error);
            }
            self.fill().map_err(|error| {
                self.ended = true;
                self.error(ZoneFileCause::Io(error))
            })?;
        }
    }

    /// Reads more.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, self.filled - self.start);
        if self.buffer.len() - self.filled < CHUNK {
            self.buffer.resize(self.filled + CHUNK, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// Goes behind the entry.
    pub(super) fn consume(&mut self) {
        let entry = &self.buffer[self.start..self.start + self.len];
        self.line += memchr::memchr_iter(b'\n', entry).count() as u64;
        self.start += self.len;
        self.len = 0;
    }

    /// Line and column of a byte of the entry.
    pub(super) fn place(&self, at: usize) -> Place {
        let entry = &self.buffer[self.start..self.start + self.len];
        let before = &entry[..at.min(entry.len())];
        let line = self.line + memchr::memchr_iter(b'\n', before).count() as u64;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
        Place { line, column }
    }

    fn error(&self, cause: ZoneFileCause) -> ZoneFileError {
        ZoneFileError { file: self.file.clone(), line: self.line, column: 1, cause }
    }
}
