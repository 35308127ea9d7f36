//! Addresses: A, AAAA, APL, EUI48, EUI64.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::view::view;
use super::{Field, Special};

pub(super) const A_FIELDS: &[Field] = &[Field::V4];
pub(super) const AAAA_FIELDS: &[Field] = &[Field::V6];
pub(super) const APL_FIELDS: &[Field] = &[Field::Special(Special::Apl)];
pub(super) const EUI48_FIELDS: &[Field] = &[Field::Eui(6)];
pub(super) const EUI64_FIELDS: &[Field] = &[Field::Eui(8)];

view! {
    /// An IPv4 address (RFC 1035 §3.4.1).
    pub struct A: A {
        /// The address.
        pub address: Ipv4Addr,
    }
}

view! {
    /// An IPv6 address (RFC 3596 §2.2).
    pub struct Aaaa: AAAA {
        /// The address.
        pub address: Ipv6Addr,
    }
}
