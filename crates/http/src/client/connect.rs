//! From an origin to a connection.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ropewalk_core::endpoint::{CONNECT_TIMEOUT, Endpoint, Host, Tcp};
use ropewalk_core::tls::rustls_types::ServerName;
use ropewalk_core::{Transport, tls};

use super::error::ErrorKind;
use super::place::Origin;

/// What a [`Route`] gives: a transport, or why there is none.
type Connecting = Pin<Box<dyn Future<Output = io::Result<Transport>> + Send>>;

/// The endpoint for an origin, if it is not the usual one.
type Choose = dyn Fn(&Origin) -> Option<Endpoint> + Send + Sync;

/// How an origin is reached.
#[derive(Clone)]
pub(super) enum Route {
    /// By its name and port.
    Direct,
    /// By another endpoint, for some.
    Endpoint(Arc<Choose>),
    /// By whatever comes back.
    Transport(Arc<dyn Fn(Origin) -> Connecting + Send + Sync>),
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "Direct",
            Self::Endpoint(_) => "Endpoint(..)",
            Self::Transport(_) => "Transport(..)",
        })
    }
}

impl Route {
    async fn connect(&self, origin: &Origin, limit: Option<Duration>) -> io::Result<Transport> {
        let endpoint = match self {
            Self::Direct => None,
            Self::Endpoint(choose) => choose(origin),
            Self::Transport(connect) => return connect(origin.clone()).await,
        };
        match endpoint {
            Some(endpoint) => endpoint.connect().await,
            None => direct(origin, limit)?.connect().await,
        }
    }
}

/// The endpoint that an origin names.
fn direct(origin: &Origin, limit: Option<Duration>) -> io::Result<Endpoint> {
    let host: Host = origin.host().parse().map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{}`: {error}", origin.host()))
    })?;
    let mut tcp = Tcp::new(host, origin.port());
    tcp.timeout = limit.unwrap_or(Duration::MAX).max(CONNECT_TIMEOUT);
    Ok(Endpoint::new(tcp))
}

/// Whom to trust: what the platform trusts, unless told otherwise. Found out when first needed.
#[derive(Debug)]
pub(super) struct Trust(OnceLock<tls::Client>);

impl Trust {
    pub(super) fn new(given: Option<tls::Client>) -> Self {
        let trust = OnceLock::new();
        if let Some(given) = given {
            let _ = trust.set(given);
        }
        Self(trust)
    }

    fn client(&self) -> Result<tls::Client, tls::Error> {
        if let Some(client) = self.0.get() {
            return Ok(client.clone());
        }
        let client = tls::Client::builder().alpn(["http/1.1"]).build()?;
        Ok(self.0.get_or_init(|| client).clone())
    }
}

/// Connects to an origin, TLS included.
pub(super) async fn connect(
    route: &Route,
    trust: &Trust,
    origin: &Origin,
    limit: Option<Duration>,
) -> Result<Transport, ErrorKind> {
    let transport = route.connect(origin, limit).await.map_err(ErrorKind::Connect)?;
    if !origin.is_secure() {
        return Ok(transport);
    }
    let client = trust.client().map_err(ErrorKind::Trust)?;
    let name = server_name(origin).map_err(ErrorKind::Connect)?;
    transport.tls_client(&client, &name).await.map_err(ErrorKind::Connect)
}

/// What the server's certificate must be for.
fn server_name(origin: &Origin) -> io::Result<ServerName<'static>> {
    let host = origin.host().trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    // A name may end in a dot, and certificates do not know that.
    let name = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{host}` cannot be proved by TLS"))
    })
}
