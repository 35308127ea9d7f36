//! What no compiler checks: the length of files, the walls between crates, leftovers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cargo::{self, Package};
use crate::process;

/// A source file that is longer hides a second idea.
const LINES: usize = 900;

/// Below the protocols: what every crate may build on.
const SHARED: &[&str] = &["ropewalk-core", "ropewalk-cred", "ropewalk-mail"];

pub fn run() -> Result<bool> {
    let problems = problems()?;
    for problem in &problems {
        println!("{problem}");
    }
    Ok(problems.is_empty())
}

/// One line for each thing that is not tidy.
pub fn problems() -> Result<Vec<String>> {
    let root = crate::root();
    let mut problems = Vec::new();
    let needles = machine_paths();
    for path in files()? {
        // What is not text has no lines to look at.
        let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
        let name = path.display().to_string();
        if path.extension().is_some_and(|extension| extension == "rs") {
            problems.extend(source(&name, &text));
        }
        problems.extend(machine(&name, &text, &needles));
    }
    problems.extend(walls(&cargo::packages()?));
    Ok(problems)
}

/// The files that belong to the project: what git knows or would take.
fn files() -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    git.current_dir(crate::root());
    let ran = process::run(&git, Duration::from_secs(30)).and_then(|ran| ran.ok("git ls-files"));
    match ran {
        Ok(ran) => {
            Ok(ran.out().split('\0').filter(|name| !name.is_empty()).map(Into::into).collect())
        }
        // Not a clone (an archive, say): everything but what is built.
        Err(_) => walk(&crate::root()),
    }
}

fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name == "target" || name == ".git");
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if path.is_file() {
                let inside = path.strip_prefix(root).context("a file of the root")?;
                found.push(inside.to_path_buf());
            }
        }
    }
    Ok(found)
}

/// What a source file may not hold.
fn source(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LINES {
        problems.push(format!("{name}: {lines} lines, more than {LINES}"));
    }
    if name.ends_with("/mod.rs") {
        problems.push(format!("{name}: a module's file bears the module's name"));
    }
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for word in ["todo", "unimplemented"] {
            if code.contains(&format!("{word}!(")) {
                problems.push(format!("{name}:{}: {word}!", number + 1));
            }
        }
    }
    problems
}

/// Folders of the machine that must not be written down: this one's, and those of any builder.
fn machine_paths() -> Vec<String> {
    let mut needles: Vec<String> = ["root", "work"].map(|folder| format!("/{folder}/")).into();
    let root = crate::root();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    for folder in [Some(root), home].into_iter().flatten() {
        // A root of one component ("/src") is too short to be told from other text.
        if folder.components().count() > 2 {
            needles.push(format!("{}/", folder.display()));
        }
    }
    needles
}

/// Lines that name a folder of a machine. A longer path that merely ends so (`docs/work/`) is none.
fn machine(name: &str, text: &str, needles: &[String]) -> Vec<String> {
    let named = |line: &str| {
        needles.iter().any(|needle| {
            line.match_indices(needle.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "_-.}>)/".contains(c))
            })
        })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| named(line))
        .map(|(number, _)| format!("{name}:{}: a path of a machine", number + 1))
        .collect()
}

/// Protocol crates do not know each other; what two of them share moves down.
fn walls(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.library) {
        for dependency in &package.dependencies {
            let ours = dependency.starts_with("ropewalk");
            if ours && !SHARED.contains(&dependency.as_str()) {
                problems.push(format!("{} depends on {dependency}", package.name));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_found() {
        let (todo, undone) = (format!("{}!()", "todo"), format!("{}!(\"x\")", "unimplemented"));
        #[rustfmt::skip]
        let table = [
            ("a.rs", "fn main() {}\n".to_owned(), 0),
            ("a.rs", todo.clone(), 1),
            ("a.rs", format!("// {todo}"), 0),
            ("a.rs", undone, 1),
            ("a/mod.rs", String::new(), 1),
            ("a.rs", "\n".repeat(LINES), 0),
            ("a.rs", "\n".repeat(LINES + 1), 1),
        ];
        for (name, text, want) in table {
            assert_eq!(source(name, &text).len(), want, "{name}: {text:.40}");
        }
    }

    #[test]
    fn machine_paths_are_told_from_others() {
        let needles = ["/build/place/".to_owned()];
        #[rustfmt::skip]
        let table = [
            ("cd /build/place/x", 1),
            ("\"/build/place/\"", 1),
            ("{dir}/build/place/x", 0),
            ("docs/build/place/x", 0),
            ("nothing", 0),
        ];
        for (text, want) in table {
            assert_eq!(machine("a", text, &needles).len(), want, "{text}");
        }
    }

    #[test]
    fn walls_between_protocols() {
        let package = |name: &str, dependencies: &[&str]| Package {
            name: name.to_owned(),
            library: true,
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(walls(&[package("ropewalk-http", &["ropewalk-core", "bytes"])]).is_empty());
        assert_eq!(walls(&[package("ropewalk-smtp", &["ropewalk-http"])]).len(), 1);
    }
}
