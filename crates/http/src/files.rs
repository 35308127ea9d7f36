//! Static files: a folder, served (RFC 9110 §8, §13, §14).
//!
//! ```no_run
//! use ropewalk_http::files::{Files, Settings};
//!
//! # async fn example(request: http::Request<()>) -> std::io::Result<()> {
//! let files = Files::new("public", Settings { dotfiles: true, ..Settings::default() })?;
//! let response = files.serve(request).await;
//! # Ok(())
//! # }
//! ```
//!
//! | part | says |
//! |---|---|
//! | `path` | what name below the root a request means |
//! | `open` | how that name is opened and nothing beside it |
//! | `encoding`, `mime` | which form of the file, and what it is |
//! | `conditional`, `range` | whether it is to be sent, and what of it |
//! | `found`, `cache` | the file, its validators and its bytes |
//! | `listing`, `pages` | what is shown where there is no file |
//! | `dress` | what the folder's owner wants on every answer |

mod cache;
mod conditional;
mod dress;
mod encoding;
mod found;
mod listing;
mod mime;
mod open;
mod pages;
mod path;
mod range;
mod reply;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use rustix::fs::Dir;

pub use self::cache::Cache;
use self::cache::{Kept, Store};
use self::encoding::Preference;
use self::found::{Head, Source};
use self::listing::{Entry, Sort};
use self::open::{Opened, Root, Unopened};
use self::path::Name;
use crate::body::{Body, Piece};

/// How a folder is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The files that stand for a folder, in the order they are tried. Default `index.html`.
    pub index: Vec<String>,
    /// A folder without such a file is shown as a page; otherwise it is answered 403. Default true.
    pub listing: bool,
    /// How many entries such a page has at most; it says so if there are more. Default 2000.
    pub listing_most: usize,
    /// Names that begin with a dot are served and listed; otherwise they do not exist. Default
    /// false.
    pub dotfiles: bool,
    /// Symbolic links are followed, as long as they stay below the root; otherwise they do not
    /// exist. Default false.
    pub follow_links: bool,
    /// `name.br`, `name.zst` and `name.gz` are sent in place of `name` to a client that prefers
    /// them, unless they are older (RFC 9110 §12.5.3). Default false.
    pub precompressed: bool,
    /// How many ranges one request may ask for; with more, it is answered with the whole file
    /// (RFC 9110 §14.2). Default 16.
    pub ranges_most: usize,
    /// From this many bytes on, a content is left to `sendfile`; below, it is read, so that it goes
    /// out in one write with the head. Default 32 KiB: up to 16 KiB both cost the same if the head
    /// goes out with `MSG_MORE` (and reading wins by a third if it does not), from 64 KiB on
    /// `sendfile` saves a copy that counts.
    pub sendfile_from: u64,
    /// Small files are kept in memory. Default none: each is opened and read for each request.
    pub cache: Option<Cache>,
    /// For how long a file that was sent stays fresh in the caches of clients: `Cache-Control: max-age`
    /// in seconds (RFC 9111 §5.2.2.1). Default none: clients ask each time, and get a 304.
    pub max_age: Option<Duration>,
    /// Fields on every answer, errors too, in the place of those of the same names. None of those that
    /// frame or identify a message: [`Files::new`] refuses them. Default none.
    pub headers: HeaderMap,
    /// Pages in the place of the built-in ones for errors, by status: files below the root, of at most
    /// 1 MiB, read each time. The status stays what it is. Default none.
    pub error_pages: BTreeMap<StatusCode, PathBuf>,
    /// Names are opened component by component even where the kernel has `openat2`, for sandboxes
    /// that end a process for that call. Default false.
    pub without_openat2: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            index: vec!["index.html".to_owned()],
            listing: true,
            listing_most: 2000,
            dotfiles: false,
            follow_links: false,
            precompressed: false,
            ranges_most: 16,
            sendfile_from: 32 * 1024,
            cache: None,
            max_age: None,
            headers: HeaderMap::new(),
            error_pages: BTreeMap::new(),
            without_openat2: false,
        }
    }
}

/// A folder that is served. A clone is the same folder, and cheap.
///
/// Answers GET and HEAD with conditions and ranges, OPTIONS, and 405 to anything else. Nothing
/// outside the root is reached, by any spelling of a path nor, unless they are followed, by a link.
#[derive(Debug, Clone)]
pub struct Files(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: Root,
    settings: Settings,
    store: Option<Store>,
    boundaries: reply::Boundaries,
    freshness: Option<HeaderValue>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    now: SystemTime,
}

