//! `ropewalk run`, and what a running command can be asked.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{Ended, Folder, Running, command, connect, get, run, site, status, until};

/// A folder with a site, a file, and a control socket of its own.
pub(crate) struct Place {
    pub(crate) folder: Folder,
}

impl Place {
    pub(crate) fn new(sections: &str) -> Self {
        let place = Self { folder: site() };
        place.write(sections);
        place
    }

    /// Writes the file anew. What stands before all sections stays there.
    pub(crate) fn write(&self, text: &str) {
        let (before, sections) = text.split_at(text.find('[').unwrap_or(0));
        let text = format!("{before}[control]\nsocket = \"control.sock\"\n{sections}");
        fs::write(self.file(), text).expect("a file");
    }

    pub(crate) fn file(&self) -> String {
        self.folder.join("ropewalk.toml")
    }

    pub(crate) fn run(&self) -> Running {
        Running::start(&["run", &self.file()])
    }

    /// `ropewalk WHAT`, of what runs here.
    pub(crate) fn ask(&self, what: &[&str]) -> Ended {
        run(&[what, &[&self.file()]].concat())
    }

    pub(crate) fn reload(&self) -> Ended {
        self.ask(&["reload"])
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        let ended = self.ask(&["status", "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        serde_json::from_str(&ended.out).expect("JSON")
    }

    /// Waits until the first listener has received something.
    fn until_read(&self) {
        let received = || self.status()["services"][0]["listeners"][0]["received"].clone();
        until("it is read", || (received() != 0).then_some(()));
    }

    /// Writes another file.
    fn replace(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).expect("a file");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn web(port: u16, more: &str) -> String {
    format!("[[web]]\nlisten = [\"tcp:127.0.0.1:{port}\"]\npath = \"site\"\n{more}\n")
}

/// Asks on a connection that stays open.
pub(crate) fn keep(stream: &mut (impl Read + Write), target: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head is ASCII").to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ").expect("a length");
    let length = length.split("\r\n").next().and_then(|n| n.parse().ok()).expect("a number");
    stream.read_exact(&mut vec![0; length]).expect("a body");
    status(&head)
}

#[test]
fn a_reload_keeps_connections_opens_and_drains() {
    for before in ["", "workers = 2\n"] {
        keeps_opens_and_drains(before);
    }
}

fn keeps_opens_and_drains(before: &str) {
    let (stays, goes, comes) = (free_port(), free_port(), free_port());
    let before = before.to_owned();
    let place = Place::new(&(before.clone() + &web(stays, "") + &web(goes, "name = \"other\"")));
    let mut running = place.run();
    running.line(&format!("127.0.0.1:{goes}"));
    let (mut kept, mut idle) = (connect(local(stays)), connect(local(goes)));
    assert_eq!((keep(&mut kept, "/hello.txt"), keep(&mut idle, "/hello.txt")), (200, 200));
    assert_eq!(keep(&mut kept, "/.hidden"), 404);

    place.write(&(before + &web(stays, "dotfiles = true") + &web(comes, "name = \"new\"")));
    let ended = place.reload();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "reloaded");
    assert!(lines[1].contains(&format!("http://127.0.0.1:{comes}/")), "{lines:?}");
    assert!(lines[2].starts_with("other no longer at "), "{lines:?}");

    assert_eq!(keep(&mut kept, "/.hidden"), 404, "a connection keeps the settings it began with");
    assert_eq!(status(&get(local(stays), "/.hidden").0), 200, "a new one has the new ones");
    assert_eq!(status(&get(local(comes), "/hello.txt").0), 200);
    assert_eq!(idle.read(&mut [0; 16]).expect("a clean end"), 0, "the idle one has ended");
    until("the old port is closed", || TcpStream::connect(local(goes)).err());

    let told = place.status();
    assert_eq!(told["reloads"], 1);
    assert_eq!(told["services"][0]["listeners"][0]["accepted"], 2, "{told}");
    assert_eq!(told["services"][0]["listeners"][0]["connections"], 1, "{told}");
    assert_eq!(told["services"][1]["name"], "new");
    drop(kept);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_removed_listener_lets_downloads_finish() {
    const LARGE: usize = 32 * 1024 * 1024;
    let (stays, goes) = (free_port(), free_port());
    let place = Place::new(&(web(stays, "") + &web(goes, "")));
    fs::write(place.folder.path().join("site/large.bin"), vec![7; LARGE]).expect("a file");
    let mut running = place.run();
    running.line(&format!("127.0.0.1:{goes}"));
    let mut stream = connect(local(goes));
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it listens");
    stream.read_exact(&mut [0; 1024]).expect("it has begun");
    place.write(&web(stays, ""));
    assert_eq!(place.reload().code, Some(0));
    let told = place.status();
    assert_eq!(told["draining"][0]["connections"], 1, "{told}");
    let table = place.ask(&["status"]).out;
    assert!(table.contains("(removed)"), "{table}");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("all of it");
    assert!(rest.len() > LARGE - 1024, "{}", rest.len());
    drop(stream);
    until("it has drained", || (place.status()["draining"] == serde_json::json!([])).then_some(()));
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let (port, taken) = (free_port(), TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let busy = taken.local_addr().expect("it is bound").port();
    let place = Place::new(&web(port, ""));
    let mut running = place.run();
    running.line(&format!("127.0.0.1:{port}"));
    let mut kept = connect(local(port));
    assert_eq!(keep(&mut kept, "/hello.txt"), 200);
    let bad = [
        ("[[web]\n".to_owned(), "ropewalk.toml:3"),
        (web(port, "dotfile = true"), "ropewalk.toml:6: web.dotfile: no such key: did you mean"),
        (web(port, "") + &web(busy, ""), "in use"),
        (web(port, "dotfiles = true") + "path = \"nowhere\"\n", "ropewalk.toml:7"),
        (web(free_port(), "") + "\n[log]\nlevel = \"loud=very\"\n", "log.level"),
        (String::new(), "no service"),
    ];
    for (sections, why) in &bad {
        place.write(sections);
        let ended = place.reload();
        assert!(ended.code.is_some_and(|code| code >= 64), "{sections}: {}", ended.out);
        assert!(ended.err.contains(why), "{sections}: {}", ended.err);
        running.line("not reloaded: ");
        assert!(running.said.last().is_some_and(|line| line.contains(why)), "{sections}");
        assert_eq!(keep(&mut kept, "/hello.txt"), 200);
        assert_eq!(status(&get(local(port), "/.hidden").0), 404, "the old settings hold");
    }
    let told = place.status();
    assert_eq!((&told["reloads"], &told["failed_reloads"]), (&0.into(), &bad.len().into()));
    place.write(&web(port, "dotfiles = true"));
    running.signal(Signal::HUP);
    running.line("SIGHUP: reloading");
    running.line("reloaded");
    assert_eq!(status(&get(local(port), "/.hidden").0), 200);
    assert_eq!(keep(&mut kept, "/hello.txt"), 200);
    drop(kept);
    assert_eq!(running.stop().code, Some(0));
}

/// A certificate with its key, in one file.
fn certificate() -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    certificate.pem() + &key.serialize_pem()
}

/// A connection to the server that shows the certificate of this fingerprint, through a relay that
/// speaks TLS for us.
fn over_tls(
    folder: &Folder,
    socket: &str,
    port: u16,
    pin: &serde_json::Value,
) -> (Running, UnixStream) {
    let pin = pin.as_str().expect("a fingerprint");
    let (path, to) = (folder.join(socket), format!("tls:127.0.0.1:{port}:pin={pin}"));
    let mut relay = Running::start(&["forward", "--listen", &format!("unix:{path}"), "--to", &to]);
    relay.line("forwarding");
    let stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(crate::harness::LIMIT)).expect("a socket");
    (relay, stream)
}

#[test]
fn a_certificate_is_replaced_by_rubbish_and_then_by_a_good_one() {
    let port = free_port();
    let place = Place::new(&format!(
        "[[web]]\nlisten = [\"tls:127.0.0.1:{port}:cert=site.pem\"]\npath = \"site\"\n"
    ));
    place.replace("site.pem", &certificate());
    let mut running = place.run();
    running.line(&format!("https://127.0.0.1:{port}/"));
    let shown = || place.status()["services"][0]["listeners"][0]["certificate"].clone();
    let first = shown();
    assert!(first.is_string());
    let (_relay, mut kept) = over_tls(&place.folder, "first.sock", port, &first);
    assert_eq!(keep(&mut kept, "/hello.txt"), 200);

    place.replace("site.pem", "rubbish");
    let ended = place.reload();
    assert_eq!(ended.code, Some(78), "{}", ended.err);
    assert!(ended.err.contains("site.pem") && ended.err.contains("web.listen[0]"), "{}", ended.err);
    assert_eq!(shown(), first, "the old one stays");
    fs::remove_file(place.folder.path().join("site.pem")).expect("it is there");
    assert_ne!(place.reload().code, Some(0));
    assert_eq!(shown(), first, "the old one stays");

    place.replace("site.pem", &certificate());
    running.signal(Signal::HUP);
    running.line("reloaded");
    let second = shown();
    assert_ne!(second, first);
    let (_relay, mut new) = over_tls(&place.folder, "second.sock", port, &second);
    assert_eq!(keep(&mut new, "/hello.txt"), 200, "whoever comes now sees the new one");
    assert_eq!(keep(&mut kept, "/hello.txt"), 200, "the connection from before goes on");
    drop((kept, new));
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_start_that_cannot_be_says_so_and_starts_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (free, busy) = (free_port(), taken.local_addr().expect("it is bound").port());
    let place = Place::new(&(web(free, "") + &web(busy, "")));
    let ended = run(&["run", &place.file()]);
    assert_eq!(ended.code, Some(69), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(ended.err.contains("ropewalk.toml:8: web.listen[0]: "), "{}", ended.err);
    assert!(ended.err.contains("in use"), "{}", ended.err);
    assert!(!Path::new(&place.folder.join("control.sock")).exists());
    let missing = place.folder.join("none.toml");
    let ended = run(&["run", &missing]);
    assert_eq!(ended.code, Some(66), "{}", ended.err);
    assert!(ended.err.contains("ropewalk init"), "{}", ended.err);
}

#[test]
fn after_kill_9_it_starts_again_where_it_was() {
    let (port, place) = (free_port(), Place::new(""));
    place.write(&(web(port, "") + "[[web]]\nlisten = [\"unix:web.sock\"]\npath = \"site\"\n"));
    let control = place.folder.path().join("control.sock");
    for _ in 0..2 {
        let mut running = place.run();
        running.line("unix:");
        assert_eq!(status(&get(local(port), "/hello.txt").0), 200);
        let mode = fs::metadata(&control).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = run(&["run", &place.file()]);
        assert_eq!(second.code, Some(69), "one at a time: {}", second.err);
        running.signal(Signal::KILL);
        running.wait();
        assert!(control.exists(), "it is stale now");
        let ended = place.ask(&["status"]);
        assert_eq!(ended.code, Some(69), "{}", ended.err);
        assert!(ended.err.contains("no command is running there"), "{}", ended.err);
    }
    let mut running = place.run();
    running.line("unix:");
    assert_eq!(running.stop().code, Some(0));
    assert!(!control.exists());
}

#[test]
fn stop_waits_for_the_end() {
    let place = Place::new("");
    place.write(&web(free_port(), ""));
    let mut running = place.run();
    let address = running.address();
    let mut open = connect(address);
    open.write_all(b"GET /hello.txt HTTP/1.1\r\n").expect("it listens");
    place.until_read();
    let file = place.file();
    let mut stopping = Running::spawn(&mut command(&["stop", &file]));
    running.line("asked to by the control socket");
    assert_eq!(place.status()["stopping"], true);
    assert_ne!(place.reload().code, Some(0), "it is too late for that");
    assert!(stopping.ended().is_none(), "one is busy");
    until("the port is closed", || TcpStream::connect(address).err());
    open.write_all(b"Host: localhost\r\n\r\n").expect("it is open");
    let mut answer = String::new();
    open.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("Hello, world!"), "{answer}");
    drop(open);
    assert_eq!(stopping.wait(), Some(0));
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new(&web(free_port(), ""));
    let mut running = place.run();
    let mut open = connect(running.address());
    open.write_all(b"GET /hello.txt HTTP/1.1\r\n").expect("it listens");
    place.until_read();
    running.signal(Signal::TERM);
    running.line("SIGTERM: stopping");
    assert!(running.ended().is_none(), "one is busy");
    let begin = Instant::now();
    running.signal(Signal::TERM);
    running.wait();
    assert!(begin.elapsed().as_secs() < 5);
}

#[test]
fn status_is_a_table_or_json() {
    let (first, second) = (free_port(), free_port());
    let relay = format!(
        "[[forward]]\nname = \"relay\"\nlisten = [\"tcp:127.0.0.1:{second}\"]\n\
         to = \"tcp:127.0.0.1:{first}\"\n"
    );
    let place = Place::new(&(web(first, "") + &relay));
    let mut running = place.run();
    running.line("forwarding");
    assert_eq!(status(&get(local(second), "/hello.txt").0), 200);
    let table = until("it is counted", || {
        let table = place.ask(&["status"]).out;
        (!table.contains(" 0 B")).then_some(table)
    });
    for part in ["SERVICE", "relay", &format!("127.0.0.1:{first}"), "running", "reloads: 0"] {
        assert!(table.contains(part), "{part:?} is not in:\n{table}");
    }
    let told = place.status();
    assert_eq!(told["services"][1]["kind"], "forward");
    assert!(told["services"][1]["listeners"][0]["sent"].as_u64().is_some_and(|sent| sent > 13));
    assert_eq!(told["stopping"], false);
    assert!(told["file"].as_str().is_some_and(|file| file.ends_with("/ropewalk.toml")));
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn the_control_socket_answers_rubbish_and_goes_on() {
    let place = Place::new(&web(free_port(), ""));
    let mut running = place.run();
    running.address();
    for words in ["rubbish\n".to_owned(), "{\"do\":\"dance\"}\n".to_owned(), "x".repeat(10_000)] {
        let path = place.folder.join("control.sock");
        let mut stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(crate::harness::LIMIT)).expect("a socket");
        let _ = stream.write_all(words.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.contains("failed"), "{words:.20}: {answer}");
    }
    assert_eq!(place.status()["reloads"], 0);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn one_service_from_options_reloads_its_certificate() {
    let place = Place::new("");
    place.replace("site.pem", &certificate());
    let (pem, root) = (place.folder.join("site.pem"), place.folder.join("site"));
    let control = place.folder.join("one.sock");
    let arguments = ["web", "--listen", "tcp:127.0.0.1:0", "--path", &root, "--tls", &pem];
    let mut running = Running::start(&[&arguments[..], &["--control", &control]].concat());
    running.address();
    let told = || {
        let ended = run(&["status", "--json", "--control", &control]);
        serde_json::from_str::<serde_json::Value>(&ended.out).expect("JSON")
    };
    let first = told();
    assert_eq!(first["file"], serde_json::Value::Null);
    place.replace("site.pem", &certificate());
    running.signal(Signal::HUP);
    running.line("reloaded");
    let listener = |told: &serde_json::Value| told["services"][0]["listeners"][0].clone();
    let (first, second) = (listener(&first), listener(&told()));
    assert_ne!(first["certificate"], second["certificate"]);
    assert_eq!(first["addresses"], second["addresses"]);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn the_access_log_goes_on_over_a_reload() {
    let port = free_port();
    let place = Place::new(&web(port, "log = \"combined\""));
    let mut running =
        Running::spawn(command(&["run", &place.file()]).stdout(std::process::Stdio::piped()));
    running.line("serving");
    let mut stdout = running.stdout();
    let mut kept = connect(local(port));
    assert_eq!(keep(&mut kept, "/hello.txt?1"), 200);
    assert_eq!(place.reload().code, Some(0));
    assert_eq!(keep(&mut kept, "/hello.txt?2"), 200);
    assert_eq!(status(&get(local(port), "/hello.txt?3").0), 200);
    drop(kept);
    assert_eq!(running.stop().code, Some(0));
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("text");
    for part in ["?1 ", "?2 ", "?3 "] {
        assert_eq!(text.matches(part).count(), 1, "{text}");
    }
}

#[test]
fn check_init_and_print_config() {
    let folder = Folder::new();
    let file = folder.join("ropewalk.toml");
    let ended = run(&["init", &file]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let text = fs::read_to_string(&file).expect("a file");
    let again = run(&["init", &file]);
    assert_eq!(again.code, Some(73), "{}", again.err);
    assert_eq!(fs::read_to_string(&file).expect("a file"), text, "it stays as it is");
    let ended = run(&["check", &file]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.contains("nothing is wrong"), "{}", ended.out);

    fs::write(&file, "[[web]]\npth = \".\"\n[[web]]\ndotfiles = 1\n").expect("a file");
    let ended = run(&["check", &file]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(78), ""));
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, part) in lines.iter().zip([":2: web.pth: no such key", ":4: web.dotfiles: invalid"])
    {
        assert!(line.starts_with("ropewalk: ") && line.contains(part), "{line}");
    }
    let ended = run(&["web", "--listen", "8081", "--rate", "2M", "--grace", "5", "--print-config"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let expected = "grace = 5\n\n[[web]]\nlisten = [\"8081\"]\n\n[web.limits]\nrate = \"2M\"\n";
    assert_eq!(ended.out, expected);
    fs::write(&file, ended.out).expect("a file");
    assert_eq!(run(&["check", &file]).code, Some(0));
}
