//! What is served to whom: hosts, redirects, and what the owner wants on every answer.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use ropewalk_core::Address;
use ropewalk_http::files::{Files, Settings};
use ropewalk_http::{AnyHandler, BadHost, Hosts, HttpsOnly, Redirect};
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Failure};

/// Options of what is served to whom.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Site")]
pub struct Site {
    /// Another folder for a host, as in a.example=/srv/a or *.b.example=/srv/b, or another place, as in
    /// www.a.example=https://a.example; may be repeated. --path has all other hosts
    #[arg(long, value_name = "NAME=DIR")]
    pub host: Vec<Host>,
    /// Send who comes without TLS to https; PORT is where clients find that [default: the port of the
    /// first --listen with TLS]
    #[arg(
        long,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0"
    )]
    pub https_redirect: Option<u16>,
    /// A field on every answer, as in 'X-Frame-Options: DENY'; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<Header>,
    /// A page of one's own for an error, as in 404=404.html: a file below the folder; may be repeated
    #[arg(long, value_name = "STATUS=FILE")]
    pub error_page: Vec<ErrorPage>,
    /// For how many seconds browsers may use a file without asking again [default: they ask]
    #[arg(long, value_name = "SECONDS")]
    pub max_age: Option<u64>,
}

/// A host and what it has: `NAME=DIR`, or `NAME=URL`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    /// The name, with `*.` before it for all that are below it.
    pub name: String,
    /// What it has.
    pub has: Has,
}

/// What a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Has {
    /// A folder.
    Folder(PathBuf),
    /// Another place, to which its paths lead.
    Elsewhere(String),
}

/// A field of one's own: `NAME: VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// A page of one's own: `STATUS=FILE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErrorPage {
    /// The status, 400 to 599.
    pub status: StatusCode,
    /// A file below the folder that is served.
    pub file: PathBuf,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no host with its folder: write a.example=/srv/a");
        let (name, has) = text.split_once('=').ok_or_else(wrong)?;
        if name.is_empty() || has.is_empty() {
            return Err(wrong());
        }
        let has = if has.starts_with("http://") || has.starts_with("https://") {
            Redirect::below(has).map_err(|error| error.to_string())?;
            Has::Elsewhere(has.to_owned())
        } else {
            Has::Folder(has.into())
        };
        let host = Self { name: name.to_owned(), has };
        // Whether it is a name is the same whatever it has.
        let probe = Hosts::new().host(name, Redirect::https(443));
        probe.map(|_| host).map_err(|error: BadHost| error.to_string())
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no field: write 'Name: value'");
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            name: name.parse().map_err(|_| wrong())?,
            value: value.trim().parse().map_err(|_| wrong())?,
        })
    }
}

impl FromStr for ErrorPage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no page for an error: write 404=404.html");
        let (status, file) = text.split_once('=').ok_or_else(wrong)?;
        let status: StatusCode = status.parse().map_err(|_| wrong())?;
        if file.is_empty() || !(400..600).contains(&status.as_u16()) {
            return Err(wrong());
        }
        Ok(Self { status, file: file.into() })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.has {
            Has::Folder(folder) => write!(f, "{}={}", self.name, folder.display()),
            Has::Elsewhere(place) => write!(f, "{}={place}", self.name),
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value.to_str().unwrap_or_default())
    }
}

impl fmt::Display for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.status.as_u16(), self.file.display())
    }
}

/// As text in a file of settings, as on the command line.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(Host, Header, ErrorPage);

/// What is served, once its folders are open.
#[derive(Debug)]
pub enum Opened {
    /// One folder, to everybody.
    Folder(Files),
    /// Something more.
    Other(AnyHandler),
}

impl Site {
    /// What `settings` become by these options.
    #[must_use]
    pub fn settings(&self, settings: Settings) -> Settings {
        let mut settings = settings;
        settings.max_age = self.max_age.map(Duration::from_secs);
        for Header { name, value } in &self.header {
            settings.headers.append(name, value.clone());
        }
        let pages = self.error_page.iter().map(|page| (page.status, page.file.clone()));
        settings.error_pages.extend(pages);
        settings
    }

