//! A baseline that ignores the image and predicts each label's training prevalence.
//!
//! Its AUC is 0.5 for every label, but pooling the labels lets it rank the common ones above the rare ones:
//! on ChestX-ray14 it reaches a micro-AUC of 0.73 to 0.75, depending on the split. A micro-average means
//! nothing unless this stands beside it, and the Brier score and log loss of rare labels need it as well.

use crate::auc::auc_of_ties;
use crate::error::check_per_label;
use crate::mean::mean;
use crate::probability::{clipped_log_loss, squared_error};
use crate::{Error, LabelCounts, Result};

/// The predictor on some records: one probability per label, the same for every image.
///
/// ```
/// use xray_metrics::{LabelCounts, baseline::Baseline};
///
/// let common = LabelCounts { positives: 50, negatives: 50, unknown: 0 };
/// let rare = LabelCounts { positives: 1, negatives: 99, unknown: 0 };
/// let micro_auc = Baseline::new(&[0.5, 0.01], &[common, rare])?.micro_auc();
/// assert!(micro_auc > Some(0.8)); // ignoring every image
/// # Ok::<(), xray_metrics::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    labels: Vec<(f64, LabelCounts)>,
}

impl Baseline {
    /// Takes the share of positives per label in the training records and the labels of the records to be
    /// scored. NaN stands for a label that no training record knows; the predictor says the mean of the
    /// others for it, or 0.5 if there is none.
    ///
    /// # Errors
    /// If there is not one prevalence per label, or one is outside [0, 1].
    pub fn new(prevalences: &[f64], counts: &[LabelCounts]) -> Result<Self> {
        check_per_label("training prevalences", prevalences.len(), counts.len())?;
        let wrong = prevalences.iter().position(|p| !p.is_nan() && !(0.0..=1.0).contains(p));
        match wrong {
            Some(label) => Err(Error::Prevalence { label, value: prevalences[label] }),
            None => Ok(Baseline { labels: said(prevalences).zip(counts.iter().copied()).collect() }),
        }
    }

    /// The pooled AUC; none without a positive or without a negative record.
    pub fn micro_auc(&self) -> Option<f64> {
        let mut pool = self.labels.clone();
        pool.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let ties = pool.chunk_by(|(a, _), (b, _)| a == b).map(|tied| LabelCounts {
            positives: tied.iter().map(|(_, counts)| counts.positives).sum(),
            negatives: tied.iter().map(|(_, counts)| counts.negatives).sum(),
            unknown: 0,
        });
        auc_of_ties(ties)
    }

    /// The Brier score of each label; none where nothing is known.
    pub fn brier(&self) -> Vec<Option<f64>> {
        self.mean_cost(squared_error)
    }

    /// The log loss of each label in nats, clipped as [`crate::probability::log_loss_of_probabilities`]
    /// does; none where nothing is known.
    pub fn log_loss(&self) -> Vec<Option<f64>> {
        self.mean_cost(clipped_log_loss)
    }

    fn mean_cost(&self, cost: fn(f64, bool) -> f64) -> Vec<Option<f64>> {
        let of = |&(p, counts): &(f64, LabelCounts)| {
            let share = counts.prevalence()?;
            Some(share * cost(p, true) + (1.0 - share) * cost(p, false))
        };
        self.labels.iter().map(of).collect()
    }
}

fn said(prevalences: &[f64]) -> impl Iterator<Item = f64> {
    let guess = mean(prevalences.iter().copied().filter(|p| !p.is_nan())).unwrap_or(0.5);
    prevalences.iter().map(move |&p| if p.is_nan() { guess } else { p })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, auc, probability};
    use proptest::prelude::*;

    const NAN: f64 = f64::NAN;

    fn counts(positives: u64, negatives: u64) -> LabelCounts {
        LabelCounts { positives, negatives, unknown: 3 }
    }

    /// The predictor's answers one by one, as any other predictor's would be pooled.
    fn columns(prevalences: &[f64], counts: &[LabelCounts]) -> Vec<Column> {
        let column = |(&p, counts): (&f64, &LabelCounts)| {
            let positive: Vec<_> =
                (0..counts.positives + counts.negatives).map(|i| i < counts.positives).collect();
            Column::new(vec![p; positive.len()], positive).expect("finite")
        };
        prevalences.iter().zip(counts).map(column).collect()
    }

    fn pooled(columns: &[Column]) -> Column {
        let (scores, positive) = columns.iter().flat_map(Column::iter).unzip();
        Column::new(scores, positive).expect("finite")
    }

    proptest! {
        #[test]
        fn the_counts_give_what_the_single_answers_give(
            labels in prop::collection::vec(((0_u32..=4).prop_map(|p| f64::from(p) / 4.0), 0_u64..9, 0_u64..9), 1..6)
        ) {
            let prevalences: Vec<_> = labels.iter().map(|label| label.0).collect();
            let counts: Vec<_> = labels.iter().map(|label| counts(label.1, label.2)).collect();
            let baseline = Baseline::new(&prevalences, &counts).expect("valid");
            let columns = columns(&prevalences, &counts);
            prop_assert_eq!(baseline.micro_auc(), auc(&pooled(&columns)));
            let close = |a: &Option<f64>, b: Option<f64>| match (*a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-12,
                (a, b) => a == b,
            };
            for ((brier, log_loss), column) in baseline.brier().iter().zip(&baseline.log_loss()).zip(&columns) {
                prop_assert!(close(brier, probability::brier_of_probabilities(column)));
                prop_assert!(close(log_loss, probability::log_loss_of_probabilities(column)));
            }
        }
    }

    #[test]
    fn one_label_alone_gets_one_half() {
        let micro_auc = |prevalences: &[f64], counts: &[LabelCounts]| {
            Baseline::new(prevalences, counts).expect("valid").micro_auc()
        };
        assert_eq!(micro_auc(&[0.2], &[counts(3, 9)]), Some(0.5));
        assert_eq!(micro_auc(&[0.2, 0.2], &[counts(3, 9), counts(1, 1)]), Some(0.5));
        assert_eq!(micro_auc(&[0.2], &[counts(3, 0)]), None);
    }

    #[test]
    fn a_label_unknown_in_training_gets_the_mean_of_the_others() {
        let check = |given: &[f64], expected: &[f64]| assert_eq!(said(given).collect::<Vec<_>>(), expected);
        check(&[0.25, NAN, 0.75], &[0.25, 0.5, 0.75]);
        check(&[NAN, NAN], &[0.5, 0.5]);
    }

    #[test]
    fn prevalences_that_are_none_are_refused() {
        let check = |prevalences: &[f64], expected: &str| {
            let error = Baseline::new(prevalences, &[counts(1, 1); 2]).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        };
        check(&[0.1], "1 training prevalences for 2 labels");
        check(&[0.1, 4.46], "label 1: the training prevalence is 4.46, outside 0 to 1");
        check(&[-0.1, 0.1], "label 0: the training prevalence is -0.1, outside 0 to 1");
    }
}
