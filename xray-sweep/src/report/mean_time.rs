//! Mean run time by fraction.

use super::Figure;
use super::chart::Chart;
use super::fractions::{axis, groups, percent, series};
use super::markdown::Table;
use super::run_time::{seconds_axis, unit_of};
use super::runs::Run;
use super::ticks::duration;

pub(super) fn figure(runs: &[Run]) -> Figure {
    let file = "mean-run-time.svg";
    let chart = Chart {
        title: "Mean run time by fraction",
        dot: "one run",
        line: Some("mean"),
        x: axis(runs),
        y: seconds_axis(runs),
        series: series(runs, |run| run.seconds, unit_of(runs).1),
        reference: None,
    };
    let heading = "## Mean run time by fraction\n\n![Mean run time by fraction]";
    Figure { file, svg: chart.svg(), markdown: format!("{heading}({file})\n\n{}", table(runs).text()) }
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&["axes", ">fraction", ">done", ">mean", ">shortest", ">longest"]);
    for group in groups(runs) {
        let values = group.values(|run| run.seconds);
        table.row(&[
            group.combination.to_owned(),
            percent(group.fraction),
            group.done(),
            duration(group.mean(|run| run.seconds)),
            duration(values.iter().copied().reduce(f64::min)),
            duration(values.iter().copied().reduce(f64::max)),
        ]);
    }
    table
}
