//! Tables and pages: docs/benchmarks/NAME.md and the plot beside it.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::machine;
use super::measure::{Measured, Scenario, Series};
use crate::plot;

/// A figure that is aimed at.
#[derive(Debug, Clone)]
pub struct Goal {
    pub what: String,
    pub bound: Bound,
    /// What was measured, if it was.
    pub got: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn row(&self) -> String {
        let bound = match self.bound {
            Bound::AtMost(bound) => format!("at most {bound}"),
            Bound::AtLeast(bound) => format!("at least {bound}"),
        };
        let got = self.got.map_or_else(|| "not measured".to_owned(), |got| format!("{got:.2}"));
        let holds = match (self.got, self.bound) {
            (None, _) => "–",
            (Some(got), Bound::AtMost(bound)) if got <= bound => "yes",
            (Some(got), Bound::AtLeast(bound)) if got >= bound => "yes",
            _ => "**no**",
        };
        format!("| {} | {bound} | {got} | {holds} |", self.what)
    }
}

/// Everything that one suite measured.
pub struct Page {
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub scenarios: Vec<Scenario>,
    pub goals: Vec<Goal>,
    pub rounds: usize,
    /// How often each server was loaded.
    pub loads: usize,
    pub quick: bool,
}

impl Page {
    /// The tables, as they stand on the page.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        if !self.goals.is_empty() {
            text += "## Figures aimed at\n\n| what | aim | measured | holds |\n|---|---|---|---|\n";
            for goal in &self.goals {
                text += &goal.row();
                text.push('\n');
            }
            text.push('\n');
        }
        for scenario in &self.scenarios {
            table(&mut text, scenario).expect("into a string");
        }
        text
    }

    /// Writes the page and its plot.
    pub fn write(&self) -> Result<()> {
        let folder = crate::root().join("docs/benchmarks");
        fs::create_dir_all(&folder)?;
        plot::draw(&folder.join(format!("{}.svg", self.name)), &self.scenarios)?;
        let file = folder.join(format!("{}.md", self.name));
        fs::write(&file, self.text())
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("written to docs/benchmarks/{}.md", self.name);
        Ok(())
    }

    fn text(&self) -> String {
        let (name, rounds, loads) = (self.name, self.rounds, self.loads);
        let mut text = format!("# {}\n\n", self.title);
        let how = match rounds {
            _ if self.quick => " --quick".to_owned(),
            super::ROUNDS => String::new(),
            rounds => format!(" --rounds {rounds}"),
        };
        text += &format!("Written by `cargo xtask bench {name}{how}`. {}\n\n", self.about);
        text += &format!(
            "Each server is loaded once a round, alternately, {loads} rounds after one to warm up; \
             figures are medians, the least and the most beside them. CPU is user and system time of \
             the server's processes from /proc, divided by the units of work its load counted. \
             *Ours ÷ this* compares the CPU of the first line with that of the line, round by round, \
             and is the median of that: below 1, ours needs less. Memory is the peak (VmHWM) since the server started.\n\n"
        );
        if self.quick {
            text += "**A quick run: too short to quote.**\n\n";
        }
        for fact in machine::facts() {
            text += &format!("- {fact}\n");
        }
        text += &format!("\n![CPU for a unit of work, and units in a second]({name}.svg)\n\n");
        text + self.tables().trim_end() + "\n"
    }
}

fn table(text: &mut String, scenario: &Scenario) -> std::fmt::Result {
    let unit = scenario.unit;
    writeln!(text, "## {}\n", scenario.title)?;
    if scenario.results.iter().any(|measured| !measured.rate.0.is_empty()) {
        writeln!(text, "| server | {unit}s/s | CPU µs/{unit} | ours ÷ this | peak MiB |")?;
        writeln!(text, "|---|--:|--:|--:|--:|")?;
        for measured in &scenario.results {
            writeln!(text, "{}", row(measured, &scenario.results[0]))?;
        }
        writeln!(text)?;
    }
    writeln!(text, "{}\n", scenario.note)
}

fn row(measured: &Measured, ours: &Measured) -> String {
    let name = format!("{} {}", measured.name, measured.version);
    let ratio = ours.cost.ratio(&measured.cost);
    format!(
        "| {} | {} | {} | {ratio:.2} | {:.1} |",
        name.trim(),
        spread(&measured.rate),
        spread(&measured.cost),
        measured.peak as f64 / 1024.0,
    )
}

/// `median (least–most)`
fn spread(series: &Series) -> String {
    let [median, least, most] = [series.median(), series.least(), series.most()].map(number);
    format!("{median} ({least}–{most})")
}

/// Three figures that matter, thousands apart.
fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value >= 1000.0 => thousands(value.round() as u64),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short() {
        #[rustfmt::skip]
        let table = [
            (0.789, "0.79"), (7.31, "7.31"), (12.345, "12.3"), (123.4, "123"), (1234.5, "1,235"),
            (1_234_567.0, "1,234,567"), (f64::NAN, "–"),
        ];
        for (value, want) in table {
            assert_eq!(number(value), want);
        }
    }

    #[test]
    fn a_goal_says_whether_it_holds() {
        #[rustfmt::skip]
        let table = [
            (Bound::AtMost(0.8), Some(0.7), "| yes |"),
            (Bound::AtMost(0.8), Some(0.9), "| **no** |"),
            (Bound::AtLeast(0.97), Some(0.98), "| yes |"),
            (Bound::AtLeast(0.97), None, "not measured | – |"),
        ];
        for (bound, got, want) in table {
            let goal = Goal { what: "x".to_owned(), bound, got };
            assert!(goal.row().ends_with(want), "{}", goal.row());
        }
    }
}
