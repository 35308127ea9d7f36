//! A file that is run as a daemon: reloads and upgrades with dropped privileges, logs and figures.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::{Place, keep};
use crate::harness::{Manager, Running, command, connect, get, run, status, until};
use crate::upgrade::Load;

const FIGURES: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";

fn web(name: &str, at: &str, more: &str) -> String {
    format!("[[web]]\nname = \"{name}\"\nlisten = [\"tcp:{at}\"]\npath = \"site\"\n{more}\n")
}

/// Where it says that it serves, so many times, and where figures are.
fn addresses(running: &mut Running, count: usize) -> (Vec<SocketAddr>, SocketAddr) {
    let services = (0..count).map(|_| running.address()).collect();
    let line = running.line("figures at");
    let at = line.find("127.0.0.1:").expect("an address");
    let text = line[at..].split([',', ' ']).next().expect("text");
    (services, text.parse().expect("an address"))
}

fn figures(at: SocketAddr) -> String {
    String::from_utf8(get(at, "/metrics").1).expect("text")
}

/// The value of a figure with these labels.
#[track_caller]
fn figure(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} is not in:\n{text}")).trim();
    value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
}

/// Ends whoever holds the pidfile when dropped: the later ones are no children of ours.
struct Heirs(String);

impl Heirs {
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(fs::read_to_string(&self.0).ok()?.trim().parse().ok()?)
    }
}

impl Drop for Heirs {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn all_services_of_a_file_are_handed_on_under_load() {
    for workers in ["", "workers = 2\n"] {
        let any = "127.0.0.1:0";
        let globals = format!("{FIGURES}[upgrade]\ntimeout = 30\n");
        let services = |more: &str| globals.clone() + &web("one", any, more) + &web("two", any, "");
        let place = Place::new("");
        // Before the section that `write` begins with.
        let write = |more: &str| {
            let control = "[control]\nsocket = \"control.sock\"\n";
            let text = format!("pidfile = \"run.pid\"\n{workers}{control}{}", services(more));
            fs::write(place.file(), text).expect("a file");
        };
        write("");
        let heirs = Heirs(place.folder.join("run.pid"));
        // Relative to a folder that is not the file's.
        let folder = place.folder.path();
        let name = Path::new(folder.file_name().expect("a name")).join("ropewalk.toml");
        let name = name.display().to_string();
        let mut command = command(&["run", &name, "--log-format", "text"]);
        let mut first = Running::spawn(command.current_dir(folder.parent().expect("a parent")));
        let (at, shown) = addresses(&mut first, 2);
        let loads = [Load::start(at[0]), Load::start(at[1])];
        loads.iter().for_each(|load| load.wait(20));
        let old = place.status()["pid"].clone();

        // What cannot start changes nothing, and says why.
        write("pth = \"x\"");
        let ended = place.ask(&["upgrade"]);
        assert_eq!(ended.code, Some(69), "{}", ended.err);
        assert!(ended.err.contains("web.pth: no such key"), "{}", ended.err);
        assert!(first.line("no upgrade").contains("web.pth"));
        assert_eq!(place.status()["pid"], old);
        assert_eq!(heirs.pid().map(Pid::as_raw_pid).map(i64::from), old.as_i64());

        write("dotfiles = true");
        let ended = place.ask(&["upgrade"]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let told = place.status();
        assert_ne!(told["pid"], old);
        assert_eq!(ended.out, format!("process {} has taken over\n", told["pid"]));
        assert_eq!(told["services"][1]["name"], "two");
        assert_eq!(heirs.pid().map(Pid::as_raw_pid).map(i64::from), told["pid"].as_i64());
        loads.iter().for_each(|load| load.wait(50));
        assert_eq!(first.wait(), Some(0), "{:?}", first.said);
        assert_eq!(status(&get(at[0], "/.hidden").0), 200, "each has its own port again");
        assert_eq!(status(&get(at[1], "/.hidden").0), 404);
        assert!(figures(shown).contains("service=\"two\""));

        // And on, and its settings can be reloaded as ever.
        assert_eq!(place.ask(&["upgrade"]).code, Some(0));
        write("");
        let ended = place.reload();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert_eq!(status(&get(at[0], "/.hidden").0), 404);
        for load in loads {
            load.wait(20);
            load.end();
        }
        let socket = fs::metadata(place.folder.join("control.sock")).expect("it is there");
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        assert_eq!(place.ask(&["stop"]).code, Some(0));
        until("the pidfile is gone", || heirs.pid().is_none().then_some(()));
        assert!(!Path::new(&place.folder.join("control.sock")).exists());
    }
}

#[test]
fn a_reload_without_privileges_keeps_what_they_opened() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let at: SocketAddr = "127.86.0.4:84".parse().expect("an address");
    let place = Place::new("");
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let write = |more: &str| {
        let text = "user = \"nobody\"\n[control]\nsocket = \"control.sock\"\n".to_owned();
        fs::write(place.file(), text + FIGURES + more).expect("a file");
    };
    write(&web("low", "127.86.0.4:84", ""));
    let mut running = place.run();
    running.line("http://127.86.0.4:84/");
    let (_, shown) = addresses(&mut running, 0);
    let uid = format!("/proc/{}/status", running.pid());
    assert!(fs::read_to_string(uid).expect("it runs").contains("Uid:\t65534\t65534"));
    let mut kept = connect(at);
    assert_eq!(keep(&mut kept, "/.hidden"), 404);

