//! A new process takes over from the running one.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::{
    Folder, LIMIT, Manager, Running, ask, command, connect, get, run, site, status, until,
};

/// A server that may be replaced: it has a pidfile, and whoever holds that is ended when this is
/// dropped.
struct Lineage {
    site: Folder,
    pidfile: PathBuf,
    /// The first of them, which is our child.
    first: Running,
    address: SocketAddr,
}

impl Lineage {
    fn start(more: &[&str]) -> Self {
        Self::start_as(env!("CARGO_BIN_EXE_ropewalk"), site(), |command| {
            command.args(more);
        })
    }

    fn start_as(program: &str, site: Folder, more: impl FnOnce(&mut Command)) -> Self {
        let (pidfile, root) = (site.join("web.pid"), site.join("site"));
        let mut command = Command::new(program);
        command.args(["web", "--listen", "tcp:127.0.0.1:0", "--path", &root]);
        command.args(["--pidfile", &pidfile, "--log-format", "text"]);
        command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        more(&mut command);
        let mut first = Running::spawn(&mut command);
        let address = first.address();
        Self { site, pidfile: pidfile.into(), first, address }
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.pidfile).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Asks whoever runs, and waits for the next one.
    fn upgrade(&self) {
        let before = self.pid().expect("it runs");
        kill_process(before, Signal::USR2).expect("it runs");
        until("the next has taken over", || self.pid().filter(|pid| *pid != before));
    }

