//! The folder that is served, and asking for what is in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use ropewalk_http::files::{Files, Settings};

/// What stands in the file beside the root.
pub(crate) const SECRET: &str = "nobody may read this";

/// A folder, and beside it what must not be reached. Removed when dropped.
pub(crate) struct Folder {
    around: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-files-{}-{count}", std::process::id());
        let folder = Self { around: std::env::temp_dir().join(name) };
        let _ = fs::remove_dir_all(&folder.around);
        folder.fill();
        folder
    }

    fn fill(&self) {
        for name in ["dir/sub", "dir/.hidden", "site", "od d:"] {
            fs::create_dir_all(self.path(name)).expect("a folder");
        }
        fs::write(self.around.join("outside.txt"), SECRET).expect("a file");
        let big: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        for (name, content) in [
            (&b"index.html"[..], &b"<p>root</p>"[..]),
            (b"a.txt", b"0123456789"),
            (b"big.bin", &big),
            (b"empty.txt", b""),
            (b"dir/b.txt", b"b"),
            (b"dir/sub/c.txt", b"c"),
            (b"dir/.hidden/x", b"x"),
            (b"site/index.html", b"<p>site</p>"),
            (b"site/index.html.gz", b"zipped site"),
            (b".secret", b"dot"),
            (b"sp ace.txt", b"space"),
            ("ü.txt".as_bytes(), b"umlaut"),
            (b"100%.txt", b"percent"),
            (b"new\nline", b"newline"),
            (b"back\\slash", b"unreachable"),
            (b"\xff", b"byte"),
            (b"page.html", b"plain"),
            (b"page.html.br", b"brotli"),
            (b"page.html.zst", b"zstd"),
            (b"page.html.gz", b"gzip"),
            (b"stale.txt", b"new"),
            (b"stale.txt.gz", b"old"),
        ] {
            fs::write(self.around.join("root").join(OsStr::from_bytes(name)), content)
                .expect("a file");
        }
        self.age("stale.txt.gz", Duration::from_secs(3600));
        self.links();
        rustix::fs::mkfifoat(rustix::fs::CWD, self.path("fifo"), 0o600.into()).expect("a fifo");
        std::os::unix::net::UnixListener::bind(self.path("socket")).expect("a socket");
    }

    fn links(&self) {
        let outside = self.around.join("outside.txt");
        let absolute = self.path("a.txt");
        for (name, to) in [
            ("link-in", "a.txt"),
            ("link-dir", "dir"),
            ("dir/link-back", "../a.txt"),
            ("link-twice", "link-dir/link-back"),
            ("link-dotted", "./dir/./sub/../../a.txt"),
            ("link-index", "site/."),
            ("link-out", "../outside.txt"),
            ("link-abs", outside.to_str().expect("text")),
            ("link-proc", "/proc/self"),
            ("link-fd", "/proc/self/fd/0"),
            ("link-up", ".."),
            ("link-root", "/"),
            ("dir/link-far", "../../outside.txt"),
            ("link-chain", "link-out"),
            ("link-through", "dir/../.."),
            ("link-loop", "link-loop"),
            ("link-dangling", "absent"),
            ("link-fifo", "fifo"),
            ("link-null", "/dev/null"),
            ("dir/link-absolute", absolute.to_str().expect("text")),
        ] {
            symlink(to, self.path(name)).expect("a link");
        }
    }

    /// The path of something in the root.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.around.join("root").join(name)
    }

    pub(crate) fn modified(&self, name: &str) -> SystemTime {
        fs::metadata(self.path(name)).and_then(|facts| facts.modified()).expect("it is there")
    }

    /// Makes a file as old as that.
    pub(crate) fn age(&self, name: &str, age: Duration) {
        let file = fs::File::options().write(true).open(self.path(name)).expect("it is there");
        file.set_modified(SystemTime::now() - age).expect("it is ours");
    }

    pub(crate) fn files(&self, settings: Settings) -> Files {
        Files::new(self.path(""), settings).expect("it is a folder")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.around);
    }
}

/// A response, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) len: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field; empty if it is absent.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks ten seconds from now, when all dates are strong. A target that is no URI at all is answered
/// as a server does.
pub(crate) fn ask(files: &Files, method: Method, target: &str, fields: &str) -> Answer {
    ask_at(files, method, target, fields, SystemTime::now() + Duration::from_secs(10))
}

/// Asks at a given time. Fields are separated by `|`.
pub(crate) fn ask_at(
    files: &Files,
    method: Method,
    target: &str,
    fields: &str,
    now: SystemTime,
) -> Answer {
    let Ok(uri) = target.parse::<Uri>() else {
        let (status, fields) = (StatusCode::BAD_REQUEST, HeaderMap::new());
        return Answer { status, fields, len: Some(0), body: Vec::new() };
    };
    let mut headers = HeaderMap::new();
    for field in fields.split('|').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once(": ").expect("a field");
        let name = HeaderName::try_from(name).expect("a field name");
        headers.append(name, HeaderValue::try_from(value).expect("a field value"));
    }
    let (parts, body) = files.respond(&method, &uri, &headers, now).into_parts();
    let len = body.len();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let body = runtime.block_on(body.collect()).expect("it is whole").to_bytes().to_vec();
    assert_eq!(len, Some(body.len() as u64), "a body of another length than it says");
    Answer { status: parts.status, fields: parts.headers, len, body }
}
