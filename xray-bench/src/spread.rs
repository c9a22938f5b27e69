//! A figure that was measured several times, and how two of them compare.

use serde_json::{Value, json};
use std::fmt;

/// Median, lowest and highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => (values.get(middle.checked_sub(1)?)? + values[middle]) / 2.0,
        };
        Some(Spread { median, lowest: values[0], highest: values[values.len() - 1] })
    }

    /// Of a figure by the other one, round by round, so that a machine whose speed drifts does not move it.
    pub(crate) fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Spread> {
        Spread::of(pairs.into_iter().map(|(ours, theirs)| ours / theirs))
    }

    /// For `data.json`.
    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "lowest": self.lowest, "highest": self.highest })
    }

    /// `2.1× (1.9–2.4)`, or that nothing is shown when the range reaches across 1.
    pub(crate) fn as_ratio(self) -> String {
        let Spread { median, lowest, highest } = self;
        let ratio = format!("{median:.2}× ({lowest:.2}–{highest:.2})");
        if lowest <= 1.0 && 1.0 <= highest { format!("no difference shown, {ratio}") } else { ratio }
    }
}

/// `1234 (1180–1290)`, `12.8 (12.1–13.0)`, `0.962 (0.911–0.980)`: three or four figures each.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.median.abs() {
            100.0.. => 0,
            10.0.. => 1,
            1.0.. => 2,
            _ => 3,
        };
        let Spread { median, lowest, highest } = self;
        write!(f, "{median:.digits$} ({lowest:.digits$}–{highest:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let check = |values: &[f64], expected| {
            let spread = Spread::of(values.iter().copied()).expect("not empty");
            assert_eq!((spread.median, spread.lowest, spread.highest), expected);
        };
        check(&[5.0], (5.0, 5.0, 5.0));
        check(&[9.0, 1.0, 2.0], (2.0, 1.0, 9.0));
        check(&[4.0, 1.0, 9.0, 2.0], (3.0, 1.0, 9.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine is half as fast in the second round: medians of each side would say 3 / 2.
        let spread = Spread::of_ratios([(4.0, 2.0), (2.0, 1.0), (6.0, 3.0)]).expect("three rounds");
        assert_eq!((spread.median, spread.lowest, spread.highest), (2.0, 2.0, 2.0));
        let drifting = Spread::of_ratios([(9.0, 3.0), (2.0, 2.0), (1.0, 4.0)]).expect("three rounds");
        assert_eq!((drifting.median, drifting.lowest, drifting.highest), (1.0, 0.25, 3.0));
    }

    #[test]
    fn a_range_across_one_shows_no_difference() {
        let check = |lowest, median, highest, expected: &str| {
            assert_eq!(Spread { median, lowest, highest }.as_ratio(), expected);
        };
        check(1.9, 2.1, 2.4, "2.10× (1.90–2.40)");
        check(0.5, 0.6, 0.99, "0.60× (0.50–0.99)");
        check(0.9, 1.3, 1.5, "no difference shown, 1.30× (0.90–1.50)");
        check(1.0, 1.3, 1.5, "no difference shown, 1.30× (1.00–1.50)");
    }

    #[test]
    fn figures_are_printed_to_three_digits_or_more() {
        let check = |lowest, median, highest, expected: &str| {
            assert_eq!(Spread { median, lowest, highest }.to_string(), expected);
        };
        check(1180.4, 1234.4, 1290.1, "1234 (1180–1290)");
        check(12.11, 12.84, 13.0, "12.8 (12.1–13.0)");
        check(0.9111, 0.9622, 1.2, "0.962 (0.911–1.200)");
    }
}
