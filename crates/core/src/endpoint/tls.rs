//! `tls:` around another endpoint.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::parse::{Arguments, Error};
use super::print::Printed;
use super::values::{Host, Time, commas};
use crate::Transport;
use crate::tls::{Client, ClientAuth, Fingerprint, Roots, Server, Version};

/// How long a handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Where a server's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Certificate {
    /// Nowhere: this endpoint is for connecting.
    #[default]
    None,
    /// `cert=` and `key=`: PEM files; the key's is the certificate's if it is not given.
    Files {
        /// The chain, the server's own certificate first.
        cert: PathBuf,
        /// The private key, if it is in a file of its own.
        key: Option<PathBuf>,
    },
    /// `folder=`: all of a folder, chosen among by the name the client asks for.
    Folder(PathBuf),
    /// `cert=self-signed`: made when the endpoint is bound, to try things out.
    SelfSigned,
}

/// Whether a server asks its clients for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clients {
    /// It does not.
    #[default]
    Anybody,
    /// `clients=wanted`: it asks, and takes those that have none.
    Wanted,
    /// `clients=required`: it asks, and turns away those that have none.
    Required,
}

/// TLS around another endpoint: `tls:443:cert=site.pem:key=site.key`, `tls:example.org:443`,
/// `tls:unix:/run/x.sock:cert=self-signed`.
///
/// A server's files are read when the endpoint is bound, and again by
/// [`Server::reload`](crate::tls::Server::reload) on what [`Bound::tls`](super::Bound::tls) gives; a
/// client's when the endpoint first connects, and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// Listening: what is shown to clients.
    pub certificate: Certificate,
    /// `names=`: listening with a self-signed certificate, for whom; by default for the host
    /// listened on, or this machine.
    pub names: Vec<String>,
    /// `clients=`: listening, whether clients must show a certificate.
    pub clients: Clients,
    /// `ca=`: listening, a PEM file with the roots that issue the clients' certificates.
    pub ca: Option<PathBuf>,
    /// `roots=`: connecting, a PEM file with the roots to trust instead of the system's.
    pub roots: Option<PathBuf>,
    /// `pin=`: connecting, the fingerprint of the one certificate to trust, as a server with a
    /// self-signed one prints it.
    pub pin: Option<Fingerprint>,
    /// `name=`: connecting, the name that the server must prove; by default the host connected to.
    pub name: Option<String>,
    /// `client-cert=`: connecting, the certificate to show, a PEM file.
    pub client_cert: Option<PathBuf>,
    /// `client-key=`: its key, if it is in a file of its own.
    pub client_key: Option<PathBuf>,
    /// `alpn=`: the application protocols, the preferred one first.
    pub alpn: Vec<String>,
    /// `min=`: the oldest version, 1.2 by default.
    pub min: Version,
    /// `handshake=`: how long the handshake may take.
    pub handshake: Duration,
    cache: Cache,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: Certificate::None,
            names: Vec::new(),
            clients: Clients::Anybody,
            ca: None,
            roots: None,
            pin: None,
            name: None,
            client_cert: None,
            client_key: None,
            alpn: Vec::new(),
            min: Version::Tls12,
            handshake: HANDSHAKE_TIME,
            cache: Cache::default(),
        }
    }
}

