//! How ours is started: the only file of the matrix that knows the spelling of its options.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Lab;
use crate::peers::Certificate;
use crate::process::{Running, Scratch, free_port};

pub fn tcp(port: u16) -> String {
    format!("tcp:127.0.0.1:{port}")
}

pub fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

pub fn tls(port: u16, files: &Certificate) -> String {
    let (cert, key) = (files.certificate.display(), files.key.display());
    format!("tls:127.0.0.1:{port}:cert={cert}:key={key}")
}

/// A TLS listener that takes only clients whose certificate is signed by `client`.
pub fn mutual_tls(port: u16, files: &Certificate, client: &Path) -> String {
    format!("{}:clients=required:ca={}", tls(port, files), client.display())
}

/// A TLS client that trusts `roots` only.
pub fn tls_client(port: u16, roots: &Path) -> String {
    format!("tls:127.0.0.1:{port}:name=localhost:roots={}", roots.display())
}

/// The same with a certificate of its own.
pub fn mutual_tls_client(port: u16, roots: &Path, own: &Certificate) -> String {
    let (cert, key) = (own.certificate.display(), own.key.display());
    format!("{}:client-cert={cert}:client-key={key}", tls_client(port, roots))
}

/// A listener that takes the PROXY protocol from `trusted`, or a client that sends it.
pub fn proxied(port: u16, trusted: &str) -> String {
    format!("proxy:tcp:127.0.0.1:{port}:trust={trusted}")
}

/// `ropewalk web` over `site`, listening on `listen`.
pub fn web(
    lab: &Lab,
    name: &str,
    site: &Path,
    listen: &[String],
    more: &[&str],
) -> Result<Running> {
    let mut command = Command::new(&lab.binary);
    command.arg("web").arg("--path").arg(site).args(more);
    for endpoint in listen {
        command.args(["--listen", endpoint]);
    }
    lab.start(name, &command)
}

/// `ropewalk forward`.
pub fn forward(lab: &Lab, name: &str, listen: &str, to: &str) -> Result<Running> {
    let mut command = Command::new(&lab.binary);
    command.args(["forward", "--listen", listen, "--to", to]);
    lab.start(name, &command)
}

/// `ropewalk forward` from a new TCP port; its port beside it, open.
pub fn forward_from_tcp(lab: &Lab, name: &str, to: &str) -> Result<(Running, u16)> {
    let port = free_port()?;
    let running = forward(lab, name, &tcp(port), to)?.ready(&[port])?;
    Ok((running, port))
}

/// What lies under the root that the clients fetch from.
pub fn site(scratch: &Scratch) -> Result<std::path::PathBuf> {
    scratch.write("site/hello.txt", "Hello, world!")?;
    scratch.write("site/empty.txt", "")?;
    scratch.write("site/ten.bin", noise(10 * 1024))?;
    scratch.write("site/big.bin", noise(3 * 1024 * 1024))?;
    scratch.write("site/huge.bin", noise(24 * 1024 * 1024))?;
    scratch.write("site/page/index.html", "<!doctype html><title>page</title>the page\n")?;
    scratch.write("site/sub/a.txt", "a\n")?;
    scratch.write("site/sub/deep/b.txt", "b\n")?;
    scratch.write("site/with space ü.txt", "name\n")?;
    scratch.write("site/.hidden", "hidden\n")?;
    scratch.write("outside/secret.txt", SECRET)?;
    let site = scratch.join("site");
    if !site.join("link").exists() {
        std::os::unix::fs::symlink(scratch.join("outside"), site.join("link"))?;
    }
    Ok(site)
}

/// What no client may ever see.
pub const SECRET: &str = "outside the root";

/// Bytes that do not repeat, the same at each run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An error that shows both, unless `got` holds `want`.
pub fn contains(got: &str, want: &str) -> Result<()> {
    if got.contains(want) {
        return Ok(());
    }
    bail!("{want:?} is not in: {}", crate::process::tail(got, 600))
}

/// An error that says where they part, unless both are the same bytes.
pub fn same(got: &[u8], want: &[u8]) -> Result<()> {
    if got == want {
        return Ok(());
    }
    let at = got.iter().zip(want).take_while(|(a, b)| a == b).count();
    bail!("{} bytes instead of {}, different from byte {at}", got.len(), want.len())
}
