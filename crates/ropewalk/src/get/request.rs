//! What `ropewalk get` asks, and over which connections.

use std::str::FromStr;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use percent_encoding::percent_decode_str;
use ropewalk_core::endpoint::{self, Endpoint, Host, HttpConnect, Socks5, Wrapper};
use ropewalk_core::tls;
use ropewalk_http::Client;
use ropewalk_http::client::{Ask, Patience, Redirects};
use url::Url;

use super::{Args, Source};
use crate::exit::{Code, Failure};

/// `NAME: VALUE` of `--header`.
#[derive(Debug, Clone)]
pub struct Field(HeaderName, HeaderValue);

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
        let name = name.parse().map_err(|_| format!("`{name}` is no field's name"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| "a field's value has no line ends or control characters".to_owned())?;
        Ok(Self(name, value))
    }
}

/// `NAME:PASSWORD` of `--user`.
#[derive(Clone)]
pub struct Login(String, String);

impl FromStr for Login {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, password) = text.split_once(':').ok_or("write NAME:PASSWORD")?;
        Ok(Self(name.to_owned(), password.to_owned()))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, ***)", self.0)
    }
}

/// Where `--continue-at` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Where the file that was begun stops.
    End,
    /// At this byte.
    At(u64),
}

impl FromStr for Resume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(Self::End),
            _ => text.parse().map(Self::At).map_err(|_| "write - or a number of bytes".to_owned()),
        }
    }
}

/// A proxy to connect through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy(Wrapper);

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage =
            "write socks5://HOST:PORT or http://HOST:PORT, NAME:PASSWORD@ before HOST if need be";
        let url = Url::parse(text).map_err(|_| usage)?;
        let host: Host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .and_then(|host| host.parse().ok())
            .ok_or(usage)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(usage.to_owned());
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (!url.username().is_empty()).then(|| {
            endpoint::Login::new(
                decoded(url.username()),
                decoded(url.password().unwrap_or_default()),
            )
        });
        Ok(Self(match url.scheme() {
            "socks5" | "socks5h" => {
                let mut proxy = Socks5::new(host, url.port().unwrap_or(1080));
                proxy.login = login;
                proxy.into()
            }
            "http" => {
                let mut proxy = HttpConnect::new(host, url.port().unwrap_or(80));
                proxy.login = login;
                proxy.into()
            }
            _ => return Err(usage.to_owned()),
        }))
    }
}

/// The client that the arguments describe.
pub(super) fn client(args: &Args) -> Result<Client, Failure> {
    let patience = Patience {
        connect: Some(args.connect_timeout).filter(|limit| !limit.is_zero()),
        total: args.max_time.filter(|limit| !limit.is_zero()),
        ..Patience::default()
    };
    let redirects = Redirects { most: args.max_redirects, downgrade: args.allow_downgrade };
    let mut builder = Client::builder().patience(patience).redirects(redirects);
    if let Some(tls) = tls(args)? {
        builder = builder.tls(tls);
    }
    if let Some(via) = &args.via {
        let endpoint = Endpoint::parse(via).map_err(|error| Failure::endpoint("--via", &error))?;
        builder = builder.endpoints(move |_| Some(endpoint.clone()));
    }
    if let Some(Proxy(proxy)) = &args.proxy {
        builder = builder.proxy(proxy.clone());
    }
    Ok(builder.build())
}

/// Whom to trust and how to present oneself, if that is not the usual.
fn tls(args: &Args) -> Result<Option<tls::Client>, Failure> {
    if args.ca_file.is_none() && args.pin.is_none() && args.client_cert.is_none() {
        return Ok(None);
    }
    let mut builder = tls::Client::builder().alpn(["http/1.1"]);
    if let Some(file) = &args.ca_file {
        builder = builder.roots_file(file);
    }
    if let Some(pin) = args.pin {
        builder = builder.pin(pin);
    }
    if let Some(text) = &args.client_cert {
        let (cert, key) = text.split_once(',').unwrap_or((text, text));
        builder = builder.client_certificate(cert, key);
    }
    let wrong = |error: tls::Error| Failure::new(Code::Config, error.to_string());
    builder.build().map(Some).map_err(wrong)
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    url: String,
    method: Method,
    fields: HeaderMap,
    login: Option<Login>,
    version: Version,
    source: Source,
}

impl Request {
    pub(super) fn new(args: Args) -> Result<Self, Failure> {
        let mut url = args.url;
        let mut fields = HeaderMap::new();
        for Field(name, value) in args.headers {
            fields.append(name, value);
        }
        let (source, usual) = match (&args.data, &args.upload_file) {
            (Some(data), _) => (Source::of_data(data)?, Method::POST),
            (None, Some(file)) => (Source::of_file(file)?, Method::PUT),
            (None, None) if args.head => (Source::None, Method::HEAD),
            (None, None) => (Source::None, Method::GET),
        };
        if args.data.is_some() && !fields.contains_key(CONTENT_TYPE) {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            fields.insert(CONTENT_TYPE, form);
        }
        if let Some(file) = args.upload_file.filter(|_| url.ends_with('/')) {
            url += &name_of(&file);
        }
        let method = args.method.unwrap_or(usual);
        let version = if args.http1_0 { Version::HTTP_10 } else { Version::HTTP_11 };
        Ok(Self { url, method, fields, login: args.user, version, source })
    }

    /// Whether the caller asks for a range by a field of their own.
    pub(super) fn has_range(&self) -> bool {
        self.fields.contains_key(http::header::RANGE)
    }

    /// The request, once more if need be.
    pub(super) fn ask(&mut self, client: &Client) -> Result<Ask, Failure> {
        let mut ask = client
            .request(self.method.clone(), &self.url)
            .version(self.version)
            .headers(self.fields.clone())
            .body(self.source.body()?);
        if let Some(Login(name, password)) = &self.login {
            ask = ask.basic_auth(name, password);
        }
        Ok(ask)
    }

    /// Whether it may be sent again without asking anybody.
    pub(super) fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() && self.source.is_repeatable()
    }
}

/// The last name in a path, as it stands in a URL; nothing for standard input.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    if file == "-" {
        return String::new();
    }
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2E", ".")
        .replace("%2D", "-")
        .replace("%5F", "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        for (text, printed) in [
            ("socks5://127.0.0.1", Some("socks5:127.0.0.1:1080")),
            ("http://proxy.test:3128/", Some("http-connect:proxy.test:3128")),
            ("socks5://u:p@[::1]:1", Some("socks5:[::1]:1")),
            ("https://proxy.test", None),
            ("http://proxy.test/x", None),
            ("proxy.test:3128", None),
            ("", None),
        ] {
            let wrapped = text.parse().ok().map(|Proxy(proxy)| {
                let tcp = endpoint::Tcp::new(Host::Any, 1);
                Endpoint::new(tcp).wrap(proxy).redacted()
            });
            let fits = match (&wrapped, printed) {
                (Some(wrapped), Some(printed)) => wrapped.starts_with(printed),
                (None, None) => true,
                _ => false,
            };
            assert!(fits, "{text}: {wrapped:?}");
        }
    }

    #[test]
    fn names_in_urls() {
        for (file, name) in
            [("a/b c.tar", "b%20c.tar"), ("x-y_z.1", "x-y_z.1"), ("-", ""), ("/a?", "a%3F")]
        {
            assert_eq!(name_of(file), name);
        }
    }
}
