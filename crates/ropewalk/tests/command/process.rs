//! Who the process is, what names it, who is told of it, and where its logs and figures are.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::{Folder, Manager, Running, command, get, run, site, status, until};

/// A user that every system has, and that nothing belongs to.
const NOBODY: u32 = 65534;

fn web<'a>(root: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["web", "--listen", "tcp:127.0.0.1:0", "--path", root], more].concat()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The field of each thread's status.
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of = |path: &Path| {
        let status = fs::read_to_string(path.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Some(line.expect("a field").split_whitespace().collect::<Vec<_>>().join(" "))
    };
    threads.filter_map(|thread| of(&thread.expect("a thread").path())).collect()
}

#[test]
fn every_thread_has_dropped_its_privileges_and_the_port_is_open() {
    if !is_root() {
        return;
    }
    let site = site();
    let root = site.join("site");
    for more in [&["--user", "65534", "--group", "65534"][..], &["--user", "nobody"]] {
        for workers in [&[][..], &["--workers", "2"]] {
            // A port that only root may open.
            let arguments = ["web", "--listen", "tcp:127.86.0.1:81", "--path", &root, "-v"];
            let mut running = Running::start(&[&arguments, more, workers].concat());
            running.line("serving");
            let address: SocketAddr = "127.86.0.1:81".parse().expect("an address");
            assert_eq!(status(&get(address, "/hello.txt").0), 200);
            let pid = running.pid();
            for field in ["Uid", "Gid"] {
                let ids = of_threads(pid, field);
                assert!(ids.len() > 1, "it has threads");
                assert!(ids.iter().all(|ids| ids == "65534 65534 65534 65534"), "{field} {ids:?}");
            }
            for (field, none) in [
                ("CapPrm", "0000000000000000"),
                ("CapEff", "0000000000000000"),
                ("CapAmb", "0000000000000000"),
                ("NoNewPrivs", "1"),
                ("Groups", "65534"),
            ] {
                let values = of_threads(pid, field);
                assert!(values.iter().all(|value| value == none), "{field} {values:?}");
            }
            let ended = running.stop();
            assert!(!ended.err.contains("runs as root"), "{}", ended.err);
            assert_eq!(ended.code, Some(0), "{}", ended.err);
        }
    }
}

#[test]
fn privileges_that_cannot_be_dropped_are_an_error() {
    let site = site();
    let root = site.join("site");
    for (more, code, part) in [
        (&["--user", "no-such-user"][..], 64, "no such user"),
        (&["--user", "root"], 64, "root"),
        (&["--user", "4000000"], 64, "name a group"),
        (&["--user", "nobody", "--group", "no-such-group"], 64, "no such group"),
        (&["--group", "nogroup"], 64, "--user"),
    ] {
        let ended = run(&web(&root, more));
        assert_eq!(ended.code, Some(code), "{more:?}: {}", ended.err);
        assert!(ended.err.contains(part), "{more:?}: {}", ended.err);
    }
    if is_root() {
        let mut running = Running::spawn(
            command(&web(&root, &["--user", "daemon"])).uid(NOBODY).gid(NOBODY).current_dir("/"),
        );
        assert_eq!(running.wait(), Some(77));
        assert!(running.line("").contains("only root may"), "{:?}", running.said);
    }
}

#[test]
fn root_is_warned_of() {
    let site = site();
    let root = site.join("site");
    let mut running = Running::start(&web(&root, &[]));
    running.line("serving");
    if is_root() {
        running.line("runs as root");
    }
    assert_eq!(running.stop().err.contains("runs as root"), is_root());
}

#[test]
fn the_pidfile_keeps_a_second_one_away() {
    let site = site();
    let (root, path) = (site.join("site"), site.join("web.pid"));
    let arguments = web(&root, &["--pidfile", &path]);
    let mut running = Running::start(&arguments);
    running.line("serving");
    let pid = running.pid();
    assert_eq!(fs::read_to_string(&path).expect("a pidfile"), format!("{pid}\n"));
    let second = run(&arguments);
    assert_eq!(second.code, Some(69), "{}", second.err);
    assert!(second.err.contains(&format!("process id {pid}")), "{}", second.err);
    // One that was killed leaves it, and the next takes it over.
    running.signal(Signal::KILL);
    running.wait();
    assert!(Path::new(&path).exists());
    let mut running = Running::start(&arguments);
    running.line("serving");
    assert_eq!(fs::read_to_string(&path).expect("a pidfile"), format!("{}\n", running.pid()));
    assert_eq!(running.stop().code, Some(0));
    assert!(!Path::new(&path).exists());
}