impl Tls {
    pub(super) const KEYS: &'static [&'static str] = &[
        "cert",
        "key",
        "folder",
        "names",
        "clients",
        "ca",
        "roots",
        "pin",
        "name",
        "client-cert",
        "client-key",
        "alpn",
        "min",
        "handshake",
    ];
    pub(super) const USAGE: &'static str = "tls:ENDPOINT, as in tls:443:cert=site.pem:key=site.key";

    pub(super) fn parse(arguments: &Arguments) -> Result<Self, Error> {
        let certificate = certificate(arguments)?;
        let (clients, ca) = clients(arguments)?;
        let name = arguments.text("name")?;
        if let (Some(name), Some(value)) = (&name, arguments.option("name")) {
            server_name(name).map_err(|_| {
                value.error(format!("`{name}` is no host name"), "write a name or an IP address")
            })?;
        }
        let (roots, pin) = (arguments.path("roots")?, pin(arguments)?);
        if let (true, Some(value)) = (roots.is_some() && pin.is_some(), arguments.option("pin")) {
            return Err(value.error("both roots= and pin=", "leave one of them out"));
        }
        let (client_cert, client_key) =
            (arguments.path("client-cert")?, arguments.path("client-key")?);
        if client_key.is_some() && client_cert.is_none() {
            return Err(arguments.error("client-key= without client-cert="));
        }
        let some = |item: &str| (!item.is_empty()).then(|| item.to_owned());
        let names = arguments.list("names", "write host names between commas", some)?;
        let alpn = arguments.list("alpn", "write names between commas, as in h2,http/1.1", some)?;
        Ok(Self {
            certificate,
            names: names.unwrap_or_default(),
            clients,
            ca,
            roots,
            pin,
            name,
            client_cert,
            client_key,
            alpn: alpn.unwrap_or_default(),
            min: min(arguments)?,
            handshake: arguments.time("handshake")?.unwrap_or(HANDSHAKE_TIME),
            cache: Cache::default(),
        })
    }

    pub(super) fn print(&self) -> Printed {
        let file = |path: &PathBuf| path.to_string_lossy().into_owned();
        let list = |names: &[String]| (!names.is_empty()).then(|| commas(names));
        let (cert, key, folder) = match &self.certificate {
            Certificate::None => (None, None, None),
            Certificate::Files { cert, key } => (Some(file(cert)), key.as_ref().map(file), None),
            Certificate::Folder(folder) => (None, None, Some(file(folder))),
            Certificate::SelfSigned => (Some("self-signed".to_owned()), None, None),
        };
        let clients = match self.clients {
            Clients::Anybody => None,
            Clients::Wanted => Some("wanted"),
            Clients::Required => Some("required"),
        };
        Printed::new("tls")
            .maybe("cert", cert)
            .maybe("key", key)
            .maybe("folder", folder)
            .maybe("names", list(&self.names))
            .maybe("clients", clients)
            .maybe("ca", self.ca.as_ref().map(file))
            .maybe("roots", self.roots.as_ref().map(file))
            .maybe("pin", self.pin.map(|pin| format!("{pin:#}")).as_ref())
            .maybe("name", self.name.as_ref())
            .maybe("client-cert", self.client_cert.as_ref().map(file))
            .maybe("client-key", self.client_key.as_ref().map(file))
            .maybe("alpn", list(&self.alpn))
            .maybe("min", (self.min == Version::Tls13).then_some("1.3"))
            .unless("handshake", &Time(self.handshake), &Time(HANDSHAKE_TIME))
    }

    pub(super) fn only_for_clients(&self) -> Option<&'static str> {
        [
            (self.roots.is_some(), "roots"),
            (self.pin.is_some(), "pin"),
            (self.name.is_some(), "name"),
            (self.client_cert.is_some(), "client-cert"),
        ]
        .into_iter()
        .find_map(|(set, key)| set.then_some(key))
    }

    pub(super) fn only_for_servers(&self) -> Option<&'static str> {
        [
            (matches!(self.certificate, Certificate::Folder(_)), "folder"),
            (self.certificate != Certificate::None, "cert"),
            (!self.names.is_empty(), "names"),
            (self.clients != Clients::Anybody, "clients"),
        ]
        .into_iter()
        .find_map(|(set, key)| set.then_some(key))
    }

    /// Loads what a server shows. `host` is listened on.
    pub(super) fn server(&self, host: Option<&Host>) -> io::Result<Server> {
        let builder = Server::builder().alpn(&self.alpn).min_version(self.min);
        let builder = match &self.certificate {
            Certificate::None => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "tls: lacks a certificate: give it cert=FILE:key=FILE, folder=DIR, or \
                     cert=self-signed to try things out",
                ));
            }
            Certificate::Files { cert, key } => {
                builder.pem_files(cert, key.as_ref().unwrap_or(cert))
            }
            Certificate::Folder(folder) => builder.folder(folder),
            Certificate::SelfSigned => builder.self_signed(self.self_signed_names(host)),
        };
        let roots = || {
            let lacking = "clients= lacks ca=FILE, the roots that issue their certificates";
            let lacking = || io::Error::new(io::ErrorKind::InvalidInput, lacking);
            self.ca.as_ref().map(Roots::file).ok_or_else(lacking)
        };
        let auth = match self.clients {
            Clients::Anybody => ClientAuth::None,
            Clients::Wanted => ClientAuth::Wanted(roots()?),
            Clients::Required => ClientAuth::Required(roots()?),
        };
        Ok(builder.client_auth(auth).build()?)
    }

    fn self_signed_names(&self, host: Option<&Host>) -> Vec<String> {
        match host {
            _ if !self.names.is_empty() => self.names.clone(),
            Some(Host::Name(name)) => vec![name.as_str().to_owned()],
            Some(Host::Ip(ip)) if !ip.is_unspecified() && !ip.is_loopback() => vec![ip.to_string()],
            _ => Vec::new(),
        }
    }

    /// Shakes hands as the client. `host` was connected to.
    pub(super) async fn connect(
        &self,
        transport: Transport,
        host: Option<&Host>,
    ) -> io::Result<Transport> {
        let (client, name) = self.prepare(host)?;
        within(self.handshake, transport.tls_client(&client, &name)).await
    }

    /// Who we are and whom we will meet, connecting to `host`. The files are read the first time:
    /// that takes milliseconds, and a client that reconnects resumes its sessions.
    pub(super) fn prepare(&self, host: Option<&Host>) -> io::Result<(Client, ServerName<'static>)> {
        let name = self.name_of(host)?;
        let client = match self.cache.0.get() {
            Some(client) => client.clone(),
            None => {
                let client = self.client()?;
                self.cache.0.get_or_init(|| client).clone()
            }
        };
        Ok((client, name))
    }

    fn client(&self) -> io::Result<Client> {
        let builder = Client::builder().alpn(&self.alpn).min_version(self.min);
        let builder = match (&self.roots, &self.pin) {
            (Some(roots), _) => builder.roots_file(roots),
            (None, Some(pin)) => builder.pin(*pin),
            (None, None) => builder,
        };
        let builder = match &self.client_cert {
            Some(cert) => {
                builder.client_certificate(cert, self.client_key.as_ref().unwrap_or(cert))
            }
            None => builder,
        };
        Ok(builder.build()?)
    }

    fn name_of(&self, host: Option<&Host>) -> io::Result<ServerName<'static>> {
        let lacking = || {
            let what = "tls: does not know whom it will meet: give it name=HOST";
            io::Error::new(io::ErrorKind::InvalidInput, what)
        };
        match (&self.name, host) {
            (Some(name), _) => server_name(name),
            (None, Some(Host::Name(name))) => server_name(name.as_str()),
            (None, Some(Host::Ip(ip))) => Ok(ServerName::IpAddress((*ip).into())),
            (None, Some(Host::Any)) => server_name("localhost"),
            (None, None) => Err(lacking()),
        }
    }
}

