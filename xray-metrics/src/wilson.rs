//! Intervals of proportions (Wilson, JASA 22, 1927). They keep their level where the usual
//! `p ± z sqrt(p (1 - p) / n)` fails, with few records or a proportion near 0 or 1 (Newcombe, Statistics in
//! Medicine 17, 1998, method 3).
//!
//! [`wilson()`] counts trials as independent. Where patients recur, [`Proportion::by_patient`] counts how much the records
//! of one patient agree.

use crate::clustered::PatientCounts;
use serde::{Deserialize, Serialize};

/// The normal quantile of [`crate::units::LEVEL`], a tail being left on each side.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// A share of records with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// The share.
    pub value: f64,
    /// Low and high end of what it could be.
    pub interval: [f64; 2],
}

impl Proportion {
    /// `successes` among `trials`; none without a trial or with more successes than trials.
    pub fn of(successes: u64, trials: u64) -> Option<Self> {
        let interval = wilson(successes, trials)?;
        Some(Proportion { value: successes as f64 / trials as f64, interval })
    }

    /// The share of the successes among trials that each name their patient; none without a trial. With one trial per
    /// patient it is [`Proportion::of`] to the last bit.
    ///
    /// ```
    /// use xray_metrics::Proportion;
    ///
    /// // Ten records of five patients, whose two records agree each time: as good as five.
    /// let trials = (0..10_u32).map(|record| (record / 2, record < 8));
    /// let found = Proportion::by_patient(trials).expect("ten trials");
    /// let independent = Proportion::of(8, 10).expect("ten trials");
    /// assert_eq!(found.value, independent.value);
    /// assert!(found.interval[0] < independent.interval[0]);
    /// ```
    pub fn by_patient(trials: impl Iterator<Item = (u32, bool)>) -> Option<Self> {
        let counts = PatientCounts::of(trials);
        let (successes, trials) = counts.totals();
        let plain = Proportion::of(successes, trials)?;
        let interval = score_interval(plain.value, trials as f64 / counts.design_effect());
        Some(Proportion { interval, ..plain })
    }

    /// [`Proportion::by_patient`] where every trial names its patient, otherwise [`Proportion::of`].
    pub(crate) fn of_trials(trials: impl Iterator<Item = (Option<u32>, bool)>) -> Option<Self> {
        let trials: Vec<_> = trials.collect();
        let named: Option<Vec<_>> =
            trials.iter().map(|&(patient, success)| Some((patient?, success))).collect();
        let successes = trials.iter().filter(|(_, success)| *success).count();
        match named {
            Some(named) => Proportion::by_patient(named.into_iter()),
            None => Proportion::of(successes as u64, trials.len() as u64),
        }
    }
}

/// The score interval of level [`crate::units::LEVEL`] of a proportion p of n trials,
///
/// `(p + z² / 2n ± z sqrt(p (1 - p) / n + z² / 4n²)) / (1 + z² / n)`;
///
/// none without a trial or with more successes than trials.
///
/// ```
/// use xray_metrics::wilson;
///
/// let [low, high] = wilson(0, 10).expect("ten trials");
/// assert_eq!(low, 0.0);
/// assert!((high - 0.277_533).abs() < 1e-6); // none of ten may still be a quarter
/// ```
pub fn wilson(successes: u64, trials: u64) -> Option<[f64; 2]> {
    if trials == 0 || successes > trials {
        return None;
    }
    let n = trials as f64;
    Some(score_interval(successes as f64 / n, n))
}

/// The same of a share `p` of `n` trials, which may be a fraction.
fn score_interval(p: f64, n: f64) -> [f64; 2] {
    let shrink = 1.0 + Z * Z / n;
    let center = (p + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // The ends of the scale are exact; rounding would miss them by 1e-17.
    let low = if p == 0.0 { 0.0 } else { (center - half).max(0.0) };
    let high = if p == 1.0 { 1.0 } else { (center + half).min(1.0) };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LEVEL;
    use proptest::prelude::*;

    /// Simpson's rule on the normal density.
    #[test]
    fn z_is_the_quantile_of_the_level() {
        let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 1000_i32;
        let step = Z / f64::from(steps);
        let weight = |at: i32| if at == 0 || at == steps { 1.0 } else { f64::from(2 + 2 * (at % 2)) };
        let half: f64 = (0..=steps).map(|at| weight(at) * density(step * f64::from(at))).sum();
        assert!((2.0 * half * step / 3.0 - LEVEL).abs() < 1e-12);
    }

    /// Newcombe 1998, table I.
    #[test]
    fn published_intervals() {
        let check = |successes, trials, expected: [f64; 2]| {
            let found = wilson(successes, trials).expect("trials");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5), "{found:?}");
        };
        check(81, 263, [0.2553, 0.3662]);
        check(15, 148, [0.0624, 0.1605]);
        check(0, 20, [0.0, 0.1611]);
        check(1, 29, [0.0061, 0.1718]);
    }

    #[test]
    fn what_is_no_share_has_no_interval() {
        let check = |successes, trials| assert_eq!(Proportion::of(successes, trials), None);
        check(0, 0);
        check(3, 2);
        check(u64::MAX, 0);
    }

    proptest! {
        /// The definition: both ends p0 solve (p - p0)² = z² p0 (1 - p0) / n.
        #[test]
        fn the_ends_solve_the_score_equation(trials in 1_u64..5000, share in 0.0..=1.0_f64) {
            let successes = (share * trials as f64) as u64;
            let found = Proportion::of(successes, trials).expect("trials");
            for end in found.interval {
                let score = (found.value - end).powi(2);
                prop_assert!((score - Z * Z * end * (1.0 - end) / trials as f64).abs() < 1e-12);
            }
            prop_assert!(found.interval[0] <= found.value && found.value <= found.interval[1]);
        }

        #[test]
        fn successes_and_failures_mirror_each_other(trials in 1_u64..500, successes in 0_u64..500) {
            let successes = successes.min(trials);
            let [low, high] = wilson(successes, trials).expect("trials");
            let [other_low, other_high] = wilson(trials - successes, trials).expect("trials");
            prop_assert!((low + other_high - 1.0).abs() < 1e-14 && (high + other_low - 1.0).abs() < 1e-14);
        }

        #[test]
        fn counts_of_any_size_stay_on_the_scale(successes: u64, trials: u64) {
            if let Some([low, high]) = wilson(successes, trials) {
                prop_assert!((0.0..=1.0).contains(&low) && (low..=1.0).contains(&high));
            }
        }
    }
}
