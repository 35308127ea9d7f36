//! `ropewalk web`: a folder, served by HTTP.

pub mod site;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ropewalk_core::endpoint::{Endpoint, Leaf, Registry, Wrapper};
use ropewalk_core::{Address, Reactor};
use ropewalk_http::files::{Cache, Settings};
use ropewalk_http::{Handler, Server, session};
use tracing::info;

use crate::access_log::{Format, Log, Writer};
use crate::cli::Global;
use crate::exit::{Code, Failure};
use crate::guard::{Any, Limits};
use crate::logging::NOTICE;
use crate::run::{Once, made_for_this_run};
use crate::values::TlsFiles;
use site::{Opened, Site};

/// Where it listens unless told: this machine only.
const LISTEN: &str = "tcp:127.0.0.1:8080";

/// The arguments of `ropewalk web`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        ropewalk web --path site\n  \
        ropewalk web --listen 8080 --tls self-signed\n  \
        ropewalk web --listen tcp:80 --listen tls:443:cert=site.pem:key=site.key --https-redirect\n  \
        ropewalk web --path site --host a.example=/srv/a --host www.a.example=https://a.example")]
pub struct Args {
    /// Where to listen: 8080, tcp:127.0.0.1:8080, tls:443:cert=C:key=K, unix:PATH, systemd:NAME,
    /// stdio:; may be repeated [default: tcp:127.0.0.1:8080]
    #[arg(short, long, value_name = "ENDPOINT")]
    pub listen: Vec<String>,
    /// The folder to serve
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
    /// TLS on all --listen: a certificate chain and its key, or self-signed to try things out
    #[arg(long, value_name = "CERT.pem,KEY.pem")]
    pub tls: Option<TlsFiles>,
    /// How to log requests, on standard output [default: combined on a terminal, else off]
    #[arg(long, value_name = "FORMAT")]
    pub log: Option<Format>,
    /// Files that stand for a folder, the first that is there; may be repeated
    #[arg(long, value_name = "NAME", default_value = "index.html", help_heading = "Files")]
    pub index: Vec<String>,
    /// Answer 403 for a folder without an index file, instead of listing it
    #[arg(long, help_heading = "Files")]
    pub no_listing: bool,
    /// Serve and list names that begin with a dot, instead of hiding them
    #[arg(long, help_heading = "Files")]
    pub dotfiles: bool,
    /// Follow symbolic links that stay inside the folder, instead of hiding them
    #[arg(long, help_heading = "Files")]
    pub follow_links: bool,
    /// Send NAME.br, NAME.zst or NAME.gz for NAME to clients that take it
    #[arg(long, help_heading = "Files")]
    pub precompressed: bool,
    /// What is served to whom.
    #[command(flatten)]
    pub site: Site,
    /// How it is run and what it takes at most.
    #[command(flatten)]
    pub limits: Limits,
}

/// A folder and where to serve it: what the arguments mean.
#[derive(Debug)]
pub struct Web {
    listen: Vec<Endpoint>,
    registry: Registry,
    path: PathBuf,
    files: Settings,
    site: Site,
    log: Format,
    limits: Limits,
    wire: bool,
}

