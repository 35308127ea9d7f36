//! Who may.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::types::{LowerName, NameRef};

/// Who may do something: nobody, until networks or keys are named. Either suffices.
#[derive(Debug, Clone, Default)]
pub struct Access {
    networks: Vec<IpNet>,
    keys: Vec<LowerName>,
}

impl Access {
    /// Nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::default()
    }

    /// And everybody in this network.
    #[must_use]
    pub fn network(mut self, network: IpNet) -> Self {
        self.networks.push(network);
        self
    }

    /// And who signs with this key (RFC 8945).
    #[must_use]
    pub fn key(mut self, name: NameRef<'_>) -> Self {
        self.keys.push(LowerName::new(name));
        self
    }

    /// Whether a peer may. An IPv4 address that is mapped into IPv6 is taken as IPv4.
    #[must_use]
    pub fn allows(&self, peer: IpAddr, key: Option<NameRef<'_>>) -> bool {
        let peer = peer.to_canonical();
        let signed = key.is_some_and(|key| self.keys.iter().any(|known| known.name() == key));
        signed || self.networks.iter().any(|network| network.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Name;

    #[test]
    fn networks_and_keys() {
        let key: Name = "Key".parse().unwrap();
        let access = Access::nobody()
            .network("192.0.2.0/24".parse().unwrap())
            .network("2001:db8::/32".parse().unwrap())
            .key(key.borrowed());
        let other: Name = "other".parse().unwrap();
        let table = [
            ("192.0.2.1", None, true),
            ("::ffff:192.0.2.1", None, true),
            ("192.0.3.1", None, false),
            ("2001:db8::1", None, true),
            ("2001:db9::1", None, false),
            ("192.0.3.1", Some(&key), true),
            ("192.0.3.1", Some(&other), false),
        ];
        for (peer, key, want) in table {
            assert_eq!(
                access.allows(peer.parse().unwrap(), key.map(Name::borrowed)),
                want,
                "{peer}"
            );
        }
        assert!(!Access::nobody().allows("127.0.0.1".parse().unwrap(), None));
    }
}
