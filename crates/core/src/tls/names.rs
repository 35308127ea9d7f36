//! Which certificate for which name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::Certified;

/// Chooses a certificate by the name the client asked for (SNI, RFC 6066 §3) and, among those of one
/// name, by what the client can verify, so that an ECDSA and an RSA certificate may stand beside each
/// other.
#[derive(Debug)]
pub(super) struct ByName {
    names: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// For clients that say no name, or one that nobody here has.
    default: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    /// The names are those in the certificates; the first certificate is the default, together with
    /// the others of its first name.
    pub(super) fn new(certificates: &[Certified]) -> Self {
        let mut names: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for certified in certificates {
            for name in &certified.names {
                names.entry(name.clone()).or_default().push(certified.key.clone());
            }
        }
        let mut default: Vec<_> =
            certificates.first().map(|it| it.key.clone()).into_iter().collect();
        let siblings = certificates.first().and_then(|it| names.get(it.names.first()?));
        default.extend(siblings.into_iter().flatten().skip(1).cloned());
        Self { names, default }
    }

    /// The certificates for a host name: its own, or those of the wildcard that covers it. A wildcard
    /// stands for exactly one label (RFC 9525 §6.3).
    fn find(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.to_ascii_lowercase();
        self.names.get(name.as_str()).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.names.get(format!("*.{parent}").as_str())
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        let candidates = named.unwrap_or(&self.default);
        let schemes = hello.signature_schemes();
        let verifiable = candidates.iter().find(|it| it.key.choose_scheme(schemes).is_some());
        verifiable.or_else(|| candidates.first()).cloned()
    }
}
