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

/// An empty map, with room if one was given back.
pub(crate) fn map() -> HeaderMap {
    MAP.take().unwrap_or_default()
}

/// Gives the memory of a map back.
pub(crate) fn give_back(mut map: HeaderMap) {
    if map.capacity() <= MOST {
        map.clear();
        MAP.set(Some(map));
    }
}
