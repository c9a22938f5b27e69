//! Area under the ROC curve, from ranks: the chance that a positive record scores above a negative one,
//! a tie counting one half (the Mann-Whitney statistic; Hanley and McNeil, Radiology 143, 1982).

use crate::{Column, LabelCounts};

/// The AUC of one label; none without a positive or without a negative record.
///
/// ```
/// use xray_metrics::{Column, auc};
///
/// let column = Column::new(vec![0.1, 0.4, 0.4, 0.8], vec![false, false, true, true])?;
/// assert_eq!(auc(&column), Some(3.5 / 4.0)); // of four pairs one is tied
/// # Ok::<(), xray_metrics::Error>(())
/// ```
pub fn auc(column: &Column) -> Option<f64> {
    auc_of_ties(column.ties())
}

/// The AUC of records that are counted by score, lowest score first.
pub(crate) fn auc_of_ties(ties: impl IntoIterator<Item = LabelCounts>) -> Option<f64> {
    let mut pairs = Pairs::default();
    ties.into_iter().for_each(|tie| pairs.add(tie.positives, tie.negatives));
    pairs.auc()
}

/// The pairs of a positive and a negative record, counted in whole numbers while the score rises, so that
/// the AUC is rounded only once. Room for 6 billion records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pairs {
    positives: u64,
    negatives: u64,
    /// Two for a pair in which the positive scores higher, one for a tied pair.
    half_wins: u64,
}

impl Pairs {
    /// Adds the records of the next higher score.
    pub(crate) fn add(&mut self, positives: u64, negatives: u64) {
        self.half_wins += positives * (2 * self.negatives + negatives);
        self.positives += positives;
        self.negatives += negatives;
    }

    pub(crate) fn auc(&self) -> Option<f64> {
        let pairs = self.positives * self.negatives;
        (pairs > 0).then(|| self.half_wins as f64 / (2 * pairs) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_scale() {
        let check = |rows: &[(f64, bool)], expected| assert_eq!(auc(&Column::of_rows(rows)), expected);
        check(&[(-1.0, false), (1.0, true)], Some(1.0));
        check(&[(1.0, false), (-1.0, true)], Some(0.0));
        check(&[(0.0, false), (-0.0, true)], Some(0.5));
        check(&[(1.0, true), (2.0, true)], None);
        check(&[(1.0, false)], None);
        check(&[], None);
    }

    /// Negatives at 0, 1, ... m-1 and positives k higher: wins counted by hand.
    #[test]
    fn shifted_ladders_have_a_closed_form() {
        let (steps, shift) = (100_u32, 30_u32);
        let ladder = |offset: u32, positive| (0..steps).map(move |i| (f64::from(i + offset), positive));
        let rows: Vec<_> = ladder(shift, true).chain(ladder(0, false)).collect();
        let (m, k) = (f64::from(steps), f64::from(shift));
        // A positive loses to the m-k-1, m-k-2, ... 1 negatives above it, and ties with one of m-k.
        let losses = (m - k) * (m - k - 1.0) / 2.0 + (m - k) / 2.0;
        let found = auc(&Column::of_rows(&rows)).expect("both classes");
        assert!((found - (1.0 - losses / (m * m))).abs() < 1e-15, "{found}");
    }

    fn by_pairs(rows: &[(f64, bool)]) -> Option<f64> {
        let of = |wanted| rows.iter().filter(move |(_, positive)| *positive == wanted);
        let wins = of(true).flat_map(|(p, _)| {
            of(false).map(move |(n, _)| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            })
        });
        let (sum, pairs) = wins.fold((0.0, 0.0), |(sum, pairs), win| (sum + win, pairs + 1.0));
        (pairs > 0.0).then(|| sum / pairs)
    }

    fn rows() -> impl Strategy<Value = Vec<(f64, bool)>> {
        // Few distinct scores make many ties.
        let score = prop_oneof![(-3_i32..3).prop_map(f64::from), -1e3..1e3_f64];
        prop::collection::vec((score, any::<bool>()), 0..60)
    }

    proptest! {
        #[test]
        fn ranks_agree_with_counted_pairs(rows in rows()) {
            prop_assert_eq!(auc(&Column::of_rows(&rows)), by_pairs(&rows));
        }

        #[test]
        fn reversed_scores_give_the_rest_to_one(rows in rows()) {
            let reversed: Vec<_> = rows.iter().map(|&(score, positive)| (-score, positive)).collect();
            match (auc(&Column::of_rows(&rows)), auc(&Column::of_rows(&reversed))) {
                (Some(one), Some(other)) => prop_assert!((one + other - 1.0).abs() < 1e-15),
                (one, other) => prop_assert_eq!(one, other),
            }
        }
    }
}
