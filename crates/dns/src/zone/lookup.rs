//! From a name to what the zone has for it (RFC 1034 §4.3.2, RFC 4592, RFC 6672).

use super::Zone;
use super::node::{CNAME, DELEGATION, DNAME, Node};
use super::store::Path;
use crate::types::{NameRef, Type};

/// What there is for a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'z> {
    /// The name itself.
    Exact(Node<'z>),
    /// A delegation at the name or above it, so many labels deep.
    Cut(Node<'z>, usize),
    /// A DNAME above the name.
    Dname(Node<'z>),
    /// A wildcard that stands for the name; the closest encloser is so many labels deep.
    Wildcard(Node<'z>, usize),
    /// Nothing; the closest encloser is so many labels deep.
    Nothing(usize),
}

impl Zone {
    /// The node of a name, if it is beneath the origin.
    pub(super) fn node(&self, name: NameRef<'_>) -> Option<Node<'_>> {
        if !name.is_within(self.origin()) {
            return None;
        }
        let path = self.store.path(name);
        self.store.find(path.whole(), path.end(path.depth())).map(|(_, node)| node)
    }

    /// Looks a name up that is beneath the origin, or is it.
    ///
    /// From the top down, since the first cut decides; where there is none in the whole zone, the name
    /// itself is looked for first.
    pub(super) fn find(&self, path: &Path<'_>, rtype: Type) -> Found<'_> {
        let depth = path.depth();
        if self.counts.cuts == 0
            && let Some((_, node)) = self.store.find(path.whole(), path.end(depth))
        {
            return Found::Exact(node);
        }
        let (mut above, mut hash) = (self.apex(), path.top());
        for at in 0..=depth {
            if at > 0 {
                let deeper = path.deeper(hash, at);
                let Some((_, node)) = self.store.find(deeper, path.end(at)) else {
                    return self.wildcard(path, at - 1, hash);
                };
                (above, hash) = (node, deeper);
            }
            let flags = above.flags();
            // DS is the parent's (RFC 4035 §3.1.4.1).
            if flags & DELEGATION != 0 && !(at == depth && rtype == Type::DS) {
                return Found::Cut(above, at);
            }
            if flags & DNAME != 0 && at < depth {
                return Found::Dname(above);
            }
        }
        Found::Exact(above)
    }

    /// The wildcard beneath the closest encloser (RFC 4592 §3.3.1).
    fn wildcard(&self, path: &Path<'_>, encloser: usize, hash: u64) -> Found<'_> {
        if self.counts.wildcards == 0 {
            return Found::Nothing(encloser);
        }
        let mut wire = [0; crate::types::MAX_NAME + 2];
        let end = path.end(encloser);
        wire[..2].copy_from_slice(b"\x01*");
        wire[2..2 + end.len()].copy_from_slice(end);
        let hash = super::store::hash(hash, b"*");
        match self.store.find(hash, &wire[..2 + end.len()]) {
            Some((_, node)) => Found::Wildcard(node, encloser),
            None => Found::Nothing(encloser),
        }
    }
}

impl Node<'_> {
    /// Whether the alias at the name is the answer to a question of this type.
    pub(super) fn is_alias_for(&self, rtype: Type) -> bool {
        self.has(CNAME) && rtype != Type::CNAME && rtype != Type::ANY && !rtype.goes_with_alias()
    }
}
