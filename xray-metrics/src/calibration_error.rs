//! The expected calibration error beside what chance makes of it. A bin's share of positives varies, and the distance to
//! it is never negative, so even a model whose probabilities hold has an ECE above 0: the more so the fewer records a bin
//! has.

use crate::normal::two_sided_p;
use crate::reliability::{Group, ece, grouped, reliability};
use crate::{Binning, Column, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How far probabilities are from what is observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationError {
    /// The expected calibration error ([`ece`]).
    pub ece: f64,
    /// The same less the bias that the spread of each bin's share gives it (Kumar, Liang and Ma, NeurIPS 2019: their
    /// resampling, in closed form), at least 0. In simulations of 100 to 5,000 records it took away about four tenths of
    /// what a calibrated model shows, and left a model that is off within a tenth of the truth or above it.
    pub debiased: f64,
    /// The mean ECE of a model with these probabilities and bins that is right about each of them: what `ece` is to be
    /// compared with. Counts records as independent, so it is too low if patients recur.
    pub by_chance: f64,
    /// Records of each bin that has one, from the lowest probability up.
    pub records: Vec<u64>,
}

/// The calibration error of one label's **probabilities**; none without a record.
///
/// ```
/// use xray_metrics::{Binning, Column, calibration_error};
///
/// // Ten records at 0.1, one of them positive: as right as can be, and by chance it would seldom be.
/// let column = Column::new(vec![0.1; 10], (0..10).map(|at| at == 0).collect())?;
/// let found = calibration_error(&column, Binning::EqualCount, 10)?.expect("records");
/// assert!(found.ece < 1e-12 && found.by_chance > 0.05);
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If a probability is outside [0, 1] or there are no bins.
pub fn calibration_error(
    probabilities: &Column,
    binning: Binning,
    bins: u16,
) -> Result<Option<CalibrationError>> {
    let found = reliability(probabilities, None, binning, bins)?;
    let groups = grouped(probabilities, binning, bins)?;
    let n = probabilities.len() as f64;
    let debiased = found.iter().map(|bin| {
        let (records, share) = (bin.records as f64, bin.observed.value);
        let distance = (share - bin.mean_predicted).abs();
        // Resampled around what was seen, the distance grows by its bias once more.
        let again = mean_distance(distance, (share * (1.0 - share) / records).sqrt());
        records / n * (2.0 * distance - again)
    });
    let by_chance = groups.iter().map(|group| mean_deviation(group) / n).sum();
    Ok(ece(&found).map(|ece| CalibrationError {
        ece,
        debiased: debiased.sum::<f64>().max(0.0),
        by_chance,
        records: found.iter().map(|bin| bin.records).collect(),
    }))
}

/// The mean of |x| for a normal x.
fn mean_distance(mean: f64, deviation: f64) -> f64 {
    if deviation == 0.0 {
        return mean.abs();
    }
    let z = mean.abs() / deviation;
    deviation * (2.0 / PI).sqrt() * (-z * z / 2.0).exp() + mean.abs() * (1.0 - two_sided_p(z))
}

/// Up to so many expected positives the distribution of their count is added up; beyond, it is normal to 1 in 1,000.
const ADDED_UP: f64 = 30.0;

/// The mean distance of the count of positives from its mean, were each record positive with its probability.
fn mean_deviation(group: &Group) -> f64 {
    let expected: f64 = group.records.iter().map(|(p, _)| p).sum();
    let rarer = expected.min(group.records.len() as f64 - expected);
    if rarer > ADDED_UP {
        let variance: f64 = group.records.iter().map(|(p, _)| p * (1.0 - p)).sum();
        return (2.0 / PI * variance).sqrt();
    }
    // Counts of the rarer class, by adding a record at a time; those above the mean make up for those below.
    let mut chances = vec![0.0; rarer.max(0.0) as usize + 1];
    chances[0] = 1.0;
    for &(p, _) in &group.records {
        let p = if rarer == expected { p } else { 1.0 - p };
        for count in (0..chances.len()).rev() {
            let below = count.checked_sub(1).map_or(0.0, |below| chances[below]);
            chances[count] = chances[count] * (1.0 - p) + below * p;
        }
    }
    let below = chances.iter().enumerate().map(|(count, chance)| (rarer - count as f64) * chance);
    2.0 * below.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xray_random::Random;

    fn of(rows: &[(f64, bool)], bins: u16) -> CalibrationError {
        let found = calibration_error(&Column::of_rows(rows), Binning::EqualCount, bins);
        found.expect("probabilities").expect("records")
    }

    #[test]
    fn closed_forms() {
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        // One record at p is off by p or 1 - p.
        close(of(&[(0.2, false)], 1).by_chance, 2.0 * 0.2 * 0.8);
        // De Moivre: of four at one half, |count - 2| is 2, 1, 0, 1, 2 with 1, 4, 6, 4, 1 of 16.
        close(of(&[(0.5, true), (0.5, true), (0.5, false), (0.5, false)], 1).by_chance, 12.0 / 16.0 / 4.0);
        // Folded: a distance of 0 becomes the mean of |x|, a distance of many deviations stays.
        close(mean_distance(0.0, 2.0), 2.0 * (2.0 / PI).sqrt());
        close(mean_distance(-40.0, 1.0), 40.0);
        close(mean_distance(3.0, 0.0), 3.0);
        let certain = of(&[(1.0, true), (0.0, false), (0.0, false)], 10);
        assert_eq!((certain.ece, certain.debiased, certain.by_chance), (0.0, 0.0, 0.0));
        assert_eq!(certain.records.iter().sum::<u64>(), 3);
        assert_eq!(calibration_error(&Column::of_rows(&[]), Binning::EqualCount, 10), Ok(None));
    }

    /// scipy: `quad(lambda x: abs(x) * norm.pdf(x, 0.01, 0.02), -0.3, 0.3, points=[0])`.
    #[test]
    fn the_mean_of_a_folded_normal_is_scipys() {
        assert!(
            (mean_distance(0.01, 0.02) - 0.017_911_862_296_052).abs() < 1e-9,
            "{}",
            mean_distance(0.01, 0.02)
        );
    }

    /// A mean over draws of a calibrated model and of one that says twice the odds: what is true, what is shown, and
    /// what chance makes.
    #[test]
    fn simulated_models_lie_where_they_should() {
        let mut random = Random::of_task(7, 0);
        let mut uniform = || random.below(1 << 24) as f64 / f64::from(1 << 24);
        let mut simulate = |records: usize, truth: &dyn Fn(f64) -> f64| {
            let (mut sums, mut real) = ([0.0; 3], 0.0);
            const ROUNDS: usize = 150;
            for _ in 0..ROUNDS {
                let rows: Vec<_> = (0..records)
                    .map(|_| {
                        let p = 0.02 + 0.3 * uniform() * uniform();
                        (p, uniform() < truth(p))
                    })
                    .collect();
                let found = of(&rows, 10);
                [found.ece, found.debiased, found.by_chance]
                    .iter()
                    .zip(&mut sums)
                    .for_each(|(it, sum)| *sum += it);
                real += rows.iter().map(|row| (truth(row.0) - row.0).abs()).sum::<f64>() / records as f64;
            }
            let mean = |sum: f64| sum / ROUNDS as f64;
            (sums.map(mean), mean(real))
        };
        for records in [100, 400, 2000] {
            let ([ece, debiased, by_chance], _) = simulate(records, &|p| p);
            assert!((ece / by_chance - 1.0).abs() < 0.06, "{records}: {ece} {by_chance}");
            assert!(debiased < 0.75 * ece, "{records}: {debiased} {ece}");
            let ([ece, debiased, _], real) = simulate(records, &|p| 2.0 * p / (1.0 + p));
            assert!(real < 1.1 * debiased && debiased < ece, "{records}: {real} {debiased} {ece}");
        }
    }

    proptest! {
        /// Whatever is said, the plain figure is [`ece`]'s, and taking away its bias never adds.
        #[test]
        fn figures_stay_in_order(rows in prop::collection::vec((0.0..=1.0_f64, any::<bool>()), 1..120)) {
            let found = of(&rows, 10);
            let bins = reliability(&Column::of_rows(&rows), None, Binning::EqualCount, 10).expect("probabilities");
            prop_assert_eq!(Some(found.ece), ece(&bins));
            prop_assert!(0.0 <= found.debiased && found.debiased <= found.ece + 1e-12, "{found:?}");
            prop_assert!((0.0..=0.5 + 1e-12).contains(&found.by_chance), "{found:?}");
        }
    }
}
