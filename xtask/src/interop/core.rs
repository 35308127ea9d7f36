//! The core's part: transports and endpoints, mostly by `ropewalk forward` in the middle.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::curl::fetch;
use super::ours::{
    self, contains, forward, forward_from_tcp, mutual_tls_client, noise, same, tcp, tls,
    tls_client, unix,
};
use super::{Direction, Lab};
use crate::peers::{
    self, Certificate, HAPROXY, MICROSOCKS, NGINX, OPENSSL, Peer, SOCAT, TINYPROXY, certificate,
};
use crate::process::{Running, Scratch, free_port};

pub fn run(lab: &mut Lab) -> Result<()> {
    println!("transports and endpoints");
    let site = ours::site(&lab.scratch)?;
    if OPENSSL.path().is_some() {
        let files = certificate(&lab.scratch, "localhost")?;
        super::tls::run_all(lab, &site, &files)?;
    } else {
        lab.skip(OPENSSL, Direction::ToOurs, "TLS", &OPENSSL.absence());
    }
    to_nginx(lab, &site);
    to_haproxy(lab);
    through_proxies(lab, &site);
    unix_sockets(lab);
    half_close(lab);
    Ok(())
}

/// An nginx and where it listens.
pub struct Nginx {
    _running: Running,
    files: Certificate,
    client: Certificate,
    pub plain: u16,
    pub tls: u16,
    pub mutual: u16,
    pub proxied: u16,
    pub front: u16,
}

impl Nginx {
    /// What its own name is proved by.
    pub fn files(&self) -> &Certificate {
        &self.files
    }
}

/// Starts nginx by its template: a server of `site`, and a proxy before `ours`.
pub fn nginx(lab: &Lab, site: &Path, ours: u16) -> Result<Nginx> {
    let files = certificate(&lab.scratch, "localhost")?;
    let client = certificate(&lab.scratch, "client")?;
    let [plain, tls, mutual] = [free_port()?, free_port()?, free_port()?];
    let [proxied, front] = [free_port()?, free_port()?];
    let values = [
        ("DIR", lab.scratch.path().display().to_string()),
        ("ROOT", site.display().to_string()),
        ("CERT", files.certificate.display().to_string()),
        ("KEY", files.key.display().to_string()),
        ("CLIENT", client.certificate.display().to_string()),
        ("PLAIN", plain.to_string()),
        ("TLS", tls.to_string()),
        ("MUTUAL", mutual.to_string()),
        ("PROXIED", proxied.to_string()),
        ("FRONT", front.to_string()),
        ("OURS", ours.to_string()),
    ];
    let file = peers::configure(&lab.scratch, "interop/nginx.conf", &values)?;
    let mut command = NGINX.command()?;
    command.arg("-c").arg(file).args(["-e", "stderr"]).arg("-p").arg(lab.scratch.path());
    let running = lab.start("nginx", &command)?.ready(&[plain, tls, mutual, proxied, front])?;
    Ok(Nginx { _running: running, files, client, plain, tls, mutual, proxied, front })
}

/// One case of `ropewalk forward` to where `to` says, and what is done through it.
fn forwarded(
    lab: &mut Lab,
    peer: Peer,
    case: &str,
    to: Result<String>,
    body: impl FnOnce(&Scratch, u16) -> Result<()>,
) {
    if peer.path().is_none() {
        return lab.skip(peer, Direction::ToTheirs, case, &peer.absence());
    }
    let started = to.and_then(|to| forward_from_tcp(lab, "forward", &to));
    lab.case(peer, Direction::ToTheirs, case, |scratch| {
        let (running, port) = started?;
        body(scratch, port).with_context(|| running.log().trim().to_owned())
    });
}

fn whole_file(scratch: &Scratch, port: u16) -> Result<()> {
    for (name, tries) in [("ten.bin", 5), ("big.bin", 2)] {
        for _ in 0..tries {
            let answer = fetch(scratch, &[&format!("http://127.0.0.1:{port}/{name}")])?;
            ensure!(answer.status == 200, "{name}: status {}", answer.status);
            same(&answer.body, &fs::read(scratch.join("site").join(name))?)?;
        }
    }
    Ok(())
}

/// Nothing but an error may come of it.
fn nothing(scratch: &Scratch, port: u16) -> Result<()> {
    let answer = fetch(scratch, &[&format!("http://127.0.0.1:{port}/hello.txt")]);
    ensure!(answer.is_err(), "there is an answer");
    Ok(())
}

