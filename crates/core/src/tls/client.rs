//! The client's side of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;

use super::files::Pair;
use super::verify::Unsigned;
use super::{Error, Fingerprint, Roots, Version, alpn_list, provider};

/// Whom a client trusts and how it presents itself. Cheap to clone; all clones share the sessions
/// that they resume.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// A client that trusts what the platform trusts.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A client to be configured.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A configuration made with rustls itself.
    #[must_use]
    pub fn from_config(config: impl Into<Arc<ClientConfig>>) -> Self {
        Self(config.into())
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("alpn", &self.0.alpn_protocols).finish_non_exhaustive()
    }
}

/// How a server is found trustworthy.
#[derive(Debug, Clone, Default)]
enum Trust {
    #[default]
    Platform,
    Roots(Roots),
    Pinned(Vec<Fingerprint>),
    Anybody,
}

impl Trust {
    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let pins = match self {
            Self::Platform => {
                let verifier = rustls_platform_verifier::Verifier::new(provider)
                    .map_err(|error| Error::NoPlatformRoots { reason: error.to_string() })?;
                return Ok(Arc::new(verifier));
            }
            Self::Roots(roots) => {
                let roots = Arc::new(roots.load()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                let verifier = verifier
                    .map_err(|error| Error::Config(rustls::Error::General(error.to_string())))?;
                return Ok(verifier);
            }
            Self::Pinned(pins) => Some(pins.clone()),
            Self::Anybody => None,
        };
        Ok(Arc::new(Unsigned { provider, pins }))
    }
}

/// Builds a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    trust: Trust,
    certificate: Option<Pair>,
    alpn: Vec<Vec<u8>>,
    min_version: Version,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            trust: Trust::Platform,
            certificate: None,
            alpn: Vec::new(),
            min_version: Version::Tls12,
        }
    }
}

impl ClientBuilder {
    /// Trust these roots, and no others. Default: what the platform trusts.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.trust = Trust::Roots(roots);
        self
    }

    /// Trust the roots in this PEM file, and no others.
    #[must_use]
    pub fn roots_file(self, path: impl Into<PathBuf>) -> Self {
        self.roots(Roots::file(path))
    }

    /// Trust the server whose certificate has this fingerprint, whoever signed it and whatever its
    /// name and its dates, and no others. May be called several times, for a certificate and its
    /// successor.
    #[must_use]
    pub fn pin(mut self, fingerprint: Fingerprint) -> Self {
        match &mut self.trust {
            Trust::Pinned(pins) => pins.push(fingerprint),
            trust => *trust = Trust::Pinned(vec![fingerprint]),
        }
        self
    }

    /// Trust anybody: the connection is encrypted, but there is no telling to whom. **Anyone on the
    /// way can read and change everything.** For tests, and for opportunistic encryption where the
    /// alternative would be none (RFC 7435).
    #[must_use]
    pub fn danger_no_verification(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }

    /// The certificate chain, the client's own first, and its key, shown to servers that ask. Both
    /// PEM; they may be the same file.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.certificate = Some(Pair { certificate: certificate.into(), key: key.into() });
        self
    }

    /// The application protocols offered by ALPN (RFC 7301), the preferred one first. Default: no
    /// ALPN.
    #[must_use]
    pub fn alpn(mut self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.alpn = alpn_list(names);
        self
    }

    /// The oldest version accepted. Default: TLS 1.2.
    #[must_use]
    pub fn min_version(mut self, version: Version) -> Self {
        self.min_version = version;
        self
    }

    /// Reads the files and, unless told whom to trust, the roots of the platform.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be, or the platform has no roots.
    pub fn build(self) -> Result<Client, Error> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.min_version.and_later())
            .map_err(Error::Config)?
            .dangerous()
            .with_custom_certificate_verifier(self.trust.verifier(provider.clone())?);
        let mut config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let mut warnings = Vec::new();
                let certified = pair.load(&provider, &mut warnings)?;
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified.key)))
            }
        };
        config.alpn_protocols = self.alpn;
        Ok(Client(Arc::new(config)))
    }
}
