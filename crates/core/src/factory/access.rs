//! Who may connect.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Factory, Refusal};
use crate::{Address, Peer};

/// Networks that may and may not: the **longest prefix** that an address is in decides, whatever the
/// order in which networks were named; if the very same network is both allowed and denied, it is
/// denied. An address that is in none is judged by how the rules began.
///
/// Judging takes one look-up for each length of prefix that occurs, so that lists of many thousands are
/// no matter.
///
/// ```
/// use ropewalk_core::factory::Rules;
///
/// let rules = Rules::closed()
///     .allow(["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network")))
///     .deny(["10.6.6.0/24".parse().expect("a network")]);
/// assert!(rules.allows([10, 1, 2, 3].into()));
/// assert!(!rules.allows([10, 6, 6, 6].into()));
/// ```
#[derive(Debug, Clone)]
pub struct Rules {
    /// Those that are in no network.
    otherwise: bool,
    /// By family (is it IPv6?) and length of prefix, the longest first.
    networks: BTreeMap<(bool, Reverse<u8>), HashMap<IpNet, bool>>,
}

impl Rules {
    /// All may, save those that are denied.
    #[must_use]
    pub fn open() -> Self {
        Self { otherwise: true, networks: BTreeMap::new() }
    }

    /// Nobody may, save those that are allowed.
    #[must_use]
    pub fn closed() -> Self {
        Self { otherwise: false, networks: BTreeMap::new() }
    }

    /// These may. A single address is a network, too: [`IpNet::from`].
    #[must_use]
    pub fn allow(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        for network in networks {
            self.same_length(&network).entry(network.trunc()).or_insert(true);
        }
        self
    }

    /// These may not.
    #[must_use]
    pub fn deny(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        for network in networks {
            self.same_length(&network).insert(network.trunc(), false);
        }
        self
    }

    /// Whether `ip` may. An IPv4 address mapped into IPv6 is judged as IPv4.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let family = (ip.is_ipv6(), Reverse(u8::MAX))..=(ip.is_ipv6(), Reverse(0));
        self.networks
            .range(family)
            .find_map(|((_, Reverse(bits)), networks)| {
                networks.get(&IpNet::new(ip, *bits).ok()?.trunc())
            })
            .copied()
            .unwrap_or(self.otherwise)
    }

    fn same_length(&mut self, network: &IpNet) -> &mut HashMap<IpNet, bool> {
        let key = (network.addr().is_ipv6(), Reverse(network.prefix_len()));
        self.networks.entry(key).or_default()
    }
}

/// Lets only those in that its [`Rules`] allow.
///
/// Peers on this machine that have no IP address (a Unix socket, a process, memory) are always let in;
/// one whose address is unknown is judged as being in no network.
#[derive(Debug)]
pub struct AccessList<F> {
    inner: F,
    rules: Rules,
}

impl<F> AccessList<F> {
    /// Judges by `rules`.
    #[must_use]
    pub fn new(rules: Rules, inner: F) -> Self {
        Self { inner, rules }
    }

    fn admits(&self, address: &Address) -> bool {
        match (address.ip(), address) {
            (Some(ip), _) => self.rules.allows(ip),
            (None, Address::Unknown) => self.rules.otherwise,
            (None, _) => true,
        }
    }
}

impl<F: Factory> Factory for AccessList<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        if self.admits(peer.address()) { self.inner.build(peer) } else { Err(Refusal::Denied) }
    }

    hand_on!(serve);
    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Echo, peer};
    use super::*;

    fn networks(list: &str) -> Vec<IpNet> {
        list.split_whitespace()
            .map(|text| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)))
            .collect::<Result<_, _>>()
            .expect("networks")
    }

    /// Rules from two lists, named in either order; who may and who may not.
    fn check(start: &Rules, allow: &str, deny: &str, welcome: &str, unwelcome: &str) {
        let (allowed, denied) = (networks(allow), networks(deny));
        for rules in [
            start.clone().allow(allowed.clone()).deny(denied.clone()),
            start.clone().deny(denied).allow(allowed),
        ] {
            let factory = AccessList::new(rules, Echo);
            for (addresses, expected) in [(welcome, None), (unwelcome, Some(Refusal::Denied))] {
                for address in addresses.split_whitespace() {
                    let judged = factory.build(&peer(address)).err();
                    assert_eq!(judged, expected, "{address}: allow {allow:?}, deny {deny:?}");
                }
            }
        }
    }

    #[test]
    fn the_longest_prefix_decides() {
        let (open, closed) = (Rules::open(), Rules::closed());
        check(&open, "", "", "192.0.2.1:1 [2001:db8::1]:1 memory", "");
        check(&closed, "", "", "memory", "192.0.2.1:1 [2001:db8::1]:1");
        check(
            &open,
            "10.1.0.0/16 10.1.2.3",
            "10.0.0.0/8 10.1.2.0/24",
            "10.1.1.1:1 10.1.2.3:1 11.0.0.1:1 [2001:db8::1]:1",
            "10.2.0.1:1 10.1.2.4:1 [::ffff:10.2.0.1]:1",
        );
        check(
            &closed,
            "10.0.0.0/8 2001:db8::/32",
            "10.6.6.0/24 2001:db8:6::/48 2001:db8:7::7",
            "10.6.7.1:1 [2001:db8:7::8]:1 memory",
            "10.6.6.1:1 [2001:db8:6::1]:1 [2001:db8:7::7]:1 192.0.2.1:1 [2001:db9::1]:1",
        );
        // The same network twice; bits beyond the prefix say nothing.
        check(&closed, "10.1.2.3/8", "10.3.2.1/8", "", "10.0.0.1:1");
        check(&closed, "0.0.0.0/0", "", "192.0.2.1:1", "[2001:db8::1]:1");
        check(&open, "", "::/0", "192.0.2.1:1", "[2001:db8::1]:1");
    }

    #[test]
    fn an_unknown_address_is_in_no_network() {
        let unknown = Peer::new(1, Address::Unknown, Address::Unknown);
        let all = networks("0.0.0.0/0 ::/0");
        let closed = AccessList::new(Rules::closed().allow(all.clone()), Echo);
        assert_eq!(closed.build(&unknown).err(), Some(Refusal::Denied));
        let open = AccessList::new(Rules::open().deny(all), Echo);
        assert_eq!(open.build(&unknown).err(), None);
    }
}