fn to_nginx(lab: &mut Lab, site: &Path) {
    let server = nginx(lab, site, 1);
    let up = server.as_ref().map_err(|error| format!("{error:#}"));
    let to = |make: &dyn Fn(&Nginx) -> String| up.clone().map(make).map_err(anyhow::Error::msg);
    forwarded(lab, NGINX, "tcp", to(&|n| tcp(n.plain)), whole_file);
    let to_tls = to(&|n| tls_client(n.tls, &n.files.certificate));
    forwarded(lab, NGINX, "tls, given roots", to_tls, whole_file);
    let wrong = to(&|n| tls_client(n.tls, &n.client.certificate));
    forwarded(lab, NGINX, "tls, other roots: refused", wrong, nothing);
    let own = to(&|n| mutual_tls_client(n.mutual, &n.files.certificate, &n.client));
    forwarded(lab, NGINX, "tls with a client certificate", own, whole_file);
    let sent = to(&|n| format!("proxy:tcp:127.0.0.1:{}", n.proxied));
    forwarded(lab, NGINX, "proxy: the header is sent", sent, |scratch, port| {
        let url = format!("http://127.0.0.1:{port}/");
        let answer = fetch(scratch, &["--interface", "127.0.5.5", &url])?;
        contains(&String::from_utf8_lossy(&answer.body), "127.0.5.5")
    });
}

fn to_haproxy(lab: &mut Lab) {
    let server = haproxy(lab);
    let up = server.as_ref().map(|(_, port)| *port).map_err(|error| format!("{error:#}"));
    for version in [1, 2] {
        let to = up.clone().map(|port| format!("proxy:tcp:127.0.0.1:{port}:version={version}"));
        let case = format!("proxy: a header of version {version} is sent");
        forwarded(lab, HAPROXY, &case, to.map_err(anyhow::Error::msg), |scratch, port| {
            let url = format!("http://127.0.0.1:{port}/");
            let answer = fetch(scratch, &["--interface", "127.0.5.6", &url])?;
            contains(&String::from_utf8_lossy(&answer.body), "127.0.5.6")
        });
    }
}

/// haproxy by its template, for the part of it that takes the PROXY protocol.
fn haproxy(lab: &Lab) -> Result<(Running, u16)> {
    let mut values = Vec::new();
    for name in ["HTTP", "V1", "V2", "TAKES", "OURS", "OURS_PROXY"] {
        values.push((name, free_port()?.to_string()));
    }
    let takes = values[3].1.parse()?;
    let file = peers::configure(&lab.scratch, "interop/haproxy.cfg", &values)?;
    let mut command = HAPROXY.command()?;
    command.arg("-db").arg("-f").arg(file);
    Ok((lab.start("haproxy-takes", &command)?.ready(&[takes])?, takes))
}

fn through_proxies(lab: &mut Lab, site: &Path) {
    let origin = free_port().and_then(|port| {
        Ok((ours::web(lab, "web-origin", site, &[tcp(port)], &[])?.ready(&[port])?, port))
    });
    let target = origin.as_ref().map(|(_, port)| *port).unwrap_or_default();
    let tiny = tinyproxy(lab);
    let to = tiny
        .as_ref()
        .map(|(_, port)| format!("http-connect:127.0.0.1:{port}:tcp:127.0.0.1:{target}"));
    let to = to.map_err(|error| anyhow::anyhow!("{error:#}"));
    forwarded(lab, TINYPROXY, "http-connect", to, whole_file);
    let socks = microsocks(lab, &[]);
    let to =
        socks.as_ref().map(|(_, port)| format!("socks5:127.0.0.1:{port}:tcp:127.0.0.1:{target}"));
    let to = to.map_err(|error| anyhow::anyhow!("{error:#}"));
    forwarded(lab, MICROSOCKS, "socks5", to, whole_file);
    let socks = microsocks(lab, &["-u", "user", "-P", "secret"]);
    let to = socks.as_ref().map(|(_, port)| {
        format!("socks5:127.0.0.1:{port}:tcp:127.0.0.1:{target}:user=user:password=secret")
    });
    let to = to.map_err(|error| anyhow::anyhow!("{error:#}"));
    forwarded(lab, MICROSOCKS, "socks5 with a password", to, whole_file);
}

fn tinyproxy(lab: &Lab) -> Result<(Running, u16)> {
    let port = free_port()?;
    let folder = lab.scratch.path().display().to_string();
    let values = [("PORT", port.to_string()), ("DIR", folder)];
    let file = peers::configure(&lab.scratch, "interop/tinyproxy.conf", &values)?;
    let mut command = TINYPROXY.command()?;
    command.arg("-d").arg("-c").arg(file);
    Ok((lab.start("tinyproxy", &command)?.ready(&[port])?, port))
}

fn microsocks(lab: &Lab, more: &[&str]) -> Result<(Running, u16)> {
    let port = free_port()?;
    let mut command = MICROSOCKS.command()?;
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]).args(more);
    Ok((lab.start(&format!("microsocks{port}"), &command)?.ready(&[port])?, port))
}

