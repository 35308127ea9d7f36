//! Every check of the project, one after the other; a failure does not keep the next from running.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::cargo::{self, cargo};
use crate::interop::{self, Tally};
use crate::{docs, process, tidy};

#[derive(Args)]
pub struct Options {
    /// Install nothing; what is missing is skipped
    #[arg(long)]
    no_install: bool,
    /// Leave the foreign programs out
    #[arg(long)]
    no_interop: bool,
}

/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What became of a step.
enum Outcome {
    /// It counts as this many.
    Tally(Tally),
    /// What it printed, whole.
    Failed(String),
    Skipped(String),
}

type Step = (String, Box<dyn FnOnce() -> Result<Outcome>>);

pub fn run(options: &Options) -> Result<bool> {
    let start = Instant::now();
    let mut total = Tally::default();
    let mut skipped = Vec::new();
    let mut failed = Vec::new();
    for (name, body) in steps(options)? {
        println!("{name}");
        let begun = Instant::now();
        let outcome = body().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let took = begun.elapsed().as_secs_f32();
        match outcome {
            Outcome::Tally(tally) => {
                println!("  {tally} ({took:.1} s)");
                total += tally;
                if tally.failed > 0 {
                    failed.push(name);
                }
            }
            Outcome::Failed(text) => {
                println!("  FAILED ({took:.1} s)\n{}", text.trim_end());
                total.failed += 1;
                failed.push(name);
            }
            Outcome::Skipped(why) => {
                println!("  skipped: {why}");
                total.skipped += 1;
                skipped.push(format!("{name}: {why}"));
            }
        }
    }
    summary(&skipped, &failed, start.elapsed());
    // The last line, alone: what reads the output of CI looks for it.
    println!("{total}");
    Ok(total.failed == 0)
}

