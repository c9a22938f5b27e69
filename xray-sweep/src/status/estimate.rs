//! How long the rest of a sweep takes, from what its complete cells took.

use crate::cell::Cell;
use crate::state::{CellReport, CellState};

/// Seconds until nothing runs or waits any more, if as many cells run at once as now; none without a complete
/// cell, or when none runs. Cells that were never started count, those on hold or ended do not.
pub(super) fn seconds_left(reports: &[CellReport]) -> Option<f64> {
    let is_running = |report: &&CellReport| report.state == CellState::Running;
    let running = reports.iter().filter(is_running).count();
    if running == 0 {
        return None;
    }
    let done: Vec<(&Cell, f64)> = reports.iter().filter_map(time_of).collect();
    let rest = |report: &CellReport| match report.state {
        CellState::Running => Some(expected(&done, &report.cell)? * (1.0 - progress(report))),
        CellState::Queued | CellState::Missing => expected(&done, &report.cell),
        _ => Some(0.0),
    };
    let rests: Vec<f64> = reports.iter().map(rest).collect::<Option<_>>()?;
    let longest = rests.iter().copied().fold(0.0, f64::max);
    Some(longest.max(rests.iter().sum::<f64>() / running as f64))
}

fn time_of(report: &CellReport) -> Option<(&Cell, f64)> {
    let seconds = report.outcome.as_ref().filter(|_| report.state == CellState::Done)?.seconds.total;
    seconds.is_finite().then_some((&report.cell, seconds))
}

/// Share of its steps that a run has done, from its latest heartbeat.
fn progress(report: &CellReport) -> f64 {
    let Some(status) = &report.status else { return 0.0 };
    (status.step as f64 / status.total_steps.max(1) as f64).min(1.0)
}

/// What a run of this cell takes: the mean of its trials, else of its fraction, else a line over the number of
/// training images.
fn expected(done: &[(&Cell, f64)], cell: &Cell) -> Option<f64> {
    let mean_of = |is_alike: &dyn Fn(&Cell) -> bool| {
        let seconds: Vec<f64> = done.iter().filter(|(c, _)| is_alike(c)).map(|(_, s)| *s).collect();
        (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
    };
    mean_of(&|other| other.fraction == cell.fraction && other.axes == cell.axes)
        .or_else(|| mean_of(&|other| other.fraction == cell.fraction))
        .or_else(|| line(done, cell.train_images as f64))
}

/// The least-squares line of seconds over training images at `images`; through nought where all complete
/// cells have equally many, or where more images would take less time.
fn line(done: &[(&Cell, f64)], images: f64) -> Option<f64> {
    let count = done.len() as f64;
    let (x, y) = done.iter().fold((0.0, 0.0), |(x, y), (c, s)| (x + c.train_images as f64, y + s));
    if done.is_empty() || x == 0.0 {
        return None;
    }
    let (mean_x, mean_y) = (x / count, y / count);
    let spread: f64 = done.iter().map(|(c, _)| (c.train_images as f64 - mean_x).powi(2)).sum();
    let joint: f64 = done.iter().map(|(c, s)| (c.train_images as f64 - mean_x) * (s - mean_y)).sum();
    if spread == 0.0 || joint <= 0.0 {
        return Some(mean_y * images / mean_x);
    }
    Some((mean_y + joint / spread * (images - mean_x)).max(0.0))
}
