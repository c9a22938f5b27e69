//! Two models on the same records: differences of AUC with intervals and p-values.
//!
//! The intervals come from the bootstrap by patient with the same draws for both models, the labels' p-values from
//! [`mod@crate::delong`]. Fourteen p-values are fourteen chances of a false alarm, so Holm's (Scandinavian Journal
//! of Statistics 6, 1979) stand beside them.

use crate::bootstrap::{SortedLabel, Units, available_threads, draw_all, interval};
use crate::delong::{check_same_truth, difference_of_same};
use crate::mean::mean_of_defined;
use crate::{Result, Scores, auc};
use serde::{Deserialize, Serialize};

/// How two models differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Of the macro-AUCs, over the labels that both define; its p-value is the bootstrap's.
    pub macro_auc: Difference,
    /// Of each label's AUCs.
    pub labels: Vec<Difference>,
}

/// One figure of two models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first model's.
    pub a: Option<f64>,
    /// The second model's.
    pub b: Option<f64>,
    /// The first less the second.
    pub difference: Option<f64>,
    /// Low and high end of what the difference could be on other patients.
    pub interval: Option<[f64; 2]>,
    /// Chance of a difference at least this large between equally good models.
    pub p_value: Option<f64>,
    /// The same for all labels together, by Holm's rule; none for the macro-AUC, which is one test.
    pub p_value_holm: Option<f64>,
}

/// Compares models `a` and `b`; see [`crate::auc_intervals`] for the rest.
///
/// # Errors
/// If the two are not of the same records, or there is not one patient per record.
pub fn compare(
    a: Scores<'_>,
    b: Scores<'_>,
    patients: Option<&[u32]>,
    resamples: u32,
    seed: u64,
) -> Result<Comparison> {
    check_same_truth(a, b)?;
    let num_labels = a.num_labels();
    let units = Units::new(a.num_records(), patients)?;
    let sorted = |scores| (0..num_labels).map(|label| SortedLabel::new(scores, label, &units)).collect();
    let both: Vec<SortedLabel> = [a, b].into_iter().flat_map::<Vec<_>, _>(sorted).collect();
    // One draw for all columns: the first half are those of `a`.
    let drawn = draw_all(&both, units.count, resamples, seed, available_threads());
    let apart: Vec<Vec<Option<f64>>> = drawn
        .iter()
        .map(|aucs| (0..num_labels).map(|at| Some(aucs[at]? - aucs[num_labels + at]?)).collect())
        .collect();

    let mut labels = Vec::with_capacity(num_labels);
    for label in 0..num_labels {
        let (a_auc, b_auc) = (auc(&a.column(label)), auc(&b.column(label)));
        let sure = both[label].enough_units(units.count);
        labels.push(Difference {
            a: a_auc,
            b: b_auc,
            difference: a_auc.zip(b_auc).map(|(a, b)| a - b),
            interval: interval(apart.iter().filter_map(|labels| labels[label])).filter(|_| sure),
            p_value: difference_of_same(a, b, label, patients)?.map(|found| found.p_value).filter(|_| sure),
            p_value_holm: None,
        });
    }
    holm(&mut labels);
    let mean = |figure: fn(&Difference) -> Option<f64>| {
        mean_of_defined(&labels.iter().map(figure).collect::<Vec<_>>())
    };
    let means: Vec<f64> = apart.iter().filter_map(|labels| mean_of_defined(labels)).collect();
    let any = labels.iter().any(|label| label.interval.is_some());
    let macro_auc = Difference {
        a: mean(|label| label.a),
        b: mean(|label| label.b),
        difference: mean(|label| label.difference),
        interval: interval(means.iter().copied()).filter(|_| any),
        p_value: p_of_draws(&means).filter(|_| any),
        p_value_holm: None,
    };
    Ok(Comparison { macro_auc, labels })
}

