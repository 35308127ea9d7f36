//! The book's pages about the core: their programs are run with the doc tests.

/// Where things are, and how they hang together.
#[doc = include_str!("../../../docs/core.md")]
mod core {}

/// Where to listen or connect.
#[doc = include_str!("../../../docs/endpoints.md")]
mod endpoints {}

/// Certificates.
#[doc = include_str!("../../../docs/tls.md")]
mod tls {}

/// Tests without ports.
#[doc = include_str!("../../../docs/testing.md")]
mod testing {}

/// A protocol of one's own.
#[doc = include_str!("../../../docs/writing-a-protocol.md")]
mod writing_a_protocol {}

/// Twisted's words.
#[doc = include_str!("../../../docs/coming-from-twisted.md")]
mod coming_from_twisted {}

/// The crate's own page.
#[doc = include_str!("../README.md")]
mod readme {}
