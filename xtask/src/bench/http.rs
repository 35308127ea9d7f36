//! HTTP: small answers, files, connects, workers and idle connections, beside the field.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::measure::{Measured, Scenario, Server, alternate};
use super::report::{Bound, Goal};
use super::wrk::Load;
use super::{Plan, Suited, files, idle, machine};
use crate::cargo;
use crate::peers::{self, CADDY, Certificate, NGINX, PYTHON};
use crate::process::{self, free_port};

pub const TITLE: &str = "HTTP: beside hyper, nginx, Caddy and Twisted";
pub const ABOUT: &str = "\
One server thread (or worker) on the first core, the load on the second, over loopback, no access \
log anywhere. *ropewalk handler* is [tests/peers/ours](../../tests/peers/ours): the library with a \
handler that answers 13 bytes; *ropewalk web* is the command \
serving a folder, `--workers 1`. hyper is \
[tests/peers/hyper](../../tests/peers/hyper), with a timer and a deadline for the head as a server in \
earnest has; nginx answers the same 13 bytes by `return`, or from a file by `sendfile`.";

pub const HANDLER: &str = "ropewalk handler";
pub const WEB: &str = "ropewalk web";
pub const HYPER: &str = "hyper";
pub const NGINX_RETURN: &str = "nginx return";
pub const NGINX_FILE: &str = "nginx file";
pub const CADDY_FILE: &str = "Caddy file";

/// What the servers need to start.
pub struct Stage<'a> {
    pub plan: &'a Plan,
    pub site: PathBuf,
    pub certificate: Certificate,
    /// How many files a process may have open.
    pub files: usize,
    handler: Result<PathBuf, String>,
}

pub fn measure(plan: &Plan, files: usize) -> Suited {
    let stage = Stage {
        handler: handler().map_err(|error| format!("{error:#}")),
        ..Stage::new(plan, files)?
    };
    let mut scenarios = small(&stage);
    scenarios.extend(files::measure(&stage));
    scenarios.extend(workers(&stage));
    let idle = idle::measure(&stage);
    let mut goals = goals(&scenarios);
    if let Some((scenario, figures)) = idle {
        scenarios.push(scenario);
        goals.extend(figures);
    }
    Ok((scenarios, goals))
}

fn handler() -> Result<PathBuf> {
    Ok(cargo::build(true, &["--package", "peer-ours"])?.join("peer-ours"))
}

/// Starts what can be started; the others are named in the second list.
pub fn started(servers: Vec<(&str, Result<Server>)>) -> (Vec<Server>, Vec<String>) {
    let mut up = Vec::new();
    let mut absent = Vec::new();
    for (name, server) in servers {
        match server {
            Ok(server) => up.push(server),
            Err(error) => absent.push(format!("{name}: {error:#}")),
        }
    }
    (up, absent)
}

/// A scenario's note: the load, then what went wrong.
pub fn note(load: &str, absent: &[String], failed: Vec<String>) -> String {
    let mut note = format!("`{load}`");
    for line in absent.iter().chain(&failed) {
        // The last line of what a server said is the one that tells why it ended.
        note += &format!("; left out: {}", line.lines().last().unwrap_or_default());
    }
    note
}

impl<'a> Stage<'a> {
    /// The site, and a certificate; without our handler, which is built first.
    pub fn new(plan: &'a Plan, files: usize) -> Result<Self> {
        plan.scratch.write("site/hello.txt", "Hello, world!")?;
        plan.scratch.write("site/10k.bin", vec![b'x'; 10 * 1024])?;
        plan.scratch.write("site/10m.bin", vec![b'x'; 10 * 1024 * 1024])?;
        Ok(Self {
            plan,
            site: plan.scratch.join("site"),
            certificate: peers::certificate(&plan.scratch, "localhost")?,
            files,
            handler: Err("it was not built".to_owned()),
        })
    }

    pub fn handler(&self, workers: usize, more: &[&str], core: Option<usize>) -> Result<Server> {
        let program = self.handler.clone().map_err(anyhow::Error::msg)?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.arg(format!("127.0.0.1:{port}")).arg(workers.to_string()).args(more);
        let target = format!("http://127.0.0.1:{port}/hello.txt");
        let folder = self.plan.scratch.path();
        Server::start_on(core, (HANDLER, ""), target, &command, &[port], folder)
    }

    pub fn web(&self, path: &str) -> Result<Server> {
        let port = free_port()?;
        let target = format!("http://127.0.0.1:{port}/{path}");
        self.web_on(&format!("tcp:127.0.0.1:{port}"), port, target)
    }

    pub fn web_over_tls(&self) -> Result<Server> {
        let port = free_port()?;
        let (cert, key) = (&self.certificate.certificate, &self.certificate.key);
        let (cert, key) = (cert.display(), key.display());
        let listen = format!("tls:127.0.0.1:{port}:cert={cert}:key={key}");
        self.web_on(&listen, port, port.to_string())
    }

