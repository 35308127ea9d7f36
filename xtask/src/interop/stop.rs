//! Stopping in the middle of a download, and a crowd of clients that never finish their request.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::curl::fetch;
use super::ours::{self, same, tcp};
use super::{Direction, Lab};
use crate::peers::CURL;
use crate::process::{Running, Scratch, free_port};

pub fn run_all(lab: &mut Lab, site: &Path) {
    let to_ours = Direction::ToOurs;
    let web = start(lab, site, "web-stop");
    lab.case(CURL, to_ours, "SIGTERM in mid-download: it is finished, then ours ends", |scratch| {
        let (web, port) = web?;
        finishes(scratch, web, port)
    });
    type Ends = fn(Running, u16) -> Result<()>;
    let idle: [(&str, &str, Ends); 2] = [
        (
            "web-idle",
            "SIGTERM with an idle connection: told, and ours ends at once",
            ends_with_idle,
        ),
        (
            "web-deaf",
            "SIGTERM with a client that does not close: ours ends all the same",
            ends_with_deaf,
        ),
    ];
    for (name, case, body) in idle {
        let web = start(lab, site, name);
        lab.case(CURL, to_ours, case, |_| {
            let (web, port) = web?;
            body(web, port)
        });
    }
    let web = start(lab, site, "web-slow");
    lab.case(CURL, to_ours, "answered beside 1,000 clients that never finish a head", |scratch| {
        let (_web, port) = web?;
        beside_slowloris(scratch, port)
    });
}

fn start(lab: &Lab, site: &Path, name: &str) -> Result<(Running, u16)> {
    let port = free_port()?;
    let web = ours::web(lab, name, site, &[tcp(port)], &[])?.ready(&[port])?;
    Ok((web, port))
}

fn finishes(scratch: &Scratch, mut web: Running, port: u16) -> Result<()> {
    let url = format!("http://127.0.0.1:{port}/huge.bin");
    let copy = scratch.join("huge.copy");
    let mut curl: Command = CURL.command()?;
    curl.args(["-q", "-sS", "--noproxy", "*", "--limit-rate", "8M", "--max-time", "30", "-o"]);
    curl.arg(&copy).arg(&url);
    let mut download = Running::start("curl", &curl, scratch.join("curl-slow.log"))?;
    let end = Instant::now() + Duration::from_secs(10);
    while fs::metadata(&copy).map_or(0, |data| data.len()) == 0 {
        ensure!(Instant::now() < end, "the download does not begin: {}", download.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    web.terminate()?;
    std::thread::sleep(Duration::from_millis(200));
    ensure!(TcpStream::connect(("127.0.0.1", port)).is_err(), "ours still accepts connections");
    let status = download.wait(Duration::from_secs(30))?;
    ensure!(status.success(), "curl: {status}: {}", download.log());
    same(&fs::read(&copy)?, &fs::read(scratch.join("site/huge.bin"))?)?;
    let status = web.wait(Duration::from_secs(5)).context("after the download")?;
    ensure!(status.success(), "ours ended with {status}: {}", web.log());
    Ok(())
}

/// A connection that has had one answer.
fn idle(port: u16) -> Result<TcpStream> {
    let mut idle = TcpStream::connect(("127.0.0.1", port))?;
    idle.set_read_timeout(Some(Duration::from_secs(5)))?;
    idle.write_all(b"HEAD /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    ensure!(idle.read(&mut [0; 2048])? > 0, "no answer");
    Ok(idle)
}

fn ends_with_idle(mut web: Running, port: u16) -> Result<()> {
    let mut idle = idle(port)?;
    let start = Instant::now();
    web.terminate()?;
    ensure!(idle.read(&mut [0; 64])? == 0, "more than one answer came");
    drop(idle);
    let status = web.wait(Duration::from_secs(5))?;
    ensure!(status.success(), "ours ended with {status}: {}", web.log());
    ensure!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
    Ok(())
}

fn ends_with_deaf(mut web: Running, port: u16) -> Result<()> {
    let _idle = idle(port)?;
    web.terminate()?;
    let status = web.wait(Duration::from_secs(20))?;
    ensure!(status.success(), "ours ended with {status}: {}", web.log());
    Ok(())
}

fn beside_slowloris(scratch: &Scratch, port: u16) -> Result<()> {
    let mut slow = Vec::new();
    for _ in 0..1000 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            bail!("only {} connections could be made", slow.len());
        };
        stream.write_all(b"GET / HTTP/1.1\r\nHost: local")?;
        slow.push(stream);
    }
    for _ in 0..10 {
        let start = Instant::now();
        let answer = fetch(scratch, &[&format!("http://127.0.0.1:{port}/hello.txt")])?;
        ensure!(answer.status == 200, "status {}", answer.status);
        ensure!(start.elapsed() < Duration::from_secs(1), "it took {:?}", start.elapsed());
        for stream in &mut slow {
            // One more byte each; whom the server has had enough of is not the matter here.
            let _ = stream.write_all(b"h");
        }
    }
    Ok(())
}
