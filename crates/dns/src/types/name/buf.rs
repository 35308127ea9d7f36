//! A name that is being built.

use super::{MAX_LABEL, MAX_NAME, NameError, NameRef, text};

/// Room for any name, in place: 256 bytes and no heap.
#[derive(Clone)]
pub struct NameBuf {
    len: u8,
    bytes: [u8; MAX_NAME],
}

impl Default for NameBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl NameBuf {
    /// The root.
    #[must_use]
    pub const fn new() -> Self {
        Self { len: 1, bytes: [0; MAX_NAME] }
    }

    /// Borrowed.
    #[must_use]
    pub fn borrowed(&self) -> NameRef<'_> {
        NameRef::trusted(&self.bytes[..usize::from(self.len)])
    }

    /// Becomes a copy of `name`.
    pub fn set(&mut self, name: NameRef<'_>) {
        let wire = name.wire();
        self.bytes[..wire.len()].copy_from_slice(wire);
        // A name is at most 255 bytes.
        self.len = wire.len() as u8;
    }

    /// Becomes `labels` (wire form without an end) in front of `rest`.
    ///
    /// # Errors
    /// When that is longer than a name may be, or no labels; it is unchanged then.
    pub fn join(&mut self, labels: &[u8], rest: NameRef<'_>) -> Result<(), NameError> {
        let all = labels.len() + rest.wire().len();
        if all > MAX_NAME {
            return Err(NameError::TooLong);
        }
        let mut at = 0;
        while at < labels.len() {
            let len = usize::from(labels[at]);
            if len == 0 || len > MAX_LABEL {
                return Err(NameError::BadLabel);
            }
            at += 1 + len;
        }
        if at != labels.len() {
            return Err(NameError::BadLabel);
        }
        self.bytes[..labels.len()].copy_from_slice(labels);
        self.bytes[labels.len()..all].copy_from_slice(rest.wire());
        self.len = all as u8;
        Ok(())
    }

    /// Becomes the wildcard beneath `name`.
    ///
    /// # Errors
    /// When that is longer than a name may be.
    pub fn set_wildcard(&mut self, name: NameRef<'_>) -> Result<(), NameError> {
        self.join(b"\x01*", name)
    }

    /// Becomes the name of a text; see [`Name::from_text`](super::Name::from_text).
    ///
    /// # Errors
    /// When it is no name, or relative without an origin; what it is then is not told.
    pub fn set_text(&mut self, text: &[u8], origin: Option<NameRef<'_>>) -> Result<(), NameError> {
        self.len = 1;
        match text::scan(text, origin, &mut self.bytes) {
            Ok(len) => {
                self.len = len;
                Ok(())
            }
            Err(error) => {
                self.bytes[0] = 0;
                Err(error)
            }
        }
    }

    /// Turns letters into lower case.
    pub fn make_lowercase(&mut self) {
        self.bytes[..usize::from(self.len)].make_ascii_lowercase();
    }

    /// Becomes bytes that are known to be a name.
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut [u8; MAX_NAME]) -> u8) {
        self.len = fill(&mut self.bytes);
    }
}

impl From<NameRef<'_>> for NameBuf {
    fn from(name: NameRef<'_>) -> Self {
        let mut buf = Self::new();
        buf.set(name);
        buf
    }
}