#[test]
fn a_pidfile_that_may_not_be_removed_is_emptied() {
    if !is_root() {
        return;
    }
    let site = site();
    let (root, path) = (site.join("site"), site.join("web.pid"));
    fs::set_permissions(site.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    for _ in 0..2 {
        let mut running = Running::start(&web(&root, &["--user", "nobody", "--pidfile", &path]));
        running.line("serving");
        assert_eq!(fs::read_to_string(&path).expect("a pidfile"), format!("{}\n", running.pid()));
        assert_eq!(running.stop().code, Some(0));
        assert_eq!(fs::read_to_string(&path).expect("a pidfile"), "");
    }
}

#[test]
fn a_log_file_that_was_moved_away_is_made_anew() {
    let site = site();
    let root = site.join("site");
    let [log, access] = [site.join("web.log"), site.join("access.log")];
    let more = ["-v", "--log-format", "text", "--log-file", &log, "--access-log", &access];
    let mut running = Running::spawn(&mut command(&web(&root, &more)));
    let said = |part: &str| {
        until(part, || fs::read_to_string(&log).ok().filter(|text| text.contains(part)))
    };
    let line = said("serving");
    let at = line.find("127.0.0.1:").expect("an address");
    let address: SocketAddr = line[at..].split('/').next().expect("text").parse().expect("one");
    get(address, "/hello.txt");
    until("the request is logged", || fs::read_to_string(&access).ok().filter(|t| !t.is_empty()));
    for path in [&log, &access] {
        fs::rename(path, format!("{path}.1")).expect("it is there");
    }
    running.signal(Signal::USR1);
    until("they are there again", || {
        (Path::new(&log).exists() && Path::new(&access).exists()).then_some(())
    });
    get(address, "/absent");
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
    let read = |path: &str| fs::read_to_string(path).expect("a log");
    let [old, new] = [read(&format!("{access}.1")), read(&access)];
    assert!(old.contains("/hello.txt") && !old.contains("/absent"), "{old}");
    assert!(new.contains("/absent") && !new.contains("/hello.txt"), "{new}");
    assert!(read(&log).contains("SIGTERM"), "{}", read(&log));
    assert_eq!(running.said, [""; 0], "nothing on standard error");
}

#[test]
fn it_serves_on_when_the_disk_is_full() {
    let site = site();
    let root = site.join("site");
    let more = ["--log", "json", "--access-log", "/dev/full", "--metrics", "127.0.0.1:0"];
    let mut running = Running::start(&web(&root, &more));
    let address = running.address();
    let figures = figures(&mut running);
    for _ in 0..20 {
        assert_eq!(status(&get(address, "/hello.txt").0), 200);
    }
    let says = running.line("/dev/full");
    assert!(says.contains("cannot be written: No space left on device"), "{says}");
    until("all lines are counted", || {
        let (_, text) = get(figures, "/metrics");
        let text = String::from_utf8(text).expect("text");
        text.contains("ropewalk_log_lines_lost_total{log=\"access\",file=\"/dev/full\"} 20")
            .then_some(())
    });
    let ended = running.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.err.matches("/dev/full").count(), 1, "said once: {}", ended.err);
}

/// On a file system of 64 KiB that only the command sees.
#[test]
fn a_disk_that_has_room_again_is_written_to_again() {
    let works = |command: &mut Command| {
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !works(Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])) {
        return;
    }
    let site = site();
    let (root, disk) = (site.join("site"), site.join("disk"));
    fs::create_dir(&disk).expect("a folder");
    let log = format!("{disk}/access.log");
    let script = "mount -t tmpfs -o size=64k tmpfs \"$0\" && head -c 40000 /dev/zero > \"$0\"/filler \
        && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, &disk, env!("CARGO_BIN_EXE_ropewalk")]);
    command.args(web(&root, &["--log", "combined", "--access-log", &log, "--log-format", "text"]));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running::spawn(&mut command);
    let address = running.address();
    let inside = format!("/proc/{}/root{disk}", running.pid());
    let long = format!("/{}", "a".repeat(1000));
    for _ in 0..40 {
        assert_eq!(status(&get(address, &long).0), 404);
    }
    running.line("No space left on device");
    fs::remove_file(format!("{inside}/filler")).expect("it is there");
    assert_eq!(status(&get(address, "/hello.txt").0), 200);
    running.line("can be written again");
    let text = until("the last is logged", || {
        let text = fs::read_to_string(format!("{inside}/access.log")).ok()?;
        text.contains("/hello.txt").then_some(text)
    });
    let last = text.lines().last().expect("a line");
    assert!(last.starts_with("127.0.0.1 - - ["), "a line of its own: {last}");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error() {
    let site = site();
    let root = site.join("site");
    let absent = site.join("absent/web.log");
    let ended = run(&web(&root, &["--log-file", &absent]));
    assert_eq!(ended.code, Some(73), "{}", ended.err);
    assert!(ended.err.contains(&absent), "{}", ended.err);
    if !is_root() {
        return;
    }
    // It is the user's that the process becomes, so that this one can open it again.
    let logs = Folder::new();
    let path = logs.join("web.log");
    fs::set_permissions(logs.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let more = ["--user", "nobody", "--log-file", &path];
    assert_eq!(run(&web(&root, &more)).code, Some(77));
    chown(logs.path(), Some(NOBODY), None).expect("root may");
    let running = Running::start(&web(&root, &more));
    until("it logs", || fs::read_to_string(&path).ok().filter(|text| text.contains("serving")));
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&path).expect("a file"));
    assert_eq!(owner, NOBODY);
    assert_eq!(running.stop().code, Some(0));
}

