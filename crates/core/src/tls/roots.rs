//! Whom to trust.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::{Error, files};

/// Certificates that are trusted to issue others (or, as a self-signed one, to stand for
/// themselves).
#[derive(Debug, Clone)]
pub struct Roots(Source);

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Given(Vec<CertificateDer<'static>>),
}

impl Roots {
    /// All certificates of a PEM file. It is read when the configuration is built, and again when it
    /// is reloaded.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// These certificates.
    #[must_use]
    pub fn certificates(roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        Self(Source::Given(roots.into_iter().collect()))
    }

    /// Reads them.
    pub(super) fn load(&self) -> Result<RootCertStore, Error> {
        let mut store = RootCertStore::empty();
        let (path, certificates) = match &self.0 {
            Source::File(path) => (path.clone(), files::certificates(path)?),
            Source::Given(given) => (PathBuf::from("the given roots"), given.clone()),
        };
        for certificate in certificates {
            store.add(certificate).map_err(|error| Error::BadCertificate {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        }
        if store.is_empty() { Err(Error::NoRoots) } else { Ok(store) }
    }
}
