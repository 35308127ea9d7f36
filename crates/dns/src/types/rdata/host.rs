//! Names and where things are: NS, CNAME, PTR, DNAME, SOA, SRV, KX, AFSDB, and old ones of their like.

use super::Field;
use super::Field::{Name as N, Period, Text, U16, U32};
use super::NameKind::{Lower, Plain};
use super::view::view;
use crate::types::Name;

pub(super) const NAME_FIELDS: &[Field] = &[N(Plain)];
pub(super) const DNAME_FIELDS: &[Field] = &[N(Lower)];
pub(super) const SOA_FIELDS: &[Field] = &[N(Plain), N(Plain), U32, Period, Period, Period, Period];
pub(super) const SRV_FIELDS: &[Field] = &[U16, U16, U16, N(Lower)];
pub(super) const PREFERRED_FIELDS: &[Field] = &[U16, N(Lower)];
pub(super) const PX_FIELDS: &[Field] = &[U16, N(Lower), N(Lower)];
pub(super) const X25_FIELDS: &[Field] = &[Text];

view! {
    /// A name server of a zone (RFC 1035 §3.3.11).
    pub struct Ns: NS {
        /// Its name.
        pub host: Name,
    }
}

view! {
    /// The name that an alias stands for (RFC 1035 §3.3.1).
    pub struct Cname: CNAME {
        /// The canonical name.
        pub target: Name,
    }
}

view! {
    /// A pointer to a name (RFC 1035 §3.3.12).
    pub struct Ptr: PTR {
        /// The name.
        pub target: Name,
    }
}

view! {
    /// A redirection of all names beneath the owner (RFC 6672 §2.1).
    pub struct Dname: DNAME {
        /// What takes the owner's place.
        pub target: Name,
    }
}

view! {
    /// The start of a zone's authority (RFC 1035 §3.3.13). Times are in seconds.
    pub struct Soa: SOA {
        /// The primary server.
        pub mname: Name,
        /// The mailbox of who is responsible, its `@` written as a dot.
        pub rname: Name,
        /// The version of the zone, compared as RFC 1982 says.
        pub serial: u32,
        /// How often a secondary asks for the version.
        pub refresh: u32,
        /// How long it waits after it could not.
        pub retry: u32,
        /// After how long without an answer it no longer serves the zone.
        pub expire: u32,
        /// The longest life of a negative answer (RFC 2308 §4).
        pub minimum: u32,
    }
}

view! {
    /// Where a service is (RFC 2782).
    pub struct Srv: SRV {
        /// Lower is tried first.
        pub priority: u16,
        /// The share among those of one priority.
        pub weight: u16,
        /// The port.
        pub port: u16,
        /// The host; the root says that there is no such service.
        pub target: Name,
    }
}