impl Web {
    /// What the arguments mean. Nothing is opened.
    ///
    /// # Errors
    /// When an endpoint cannot be understood, or options do not go together.
    pub fn new(args: Args, global: &Global) -> Result<Self, Failure> {
        let registry = Registry::default();
        let texts = if args.listen.is_empty() { vec![LISTEN.to_owned()] } else { args.listen };
        let endpoint = |text: &String| {
            let endpoint = Endpoint::parse_with(text, &registry);
            let endpoint = endpoint.map_err(|error| Failure::endpoint("--listen", &error))?;
            with_tls(endpoint, args.tls.as_ref(), &registry)
        };
        let listen = texts.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
        let files = Settings {
            index: args.index,
            listing: !args.no_listing,
            dotfiles: args.dotfiles,
            follow_links: args.follow_links,
            precompressed: args.precompressed,
            cache: Some(Cache::default()),
            ..Settings::default()
        };
        let files = args.site.settings(files);
        let log = log_format(args.log, &listen)?;
        let (limits, wire) = (args.limits, global.wire);
        Ok(Self { listen, registry, path: args.path, files, site: args.site, log, limits, wire })
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the folder cannot be opened or an endpoint cannot be listened on.
    pub fn run(self) -> Result<(), Failure> {
        let plan = self.limits.plan(self.registry.clone());
        // What the log still holds is written when this returns.
        let _log = plan.run(async |reactor| self.start(reactor).await)?;
        Ok(())
    }

    /// Begins to serve in `reactor`, and says where.
    async fn start(&self, reactor: &Reactor) -> Result<Option<Writer>, Failure> {
        let opened = self.site.open(&self.path, &self.files)?;
        let root = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let bound = self.listen.iter().map(Endpoint::bind).collect::<io::Result<Vec<_>>>();
        let bound = bound.map_err(|error| Failure::bind(&error))?;
        let places: Vec<Address> = bound.iter().flat_map(|bound| bound.local().to_vec()).collect();
        let with_tls = bound.iter().filter(|bound| bound.tls().next().is_some());
        let https: Vec<Address> = with_tls.flat_map(|bound| bound.local().to_vec()).collect();
        let (server, writer) = match self.site.redirect(opened, &https)? {
            Opened::Folder(files) => self.server(files)?,
            Opened::Other(handler) => self.server(handler)?,
        };
        let server = Arc::new(self.limits.guard("http", self.wire, &places, server));
        for (endpoint, bound) in self.listen.iter().zip(bound) {
            let tls = bound.tls().next().is_some();
            let made = made_for_this_run(endpoint, &bound);
            let listening = if matches!(endpoint.leaf(), Leaf::Stdio) {
                reactor.serve(bound, Once::new(server.clone(), reactor.clone())).await?
            } else {
                reactor.serve(bound, server.clone()).await?
            };
            for address in listening.locals() {
                let url = Url { tls, address };
                info!(target: NOTICE, "serving {} at {url}", root.display());
            }
            if let Some(fingerprint) = made {
                info!(target: NOTICE, "{fingerprint}");
            }
        }
        Ok(writer)
    }

    /// The server, and what writes its log.
    fn server(
        &self,
        handler: impl Handler,
    ) -> Result<(Any<session::Server>, Option<Writer>), Failure> {
        let server = Server::new(handler);
        if self.log == Format::Off {
            return Ok((Any::new(server), None));
        }
        let (log, writer) = Log::to(self.log, io::stdout())?;
        Ok((Any::new(server.access_log(log)), Some(writer)))
    }
}

/// The endpoint with TLS around it if that is asked for, and HTTP/1.1 negotiated wherever there is TLS.
fn with_tls(
    endpoint: Endpoint,
    files: Option<&TlsFiles>,
    registry: &Registry,
) -> Result<Endpoint, Failure> {
    let endpoint = match files {
        Some(_) if endpoint.wrappers().iter().any(|layer| matches!(layer, Wrapper::Tls(_))) => {
            let what = format!("--tls: {} has tls: already; leave one out", endpoint.redacted());
            return Err(Failure::new(Code::Usage, what));
        }
        Some(files) => endpoint.wrap(files.layer()),
        None => endpoint,
    };
    let inner = Endpoint::new(endpoint.leaf().clone()).with_registry(registry);
    Ok(endpoint.wrappers().iter().rev().fold(inner, |inner, layer| match layer {
        Wrapper::Tls(tls) if tls.alpn.is_empty() => {
            let mut tls = tls.as_ref().clone();
            tls.alpn = ["http/1.1", "http/1.0"].map(str::to_owned).into();
            inner.wrap(tls)
        }
        layer => inner.wrap(layer.clone()),
    }))
}

/// Standard output is for people only when it is a terminal, and not ours when a connection is on it.
fn log_format(asked: Option<Format>, listen: &[Endpoint]) -> Result<Format, Failure> {
    let taken = listen.iter().any(|endpoint| matches!(endpoint.leaf(), Leaf::Stdio));
    match asked {
        Some(format) if taken && format != Format::Off => {
            let what = "--log: standard output is where stdio: serves; leave one out";
            Err(Failure::new(Code::Usage, what))
        }
        Some(format) => Ok(format),
        None if !taken && io::IsTerminal::is_terminal(&io::stdout()) => Ok(Format::Combined),
        None => Ok(Format::Off),
    }
}

/// Where to point a browser.
struct Url<'a> {
    tls: bool,
    address: &'a Address,
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.address {
            Address::Ip(socket) if socket.ip().is_unspecified() => {
                let port = socket.port();
                write!(f, "{scheme}://localhost:{port}/ and all other addresses of this machine")
            }
            Address::Ip(socket) => write!(f, "{scheme}://{socket}/"),
            Address::Unix(Some(path)) => write!(f, "unix:{}", Path::display(path)),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let ip = |text: &str| Address::Ip(text.parse().expect("an address"));
        for (tls, address, url) in [
            (false, ip("127.0.0.1:8080"), "http://127.0.0.1:8080/"),
            (true, ip("[::1]:443"), "https://[::1]:443/"),
            (
                false,
                ip("0.0.0.0:80"),
                "http://localhost:80/ and all other addresses of this machine",
            ),
            (true, Address::Unix(Some(Path::new("/run/x").into())), "unix:/run/x"),
            (false, Address::Stdio, "stdio:"),
        ] {
            assert_eq!(Url { tls, address: &address }.to_string(), url);
        }
    }
}
