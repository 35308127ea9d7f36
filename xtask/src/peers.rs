//! The foreign programs: what they are called, which Debian package has them, how to install them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Scratch};

/// A foreign program.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// As it is called.
    pub program: &'static str,
    /// Debian's package.
    package: &'static str,
    /// What makes it print its version, and the word before it.
    version: (&'static [&'static str], &'static str),
}

const fn peer(
    program: &'static str,
    package: &'static str,
    arguments: &'static [&'static str],
    before: &'static str,
) -> Peer {
    Peer { program, package, version: (arguments, before) }
}

pub const CURL: Peer = peer("curl", "curl", &["--version"], "curl ");
pub const WGET: Peer = peer("wget", "wget", &["--version"], "Wget ");
pub const CHROMIUM: Peer = peer("chromium", "chromium", &["--version"], "Chromium ");
pub const WRK: Peer = peer("wrk", "wrk", &["-v"], "wrk debian/");
pub const AB: Peer = peer("ab", "apache2-utils", &["-V"], "Version ");
pub const HEY: Peer = peer("hey", "hey", &[], "");
pub const H2LOAD: Peer = peer("h2load", "nghttp2-client", &["--version"], "nghttp2/");
pub const PYTHON: Peer = peer("python3", "python3", &["--version"], "Python ");
pub const NC: Peer = peer("nc", "netcat-openbsd", &["-h"], "patchlevel ");
pub const OPENSSL: Peer = peer("openssl", "openssl", &["version"], "OpenSSL ");
pub const NGINX: Peer = peer("nginx", "nginx-light", &["-v"], "nginx/");
pub const HAPROXY: Peer = peer("haproxy", "haproxy", &["-v"], "version ");
pub const CADDY: Peer = peer("caddy", "caddy", &["version"], "");
pub const SOCAT: Peer = peer("socat", "socat", &["-V"], "socat version ");
pub const TINYPROXY: Peer = peer("tinyproxy", "tinyproxy-bin", &["-v"], "tinyproxy ");
pub const MICROSOCKS: Peer = peer("microsocks", "microsocks", &[], "");
pub const TASKSET: Peer = peer("taskset", "util-linux", &["--version"], "util-linux ");

/// What the interop matrix asks for.
pub const INTEROP: &[Peer] = &[
    CADDY, CURL, WGET, CHROMIUM, WRK, AB, HEY, H2LOAD, PYTHON, NC, OPENSSL, NGINX, HAPROXY, SOCAT,
    TINYPROXY, MICROSOCKS,
];

/// What the benchmarks ask for.
pub const BENCH: &[Peer] = &[WRK, NGINX, CADDY, CURL, PYTHON, OPENSSL, TASKSET];

impl Peer {
    pub fn path(&self) -> Option<PathBuf> {
        process::find(self.program)
    }

    /// The start of a command line, or an error that names the package.
    pub fn command(&self) -> Result<Command> {
        let path = self.path().with_context(|| self.absence())?;
        Ok(Command::new(path))
    }

    /// In words: it is not here, and which package has it.
    pub fn absence(&self) -> String {
        format!("{} is not here (package {})", self.program, self.package)
    }

    /// The version it names itself by, or Debian's where it names none; empty if neither can be had.
    pub fn version(&self) -> String {
        let (arguments, before) = self.version;
        let own = (!before.is_empty() || !arguments.is_empty())
            .then(|| self.command().ok())
            .flatten()
            .and_then(|mut command| process::run(command.args(arguments), LIMIT).ok())
            .and_then(|ran| number_after(&ran.all(), before));
        own.or_else(|| self.debian_version()).unwrap_or_default()
    }

    fn debian_version(&self) -> Option<String> {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f", "${Version}", self.package]);
        let ran = process::run(&query, LIMIT).ok()?;
        ran.status.success().then(|| ran.out())
    }
}

const LIMIT: Duration = Duration::from_secs(20);

