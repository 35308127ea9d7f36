//! The server's side of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::files::{self, Certified, Pair};
use super::names::ByName;
use super::{Error, Fingerprint, Roots, Version, alpn_list, provider};

/// How many sessions a server remembers for clients that resume without tickets.
const SESSIONS: usize = 1024;

/// How long a self-signed certificate lasts, and how long before its making it begins: clocks differ.
const SELF_SIGNED_LASTS: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const SELF_SIGNED_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// How a server presents itself and whom it asks for a certificate. Cheap to clone; all clones are
/// one server, and [`reload`](Self::reload) on one of them is seen by all.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    /// Where the configuration comes from; `None` if it was given ready-made.
    recipe: Option<ServerBuilder>,
    current: ArcSwap<Loaded>,
}

/// What the sources said when they were last read.
struct Loaded {
    config: Arc<ServerConfig>,
    /// For clients that ask for no name.
    default: Option<Arc<CertifiedKey>>,
    warnings: Vec<String>,
}

impl Server {
    /// A server without certificates, which [`build`](ServerBuilder::build) will refuse.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// A configuration made with rustls itself. [`reload`](Self::reload) does nothing to it.
    #[must_use]
    pub fn from_config(config: impl Into<Arc<ServerConfig>>) -> Self {
        let loaded = Loaded { config: config.into(), default: None, warnings: Vec::new() };
        Self(Arc::new(Shared { recipe: None, current: ArcSwap::from_pointee(loaded) }))
    }

    /// Reads the same files and folders again, and uses them for the connections to come. Those that
    /// are live are left alone. Reads files, so it may block for a moment.
    ///
    /// Sessions may be resumed across a reload, except where client certificates are verified: there
    /// the new roots must be asked.
    ///
    /// # Errors
    /// As [`ServerBuilder::build`]; then nothing has changed.
    pub fn reload(&self) -> Result<(), Error> {
        if let Some(recipe) = &self.0.recipe {
            let previous = self.0.current.load();
            self.0.current.store(Arc::new(recipe.load(Some(&previous.config))?));
        }
        Ok(())
    }

    /// Another server, from the same files and folders as they are now; this one is left alone. Clients
    /// may resume the sessions of this one at the other, as after [`reload`](Self::reload).
    ///
    /// # Errors
    /// As [`ServerBuilder::build`].
    pub fn reloaded(&self) -> Result<Self, Error> {
        let Some(recipe) = &self.0.recipe else { return Ok(self.clone()) };
        let loaded = recipe.load(Some(&self.0.current.load().config))?;
        let (recipe, current) = (Some(recipe.clone()), ArcSwap::from_pointee(loaded));
        Ok(Self(Arc::new(Shared { recipe, current })))
    }

    /// The certificate shown to clients that ask for no name; `None` if the configuration was given
    /// ready-made.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.0.current.load().default.as_ref()?.cert.first()?.clone())
    }

    /// The fingerprint of that certificate: what to print beside a self-signed one, so that people
    /// can compare it with what their client shows, or [pin](super::ClientBuilder::pin) it.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.certificate().as_ref().map(Fingerprint::of)
    }

    /// What is not wrong but will surprise: certificates that have expired or are not yet valid,
    /// certificates left out for want of a key. Each is also logged when it is found.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.0.current.load().warnings.clone()
    }

    /// What the next connection uses.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.0.current.load().config.clone()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("recipe", &self.0.recipe)
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

/// Whether a server asks its clients for a certificate.
#[derive(Debug, Clone, Default)]
pub enum ClientAuth {
    /// It does not.
    #[default]
    None,
    /// It asks. A client may come without one; one that these roots did not issue ends the handshake.
    Wanted(Roots),
    /// It asks, and who has none that these roots issued is turned away.
    Required(Roots),
}

impl ClientAuth {
    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
        let (roots, required) = match self {
            Self::None => return Ok(None),
            Self::Wanted(roots) => (roots, false),
            Self::Required(roots) => (roots, true),
        };
        let roots = Arc::new(roots.load()?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder
            .build()
            .map(Some)
            .map_err(|error| Error::Config(rustls::Error::General(error.to_string())))
    }
}

/// Where certificates come from.
#[derive(Debug, Clone)]
enum Source {
    Files(Pair),
    Folder(PathBuf),
    SelfSigned(Vec<String>),
    Made(Certified),
}

/// Builds a [`Server`].
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    sources: Vec<Source>,
    client_auth: ClientAuth,
    alpn: Vec<Vec<u8>>,
    min_version: Version,
    sessions: usize,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            client_auth: ClientAuth::None,
            alpn: Vec::new(),
            min_version: Version::Tls12,
            sessions: SESSIONS,
        }
    }
}

