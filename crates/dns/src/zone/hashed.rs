//! Hashed names (RFC 5155).

use data_encoding::BASE32HEX_NOPAD;
use sha1::{Digest, Sha1};

use super::node::Node;
use super::store::{At, Store};
use crate::types::{NameBuf, NameRef, Nsec3Param};

/// A hash of a name.
pub(super) type Hash = [u8; 20];

/// The most iterations: RFC 9276 §3.2 lets validators take more as insecure, and nobody needs to count
/// further.
pub(super) const MAX_ITERATIONS: u16 = 500;

/// The NSEC3 records of a zone, in the order of their hashes.
#[derive(Clone)]
pub(super) struct Hashed {
    iterations: u16,
    salt: Box<[u8]>,
    /// The first 8 bytes of each hash, and its node.
    order: Box<[(u64, At)]>,
}

/// The hash in the owner's name of an NSEC3 record.
pub(super) fn hash_in(name: NameRef<'_>) -> Option<Hash> {
    let mut upper = [0; 32];
    upper.copy_from_slice(name.first_label().filter(|label| label.len() == 32)?);
    upper.make_ascii_uppercase();
    let mut hash = [0; 20];
    BASE32HEX_NOPAD.decode_mut(&upper, &mut hash).ok()?;
    Some(hash)
}

fn front(hash: &Hash) -> u64 {
    hash.first_chunk().map_or(0, |front| u64::from_be_bytes(*front))
}

impl Hashed {
    /// Takes the nodes of the NSEC3 records; `None` if the parameters are none that we serve, or there
    /// are no nodes.
    pub(super) fn new(param: &Nsec3Param, mut nodes: Vec<(Hash, At)>) -> Option<Self> {
        if param.algorithm != 1 || param.iterations > MAX_ITERATIONS || nodes.is_empty() {
            return None;
        }
        nodes.sort_unstable();
        let order = nodes.iter().map(|(hash, at)| (front(hash), *at)).collect();
        Some(Self { iterations: param.iterations, salt: param.salt.bytes().into(), order })
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.order)
    }

    /// The hash of a name (§5).
    pub(super) fn hash(&self, name: NameRef<'_>) -> Hash {
        let mut lower = NameBuf::from(name);
        lower.make_lowercase();
        let one = |bytes: &[u8]| -> Hash {
            Sha1::new().chain_update(bytes).chain_update(&self.salt).finalize().into()
        };
        let first = one(lower.borrowed().wire());
        (0..self.iterations).fold(first, |hash, _| one(&hash))
    }

    /// The record whose owner is the hash, or the one before it, which covers it; and which of both.
    pub(super) fn find<'z>(&self, hash: &Hash, store: &'z Store) -> (Node<'z>, bool) {
        let front = front(hash);
        let mut index = self.order.partition_point(|(other, _)| *other < front);
        // Those that have the same beginning, of which there is hardly ever a second.
        while let Some((other, at)) = self.order.get(index).filter(|(other, _)| *other == front) {
            debug_assert_eq!(*other, front);
            let node = store.node(*at);
            match hash_in(node.name()).map_or(std::cmp::Ordering::Less, |owner| owner.cmp(hash)) {
                std::cmp::Ordering::Less => index += 1,
                std::cmp::Ordering::Equal => return (node, true),
                std::cmp::Ordering::Greater => break,
            }
        }
        // The last covers what is before the first.
        let before = index.checked_sub(1).unwrap_or(self.order.len() - 1);
        (store.node(self.order[before].1), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CharString, Name};

    #[test]
    fn the_hashes_of_rfc_5155() {
        // Appendix A.
        let param = Nsec3Param {
            algorithm: 1,
            flags: 0,
            iterations: 12,
            salt: CharString::new(&[0xaa, 0xbb, 0xcc, 0xdd]).unwrap(),
        };
        let store = Store::new(NameRef::ROOT, 0);
        drop(store);
        let mut store = Store::new(NameRef::ROOT, 0);
        let at = store.keep(&[0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let hashed = Hashed::new(&param, vec![([0; 20], at)]).unwrap();
        let table = [
            ("example", "0P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM"),
            ("a.example", "35MTHGPGCU1QG68FAB165KLNSNK3DPVL"),
            ("ai.example", "GJEQE526PLBF1G8MKLP59ENFD789NJGI"),
            ("NS1.example", "2T7B4G4VSA5SMI47K61MV5BV1A22BOJR"),
            ("*.w.example", "R53BQ7CC2UVMUBFU5OCMM6PERS9TK9EN"),
        ];
        for (name, want) in table {
            let name: Name = name.parse().unwrap();
            assert_eq!(BASE32HEX_NOPAD.encode(&hashed.hash(name.borrowed())), want);
        }
    }
}
