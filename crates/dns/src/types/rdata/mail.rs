//! Mail and who is responsible: MX, MINFO, RP.

use super::Field;
use super::Field::{Name as N, U16};
use super::NameKind::{Lower, Plain};
use super::view::view;
use crate::types::Name;

pub(super) const MX_FIELDS: &[Field] = &[U16, N(Plain)];
pub(super) const MINFO_FIELDS: &[Field] = &[N(Plain), N(Plain)];
pub(super) const RP_FIELDS: &[Field] = &[N(Lower), N(Lower)];

view! {
    /// A mail exchange (RFC 1035 §3.3.9).
    pub struct Mx: MX {
        /// Lower is tried first.
        pub preference: u16,
        /// The host; the root says that the domain takes no mail (RFC 7505).
        pub exchange: Name,
    }
}
