//! `ropewalk web`: a folder, served by HTTP.

pub mod site;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ropewalk_core::Address;
use ropewalk_core::endpoint::{Endpoint, Leaf, Registry, Wrapper};
use ropewalk_http::files::{Cache, Settings};
use ropewalk_http::{AccessLog as _, Entry, Handler, Server, session};
use serde::{Deserialize, Serialize};

use crate::access_log::{Format, Log};
use crate::exit::{Code, Failure};
use crate::guard::{Any, Limits};
use crate::kind::Kind;
use crate::stage::{Socket, Stage};
use crate::values::TlsFiles;
use site::{ErrorPage, Header, Host, Opened, Site};

/// Where it listens unless told: this machine only.
const LISTEN: &str = "tcp:127.0.0.1:8080";
/// The file that stands for a folder unless told.
const INDEX: &str = "index.html";

/// Serve a folder by HTTP
///
/// Files are served with ranges, conditions and entity tags, a folder by its index file or as a
/// listing. Nothing outside the folder is reached, by any spelling of a path nor by a link.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(after_help = "Examples:\n  \
        ropewalk web --path site\n  \
        ropewalk web --listen 8080 --tls self-signed\n  \
        ropewalk web --listen tcp:80 --listen tls:443:cert=site.pem:key=site.key --https-redirect\n  \
        ropewalk web --path site --host a.example=/srv/a --host www.a.example=https://a.example")]
pub struct Web {
    /// Where to listen: 8080, tcp:127.0.0.1:8080, tls:443:cert=C:key=K, unix:PATH, systemd:NAME,
    /// stdio:; may be repeated
    #[arg(short, long, value_name = "ENDPOINT", default_value = LISTEN)]
    pub listen: Vec<String>,
    /// The folder to serve
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
    /// TLS on all --listen: a certificate chain and its key, or self-signed to try things out
    #[arg(long, value_name = "CERT.pem,KEY.pem")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// How to log requests, on standard output [default: combined on a terminal, else off]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Format>,
    /// Log requests to this file instead of standard output; SIGUSR1 opens it anew
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<PathBuf>,
    /// Files that stand for a folder, the first that is there; may be repeated
    #[arg(long, value_name = "NAME", default_value = INDEX, help_heading = "Files")]
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
    /// Another folder for a host, as in a.example=/srv/a or *.b.example=/srv/b, or another place, as in
    /// www.a.example=https://a.example; may be repeated. --path has all other hosts
    #[arg(long, value_name = "NAME=DIR", help_heading = "Site")]
    pub host: Vec<Host>,
    /// Send who comes without TLS to https; PORT is where clients find that, 0 the port of the first
    /// --listen with TLS [default: 0]
    #[arg(
        long,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        help_heading = "Site"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https_redirect: Option<u16>,
    /// A field on every answer, as in 'X-Frame-Options: DENY'; may be repeated
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Site")]
    pub header: Vec<Header>,
    /// A page of one's own for an error, as in 404=404.html: a file below the folder; may be repeated
    #[arg(long, value_name = "STATUS=FILE", help_heading = "Site")]
    pub error_page: Vec<ErrorPage>,
    /// For how many seconds browsers may use a file without asking again [default: they ask]
    #[arg(long, value_name = "SECONDS", help_heading = "Site")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// What it takes at most.
    #[command(flatten)]
    pub limits: Limits,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: vec![LISTEN.to_owned()],
            path: ".".into(),
            tls: None,
            log: None,
            access_log: None,
            index: vec![INDEX.to_owned()],
            no_listing: false,
            dotfiles: false,
            follow_links: false,
            precompressed: false,
            host: Vec::new(),
            https_redirect: None,
            header: Vec::new(),
            error_page: Vec::new(),
            max_age: None,
            limits: Limits::default(),
        }
    }
}

impl Kind for Web {
    const NAME: &'static str = "web";

    fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
        let registry = stage.registry().clone();
        let site = self.site();
        let opened = site.open(stage, &self.path, &self.settings());
        let sockets = stage.sockets("listen", &self.listen, |endpoint| {
            with_tls(endpoint, self.tls.as_ref(), &registry)
        });
        let log = self.log_format(stage, &sockets);
        let root = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let opened = opened.and_then(|opened| site.redirect(stage, opened, &sockets));
        let server = match opened {
            Some(Opened::Folder(files)) => self.server(stage, log, files)?,
            Some(Opened::Other(handler)) => self.server(stage, log, handler)?,
            None => return Ok(()),
        };
        let server = stage.guard("http", &self.limits, &sockets, server);
        for socket in sockets {
            let (tls, root) = (socket.is_tls(), root.clone());
            stage.serve(socket, server.clone(), move |address| {
                format!("serving {} at {}", root.display(), Url { tls, address })
            });
        }
        Ok(())
    }
}

impl Web {
    /// The server, with its log and figures if there are to be any.
    fn server(
        &self,
        stage: &mut Stage,
        format: Format,
        handler: impl Handler,
    ) -> Result<Any<session::Server>, Failure> {
        let server = Server::new(handler);
        if stage.is_rehearsal() {
            return Ok(Any::new(server));
        }
        let log = match (format, &self.access_log) {
            (Format::Off, _) => None,
            (format, Some(path)) => Some(Log::to(format, stage.log_file("access", path))?),
            (format, None) => Some(Log::to(format, io::stdout())?),
        };
        let log = log.map(|(log, writer)| {
            // What it still holds is written when the service has ended.
            stage.keep(writer);
            log
        });
        let requests = stage.metrics().map(|metrics| metrics.requests(stage.name()));
        Ok(match (log, requests) {
            (None, None) => Any::new(server),
            (Some(log), None) => Any::new(server.access_log(log)),
            (log, Some(requests)) => Any::new(server.access_log(move |entry: &Entry| {
                requests.count(entry);
                if let Some(log) = &log {
                    log.entry(entry);
                }
            })),
        })
    }

    /// How files are served.
    fn settings(&self) -> Settings {
        self.site().settings(Settings {
            index: self.index.clone(),
            listing: !self.no_listing,
            dotfiles: self.dotfiles,
            follow_links: self.follow_links,
            precompressed: self.precompressed,
            cache: Some(Cache::default()),
            ..Settings::default()
        })
    }

    /// What is served to whom.
    fn site(&self) -> Site<'_> {
        Site {
            hosts: &self.host,
            https_redirect: self.https_redirect,
            headers: &self.header,
            error_pages: &self.error_page,
            max_age: self.max_age,
        }
    }

    /// Standard output is for people only when it is a terminal, and not ours when a connection is on
    /// it.
    fn log_format(&self, stage: &mut Stage, sockets: &[Socket]) -> Format {
        if self.access_log.is_some() {
            return self.log.unwrap_or(Format::Combined);
        }
        let taken = sockets.iter().any(|socket| matches!(socket.endpoint().leaf(), Leaf::Stdio));
        match self.log {
            Some(format) if taken && format != Format::Off => {
                let what = "standard output is where stdio: serves; leave one out";
                stage.problem("log", Code::Usage, what);
                Format::Off
            }
            Some(format) => format,
            None if !taken && io::IsTerminal::is_terminal(&io::stdout()) => Format::Combined,
            None => Format::Off,
        }
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
            let what = format!(
                "{} has tls: already: leave that out, or --tls (the key `tls`)",
                endpoint.redacted()
            );
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
    fn the_definition_is_sound() {
        crate::kind::verify::<Web>();
    }

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