impl ServerBuilder {
    /// A certificate chain, the server's own first, and its private key, both PEM; they may be the
    /// same file. May be called several times: the certificate is chosen by the name the client asks
    /// for, among the names in the certificates (wildcards included), and the first one is for the
    /// clients that ask for none, or for one that nobody has.
    #[must_use]
    pub fn pem_files(self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.source(Source::Files(Pair { certificate: certificate.into(), key: key.into() }))
    }

    /// All certificates of a folder: `NAME.pem` or `NAME.crt` beside `NAME.key`, or a `NAME.pem` that
    /// has its key in it; in a subfolder the same, or `fullchain.pem` beside `privkey.pem`. They are
    /// taken in the order of their names, except that one called `default` comes first.
    #[must_use]
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        self.source(Source::Folder(folder.into()))
    }

    /// A certificate made now, for these host names and IP addresses (`localhost` and the loopback
    /// addresses if there are none), signed by its own key and valid for a year: to try things out.
    /// Clients must be told its [fingerprint](Server::fingerprint).
    #[must_use]
    pub fn self_signed(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            names = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
        }
        self.source(Source::SelfSigned(names))
    }

    /// Whether clients are asked for a certificate. Default: they are not.
    #[must_use]
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// The application protocols offered by ALPN (RFC 7301), the preferred one first. A client that
    /// offers others only is turned away; one that offers none is not. Default: no ALPN.
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

    /// How many sessions are kept in memory for TLS 1.2 clients that resume without tickets; the
    /// oldest makes room. Clients with tickets cost no memory. Default: 1024. With 0, nothing is
    /// resumed at all.
    #[must_use]
    pub fn session_cache(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be, or there is no certificate at all. An
    /// expired certificate is a [warning](Server::warnings) only.
    pub fn build(mut self) -> Result<Server, Error> {
        for source in &mut self.sources {
            // Made once: a reload must not change the fingerprint that was printed.
            if let Source::SelfSigned(names) = source {
                *source = Source::Made(self_signed(std::mem::take(names))?);
            }
        }
        let loaded = self.load(None)?;
        let current = ArcSwap::from_pointee(loaded);
        Ok(Server(Arc::new(Shared { recipe: Some(self), current })))
    }

    fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// Reads all sources.
    fn load(&self, previous: Option<&ServerConfig>) -> Result<Loaded, Error> {
        let provider = provider();
        let mut warnings = Vec::new();
        let certificates = self.certificates(&provider, &mut warnings)?;
        let default = certificates.first().ok_or(Error::NothingToPresent)?.key.clone();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.min_version.and_later())
            .map_err(Error::Config)?;
        let builder = match self.client_auth.verifier(provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(&certificates)));
        config.alpn_protocols.clone_from(&self.alpn);
        self.set_resumption(&mut config, previous)?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Ok(Loaded { config: Arc::new(config), default: Some(default), warnings })
    }

    fn certificates(
        &self,
        provider: &CryptoProvider,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Certified>, Error> {
        let mut all = Vec::new();
        for source in &self.sources {
            match source {
                Source::Files(pair) => all.push(pair.load(provider, warnings)?),
                Source::Folder(folder) => {
                    for pair in files::folder(folder, warnings)? {
                        all.push(pair.load(provider, warnings)?);
                    }
                }
                Source::SelfSigned(names) => all.push(self_signed(names.clone())?),
                Source::Made(certified) => all.push(certified.clone()),
            }
        }
        Ok(all)
    }

    /// Tickets for those who take them (their key changes by itself), a bounded cache for the others.
    fn set_resumption(
        &self,
        config: &mut ServerConfig,
        previous: Option<&ServerConfig>,
    ) -> Result<(), Error> {
        match previous {
            _ if self.sessions == 0 => {
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
            // A resumed session is not verified again, so it must not outlive the roots it was
            // verified by.
            Some(previous) if matches!(self.client_auth, ClientAuth::None) => {
                config.session_storage = previous.session_storage.clone();
                config.ticketer = previous.ticketer.clone();
            }
            _ => {
                config.session_storage = ServerSessionMemoryCache::new(self.sessions);
                config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Config)?;
            }
        }
        Ok(())
    }
}

/// Makes a certificate that is signed by its own key.
fn self_signed(names: Vec<String>) -> Result<Certified, Error> {
    let listed = names.join(", ");
    let failed = |error: rcgen::Error| Error::SelfSigned {
        names: listed.clone(),
        reason: error.to_string(),
    };
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let mut params = rcgen::CertificateParams::new(names).map_err(failed)?;
    // A clock before 1970 makes a certificate that is refused, not a panic.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(SELF_SIGNED_BEFORE);
    params.not_after = epoch + now + SELF_SIGNED_LASTS;
    params.distinguished_name.push(rcgen::DnType::CommonName, "ropewalk self-signed");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key).map_err(failed)?.der().clone();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Certified::new(vec![certificate], key, &provider()).map_err(Error::Config)
}
