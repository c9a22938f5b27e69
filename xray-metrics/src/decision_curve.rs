//! Whether acting on the probabilities does more good than harm (Vickers and Elkin, Medical Decision Making
//! 26, 2006).

use crate::error::check_probabilities;
use crate::{Column, Confusion, Error, Result};
use serde::{Deserialize, Serialize};

/// Net benefits per record, in units of one true positive. A model is worth its use at a threshold only
/// where it is above both of the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetBenefit {
    /// The probability from which one would act, which says what a false positive costs: at 0.1, finding
    /// one patient is worth nine alarms.
    pub threshold_probability: f64,
    /// Of acting where the model says this probability or more.
    pub model: f64,
    /// Of acting always.
    pub treat_all: f64,
    /// Of never acting: 0.
    pub treat_none: f64,
}

/// The net benefit `TP/n - FP/n * pt / (1 - pt)` at each of the threshold probabilities pt, in their order,
/// for one label's **probabilities**; none without a record. It holds for the prevalence of these records.
///
/// ```
/// use xray_metrics::{Column, decision_curve};
///
/// let column = Column::new(vec![0.1, 0.3, 0.6, 0.9], vec![false, true, false, true])?;
/// let curve = decision_curve(&column, &[0.2])?.expect("records");
/// assert_eq!(curve[0].model, 2.0 / 4.0 - 1.0 / 4.0 * 0.25); // two found, one false alarm
/// assert_eq!(curve[0].treat_all, 2.0 / 4.0 - 2.0 / 4.0 * 0.25);
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If a probability is outside [0, 1] or a threshold probability is not in [0, 1).
pub fn decision_curve(
    probabilities: &Column,
    threshold_probabilities: &[f64],
) -> Result<Option<Vec<NetBenefit>>> {
    check_probabilities(probabilities)?;
    if let Some(&value) = threshold_probabilities.iter().find(|pt| !(0.0..1.0).contains(*pt)) {
        return Err(Error::ThresholdProbability { value });
    }
    if probabilities.is_empty() {
        return Ok(None);
    }
    let point = |&pt: &f64| NetBenefit {
        threshold_probability: pt,
        model: net_benefit(Confusion::at(probabilities, pt), pt),
        treat_all: net_benefit(Confusion::at(probabilities, f64::NEG_INFINITY), pt),
        treat_none: 0.0,
    };
    Ok(Some(threshold_probabilities.iter().map(point).collect()))
}

fn net_benefit(calls: Confusion, pt: f64) -> f64 {
    let n = (calls.positives() + calls.negatives()) as f64;
    calls.true_positives as f64 / n - calls.false_positives as f64 / n * (pt / (1.0 - pt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn closed_forms() {
        let check = |rows: &[(f64, bool)], pt, model: f64, treat_all: f64| {
            let found = decision_curve(&Column::of_rows(rows), &[pt]).expect("valid").expect("records")[0];
            assert!((found.model - model).abs() < 1e-14, "{found:?}");
            assert!((found.treat_all - treat_all).abs() < 1e-13, "{found:?}");
            assert_eq!((found.threshold_probability, found.treat_none), (pt, 0.0));
        };
        let right = [(0.9, true), (0.1, false), (0.1, false), (0.1, false)];
        check(&right, 0.5, 0.25, 0.25 - 0.75);
        check(&right, 0.25, 0.25, 0.0); // treating all breaks even at the prevalence
        check(&right, 0.1, 0.25 - 0.75 / 9.0, 0.25 - 0.75 / 9.0); // a probability at the threshold acts
        check(&right, 0.0, 0.25, 0.25);
        check(&right, 0.95, 0.0, 0.25 - 0.75 * 19.0);
        check(&[(0.5, false)], 0.5, -1.0, -1.0);
    }

    #[test]
    fn what_has_no_net_benefit_is_refused() {
        let check = |p, pt, expected: &str| {
            let error = decision_curve(&Column::of_rows(&[(p, true)]), &[0.5, pt]).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        };
        check(0.5, 1.0, "the threshold probability is 1, not at least 0 and below 1");
        check(0.5, -0.1, "the threshold probability is -0.1, not at least 0 and below 1");
        check(0.5, f64::NAN, "the threshold probability is NaN, not at least 0 and below 1");
        check(3.0, 0.1, "record 0: the probability is 3, outside 0 to 1");
        assert_eq!(decision_curve(&Column::of_rows(&[]), &[0.5]), Ok(None));
    }

    proptest! {
        /// The definition, a record at a time: a finding treated gains 1, an alarm costs the odds.
        #[test]
        fn the_curve_is_the_mean_gain(
            rows in prop::collection::vec((0.0..=1.0_f64, any::<bool>()), 1..50),
            pt in 0.0..0.99_f64,
        ) {
            let gain = |acts: bool, positive: bool| match (acts, positive) {
                (true, true) => 1.0,
                (true, false) => -pt / (1.0 - pt),
                (false, _) => 0.0,
            };
            let mean = |of: &dyn Fn(&(f64, bool)) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
            let found = decision_curve(&Column::of_rows(&rows), &[pt]).expect("valid").expect("records")[0];
            prop_assert!((found.model - mean(&|row| gain(row.0 >= pt, row.1))).abs() < 1e-10);
            prop_assert!((found.treat_all - mean(&|row| gain(true, row.1))).abs() < 1e-10);
        }
    }
}
