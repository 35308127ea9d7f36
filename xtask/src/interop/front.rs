//! nginx and haproxy in front of ours.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::curl::fetch;
use super::ours::{self, contains, noise, proxied, same, tcp};
use super::{Direction, Lab};
use crate::peers::{self, CURL, HAPROXY, NGINX, WRK};
use crate::process::{Running, Scratch, free_port, run};

/// Both proxies, each before servers of its own.
pub fn run_all(lab: &mut Lab, site: &Path) -> Result<()> {
    nginx(lab, site)?;
    haproxy(lab, site)?;
    direct_proxy_protocol(lab, site)
}

fn nginx(lab: &mut Lab, site: &Path) -> Result<()> {
    let port = free_port()?;
    let _web = ours::web(lab, "web-nginx", site, &[tcp(port)], &[])?.ready(&[port])?;
    let server = super::core::nginx(lab, site, port);
    let front = server.as_ref().map(|server| server.front).unwrap_or_default();
    let started = server.as_ref().map(|_| ()).map_err(|error| format!("{error:#}"));
    through(lab, NGINX, "reverse proxy keeping upstream connections", &started, front);
    Ok(())
}

/// The cases of an HTTP proxy that listens on `front` before ours.
fn through(lab: &mut Lab, proxy: peers::Peer, what: &str, up: &Result<(), String>, front: u16) {
    let base = format!("http://127.0.0.1:{front}");
    lab.case(proxy, Direction::ToOurs, &format!("{what}: curl"), |scratch| {
        up.clone().map_err(anyhow::Error::msg)?;
        fetches(scratch, &base)
    });
    lab.case(proxy, Direction::ToOurs, &format!("{what}: wrk"), |_| {
        up.clone().map_err(anyhow::Error::msg)?;
        let mut wrk = WRK.command()?;
        wrk.args(["-t1", "-c16", "-d1s"]).arg(format!("{base}/hello.txt"));
        let ran = run(&wrk, Duration::from_secs(20))?.ok("wrk")?;
        ensure!(!ran.out().contains("Non-2xx"), "errors through the proxy: {}", ran.out());
        Ok(())
    });
}

fn fetches(scratch: &Scratch, base: &str) -> Result<()> {
    for _ in 0..3 {
        let answer = fetch(scratch, &[&format!("{base}/ten.bin")])?;
        ensure!(answer.status == 200, "status {}", answer.status);
        same(&answer.body, &noise(10 * 1024))?;
    }
    let head = fetch(scratch, &["-I", &format!("{base}/ten.bin")])?;
    ensure!(head.status == 200, "HEAD: status {}", head.status);
    let part = fetch(scratch, &["-r", "10-19", &format!("{base}/ten.bin")])?;
    ensure!(part.status == 206, "range: status {}", part.status);
    same(&part.body, &noise(10 * 1024)[10..20])?;
    let missing = fetch(scratch, &[&format!("{base}/missing")])?;
    ensure!(missing.status == 404, "missing: status {}", missing.status);
    Ok(())
}

/// haproxy's ports, by the names its template uses.
fn haproxy(lab: &mut Lab, site: &Path) -> Result<()> {
    let [plain, with_header] = [free_port()?, free_port()?];
    let listen = [tcp(plain), proxied(with_header, "127.0.0.0/8")];
    let more = ["--log", "combined"];
    let web = ours::web(lab, "web-haproxy", site, &listen, &more)?.ready(&[plain, with_header])?;
    let [http, v1, v2, takes] = [free_port()?, free_port()?, free_port()?, free_port()?];
    let values = [
        ("HTTP", http.to_string()),
        ("V1", v1.to_string()),
        ("V2", v2.to_string()),
        ("TAKES", takes.to_string()),
        ("OURS", plain.to_string()),
        ("OURS_PROXY", with_header.to_string()),
    ];
    let server = start_haproxy(lab, &values, &[http, v1, v2, takes]);
    let up = server.as_ref().map(|_| ()).map_err(|error| format!("{error:#}"));
    through(lab, HAPROXY, "reverse proxy reusing connections", &up, http);
    for (port, case) in [(v1, "send-proxy"), (v2, "send-proxy-v2 with TLVs")] {
        lab.case(HAPROXY, Direction::ToOurs, case, |scratch| {
            up.clone().map_err(anyhow::Error::msg)?;
            client_is_logged(scratch, &web, port)
        });
    }
    Ok(())
}

/// Starts haproxy by its template.
fn start_haproxy(lab: &Lab, values: &[(&str, String)], ports: &[u16]) -> Result<Running> {
    let file = peers::configure(&lab.scratch, "interop/haproxy.cfg", values)?;
    let mut command = HAPROXY.command()?;
    // -db: in the foreground.
    command.arg("-db").arg("-f").arg(file);
    lab.start("haproxy", &command)?.ready(ports)
}

/// A client of an address of its own, so that the log can only know it by the header.
fn client_is_logged(scratch: &Scratch, web: &Running, port: u16) -> Result<()> {
    let (source, url) = (format!("127.0.7.{}", port % 200 + 1), format!("http://127.0.0.1:{port}"));
    let url = format!("{url}/hello.txt");
    let answer = fetch(scratch, &["--interface", &source, &url])?;
    ensure!(answer.status == 200, "status {}", answer.status);
    web.logs(&source)
}

fn direct_proxy_protocol(lab: &mut Lab, site: &Path) -> Result<()> {
    let [trusting, wary] = [free_port()?, free_port()?];
    let listen = [proxied(trusting, "127.0.0.0/8"), proxied(wary, "10.0.0.0/8")];
    let more = ["--log", "combined"];
    let web = ours::web(lab, "web-proxied", site, &listen, &more)?.ready(&[trusting, wary])?;
    lab.case(CURL, Direction::ToOurs, "--haproxy-protocol", |scratch| {
        let url = format!("http://127.0.0.1:{trusting}/hello.txt");
        let answer = fetch(scratch, &["--haproxy-protocol", "--interface", "127.0.6.6", &url])?;
        ensure!(answer.status == 200, "status {}", answer.status);
        web.logs("127.0.6.6")
    });
    lab.case(CURL, Direction::ToOurs, "--haproxy-protocol from an untrusted source", |scratch| {
        let url = format!("http://127.0.0.1:{wary}/hello.txt");
        match fetch(scratch, &["--haproxy-protocol", &url]) {
            Ok(answer) => ensure!(answer.status >= 400, "status {}", answer.status),
            Err(error) => contains(&error.to_string(), "curl")?,
        }
        Ok(())
    });
    Ok(())
}
