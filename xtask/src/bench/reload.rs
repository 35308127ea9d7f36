//! Reloads: what they cost, how long they take, and whether anything is lost.

use std::fmt::Write;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::measure::{Measured, Scenario, Series, Server, cpu, memory};
use super::report::{Bound, Goal, thousands};
use super::wrk::{self, Load};
use super::{Plan, Suited};
use crate::process::{Running, free_port, run, tail};

pub const TITLE: &str = "Reload: new settings without a connection lost";
pub const ABOUT: &str = "\
`ropewalk run` on the first core, with one `[[web]]`; each reload changes a setting of it, so that its \
listener is given a new accept loop, and a new server, over the same socket. A reload is timed from the \
start of the program `ropewalk reload` to its end. `load-idle` holds the connections, each after one \
request and its answer; after all reloads it sends a request on each once more.";

const OPEN: &str = "Reload with open connections";
const LOADED: &str = "Reload under load";
const REMOVED: &str = "A listener removed";

/// Descriptors that a server has open beside its connections.
const SPARE: usize = 300;
/// Reloads whose CPU time is measured together.
const TOGETHER: usize = 40;
/// How long the load may take to open or to ask.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that runs a file.
struct Daemon<'p> {
    plan: &'p Plan,
    server: Server,
    file: std::path::PathBuf,
    port: u16,
    /// For what else the file has.
    other: u16,
    round: usize,
}

pub fn measure(plan: &Plan, files: usize) -> Suited {
    let mut scenarios = Vec::new();
    let mut goals = Vec::new();
    let most = plan.idle.min(files.saturating_sub(SPARE));
    if plan.wants(OPEN) {
        println!("{OPEN}");
        let (scenario, lost, slowest) = with_open(plan, &[0, most / 10, most])?;
        let what = format!("{OPEN}: connections lost of {}", thousands(most as u64));
        goals.push(Goal { what, bound: Bound::AtMost(0.0), got: Some(lost as f64) });
        let what = format!("{OPEN}: ms of the slowest with {}", thousands(most as u64));
        goals.push(Goal { what, bound: Bound::AtMost(100.0), got: Some(slowest) });
        scenarios.push(scenario);
    }
    if plan.wants(LOADED) {
        println!("{LOADED}");
        let (scenario, failed) = under_load(plan)?;
        let what = format!("{LOADED}: requests and connections that failed");
        goals.push(Goal { what, bound: Bound::AtMost(0.0), got: Some(failed) });
        scenarios.push(scenario);
    }
    if plan.wants(REMOVED) {
        println!("{REMOVED}");
        scenarios.push(removed(plan, most)?);
    }
    Ok((scenarios, goals))
}

/// Reloads with none, some and many connections open.
fn with_open(plan: &Plan, counts: &[usize]) -> Result<(Scenario, usize, f64)> {
    let mut note =
        String::from("| open connections | reloads | ms each | lost |\n|--:|--:|--:|--:|\n");
    let mut results = Vec::new();
    let (mut lost, mut slowest) = (0, 0.0);
    for &count in counts {
        let mut daemon = Daemon::start(plan)?;
        let mut load = (count > 0).then(|| daemon.hold(count)).transpose()?;
        daemon.reload()?;
        let (mut times, mut cost) = (Series::default(), Series::default());
        for _ in 0..plan.rounds {
            // The kernel counts in hundredths of a second: one reload is too short to be seen.
            let before = cpu(daemon.server.running.pid())?;
            for _ in 0..TOGETHER {
                times.0.push(daemon.reload()? * 1e3);
            }
            let used = cpu(daemon.server.running.pid())? - before;
            cost.0.push(used * 1e6 / TOGETHER as f64);
        }
        let gone = match &mut load {
            Some(load) => count - alive(load)?,
            None => 0,
        };
        (lost, slowest) = (lost + gone, times.most());
        let row = format!(
            "| {} | {} | {:.1} ({:.1}–{:.1}) | {gone} |",
            thousands(count as u64),
            times.0.len() + 1,
            times.median(),
            times.least(),
            times.most(),
        );
        println!("  {row}");
        writeln!(note, "{row}").expect("into a string");
        results.push(Measured {
            name: format!("{} open", thousands(count as u64)),
            version: String::new(),
            rate: Series(times.0.iter().map(|ms| 1e3 / ms).collect()),
            cost,
            peak: memory(daemon.server.running.pid(), "VmHWM"),
        });
    }
    let (title, unit) = (OPEN.to_owned(), "reload");
    Ok((Scenario { title, unit, note, results }, lost, slowest))
}

/// Reloads while every request comes on a connection of its own.
fn under_load(plan: &Plan) -> Result<(Scenario, f64)> {
    let mut daemon = Daemon::start(plan)?;
    let load = Load { close: true, ..Load::of(64) };
    let seconds = plan.seconds * 4;
    let mut command = load.command(seconds, &daemon.server.target)?;
    let wrk = command.stdout(std::process::Stdio::piped()).spawn().context("cannot start wrk")?;
    let end = Instant::now() + Duration::from_secs(u64::from(seconds));
    let mut times = Series::default();
    while Instant::now() + Duration::from_millis(500) < end {
        thread::sleep(Duration::from_millis(100));
        times.0.push(daemon.reload()? * 1e3);
    }
    let out = wrk.wait_with_output()?;
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    let done = wrk::figures(&out).with_context(|| format!("wrk said: {out}"))?;
    let failed = failures(&out);
    let note = format!(
        "`{}`; meanwhile {} reloads, of {:.1} ms each ({:.1}–{:.1}). Requests answered: {}. \
         Requests and connections that failed: {failed}.",
        load.words(seconds),
        times.0.len(),
        times.median(),
        times.least(),
        times.most(),
        thousands(done.work as u64),
    );
    println!("  {note}");
    Ok((Scenario { title: LOADED.to_owned(), unit: "", note, results: Vec::new() }, failed))
}

