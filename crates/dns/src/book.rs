//! The book's page on DNS: its programs are run with the doc tests.

/// DNS.
#[doc = include_str!("../../../docs/dns.md")]
mod dns {}

/// The crate's own page.
#[doc = include_str!("../README.md")]
mod readme {}
