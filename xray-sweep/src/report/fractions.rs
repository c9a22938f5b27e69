//! Runs grouped by axes and fraction, and the axis that fractions are drawn on.

use super::chart::{Axis, Scale, Series};
use super::runs::Run;
use super::ticks;

/// The trials of one fraction under one combination of axes.
pub(super) struct Group<'a> {
    pub(super) combination: &'a str,
    pub(super) fraction: f64,
    pub(super) runs: &'a [Run],
}

impl Group<'_> {
    /// What is there of a figure.
    pub(super) fn values(&self, figure: fn(&Run) -> Option<f64>) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.figure(figure)).collect()
    }

    /// The mean of what is there; none of nothing.
    pub(super) fn mean(&self, figure: fn(&Run) -> Option<f64>) -> Option<f64> {
        let values = self.values(figure);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// `2 of 3`.
    pub(super) fn done(&self) -> String {
        format!("{} of {}", self.runs.iter().filter(|run| run.done()).count(), self.runs.len())
    }
}

/// Groups neighbours, which the table's order has made of one combination and fraction.
pub(super) fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let same = |a: &Run, b: &Run| a.fraction == b.fraction && a.combination == b.combination;
    let chunks = runs.chunk_by(same);
    chunks.map(|runs| Group { combination: &runs[0].combination, fraction: runs[0].fraction, runs }).collect()
}

/// One series per combination: every trial a dot, the means a line, failed runs as crosses.
pub(super) fn series(runs: &[Run], figure: fn(&Run) -> Option<f64>, unit: f64) -> Vec<Series> {
    let groups = groups(runs);
    let by_combination = groups.chunk_by(|a, b| a.combination == b.combination);
    let percent = |run: &Run| 100.0 * run.fraction;
    let one = |groups: &[Group<'_>]| {
        let runs = || groups.iter().flat_map(|group| group.runs);
        Series {
            name: groups[0].combination.to_owned(),
            dots: runs().filter_map(|run| Some((percent(run), run.figure(figure)? / unit))).collect(),
            line: groups.iter().filter_map(|g| Some((100.0 * g.fraction, g.mean(figure)? / unit))).collect(),
            crosses: runs().filter(|run| run.failed()).map(percent).collect(),
        }
    };
    by_combination.map(one).collect()
}

/// Percent of the training images, logarithmic where the fractions span more than a factor of 20.
pub(super) fn axis(runs: &[Run]) -> Axis {
    let percents = || runs.iter().map(|run| 100.0 * run.fraction);
    let (low, high) = (percents().fold(f64::INFINITY, f64::min), percents().fold(0.0, f64::max));
    let label = "share of the training images (%)".to_owned();
    if low > 0.0 && high / low > 20.0 {
        let scale = Scale::Log { low: low / 1.25, high: high * 1.25 };
        return Axis { label, scale, ticks: ticks::logarithmic(low / 1.25, high * 1.25), rules: Vec::new() };
    }
    let high = if high > 0.0 { high } else { 100.0 };
    let scale = Scale::Linear { low: 0.0, high: high * 1.04 };
    Axis { label, scale, ticks: ticks::linear(0.0, high * 1.04, 10), rules: Vec::new() }
}

/// `10 %`.
pub(super) fn percent(fraction: f64) -> String {
    format!("{} %", (fraction * 1e6).round() / 1e4)
}
