//! The data of records: what each type's is made of, and the typed views.
//!
//! A type is described once, by the row of its fields. Checking, decompressing, the canonical form and
//! both directions of the presentation form all walk that row, so that they cannot disagree:
//!
//! ```text
//!                 ┌─ parse::rdata   packet ─▶ checked, decompressed
//!   layout(type) ─┼─ emit           compressed or canonical bytes
//!                 └─ text           presentation form, both ways
//! ```
//!
//! A type without a layout is opaque bytes (RFC 3597). Each file here has the layouts of one family,
//! and structs for those that programs look into.

mod address;
mod dnssec;
mod field;
mod host;
mod keys;
mod location;
mod mail;
mod service;
mod text;
mod view;

use std::fmt;
use std::str::FromStr;

use super::{NameRef, Type};
use crate::error::{Fault, TextError, WireError};
use crate::parse::rdata as parse;

pub use address::{A, Aaaa};
pub(crate) use dnssec::types_of;
pub use dnssec::{Dnskey, Ds, Nsec, Nsec3, Nsec3Param, Rrsig, TypeSet};
pub(crate) use field::{Field, NameKind, Special};
pub use host::{Cname, Dname, Ns, Ptr, Soa, Srv};
pub use keys::{Cert, Sshfp, Tlsa};
pub use mail::Mx;
pub use service::{Param, Svcb};
pub(crate) use service::{key_name, key_of};
pub use text::{Caa, CharString, Hinfo, Naptr, Txt, Uri};
pub use view::{RecordData, Rest};

/// The longest data of a record, in bytes.
pub const MAX_RDATA: usize = 65_535;

/// The fields of a type's data, or `None` for a type that is opaque to us.
pub(crate) const fn layout(rtype: Type) -> Option<&'static [Field]> {
    Some(match rtype {
        Type::A => address::A_FIELDS,
        Type::AAAA => address::AAAA_FIELDS,
        Type::APL => address::APL_FIELDS,
        Type::EUI48 => address::EUI48_FIELDS,
        Type::EUI64 => address::EUI64_FIELDS,
        Type::NS | Type::CNAME | Type::PTR => host::NAME_FIELDS,
        Type::DNAME => host::DNAME_FIELDS,
        Type::SOA => host::SOA_FIELDS,
        Type::SRV => host::SRV_FIELDS,
        Type::KX | Type::AFSDB | Type::RT => host::PREFERRED_FIELDS,
        Type::PX => host::PX_FIELDS,
        Type::X25 => host::X25_FIELDS,
        Type::ISDN => text::TXT_FIELDS,
        Type::MX => mail::MX_FIELDS,
        Type::MD | Type::MF | Type::MB | Type::MG | Type::MR => host::NAME_FIELDS,
        Type::MINFO => mail::MINFO_FIELDS,
        Type::RP => mail::RP_FIELDS,
        Type::TXT | Type::SPF => text::TXT_FIELDS,
        Type::HINFO => text::HINFO_FIELDS,
        Type::NAPTR => text::NAPTR_FIELDS,
        Type::CAA => text::CAA_FIELDS,
        Type::URI => text::URI_FIELDS,
        Type::DS | Type::CDS | Type::DLV => dnssec::DS_FIELDS,
        Type::DNSKEY | Type::CDNSKEY | Type::KEY => dnssec::DNSKEY_FIELDS,
        Type::RRSIG | Type::SIG => dnssec::RRSIG_FIELDS,
        Type::NSEC => dnssec::NSEC_FIELDS,
        Type::NSEC3 => dnssec::NSEC3_FIELDS,
        Type::NSEC3PARAM => dnssec::NSEC3PARAM_FIELDS,
        Type::CSYNC => dnssec::CSYNC_FIELDS,
        Type::ZONEMD => dnssec::ZONEMD_FIELDS,
        Type::TLSA | Type::SMIMEA => keys::TLSA_FIELDS,
        Type::SSHFP => keys::SSHFP_FIELDS,
        Type::CERT => keys::CERT_FIELDS,
        Type::OPENPGPKEY | Type::DHCID => keys::KEY_FIELDS,
        Type::IPSECKEY => keys::IPSECKEY_FIELDS,
        Type::HIP => keys::HIP_FIELDS,
        Type::LOC => location::LOC_FIELDS,
        Type::SVCB | Type::HTTPS => service::SVCB_FIELDS,
        Type::TSIG => keys::TSIG_FIELDS,
        _ => return None,
    })
}