/// Twice the share of draws on the far side of 0, the observed data counted as one more draw.
fn p_of_draws(differences: &[f64]) -> Option<f64> {
    let share = |beyond: fn(&f64) -> bool| {
        (1 + differences.iter().filter(|difference| beyond(difference)).count()) as f64
            / (1 + differences.len()) as f64
    };
    let p = 2.0 * share(|difference| *difference <= 0.0).min(share(|difference| *difference >= 0.0));
    (!differences.is_empty()).then_some(p.min(1.0))
}

/// The smallest p-value times the number of tests, the next times one less, and never falling.
fn holm(labels: &mut [Difference]) {
    let mut order: Vec<(usize, f64)> =
        labels.iter().enumerate().filter_map(|(at, label)| Some((at, label.p_value?))).collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let tests = order.len();
    let mut least = 0.0_f64;
    for (rank, (at, p)) in order.into_iter().enumerate() {
        least = least.max((p * (tests - rank) as f64).min(1.0));
        labels[at].p_value_holm = Some(least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// Forty records of twenty patients; the scores of `sharp` follow the truth, those of `blunt` hardly.
    fn example() -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<u32>) {
        let truth: Vec<f32> = (0..40_u8).map(|at| f32::from(at % 4 >= 2)).collect();
        let noise = |at: u8, step: u8| f32::from(at.wrapping_mul(step) % 17) / 17.0;
        let sharp = (0..40_u8).map(|at| truth[usize::from(at)] * 0.8 + noise(at, 7)).collect();
        let blunt = (0..40_u8).map(|at| truth[usize::from(at)] * 0.1 + noise(at, 5)).collect();
        (sharp, blunt, truth, (0..40).map(|at| at / 2).collect())
    }

    #[test]
    fn a_model_equals_itself_and_beats_a_blunt_one() {
        let (sharp, blunt, truth, patients) = example();
        let scores = |values| Scores::new(values, &truth, 1).expect("valid");
        let same = compare(scores(&sharp), scores(&sharp), Some(&patients), 200, 1).expect("same records");
        assert_eq!((same.macro_auc.difference, same.macro_auc.p_value), (Some(0.0), Some(1.0)));
        assert_eq!(same.labels[0].interval, Some([0.0, 0.0]));
        let found = compare(scores(&sharp), scores(&blunt), Some(&patients), 1000, 1).expect("same records");
        let macro_auc = found.macro_auc;
        assert!(macro_auc.interval.is_some_and(|[low, _]| low > 0.0), "{macro_auc:?}");
        assert!(macro_auc.p_value.is_some_and(|p| p < 0.05), "{macro_auc:?}");
        assert_eq!(found.labels[0].p_value, found.labels[0].p_value_holm);
        let turned = compare(scores(&blunt), scores(&sharp), Some(&patients), 1000, 1).expect("same records");
        let [low, high] = macro_auc.interval.expect("seen above");
        let [other_low, other_high] = turned.macro_auc.interval.expect("as many records");
        assert!((low + other_high).abs() < 1e-12 && (high + other_low).abs() < 1e-12);
    }

    #[test]
    fn other_records_are_refused() {
        let a = Scores::new(&[1.0, 2.0], &[0.0, 1.0], 1).expect("valid");
        let b = Scores::new(&[1.0], &[0.0], 1).expect("valid");
        assert_eq!(compare(a, b, None, 10, 0), Err(Error::OtherRecords { record: 1, label: 0 }));
    }

    /// The example of Holm's paper's rule: 0.01, 0.04, 0.03 of three tests.
    #[test]
    fn holm_orders_by_p_and_never_falls() {
        let label = |p| Difference { p_value: p, ..Difference::default() };
        let mut labels = [label(Some(0.01)), label(Some(0.04)), label(None), label(Some(0.03))];
        holm(&mut labels);
        let found = labels.map(|label| label.p_value_holm);
        assert_eq!(found, [Some(0.03), Some(0.06), None, Some(0.06)]);
    }

    #[test]
    fn draws_on_one_side_leave_the_least_p() {
        assert_eq!(p_of_draws(&[0.1; 99]), Some(0.02));
        assert_eq!(p_of_draws(&[0.0; 5]), Some(1.0));
        assert_eq!(p_of_draws(&[]), None);
    }
}