    fn web_on(&self, listen: &str, port: u16, target: String) -> Result<Server> {
        let mut command = Command::new(&self.plan.ropewalk);
        command.arg("web").arg("--path").arg(&self.site).args(["--listen", listen]);
        // No cap: what is measured are more connections than half of the open files.
        command.args(["--workers", "1", "--max-connections", "0"]);
        Server::start((WEB, ""), target, &command, &[port], self.plan.scratch.path())
    }

    pub fn hyper(&self) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(self.plan.release.join("peer-hyper"));
        command.arg(format!("127.0.0.1:{port}"));
        let target = format!("http://127.0.0.1:{port}/hello.txt");
        let version = locked_version("hyper").unwrap_or_default();
        Server::start((HYPER, &version), target, &command, &[port], self.plan.scratch.path())
    }

    /// nginx, in a folder of its own; the load's path, and its port for TLS.
    pub fn nginx(&self, name: &str, path: &str) -> Result<(Server, u16)> {
        let (plain, tls) = (free_port()?, free_port()?);
        let folder = format!("nginx-{plain}");
        self.plan.scratch.write(format!("{folder}/empty"), "")?;
        let folder = self.plan.scratch.join(folder);
        let values = [
            ("DIR", folder.display().to_string()),
            ("ROOT", self.site.display().to_string()),
            ("CERT", self.certificate.certificate.display().to_string()),
            ("KEY", self.certificate.key.display().to_string()),
            ("PLAIN", plain.to_string()),
            ("TLS", tls.to_string()),
            ("FILES", self.files.to_string()),
        ];
        let template = peers::configure(&self.plan.scratch, "peers/nginx.conf", &values)?;
        let file = folder.join("nginx.conf");
        std::fs::rename(template, &file)?;
        let mut command = NGINX.command()?;
        command.arg("-c").arg(file).args(["-e", "stderr"]).arg("-p").arg(&folder);
        let target = format!("http://127.0.0.1:{plain}/{path}");
        let version = NGINX.version();
        let server = Server::start((name, &version), target, &command, &[plain, tls], &folder)?;
        Ok((server, tls))
    }

    pub fn caddy(&self, name: &str, path: &str) -> Result<Server> {
        let port = free_port()?;
        let values = [("PORT", port.to_string()), ("ROOT", self.site.display().to_string())];
        let file = peers::configure(&self.plan.scratch, "peers/Caddyfile", &values)?;
        let mut command = CADDY.command()?;
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        // One thread at a time runs Go code, as one worker of nginx does.
        command.env("GOMAXPROCS", "1").env("HOME", self.plan.scratch.path());
        let target = format!("http://127.0.0.1:{port}/{path}");
        let version = CADDY.version();
        Server::start((name, &version), target, &command, &[port], self.plan.scratch.path())
    }

    fn twisted(&self) -> Result<Server> {
        let (python, version) = twisted_python()?;
        let port = free_port()?;
        let mut command = Command::new(python);
        command.arg(crate::root().join("tests/peers/twisted_hello.py")).arg(port.to_string());
        let target = format!("http://127.0.0.1:{port}/hello.txt");
        Server::start(("Twisted", &version), target, &command, &[port], self.plan.scratch.path())
    }
}

/// The version that Cargo.lock has of a package.
pub fn locked_version(name: &str) -> Option<String> {
    let lock = std::fs::read_to_string(crate::root().join("Cargo.lock")).ok()?;
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}

/// A Python that has Twisted: in a virtual environment of its own beside what cargo builds.
fn twisted_python() -> Result<(PathBuf, String)> {
    let folder = cargo::target()?.join("xtask/twisted");
    let python = folder.join("bin/python");
    let version = |python: &PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", "import twisted; print(twisted.__version__)"]);
        process::run(&command, Duration::from_secs(20))?.ok("Twisted")
    };
    if !python.exists() || version(&python).is_err() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let mut create = PYTHON.command()?;
        create.args(["-m", "venv", "--clear"]).arg(&folder);
        process::run(&create, minutes(2))?.ok("python3 -m venv")?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "twisted"]);
        process::run(&install, minutes(3))?.ok("pip install twisted")?;
    }
    let version = version(&python)?.out().trim().to_owned();
    Ok((python, version))
}