/// socat as a server of a Unix socket, and as a client of ours.
fn unix_sockets(lab: &mut Lab) {
    let theirs = lab.scratch.join("theirs.sock");
    let echo =
        socat(lab, "socat-echo", &[&format!("UNIX-LISTEN:{},fork", theirs.display()), "EXEC:cat"])
            .and_then(|running| running.ready_at(&theirs));
    let up = echo.as_ref().map(|_| ()).map_err(|error| format!("{error:#}"));
    let to = up.clone().map(|()| unix(&theirs)).map_err(anyhow::Error::msg);
    forwarded(lab, SOCAT, "unix: to a socket of socat's", to, |_, port| {
        echoes(TcpStream::connect(("127.0.0.1", port))?)
    });
    let ours = lab.scratch.join("ours.sock");
    let started =
        forward(lab, "forward-unix", &format!("{}:mode=600", unix(&ours)), &unix(&theirs))
            .and_then(|running| running.ready_at(&ours));
    lab.case(SOCAT, Direction::Through, "unix: socat to ours to socat", |_| {
        let running = started?;
        up.map_err(anyhow::Error::msg)?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&ours)?.permissions());
        ensure!(mode & 0o777 == 0o600, "the socket's mode is {mode:o}");
        let mut client = SOCAT.command()?;
        client.args(["-t", "5", "-", &format!("UNIX-CONNECT:{}", ours.display())]);
        let text = noise(200_000);
        let ran = crate::process::run_with_input(&client, &text, Duration::from_secs(20))?;
        same(&ran.stdout, &text).with_context(|| running.log())
    });
    let gone = lab.scratch.join("ours.sock");
    lab.case(SOCAT, Direction::ToOurs, "unix: the socket is removed at the end", |_| {
        ensure!(!gone.exists(), "{} is left behind", gone.display());
        Ok(())
    });
}

fn socat(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Running> {
    let mut command = SOCAT.command()?;
    lab.start(name, command.args(["-t", "10"]).args(arguments))
}

fn echoes(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let text = noise(100_000);
    let mut writer = stream.try_clone()?;
    let sent = text.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    writing.join().expect("the writer does not panic")?;
    same(&back, &text)
}

/// A peer that answers only once it has seen the end of our half.
fn half_close(lab: &mut Lab) {
    let Ok(port) = free_port() else { return };
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
    let counter = socat(lab, "socat-count", &[&listen, "EXEC:wc -c"])
        .and_then(|running| running.ready(&[port]));
    let to = counter.as_ref().map(|_| tcp(port)).map_err(|error| anyhow::anyhow!("{error:#}"));
    forwarded(lab, SOCAT, "half close: the answer comes after our end", to, |_, port| {
        counts(TcpStream::connect(("127.0.0.1", port))?)
    });
    let files = certificate(&lab.scratch, "localhost");
    let started = files.and_then(|files| {
        let front = free_port()?;
        let running =
            forward(lab, "forward-tls", &tls(front, &files), &tcp(port))?.ready(&[front])?;
        Ok((running, front, files))
    });
    lab.case(SOCAT, Direction::Through, "half close through TLS", |scratch| {
        let (running, front, files) = started?;
        let back = forward_once(scratch, front, &files)?;
        ensure!(back.trim() == "12345", "{back:?} came back: {}", running.log());
        Ok(())
    });
    dead_target(lab);
}

/// A target that is not there yet, and then is.
fn dead_target(lab: &mut Lab) {
    let started = free_port().and_then(|port| {
        let (running, front) = forward_from_tcp(lab, "forward-dead", &tcp(port))?;
        Ok((running, front, port))
    });
    let log = lab.scratch.join("socat-late.log");
    lab.case(SOCAT, Direction::ToTheirs, "nobody listens: closed; later somebody does", |_| {
        let (_running, front, port) = started?;
        let mut stream = TcpStream::connect(("127.0.0.1", front))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // Closed by FIN or by reset: both are an end.
        let ended = !matches!(stream.read(&mut [0]), Ok(1..));
        ensure!(ended, "bytes came from nobody");
        let mut late = SOCAT.command()?;
        let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
        late.args(["-t", "10", &listen, "EXEC:wc -c"]);
        let _late = Running::start("socat-late", &late, log)?.ready(&[port])?;
        counts(TcpStream::connect(("127.0.0.1", front))?)
    });
}

/// socat as a TLS client that closes its half.
fn forward_once(scratch: &Scratch, front: u16, files: &Certificate) -> Result<String> {
    let mut client = SOCAT.command()?;
    let ca = files.certificate.display();
    let address = format!("OPENSSL:localhost:{front},cafile={ca},pf=ip4");
    client.args(["-t", "10", "-", &address]).current_dir(scratch.path());
    let ran = crate::process::run_with_input(&client, &noise(12_345), Duration::from_secs(20))?;
    Ok(ran.ok("socat")?.out())
}

fn counts(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&noise(54_321))?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = String::new();
    stream.read_to_string(&mut back)?;
    ensure!(back.trim() == "54321", "{back:?} came back");
    Ok(())
}
