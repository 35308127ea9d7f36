//! What a client is made with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use ropewalk_core::endpoint::{Endpoint, Host, Tcp, Wrapper};
use ropewalk_core::{Transport, tls};

use super::connect::{Route, Trust};
use super::place::Origin;
use super::pool::{Keep, Pool};
use super::redirect::Redirects;
use super::{Client, Shared};
use crate::{Limits, Pace};

/// How long a client waits. `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection: resolving the name, connecting, the TLS handshake. Default 30 s.
    pub connect: Option<Duration>,
    /// For the response's head, counted from when the request was sent whole. Default 60 s. Once it has
    /// begun it must be whole within 10 s.
    pub head: Option<Duration>,
    /// For the response's content: the slowest it may come. Default: any byte within 60 s. Set for a
    /// client, not for one request.
    pub body: Option<Pace>,
    /// For all of it, redirections included, up to the last byte of the response. Default for ever.
    pub total: Option<Duration>,
    /// For `100 Continue`, before content is sent without it. Default 1 s.
    pub proceed: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(30)),
            head: Some(Duration::from_secs(60)),
            body: Some(Pace { bytes_per_second: 0, grace: Duration::from_secs(60) }),
            total: None,
            proceed: Duration::from_secs(1),
        }
    }
}

/// Makes a [`Client`].
#[must_use]
pub struct Builder {
    tls: Option<tls::Client>,
    route: Route,
    keep: Keep,
    limits: Limits,
    patience: Patience,
    redirects: Redirects,
    fields: HeaderMap,
    expect_above: Option<u64>,
    most: u64,
}

impl Default for Builder {
    fn default() -> Self {
        let agent = concat!("ropewalk/", env!("CARGO_PKG_VERSION"));
        Self {
            tls: None,
            route: Route::Direct,
            keep: Keep::default(),
            limits: Limits::default(),
            patience: Patience::default(),
            redirects: Redirects::default(),
            fields: HeaderMap::from_iter([
                (USER_AGENT, HeaderValue::from_static(agent)),
                (ACCEPT, HeaderValue::from_static("*/*")),
            ]),
            expect_above: Some(1024 * 1024),
            most: 64 * 1024 * 1024,
        }
    }
}

impl Builder {
    /// Whom to trust and how to present oneself to `https`. Offer `http/1.1` by ALPN, or nothing.
    /// Default: what the platform trusts.
    pub fn tls(mut self, tls: tls::Client) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How many connections are kept for later requests.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// The caps on what a server may send: of the content, too, by [`Limits::body`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long to wait, unless a request says otherwise.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Which redirections are followed, unless a request says otherwise.
    pub fn redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }

    /// A field of each request that has none of that name. `User-Agent` and `Accept` are such.
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.insert(name, value);
        self
    }

    /// No field of that name unless a request has it.
    pub fn without(mut self, name: &HeaderName) -> Self {
        self.fields.remove(name);
        self
    }

    /// Content of more than so many bytes, or of a length that is not known beforehand, is sent only
    /// when the server says `100 Continue`, or says nothing for [`Patience::proceed`] (RFC 9110
    /// §10.1.1). `None` always sends it at once. Default 1 MiB.
    pub fn expect_above(mut self, bytes: Option<u64>) -> Self {
        self.expect_above = bytes;
        self
    }

    /// How many bytes of content are collected in memory by those who ask for all of it at once.
    /// Default 64 MiB.
    pub fn collect_at_most(mut self, bytes: u64) -> Self {
        self.most = bytes;
        self
    }

    /// Connects by these endpoints: to another host or port, by a Unix socket, with a resolver of one's
    /// own, from a local address. `None` is as usual. TLS comes around it if the origin is `https`.
    pub fn endpoints(
        mut self,
        choose: impl Fn(&Origin) -> Option<Endpoint> + Send + Sync + 'static,
    ) -> Self {
        self.route = Route::Endpoint(Arc::new(choose));
        self
    }

    /// Connects through a proxy, [`Socks5`](ropewalk_core::endpoint::Socks5) or
    /// [`HttpConnect`](ropewalk_core::endpoint::HttpConnect): to all origins, `http` too, which some
    /// HTTP proxies do not allow.
    pub fn proxy(self, proxy: impl Into<Wrapper>) -> Self {
        let proxy = proxy.into();
        self.endpoints(move |origin| {
            let host: Host = origin.host().parse().ok()?;
            Some(Endpoint::new(Tcp::new(host, origin.port())).wrap(proxy.clone()))
        })
    }

    /// Connects by whatever this returns, say a network in memory. TLS comes around it if the origin is
    /// `https`.
    pub fn transports<F>(mut self, connect: impl Fn(Origin) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = std::io::Result<Transport>> + Send + 'static,
    {
        self.route = Route::Transport(Arc::new(move |origin| Box::pin(connect(origin))));
        self
    }

    /// The client. Nothing is opened or read before the first request.
    #[must_use]
    pub fn build(self) -> Client {
        Client(Arc::new(Shared {
            pool: Pool::new(self.keep),
            trust: Trust::new(self.tls),
            route: self.route,
            limits: self.limits,
            patience: self.patience,
            redirects: self.redirects,
            fields: self.fields,
            expect_above: self.expect_above,
            most: self.most,
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("route", &self.route)
            .field("keep", &self.keep)
            .field("patience", &self.patience)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}
