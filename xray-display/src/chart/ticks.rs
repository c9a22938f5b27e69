//! Round numbers for axes.

/// A place on an axis and its text.
pub type Tick = (f64, String);

/// Multiples of 1, 2 or 5 times a power of ten: about `count` of them from `low` to `high`.
pub(super) fn linear(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let step = step(high - low, count);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|at| at as f64 * step).map(|at| (at, plain(at, decimals))).collect()
}

/// The distance of such ticks.
pub(super) fn step(span: f64, count: usize) -> f64 {
    let rough = span / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

/// 1, 2, 5, 10, 20, ... from `low` to `high`; of many decades powers of ten alone.
pub(super) fn logarithmic(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let powers = || low.log10().floor() as i32..=high.log10().ceil() as i32;
    let factors: &[f64] = if 3 * powers().count() <= 2 * count.max(4) { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = powers().flat_map(|power| factors.iter().map(move |factor| (factor, power)));
    let value = |(factor, power): (&f64, i32)| (factor * 10_f64.powi(power), power);
    let text = |(value, power): (f64, i32)| (value, plain(value, (-power).max(0) as usize));
    all.map(value).filter(|&(value, _)| low <= value && value <= high).map(text).collect()
}

/// Thousands and millions in short.
fn plain(value: f64, decimals: usize) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", value / 1e6),
        size if size >= 1e3 => format!("{}k", value / 1e3),
        _ => format!("{value:.decimals$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ticks: Vec<Tick>, expected: &[&str]) {
        assert_eq!(ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ticks_are_round() {
        check(linear(0.0, 104.0, 10), &["0", "20", "40", "60", "80", "100"]);
        check(linear(0.43, 0.81, 6), &["0.5", "0.6", "0.7", "0.8"]);
        check(linear(0.0, 0.07, 5), &["0.00", "0.02", "0.04", "0.06"]);
        check(logarithmic(0.8, 125.0, 9), &["1", "2", "5", "10", "20", "50", "100"]);
        check(logarithmic(50.0, 80_000.0, 4), &["100", "1k", "10k"]);
        check(logarithmic(0.08, 0.6, 9), &["0.1", "0.2", "0.5"]);
    }
}
