//! How long runs take, by fraction and by job, and what a further image costs on each kind of machine.

use super::fractions::{fraction_axis, series_by_fraction};
use crate::report::document::{Section, Table, Value};
use crate::report::groups::{Group, by_combination, groups};
use crate::report::runs::{Run, crosses};
use crate::report::sweep::Sweep;
use std::collections::BTreeMap;
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol};
use xray_display::{duration, percent, time_unit};
use xray_metrics::Bounds;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("run-time", "Run time");
    let runs = &sweep.runs;
    let machines = machines(runs);
    section.chart("run-time-by-fraction", by_fraction(runs, &machines));
    section.table("run-time-fit", fits(&machines));
    section.chart("images-per-second", speed(&machines, runs));
    section.table("run-time-by-fraction", table(&groups(runs)));
    section.chart("mean-run-time", mean(runs));
    section.chart("run-time-by-job", by_job(runs));
    section
}

/// Finished runs by the kind of machine they ran on, and by the axes, which change what an image costs.
fn machines(runs: &[Run]) -> BTreeMap<String, Vec<&Run>> {
    let mut machines = BTreeMap::<_, Vec<&Run>>::new();
    for run in runs.iter().filter(|run| run.done() && run.seconds().is_some()) {
        let name = match run.combination.as_str() {
            "" => run.machine(),
            axes => format!("{}, {axes}", run.machine()),
        };
        machines.entry(name).or_default().push(run);
    }
    machines
}

fn longest(runs: &[Run]) -> f64 {
    runs.iter().filter_map(|run| run.figure(|run| run.seconds())).fold(0.0, f64::max)
}

/// From 0 on, in the unit that suits the longest.
fn time_axis(runs: &[Run]) -> (Axis, f64) {
    let (name, unit) = time_unit(longest(runs));
    (Axis::new(format!("run time ({name})"), Scale::from_zero([longest(runs) / unit])), unit)
}

fn by_fraction(runs: &[Run], machines: &BTreeMap<String, Vec<&Run>>) -> Chart {
    let (y, unit) = time_axis(runs);
    let most = runs.iter().map(|run| run.row.train_images).max().unwrap_or(1) as f64;
    let one = |(at, runs): (usize, &Vec<&Run>)| {
        let dot = |run: &&Run| Some((run.row.train_images as f64, run.seconds()? / unit));
        let line =
            Fit::of(runs).map(|fit| [0.0, most].map(|images| (images, fit.seconds(images) / unit)).to_vec());
        Series {
            look: at,
            dots: runs.iter().filter_map(dot).collect(),
            line: line.unwrap_or_default(),
            ..Series::default()
        }
    };
    let x = Scale::from_zero([most]);
    let mut legend = machine_legend(machines);
    if machines.len() == 1 {
        legend = vec![(Symbol::Dot(0), "one run".into()), (Symbol::Line(0), "straight line fitted".into())];
    }
    Chart {
        title: "Run time by training images".into(),
        x: Axis::new("training images", x),
        y,
        series: machines.values().enumerate().map(one).collect(),
        levels: Vec::new(),
        legend,
        empty: "no cell is done yet",
    }
}

fn machine_legend(machines: &BTreeMap<String, Vec<&Run>>) -> Vec<(Symbol, String)> {
    machines.keys().enumerate().map(|(at, name)| (Symbol::DotAndLine(at), name.clone())).collect()
}

fn speed(machines: &BTreeMap<String, Vec<&Run>>, runs: &[Run]) -> Chart {
    let one = |(at, runs): (usize, &Vec<&Run>)| {
        let dot = |run: &&Run| Some((100.0 * run.row.fraction, run.row.images_per_second?));
        Series { look: at, dots: runs.iter().filter_map(dot).collect(), ..Series::default() }
    };
    let values = machines.values().flatten().filter_map(|run| run.row.images_per_second);
    let legend =
        if machines.len() == 1 { vec![(Symbol::Dot(0), "one run".into())] } else { machine_legend(machines) };
    Chart {
        title: "Training images per second".into(),
        x: fraction_axis(runs),
        y: Axis::new("images per second, without evaluation", Scale::from_zero(values)),
        series: machines.values().enumerate().map(one).collect(),
        levels: Vec::new(),
        legend,
        empty: "no cell is done yet",
    }
}

fn mean(runs: &[Run]) -> Chart {
    let (mut y, unit) = time_axis(runs);
    let groups = groups(runs);
    let lines = by_combination(&groups);
    let (mut series, legend) = series_by_fraction(&lines, |run| run.seconds(), Bounds::Positive);
    for series in &mut series {
        series.dots.iter_mut().chain(&mut series.line).for_each(|point| point.1 /= unit);
        let intervals = series.band.iter_mut().flatten().chain(&mut series.bars);
        intervals.for_each(|point| point.1 = point.1.map(|seconds| seconds / unit));
    }
    // Wide intervals would press the means together.
    let most = 1.5 * longest(runs) / unit;
    let highest = series.iter().flat_map(|series| series.band.iter().flatten().chain(&series.bars));
    let highest = highest.map(|(_, [_, high])| high.min(most)).chain([longest(runs) / unit]);
    y.scale = Scale::from_zero(highest.collect::<Vec<_>>());
    let title = "Mean run time by fraction".into();
    Chart {
        title,
        x: fraction_axis(runs),
        y,
        series,
        levels: Vec::new(),
        legend,
        empty: "no cell is done yet",
    }
}