    /// Opens the folders. Without hosts there is one only.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(&self, path: &Path, settings: &Settings) -> Result<Opened, Failure> {
        let files = open(path, "--path", settings.clone())?;
        if self.host.is_empty() {
            return Ok(Opened::Folder(files));
        }
        let mut hosts = Hosts::new().fallback(files);
        for host in &self.host {
            let handler = match &host.has {
                Has::Folder(folder) => {
                    let mut settings = settings.clone();
                    // Its own pages, as far as it has them.
                    settings.error_pages.retain(|_, page| {
                        folder.join(page.strip_prefix("/").unwrap_or(page)).is_file()
                    });
                    AnyHandler::new(open(folder, "--host", settings)?)
                }
                Has::Elsewhere(place) => AnyHandler::new(
                    Redirect::below(place).map_err(|error| usage("--host", &error))?,
                ),
            };
            hosts = hosts.host(&host.name, handler).map_err(|error| usage("--host", &error))?;
        }
        Ok(Opened::Other(AnyHandler::new(hosts)))
    }

    /// Puts the redirect around it, if there is to be one. `https` is where we listen with TLS.
    ///
    /// # Errors
    /// When nobody knows where to send them.
    pub fn redirect(&self, opened: Opened, https: &[Address]) -> Result<Opened, Failure> {
        let Some(port) = self.https_redirect else { return Ok(opened) };
        let ours = https.iter().find_map(|address| match address {
            Address::Ip(address) => Some(address.port()),
            _ => None,
        });
        let port = Some(port).filter(|port| *port > 0).or(ours).ok_or_else(|| {
            let what = "--https-redirect: no --listen has TLS; add one, as in --listen \
                        tls:443:cert=site.pem:key=site.key, or say where it is: --https-redirect=443";
            Failure::new(Code::Usage, what)
        })?;
        Ok(Opened::Other(match opened {
            Opened::Folder(files) => AnyHandler::new(HttpsOnly::new(port, files)),
            Opened::Other(handler) => AnyHandler::new(HttpsOnly::new(port, handler)),
        }))
    }
}

fn usage(option: &str, error: &dyn fmt::Display) -> Failure {
    Failure::new(Code::Usage, format!("{option}: {error}"))
}

/// A folder, open.
fn open(path: &Path, option: &str, settings: Settings) -> Result<Files, Failure> {
    Files::new(path, settings).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !path.is_dir() => {
                format!("; give an existing folder with {option}")
            }
            io::ErrorKind::PermissionDenied => "; this user may not read it".to_owned(),
            _ => String::new(),
        };
        Failure::new(Code::of(&error), format!("{error}{help}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is what it is again when it is printed.
    fn check<T: FromStr<Err = String> + fmt::Display>(good: &[&str], bad: &[&str]) {
        for text in good {
            let parsed: Result<T, _> = text.parse();
            assert_eq!(parsed.map(|value| value.to_string()).as_deref(), Ok(*text));
        }
        for text in bad {
            let error = text.parse::<T>().err().unwrap_or_else(|| panic!("{text} is none"));
            assert!(error.contains("write "), "{text}: {error}");
        }
    }

    #[test]
    fn values() {
        check::<Host>(
            &["a.test=/srv/a", "*.a.test=b=c", "[::1]=.", "w.a.test=https://a.test/x"],
            &["", "a.test", "=x", "a.test=", "a.test:80=x", "*=x", "a.test=http://", "ü=x"],
        );
        check::<Header>(&["x-frame-options: DENY", "x: "], &["", "x", ": y", "x y: z", "x: a\nb"]);
        check::<ErrorPage>(
            &["404=404.html", "500=/errors/a=b.html"],
            &["", "404", "404=", "=x", "200=x", "600=x", "lost=x"],
        );
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let text = r#"{"host":["a.test=/srv/a"],"https-redirect":443,"header":["x: y"],
            "error-page":["404=404.html"],"max-age":60}"#;
        let site: Site = serde_json::from_str(text).expect("settings");
        let again = serde_json::to_string(&site).expect("settings");
        assert_eq!(serde_json::from_str::<Site>(&again).expect("settings"), site);
        assert_eq!(again, text.replace("\n            ", ""));
        let error = serde_json::from_str::<Site>(r#"{"header":["nonsense"]}"#).expect_err("none");
        assert!(error.to_string().contains("no field: write"), "{error}");
    }
}
