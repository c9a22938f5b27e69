//! Right and wrong calls at a threshold, and the shares that are read from them (Altman and Bland, BMJ 308
//! and 309, 1994).

use crate::Column;
use serde::{Deserialize, Serialize};

/// The known records of one label, counted by truth and by what a threshold makes of their score.
///
/// ```
/// use xray_metrics::{Column, Confusion};
///
/// let column = Column::new(vec![0.1, 0.4, 0.4, 0.8], vec![false, false, true, true])?;
/// let confusion = Confusion::at(&column, 0.4); // a score equal to the threshold is positive
/// assert_eq!((confusion.true_positives, confusion.false_positives), (2, 1));
/// assert_eq!((confusion.sensitivity(), confusion.specificity()), (Some(1.0), Some(0.5)));
/// assert_eq!((confusion.ppv(), confusion.npv()), (Some(2.0 / 3.0), Some(1.0)));
/// # Ok::<(), xray_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Records that have the finding and are called positive.
    pub true_positives: u64,
    /// Records that do not have it and are called positive.
    pub false_positives: u64,
    /// Records that do not have it and are called negative.
    pub true_negatives: u64,
    /// Records that have it and are called negative.
    pub false_negatives: u64,
}

impl Confusion {
    /// Calls a record positive if its score is `threshold` or more; NaN calls none.
    pub fn at(column: &Column, threshold: f64) -> Self {
        column.iter().fold(Confusion::default(), |mut counts, (score, positive)| {
            match (score >= threshold, positive) {
                (true, true) => counts.true_positives += 1,
                (true, false) => counts.false_positives += 1,
                (false, false) => counts.true_negatives += 1,
                (false, true) => counts.false_negatives += 1,
            }
            counts
        })
    }

    /// Each distinct score, from the highest down, with the calls that it makes as a threshold.
    pub(crate) fn at_each_score(column: &Column) -> Vec<(f64, Confusion)> {
        let mut calls = Confusion::at(column, f64::INFINITY);
        let mut rows: Vec<_> = column.iter().collect();
        rows.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let called = |tied: &[(f64, bool)]| {
            let positives = tied.iter().filter(|(_, positive)| *positive).count() as u64;
            let negatives = tied.len() as u64 - positives;
            calls.true_positives += positives;
            calls.false_negatives -= positives;
            calls.false_positives += negatives;
            calls.true_negatives -= negatives;
            (tied[0].0, calls)
        };
        rows.chunk_by(|(a, _), (b, _)| a == b).map(called).collect()
    }

    /// Records that have the finding.
    pub fn positives(&self) -> u64 {
        self.true_positives.saturating_add(self.false_negatives)
    }

    /// Records that do not.
    pub fn negatives(&self) -> u64 {
        self.true_negatives.saturating_add(self.false_positives)
    }

    /// Records that are called positive.
    pub fn called_positive(&self) -> u64 {
        self.true_positives.saturating_add(self.false_positives)
    }

    /// Records that are called negative.
    pub fn called_negative(&self) -> u64 {
        self.true_negatives.saturating_add(self.false_negatives)
    }

    /// `TP / (TP + FN)`, which is recall and the true positive rate; none without a positive record.
    pub fn sensitivity(&self) -> Option<f64> {
        share(self.true_positives, self.positives())
    }

    /// `TN / (TN + FP)`, which is one less the false positive rate; none without a negative record.
    pub fn specificity(&self) -> Option<f64> {
        share(self.true_negatives, self.negatives())
    }

    /// `TP / (TP + FP)`, the positive predictive value, which is precision; none if no record is called
    /// positive. It holds for the prevalence of these records only.
    pub fn ppv(&self) -> Option<f64> {
        share(self.true_positives, self.called_positive())
    }

    /// `TN / (TN + FN)`, the negative predictive value; none if no record is called negative. It holds for
    /// the prevalence of these records only.
    pub fn npv(&self) -> Option<f64> {
        share(self.true_negatives, self.called_negative())
    }

