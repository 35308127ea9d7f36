//! The matrix on the terminal and in docs/interop.md.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::{Group, Outcome, Row};

/// One row, as it happens.
pub fn line(row: &Row) {
    let (mark, why) = match &row.outcome {
        Outcome::Passed => ("ok  ", ""),
        Outcome::Failed(why) => ("FAIL", why.as_str()),
        Outcome::Skipped(why) => ("skip", why.as_str()),
    };
    let colon = if why.is_empty() { "" } else { ": " };
    let short = why.lines().next().unwrap_or_default();
    println!("  {mark} {:<22} {:<20} {}{colon}{short}", row.peer, row.direction.words(), row.case);
}

/// The failures once more, whole.
pub fn failures(rows: &[Row]) {
    for row in rows {
        if let Outcome::Failed(why) = &row.outcome {
            println!("\nFAILED {}: {}: {}\n{why}", row.group.name(), row.peer, row.case);
        }
    }
}

const HEAD: &str = "\
# Interop

Written by `cargo xtask interop`: foreign programs on loopback against the command as it was built.
A row is one case; *skipped* says what was missing on the machine that ran it. How each peer is
configured is in [tests/interop](../tests/interop).
";

/// Writes the part of docs/interop.md that is this group's, and leaves the others as they are.
pub fn write(group: Group, rows: &[Row]) -> Result<()> {
    let path = crate::root().join("docs/interop.md");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let new = replace_section(&old, group.name(), &section(group, rows));
    fs::create_dir_all(path.parent().context("docs has a parent")?)?;
    fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))
}

fn section(group: Group, rows: &[Row]) -> String {
    let mut text = String::new();
    text += "| peer | case | direction | result |\n|---|---|---|---|\n";
    for row in rows.iter().filter(|row| row.group == group) {
        let result = match &row.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed(why) => format!("**failed**: {}", cell(why)),
            Outcome::Skipped(why) => format!("skipped: {}", cell(why)),
        };
        let (peer, case, direction) = (cell(&row.peer), cell(&row.case), row.direction.words());
        writeln!(text, "| {peer} | {case} | {direction} | {result} |").expect("into a string");
    }
    text
}

/// Text that cannot break out of a table's cell.
fn cell(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.replace('|', "\\|").replace('<', "&lt;")
}

/// `old` with the section of that name replaced, or added at its end.
fn replace_section(old: &str, name: &str, body: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let section = format!("{begin}{body}{end}");
    match (old.find(&begin), old.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{section}{}", &old[..from], &old[to + end.len()..])
        }
        _ => {
            let old = if old.is_empty() { HEAD } else { old };
            format!("{}\n\n## {name}\n\n{section}", old.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let once = replace_section("", "http", "first\n");
        assert!(once.starts_with("# Interop") && once.contains("## http\n\n<!-- begin http -->"));
        let two = replace_section(&once, "core", "other\n");
        let again = replace_section(&two, "http", "second\n");
        assert!(again.contains("second\n") && !again.contains("first\n"));
        assert!(again.contains("other\n"));
        assert_eq!(replace_section(&again, "core", "other\n"), again);
    }

    #[test]
    fn a_cell_stays_a_cell() {
        assert_eq!(cell("a | b <c>\nmore"), "a \\| b &lt;c>");
    }
}
