//! Whether anything was learnt at all, by a test of signs: where the network is no better than its first weights, a batch's
//! loss is lower than theirs no more often than it is higher.

use super::Measurement;
use serde::Serialize;

/// Batches in a row that are counted. Rates change little on the way, and learning is seen in nearly all.
const WINDOW: usize = 30;

/// Highest probability of finding something where nothing was learned.
const FALSE_ALARMS: f64 = 0.01;

/// The batches in a row that speak most for learning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// In so many of them the loss is lower than by the first weights.
    pub lower: usize,
    /// Number of batches in a row.
    pub of: usize,
    /// How often at most a test in which nothing is learnt has as many somewhere.
    pub chance: f64,
    /// How many measurements it took until a row had too many for chance; null if none had.
    pub learnt_by: Option<usize>,
}

impl Evidence {
    /// Counts in every row of batches. Equal losses do not speak for learning.
    ///
    /// Each count is of coins that fall on either side alike, given all before: of a batch that was not looked at, the loss
    /// of weights that moved by chance is as often above as below, or more often above. The chance is that of one row
    /// times their number, more than which it cannot be.
    pub(super) fn of(measurements: &[Measurement]) -> Evidence {
        let count = |row: &[Measurement]| row.iter().filter(|batch| batch.difference() < 0.0).count();
        let rows: Vec<usize> = measurements.windows(WINDOW).map(count).collect();
        let chance = |lower: usize| (rows.len() as f64 * heads(lower, WINDOW)).min(1.0);
        let first = rows.iter().position(|&lower| chance(lower) <= FALSE_ALARMS);
        let lower = rows.iter().copied().max().unwrap_or(0);
        let chance = if rows.is_empty() { 1.0 } else { chance(lower) };
        Evidence { lower, of: WINDOW, chance, learnt_by: first.map(|row| row + WINDOW) }
    }
}

/// How often that many coins or more of `all` fall on their heads.
fn heads(least: usize, all: usize) -> f64 {
    let ways = |of: usize| (0..of).fold(1.0, |ways, at| ways * (all - at) as f64 / (at + 1) as f64);
    (least..=all).map(ways).sum::<f64>() * 0.5_f64.powf(all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(differences: impl IntoIterator<Item = f64>) -> Vec<Measurement> {
        let batch = |difference: f64| Measurement { rate: 1.0, loss: 1.0 + difference as f32, first: 1.0 };
        differences.into_iter().map(batch).collect()
    }

    #[test]
    fn coins_fall_as_pascals_triangle_says() {
        assert_eq!(heads(0, 30), 1.0);
        assert_eq!(heads(30, 30), 0.5_f64.powi(30));
        assert_eq!(heads(26, 30), f64::from(1 + 30 + 435 + 4060 + 27_405) * 0.5_f64.powi(30));
    }

    #[test]
    fn many_lower_losses_in_a_row_are_needed() {
        let check = |lower: usize, before: usize, expected: bool| {
            let lower_ones = (0..30).map(|at| if at < lower { -0.1 } else { 0.1 });
            let evidence = Evidence::of(&batches((0..before).map(|_| 0.1).chain(lower_ones)));
            assert_eq!(
                (evidence.lower, evidence.of, evidence.learnt_by.is_some()),
                (lower, 30, expected),
                "{evidence:?}"
            );
        };
        // One row: 22 or more in 1 of 124, and 21 in 1 of 47; in any of 171 rows 26 in 1 of 197, and 25 in 1 of 36.
        check(22, 0, true);
        check(21, 0, false);
        check(26, 170, true);
        check(25, 170, false);
        assert!(Evidence::of(&batches([-0.1; 29])).learnt_by.is_none(), "too few");
        assert!(Evidence::of(&batches([0.0; 200])).learnt_by.is_none(), "equal is not lower");
    }

    /// Weights that are moved by gradients of nothing but chance, by steps of SGD and of signs, and batches whose losses
    /// are as steep as they happen to be: the scatter grows with the rate, and neighbours share their weights.
    #[test]
    fn weights_that_wander_are_no_evidence() {
        const WEIGHTS: usize = 8;
        let mut state = 1_u64;
        // Knuth's congruential numbers, in twelfths of their sum a normal one.
        let mut normal = || {
            let unit = |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 53) as f64
            };
            (0..12).map(unit).sum::<f64>() - 6.0
        };
        let (mut alarms, tests) = (0, 2_000);
        for test in 0..tests {
            let mut weights = [0.0; WEIGHTS];
            let mut wander = |at: i32| {
                let gradient: [f64; WEIGHTS] = std::array::from_fn(|_| normal());
                let difference: f64 =
                    weights.iter().zip(gradient).map(|(weight, slope)| weight * slope).sum();
                let step = |slope: f64| if test % 2 == 0 { slope } else { slope.signum() };
                let rate = 1e-6 * 1.07_f64.powi(at);
                weights.iter_mut().zip(gradient).for_each(|(weight, slope)| *weight -= rate * step(slope));
                // Too small for single precision beside a loss of 1.
                1e3 * difference
            };
            alarms += usize::from(Evidence::of(&batches((0..200).map(&mut wander))).learnt_by.is_some());
        }
        assert!(alarms <= tests / 100, "{alarms} false alarms of {tests}");
    }
}
