//! Two charts: answers in a second, and latencies, against the load.

use super::measurement::{Load, Measurement};
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Left, top, right, bottom.
const MARGINS: [f64; 4] = [64.0, 48.0, 24.0, 64.0];

/// A line: its name and its points, load and value.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

pub(super) fn throughput(measurements: &[Measurement]) -> String {
    let lines = by_loop(measurements).map(|(name, ones)| Line {
        name,
        points: ones.iter().map(|one| (load(one), one.per_second())).collect(),
    });
    draw("Answers with findings in a second", "answers per second", &lines.collect::<Vec<_>>())
}

pub(super) fn latency(measurements: &[Measurement]) -> String {
    let lines = by_loop(measurements).flat_map(|(name, ones)| {
        [(0.5, "median"), (0.99, "99 %")].map(|(quantile, word)| Line {
            name: format!("{name}, {word}"),
            points: ones.iter().map(|one| (load(one), one.milliseconds(quantile))).collect(),
        })
    });
    draw("Latency of answers with findings", "milliseconds", &lines.collect::<Vec<_>>())
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

/// Parts of the axis of values.
const STEPS: f64 = 4.0;

/// A round number of which so many hold the largest value.
fn step_to(largest: f64) -> f64 {
    let least = (largest / STEPS).max(1e-3);
    let power = 10f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|part| part * power);
    round.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Loads on a logarithmic axis, values on a linear one from 0.
fn draw(title: &str, unit: &str, lines: &[Line]) -> String {
    const COLOURS: [&str; 4] = ["#0b5cad", "#b34700", "#2e7d32", "#6a3d9a"];
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|(load, _)| *load).fold(f64::INFINITY, f64::min).max(0.1);
    let most = points().map(|(load, _)| *load).fold(least * 1.001, f64::max);
    let step = step_to(points().map(|(_, value)| *value).fold(0.0, f64::max));
    let top = step * STEPS;
    let [left, above, right, below] = MARGINS;
    let x = |load: f64| left + (load / least).ln() / (most / least).ln() * (WIDTH - left - right);
    let y = |value: f64| HEIGHT - below - value / top * (HEIGHT - above - below);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\" aria-label=\"{title}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{left}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n"
    );
    for number in 0..=STEPS as u32 {
        let value = step * f64::from(number);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {0:.1}H{1}\" stroke=\"#ddd\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{value}</text>",
            y(value),
            WIDTH - right,
            left - 8.0,
            y(value) + 4.0
        );
    }
    let mut loads: Vec<f64> = points().map(|(load, _)| *load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    for load in loads {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{load}</text>",
            x(load),
            HEIGHT - below + 18.0
        );
    }
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"36\" fill=\"#555\">{unit}</text>");
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">clients (closed loop), requests per second (open loop)</text>",
        WIDTH - right,
        HEIGHT - below + 34.0
    );
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<_> =
            line.points.iter().map(|(load, value)| format!("{:.1} {:.1}", x(*load), y(*value))).collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join("L")
        );
        for point in &path {
            let (cx, cy) = point.split_once(' ').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let place = left + 140.0 * number as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{place}\" y=\"{}\" fill=\"{colour}\" font-size=\"11\">{}</text>",
            HEIGHT - 6.0,
            line.name
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (largest, step) in [(287.0, 100.0), (1166.0, 500.0), (8.1, 2.5), (80.0, 20.0), (0.0, 1e-3)] {
            assert!((step_to(largest) - step).abs() < 1e-9, "{largest}: {}", step_to(largest));
        }
    }
}