fn summary(skipped: &[String], failed: &[String], took: Duration) {
    println!("\ntook {} s on {} cores", took.as_secs(), cores());
    for skipped in skipped {
        println!("skipped: {skipped}");
    }
    for failed in failed {
        println!("failed: {failed}");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn steps(options: &Options) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut add = |name: &str, body: Box<dyn FnOnce() -> Result<Outcome>>| {
        steps.push((name.to_owned(), body));
    };
    add("formatting", Box::new(|| check(cargo().args(["fmt", "--all", "--check"]))));
    add("tidy", Box::new(|| all(tidy::problems()?)));
    add(
        "clippy",
        Box::new(|| {
            let arguments =
                ["clippy", "--workspace", "--all-features", "--all-targets", "--quiet", "--"];
            check(cargo().args(arguments).args(["-D", "warnings"]))
        }),
    );
    for package in cargo::packages()?.into_iter().filter(|package| package.library) {
        let name = format!("{} without its io feature", package.name);
        add(&name, Box::new(move || without_io(&package.name)));
    }
    // The command, too: tests that drive it from outside, and interop, want it built.
    add(
        "examples and commands",
        Box::new(|| {
            check(cargo().args([
                "build",
                "--workspace",
                "--all-features",
                "--examples",
                "--bins",
                "--quiet",
            ]))
        }),
    );
    add("tests", Box::new(tests));
    add(
        "doc tests",
        Box::new(|| {
            counted(cargo().args([
                "test",
                "--workspace",
                "--all-features",
                "--doc",
                "--no-fail-fast",
            ]))
        }),
    );
    add("documentation", Box::new(|| all(docs::problems()?)));
    add("licences and sources", Box::new(deny));
    let (no_install, no_interop) = (options.no_install, options.no_interop);
    add("interop", Box::new(move || foreign(no_install, no_interop)));
    Ok(steps)
}

const ONE: Tally = Tally { passed: 1, failed: 0, skipped: 0 };

/// A step that is one command: it passes or fails as a whole.
fn check(command: &mut Command) -> Result<Outcome> {
    let ran = process::run(command, LIMIT)?;
    Ok(if ran.status.success() { Outcome::Tally(ONE) } else { Outcome::Failed(ran.all()) })
}

/// A step that finds problems.
fn all(problems: Vec<String>) -> Result<Outcome> {
    Ok(if problems.is_empty() { Outcome::Tally(ONE) } else { Outcome::Failed(problems.join("\n")) })
}

/// The wall between deciding and waiting: it builds, without a warning, and no tokio is in its tree.
fn without_io(package: &str) -> Result<Outcome> {
    let clippy = ["clippy", "--quiet", "--no-default-features", "--package", package, "--"];
    let ran = process::run(cargo().args(clippy).args(["-D", "warnings"]), LIMIT)?;
    if !ran.status.success() {
        return Ok(Outcome::Failed(ran.all()));
    }
    let mut tree = cargo();
    tree.args(["tree", "--package", package, "--no-default-features"]);
    tree.args(["--edges", "normal", "--prefix", "none"]);
    let tree = process::run(&tree, LIMIT)?.ok("cargo tree")?.out();
    let waits: Vec<_> = tree.lines().filter(|line| line.starts_with("tokio")).collect();
    all(waits.iter().map(|line| format!("{package} without io depends on {line}")).collect())
}

fn tests() -> Result<Outcome> {
    if process::find("cargo-nextest").is_some() {
        let arguments = [
            "nextest",
            "run",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
            "--no-tests=pass",
        ];
        let quiet = ["--cargo-quiet", "--status-level=fail", "--final-status-level=fail"];
        let outcome = counted(cargo().args(arguments).args(quiet))?;
        ignored()?;
        return Ok(outcome);
    }
    counted(cargo().args([
        "test",
        "--workspace",
        "--all-features",
        "--all-targets",
        "--no-fail-fast",
        "--quiet",
    ]))
}

/// Names the tests that nextest only counts as skipped.
fn ignored() -> Result<()> {
    let mut list = cargo();
    list.args([
        "nextest",
        "list",
        "--workspace",
        "--all-features",
        "--cargo-quiet",
        "--message-format",
        "oneline",
    ]);
    let ran = process::run(list.args(["--run-ignored", "only"]), LIMIT)?;
    for test in ran.out().lines() {
        println!("  ignored unless asked for: {test}");
    }
    Ok(())
}

/// A step whose tests are counted by what their runner says.
fn counted(command: &mut Command) -> Result<Outcome> {
    let ran = process::run(command, LIMIT)?;
    let tally = tally(&ran.all());
    if ran.status.success() {
        return Ok(Outcome::Tally(tally));
    }
    if tally.failed == 0 {
        return Ok(Outcome::Failed(ran.all()));
    }
    println!("{}", ran.all());
    Ok(Outcome::Tally(tally))
}

/// The sum of the closing lines of nextest (`Summary [..] .. 3 passed, 1 failed, 2 skipped`) and of
/// the standard harness (`test result: ok. 3 passed; 0 failed; 1 ignored; ..`).
fn tally(output: &str) -> Tally {
    let mut total = Tally::default();
    // What a failed test printed is in nextest's output, closing lines and all: only its own counts.
    let nextest = output.lines().any(|line| line.trim_start().starts_with("Summary ["));
    let closing = if nextest { "Summary [" } else { "test result:" };
    for line in output.lines().map(str::trim_start).filter(|line| line.starts_with(closing)) {
        total.passed += before(line, "passed");
        total.failed += before(line, "failed") + before(line, "timed out");
        total.skipped += before(line, "skipped") + before(line, "ignored");
    }
    total
}

/// The number before `word`.
fn before(line: &str, word: &str) -> usize {
    let Some((head, _)) = line.split_once(&format!(" {word}")) else { return 0 };
    head.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn deny() -> Result<Outcome> {
    if process::find("cargo-deny").is_none() {
        return Ok(Outcome::Skipped("cargo-deny is not here (cargo install cargo-deny)".into()));
    }
    let mut command = cargo();
    // Advisories need a database from outside: `cargo deny check advisories` where it can be had.
    command.args(["deny", "--locked", "check", "--hide-inclusion-graph"]);
    let ran = process::run(command.args(["licenses", "bans", "sources"]), LIMIT)?;
    let said = ran.all();
    if !ran.status.success() && said.contains("failed to fetch crates") {
        return Ok(Outcome::Skipped("the crates of other systems cannot be fetched".into()));
    }
    Ok(if ran.status.success() { Outcome::Tally(ONE) } else { Outcome::Failed(said) })
}

fn foreign(no_install: bool, leave_out: bool) -> Result<Outcome> {
    if leave_out {
        return Ok(Outcome::Skipped("--no-interop".into()));
    }
    let options = interop::Options { no_install, ..interop::Options::default() };
    let rows = interop::matrix(&options)?;
    interop::report_failures(&rows);
    Ok(Outcome::Tally(Tally::of(&rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        #[rustfmt::skip]
        let table = [
            ("     Summary [   0.005s] 3 tests run: 3 passed, 2 skipped\n", (3, 0, 2)),
            ("Summary [ 9.1s] 9 tests run: 7 passed (1 slow), 2 failed, 0 skipped", (7, 2, 0)),
            ("Summary [ 9.1s] 9 tests run: 7 passed, 1 failed, 1 timed out, 0 skipped", (7, 2, 0)),
            ("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured\ntest result: FAILED. 1 passed; 2 failed; 0 ignored;", (5, 2, 1)),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored;\n Summary [ 1s] 2 tests run: 1 passed, 1 failed, 0 skipped", (1, 1, 0)),
            ("nothing ran", (0, 0, 0)),
        ];
        for (output, (passed, failed, skipped)) in table {
            assert_eq!(tally(output), Tally { passed, failed, skipped }, "{output}");
        }
    }
}