/// Where the figures are.
fn figures(running: &mut Running) -> SocketAddr {
    let line = running.line("figures at");
    let at = line.find("127.0.0.1:").expect("an address");
    line[at..].split([',', ' ']).next().expect("text").parse().expect("an address")
}

#[test]
fn figures_are_shown() {
    let site = site();
    let root = site.join("site");
    let mut running = Running::start(&web(&root, &["--metrics", "127.0.0.1:0"]));
    let address = running.address();
    let figures = figures(&mut running);
    get(address, "/hello.txt");
    get(address, "/absent");
    get(address, "/absent");
    let shown = until("both are counted", || {
        let text = String::from_utf8(get(figures, "/metrics").1).expect("text");
        text.contains("kind=\"GET\",outcome=\"4xx\"} 2").then_some(text)
    });
    for part in [
        "ropewalk_requests_total{service=\"web\",kind=\"GET\",outcome=\"2xx\"} 1",
        "ropewalk_connections_total{service=\"web\",listener=\"tcp:127.0.0.1:0\"} 3",
        "ropewalk_request_duration_seconds_count{service=\"web\"} 3",
        "process_open_fds ",
        "ropewalk_build_info{version=",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn the_service_manager_is_told() {
    let site = site();
    let root = site.join("site");
    let manager = Manager::new("manager");
    let hears = || manager.hears();
    let mut command = command(&web(&root, &["--workers", "2"]));
    command.env("NOTIFY_SOCKET", manager.address()).env("WATCHDOG_USEC", "40000");
    command.env_remove("WATCHDOG_PID");
    let mut running = Running::spawn(&mut command);
    assert_eq!(hears(), "READY=1");
    for _ in 0..3 {
        assert_eq!(hears(), "WATCHDOG=1");
    }
    running.signal(Signal::TERM);
    until("it says that it stops", || (hears() == "STOPPING=1").then_some(()));
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn sockets_of_a_service_manager_are_served() {
    let site = site();
    let root = site.join("site");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    // The shell makes a third descriptor of what comes as its standard input.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=site exec \"$@\"";
    for listen in ["systemd:site", "systemd:0"] {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_ropewalk")]);
        command.args(["web", "--listen", listen, "--path", &root]);
        let copy = listener.try_clone().expect("descriptors");
        command.stdin(Stdio::from(OwnedFd::from(copy))).stderr(Stdio::piped());
        let mut child = Running::spawn(command.stdout(Stdio::null()));
        child.line("serving");
        assert_eq!(status(&get(address, "/hello.txt").0), 200);
        assert_eq!(child.stop().code, Some(0));
    }
}

/// What is logged of a connection names it, on every line.
#[test]
fn each_line_names_its_connection() {
    let site = site();
    let root = site.join("site");
    let path = site.join("web.log");
    let more = ["-vv", "--log-format", "json", "--log-file", &path];
    let running = Running::spawn(&mut command(&web(&root, &more)));
    let read = || fs::read_to_string(&path).unwrap_or_default();
    let line =
        until("it serves", || read().lines().find(|l| l.contains("serving")).map(str::to_owned));
    let at = line.find("127.0.0.1:").expect("an address");
    let address: SocketAddr = line[at..].split('/').next().expect("text").parse().expect("one");
    get(address, "/hello.txt");
    until("it has ended", || read().contains("connection ended").then_some(()));
    assert_eq!(running.stop().code, Some(0));
    let file = BufReader::new(fs::File::open(&path).expect("a log"));
    let mut named = 0;
    for line in file.lines().map(|line| line.expect("text")) {
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if line["span"]["name"] == "connection" {
            assert!(line["span"]["id"].is_u64() && line["span"]["peer"].is_string(), "{line}");
            named += 1;
        }
    }
    assert!(named > 0);
}
