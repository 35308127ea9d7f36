//! `ropewalk web`: a folder, served by HTTP.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ropewalk_core::endpoint::{Endpoint, Leaf, Registry, Wrapper};
use ropewalk_core::{Address, Reactor};
use ropewalk_http::files::{Cache, Files, Settings};
use ropewalk_http::{AccessLog, Entry, Server};
use tracing::info;

use crate::access_log::{Format, Log};
use crate::cli::Global;
use crate::exit::{Code, Failure};
use crate::guard::Limits;
use crate::logfile::LogFile;
use crate::logging::NOTICE;
use crate::operations::Process;
use crate::run::{Once, made_for_this_run};
use crate::values::TlsFiles;

/// Where it listens unless told: this machine only.
const LISTEN: &str = "tcp:127.0.0.1:8080";

/// The arguments of `ropewalk web`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        ropewalk web --path site\n  \
        ropewalk web --listen 8080 --tls self-signed\n  \
        ropewalk web --listen tcp:80 --listen tls:443:cert=site.pem:key=site.key --log combined")]
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
    /// Log requests to this file instead, as combined unless --log says otherwise; SIGUSR1 opens it anew
    #[arg(long, value_name = "FILE", value_parser = crate::values::log_file)]
    pub access_log: Option<LogFile>,
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
    log: Format,
    limits: Limits,
    wire: bool,
    access_log: Option<LogFile>,
    log_file: Option<LogFile>,
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
        let log = match (args.log, &args.access_log) {
            (None, Some(_)) => Format::Combined,
            (Some(format), Some(_)) => format,
            (asked, None) => log_format(asked, &listen)?,
        };
        let (path, limits, wire) = (args.path, args.limits, global.wire);
        let (access_log, log_file) = (args.access_log, global.log_file.clone());
        Ok(Self { listen, registry, path, files, log, limits, wire, access_log, log_file })
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the folder cannot be opened or an endpoint cannot be listened on.
    pub fn run(self) -> Result<(), Failure> {
        let mut plan = self.limits.plan(self.registry.clone());
        let logs = [("log", &self.log_file), ("access", &self.access_log)];
        let logs = logs.into_iter().filter_map(|(name, log)| Some((name, log.clone()?)));
        plan.process.logs = logs.collect();
        plan.run(async |reactor, process| self.start(reactor, process).await)
    }

    /// Begins to serve in `reactor`, and says where.
    async fn start(&self, reactor: &Reactor, process: &Process) -> Result<(), Failure> {
        let (root, files) = self.open()?;
        let bound = self.listen.iter().map(Endpoint::bind).collect::<io::Result<Vec<_>>>();
        let mut bound = bound.map_err(|error| Failure::bind(&error))?;
        process.bound(&mut bound)?;
        let server = self.server(files, process)?;
        let places: Vec<Address> = bound.iter().flat_map(|bound| bound.local().to_vec()).collect();
        let server = self.limits.guard("http", self.wire, &places, server);
        for (endpoint, bound) in self.listen.iter().zip(bound) {
            let tls = bound.tls().next().is_some();
            let made = made_for_this_run(endpoint, &bound);
            let server = process.watch("web", &endpoint.redacted(), server.clone());
            let listening = if matches!(endpoint.leaf(), Leaf::Stdio) {
                reactor.serve(bound, Once::new(server, reactor.clone())).await?
            } else {
                reactor.serve(bound, server).await?
            };
            for address in listening.locals() {
                let url = Url { tls, address };
                info!(target: NOTICE, "serving {} at {url}", root.display());
            }
            if let Some(fingerprint) = made {
                info!(target: NOTICE, "{fingerprint}");
            }
        }
        Ok(())
    }

    /// The folder, and its absolute name for people.
    fn open(&self) -> Result<(PathBuf, Files), Failure> {
        let files = Files::new(&self.path, self.files.clone()).map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    "; give an existing folder with --path"
                }
                io::ErrorKind::PermissionDenied => "; this user may not read it",
                _ => "",
            };
            Failure::new(Code::of(&error), format!("{error}{help}"))
        })?;
        let root = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        Ok((root, files))
    }

    fn server(&self, files: Files, process: &Process) -> Result<Server<Files>, Failure> {
        let server = Server::new(files);
        let log = match (self.log, &self.access_log) {
            (Format::Off, _) => None,
            (format, Some(file)) => Some(Log::to(format, file.clone())?),
            (format, None) => Some(Log::to(format, io::stdout())?),
        };
        let log = log.map(|(log, writer)| {
            // What the log still holds is written at the end.
            process.keep(writer);
            log
        });
        let requests = process.metrics().map(|metrics| metrics.requests("web"));
        if log.is_none() && requests.is_none() {
            return Ok(server);
        }
        let entry = move |entry: &Entry| {
            if let Some(requests) = &requests {
                requests.count(entry);
            }
            if let Some(log) = &log {
                log.entry(entry);
            }
        };
        Ok(server.access_log(entry))
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