/// The word that follows `before` in `text`, up to a space, bracket or comma.
fn number_after(text: &str, before: &str) -> Option<String> {
    let rest = &text[text.find(before)? + before.len()..];
    let word = rest.split(|c: char| c.is_whitespace() || ")(,;".contains(c)).next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

/// Installs those of `peers` that are missing, where that may be done: as root, on Debian, with its
/// packages in reach. Returns, in words, why those that are still missing are.
///
/// # Errors
/// Only when a file of our own cannot be written; that apt-get has nothing for us is no error.
pub fn install(peers: &[Peer], allowed: bool) -> Result<Vec<String>> {
    let missing: Vec<_> = peers.iter().filter(|peer| peer.path().is_none()).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let packages: BTreeSet<_> = missing.iter().map(|peer| peer.package).collect();
    let why = match may_install(allowed) {
        Ok(()) => apt_get(&packages).err().map(|error| format!("{error:#}")),
        Err(error) => Some(error.to_string()),
    };
    let why = why.unwrap_or_else(|| "apt-get brought no such program".to_owned());
    let absent = missing.iter().filter(|peer| peer.path().is_none());
    Ok(absent.map(|peer| format!("{}: {why}", peer.absence())).collect())
}

fn may_install(allowed: bool) -> Result<()> {
    if !allowed {
        bail!("not installed, as --no-install says");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("only root may install it");
    }
    if process::find("apt-get").is_none() {
        bail!("there is no apt-get here");
    }
    Ok(())
}

fn apt_get(packages: &BTreeSet<&str>) -> Result<()> {
    let list: Vec<_> = packages.iter().copied().collect();
    println!("installing with apt-get: {}", list.join(" "));
    let _guard = NoServices::new()?;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    process::run(&apt(&["update"]), minutes(3))?.ok("apt-get update")?;
    let mut all = apt(&["install", "--no-install-recommends"]);
    let together = process::run(all.args(&list), minutes(8))?.ok("apt-get install");
    if together.is_err() {
        // One package that does not exist here must not keep the others away.
        for package in list {
            let one = apt(&["install", "--no-install-recommends", package]);
            let _ = process::run(&one, minutes(4))?;
        }
    }
    Ok(())
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-y", "-q", "-o", "DPkg::Lock::Timeout=60"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// While it lives, packages that are installed do not start their services.
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn new() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").context(POLICY)?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// Writes the template tests/`name` into `scratch`, each `{{key}}` replaced.
///
/// # Errors
/// When the template is missing, or a key of it has no value.
pub fn configure(scratch: &Scratch, name: &str, values: &[(&str, String)]) -> Result<PathBuf> {
    let template = crate::root().join("tests").join(name);
    let mut text = fs::read_to_string(&template)
        .with_context(|| format!("cannot read {}", template.display()))?;
    for (key, value) in values {
        text = text.replace(&format!("{{{{{key}}}}}"), value);
    }
    if let Some(at) = text.find("{{") {
        bail!("{name}: no value for {}", text[at..].split("}}").next().unwrap_or_default());
    }
    let file = template.file_name().context("a template has a name")?;
    scratch.write(file, text)
}

/// A certificate for localhost and 127.0.0.1, signed by itself.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Makes one with openssl: an elliptic key, so that handshakes are cheap on both sides.
pub fn certificate(scratch: &Scratch, name: &str) -> Result<Certificate> {
    let files = Certificate {
        certificate: scratch.join(format!("{name}.pem")),
        key: scratch.join(format!("{name}.key")),
    };
    let config = configure(scratch, "interop/openssl.cnf", &[("NAME", name.to_owned())])?;
    let mut request = OPENSSL.command()?;
    request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    request.args(["-nodes", "-days", "2", "-config"]).arg(config).arg("-keyout");
    request.arg(&files.key).arg("-out").arg(&files.certificate);
    process::run(&request, LIMIT)?.ok("openssl req")?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        #[rustfmt::skip]
        let table = [
            ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", "curl ", Some("7.88.1")),
            ("nginx version: nginx/1.22.1\n", "nginx/", Some("1.22.1")),
            ("2.6.2\n", "", Some("2.6.2")),
            ("OpenBSD netcat (Debian patchlevel 1.219-1)", "patchlevel ", Some("1.219-1")),
            ("nothing of the kind", "version ", None),
        ];
        for (text, before, want) in table {
            assert_eq!(number_after(text, before).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_template_without_a_value_is_refused() {
        let scratch = Scratch::new("template").unwrap();
        let error = configure(&scratch, "interop/nginx.conf", &[]).unwrap_err();
        assert!(error.to_string().contains("no value for"), "{error}");
    }
}
