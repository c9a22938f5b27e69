//! Test macro-AUC by fraction.

use super::chart::{Axis, Chart, Scale};
use super::fractions::{axis, groups, percent, series};
use super::markdown::{Table, number};
use super::runs::Run;
use super::{Figure, ticks};
use std::collections::BTreeMap;

const NO_IMAGE: f64 = 0.5;

pub(super) fn figure(runs: &[Run]) -> Figure {
    let file = "auc-by-fraction.svg";
    let chart = Chart {
        title: "Test macro-AUC by fraction",
        dot: "one run",
        line: Some("mean"),
        x: axis(runs),
        y: y_axis(runs),
        series: series(runs, |run| run.macro_auc, 1.0),
        reference: Some((NO_IMAGE, "no image: 0.5")),
    };
    let markdown = format!(
        "## Test macro-AUC by fraction\n\n![Test macro-AUC by fraction]({file})\n\nMeans over the done trials. \
         A predictor that looks at no image has macro-AUC 0.5; for average precision and micro-AUC, its score \
         stands beside.\n\n{}{}",
        table(runs).text(),
        collapsed(runs)
    );
    Figure { file, svg: chart.svg(), markdown }
}

/// Room below 0.5 for the crosses of failed runs.
fn y_axis(runs: &[Run]) -> Axis {
    let values = || runs.iter().filter_map(|run| run.figure(|run| run.macro_auc));
    let highest = values().fold(0.6, f64::max);
    let lowest = values().fold(NO_IMAGE, f64::min);
    let step = ticks::step(highest - lowest, 6);
    let low = (((lowest - 0.15 * (highest - lowest)) / step).floor() * step).max(0.0);
    let high = ((highest / step).ceil() * step).min(1.0);
    let label = "test macro-AUC".to_owned();
    Axis { label, scale: Scale::Linear { low, high }, ticks: ticks::linear(low, high, 7), rules: Vec::new() }
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&[
        "axes",
        ">fraction",
        ">done",
        ">macro-AUC",
        ">lowest",
        ">highest",
        ">average precision",
        ">(no image)",
        ">micro-AUC",
        ">(no image)",
    ]);
    for group in groups(runs) {
        let values = group.values(|run| run.macro_auc);
        table.row(&[
            group.combination.to_owned(),
            percent(group.fraction),
            group.done(),
            number(group.mean(|run| run.macro_auc), 3),
            number(values.iter().copied().reduce(f64::min), 3),
            number(values.iter().copied().reduce(f64::max), 3),
            number(group.mean(|run| run.average_precision), 3),
            number(group.mean(|run| run.average_precision_baseline), 3),
            number(group.mean(|run| run.micro_auc), 3),
            number(group.mean(|run| run.micro_auc_baseline), 3),
        ]);
    }
    table
}

/// Labels that got the same score whatever the image.
fn collapsed(runs: &[Run]) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    let labels = runs.iter().filter(|run| run.done()).flat_map(|run| run.collapsed_labels.split(", "));
    for label in labels.filter(|label| !label.is_empty()) {
        *counts.entry(label).or_default() += 1;
    }
    let mut table = Table::new(&["label", ">runs"]);
    for (label, count) in counts {
        table.row(&[label.to_owned(), count.to_string()]);
    }
    match table.text() {
        empty if empty.is_empty() => empty,
        text => format!("Labels that some runs score alike whatever the image:\n\n{text}"),
    }
}
