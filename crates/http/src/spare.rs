//! Field maps that are used again.
//!
//! A map costs two allocations and as many frees. The one of a response that was written is emptied
//! and becomes the next request's; each thread keeps one.

use std::cell::RefCell;

use http::HeaderMap;

/// A map for more fields than this is not kept.
const MOST: usize = 64;

thread_local! {
    static MAP: RefCell<Option<HeaderMap>> = const { RefCell::new(None) };
}

/// Makes an empty map that has no room one that has, if one was given back.
#[inline]
pub(crate) fn equip(map: &mut HeaderMap) {
    MAP.with_borrow_mut(|spare| {
        if let Some(spare) = spare {
            std::mem::swap(spare, map);
        }
    });
}

/// Takes a map that is no longer needed.
#[inline]
pub(crate) fn give_back(map: &mut HeaderMap) {
    if (1..=MOST).contains(&map.capacity()) {
        map.clear();
        MAP.with_borrow_mut(|spare| match spare {
            // Swapped, because to drop even an empty map costs something.
            Some(spare) => std::mem::swap(spare, map),
            None => *spare = Some(std::mem::take(map)),
        });
    }
}
