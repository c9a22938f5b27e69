//! Run time by job.

use super::Figure;
use super::chart::{Axis, Chart, Scale, Series};
use super::fractions::percent;
use super::markdown::Table;
use super::runs::Run;
use super::ticks::{self, duration};

/// So many rows are read by people; the rest stands in `runs.parquet`.
const MAX_ROWS: usize = 500;

pub(super) fn figure(runs: &[Run]) -> Figure {
    let file = "run-time-by-job.svg";
    let jobs = by_fraction(runs);
    let chart = Chart {
        title: "Run time by job",
        dot: "one job",
        line: None,
        x: job_axis(&jobs),
        y: seconds_axis(runs),
        series: job_series(runs, &jobs),
        reference: None,
    };
    let heading = "## Run time by job\n\n![Run time by job]";
    Figure { file, svg: chart.svg(), markdown: format!("{heading}({file})\n\n{}", table(&jobs)) }
}

/// Run times from 0 on, in the unit that suits the longest.
pub(super) fn seconds_axis(runs: &[Run]) -> Axis {
    let (name, unit) = unit_of(runs);
    let high = if longest(runs) > 0.0 { 1.05 * longest(runs) / unit } else { 1.0 };
    let label = format!("run time ({name})");
    let scale = Scale::Linear { low: 0.0, high };
    Axis { label, scale, ticks: ticks::linear(0.0, high, 7), rules: Vec::new() }
}

/// The unit of [`seconds_axis`].
pub(super) fn unit_of(runs: &[Run]) -> (&'static str, f64) {
    ticks::time_unit(longest(runs))
}

fn longest(runs: &[Run]) -> f64 {
    runs.iter().filter_map(|run| run.figure(|run| run.seconds)).fold(0.0, f64::max)
}

/// Fractions side by side, combinations and trials within.
fn by_fraction(runs: &[Run]) -> Vec<&Run> {
    let mut jobs: Vec<_> = runs.iter().collect();
    jobs.sort_by(|a, b| a.fraction.total_cmp(&b.fraction));
    jobs
}

/// One place per job; the fraction's name stands below the middle of its jobs.
fn job_axis(jobs: &[&Run]) -> Axis {
    let mut from = 0.0;
    let (mut ticks, mut rules) = (Vec::new(), Vec::new());
    for group in jobs.chunk_by(|a, b| a.fraction == b.fraction) {
        let to = from + group.len() as f64;
        ticks.push((f64::midpoint(from, to), percent(group[0].fraction)));
        rules.push(to);
        from = to;
    }
    rules.pop();
    let scale = Scale::Linear { low: 0.0, high: from.max(1.0) };
    Axis { label: "jobs, by share of the training images".into(), scale, ticks, rules }
}

fn job_series(runs: &[Run], jobs: &[&Run]) -> Vec<Series> {
    let unit = unit_of(runs).1;
    let combinations = runs.chunk_by(|a, b| a.combination == b.combination).map(|runs| &runs[0].combination);
    let places = || jobs.iter().enumerate().map(|(at, run)| (at as f64 + 0.5, *run));
    let one = |name: &String| {
        let own = || places().filter(move |(_, run)| run.combination == *name);
        let dot = |(at, run): (f64, &Run)| Some((at, run.figure(|run| run.seconds)? / unit));
        let dots = own().filter_map(dot).collect();
        let crosses = own().filter(|(_, run)| run.failed()).map(|(at, _)| at).collect();
        Series { name: name.clone(), dots, line: Vec::new(), crosses }
    };
    combinations.map(one).collect()
}

fn table(jobs: &[&Run]) -> String {
    let mut table = Table::new(&[">fraction", ">trial", "axes", "cell", "host", ">run time", "state"]);
    for run in jobs.iter().take(MAX_ROWS) {
        table.row(&[
            percent(run.fraction),
            run.trial.to_string(),
            run.combination.clone(),
            run.cell.clone(),
            run.host.clone().unwrap_or_default(),
            duration(run.figure(|run| run.seconds)),
            run.state.clone(),
        ]);
    }
    let rest = jobs.len().saturating_sub(MAX_ROWS);
    let note =
        if rest > 0 { format!("{rest} more jobs stand in `runs.parquet`.\n\n") } else { String::new() };
    table.text() + &note
}
