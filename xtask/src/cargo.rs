//! Cargo as a tool of the routines: the packages there are, and building one of them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

/// A package of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    pub name: String,
    /// It is a library that others build on: under crates/, and not the command.
    pub library: bool,
    /// What it depends on, without the dependencies of its tests.
    pub dependencies: Vec<String>,
}

/// `cargo`, the same one that runs us, at the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::root()).env("CARGO_TERM_COLOR", "never");
    command
}

fn metadata() -> Result<Value> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let ran = process::run(&command, Duration::from_secs(60))?.ok("cargo metadata")?;
    serde_json::from_slice(&ran.stdout).context("cargo metadata printed no JSON")
}

/// Where cargo builds.
pub fn target() -> Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata["target_directory"].as_str().context("metadata without a target")?;
    Ok(target.into())
}

/// The packages of the workspace.
pub fn packages() -> Result<Vec<Package>> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().context("metadata without packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let targets = value["targets"].as_array().context("a package without targets")?;
    let kind = |target: &Value, kind: &str| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
    };
    let dependencies = value["dependencies"].as_array().context("no dependencies")?;
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let ours = manifest.starts_with(crate::root().join("crates"));
    let name = text(&value["name"]);
    Ok(Package {
        library: ours && name != "ropewalk" && targets.iter().any(|target| kind(target, "lib")),
        name,
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    })
}

/// Builds with `arguments` (`-p`, `--bin`, `--example` …), quietly, and says what failed whole.
pub fn build(release: bool, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet"]).args(arguments);
    if release {
        command.arg("--release");
    }
    let ran = process::run(&command, Duration::from_secs(1200))?;
    if !ran.status.success() {
        bail!("cargo build {}:\n{}", arguments.join(" "), ran.err());
    }
    Ok(target()?.join(if release { "release" } else { "debug" }))
}

/// The command itself, built.
pub fn ropewalk(release: bool) -> Result<PathBuf> {
    Ok(build(release, &["--package", "ropewalk"])?.join("ropewalk"))
}
