//! What is served to whom: hosts, redirects, and what the owner wants on every answer.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use ropewalk_core::Address;
use ropewalk_core::endpoint::Leaf;
use ropewalk_http::files::{Files, Settings};
use ropewalk_http::{AnyHandler, BadHost, Hosts, HttpsOnly, Redirect};
use serde::{Deserialize, Serialize};

use crate::exit::Code;
use crate::stage::{Socket, Stage};

/// The options of what is served to whom.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// What hosts have of their own.
    pub hosts: &'a [Host],
    /// The port that https has for clients, 0 for that of a listener of ours.
    pub https_redirect: Option<u16>,
    /// Fields on every answer.
    pub headers: &'a [Header],
    /// Pages for errors.
    pub error_pages: &'a [ErrorPage],
    /// For how many seconds a file may be used without asking.
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

impl Site<'_> {
    /// What `settings` become by these options.
    #[must_use]
    pub fn settings(&self, settings: Settings) -> Settings {
        let mut settings = settings;
        settings.max_age = self.max_age.map(Duration::from_secs);
        for Header { name, value } in self.headers {
            settings.headers.append(name, value.clone());
        }
        let pages = self.error_pages.iter().map(|page| (page.status, page.file.clone()));
        settings.error_pages.extend(pages);
        settings
    }

    /// Opens the folders: one only, if there are no hosts. Notes a problem for each that cannot be
    /// opened.
    pub fn open(&self, stage: &mut Stage, path: &Path, settings: &Settings) -> Option<Opened> {
        if let Err(error) = settings.check() {
            stage.problem("header", Code::Usage, error.to_string());
            return None;
        }
        let files = open(stage, "path", path, settings.clone());
        if self.hosts.is_empty() {
            return files.map(Opened::Folder);
        }
        let mut hosts = Some(Hosts::new().fallback(files?));
        for (index, host) in self.hosts.iter().enumerate() {
            let key = format!("host[{index}]");
            let handler = match &host.has {
                Has::Folder(folder) => {
                    let mut settings = settings.clone();
                    // Its own pages, as far as it has them.
                    settings.error_pages.retain(|_, page| {
                        folder.join(page.strip_prefix("/").unwrap_or(page)).is_file()
                    });
                    open(stage, &key, folder, settings).map(AnyHandler::new)
                }
                Has::Elsewhere(place) => {
                    noted(stage, &key, Redirect::below(place)).map(AnyHandler::new)
                }
            };
            hosts = match (hosts, handler) {
                (Some(hosts), Some(handler)) => noted(stage, &key, hosts.host(&host.name, handler)),
                _ => None,
            };
        }
        hosts.map(AnyHandler::new).map(Opened::Other)
    }

    /// Puts the redirect around it, if there is to be one. Notes a problem when nobody knows where to
    /// send them.
    pub fn redirect(
        &self,
        stage: &mut Stage,
        opened: Opened,
        sockets: &[Socket],
    ) -> Option<Opened> {
        let Some(port) = self.https_redirect else { return Some(opened) };
        let ours = || sockets.iter().filter(|socket| socket.is_tls()).find_map(port_of);
        let Some(port) = Some(port).filter(|port| *port > 0).or_else(ours) else {
            let what = "none of --listen has TLS; add one, as in tls:443:cert=site.pem:key=site.key, or \
                        say which port it is";
            stage.problem("https-redirect", Code::Usage, what);
            return None;
        };
        Some(Opened::Other(match opened {
            Opened::Folder(files) => AnyHandler::new(HttpsOnly::new(port, files)),
            Opened::Other(handler) => AnyHandler::new(HttpsOnly::new(port, handler)),
        }))
    }
}

/// The port it listens on or, if it is not bound, is to.
fn port_of(socket: &Socket) -> Option<u16> {
    let bound = socket.local().iter().find_map(Address::port);
    bound.or_else(|| match socket.endpoint().leaf() {
        Leaf::Tcp(tcp) => Some(tcp.port),
        _ => None,
    })
}

/// The value, or a problem.
fn noted<T, E: fmt::Display>(stage: &mut Stage, key: &str, value: Result<T, E>) -> Option<T> {
    value.map_err(|error| stage.problem(key, Code::Usage, error.to_string())).ok()
}

/// A folder, open.
fn open(stage: &mut Stage, key: &str, path: &Path, settings: Settings) -> Option<Files> {
    let opened = Files::new(path, settings);
    opened
        .map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !path.is_dir() => {
                    "; give an existing folder"
                }
                io::ErrorKind::PermissionDenied => "; this user may not read it",
                _ => "",
            };
            stage.problem(key, Code::of(&error), format!("{error}{help}"));
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::Web;

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
        let text = "host = [\"a.test=/srv/a\"]\nhttps-redirect = 443\nheader = [\"x: y\"]\n\
                    error-page = [\"404=404.html\"]\nmax-age = 60\n";
        let web: Web = toml::from_str(text).expect("settings");
        let again = toml::to_string(&web).expect("settings");
        assert_eq!(toml::from_str::<Web>(&again).expect("settings"), web);
        assert!(text.lines().all(|line| again.contains(line)), "{again}");
        let error = toml::from_str::<Web>("header = [\"nonsense\"]").expect_err("none");
        assert!(error.to_string().contains("no field: write"), "{error}");
    }
}
