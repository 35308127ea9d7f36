//! Field maps that are used again.
//!
//! A map costs two allocations and as many frees. The one of a response that was written is emptied
//! and becomes the next request's; each thread keeps one.

use std::cell::Cell;

use http::HeaderMap;

/// A map for more fields than this is not kept.
const MOST: usize = 64;

thread_local! {
    static MAP: Cell<Option<HeaderMap>> = const { Cell::new(None) };
}

/// The spare map of a thread, for as long as one has it in hand: the server's loop does.
#[cfg(feature = "io")]
pub(crate) struct Spare(HeaderMap);

#[cfg(feature = "io")]
impl Spare {
    /// The thread's, or none yet.
    pub(crate) fn take() -> Self {
        Self(MAP.take().unwrap_or_default())
    }

    /// Makes an empty map one that has room, if there is one.
    #[inline]
    pub(crate) fn equip(&mut self, map: &mut HeaderMap) {
        std::mem::swap(&mut self.0, map);
    }

    /// Takes a map that is no longer needed.
    #[inline]
    pub(crate) fn give_back(&mut self, map: &mut HeaderMap) {
        if (1..=MOST).contains(&map.capacity()) {
            map.clear();
            // Swapped, because to drop even an empty map costs something.
            std::mem::swap(&mut self.0, map);
        }
    }
}

#[cfg(feature = "io")]
impl Drop for Spare {
    fn drop(&mut self) {
        if self.0.capacity() > 0 {
            MAP.set(Some(std::mem::take(&mut self.0)));
        }
    }
}

/// Takes a map that is no longer needed, from one who has no [`Spare`] in hand.
pub(crate) fn give_back(map: &mut HeaderMap) {
    if (1..=MOST).contains(&map.capacity()) {
        map.clear();
        MAP.set(Some(std::mem::take(map)));
    }
}
