//! A request that is being put together.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, Uri, Version};

use super::error::{Error, ErrorKind};
use super::place::sealed::Bad;
use super::place::{IntoUrl, Login, Place};
use super::received::Received;
use super::redirect::Redirects;
use super::settings::Patience;
use super::upload::Supply;
use super::{Client, run};
use crate::Body;

/// A request to be sent: `.await` sends it, and gives the response as soon as its head has come.
///
/// Dropping the future at any time gives the request up; whether the server has seen it is not known
/// then. Other requests are not disturbed.
///
/// ```no_run
/// # async fn example() -> Result<(), ropewalk_http::client::Error> {
/// use ropewalk_http::Client;
///
/// let client = Client::new();
/// let response = client
///     .post("https://example.org/notes")
///     .header("content-type", "text/plain")
///     .done_within(std::time::Duration::from_secs(20))
///     .body("remember the rope")
///     .await?;
/// println!("{} {}", response.status(), response.into_body().text().await?);
/// # Ok(())
/// # }
/// ```
#[must_use = "it is sent when it is awaited"]
pub struct Ask {
    client: Client,
    job: Result<Box<Job>, Error>,
}

/// A request, and what is to be done about it.
pub(super) struct Job {
    pub(super) method: Method,
    pub(super) place: Place,
    /// Another target than the URL's path: `*`, or the authority of CONNECT.
    pub(super) target: Option<Uri>,
    pub(super) version: Version,
    pub(super) fields: HeaderMap,
    pub(super) supply: Supply,
    pub(super) patience: Patience,
    pub(super) redirects: Redirects,
    /// `100 Continue` is not to be waited for.
    pub(super) hasty: bool,
}

impl Ask {
    pub(super) fn new(client: Client, method: Method, url: impl IntoUrl) -> Self {
        let job = url.place().map_err(wrong_url).map(|(place, login)| {
            let mut job = Box::new(Job {
                method,
                place,
                target: None,
                version: Version::HTTP_11,
                fields: HeaderMap::new(),
                supply: Supply::new(Body::empty()),
                patience: client.0.patience,
                redirects: client.0.redirects,
                hasty: false,
            });
            if let Some(Login { user, password }) = login {
                job.fields.insert(AUTHORIZATION, basic(&user, &password));
            }
            job
        });
        Self { client, job }
    }

    pub(super) fn of_request(client: Client, request: http::Request<impl Into<Body>>) -> Self {
        let (parts, body) = request.into_parts();
        let mut ask = Self::new(client, parts.method, &parts.uri).body(body).version(parts.version);
        if let Ok(job) = &mut ask.job {
            let login = job.fields.remove(AUTHORIZATION);
            job.fields = parts.headers;
            if let (Some(login), false) = (login, job.fields.contains_key(AUTHORIZATION)) {
                job.fields.insert(AUTHORIZATION, login);
            }
        }
        ask
    }

    fn with(mut self, change: impl FnOnce(&mut Job)) -> Self {
        if let Ok(job) = &mut self.job {
            change(job);
        }
        self
    }

    /// One more field. What the connection and the framing need is written without being asked for.
    /// A field that is none is an error when the request is sent.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let Ok(job) = &mut self.job else { return self };
        let wrong = |what: &str| {
            Err(Error::new(&job.place, ErrorKind::Request(format!("a field's {what} is none"))))
        };
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                job.fields.append(name, value);
            }
            (Err(_), _) => self.job = wrong("name"),
            (_, Err(_)) => self.job = wrong("value"),
        }
        self
    }

    /// These fields in the place of those of the same names.
    pub fn headers(self, fields: HeaderMap) -> Self {
        self.with(|job| job.fields.extend(fields))
    }

    /// The content: bytes, text, a file's region, a stream, what another server sends. Its length is
    /// said if it is known, else it is chunked.
    pub fn body(self, body: impl Into<Body>) -> Self {
        let body = body.into();
        self.with(|job| job.supply = Supply::new(body))
    }

    /// A user's name and password by the Basic scheme (RFC 7617), in the place of those in the URL. They
    /// are not sent to another origin. Over `http` anybody on the way can read them.
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        let value = basic(user, password);
        self.with(|job| {
            job.fields.insert(AUTHORIZATION, value);
        })
    }

    /// As [`Patience::connect`], for this request.
    pub fn connect_within(self, limit: Duration) -> Self {
        self.with(|job| job.patience.connect = Some(limit))
    }

    /// As [`Patience::head`], for this request.
    pub fn answer_within(self, limit: Duration) -> Self {
        self.with(|job| job.patience.head = Some(limit))
    }

    /// As [`Patience::total`], for this request.
    pub fn done_within(self, limit: Duration) -> Self {
        self.with(|job| job.patience.total = Some(limit))
    }

    /// How long to wait, in all that can be said for one request.
    pub fn patience(self, patience: Patience) -> Self {
        self.with(|job| job.patience = patience)
    }

    /// Which redirections are followed.
    pub fn redirects(self, redirects: Redirects) -> Self {
        self.with(|job| job.redirects = redirects)
    }

    /// Sends the content at once, however long it is, rather than wait for `100 Continue`.
    pub fn without_expect(self) -> Self {
        self.with(|job| job.hasty = true)
    }

    /// The version that the request says: HTTP/1.1, or HTTP/1.0, which knows neither content of unknown
    /// length nor, unless a field asks for it, connections that are kept.
    pub fn version(self, version: Version) -> Self {
        self.with(|job| job.version = version)
    }

    /// Another request target than the URL's path (RFC 9112 §3.2): `*` for OPTIONS, `host:port` for
    /// CONNECT, where the URL is that of the proxy.
    pub fn target(self, target: Uri) -> Self {
        self.with(|job| job.target = Some(target))
    }

    /// Sends the request; the same as `.await`.
    ///
    /// # Errors
    /// When there is no response: see [`ErrorKind`]. A response of any status is none.
    pub async fn send(self) -> Result<Response<Received>, Error> {
        run::run(self.client, *self.job?).await
    }
}

impl IntoFuture for Ask {
    type Output = Result<Response<Received>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

fn wrong_url(Bad(shown, why): Bad) -> Error {
    Error::new(shown, ErrorKind::Url(why))
}

/// `Authorization` by the Basic scheme, never to be shown.
fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::try_from(text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Ask");
        match &self.job {
            Ok(job) => f.field("method", &job.method).field("url", &job.place),
            Err(error) => f.field("error", error),
        };
        f.finish_non_exhaustive()
    }
}
