//! Labels that get (nearly) the same score for every image: a network that has learned only how common
//! each label is, or whose input is black. Such a model can show a fine loss and a fine micro-AUC.
//!
//! **The rule.** Where the logits of both classes are normal with equal spread and calibrated, an AUC of A
//! means a standard deviation of `sqrt(2) * probit(A)` within each class, at any prevalence (the binormal
//! model; Green and Swets, Signal Detection Theory, 1966). A label counts as collapsed if its logits spread
//! less over all records than a calibrated model of AUC 0.51 would, [`MIN_SPREAD`]: a typical image moves the
//! odds by less than 4 %.
//!
//! Scores of another scale than logits, such as probabilities, are not for this rule.

use crate::Scores;

/// `sqrt(2) * probit(0.51)`: the spread of logits below which a label counts as collapsed.
pub const MIN_SPREAD: f64 = 0.035_453;

/// The standard deviation of a label's logits over all records, also those where the truth is unknown;
/// none with fewer than two records, where nothing can vary.
pub fn logit_spread(scores: Scores<'_>, label: usize) -> Option<f64> {
    let count = scores.logits_of(label).count() as f64;
    // Two passes: the logits of a rare label are far from 0 compared with their spread.
    let mean = scores.logits_of(label).sum::<f64>() / count;
    let squares: f64 = scores.logits_of(label).map(|score| (score - mean).powi(2)).sum();
    (count >= 2.0).then(|| (squares / count).sqrt())
}

/// The labels that have collapsed by the rule above, in ascending order.
///
/// ```
/// use xray_metrics::{Scores, collapse::collapsed_labels};
///
/// let logits = [-4.0, 1.5, -4.01, -0.5, -4.0, 0.5];
/// let truth = [0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
/// assert_eq!(collapsed_labels(Scores::new(&logits, &truth, 2)?), [0]);
/// # Ok::<(), xray_metrics::Error>(())
/// ```
pub fn collapsed_labels(scores: Scores<'_>) -> Vec<usize> {
    (0..scores.num_labels()).filter(|&label| has_collapsed(logit_spread(scores, label))).collect()
}

/// Whether a spread of logits is that of a collapsed label.
pub(crate) fn has_collapsed(spread: Option<f64>) -> bool {
    spread.is_some_and(|spread| spread < MIN_SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spaced logits around `center`: standard deviation `width / sqrt(12)` in the limit.
    fn collapsed(center: f64, width: f64, records: u16) -> bool {
        let step = width / f64::from(records);
        let logits: Vec<_> = (0..records).map(|i| center + step * f64::from(i)).collect();
        let truth = vec![f32::NAN; logits.len()];
        !collapsed_labels(Scores::new(&logits, &truth, 1).expect("valid")).is_empty()
    }

    #[test]
    fn only_a_narrow_spread_counts() {
        let check = |center, width, expected| assert_eq!(collapsed(center, width, 1000), expected, "{width}");
        let limit = MIN_SPREAD * 12_f64.sqrt();
        check(0.0, 0.0, true);
        check(-6.0, 1e-5, true);
        check(-6.0, limit * 0.99, true);
        check(-6.0, limit * 1.01, false);
        check(-300.0, 0.5, false);
        check(0.0, 4.0, false);
    }

    #[test]
    fn fewer_than_two_records_are_not_judged() {
        assert!(!collapsed(-3.0, 0.0, 0));
        assert!(!collapsed(-3.0, 0.0, 1));
        assert!(collapsed(-3.0, 0.0, 2));
    }
}
