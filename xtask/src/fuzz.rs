//! Fuzzing by cargo-fuzz, its corpus kept small.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::cargo;
use crate::process::{self, Scratch, tail};

#[derive(Args)]
pub struct Options {
    /// One target; all of them in turn when none is named
    target: Option<String>,
    /// How long for each target, in seconds
    #[arg(default_value_t = 60)]
    seconds: u64,
    /// Name the targets and do nothing
    #[arg(long)]
    list: bool,
}

/// How many inputs are kept for a target at most, and of how many bytes each.
const KEPT: usize = 64;
const LARGEST: u64 = 4096;

pub fn run(options: &Options) -> Result<bool> {
    let folder = crate::root().join("tests/fuzz");
    if process::find("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is not here: cargo install cargo-fuzz");
    }
    let targets = targets()?;
    if options.list {
        targets.iter().for_each(|target| println!("{target}"));
        return Ok(true);
    }
    let chosen = match &options.target {
        Some(name) if !targets.contains(name) => {
            bail!("no target {name}; there are: {}", targets.join(", "));
        }
        Some(name) => vec![name.clone()],
        None => targets,
    };
    let mut well = true;
    for target in chosen {
        well &= one(&folder, &target, options.seconds)?;
    }
    Ok(well)
}

/// The targets' names, as the manifest has them.
fn targets() -> Result<Vec<String>> {
    let mut command = cargo();
    command.args(["fuzz", "list", "--fuzz-dir", "tests/fuzz"]);
    let ran = process::run(&command, Duration::from_secs(60))?.ok("cargo fuzz list")?;
    Ok(ran.out().lines().map(str::to_owned).collect())
}

/// Fuzzes one target in a folder of its own, then keeps the inputs that cover the most.
fn one(folder: &Path, target: &str, seconds: u64) -> Result<bool> {
    let scratch = Scratch::new("fuzz")?;
    let (found, merged) = (scratch.join("found"), scratch.join("merged"));
    let kept = folder.join("corpus").join(target);
    for path in [&found, &merged, &kept] {
        fs::create_dir_all(path)?;
    }
    println!("{target}: {seconds} s");
    let limit = format!("-max_total_time={seconds}");
    // Building comes on top of the seconds asked for.
    let patience = Duration::from_secs(seconds + 1200);
    let more = ["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"];
    let ran =
        libfuzzer(target, &[&found, &kept], &[&[limit.as_str()], &more[..]].concat(), patience)?;
    println!("{}", final_figures(&ran.err()));
    if !ran.status.success() {
        println!("{target} FAILED:\n{}", tail(&ran.all(), 6000));
        return Ok(false);
    }
    libfuzzer(target, &[&merged, &found, &kept], &["-merge=1"], patience)?.ok("merging")?;
    keep(&merged, &kept)?;
    Ok(true)
}

fn libfuzzer(
    target: &str,
    corpora: &[&PathBuf],
    flags: &[&str],
    patience: Duration,
) -> Result<process::Ran> {
    let mut command = cargo();
    // The sanitizers are flags of the nightly compiler; this lets the stable one take them.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", target]);
    command.args(corpora).arg("--").args(flags);
    process::run(&command, patience)
}

/// The lines that say how much was done.
fn final_figures(log: &str) -> String {
    let figures = log.lines().filter(|line| {
        ["stat::number_of_executed_units", "stat::average_exec_per_sec", "stat::peak_rss_mb"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    figures.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Puts inputs of `merged` in the place of what was kept: [`KEPT`] of them, small and large alike.
fn keep(merged: &Path, kept: &Path) -> Result<()> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(merged)? {
        let entry = entry?;
        inputs.push((entry.metadata()?.len(), entry.path()));
    }
    inputs.retain(|(size, _)| *size <= LARGEST);
    inputs.sort();
    fs::remove_dir_all(kept)?;
    fs::create_dir_all(kept)?;
    let step = inputs.len().div_ceil(KEPT).max(1);
    for (_, path) in inputs.iter().step_by(step) {
        let name = path.file_name().context("an input has a name")?;
        fs::copy(path, kept.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_inputs_are_kept_of_each_size() {
        let scratch = Scratch::new("keep").unwrap();
        for number in 0..2 * KEPT {
            scratch.write(format!("merged/{number}"), vec![0; number]).unwrap();
        }
        scratch.write("merged/large", vec![0; 5000]).unwrap();
        scratch.write("kept/old", "x").unwrap();
        keep(&scratch.join("merged"), &scratch.join("kept")).unwrap();
        let sizes: Vec<_> = fs::read_dir(scratch.join("kept"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), KEPT);
        assert_eq!(sizes.iter().max(), Some(&126));
    }
}