/// One place per job, fractions side by side; a fraction's name stands below the middle of its jobs.
fn by_job(runs: &[Run]) -> Chart {
    let (y, unit) = time_axis(runs);
    let mut jobs: Vec<_> = runs.iter().collect();
    jobs.sort_by(|a, b| a.row.fraction.total_cmp(&b.row.fraction));
    let mut from = 0.0;
    let mut ticks = Vec::new();
    for group in jobs.chunk_by(|a, b| a.row.fraction == b.row.fraction) {
        let to = from + group.len() as f64;
        ticks.push((f64::midpoint(from, to), percent(group[0].row.fraction)));
        from = to;
    }
    let place = |at: usize| at as f64 + 0.5;
    let dot = |(at, run): (usize, &&Run)| Some((place(at), run.figure(|run| run.seconds())? / unit));
    let series = Series {
        dots: jobs.iter().enumerate().filter_map(dot).collect(),
        crosses: jobs.iter().enumerate().filter(|(_, run)| run.stopped()).map(|(at, _)| place(at)).collect(),
        ..Series::default()
    };
    let scale = Scale::Linear { low: 0.0, high: from.max(1.0) };
    let mut legend = vec![(Symbol::Dot(0), "one job".to_owned())];
    legend.extend(crosses(runs));
    Chart {
        title: "Run time by job".into(),
        x: Axis { label: "jobs, by share of the training images".into(), scale, ticks: Some(ticks) },
        y,
        series: vec![series],
        levels: Vec::new(),
        legend,
        empty: "no cell is done yet",
    }
}

/// A straight line through run times by images, least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    /// Start, evaluation and writing: what a run costs without images.
    fixed: f64,
    per_image: f64,
    /// Share of the variance that the line explains.
    r_squared: f64,
}

impl Fit {
    /// None of fewer than two different sizes.
    fn of(runs: &[&Run]) -> Option<Fit> {
        let points: Vec<(f64, f64)> =
            runs.iter().filter_map(|run| Some((run.row.train_images as f64, run.seconds()?))).collect();
        let count = points.len() as f64;
        let (mean_x, mean_y) =
            points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
        let sum = |of: &dyn Fn(f64, f64) -> f64| {
            points.iter().map(|&(x, y)| of(x - mean_x, y - mean_y)).sum::<f64>()
        };
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if xx <= 0.0 {
            return None;
        }
        let per_image = xy / xx;
        let r_squared = if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
        Some(Fit { fixed: mean_y - per_image * mean_x, per_image, r_squared })
    }

    fn seconds(&self, images: f64) -> f64 {
        self.fixed + self.per_image * images
    }
}

fn fits(machines: &BTreeMap<String, Vec<&Run>>) -> Table {
    let mut table = Table::new(
        "Straight line through run time by images",
        &[
            ("machine", "machine"),
            ("runs", ">runs"),
            ("fixed_seconds", ">without images (s)"),
            ("seconds_per_1000_images", ">per 1,000 images"),
            ("r_squared", ">R²"),
        ],
    );
    for (machine, runs) in machines {
        let fit = Fit::of(runs);
        table.row(vec![
            Value::text(machine),
            Value::count(runs.len() as i64),
            Value::number(fit.map(|fit| fit.fixed), 1),
            Value::duration(fit.map(|fit| 1000.0 * fit.per_image)),
            Value::number(fit.map(|fit| fit.r_squared), 3),
        ]);
        if fit.is_some_and(|fit| fit.fixed < 0.0) {
            table.notes.push(format!(
                "{machine}: a time below 0 without images means that run time does not grow along a straight line."
            ));
        }
    }
    table
}

fn table(groups: &[Group<'_>]) -> Table {
    let mut table = Table::new(
        "Run time by fraction",
        &[
            ("axes", "axes"),
            ("fraction", ">fraction"),
            ("train_images", ">images"),
            ("steps", ">steps"),
            ("done", ">done"),
            ("mean_seconds", ">mean"),
            ("shortest_seconds", ">shortest"),
            ("longest_seconds", ">longest"),
            ("images_per_second", ">images/s"),
        ],
    );
    for group in groups {
        let values = group.values(|run| run.seconds());
        let steps = group.mean(|run| run.row.steps.map(|steps| steps as f64));
        table.row(vec![
            Value::text(group.combination),
            Value::percent(group.fraction),
            Value::count(group.images()),
            Value::count(steps.map(|steps| steps.round() as i64)),
            Value::text(group.done()),
            Value::duration(group.mean(|run| run.seconds())),
            Value::duration(values.iter().copied().reduce(f64::min)),
            Value::duration(values.iter().copied().reduce(f64::max)),
            Value::number(group.mean(|run| run.row.images_per_second), 0),
        ]);
    }
    table.notes.push(format!(
        "All runs together: {}.",
        duration(Some(groups.iter().flat_map(|group| group.values(|run| run.seconds())).sum()))
    ));
    table.without_empty_columns()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{RunRow, RunSeconds};

    #[test]
    fn a_line_is_found_again() {
        let run = |images: i64| {
            let seconds = RunSeconds { total: Some(7.0 + 0.02 * images as f64), ..RunSeconds::default() };
            Run::of(RunRow { train_images: images, seconds, ..RunRow::default() })
        };
        let runs = [run(100), run(300), run(1000)];
        let fit = Fit::of(&runs.iter().collect::<Vec<_>>()).expect("three sizes");
        assert!((fit.fixed - 7.0).abs() < 1e-9 && (fit.per_image - 0.02).abs() < 1e-12, "{fit:?}");
        assert!((fit.r_squared - 1.0).abs() < 1e-12);
        assert_eq!(Fit::of(&[&runs[0], &runs[0]]), None);
    }
}