    write(&web("low", "127.86.0.4:84", "dotfiles = true"));
    let ended = place.reload();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(keep(&mut kept, "/hello.txt"), 200, "it is still there");
    assert_eq!(status(&get(at, "/.hidden").0), 200);

    let limit = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if limit.is_ok_and(|limit| limit.trim().parse().is_ok_and(|limit: u16| limit > 85)) {
        write(&(web("low", "127.86.0.4:84", "") + &web("more", "127.86.0.4:85", "")));
        let ended = place.reload();
        assert_eq!(ended.code, Some(78), "{}", ended.err);
        assert!(ended.err.contains("127.86.0.4:85"), "{}", ended.err);
        assert_eq!(status(&get(at, "/.hidden").0), 200, "all is as it was");
        assert_eq!(figure(&figures(shown), "ropewalk_reloads_total{outcome=\"failed\"}"), 1);
    }

    // Another user is none that it could become.
    write(&web("low", "127.86.0.4:84", ""));
    let text = fs::read_to_string(place.file()).expect("a file").replace("nobody", "daemon");
    fs::write(place.file(), text).expect("a file");
    let ended = place.reload();
    assert!(ended.out.contains("user has changed, which takes a restart"), "{}", ended.out);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn figures_go_on_through_reloads_and_agree_with_the_status() {
    let any = "127.0.0.1:0";
    let (one, two) = (web("one", any, ""), web("two", "127.0.0.2:0", ""));
    let place = Place::new(&(FIGURES.to_owned() + &one + &two));
    let mut running = place.run();
    let at = running.address();
    let other = running.line("127.0.0.2:");
    let other = &other[other.find("127.0.0.2:").expect("an address")..];
    let other: SocketAddr = other.split('/').next().expect("text").parse().expect("an address");
    let (_, shown) = addresses(&mut running, 0);
    for _ in 0..3 {
        assert_eq!(status(&get(at, "/hello.txt").0), 200);
        assert_eq!(status(&get(other, "/absent").0), 404);
    }
    let of_one = "ropewalk_connections_total{service=\"one\",listener=\"tcp:127.0.0.1:0\"}";
    let of_two = "ropewalk_connections_total{service=\"two\",listener=\"tcp:127.0.0.2:0\"}";
    let answered = "ropewalk_requests_total{service=\"one\",kind=\"GET\",outcome=\"2xx\"}";
    let done = "ropewalk_reloads_total{outcome=\"done\"}";
    let failed = "ropewalk_reloads_total{outcome=\"failed\"}";
    let all = |names: [&str; 5]| {
        let text = figures(shown);
        names.map(|name| figure(&text, name))
    };
    let names = [of_one, of_two, answered, done, failed];
    until("all is counted", || (all(names) == [3, 3, 3, 0, 0]).then_some(()));

    // A file that is wrong is counted, and changes nothing else.
    place.write(&(FIGURES.to_owned() + &one + "[[web]]\npth = \"x\"\n"));
    assert_eq!(place.reload().code, Some(78));
    assert_eq!(all(names), [3, 3, 3, 0, 1]);

    // One listener stays, one goes, and comes back at another port.
    place.write(&(FIGURES.to_owned() + &web("one", any, "dotfiles = true")));
    assert_eq!(place.reload().code, Some(0));
    assert_eq!(status(&get(at, "/.hidden").0), 200);
    until("what was is not forgotten", || (all(names) == [4, 3, 4, 1, 1]).then_some(()));
    place.write(&(FIGURES.to_owned() + &one + &two));
    let ended = place.reload();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let back = &ended.out[ended.out.find("127.0.0.2:").expect("an address")..];
    let back: SocketAddr = back.split('/').next().expect("text").parse().expect("an address");
    assert_eq!(status(&get(back, "/hello.txt").0), 200);
    until("the counts go on", || (all(names) == [4, 4, 4, 2, 1]).then_some(()));

    let told = place.status();
    assert_eq!((&told["reloads"], &told["failed_reloads"]), (&2.into(), &1.into()));
    let listener = &told["services"][0]["listeners"][0];
    let text = figures(shown);
    for (key, name) in [
        ("accepted", "ropewalk_connections_total"),
        ("connections", "ropewalk_connections_open"),
        ("failed", "ropewalk_connections_failed_total"),
        ("received", "ropewalk_received_bytes_total"),
        ("sent", "ropewalk_sent_bytes_total"),
    ] {
        let name = format!("{name}{{service=\"one\",listener=\"tcp:127.0.0.1:0\"}}");
        assert_eq!(listener[key], figure(&text, &name), "{name}");
    }
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn what_is_shown_may_be_asked_for_from_a_reload_on() {
    let service = web("one", "127.0.0.1:0", "");
    let place = Place::new(&service);
    let mut running = place.run();
    let at = running.address();
    get(at, "/hello.txt");
    place.write(&(FIGURES.to_owned() + &service));
    assert_eq!(place.reload().code, Some(0));
    let (_, shown) = addresses(&mut running, 0);
    get(at, "/hello.txt");
    until("connections were counted all the time", || {
        let text = figures(shown);
        let connections =
            "ropewalk_connections_total{service=\"one\",listener=\"tcp:127.0.0.1:0\"}";
        let requests = "ropewalk_request_duration_seconds_count{service=\"one\"}";
        ((figure(&text, connections), figure(&text, requests)) == (2, 1)).then_some(())
    });
    place.write(&service);
    assert_eq!(place.reload().code, Some(0));
    until("nobody shows them", || std::net::TcpStream::connect(shown).err());
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn logs_of_a_file_are_opened_anew_after_a_reload() {
    let place = Place::new("");
    let [log, access] = [place.folder.join("run.log"), place.folder.join("access.log")];
    let write = |more: &str| {
        let more = format!("access-log = \"access.log\"\n{more}");
        let services = web("one", "127.0.0.1:0", &more) + &web("two", "127.0.0.1:0", &more);
        place.write(&format!("[log]\nfile = \"run.log\"\nformat = \"text\"\n{services}"));
    };
    write("");
    let mut running = Running::spawn(&mut command(&["run", &place.file()]));
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let lines = || read(&log).lines().filter(|line| line.contains("serving")).count();
    until("both serve", || (lines() == 2).then_some(()));
    let text = read(&log);
    let at: Vec<SocketAddr> = text
        .split("http://")
        .skip(1)
        .map(|rest| rest.split('/').next().expect("text").parse().expect("an address"))
        .collect();
    write("dotfiles = true");
    assert_eq!(place.reload().code, Some(0));
    for at in &at {
        get(*at, "/.hidden");
    }
    until("both log to one file", || (read(&access).lines().count() == 2).then_some(()));
    for path in [&log, &access] {
        fs::rename(path, format!("{path}.1")).expect("it is there");
    }
    running.signal(Signal::USR1);
    let there = || Path::new(&log).exists() && Path::new(&access).exists();
    until("they are there again", || there().then_some(()));
    get(at[1], "/absent");
    until("it is logged", || read(&access).contains("/absent").then_some(()));
    assert!(read(&format!("{log}.1")).contains("reloaded"));
    // One that cannot be opened changes nothing.
    let absent = web("one", "127.0.0.1:0", "access-log = \"absent/access.log\"\n");
    place.write(&format!("[log]\nfile = \"run.log\"\nformat = \"text\"\n{absent}"));
    let ended = place.reload();
    assert_ne!(ended.code, Some(0));
    assert!(ended.err.contains("absent/access.log"), "{}", ended.err);
    get(at[1], "/hello.txt");
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
    assert!(read(&access).contains("/hello.txt") && read(&log).contains("SIGTERM"));
}

#[test]
fn the_service_manager_is_told_of_reloads() {
    let manager = Manager::new("reload");
    let hears = || manager.hears();
    let place = Place::new(&web("one", "127.0.0.1:0", ""));
    let mut command = command(&["run", &place.file(), "--log-format", "text"]);
    let mut running = Running::spawn(command.env("NOTIFY_SOCKET", manager.address()));
    assert_eq!(hears(), "READY=1");
    for more in ["dotfiles = true", "pth = \"x\""] {
        place.write(&web("one", "127.0.0.1:0", more));
        running.signal(Signal::HUP);
        assert!(hears().starts_with("RELOADING=1\nMONOTONIC_USEC="), "{more}");
        assert_eq!(hears(), "READY=1", "whatever has come of it");
    }
    running.signal(Signal::TERM);
    assert_eq!(hears(), "STOPPING=1");
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn options_of_run_stand_before_the_file() {
    let place = Place::new(&web("one", "127.0.0.1:0", ""));
    let pidfile = place.folder.join("other.pid");
    let arguments = ["run", &place.file(), "--pidfile", &pidfile, "--metrics", "127.0.0.1:0"];
    let mut running = Running::start(&arguments);
    let (_, shown) = addresses(&mut running, 0);
    assert_eq!(fs::read_to_string(&pidfile).expect("there"), format!("{}\n", running.pid()));
    // Also after a reload.
    assert_eq!(place.reload().code, Some(0));
    assert!(figures(shown).contains("ropewalk_build_info"));
    assert_eq!(running.stop().code, Some(0));
    // A command's options are the same keys.
    let ended = run(&[
        "web",
        "--pidfile",
        "a.pid",
        "--user",
        "nobody",
        "--metrics",
        "9090",
        "--log-file",
        "x.log",
        "--access-log",
        "y.log",
        "--upgrade-timeout",
        "5",
        "--print-config",
    ]);
    for part in [
        "user = \"nobody\"\n",
        "pidfile = \"a.pid\"\n",
        "[metrics]\nlisten = \"9090\"\n",
        "[log]\nfile = \"x.log\"\n",
        "[upgrade]\ntimeout = 5\n",
        "access-log = \"y.log\"\n",
    ] {
        assert!(ended.out.contains(part), "{part} is not in:\n{}", ended.out);
    }
}