    /// SIGTERM for whoever runs, who is no child of ours.
    fn stop(&self) {
        let pid = self.pid().expect("it runs");
        kill_process(pid, Signal::TERM).expect("it runs");
        until("the last has ended", || (!self.pidfile.exists()).then_some(()));
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Asks all the time, each time on a new connection or on one that is kept; any failure is a panic.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    askers: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (ends, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let askers = [false, true, true].map(|keeps| {
            let (ends, answered) = (ends.clone(), answered.clone());
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let asked = if keeps { keep_asking(address, &ends) } else { ask_once(address) };
                    answered.fetch_add(asked, Ordering::Relaxed);
                }
            })
        });
        Self { ends, answered, askers: askers.into() }
    }

    /// Waits for so many more answers.
    pub(crate) fn wait(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        until("answers", || (self.answered.load(Ordering::Relaxed) >= wanted).then_some(()));
    }

    pub(crate) fn end(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        for asker in self.askers {
            asker.join().expect("no request has failed");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

fn ask_once(address: SocketAddr) -> usize {
    assert_eq!(status(&get(address, "/hello.txt").0), 200);
    1
}

/// On one connection until an answer says that it was the last, or for some time.
fn keep_asking(address: SocketAddr, ends: &AtomicBool) -> usize {
    let mut stream = connect(address);
    for asked in 1.. {
        stream
            .write_all(b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("it listens");
        let mut answer = Vec::new();
        while !answer.ends_with(b"Hello, world!") {
            let mut bytes = [0; 1000];
            let length = stream.read(&mut bytes).expect("an answer");
            assert!(length > 0, "the connection ended without an answer after {asked} requests");
            answer.extend_from_slice(&bytes[..length]);
        }
        let answer = String::from_utf8(answer).expect("text").to_ascii_lowercase();
        if answer.contains("connection: close") || asked == 200 || ends.load(Ordering::Relaxed) {
            return asked;
        }
        thread::sleep(Duration::from_millis(1));
    }
    0
}

#[test]
fn no_request_fails_while_one_takes_over_from_the_other() {
    for more in [&[][..], &["--workers", "2"]] {
        let mut lineage = Lineage::start(more);
        let load = Load::start(lineage.address);
        load.wait(20);
        for generation in 0..3 {
            lineage.upgrade();
            if generation == 0 {
                assert_eq!(lineage.first.wait(), Some(0), "{:?}", lineage.first.said);
            }
            load.wait(100);
        }
        assert!(load.end() > 320);
        lineage.stop();
        TcpStream::connect(lineage.address).expect_err("nobody listens any more");
    }
}

#[test]
fn unix_sockets_stay_where_they_are() {
    let site = site();
    let path = site.join("web.sock");
    let listen = format!("unix:{path}:mode=660");
    let mut lineage = Lineage::start_as(env!("CARGO_BIN_EXE_ropewalk"), site, |command| {
        command.args(["--listen", &listen]);
    });
    // Nor does one that fails after it has taken them over remove them.
    let (root, moved) = (lineage.site.join("site"), lineage.site.join("moved"));
    fs::rename(&root, &moved).expect("it is there");
    lineage.first.signal(Signal::USR2);
    lineage.first.line("no upgrade");
    UnixStream::connect(&path).expect("it is there");
    fs::rename(&moved, &root).expect("it is there");
    for _ in 0..2 {
        lineage.upgrade();
        let stream = UnixStream::connect(&path).expect("it is there");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        assert_eq!(status(&ask(stream, "/hello.txt").0), 200);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o660);
    }
    lineage.stop();
    until("the last removes it", || fs::metadata(&path).is_err().then_some(()));
}

#[test]
fn a_download_under_way_is_finished_by_the_old_one() {
    let site = site().with("site/large.bin", vec![7; 32 * 1024 * 1024]);
    let mut lineage = Lineage::start_as(env!("CARGO_BIN_EXE_ropewalk"), site, |_| ());
    let mut stream = connect(lineage.address);
    let request = b"GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it listens");
    stream.read_exact(&mut [0; 1000]).expect("a beginning");
    lineage.upgrade();
    assert_eq!(status(&get(lineage.address, "/hello.txt").0), 200);
    // A service manager that stops all processes of a service asks this one for the first time.
    lineage.first.signal(Signal::TERM);
    lineage.first.line("stopping");
    assert!(lineage.first.ended().is_none(), "it waits for the download");
    let rest = stream.read_to_end(&mut Vec::new()).expect("all of it");
    assert!(rest > 32 * 1024 * 1024 - 1000);
    drop(stream);
    assert_eq!(lineage.first.wait(), Some(0));
    lineage.stop();
}

#[test]
fn one_that_cannot_start_leaves_all_as_it_was() {
    let mut lineage = Lineage::start(&[]);
    let pid = lineage.pid();
    let moved = lineage.site.path().join("moved");
    fs::rename(lineage.site.path().join("site"), &moved).expect("it is there");
    for _ in 0..2 {
        lineage.first.signal(Signal::USR2);
        let line = lineage.first.line("no upgrade");
        assert!(line.contains("site") && line.contains("No such file"), "{line}");
        assert_eq!(lineage.pid(), pid);
        assert_eq!(status(&get(lineage.address, "/hello.txt").0), 200);
    }
    fs::rename(&moved, lineage.site.path().join("site")).expect("it is there");
    lineage.upgrade();
    assert_eq!(status(&get(lineage.address, "/hello.txt").0), 200);
    assert_eq!(lineage.first.wait(), Some(0));
    lineage.stop();
}

#[test]
fn the_command_asks_for_it_and_says_what_has_come_of_it() {
    let lineage = Lineage::start(&[]);
    let path = lineage.pidfile.display().to_string();
    let arguments = ["upgrade", "--pidfile", &path];
    let ended = run(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let pid = lineage.pid().expect("it runs").as_raw_pid();
    assert_eq!(ended.out, format!("process {pid} has taken over\n"));
    let site = lineage.site.path().join("site");
    fs::rename(&site, site.with_extension("moved")).expect("it is there");
    let ended = run(&arguments);
    assert_eq!(ended.code, Some(69), "{}", ended.err);
    assert!(ended.err.contains(&format!("process {pid} goes on as before")), "{}", ended.err);
    lineage.stop();
    let ended = run(&arguments);
    assert_eq!(ended.code, Some(66), "{}", ended.err);
}

/// The program in a folder of its own, so that it can be replaced as a package does.
fn installed() -> (Folder, String) {
    let site = site();
    let program = site.join("ropewalk");
    let built = env!("CARGO_BIN_EXE_ropewalk");
    if fs::hard_link(built, &program).is_err() {
        fs::copy(built, &program).expect("room for a copy");
    }
    (site, program)
}

fn replace(program: &str, script: &str) {
    let new = format!("{program}.new");
    fs::write(&new, script).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("ours");
    fs::rename(&new, program).expect("the same folder");
}

#[test]
fn what_was_installed_meanwhile_is_started() {
    let (site, program) = installed();
    let mut lineage = Lineage::start_as(&program, site, |_| ());
    replace(&program, "#!/bin/sh\nexit 3\n");
    lineage.first.signal(Signal::USR2);
    let line = lineage.first.line("no upgrade");
    assert!(line.contains("it has ended (exit status: 3)"), "{line}");
    let real = env!("CARGO_BIN_EXE_ropewalk");
    replace(&program, &format!("#!/bin/sh\nexec {real} \"$@\" --index new.html\n"));
    fs::write(lineage.site.path().join("site/new.html"), "new").expect("a file");
    lineage.upgrade();
    // For a moment both answer.
    assert_eq!(lineage.first.wait(), Some(0));
    assert!(get(lineage.address, "/").1 == b"new", "the new one knows another index");
    lineage.stop();
}

#[test]
fn a_stop_ends_the_upgrade_too() {
    let (site, program) = installed();
    let told = site.join("told");
    let mut lineage = Lineage::start_as(&program, site, |_| ());
    replace(&program, &format!("#!/bin/sh\necho $$ > {told}\nexec sleep 100\n"));
    lineage.first.signal(Signal::USR2);
    let pid: i32 = until("it was started", || fs::read_to_string(&told).ok()?.trim().parse().ok());
    assert_eq!(status(&get(lineage.address, "/hello.txt").0), 200);
    lineage.first.signal(Signal::TERM);
    assert_eq!(lineage.first.wait(), Some(0), "{:?}", lineage.first.said);
    let pid = Pid::from_raw(pid).expect("a process id");
    test_kill_process(pid).expect_err("it has been ended");
    assert!(!lineage.pidfile.exists());
}

#[test]
fn dropped_privileges_stay_dropped() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let site = site();
    fs::set_permissions(site.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let figures = format!("unix:{}", site.join("figures.sock"));
    let lineage = Lineage::start_as(env!("CARGO_BIN_EXE_ropewalk"), site, |command| {
        // A port that only root may open, and a socket in a folder that only root may write to.
        let more = ["--user", "nobody", "--listen", "tcp:127.86.0.2:82", "--metrics", &figures];
        command.args(more);
    });
    for _ in 0..2 {
        lineage.upgrade();
        let pid = lineage.pid().expect("it runs").as_raw_pid();
        let status_of = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        assert!(status_of.contains("Uid:\t65534\t65534\t65534\t65534"), "{status_of}");
        let address = "127.86.0.2:82".parse().expect("an address");
        assert_eq!(status(&get(address, "/hello.txt").0), 200);
        let stream = UnixStream::connect(&figures["unix:".len()..]).expect("it is there");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        let (_, text) = ask(stream, "/metrics");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("process_open_fds "), "it sees its own: {text}");
    }
    kill_process(lineage.pid().expect("it runs"), Signal::TERM).expect("it runs");
    until("it is emptied", || fs::read_to_string(&lineage.pidfile).ok().filter(String::is_empty));
}

#[test]
fn the_service_manager_hears_who_is_the_main_process_now() {
    let manager = Manager::new("upgrade");
    let hears = || manager.hears();
    let mut lineage = Lineage::start_as(env!("CARGO_BIN_EXE_ropewalk"), site(), |command| {
        command.env("NOTIFY_SOCKET", manager.address());
    });
    assert_eq!(hears(), "READY=1");
    lineage.upgrade();
    let pid = lineage.pid().expect("it runs").as_raw_pid();
    assert_eq!(hears(), format!("MAINPID={pid}"));
    assert_eq!(lineage.first.wait(), Some(0));
    lineage.stop();
    assert_eq!(hears(), "STOPPING=1", "of the new one only");
}

#[test]
fn standard_input_cannot_be_handed_over() {
    let site = site();
    let root = site.join("site");
    let arguments = [
        "web",
        "--listen",
        "stdio:",
        "--listen",
        "tcp:127.0.0.1:0",
        "--log",
        "off",
        "--path",
        &root,
    ];
    let mut command = command(&arguments);
    command.stdin(std::process::Stdio::piped()).args(["--log-format", "text"]);
    let mut running = Running::spawn(&mut command);
    let _held = running.stdin();
    running.line("127.0.0.1:");
    running.line(if rustix::process::geteuid().is_root() { "root" } else { "" });
    running.signal(Signal::USR2);
    let line = running.line("no upgrade");
    assert!(line.contains("stdio: cannot be handed over"), "{line}");
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
}
