//! The API documentation without a warning, and a book whose links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cargo::{self, cargo};
use crate::process::{self, Scratch};

#[derive(Args)]
pub struct Options {
    /// Check the book only
    #[arg(long)]
    book: bool,
}

const LIMIT: Duration = Duration::from_secs(15 * 60);

pub fn run(options: &Options) -> Result<bool> {
    let problems = if options.book { [book()?, units()?].concat() } else { problems()? };
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("well: {}", cargo::target()?.join("doc").display());
    }
    Ok(problems.is_empty())
}

/// One line, or one compiler's page, for each thing that is wrong.
pub fn problems() -> Result<Vec<String>> {
    let mut problems = rustdoc()?;
    problems.extend(book()?);
    problems.extend(units()?);
    problems.extend(generated()?);
    Ok(problems)
}

fn rustdoc() -> Result<Vec<String>> {
    let mut command = cargo();
    command.args(["doc", "--workspace", "--all-features", "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    let ran = process::run(&command, LIMIT)?;
    Ok(if ran.status.success() { Vec::new() } else { vec![ran.all()] })
}

/// What the command makes of its own argument parser: completions for each shell and man pages.
fn generated() -> Result<Vec<String>> {
    let binary = cargo::ropewalk(false)?;
    let mut problems = Vec::new();
    for shell in ["bash", "zsh", "fish"] {
        problems.extend(prints(&binary, &["completions", shell], "ropewalk")?);
    }
    problems.extend(prints(&binary, &["man"], ".TH")?);
    Ok(problems)
}

fn prints(binary: &Path, arguments: &[&str], want: &str) -> Result<Option<String>> {
    let ran = process::run(Command::new(binary).args(arguments), Duration::from_secs(20))?;
    let well = ran.status.success() && ran.out().contains(want);
    let said = process::tail(&ran.err(), 200).to_owned();
    Ok((!well).then(|| format!("ropewalk {}: no {want:?} in it: {said}", arguments.join(" "))))
}

/// What systemd, where it is installed, says of the units in docs, with a program that is here in the
/// place of ours; and what makes it call the service less than safe.
fn units() -> Result<Vec<String>> {
    let Some(analyze) = process::find("systemd-analyze") else { return Ok(Vec::new()) };
    let scratch = Scratch::new("units")?;
    let names = ["ropewalk.service", "ropewalk.socket"];
    for name in names {
        let text = fs::read_to_string(crate::root().join("docs").join(name))?;
        scratch.write(name, text.replace("/usr/local/bin/ropewalk", "/bin/true"))?;
    }
    let [service, socket] = names.map(|name| scratch.join(name));
    let mut problems = Vec::new();
    let mut verify = Command::new(&analyze);
    let ran = process::run(verify.args(["verify", "--man=no"]).arg(&service).arg(socket), LIMIT)?;
    if !ran.status.success() || !ran.all().trim().is_empty() {
        problems.push(format!("systemd-analyze verify: {}", ran.all().trim()));
    }
    let mut security = Command::new(&analyze);
    security.args(["security", "--offline=yes", "--threshold=15", "--no-pager"]).arg(&service);
    let ran = process::run(&security, LIMIT)?;
    if !ran.status.success() {
        problems.push(format!("systemd-analyze security: {}", process::tail(&ran.all(), 200)));
    }
    Ok(problems)
}

/// The pages: those at the top and those in docs.
fn pages() -> Result<Vec<PathBuf>> {
    let root = crate::root();
    let mut pages = Vec::new();
    let mut folders = vec![root.join("docs")];
    for entry in fs::read_dir(&root)? {
        pages.push(entry?.path());
    }
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                pages.push(path);
            }
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}

/// Links and paths of the pages that lead nowhere.
fn book() -> Result<Vec<String>> {
    let root = crate::root();
    let mut problems = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let folder = page.parent().unwrap_or(&root);
        let name = page.strip_prefix(&root).unwrap_or(&page).display();
        for (line, target) in links(&text) {
            if let Err(why) = resolves(folder, &page, &target) {
                problems.push(format!("{name}:{line}: link to {target}: {why}"));
            }
        }
        for (line, path) in paths(&text) {
            if !root.join(&path).exists() {
                problems.push(format!("{name}:{line}: there is no {path}"));
            }
        }
    }
    Ok(problems)
}

/// Numbered lines, and whether they lie in a fenced block.
fn lines(text: &str) -> impl Iterator<Item = (usize, bool, &str)> {
    let mut fenced = false;
    text.lines().enumerate().map(move |(number, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (number + 1, fenced || fence, line)
    })
}

/// The targets of relative links, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, _, line) in lines(text).filter(|(_, fenced, _)| !fenced) {
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            let Some(end) = rest.find([')', ' ']) else { continue };
            let target = &rest[..end];
            let outside = target.contains("://") || target.starts_with("mailto:");
            if !outside && line[..at].matches('`').count().is_multiple_of(2) {
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// Whether a link leads to a file, and its fragment to a heading.
fn resolves(folder: &Path, page: &Path, target: &str) -> Result<(), &'static str> {
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { page.to_path_buf() } else { folder.join(path) };
    if !file.exists() {
        return Err("no such file");
    }
    let is_page = file.extension().is_some_and(|extension| extension == "md");
    if fragment.is_empty() || !is_page {
        return Ok(());
    }
    let text = fs::read_to_string(&file).map_err(|_| "it cannot be read")?;
    let headings = lines(&text).filter(|(_, fenced, line)| !fenced && line.starts_with('#'));
    let mut slugs = headings.map(|(_, _, line)| slug(line.trim_start_matches('#')));
    if slugs.any(|slug| slug == fragment) { Ok(()) } else { Err("no such heading") }
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Files of ours that a page names in code: `crates/…`, `docs/…`, `tests/…`, `xtask/…`.
fn paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, fenced, line) in lines(text) {
        let spans: Vec<&str> =
            if fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for word in spans.iter().flat_map(|span| span.split([' ', '"', '(', ')', ','])) {
            let ours = ["crates/", "docs/", "tests/", "xtask/"].iter().any(|p| word.starts_with(p));
            // A place holder (NAME, *, {a,b}, …) names no file.
            let plain = word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c));
            if ours && plain {
                found.push((number, word.trim_end_matches('.').to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_of_code_are_found() {
        let text = "see [a](b.md) and [c](https://x.test/) `[d](e)`\n```text\n[f](g)\n```\n[h](#i)";
        let want = [(1, "b.md".to_owned()), (5, "#i".to_owned())];
        assert_eq!(links(text), want);
    }

    #[test]
    fn paths_in_code_are_found() {
        let text = "in `crates/core/src/wire.rs`, not `docs/NAME.md`, not crates/a\n```sh\ncat tests/x.txt\n```";
        let want = [(1, "crates/core/src/wire.rs".to_owned()), (3, "tests/x.txt".to_owned())];
        assert_eq!(paths(text), want);
    }

    #[test]
    fn headings_become_anchors() {
        for (heading, want) in [(" How it starts", "how-it-starts"), ("`a::b`, c!", "ab-c")] {
            assert_eq!(slug(heading), want);
        }
    }
}