/// `Socket errors: connect 0, read 0, write 0, timeout 0` and `Non-2xx or 3xx responses: 1`
fn failures(out: &str) -> f64 {
    let telling = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
    let numbers = out.lines().filter(telling).flat_map(|line| {
        let (_, numbers) = line.split_once(':').unwrap_or_default();
        numbers.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok()).collect::<Vec<_>>()
    });
    // Nothing adds up to a negative zero.
    numbers.sum::<f64>() + 0.0
}

/// How long it takes to end the idle connections of a listener that a reload removes.
fn removed(plan: &Plan, count: usize) -> Result<Scenario> {
    let mut daemon = Daemon::start(plan)?;
    let _load = daemon.hold(count)?;
    daemon.write(false)?;
    let begin = Instant::now();
    let reloaded = daemon.reload_as_it_is()?;
    let end = Instant::now() + PATIENCE;
    while !daemon.drained()? {
        ensure!(Instant::now() < end, "the listener does not drain");
        thread::sleep(Duration::from_millis(10));
    }
    let note = format!(
        "{} idle connections: reloaded in {:.0} ms, drained after {:.2} s. Each is closed by the server \
         first, which then waits half a second for a client that does not close (these do not).",
        thousands(count as u64),
        reloaded * 1e3,
        begin.elapsed().as_secs_f64(),
    );
    println!("  {note}");
    Ok(Scenario { title: REMOVED.to_owned(), unit: "", note, results: Vec::new() })
}

impl<'p> Daemon<'p> {
    fn start(plan: &'p Plan) -> Result<Self> {
        let (port, other) = (free_port()?, free_port()?);
        let folder = format!("reload-{port}");
        plan.scratch.write(format!("{folder}/site/hello.txt"), "Hello, world!")?;
        let folder = plan.scratch.join(&folder);
        let file = folder.join("ropewalk.toml");
        write(&file, Some(port), other, 0)?;
        let mut command = Command::new(&plan.ropewalk);
        command.arg("run").arg(&file).arg("--quiet");
        let target = format!("http://127.0.0.1:{port}/hello.txt");
        let server =
            Server::start(("ropewalk run", ""), target, &command, &[port, other], &folder)?;
        Ok(Self { plan, server, file, port, other, round: 0 })
    }

    /// Another setting, or no more of the listener with connections.
    fn write(&mut self, with: bool) -> Result<()> {
        self.round += 1;
        write(&self.file, with.then_some(self.port), self.other, self.round)
    }

    /// In seconds.
    fn reload(&mut self) -> Result<f64> {
        self.write(true)?;
        self.reload_as_it_is()
    }

    fn reload_as_it_is(&self) -> Result<f64> {
        let mut command = Command::new(&self.plan.ropewalk);
        command.arg("reload").arg(&self.file);
        let begin = Instant::now();
        // Waits in the kernel: a look every few milliseconds would be most of what is measured.
        let output = command.output().context("cannot start ropewalk")?;
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(seconds)
    }

    fn ask(&self, what: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.plan.ropewalk);
        command.args(what).arg(&self.file);
        Ok(run(&command, PATIENCE)?.ok("ropewalk")?.out())
    }

    fn drained(&self) -> Result<bool> {
        Ok(self.ask(&["status", "--json"])?.contains("\"draining\": []"))
    }

    /// Opens connections, which live as long as what is returned.
    fn hold(&self, count: usize) -> Result<Running> {
        let mut command = Command::new(self.plan.release.join("load-idle"));
        command.args([self.port.to_string(), count.to_string()]);
        let log = self.plan.scratch.join("load-idle.log");
        let mut load = Running::start("load-idle", &command, log)?;
        wait(&mut load, "ready")?;
        Ok(load)
    }
}

/// How many connections still answer.
fn alive(load: &mut Running) -> Result<usize> {
    load.signal(rustix::process::Signal::USR1)?;
    let log = wait(load, "alive")?;
    let number = log.lines().find_map(|line| line.strip_prefix("alive "));
    Ok(number.context("load-idle printed no figure")?.trim().parse()?)
}

/// Waits until a load has said so, and returns all it said.
fn wait(load: &mut Running, word: &str) -> Result<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let log = load.log();
        if log.lines().any(|line| line.starts_with(word)) && log.ends_with('\n') {
            return Ok(log);
        }
        if !load.is_running() || Instant::now() > end {
            bail!("load-idle: {}", tail(&log, 300));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn write(file: &std::path::Path, port: Option<u16>, other: u16, round: usize) -> Result<()> {
    let web = |port: u16| {
        format!(
            "[[web]]\nlisten = [\"tcp:127.0.0.1:{port}\"]\npath = \"site\"\n\
             index = [\"index-{round}.html\"]\n"
        )
    };
    let sections = port.map(web).unwrap_or_default() + &web(other);
    // In one step, as an editor does it.
    let draft = file.with_extension("new");
    std::fs::write(
        &draft,
        format!(
            "[control]\nsocket = \"control.sock\"\n\n[limits]\nmax-connections = 0\n\n{sections}"
        ),
    )?;
    Ok(std::fs::rename(draft, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_added_up() {
        let line = "  Socket errors: connect 1, read 2, write 0, timeout 4\n";
        let other = "  Non-2xx or 3xx responses: 8\n";
        for (out, sum) in [("", 0.0), (line, 7.0), (other, 8.0), (&[line, other].concat(), 15.0)] {
            assert_eq!(failures(out), sum);
        }
    }
}
