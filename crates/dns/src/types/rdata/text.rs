//! Texts: TXT, SPF, HINFO, NAPTR, CAA, URI.

use super::Field::{self, Name as N, Tag, Text, TextRest, Texts, U8, U16};
use super::NameKind::Lower;
use super::Rest;
use super::view::{Part, view};
use crate::types::Name;

pub(super) const TXT_FIELDS: &[Field] = &[Texts];
pub(super) const HINFO_FIELDS: &[Field] = &[Text, Text];
pub(super) const NAPTR_FIELDS: &[Field] = &[U16, U16, Text, Text, Text, N(Lower)];
pub(super) const CAA_FIELDS: &[Field] = &[U8, Tag, TextRest];
pub(super) const URI_FIELDS: &[Field] = &[U16, U16, TextRest];

/// A character string (RFC 1035 §3.3): at most 255 bytes of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CharString(Box<[u8]>);

impl CharString {
    /// Takes up to 255 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= 255).then(|| Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Part for CharString {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (&len, rest) = bytes.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(len))?;
        *bytes = rest;
        Some(Self(text.into()))
    }

    fn put(&self, out: &mut Vec<u8>) {
        // At most 255, as the constructor has seen to.
        out.push(self.0.len() as u8);
        out.extend_from_slice(&self.0);
    }
}

impl Part for Vec<CharString> {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut texts = Self::new();
        while !bytes.is_empty() {
            texts.push(CharString::take(bytes)?);
        }
        Some(texts)
    }

    fn put(&self, out: &mut Vec<u8>) {
        for text in self {
            text.put(out);
        }
    }
}

view! {
    /// Text (RFC 1035 §3.3.14).
    pub struct Txt: TXT {
        /// The strings, one at least. Most uses take them as one text.
        pub strings: Vec<CharString>,
    }
}

view! {
    /// What a host is (RFC 1035 §3.3.2), or why there is no answer to ANY (RFC 8482 §4.2).
    pub struct Hinfo: HINFO {
        /// The processor.
        pub cpu: CharString,
        /// The operating system.
        pub os: CharString,
    }
}

view! {
    /// A rule of the dynamic delegation discovery system (RFC 3403 §4.1).
    pub struct Naptr: NAPTR {
        /// Lower is looked at first.
        pub order: u16,
        /// Lower is preferred among those of one order.
        pub preference: u16,
        /// What the rule does.
        pub flags: CharString,
        /// Which services there are.
        pub services: CharString,
        /// How the name is rewritten.
        pub regexp: CharString,
        /// The next name to ask for.
        pub replacement: Name,
    }
}

view! {
    /// Which authorities may issue certificates (RFC 8659 §4.1).
    pub struct Caa: CAA {
        /// 128 if who does not understand the property must not issue.
        pub flags: u8,
        /// The property: letters and digits.
        pub tag: CharString,
        /// Its value.
        pub value: Rest,
    }
}

view! {
    /// A resource's identifier (RFC 7553 §4).
    pub struct Uri: URI {
        /// Lower is tried first.
        pub priority: u16,
        /// The share among those of one priority.
        pub weight: u16,
        /// The URI, not empty.
        pub target: Rest,
    }
}
