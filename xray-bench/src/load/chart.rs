//! Two charts: answers in a second, and latencies, against the load.

use super::measurement::{Load, Measurement};
use xray_display::chart::{Chart, Scale};

/// A line: its name and its points, load and value.
type Line = (String, Vec<(f64, f64)>);

pub(super) fn throughput(measurements: &[Measurement]) -> String {
    let lines = by_loop(measurements)
        .map(|(name, ones)| (name, ones.iter().map(|one| (load(one), one.per_second())).collect()));
    draw("Answers with findings in a second", "answers per second", lines.collect())
}

pub(super) fn latency(measurements: &[Measurement]) -> String {
    let lines = by_loop(measurements).flat_map(|(name, ones)| {
        [(0.5, "median"), (0.99, "99 %")].map(|(quantile, word)| {
            let points = ones.iter().map(|one| (load(one), one.milliseconds(quantile)));
            (format!("{name}, {word}"), points.collect())
        })
    });
    draw("Latency of answers with findings", "milliseconds", lines.collect())
}

fn by_loop(measurements: &[Measurement]) -> impl Iterator<Item = (String, Vec<&Measurement>)> {
    let is_open = |one: &Measurement| matches!(one.load, Load::Open { .. });
    [(false, "closed loop"), (true, "open loop")].into_iter().filter_map(move |(open, name)| {
        let ones: Vec<_> = measurements.iter().filter(|one| is_open(one) == open).collect();
        (!ones.is_empty()).then(|| (name.to_owned(), ones))
    })
}

fn load(one: &Measurement) -> f64 {
    match one.load {
        Load::Closed { clients } => clients as f64,
        Load::Open { rate } => rate,
    }
}

/// Values from 0 on; loads by their ratios where they differ much, and each of them named.
fn draw(title: &str, unit: &str, lines: Vec<Line>) -> String {
    let points: Vec<(f64, f64)> = lines.iter().flat_map(|(_, points)| points.clone()).collect();
    let mut chart =
        Chart::lines(title, "clients (closed loop), requests per second (open loop)", unit, lines);
    let mut loads: Vec<f64> = points.iter().map(|(load, _)| *load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    chart.x.scale = Scale::of_sizes(loads.iter().copied());
    chart.x.ticks = Some(loads.iter().map(|load| (*load, load.to_string())).collect());
    chart.y.scale = Scale::from_zero(points.iter().map(|(_, value)| *value));
    chart.file()
}
