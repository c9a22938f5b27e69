//! Runs grouped by axes and fraction.

use super::intervals::over_trials;
use super::runs::Run;
use xray_display::percent;
use xray_metrics::{Bounds, mean};

/// The trials of one fraction under one combination of axes.
#[derive(Clone, Copy)]
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
        mean(self.values(figure))
    }

    /// The mean's 95 % interval over trials.
    pub(super) fn interval(&self, figure: fn(&Run) -> Option<f64>, bounds: Bounds) -> Option<[f64; 2]> {
        over_trials(&self.values(figure), bounds)
    }

    /// `10 %`, or `10 % (model.width=16)`.
    pub(super) fn place(&self) -> String {
        match self.combination {
            "" => percent(self.fraction),
            axes => format!("{} ({axes})", percent(self.fraction)),
        }
    }

    /// `2 of 3`.
    pub(super) fn done(&self) -> String {
        format!("{} of {}", self.runs.iter().filter(|run| run.done()).count(), self.runs.len())
    }

    /// Training images of its runs.
    pub(super) fn images(&self) -> i64 {
        self.runs[0].row.train_images
    }
}

/// Groups neighbours, which the table's order has made of one combination and fraction.
pub(super) fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let same = |a: &Run, b: &Run| a.row.fraction == b.row.fraction && a.combination == b.combination;
    let chunks = runs.chunk_by(same);
    chunks
        .map(|runs| Group { combination: &runs[0].combination, fraction: runs[0].row.fraction, runs })
        .collect()
}

/// The groups of each combination.
pub(super) fn by_combination<'a, 'b>(groups: &'b [Group<'a>]) -> Vec<&'b [Group<'a>]> {
    groups.chunk_by(|a, b| a.combination == b.combination).collect()
}
