//! A new process takes over from the running one while wrk counts what fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::ours::{self, tcp, tls};
use super::{Direction, Lab};
use crate::peers::{Certificate, OPENSSL, WRK, certificate};
use crate::process::{Running, Scratch, free_port};

/// How often a new process takes over during one load.
const GENERATIONS: usize = 4;

/// Whoever runs by its pidfile is ended when this is dropped: the later ones are no children of ours.
struct Lineage {
    pidfile: PathBuf,
    first: Running,
}

impl Lineage {
    fn pid(&self) -> Result<Pid> {
        let text = fs::read_to_string(&self.pidfile).context("the pidfile")?;
        Pid::from_raw(text.trim().parse()?).context("no process id")
    }

    /// Asks whoever runs, and waits for the next one.
    fn upgrade(&self) -> Result<()> {
        let before = self.pid()?;
        kill_process(before, Signal::USR2)?;
        let end = Instant::now() + Duration::from_secs(10);
        while self.pid().map_or(true, |pid| pid == before) {
            ensure!(Instant::now() < end, "nobody takes over: {}", self.first.log());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        if let Ok(pid) = self.pid() {
            // It may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The cases over plain TCP and over TLS, each also with a connection for each request.
pub fn run(lab: &mut Lab) -> Result<()> {
    println!("http, one process after the other");
    let site = ours::site(&lab.scratch)?;
    let certificate = OPENSSL.path().map(|_| certificate(&lab.scratch, "localhost")).transpose()?;
    run_all(lab, &site, certificate.as_ref());
    Ok(())
}

fn run_all(lab: &mut Lab, site: &Path, certificate: Option<&Certificate>) {
    for (close, kind) in
        [(false, "connections kept alive"), (true, "a connection for each request")]
    {
        for over in [None].into_iter().chain(certificate.map(Some)) {
            for workers in ["", "2"] {
                let (Ok(port), secure) = (free_port(), over.is_some()) else { continue };
                let listen = over.map_or_else(|| tcp(port), |files| tls(port, files));
                let name = format!("web-upgrade-{port}-{workers}");
                let lineage = start(lab, site, &name, &listen, port, workers);
                let tls = if secure { ", TLS" } else { "" };
                let many = if workers.is_empty() { "" } else { ", two workers" };
                let case = format!("upgraded {GENERATIONS} times, {kind}{tls}{many}");
                lab.case(WRK, Direction::ToOurs, &case, |scratch| {
                    let scheme = if secure { "https" } else { "http" };
                    let url = format!("{scheme}://127.0.0.1:{port}/hello.txt");
                    under_load(scratch, &lineage?, &url, close)
                });
            }
        }
    }
}

fn start(
    lab: &Lab,
    site: &Path,
    name: &str,
    listen: &str,
    port: u16,
    workers: &str,
) -> Result<Lineage> {
    let pidfile = lab.scratch.join(format!("{name}.pid"));
    let path = pidfile.display().to_string();
    let mut more = vec!["--pidfile", &path];
    if !workers.is_empty() {
        more.extend(["--workers", workers]);
    }
    let first = ours::web(lab, name, site, &[listen.to_owned()], &more)?.ready(&[port])?;
    Ok(Lineage { pidfile, first })
}

fn under_load(scratch: &Scratch, lineage: &Lineage, url: &str, close: bool) -> Result<()> {
    let mut wrk = WRK.command()?;
    wrk.args(["-t1", "-c32", "-d4s"]);
    if close {
        wrk.args(["-H", "Connection: close"]);
    }
    let mut load = Running::start("wrk", wrk.arg(url), scratch.join("wrk-upgrade.log"))?;
    for _ in 0..GENERATIONS {
        thread::sleep(Duration::from_millis(700));
        lineage.upgrade()?;
    }
    let status = load.wait(Duration::from_secs(20))?;
    let said = load.log();
    ensure!(status.success() && said.contains("Requests/sec"), "wrk: {status}: {said}");
    for word in ["Socket errors", "Non-2xx"] {
        ensure!(!said.contains(word), "{word:?} is in: {}", said.trim());
    }
    Ok(())
}
