//! `ropewalk get`: what is at a URL, printed or saved; or something sent there.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Response, StatusCode};
use ropewalk_http::Client;
use ropewalk_http::client::{ErrorKind, Received};
use tracing::warn;

use crate::cli::Global;
use crate::exit::{Code, Failure};
use crate::values;

mod data;
mod part;
mod report;
mod request;
mod save;

pub use request::{Field, Login, Proxy, Resume};

use data::Source;
use report::failure_of;
use request::Request;
use save::Target;

/// The arguments of `ropewalk get`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
        ropewalk get https://example.org/\n  \
        ropewalk get -O https://example.org/image.iso\n  \
        ropewalk get -O -C - https://example.org/image.iso     (goes on where it stopped)\n  \
        ropewalk get -d @note.txt -H 'Content-Type: text/plain' https://example.org/notes\n  \
        ropewalk get -T backup.tar https://example.org/store/\n  \
        ropewalk get --via unix:/run/app.sock http://localhost/status")]
pub struct Args {
    /// What to fetch, or where to send: http:// or https://
    #[arg(value_name = "URL")]
    pub url: String,
    /// Save to this file instead of printing; - prints
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
    /// Save under the last name in the URL's path
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub remote_name: bool,
    /// Resume: - where the file that was begun stops, or at this byte
    #[arg(short = 'C', long = "continue-at", value_name = "OFFSET", conflicts_with_all = ["data", "upload_file", "head"])]
    pub resume: Option<Resume>,
    /// Print the status and the fields of the answer before its content
    #[arg(short, long)]
    pub include: bool,
    /// Ask for the status and the fields only, and print them
    #[arg(short = 'I', long, conflicts_with_all = ["data", "upload_file"])]
    pub head: bool,
    /// Print the content of an answer that is a failure, too; the exit code tells
    #[arg(long)]
    pub fail_with_body: bool,
    /// A field of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", help_heading = "Request")]
    pub headers: Vec<Field>,
    /// The method [default: GET, with --data POST, with --upload-file PUT, with --head HEAD]
    #[arg(short = 'X', long = "request", value_name = "METHOD", help_heading = "Request")]
    pub method: Option<Method>,
    /// Send this text, or with @FILE what is in a file, as it is; @- or - is standard input
    #[arg(short, long, value_name = "DATA", help_heading = "Request", allow_hyphen_values = true)]
    pub data: Option<String>,
    /// Send this file by PUT; - is standard input. Its name is added to a URL that ends in /
    #[arg(
        short = 'T',
        long,
        value_name = "FILE",
        conflicts_with = "data",
        help_heading = "Request"
    )]
    pub upload_file: Option<String>,
    /// A name and a password, sent by the Basic scheme to the URL's origin and no other
    #[arg(short, long, value_name = "NAME:PASSWORD", help_heading = "Request")]
    pub user: Option<Login>,
    /// Say HTTP/1.0
    #[arg(long, help_heading = "Request")]
    pub http1_0: bool,
    /// Follow so many redirections, 0 for none
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Request")]
    pub max_redirects: u32,
    /// Follows redirections, as is done without it: for hands that are used to it
    #[arg(short = 'L', long, hide = true)]
    pub location: bool,
    /// Follow redirections from https to http, too
    #[arg(long, help_heading = "Request")]
    pub allow_downgrade: bool,
    /// Trust the certificates in this PEM file to issue others, instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub ca_file: Option<std::path::PathBuf>,
    /// Trust the server whose certificate has this SHA-256 fingerprint, whoever issued it
    #[arg(long, value_name = "SHA256", conflicts_with = "ca_file", help_heading = "Connection")]
    pub pin: Option<ropewalk_core::tls::Fingerprint>,
    /// Show this certificate to a server that asks for one: a chain and its key
    #[arg(long, value_name = "CERT.pem[,KEY.pem]", help_heading = "Connection")]
    pub client_cert: Option<String>,
    /// Connect to this endpoint whatever the URL's host: unix:/run/x, tcp:127.0.0.1:8080
    #[arg(long, value_name = "ENDPOINT", help_heading = "Connection")]
    pub via: Option<String>,
    /// Connect through a proxy: socks5://HOST:PORT, or http://HOST:PORT by CONNECT; NAME:PASSWORD@
    /// before HOST if it wants them
    #[arg(long, value_name = "URL", conflicts_with = "via", help_heading = "Connection")]
    pub proxy: Option<Proxy>,
    /// Give up when there is no connection after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds, default_value = "30", help_heading = "Connection")]
    pub connect_timeout: Duration,
    /// Give up when all is not done after so many seconds [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds, help_heading = "Connection")]
    pub max_time: Option<Duration>,
    /// Try again so many times after what may pass: no connection, too slow, cut short, 408, 425,
    /// 429, 500, 502, 503, 504
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Connection")]
    pub retry: u32,
}

