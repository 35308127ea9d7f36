//! Signatures and proofs: DNSKEY, DS, RRSIG, NSEC, NSEC3, NSEC3PARAM, CDS, CDNSKEY, CSYNC, ZONEMD.

use super::Field::{
    self, Algorithm, Base64, Bitmap, Hash, Hex, Name as N, Salt, Time, U8, U16, U32,
};
use super::NameKind::{Exact, Lower};
use super::view::{Part, view};
use super::{CharString, Rest};
use crate::types::{Name, Type};

pub(super) const DS_FIELDS: &[Field] = &[U16, Algorithm, U8, Hex];
pub(super) const DNSKEY_FIELDS: &[Field] = &[U16, U8, Algorithm, Base64];
pub(super) const RRSIG_FIELDS: &[Field] =
    &[Field::Type, Algorithm, U8, Field::Period, Time, Time, U16, N(Lower), Base64];
pub(super) const NSEC_FIELDS: &[Field] = &[N(Exact), Bitmap { may_be_empty: false }];
pub(super) const NSEC3_FIELDS: &[Field] = &[U8, U8, U16, Salt, Hash, Bitmap { may_be_empty: true }];
pub(super) const NSEC3PARAM_FIELDS: &[Field] = &[U8, U8, U16, Salt];
pub(super) const CSYNC_FIELDS: &[Field] = &[U32, U16, Bitmap { may_be_empty: true }];
pub(super) const ZONEMD_FIELDS: &[Field] = &[U32, U8, U8, Hex];

view! {
    /// A zone's key (RFC 4034 §2.1).
    pub struct Dnskey: DNSKEY {
        /// 256 for a zone key, 1 more for a secure entry point, 128 more for a revoked one.
        pub flags: u16,
        /// Always 3.
        pub protocol: u8,
        /// The algorithm's number.
        pub algorithm: u8,
        /// The public key.
        pub key: Rest,
    }
}

impl Dnskey {
    /// The key tag (RFC 4034 appendix B).
    #[must_use]
    pub fn tag(&self) -> u16 {
        use super::RecordData as _;
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        let sum = bytes.iter().enumerate().fold(0u32, |sum, (at, &byte)| {
            sum.wrapping_add(if at % 2 == 0 { u32::from(byte) << 8 } else { u32::from(byte) })
        });
        // The lower half, with the carries added.
        ((sum + (sum >> 16 & 0xffff)) & 0xffff) as u16
    }
}

view! {
    /// The signer of a delegation (RFC 4034 §5.1).
    pub struct Ds: DS {
        /// The tag of the key.
        pub key_tag: u16,
        /// The key's algorithm.
        pub algorithm: u8,
        /// How the digest was made.
        pub digest_type: u8,
        /// The digest of the key.
        pub digest: Rest,
    }
}

view! {
    /// A signature over a record set (RFC 4034 §3.1).
    pub struct Rrsig: RRSIG {
        /// The type of the set.
        pub covered: Type,
        /// The algorithm's number.
        pub algorithm: u8,
        /// How many labels the owner had when it was signed; fewer than it has for a wildcard.
        pub labels: u8,
        /// The time to live that was signed, in seconds.
        pub original_ttl: u32,
        /// When the signature ends, in seconds since 1970, modulo 2^32.
        pub expiration: u32,
        /// When it begins, likewise.
        pub inception: u32,
        /// The tag of the key.
        pub key_tag: u16,
        /// The zone.
        pub signer: Name,
        /// The signature.
        pub signature: Rest,
    }
}

view! {
    /// The next name of a signed zone (RFC 4034 §4.1).
    pub struct Nsec: NSEC {
        /// The next name in canonical order.
        pub next: Name,
        /// The types at this one.
        pub types: TypeSet,
    }
}

view! {
    /// The next hashed name of a signed zone (RFC 5155 §3.1).
    pub struct Nsec3: NSEC3 {
        /// 1: SHA-1.
        pub algorithm: u8,
        /// 1: opt-out.
        pub flags: u8,
        /// How often the hash is made again.
        pub iterations: u16,
        /// What is added to each hash.
        pub salt: CharString,
        /// The next hash, in binary.
        pub next: CharString,
        /// The types at the name.
        pub types: TypeSet,
    }
}

view! {
    /// How the names of a zone are hashed (RFC 5155 §4.1).
    pub struct Nsec3Param: NSEC3PARAM {
        /// 1: SHA-1.
        pub algorithm: u8,
        /// Always 0.
        pub flags: u8,
        /// How often the hash is made again.
        pub iterations: u16,
        /// What is added to each hash.
        pub salt: CharString,
    }
}

/// A set of types (RFC 4034 §4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TypeSet(Vec<Type>);

impl TypeSet {
    /// Takes types in any order; one that is named twice counts once.
    #[must_use]
    pub fn new(types: impl IntoIterator<Item = Type>) -> Self {
        let mut types: Vec<_> = types.into_iter().collect();
        types.sort_unstable();
        types.dedup();
        Self(types)
    }

    /// The types, in order.
    #[must_use]
    pub fn types(&self) -> &[Type] {
        &self.0
    }

    /// Appends the wire form (RFC 4034 §4.1.2).
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.put(out);
    }

    /// Whether a type is among them.
    #[must_use]
    pub fn contains(&self, rtype: Type) -> bool {
        self.0.binary_search(&rtype).is_ok()
    }
}

impl Part for TypeSet {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self(types_of(std::mem::take(bytes)).collect()))
    }

    fn put(&self, out: &mut Vec<u8>) {
        for window in self.0.chunk_by(|left, right| left.0 >> 8 == right.0 >> 8) {
            let mut map = [0u8; 32];
            for rtype in window {
                map[usize::from(rtype.0 >> 3 & 31)] |= 0x80 >> (rtype.0 & 7);
            }
            let (Some(first), Some(last)) = (window.first(), window.last()) else { continue };
            let len = (last.0 >> 3 & 31) + 1;
            out.extend_from_slice(&[(first.0 >> 8) as u8, len as u8]);
            out.extend_from_slice(&map[..usize::from(len)]);
        }
    }
}

/// The types of a map, in order. It ends at the first window that is cut off.
pub(crate) fn types_of(bytes: &[u8]) -> impl Iterator<Item = Type> {
    let mut rest = bytes;
    let windows = std::iter::from_fn(move || {
        let &[window, len, ref after @ ..] = rest else { return None };
        let (map, after) = after.split_at_checked(usize::from(len))?;
        rest = after;
        Some((window, map))
    });
    windows.flat_map(|(window, map)| {
        (0..map.len() * 8)
            .filter(|bit| map[bit / 8] & 0x80 >> (bit % 8) != 0)
            .map(move |bit| Type(u16::from(window) << 8 | bit as u16))
    })
}