/// A handshake with a limit in time.
pub(super) async fn within<T>(
    limit: Duration,
    handshake: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long");
    tokio::time::timeout(limit, handshake).await.map_err(late)?
}

fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    let wrong = |_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` cannot be proved by TLS"))
    };
    ServerName::try_from(name.to_owned()).map_err(wrong)
}

fn certificate(arguments: &Arguments) -> Result<Certificate, Error> {
    let (cert, key) = (arguments.path("cert")?, arguments.path("key")?);
    match (cert, key, arguments.path("folder")?) {
        (None, None, None) => Ok(Certificate::None),
        (None, None, Some(folder)) => Ok(Certificate::Folder(folder)),
        (Some(_), _, Some(_)) => Err(arguments.error("tls: has both cert= and folder=")),
        (None, Some(_), _) => Err(arguments.error("tls: has key= without cert=")),
        (Some(cert), None, None) if cert.as_os_str() == "self-signed" => {
            Ok(Certificate::SelfSigned)
        }
        (Some(cert), Some(_), None) if cert.as_os_str() == "self-signed" => {
            Err(arguments.error("tls: has key= beside cert=self-signed"))
        }
        (Some(cert), key, None) => Ok(Certificate::Files { cert, key }),
    }
}

fn clients(arguments: &Arguments) -> Result<(Clients, Option<PathBuf>), Error> {
    let ca = arguments.path("ca")?;
    let Some(value) = arguments.option("clients") else {
        return match arguments.option("ca") {
            Some(value) => {
                Err(value.error("ca= without clients=", "add clients=wanted or clients=required"))
            }
            None => Ok((Clients::Anybody, None)),
        };
    };
    let clients = match value.text() {
        "wanted" => Clients::Wanted,
        "required" => Clients::Required,
        other => {
            let what = format!("`{other}` is no way to ask clients for a certificate");
            return Err(value.error(what, "write wanted or required"));
        }
    };
    match ca {
        Some(ca) => Ok((clients, Some(ca))),
        None => Err(value.error("clients= without ca=", "add ca=FILE, the roots of their issuers")),
    }
}

fn pin(arguments: &Arguments) -> Result<Option<Fingerprint>, Error> {
    arguments.value("pin", "write the SHA-256 that the server prints, without colons")
}

fn min(arguments: &Arguments) -> Result<Version, Error> {
    match arguments.option("min").map(|value| (value.text(), value)) {
        None | Some(("1.2", _)) => Ok(Version::Tls12),
        Some(("1.3", _)) => Ok(Version::Tls13),
        Some((_, value)) => Err(value.error("no version that is spoken here", "write 1.2 or 1.3")),
    }
}

/// The loaded configuration of a client. A copy of an endpoint's description may be changed, so it
/// begins without one; it has no say in equality either.
#[derive(Default)]
struct Cache(OnceLock<Client>);

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Cache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cache {}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "loaded" } else { "empty" })
    }
}