/// Why there is no file to answer with.
#[derive(Debug)]
enum Problem {
    Status(StatusCode),
    /// The file became shorter between being measured and being read.
    Changed,
    /// We are at fault; the client is not told why.
    Failed(io::Error),
}

impl Files {
    /// Serves the folder at `root`, which is held open from now on: renaming it changes nothing.
    ///
    /// # Errors
    /// When it cannot be opened or is no folder, or a page for an error is not in it; the error names
    /// it. When a field is not to be set.
    pub fn new(root: impl AsRef<Path>, settings: Settings) -> io::Result<Self> {
        settings.check()?;
        let path = root.as_ref();
        let root =
            Root::open(path, settings.follow_links, settings.without_openat2).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot serve {}: {error}", path.display()))
            })?;
        let store = settings.cache.clone().map(Store::new);
        let boundaries = reply::Boundaries::default();
        let freshness = settings.max_age.map(dress::freshness);
        let shared = Shared { root, settings, store, boundaries, freshness };
        shared.check_pages()?;
        Ok(Self(Arc::new(shared)))
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Answers a request, as a handler does. Nothing in it waits, so it is cancel-safe: it may block
    /// for as long as the disk takes to open a file and to read a small one, and for the few
    /// milliseconds of a long listing.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<Body> {
        self.respond(request.method(), request.uri(), request.headers(), SystemTime::now())
    }

    /// Answers a request at the time `now`.
    ///
    /// A response with a body has no `Content-Length`: the server sets it from [`Body::len`]. The
    /// answer to HEAD has one, and no body.
    #[must_use]
    pub fn respond(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Response<Body> {
        let asked = Asked { method, uri, headers, now };
        let answer = match *method {
            Method::GET | Method::HEAD => match self.0.answer(asked) {
                Err(Problem::Changed) => self.0.answer(asked),
                answer => answer,
            },
            Method::OPTIONS => Ok(pages::options()),
            _ => Ok(pages::method_not_allowed(method)),
        };
        let mut answer = answer.unwrap_or_else(|problem| problem.page(asked));
        self.0.dress(asked, &mut answer);
        answer
    }
}

impl Shared {
    fn answer(&self, asked: Asked<'_>) -> Result<Response<Body>, Problem> {
        let preference = if self.settings.precompressed {
            Preference::of(asked.headers)
        } else {
            Preference::PLAIN
        };
        if let Some(kept) = self.kept(asked, preference) {
            return self.reply(asked, &kept.head, &Source::Memory(kept.content.clone()));
        }
        let name = path::parse(asked.uri.path())?;
        if name.hidden && !self.settings.dotfiles {
            return Err(Problem::Status(StatusCode::NOT_FOUND));
        }
        if name.folder {
            return self.folder(asked, &name, preference);
        }
        let opened = self.root.file(&name.bytes)?;
        if opened.folder {
            return redirect(asked, &name.bytes);
        }
        self.file(asked, &name.bytes, opened, preference)
    }

    /// What the cache has for this path, if that is what the file still is.
    fn kept(&self, asked: Asked<'_>, preference: Preference) -> Option<Arc<Kept>> {
        let store = self.store.as_ref()?;
        let kept = store.fresh((preference, asked.uri.path()), asked.now)?;
        self.root.is_still(&kept.name, kept.head.facts).then_some(kept)
    }

