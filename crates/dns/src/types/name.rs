//! Domain names (RFC 1034 §3.1, RFC 1035 §3.1, RFC 4343).
//!
//! All three kinds hold the wire form without compression: labels behind their lengths, the root's
//! empty label at the end. They keep the case in which they came, and compare and hash without it.
//!
//! | kind | is | for |
//! |---|---|---|
//! | [`NameRef`] | borrowed bytes | reading, looking up |
//! | [`NameBuf`] | 255 bytes in place | building, without the heap |
//! | [`Name`] | owned; up to 46 bytes in place, longer ones in a box | keeping |

mod buf;
mod order;
mod text;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

pub use buf::NameBuf;
pub use text::NameError;
pub(crate) use text::unescape;

/// The longest name, in bytes of the wire form (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;

/// The longest label, in bytes without its length (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;

/// The most labels that a name can have, the root's not counted: each takes two bytes at least.
pub const MAX_LABELS: usize = 127;

/// How many bytes a [`Name`] keeps in place.
const INLINE: usize = 46;

/// A borrowed domain name: valid wire form, not compressed.
#[derive(Clone, Copy)]
pub struct NameRef<'a>(&'a [u8]);

/// An owned domain name.
///
/// ```
/// use ropewalk_dns::Name;
///
/// let name: Name = "Www.Example.ORG.".parse()?;
/// assert_eq!(name, "www.example.org".parse()?);
/// assert_eq!(name.to_string(), "Www.Example.ORG.");
/// assert_eq!(name.borrowed().wire(), b"\x03Www\x07Example\x03ORG\0");
/// assert!("a.example.org.".parse::<Name>()? < "z.example.org.".parse()?);
/// assert!("a..b".parse::<Name>().is_err());
/// # Ok::<(), ropewalk_dns::types::NameError>(())
/// ```
#[derive(Clone)]
pub struct Name(Held);

#[derive(Clone)]
enum Held {
    Here { len: u8, bytes: [u8; INLINE] },
    Heap(Box<[u8]>),
}

impl NameRef<'static> {
    /// The root.
    pub const ROOT: Self = Self(&[0]);
}

impl<'a> NameRef<'a> {
    /// Takes bytes as a name, if they are one from the first to the last byte.
    #[must_use]
    pub fn new(wire: &'a [u8]) -> Option<Self> {
        (wire_len(wire)? == wire.len()).then_some(Self(wire))
    }

    /// The name at the beginning of `bytes`, and what follows it.
    #[must_use]
    pub fn split_from(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (name, rest) = bytes.split_at(wire_len(bytes)?);
        Some((Self(name), rest))
    }

    /// Bytes that are known to be a name.
    pub(crate) fn trusted(wire: &'a [u8]) -> Self {
        debug_assert_eq!(wire_len(wire), Some(wire.len()));
        Self(wire)
    }

    /// The wire form, 1 to 255 bytes.
    #[must_use]
    pub fn wire(self) -> &'a [u8] {
        self.0
    }

    /// Whether it is the root.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// Whether its leftmost label is `*` (RFC 4592 §2.1.1).
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The labels from left to right, without the root's.
    pub fn labels(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let label = rest.first_label()?;
            rest = rest.parent()?;
            Some(label)
        })
    }

    /// The leftmost label, which the root has none of.
    #[must_use]
    pub fn first_label(self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        rest.get(..usize::from(len)).filter(|label| !label.is_empty())
    }

    /// How many labels it has, without the root's (RFC 4034 §3.1.3 counts so, but for wildcards).
    #[must_use]
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// The name without its leftmost label, which the root has none of.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let len = usize::from(*self.0.first()?);
        (len > 0).then(|| Self(self.0.get(1 + len..).unwrap_or(&[0])))
    }

    /// The name without its `count` leftmost labels; the root when it has no more than that.
    #[must_use]
    pub fn skip(self, count: usize) -> Self {
        (0..count).try_fold(self, |name, _| name.parent()).unwrap_or(NameRef::ROOT)
    }

    /// Whether it is `zone`, or beneath it.
    #[must_use]
    pub fn is_within(self, zone: NameRef<'_>) -> bool {
        self.strip_suffix(zone).is_some()
    }

    /// The labels in front of `zone`, in wire form without an end; empty if it is `zone`, `None` if it
    /// is not beneath it.
    #[must_use]
    pub fn strip_suffix(self, zone: NameRef<'_>) -> Option<&'a [u8]> {
        let front = self.0.len().checked_sub(zone.0.len())?;
        let mut at = 0;
        while at < front {
            at += 1 + usize::from(*self.0.get(at)?);
        }
        let (front, rest) = self.0.split_at_checked(front)?;
        (at == front.len() && rest.eq_ignore_ascii_case(zone.0)).then_some(front)
    }

    /// Whether both are the same to the last bit, case included.
    #[must_use]
    pub fn is_identical(self, other: NameRef<'_>) -> bool {
        self.0 == other.0
    }

    /// An owned copy.
    #[must_use]
    pub fn to_name(self) -> Name {
        Name::of_wire(self.0)
    }
}