/// The names that may be compressed when data of this type is sent (RFC 3597 §4 allows it for the
/// types of RFC 1035 alone): how many bytes come before the first, and how many there are.
pub(crate) const fn compressible(rtype: Type) -> Option<(usize, usize)> {
    Some(match rtype {
        Type::NS | Type::CNAME | Type::PTR => (0, 1),
        Type::MD | Type::MF | Type::MB | Type::MG | Type::MR => (0, 1),
        Type::SOA | Type::MINFO => (0, 2),
        Type::MX => (2, 1),
        _ => return None,
    })
}

/// The data of one record, right for its type, with its names not compressed.
///
/// Equality is that of bytes; [`is_same`](Self::is_same) compares as DNS does.
///
/// ```
/// use ropewalk_dns::types::{Mx, NameRef, Rdata, Type};
///
/// let data = Rdata::from_text(Type::MX, "10 mail", Some(NameRef::ROOT))?;
/// assert_eq!(data.bytes(), b"\0\x0a\x04mail\0");
/// assert_eq!(data.to_string(), "10 mail.");
/// let mx: Mx = data.get().expect("it is an MX");
/// assert_eq!(mx.preference, 10);
/// assert_eq!(Rdata::of(&mx)?, data);
/// # Ok::<(), ropewalk_dns::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Rdata {
    rtype: Type,
    bytes: Box<[u8]>,
}

impl Rdata {
    /// Takes bytes as data of a type.
    ///
    /// # Errors
    /// When they are not what the type's data is made of, have a compressed name, or are more than
    /// 65,535. Any bytes will do for a type that is not known.
    pub fn new(rtype: Type, bytes: impl Into<Box<[u8]>>) -> Result<Self, WireError> {
        let bytes = bytes.into();
        parse::check_plain(rtype, &bytes)?;
        Ok(Self { rtype, bytes })
    }

    /// The data that a typed value has.
    ///
    /// # Errors
    /// When it is more than 65,535 bytes, or has fields that must not be empty.
    pub fn of<T: RecordData>(value: &T) -> Result<Self, WireError> {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        Self::new(value.rtype(), bytes)
    }

    /// Bytes that were checked before.
    pub(crate) fn trusted(rtype: Type, bytes: Box<[u8]>) -> Self {
        debug_assert!(parse::check_plain(rtype, &bytes).is_ok());
        Self { rtype, bytes }
    }

    /// No data at all, as updates and questions have it (RFC 2136 §2.4).
    #[must_use]
    pub fn empty(rtype: Type) -> Self {
        Self { rtype, bytes: Box::default() }
    }

    /// Reads the presentation form, which may be that of RFC 3597 (`\# 4 C0000201`) for any type.
    /// Relative names are completed by `origin`.
    ///
    /// # Errors
    /// When it is not what the type's data is made of; the error has the column.
    pub fn from_text(
        rtype: Type,
        text: &str,
        origin: Option<NameRef<'_>>,
    ) -> Result<Self, TextError> {
        let mut bytes = Vec::new();
        crate::text::scan_line(rtype, text.as_bytes(), origin, &mut bytes)?;
        Ok(Self { rtype, bytes: bytes.into() })
    }

    /// The type.
    #[must_use]
    pub fn rtype(&self) -> Type {
        self.rtype
    }

    /// The wire form without compression.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As a typed value, if it is of that value's type.
    #[must_use]
    pub fn get<T: RecordData>(&self) -> Option<T> {
        T::read(self.rtype, &self.bytes)
    }

    /// The canonical form (RFC 4034 §6.2), appended to `out`: names of the types that the RFC lists in
    /// lower case.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        crate::emit::canonical(self.rtype, &self.bytes, out);
    }

    /// Whether both are the same record data, without regard to the case of names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.rtype == other.rtype && crate::emit::is_same(self.rtype, &self.bytes, &other.bytes)
    }
}

impl fmt::Display for Rdata {
    /// The presentation form, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::print_rdata(self.rtype, &self.bytes, f)
    }
}

impl fmt::Debug for Rdata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.rtype)
    }
}

impl FromStr for Rdata {
    type Err = TextError;

    /// The type and the data, as in `MX 10 mail.example.org.`
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rtype = Type::from_word(word.as_bytes())
            .ok_or(TextError { fault: crate::error::TextFault::Type, column: 1 })?;
        Self::from_text(rtype, rest, Some(NameRef::ROOT)).map_err(|mut error| {
            error.column += word.len() + 1;
            error
        })
    }
}

/// Checks the length of what is to be data.
pub(crate) fn check_len(len: usize) -> Result<(), WireError> {
    if len > MAX_RDATA {
        return Err(WireError { fault: Fault::RdataTooLong, offset: MAX_RDATA });
    }
    Ok(())
}