/// The small answer under each load.
fn small(stage: &Stage<'_>) -> Vec<Scenario> {
    let loads = [
        (SMALL_ONE, Load::of(1)),
        (SMALL_MANY, Load::of(64)),
        (SMALL_PIPELINED, Load { pipelined: 16, ..Load::of(64) }),
        (CONNECTS, Load { close: true, ..Load::of(64) }),
    ];
    if !loads.iter().any(|(title, _)| stage.plan.wants(title)) {
        return Vec::new();
    }
    let (servers, absent) = started(vec![
        (HANDLER, stage.handler(1, &[], Some(0))),
        (WEB, stage.web("hello.txt")),
        (HYPER, stage.hyper()),
        (NGINX_RETURN, first(stage.nginx(NGINX_RETURN, "hello"))),
        (NGINX_FILE, first(stage.nginx(NGINX_FILE, "hello.txt"))),
        ("Caddy respond", stage.caddy("Caddy respond", "hello")),
        ("Twisted", stage.twisted()),
    ]);
    let mut scenarios = Vec::new();
    for (title, load) in loads {
        if stage.plan.wants(title) {
            scenarios.push(scenario(stage.plan, title, load, &servers, &absent));
        }
    }
    scenarios
}

const SMALL_ONE: &str = "Small answer, 1 connection";
const SMALL_MANY: &str = "Small answer, 64 connections";
const SMALL_PIPELINED: &str = "Small answer, 64 connections, 16 pipelined";
const CONNECTS: &str = "Small answer, a connection for each request";

/// One load on each of the servers.
pub fn scenario(
    plan: &Plan,
    title: &str,
    load: Load,
    servers: &[Server],
    absent: &[String],
) -> Scenario {
    println!("{title}");
    let (results, failed) = alternate(plan, servers, |server, seconds| load.run(server, seconds));
    let note = note(&load.words(plan.seconds), absent, failed);
    Scenario { title: title.to_owned(), unit: "request", note, results }
}

/// Workers: a runtime of its own on each core (`SO_REUSEPORT`) beside one runtime shared by them.
fn workers(stage: &Stage<'_>) -> Vec<Scenario> {
    let title = "Workers: small answer, 64 connections, nothing pinned";
    if !stage.plan.wants(title) {
        return Vec::new();
    }
    let server = |workers: usize, more: &[&str], name: &str| {
        let mut server = stage.handler(workers, more, None)?;
        server.name = name.to_owned();
        anyhow::Ok(server)
    };
    let [one, two, shared] = ["ropewalk, 1 worker", "ropewalk, 2 workers", "ropewalk, 2 shared"];
    let (servers, absent) = started(vec![
        (one, server(1, &[], one)),
        (two, server(2, &[], two)),
        (shared, server(2, &["shared"], shared)),
    ]);
    let load = Load { pinned: false, ..Load::of(64) };
    let mut scenario = scenario(stage.plan, title, load, &servers, &absent);
    let cores = machine::cores();
    scenario.note += &format!(
        ". *2 workers* accept on a `SO_REUSEPORT` socket each, *2 shared* are threads of one tokio \
         scheduler. The load shares the {cores} cores with the server, so the second worker gets \
         what the load leaves. Nothing beyond {cores} cores was measured, and nothing is extrapolated."
    );
    vec![scenario]
}

fn goals(scenarios: &[Scenario]) -> Vec<Goal> {
    let of = |title: &str, name: &str| -> Option<&Measured> {
        scenarios.iter().find(|scenario| scenario.title == title)?.of(name)
    };
    let cost = |title: &str, ours: &str, theirs: &str| {
        Some(of(title, ours)?.cost.ratio(&of(title, theirs)?.cost))
    };
    let cheaper = |title: &str, ours: &str, theirs: &str, most: f64| Goal {
        what: format!("{title}: CPU of {ours} ÷ {theirs}"),
        bound: Bound::AtMost(most),
        got: cost(title, ours, theirs),
    };
    let throughput = |title: &str| {
        let (ours, theirs) = (of(title, WEB)?, of(title, NGINX_FILE)?);
        Some(ours.rate.ratio(&theirs.rate))
    };
    let faster = |title: &str| Goal {
        what: format!("{title}: throughput of {WEB} ÷ {NGINX_FILE}"),
        bound: Bound::AtLeast(1.0),
        got: throughput(title),
    };
    vec![
        cheaper(SMALL_ONE, HANDLER, HYPER, 1.0),
        cheaper(SMALL_PIPELINED, HANDLER, HYPER, 0.8),
        cheaper(SMALL_ONE, HANDLER, NGINX_RETURN, 1.0),
        cheaper(SMALL_MANY, HANDLER, NGINX_RETURN, 1.0),
        cheaper(SMALL_PIPELINED, HANDLER, NGINX_RETURN, 1.0),
        cheaper(files::SMALL, WEB, NGINX_FILE, 1.0),
        faster(files::LARGE),
        faster(files::RANGE),
        faster(files::RANGES),
    ]
}

/// A server's name and version.
pub fn named(server: &Server) -> String {
    format!("{} {}", server.name, server.version).trim().to_owned()
}

/// The server without what came with it.
pub fn first<T>(pair: Result<(Server, T)>) -> Result<Server> {
    pair.map(|(server, _)| server)
}
