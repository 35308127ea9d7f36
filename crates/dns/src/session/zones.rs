//! The zones of a server.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Access, Journal};
use crate::types::{LowerName, Name, NameBuf, NameRef, Type};
use crate::zone::Zone;

/// A zone that is served, and who may do what with it.
#[derive(Debug, Clone)]
pub struct Hosted {
    /// Its name.
    pub origin: Name,
    /// What it holds; `None` while it could not be loaded yet, or has expired.
    pub zone: Option<Zone>,
    /// What has changed of late, for incremental transfers.
    pub journal: Journal,
    /// Who may have all of it.
    pub transfer: Access,
    /// Who may change it. A signed zone cannot be changed so.
    pub update: Access,
    /// Who may say that it has changed elsewhere: the primaries, if it is a secondary's.
    pub notify: Access,
}

impl Hosted {
    /// A zone that may be asked by everybody, and nothing else.
    #[must_use]
    pub fn new(zone: Zone) -> Self {
        Self {
            origin: zone.origin().to_name(),
            zone: Some(zone),
            journal: Journal::default(),
            transfer: Access::nobody(),
            update: Access::nobody(),
            notify: Access::nobody(),
        }
    }
}

/// The zones of a server, by their names.
///
/// A clone shares the zones: a server that changes one clones, changes the clone, and lets its workers
/// answer from that.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    zones: HashMap<LowerName, Arc<Hosted>>,
}

impl Zones {
    /// Adds a zone, or puts it in the place of the one with its name.
    pub fn insert(&mut self, hosted: Hosted) {
        self.zones.insert(LowerName::new(hosted.origin.borrowed()), Arc::new(hosted));
    }

    /// Takes a zone out.
    pub fn remove(&mut self, origin: NameRef<'_>) -> Option<Arc<Hosted>> {
        self.zones.remove(&LowerName::new(origin))
    }

    /// The zone with exactly this name.
    #[must_use]
    pub fn get(&self, origin: NameRef<'_>) -> Option<&Arc<Hosted>> {
        self.ending(NameBuf::from(origin), 0).filter(|hosted| hosted.origin.borrowed() == origin)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Hosted>> {
        self.zones.values()
    }

    /// The zone that a question belongs to: the one with the longest name that the question's ends in. DS
    /// of a zone's top belongs to the zone above, if that is here (RFC 4035 §3.1.4.1).
    #[must_use]
    pub fn find(&self, name: NameRef<'_>, rtype: Type) -> Option<&Arc<Hosted>> {
        let lower = NameBuf::from(name);
        if rtype == Type::DS
            && let Some(above) = self.ending(lower.clone(), 1)
        {
            return Some(above);
        }
        self.ending(lower, 0)
    }

    /// The zone with the longest name that `name` ends in, without its first labels.
    fn ending(&self, mut name: NameBuf, skip: usize) -> Option<&Arc<Hosted>> {
        name.make_lowercase();
        let mut end = Some(name.borrowed());
        for _ in 0..skip {
            end = end.and_then(NameRef::parent);
        }
        while let Some(here) = end {
            if let Some(hosted) = self.zones.get(here.wire()) {
                return Some(hosted);
            }
            end = here.parent();
        }
        None
    }
}
