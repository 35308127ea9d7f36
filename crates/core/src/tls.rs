//! TLS for both roles: what to present, whom to trust, and what a handshake found out.
//!
//! ```text
//!  files, folder, self-signed ──► Server ──┐                     ┌──► Transport that encrypts
//!                                          ├── handshake over ───┤
//!  roots, pins, client key ─────► Client ──┘   any transport     └──► Facts: version, names, peer
//! ```
//!
//! A [`Server`] or a [`Client`] is a configuration, cheap to clone and shared by any number of
//! connections. The protocol itself is rustls (TLS 1.2, RFC 5246, and TLS 1.3, RFC 8446) with
//! aws-lc-rs, which is named explicitly: no process-wide default is read or installed.
//!
//! ```no_run
//! use ropewalk_core::tls::{ClientAuth, Client, Roots, Server};
//!
//! let server = Server::builder()
//!     .folder("/etc/ropewalk/certificates")
//!     .client_auth(ClientAuth::Wanted(Roots::file("staff.pem")))
//!     .alpn(["http/1.1"])
//!     .build()?;
//! server.reload()?; // after the files were renewed; connections that live are left alone
//!
//! let client = Client::builder().roots_file("our-root.pem").build()?;
//! # Ok::<(), ropewalk_core::tls::Error>(())
//! ```

mod client;
mod error;
mod explain;
mod facts;
mod files;
mod fingerprint;
mod handshake;
mod names;
mod roots;
mod server;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{SupportedProtocolVersion, version};

pub use client::{Client, ClientBuilder};
pub use error::Error;
pub use facts::Facts;
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub(crate) use handshake::{accept, connect};
pub use roots::Roots;
pub use server::{ClientAuth, Server, ServerBuilder};

/// The types of rustls that appear in this module's signatures, so that a program needs no
/// dependency of its own on the very same version.
pub mod rustls_types {
    pub use rustls::pki_types::{CertificateDer, ServerName};
    pub use rustls::{ClientConfig, ServerConfig};
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// This version and the later ones.
    fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Tls12 => &FROM_12,
            Self::Tls13 => &FROM_12[..1],
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// The cryptography, always handed over by name.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A list of ALPN names as rustls wants them (RFC 7301).
fn alpn_list(names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Vec<u8>> {
    names.into_iter().map(|name| name.as_ref().to_vec()).collect()
}
