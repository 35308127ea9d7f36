//! What all of these tests need: a site, clients, and a look at the process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use ropewalk_core::{Connection, Reactor};
use ropewalk_http::session::Client;
use ropewalk_http::{Body, BodyLength, Event, Incoming, Outgoing, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::{sleep, timeout};

pub(crate) const MIB: usize = 1024 * 1024;

/// The most that anything on sockets here takes.
const LONG: Duration = Duration::from_secs(30);

/// Whether this process is the test's own, because the test looks at all of a process, or lowers its
/// limits. If not, runs the test, whose name this is, in one that is; then there is nothing left to do.
pub(crate) fn alone(test: &str) -> bool {
    const ALONE: &str = "ROPEWALK_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let child = command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    let passed = child.status.success() && text.contains("1 passed");
    assert!(passed, "{test}: {text}{}", String::from_utf8_lossy(&child.stderr));
    false
}

/// Sets how many descriptors the process may have open; by default as many as it may ask for.
pub(crate) fn limit_descriptors(most: Option<u64>) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: most.or(limit.maximum), ..limit }).unwrap();
}

/// How many descriptors the process has open.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The resident memory of the process in bytes.
pub(crate) fn memory() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Waits until `what` is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !so() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {LONG:?}");
}

/// Within a bound, so that a server that hangs is a failure and not a wait.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"))
}

/// `/upload` says how many bytes came, `/large` is large, anything else is small.
async fn site(request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/upload" => {
            let content = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(Body::from(content.len().to_string()))
        }
        "/large" => Response::new(Body::from(vec![b'x'; 32 * MIB])),
        _ => Response::new(Body::from("fine")),
    }
}

/// A server on a port of its own, and what to connect to.
pub(crate) async fn serve() -> (Reactor, String) {
    let reactor = Reactor::new().unwrap();
    let listening = reactor.listen("tcp:127.0.0.1:0", Server::new(site)).await.unwrap();
    let port = listening.local().port().unwrap();
    (reactor, format!("tcp:127.0.0.1:{port}"))
}

pub(crate) async fn dial(reactor: &Reactor, address: &str) -> Connection<Client> {
    let transport = soon("connecting", reactor.connect(address)).await.unwrap();
    Connection::new(Client::default(), transport)
}

pub(crate) async fn ask(conn: &mut Connection<Client>, path: &str) {
    let request = Request::get(path).header("host", "site.test").body(BodyLength::Empty);
    conn.send(request.unwrap()).await.unwrap();
    conn.send(Outgoing::End).await.unwrap();
    conn.flush().await.unwrap();
}

/// How many bytes of content the answer has, if it came whole, and what `each` piece of it was told.
pub(crate) async fn hear(
    conn: &mut Connection<Client>,
    mut each: impl FnMut(&[u8]),
) -> Result<usize, String> {
    let mut length = 0;
    loop {
        match conn.next().await.map_err(|error| format!("{error} after {length} bytes"))? {
            Some(Event::Data(data)) => {
                length += data.len();
                each(&data);
            }
            Some(Event::End) => return Ok(length),
            Some(_) => {}
            None => return Err(format!("ended after {length} bytes")),
        }
    }
}

/// A good client's whole visit.
pub(crate) async fn visit(conn: &mut Connection<Client>) {
    ask(conn, "/").await;
    let mut text = Vec::new();
    soon("an answer", hear(conn, |data| text.extend_from_slice(data))).await.unwrap();
    assert_eq!(text, b"fine");
}

/// A folder, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-adversity-{}-{count}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file of so many times this byte.
    pub(crate) fn file(&self, name: &str, byte: u8, length: usize) -> PathBuf {
        fs::write(self.path(name), vec![byte; length]).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
