//! The book's pages that show HTTP: their programs are run with the doc tests.

/// The front page.
#[doc = include_str!("../../../README.md")]
mod front {}

/// The tour.
#[doc = include_str!("../../../docs/tour.md")]
mod tour {}

/// HTTP.
#[doc = include_str!("../../../docs/http.md")]
mod http {}

/// The crate's own page.
#[doc = include_str!("../README.md")]
mod readme {}
