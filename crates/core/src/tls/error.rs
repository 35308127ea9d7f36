//! What goes wrong with TLS, which file it is about, and what to do.

use std::io;
use std::path::PathBuf;

/// What goes wrong with TLS. Each message names the file, if there is one, and what to do.
///
/// Those of a configuration come from [`ServerBuilder::build`](super::ServerBuilder::build),
/// [`ClientBuilder::build`](super::ClientBuilder::build) and [`Server::reload`](super::Server::reload);
/// [`Error::Handshake`] comes inside the [`io::Error`] of a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or a folder cannot be read.
    #[error("{path}: cannot be read ({source}): {}", read_hint(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file's PEM (RFC 7468) is damaged.
    #[error("{path}: damaged PEM ({reason}): copy the file again")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the PEM reader said.
        reason: String,
    },
    /// A file has no certificate in it.
    #[error(
        "{path}: no certificate in it: a PEM file with a line -----BEGIN CERTIFICATE----- is wanted"
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key in it.
    #[error(
        "{path}: no private key in it: a PEM file with a line -----BEGIN PRIVATE KEY----- is wanted"
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key is protected by a passphrase.
    #[error(
        "{path}: the private key is encrypted, and nobody is there to type its passphrase: \
         decrypt it with `openssl pkey -in KEY -out PLAIN`"
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate is not one that can be used: not X.509 version 3, or damaged.
    #[error("{path}: not a certificate that can be used ({reason}): have it issued again")]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A private key is of a kind that is not supported, or damaged.
    #[error(
        "{path}: not a private key that can be used ({cause}): \
         RSA from 2048 bits, ECDSA P-256, P-384 or P-521, and Ed25519 are"
    )]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        cause: rustls::Error,
    },
    /// A private key is not the one of the certificate.
    #[error(
        "{key}: this private key does not match the certificate in {certificate}: \
         the server's own certificate must be the first in its file, and the key the one it was \
         issued for"
    )]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// A folder has no pair of certificate and key in it.
    #[error("{path}: no certificate with its key in it: put NAME.pem and NAME.key there")]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A server without any certificate.
    #[error(
        "a TLS server needs a certificate: name its files or a folder, or ask for a self-signed one"
    )]
    NothingToPresent,
    /// The platform offers no trusted roots.
    #[error(
        "this system has no trusted root certificates ({reason}): install its `ca-certificates` \
         package, or name a file of roots"
    )]
    NoPlatformRoots {
        /// What the verifier said.
        reason: String,
    },
    /// A list of roots without any.
    #[error("an empty list of trusted roots trusts nobody: give at least one certificate")]
    NoRoots,
    /// A self-signed certificate cannot be made for these names.
    #[error("no self-signed certificate for {names} ({reason}): give host names or IP addresses")]
    SelfSigned {
        /// The names that were asked for.
        names: String,
        /// What rcgen said.
        reason: String,
    },
    /// rustls refuses the configuration as a whole.
    #[error("rustls refuses this configuration: {0}")]
    Config(rustls::Error),
    /// The handshake of one connection failed.
    #[error("TLS handshake with {peer} failed: {what}")]
    Handshake {
        /// The name asked for, for a client; "a client", for a server.
        peer: String,
        /// What it means and what to do.
        what: String,
        /// What rustls said.
        cause: rustls::Error,
    },
}

fn read_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the spelling and the working directory",
        io::ErrorKind::PermissionDenied => "let this user read it",
        io::ErrorKind::IsADirectory => "this is a folder, a file is wanted",
        io::ErrorKind::NotADirectory => "this is a file, a folder is wanted",
        _ => "check the path",
    }
}

/// For functions that set up a listener: the kind is that of the file's error, otherwise
/// [`InvalidData`](io::ErrorKind::InvalidData).
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Read { source, .. } => source.kind(),
            Error::NothingToPresent | Error::NoRoots | Error::SelfSigned { .. } => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
