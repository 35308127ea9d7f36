//! Starts the command, reads what it says, and ends it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The command, running. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What it said so far.
    pub(crate) said: Vec<String>,
}

/// The command, ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Running {
    /// Starts it with text logs.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments).args(["--log-format", "text"]))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the command was built");
        let (sender, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines, said: Vec::new() }
    }

    /// The next line on standard error with `part` in it.
    pub(crate) fn line(&mut self, part: &str) -> String {
        self.line_with(part, |line| line.contains(part))
    }

    /// As [`line`](Self::line), where other lines may hold the same words.
    pub(crate) fn line_that_begins(&mut self, begin: &str) -> String {
        self.line_with(begin, |line| line.starts_with(begin))
    }

    fn line_with(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it did not say {what:?}, but:\n{}", self.said.join("\n"));
            };
            self.said.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Where it serves or forwards from, off its first line that says so.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line("127.0.0.1:");
        let at = line.find("127.0.0.1:").expect("it is there");
        let address = line[at..].split(['/', ' ', '"']).next().expect("an address");
        address.parse().unwrap_or_else(|_| panic!("an address in {line}"))
    }

    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("it is piped")
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("it is piped")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is ours");
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is ours")
    }

    /// Waits for its end and returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        until("the command ends", || self.ended()).code()
    }

    /// SIGTERM, its end, and the rest of what it said.
    pub(crate) fn stop(mut self) -> Ended {
        self.signal(Signal::TERM);
        let code = self.wait();
        let rest = self.lines.iter();
        self.said.extend(rest);
        let err = self.said.join("\n");
        assert!(!err.contains("panicked"), "{err}");
        Ended { code, out: String::new(), err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let mut running = Running::spawn(command(arguments).stdout(Stdio::piped()));
    let mut stdout = running.stdout();
    let out = thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).expect("a pipe");
        String::from_utf8(text).expect("text")
    });
    let code = running.wait();
    let err = running.lines.iter().collect::<Vec<_>>().join("\n");
    assert!(!err.contains("panicked"), "{arguments:?}: {err}");
    Ended { code, out: out.join().expect("no panic"), err }
}

/// A folder that is removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-command-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a writable temporary folder");
        Self(path)
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn text(&self) -> String {
        self.0.display().to_string()
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A site with the files that the tests ask for.
pub(crate) fn site() -> Folder {
    Folder::new()
        .with("site/hello.txt", "Hello, world!")
        .with("site/.hidden", "hidden")
        .with("site/home.html", "<p>home</p>")
        .with("site/sub/a.txt", "a")
        .with("secret.txt", "outside the root")
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream.set_write_timeout(Some(LIMIT)).expect("a socket");
    stream
}

/// A whole response, head and body, to a request for `target`.
pub(crate) fn get(address: SocketAddr, target: &str) -> (String, Vec<u8>) {
    ask(connect(address), target)
}

pub(crate) fn ask(stream: impl Read + Write, target: &str) -> (String, Vec<u8>) {
    ask_of(stream, "localhost", target)
}

/// As [`ask`], of this host.
pub(crate) fn ask_of(mut stream: impl Read + Write, host: &str, target: &str) -> (String, Vec<u8>) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("a response");
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = response.split_off(end);
    (String::from_utf8(response).expect("a head is ASCII"), body)
}

pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line")
}

/// A pipe whose reader has left.
pub(crate) fn closed_pipe() -> Stdio {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// What a service manager listens on, as systemd does.
pub(crate) struct Manager {
    name: String,
    socket: std::os::unix::net::UnixDatagram,
}

impl Manager {
    /// One of this name, which no other test has.
    pub(crate) fn new(name: &str) -> Self {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("ropewalk-{name}-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = std::os::unix::net::UnixDatagram::bind_addr(&address).expect("a free name");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        Self { name, socket }
    }

    /// For `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// The next thing that it is told.
    pub(crate) fn hears(&self) -> String {
        let mut buffer = [0; 500];
        let length = self.socket.recv(&mut buffer).expect("it says something");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }
}
