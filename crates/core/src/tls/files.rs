//! Certificates and keys out of files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::Error;

/// A certificate chain and its key, ready to be presented.
#[derive(Debug, Clone)]
pub(super) struct Certified {
    pub(super) key: Arc<CertifiedKey>,
    /// The host names that the certificate is for, in lower case, wildcards as `*.example.org`.
    pub(super) names: Vec<Box<str>>,
}

impl Certified {
    /// A certificate that was made here.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, rustls::Error> {
        let key = CertifiedKey::from_der(chain, key, provider)?;
        let names = EndEntityCert::try_from(key.end_entity_cert()?)
            .map(|certificate| names(&certificate))
            .unwrap_or_default();
        Ok(Self { key: Arc::new(key), names })
    }
}

/// The host names in a certificate, in lower case.
fn names(certificate: &EndEntityCert<'_>) -> Vec<Box<str>> {
    certificate.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect()
}

/// The two files of one certificate; the same file twice if it has both in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Pair {
    /// Reads and checks both. What is not wrong but will surprise is appended to `warnings`.
    pub(super) fn load(
        &self,
        provider: &CryptoProvider,
        warnings: &mut Vec<String>,
    ) -> Result<Certified, Error> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|cause| Error::BadKey { path: self.key.clone(), cause })?;
        let bad_certificate = |error: webpki::Error| Error::BadCertificate {
            path: self.certificate.clone(),
            reason: error.to_string(),
        };
        let own = EndEntityCert::try_from(&chain[0]).map_err(bad_certificate)?;
        warnings.extend(
            date_warning(&own, UnixTime::now())
                .map(|warning| format!("{}: {warning}", self.certificate.display())),
        );
        let names = names(&own);
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A key in hardware may keep its public half to itself.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Certified { key: Arc::new(certified), names })
            }
            Err(_) => Err(Error::KeyMismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            }),
        }
    }
}

/// All certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| damaged(path, &error))?;
    if found.is_empty() { Err(Error::NoCertificate { path: path.into() }) } else { Ok(found) }
}

/// The first private key of a PEM file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(&text, b"ENCRYPTED PRIVATE KEY") => {
            Error::EncryptedKey { path: path.into() }
        }
        pem::Error::NoItemsFound => Error::NoKey { path: path.into() },
        error => damaged(path, &error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

fn damaged(path: &Path, error: &pem::Error) -> Error {
    Error::Pem { path: path.into(), reason: error.to_string() }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What is wrong with the dates of a certificate, at the given time.
fn date_warning(certificate: &EndEntityCert<'_>, now: UnixTime) -> Option<String> {
    // The dates are not public in webpki, but a path to no root at all is refused for the dates
    // before it is refused for want of a root.
    let usage = webpki::KeyUsage::server_auth();
    let verdict = certificate.verify_for_usage(&[], &[], &[], now, usage, None, None);
    match verdict.err()? {
        webpki::Error::CertExpired { not_after, .. } => {
            Some(format!("this certificate expired {} ago", apart(not_after, now)))
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            Some(format!("this certificate becomes valid in {}", apart(now, not_before)))
        }
        _ => None,
    }
}

/// The time between the two, coarsely.
fn apart(earlier: UnixTime, later: UnixTime) -> String {
    const HOUR: u64 = 60 * 60;
    let between = Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()));
    match between.as_secs() / HOUR {
        0 => "less than an hour".into(),
        hours @ 1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

/// The pairs of a folder, in the order of their names, except that `default` comes first.
///
/// `NAME.pem` or `NAME.crt` beside `NAME.key`; a `NAME.pem` that has its key in it; and one level
/// down the same, or `fullchain.pem` beside `privkey.pem`. A certificate without a key is warned of.
pub(super) fn folder(path: &Path, warnings: &mut Vec<String>) -> Result<Vec<Pair>, Error> {
    let mut pairs = Vec::new();
    for entry in entries(path)? {
        if !entry.is_dir() {
            pairs.extend(pair_of(&entry, warnings)?);
            continue;
        }
        let chain = entry.join("fullchain.pem");
        let key = entry.join("privkey.pem");
        if chain.exists() && key.exists() {
            pairs.push(Pair { certificate: chain, key });
            continue;
        }
        for inner in entries(&entry)?.iter().filter(|inner| !inner.is_dir()) {
            pairs.extend(pair_of(inner, warnings)?);
        }
    }
    pairs.sort_by_key(|pair| (!is_default(&pair.certificate), pair.certificate.clone()));
    if pairs.is_empty() { Err(Error::EmptyFolder { path: path.into() }) } else { Ok(pairs) }
}

/// What is in a folder, except hidden files.
fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    Ok(entries)
}

/// The pair that a file begins, if it is a certificate.
fn pair_of(file: &Path, warnings: &mut Vec<String>) -> Result<Option<Pair>, Error> {
    if !["pem", "crt"].iter().any(|known| file.extension() == Some(OsStr::new(known))) {
        return Ok(None);
    }
    let key = file.with_extension("key");
    let key = if key.exists() { key } else { file.to_path_buf() };
    if key == file && !contains(&read(file)?, b"PRIVATE KEY-----") {
        let wanted = file.with_extension("key");
        warnings.push(format!("{}: left out, there is no {}", file.display(), wanted.display()));
        return Ok(None);
    }
    Ok(Some(Pair { certificate: file.into(), key }))
}

/// Whether the file, or the folder it stands in, is called `default`.
fn is_default(certificate: &Path) -> bool {
    let folder = certificate.parent().and_then(Path::file_name);
    certificate.file_stem() == Some(OsStr::new("default")) || folder == Some(OsStr::new("default"))
}
