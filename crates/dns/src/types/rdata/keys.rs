//! Keys and certificates outside of DNSSEC: TLSA, SMIMEA, SSHFP, CERT, OPENPGPKEY, DHCID, IPSECKEY, HIP,
//! TSIG.

use super::Field::{self, Algorithm, Base64, Blob, CertType, Hex, Name as N, U8, U16, U48};
use super::NameKind::Lower;
use super::view::view;
use super::{Rest, Special};

pub(super) const TLSA_FIELDS: &[Field] = &[U8, U8, U8, Hex];
pub(super) const SSHFP_FIELDS: &[Field] = &[U8, U8, Hex];
pub(super) const CERT_FIELDS: &[Field] = &[CertType, U16, Algorithm, Base64];
pub(super) const KEY_FIELDS: &[Field] = &[Base64];
pub(super) const IPSECKEY_FIELDS: &[Field] = &[Field::Special(Special::Ipseckey)];
pub(super) const HIP_FIELDS: &[Field] = &[Field::Special(Special::Hip)];
pub(super) const TSIG_FIELDS: &[Field] = &[N(Lower), U48, U16, Blob, U16, U16, Blob];

view! {
    /// The association of a TLS certificate (RFC 6698 §2.1).
    pub struct Tlsa: TLSA {
        /// How it is used.
        pub usage: u8,
        /// The whole certificate, or its key.
        pub selector: u8,
        /// As it is, or which hash of it.
        pub matching: u8,
        /// The data to compare with.
        pub data: Rest,
    }
}

view! {
    /// The fingerprint of an ssh key (RFC 4255 §3.1).
    pub struct Sshfp: SSHFP {
        /// The key's algorithm.
        pub algorithm: u8,
        /// The hash.
        pub hash: u8,
        /// The fingerprint.
        pub fingerprint: Rest,
    }
}

view! {
    /// A certificate (RFC 4398 §2).
    pub struct Cert: CERT {
        /// The kind.
        pub kind: u16,
        /// The tag of its key.
        pub key_tag: u16,
        /// The key's algorithm.
        pub algorithm: u8,
        /// The certificate.
        pub certificate: Rest,
    }
}