/// How long the name at the beginning of `bytes` is; `None` if there is none, or one that is
/// compressed or too long.
pub(crate) fn wire_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = usize::from(*bytes.get(at)?);
        if len > MAX_LABEL {
            return None;
        }
        at += 1 + len;
        if at > MAX_NAME {
            return None;
        }
        if len == 0 {
            return Some(at);
        }
    }
}

impl Name {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self::of_wire(&[0])
    }

    /// Takes bytes as a name, if they are one in wire form from the first to the last byte.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        NameRef::new(wire).map(NameRef::to_name)
    }

    /// The name of a text as zone files have it (RFC 1035 §5.1): escapes are `\.` and `\DDD`. What does
    /// not end in a dot is completed by `origin`; `@` is the origin.
    ///
    /// # Errors
    /// When it is no name.
    pub fn from_text(text: &[u8], origin: NameRef<'_>) -> Result<Self, NameError> {
        let mut name = NameBuf::new();
        name.set_text(text, Some(origin))?;
        Ok(name.borrowed().to_name())
    }

    /// Borrowed.
    #[must_use]
    pub fn borrowed(&self) -> NameRef<'_> {
        match &self.0 {
            Held::Here { len, bytes } => NameRef(bytes.get(..usize::from(*len)).unwrap_or(&[0])),
            Held::Heap(bytes) => NameRef(bytes),
        }
    }

    fn of_wire(wire: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..wire.len()), u8::try_from(wire.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(wire);
                Self(Held::Here { len, bytes })
            }
            _ => Self(Held::Heap(wire.into())),
        }
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::root()
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// A name that does not end in a dot is taken as if it did.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "@" {
            return Err(NameError::NoOrigin);
        }
        Self::from_text(text.as_bytes(), NameRef::ROOT)
    }
}

impl fmt::Display for NameRef<'_> {
    /// As zone files have it, always with the dot at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::print(*self, f)
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for NameRef<'_> {
    /// Without case (RFC 4343). The bytes of lengths are below those of letters.
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for NameRef<'_> {}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for chunk in self.0.chunks(32) {
            let mut lower = [0u8; 32];
            let lower = &mut lower[..chunk.len()];
            lower.copy_from_slice(chunk);
            lower.make_ascii_lowercase();
            state.write(lower);
        }
    }
}

impl Ord for NameRef<'_> {
    /// The canonical order (RFC 4034 §6.1).
    fn cmp(&self, other: &Self) -> Ordering {
        order::canonical(*self, *other)
    }
}

impl PartialOrd for NameRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Gives an owner of a name what its borrowed form has.
macro_rules! as_borrowed {
    ($owner:ty) => {
        impl fmt::Display for $owner {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.borrowed(), f)
            }
        }

        impl fmt::Debug for $owner {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.borrowed(), f)
            }
        }

        impl PartialEq for $owner {
            fn eq(&self, other: &Self) -> bool {
                self.borrowed() == other.borrowed()
            }
        }

        impl Eq for $owner {}

        impl Hash for $owner {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.borrowed().hash(state);
            }
        }

        impl Ord for $owner {
            fn cmp(&self, other: &Self) -> Ordering {
                self.borrowed().cmp(&other.borrowed())
            }
        }

        impl PartialOrd for $owner {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
    };
}
as_borrowed!(Name);
as_borrowed!(NameBuf);

impl<'a> From<&'a Name> for NameRef<'a> {
    fn from(name: &'a Name) -> Self {
        name.borrowed()
    }
}

impl<'a> From<&'a NameBuf> for NameRef<'a> {
    fn from(name: &'a NameBuf) -> Self {
        name.borrowed()
    }
}

impl From<NameRef<'_>> for Name {
    fn from(name: NameRef<'_>) -> Self {
        name.to_name()
    }
}

/// Lets a map with names for keys be asked with what is borrowed, by its bytes in lower case.
impl Borrow<[u8]> for LowerName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// A name in lower case, for the keys of ordinary maps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LowerName(Box<[u8]>);

impl LowerName {
    /// The lower case of a name.
    #[must_use]
    pub fn new(name: NameRef<'_>) -> Self {
        Self(name.wire().to_ascii_lowercase().into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }
}

#[cfg(test)]
mod tests;
