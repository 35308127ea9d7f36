//! HTTP.

#[cfg(feature = "io")]
pub mod body;
#[cfg(feature = "io")]
pub mod files;
