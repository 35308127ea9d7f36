//! Questions and records.

use std::fmt;
use std::str::FromStr;

use super::{Class, Name, Rdata, Type};

/// How long a record may be kept, in seconds: 0 to 2^31 − 1 (RFC 2181 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ttl(u32);

impl Ttl {
    /// The longest.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// So many seconds; what has the highest bit set is taken as 0 (RFC 2181 §8).
    #[must_use]
    pub const fn new(seconds: u32) -> Self {
        if seconds > Self::MAX.0 { Self(0) } else { Self(seconds) }
    }

    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What is asked (RFC 1035 §4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// The type.
    pub rtype: Type,
    /// The class.
    pub class: Class,
}

impl Question {
    /// A question of the Internet's class.
    #[must_use]
    pub fn new(name: Name, rtype: Type) -> Self {
        Self { name, rtype, class: Class::IN }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.class, self.rtype)
    }
}

/// A record (RFC 1035 §4.1.3).
///
/// ```
/// use ropewalk_dns::Record;
///
/// let record: Record = "www.example.org. 300 IN A 192.0.2.1".parse()?;
/// assert_eq!(record.to_string(), "www.example.org.\t300\tIN\tA\t192.0.2.1");
/// # Ok::<(), ropewalk_dns::error::TextError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whose record it is.
    pub name: Name,
    /// The class.
    pub class: Class,
    /// How long it may be kept.
    pub ttl: Ttl,
    /// The type and the data.
    pub data: Rdata,
}

impl Record {
    /// A record of the Internet's class.
    #[must_use]
    pub fn new(name: Name, ttl: Ttl, data: Rdata) -> Self {
        Self { name, class: Class::IN, ttl, data }
    }

    /// The type.
    #[must_use]
    pub fn rtype(&self) -> Type {
        self.data.rtype()
    }
}

impl fmt::Display for Record {
    /// As a line of a zone file, with all its fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t{}\t{}", self.name, self.ttl, self.class, self.rtype(), self.data)
    }
}

impl FromStr for Record {
    type Err = crate::error::TextError;

    /// A line of a zone file with name, time to live, perhaps the class, type and data. Names are
    /// complete without a dot at the end.
    fn from_str(line: &str) -> Result<Self, Self::Err> {
        crate::zonefile::one_record(line)
    }
}
