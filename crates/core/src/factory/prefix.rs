//! Which addresses count as one.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::Peer;

/// Which addresses count as one client: those with a common prefix. By default each IPv4 address for
/// itself and each IPv6 network of 64 bits, which is what one customer gets at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping {
    v4: u8,
    v6: u8,
}

impl Default for Grouping {
    fn default() -> Self {
        Self { v4: 32, v6: 64 }
    }
}

impl Grouping {
    /// By so many bits; more than there are is all.
    pub(super) fn new(v4: u8, v6: u8) -> Self {
        Self { v4: v4.min(32), v6: v6.min(128) }
    }

    /// The network that stands for `peer`; none for one without an IP address.
    pub(super) fn of(self, peer: &Peer) -> Option<IpNet> {
        let ip = peer.address().ip()?;
        let bits = match ip {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        };
        // Never wider than the address: see `new`.
        IpNet::new(ip, bits).ok().map(|network| network.trunc())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::peer;
    use super::*;

    #[test]
    fn addresses_are_grouped_by_prefix() {
        let standard = Grouping::default();
        for (grouping, address, group) in [
            (standard, "192.0.2.7:1", Some("192.0.2.7/32")),
            (standard, "[2001:db8:1:2:3::4]:1", Some("2001:db8:1:2::/64")),
            (standard, "[::ffff:192.0.2.7]:1", Some("192.0.2.7/32")),
            (Grouping::new(24, 48), "192.0.2.7:1", Some("192.0.2.0/24")),
            (Grouping::new(24, 48), "[2001:db8:1:2:3::4]:1", Some("2001:db8:1::/48")),
            (Grouping::new(99, 255), "192.0.2.7:1", Some("192.0.2.7/32")),
            (Grouping::new(99, 255), "[2001:db8::1]:1", Some("2001:db8::1/128")),
            (Grouping::new(0, 0), "192.0.2.7:1", Some("0.0.0.0/0")),
            (standard, "memory", None),
        ] {
            let found = grouping.of(&peer(address)).map(|network| network.to_string());
            assert_eq!(found.as_deref(), group, "{address} by {grouping:?}");
        }
    }
}