/// What to ask for, and what to do with the answer: what the arguments mean.
#[derive(Debug)]
pub struct Get {
    client: Client,
    request: Request,
    target: Target,
    include: bool,
    fail_with_body: bool,
    retry: u32,
    /// Nobody wants to see a bar.
    quiet: bool,
}

/// What is to be said, and whether it may pass.
struct Trouble {
    failure: Failure,
    passing: bool,
    /// What the server says about when.
    after: Option<Duration>,
}

impl Trouble {
    fn lasting(failure: Failure) -> Self {
        Self { failure, passing: false, after: None }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::lasting(failure)
    }
}

impl Get {
    /// What the arguments mean. Certificates are read, nothing else is opened.
    ///
    /// # Errors
    /// When an argument cannot be understood, or a certificate cannot be read.
    pub fn new(args: Args, global: &Global) -> Result<Self, Failure> {
        let client = request::client(&args)?;
        let target = Target::new(&args)?;
        let (include, fail_with_body) = (args.include || args.head, args.fail_with_body);
        let retry = args.retry;
        let request = Request::new(args)?;
        Ok(Self { client, request, target, include, fail_with_body, retry, quiet: global.quiet })
    }

    /// Asks, and prints or saves, again if need be.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success, or not all of it, or it cannot be
    /// written.
    pub fn run(mut self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Failure::new(Code::Os, format!("cannot start threads: {error}")))?;
        let result = runtime.block_on(self.persist());
        // A read of standard input holds a thread that nothing can wake.
        runtime.shutdown_background();
        result
    }

    async fn persist(&mut self) -> Result<(), Failure> {
        let mut tried = 0;
        loop {
            let Err(trouble) = self.attempt().await else {
                self.client.close_idle().await;
                return Ok(());
            };
            if !trouble.passing || tried >= self.retry || !self.request.is_repeatable() {
                return Err(trouble.failure);
            }
            let pause = trouble.after.unwrap_or_else(|| Duration::from_secs(1 << tried.min(6)));
            tried += 1;
            warn!("{}; trying again in {pause:?}, {tried} of {}", trouble.failure, self.retry);
            tokio::time::sleep(pause).await;
            self.target.go_on();
        }
    }

    /// Asks once.
    async fn attempt(&mut self) -> Result<(), Trouble> {
        let begun = self.target.begin(self.request.has_range())?;
        let ask = self.request.ask(&self.client)?;
        let response = match ask.headers(begun.fields()).await {
            Ok(response) => response,
            Err(error) => {
                let passing = error.is_timeout()
                    || error.is_cut()
                    || matches!(error.kind(), ErrorKind::Connect(_));
                let failure = begun.left(failure_of(&error));
                return Err(Trouble { failure, passing, after: None });
            }
        };
        if self.include {
            head_line(&response)?;
        }
        let status = response.status();
        if begun.is_whole_already(&response) {
            return Ok(begun.keep()?);
        }
        // What was asked for on a condition, and has not changed.
        if status == StatusCode::NOT_MODIFIED {
            begun.discard();
            return Ok(());
        }
        if !status.is_success() {
            let trouble = self.refused(response).await;
            // Whoever goes on would be refused again.
            if status == StatusCode::RANGE_NOT_SATISFIABLE {
                begun.discard();
                return Err(trouble);
            }
            return Err(Trouble { failure: begun.left(trouble.failure), ..trouble });
        }
        let bar = !self.quiet && io::stderr().is_terminal();
        begun.take(response, bar).await.map_err(|(failure, passing)| Trouble {
            failure,
            passing,
            after: None,
        })
    }

    /// An answer that is no success.
    async fn refused(&self, response: Response<Received>) -> Trouble {
        let (parts, mut content) = response.into_parts();
        let failure = report::refusal(&content.url(), parts.status, &parts.headers);
        if self.fail_with_body {
            while let Ok(Some(data)) = content.next().await {
                if let Err(failure) = crate::exit::print(&data) {
                    return failure.into();
                }
            }
        }
        let passing = report::is_passing(parts.status);
        Trouble { failure, passing, after: retry_after(&parts.headers) }
    }
}

/// For how long the server wants to be left alone, at most two minutes.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = fields.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(120)))
}

/// Prints status and fields.
fn head_line(response: &Response<Received>) -> Result<(), Failure> {
    let mut text = format!("{:?} {}\r\n", response.version(), response.status());
    for (name, value) in response.headers() {
        text += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    text += "\r\n";
    crate::exit::print(text.as_bytes())
}

/// Says something on standard error, for people.
fn say(line: &str) {
    // With nobody to read it there is still the exit code.
    let _ = writeln!(io::stderr(), "ropewalk: {line}");
}