    /// The index of a folder, or its listing.
    fn folder(
        &self,
        asked: Asked<'_>,
        name: &Name<'_>,
        preference: Preference,
    ) -> Result<Response<Body>, Problem> {
        for index in &self.settings.index {
            let joined;
            let index = if name.bytes.is_empty() {
                index.as_bytes()
            } else {
                joined = [&name.bytes, &b"/"[..], index.as_bytes()].concat();
                &joined
            };
            match self.root.file(index) {
                Ok(opened) if !opened.folder => return self.file(asked, index, opened, preference),
                Ok(_) | Err(Unopened::Absent) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let opened = self.root.file(&name.bytes)?;
        match (opened.folder, self.settings.listing) {
            (false, _) => Err(Problem::Status(StatusCode::NOT_FOUND)),
            (true, false) => Err(Problem::Status(StatusCode::FORBIDDEN)),
            (true, true) => self.list(asked, &name.bytes, opened),
        }
    }

    fn list(
        &self,
        asked: Asked<'_>,
        path: &[u8],
        opened: Opened,
    ) -> Result<Response<Body>, Problem> {
        let most = self.settings.listing_most;
        let mut folder = Dir::new(opened.fd).map_err(Unopened::from)?;
        let mut entries = Vec::new();
        let mut more = false;
        let mut seen = 0;
        while let Some(entry) = folder.read() {
            let entry = entry.map_err(Unopened::from)?;
            let name = entry.file_name();
            let hidden = name.to_bytes().starts_with(b".") && !self.settings.dotfiles;
            seen += 1;
            // A folder of millions that are not shown must not keep us either.
            if entries.len() == most || seen > most.saturating_mul(8).saturating_add(1024) {
                more = true;
                break;
            }
            if hidden || !path::reachable(name.to_bytes()) {
                continue;
            }
            let fd = folder.fd().map_err(Unopened::from)?;
            if let Some((folder, facts)) = self.root.entry(fd, path, name) {
                let name = name.to_bytes().to_vec();
                entries.push(Entry { name, folder, size: facts.size, modified: facts.seconds });
            }
        }
        let page = listing::page(path, &entries, more, Sort::parse(asked.uri.query()));
        Ok(pages::listing(asked.method, page))
    }

    /// A file, or a precompressed sibling of it.
    fn file(
        &self,
        asked: Asked<'_>,
        name: &[u8],
        opened: Opened,
        preference: Preference,
    ) -> Result<Response<Body>, Problem> {
        for coding in preference.codings() {
            let name_of_sibling = [name, coding.suffix().as_bytes()].concat();
            let Ok(sibling) = self.root.file(&name_of_sibling) else { continue };
            // An older one was made from another content.
            if !sibling.folder && sibling.facts.seconds >= opened.facts.seconds {
                let head = Head::new(name, Some(coding), sibling.facts, asked.now);
                return self.found(asked, head, &name_of_sibling, sibling, preference);
            }
        }
        let head = Head::new(name, None, opened.facts, asked.now);
        self.found(asked, head, name, opened, preference)
    }

    /// A file that was opened just now by `name`: sent, and kept if it is small and there is a cache.
    fn found(
        &self,
        asked: Asked<'_>,
        head: Head,
        name: &[u8],
        opened: Opened,
        preference: Preference,
    ) -> Result<Response<Body>, Problem> {
        let source = Source::file(opened.fd);
        let Some(store) = &self.store else { return self.reply(asked, &head, &source) };
        match source.piece(0..head.facts.size, self.settings.sendfile_from)? {
            Piece::File(_) => self.reply(asked, &head, &source),
            Piece::Bytes(content) => {
                let kept = Arc::new(Kept { name: name.into(), head, content });
                store.keep((preference, asked.uri.path()), kept.clone(), asked.now);
                self.reply(asked, &kept.head, &Source::Memory(kept.content.clone()))
            }
        }
    }
}

/// To the same folder with a slash at its end, the query kept. The place is relative, so that it is
/// right behind any prefix and can never lead to another host.
fn redirect(asked: Asked<'_>, name: &[u8]) -> Result<Response<Body>, Problem> {
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let mut place = String::with_capacity(64);
    path::encode_into(last, &mut place);
    place.push('/');
    if let Some(query) = asked.uri.query() {
        place.push('?');
        place.push_str(query);
    }
    let place = HeaderValue::try_from(place).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(pages::moved(asked.method, place))
}

impl Problem {
    fn page(self, asked: Asked<'_>) -> Response<Body> {
        let status = match self {
            Self::Status(status) => status,
            Self::Changed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Failed(error) => {
                tracing::warn!(path = asked.uri.path(), %error, "cannot serve a file");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        pages::error(asked.method, status)
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl From<path::Refused> for Problem {
    fn from(refused: path::Refused) -> Self {
        Self::Status(match refused {
            path::Refused::Malformed => StatusCode::BAD_REQUEST,
            path::Refused::Absent => StatusCode::NOT_FOUND,
        })
    }
}

impl From<Unopened> for Problem {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Absent => Self::Status(StatusCode::NOT_FOUND),
            Unopened::Denied => Self::Status(StatusCode::FORBIDDEN),
            Unopened::Failed(errno) => Self::Failed(errno.into()),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Changed,
            _ => Self::Failed(error),
        }
    }
}