    /// `2 TP / (2 TP + FP + FN)`, the harmonic mean of sensitivity and PPV (van Rijsbergen, Information
    /// Retrieval, 1979); `None` where nothing is positive, neither in truth nor as predicted (scikit-learn returns 0).
    pub fn f1(&self) -> Option<f64> {
        // Halves of both: positives and calls together count each true positive twice.
        share(self.true_positives, self.positives().saturating_add(self.called_positive())).map(|f| 2.0 * f)
    }

    /// `(TP + TN) / n`; none without a record. Calling nothing positive gets 1 less the prevalence.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.true_positives.saturating_add(self.true_negatives);
        share(right, self.positives().saturating_add(self.negatives()))
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn confusion(counts: [u64; 4]) -> Confusion {
        let [true_positives, false_positives, true_negatives, false_negatives] = counts;
        Confusion { true_positives, false_positives, true_negatives, false_negatives }
    }

    #[test]
    fn shares_by_hand() {
        let check = |counts, expected: [Option<f64>; 6]| {
            let c = confusion(counts);
            let found = [c.sensitivity(), c.specificity(), c.ppv(), c.npv(), c.f1(), c.accuracy()];
            assert_eq!(found, expected, "{counts:?}");
        };
        check(
            [6, 2, 15, 2],
            [Some(0.75), Some(15.0 / 17.0), Some(0.75), Some(15.0 / 17.0), Some(0.75), Some(0.84)],
        );
        check([0, 0, 3, 1], [Some(0.0), Some(1.0), None, Some(0.75), Some(0.0), Some(0.75)]);
        check([1, 3, 0, 0], [Some(1.0), Some(0.0), Some(0.25), None, Some(0.4), Some(0.25)]);
        check([0, 0, 4, 0], [None, Some(1.0), None, Some(1.0), None, Some(1.0)]); // no positives
        check([0, 1, 3, 0], [None, Some(0.75), Some(0.0), Some(1.0), Some(0.0), Some(0.75)]);
        check([2, 0, 0, 2], [Some(0.5), None, Some(1.0), Some(0.0), Some(2.0 / 3.0), Some(0.5)]);
        check([0, 0, 0, 0], [None; 6]);
        let [one, two] = [Some(1.0), Some(2.0)];
        check([u64::MAX; 4], [one, one, one, one, two, one]); // nonsense, but no panic
    }

    #[test]
    fn a_score_at_the_threshold_is_positive() {
        let column = Column::new(vec![-1.0, 0.0, -0.0, 2.0], vec![false, false, true, true]).expect("valid");
        let check = |threshold, expected| {
            assert_eq!(Confusion::at(&column, threshold), confusion(expected), "{threshold}");
        };
        check(2.0, [1, 0, 2, 1]);
        check(0.0, [2, 1, 1, 0]);
        check(-0.0, [2, 1, 1, 0]);
        check(1e-300, [1, 0, 2, 1]);
        check(f64::NEG_INFINITY, [2, 2, 0, 0]);
        check(f64::INFINITY, [0, 0, 2, 2]);
        check(f64::NAN, [0, 0, 2, 2]);
    }

    proptest! {
        #[test]
        fn the_walk_makes_the_calls_of_each_threshold(
            rows in prop::collection::vec(((-4_i32..4).prop_map(f64::from), any::<bool>()), 0..50)
        ) {
            let (scores, positive): (Vec<_>, _) = rows.into_iter().unzip();
            let column = Column::new(scores.clone(), positive).expect("finite");
            let mut distinct = scores;
            distinct.sort_by(|a, b| b.total_cmp(a));
            distinct.dedup();
            let expected: Vec<_> = distinct.iter().map(|&t| (t, Confusion::at(&column, t))).collect();
            prop_assert_eq!(Confusion::at_each_score(&column), expected);
        }
    }
}
