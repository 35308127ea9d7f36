//! Proofs that something is not there (RFC 4035 §3.1.3, RFC 5155 §7.2).

use super::answer::Answering;
use super::hashed::Hashed;
use super::node::Node;
use super::store::{At, Path};
use super::{Denial, Zone};
use crate::error::NoRoom;
use crate::types::{NameBuf, NameRef, Type};

/// What is to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The name exists, but has no such type.
    NoData,
    /// The name does not exist, and neither does a wildcard for it; the closest encloser's depth.
    NoName(usize),
    /// The name does not exist, and the wildcard beneath the encloser has no such type.
    WildcardNoData(usize),
    /// The name does not exist, so that a wildcard stands for it.
    Wildcard(usize),
    /// The delegation is not signed.
    NoDs,
}

/// A proof has at most three records; each is written once.
#[derive(Default)]
struct Written<'z> {
    names: [Option<NameRef<'z>>; 3],
}

impl<'z> Written<'z> {
    /// Whether the name is new.
    fn is_new(&mut self, name: NameRef<'z>) -> bool {
        if self.names.iter().flatten().any(|other| *other == name) {
            return false;
        }
        if let Some(room) = self.names.iter_mut().find(|room| room.is_none()) {
            *room = Some(name);
        }
        true
    }
}

impl Zone {
    /// Writes the proof into the authority section.
    ///
    /// `path` is that of the name that was looked up, or of the delegation.
    pub(super) fn prove(
        &self,
        proof: Proof,
        path: &Path<'_>,
        out: &mut Answering<'_, '_, '_>,
    ) -> Result<(), NoRoom> {
        match &self.denial {
            Denial::None => Ok(()),
            Denial::Nsec(order) => self.prove_plain(order, proof, path, out),
            Denial::Nsec3(hashed) => self.prove_hashed(hashed, proof, path, out),
        }
    }

    /// The node whose NSEC matches the name or covers it.
    fn covering(&self, order: &[At], name: NameRef<'_>) -> Option<Node<'_>> {
        let after = order.partition_point(|at| self.store.node(*at).name() <= name);
        // The top is the first, and nothing in the zone is before it.
        after.checked_sub(1).map(|index| self.store.node(order[index]))
    }

    fn prove_plain(
        &self,
        order: &[At],
        proof: Proof,
        path: &Path<'_>,
        out: &mut Answering<'_, '_, '_>,
    ) -> Result<(), NoRoom> {
        let name = NameRef::trusted(path.end(path.depth()));
        let mut written = Written::default();
        let mut add = |name: NameRef<'_>, out: &mut Answering<'_, '_, '_>| match self
            .covering(order, name)
            .filter(|node| written.is_new(node.name()))
        {
            Some(node) => out.authority(node, Type::NSEC),
            None => Ok(()),
        };
        // A match where the name exists, and what covers it where it does not.
        add(name, out)?;
        if let Proof::NoName(encloser) | Proof::WildcardNoData(encloser) = proof {
            let mut wildcard = NameBuf::new();
            // Too long a name is no wildcard that could exist.
            if wildcard.set_wildcard(NameRef::trusted(path.end(encloser))).is_ok() {
                add(wildcard.borrowed(), out)?;
            }
        }
        Ok(())
    }

    fn prove_hashed(
        &self,
        hashed: &Hashed,
        proof: Proof,
        path: &Path<'_>,
        out: &mut Answering<'_, '_, '_>,
    ) -> Result<(), NoRoom> {
        let mut written = Written::default();
        let mut add = |name: NameRef<'_>, out: &mut Answering<'_, '_, '_>| {
            let (node, _) = hashed.find(&hashed.hash(name), &self.store);
            if written.is_new(node.name()) { out.authority(node, Type::NSEC3) } else { Ok(()) }
        };
        let end = |depth: usize| NameRef::trusted(path.end(depth));
        let next_closer = |encloser: usize| end((encloser + 1).min(path.depth()));
        // In a span that opts out, empty names have no hash either: the closest encloser that can be
        // proved is further up (RFC 5155 §7.1, §7.2.1).
        let provable = |encloser: usize| {
            let has_hash = |depth: &usize| hashed.find(&hashed.hash(end(*depth)), &self.store).1;
            (0..=encloser).rev().find(has_hash).unwrap_or(0)
        };
        match proof {
            Proof::NoData | Proof::NoDs => {
                let encloser = provable(path.depth());
                add(end(encloser), out)?;
                if encloser < path.depth() {
                    // §7.2.4: the name is in an opt-out span.
                    add(next_closer(encloser), out)?;
                }
            }
            Proof::Wildcard(encloser) => {
                add(next_closer(encloser), out)?;
            }
            Proof::NoName(encloser) | Proof::WildcardNoData(encloser) => {
                let encloser = provable(encloser);
                add(end(encloser), out)?;
                add(next_closer(encloser), out)?;
                let mut wildcard = NameBuf::new();
                if wildcard.set_wildcard(end(encloser)).is_ok() {
                    add(wildcard.borrowed(), out)?;
                }
            }
        }
        Ok(())
    }
}
