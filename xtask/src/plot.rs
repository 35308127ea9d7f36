//! Bars of a benchmark, as SVG: a row for each scenario, CPU on the left, rate on the right.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::bench::{Measured, Scenario, Series};

const WIDTH: u32 = 1100;
const BAR: u32 = 24;
/// Above and below the bars of a panel: its title, its axis.
const FRAME: u32 = 78;

const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const THEIRS: RGBColor = RGBColor(0xa8, 0xad, 0xb5);

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws every scenario that has bars; without one, no file is made.
pub fn draw(path: &Path, scenarios: &[Scenario]) -> Result<()> {
    let drawn: Vec<_> = scenarios.iter().filter(|scenario| has_bars(scenario)).collect();
    if drawn.is_empty() {
        return Ok(());
    }
    let height =
        |scenario: &Scenario| BAR * u32::try_from(scenario.results.len()).unwrap_or(0) + FRAME;
    let total = drawn.iter().map(|scenario| height(scenario)).sum();
    let mut rest = SVGBackend::new(path, (WIDTH, total)).into_drawing_area();
    rest.fill(&WHITE).map_err(wrong)?;
    for scenario in drawn {
        let (row, below) = rest.split_vertically(height(scenario));
        let (left, right) = row.split_horizontally(WIDTH / 2);
        let cost = format!("{}: CPU µs/{}", scenario.title, scenario.unit);
        panel(&left, &cost, &scenario.results, |measured| &measured.cost)?;
        let rate = format!("{}: {}s/s", scenario.title, scenario.unit);
        panel(&right, &rate, &scenario.results, |measured| &measured.rate)?;
        rest = below;
    }
    rest.present().map_err(wrong)
}

fn has_bars(scenario: &Scenario) -> bool {
    scenario.results.iter().any(|measured| !measured.rate.0.is_empty())
}

/// One bar for each server, a whisker from the least to the most.
fn panel(
    area: &Panel<'_>,
    title: &str,
    results: &[Measured],
    of: impl Fn(&Measured) -> &Series,
) -> Result<()> {
    let most = results.iter().map(|measured| of(measured).most()).fold(0.0, f64::max) * 1.08;
    let count = i32::try_from(results.len())?;
    // The first server is the topmost.
    let place = |index: usize| count - 1 - i32::try_from(index).unwrap_or(0);
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => usize::try_from(count - 1 - at)
            .ok()
            .and_then(|index| results.get(index))
            .map_or_else(String::new, |measured| measured.name.clone()),
        _ => String::new(),
    };
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(140)
        .build_cartesian_2d(0.0..most, (0..count - 1).into_segmented())
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 13))
        .x_labels(6)
        .y_labels(results.len())
        .y_label_formatter(&name)
        .x_label_formatter(&|value| short(*value))
        .draw()
        .map_err(wrong)?;
    for (index, measured) in results.iter().enumerate() {
        let (series, at) = (of(measured), place(index));
        let colour = if measured.name.starts_with("ropewalk") { OURS } else { THEIRS };
        let ends = [(0.0, SegmentValue::Exact(at)), (series.median(), SegmentValue::Exact(at + 1))];
        let mut bar = Rectangle::new(ends, colour.filled());
        bar.set_margin(4, 4, 0, 0);
        let middle = SegmentValue::CenterOf(at);
        let whisker = [(series.least(), middle), (series.most(), SegmentValue::CenterOf(at))];
        chart.draw_series([bar]).map_err(wrong)?;
        chart.draw_series([PathElement::new(whisker, BLACK)]).map_err(wrong)?;
    }
    Ok(())
}

/// `1500000` as `1.5M`.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e3 => format!("{:.0}k", value / 1e3),
        value if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

/// The plotting crate's errors are of many types.
fn wrong(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot plot: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Scratch;

    #[test]
    fn a_plot_names_the_servers() {
        let measured = |name: &str, value: f64| Measured {
            name: name.to_owned(),
            version: String::new(),
            rate: Series(vec![value * 1000.0, value * 1100.0]),
            cost: Series(vec![value, value * 1.2]),
            peak: 0,
        };
        let scenario = Scenario {
            title: "small".to_owned(),
            unit: "request",
            note: String::new(),
            results: vec![measured("ropewalk", 2.0), measured("other", 3.0)],
        };
        let scratch = Scratch::new("plot").unwrap();
        let path = scratch.join("plot.svg");
        draw(&path, &[scenario]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        for want in ["ropewalk", "other", "small: CPU µs/request", "small: requests/s"] {
            assert!(text.contains(want), "{want} is not in the plot");
        }
    }

    #[test]
    fn axis_labels_are_short() {
        for (value, want) in [(0.0, "0"), (0.5, "0.5"), (20.0, "20"), (3e4, "30k"), (1.5e6, "1.5M")]
        {
            assert_eq!(short(value), want);
        }
    }
}
