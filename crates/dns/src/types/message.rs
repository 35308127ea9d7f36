//! A whole message, owned.

use super::{Edns, Header, Question, Rcode, Record};
use crate::error::{NoRoom, WireError};
use crate::parse::Packet;

/// A message whose parts are owned: for building requests, for tests, for keeping. Servers borrow
/// instead, from a [`Packet`].
///
/// ```
/// use ropewalk_dns::types::{Message, Question, Type};
///
/// let query = Message::query(7, Question::new("example.org".parse()?, Type::MX));
/// let bytes = query.to_bytes()?;
/// assert_eq!(Message::parse(&bytes)?, query);
/// # Ok::<(), ropewalk_dns::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The header; its code is the whole one, with the upper bits that OPT has.
    pub header: Header,
    /// What is asked.
    pub questions: Vec<Question>,
    /// What answers it.
    pub answers: Vec<Record>,
    /// Who says so.
    pub authorities: Vec<Record>,
    /// What may help. The OPT record is not among them.
    pub additionals: Vec<Record>,
    /// What the OPT record says, if there is one.
    pub edns: Option<Edns>,
}

impl Message {
    /// A request that asks one thing, and for recursion.
    #[must_use]
    pub fn query(id: u16, question: Question) -> Self {
        let mut header = Header { id, ..Header::default() };
        header.flags.recursion_desired = true;
        Self { header, questions: vec![question], ..Self::default() }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        Packet::parse(bytes)?.to_message()
    }

    /// The wire form, with compressed names; at most 65,535 bytes.
    ///
    /// # Errors
    /// When it would be longer, or has a code that wants an OPT record and there is none.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NoRoom> {
        crate::emit::message(self)
    }

    /// Whether the code can be said: one above 15 needs EDNS (RFC 6891 §6.1.3).
    pub(crate) fn is_sayable(&self) -> bool {
        self.edns.is_some() || self.header.rcode.is_plain()
    }

    /// The code.
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        self.header.rcode
    }
}
