//! Two models on the same records: differences of AUC with intervals and p-values.
//!
//! The intervals come from the bootstrap by patient with the same draws for both models, the labels' p-values (and,
//! where no resamples are asked for, their intervals) from [`mod@crate::delong`]. Where two models rank the records
//! alike there is neither: that they do so on these records is no certainty about others. Fourteen p-values are fourteen chances of a false alarm, so Holm's (Scandinavian Journal
//! of Statistics 6, 1979) stand beside them.

use crate::bootstrap::{SortedLabel, Unit, Units, available_threads, draw_all, interval};
use crate::delong::{check_same_truth, delong_difference};
use crate::mean::mean_of_defined;
use crate::{Result, Scores, auc};
use serde::{Deserialize, Serialize};

/// How two models differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What was drawn, and what p-values count as independent.
    pub unit: Unit,
    /// How many distinct units there are.
    pub units: usize,
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
    /// Low and high end of what the difference could be on other patients. None with few of them
    /// ([`crate::bootstrap::MIN_UNITS`]) or few draws, and where both models rank alike.
    pub interval: Option<[f64; 2]>,
    /// Chance of a difference at least this large between equally good models; none where there could be no
    /// interval.
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
        let delong = delong_difference(a, b, label, patients)?.filter(|_| sure);
        let drawn = || interval(apart.iter().filter_map(|labels| labels[label]));
        labels.push(Difference {
            a: a_auc,
            b: b_auc,
            difference: a_auc.zip(b_auc).map(|(a, b)| a - b),
            interval: delong.and_then(|delong| if resamples == 0 { Some(delong.interval) } else { drawn() }),
            p_value: delong.map(|delong| delong.p_value),
            p_value_holm: None,
        });
    }
    holm(&mut labels);
    let mean = |figure: fn(&Difference) -> Option<f64>| {
        mean_of_defined(&labels.iter().map(figure).collect::<Vec<_>>())
    };
    let means: Vec<f64> = apart.iter().filter_map(|labels| mean_of_defined(labels)).collect();
    let of_draws =
        interval(means.iter().copied()).filter(|_| labels.iter().any(|label| label.interval.is_some()));
    let macro_auc = Difference {
        a: mean(|label| label.a),
        b: mean(|label| label.b),
        difference: mean(|label| label.difference),
        interval: of_draws,
        p_value: of_draws.and_then(|_| p_of_draws(&means)),
        p_value_holm: None,
    };
    Ok(Comparison { unit: units.unit, units: units.count, macro_auc, labels })
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
    fn example() -> (Vec<f64>, Vec<f64>, Vec<f32>, Vec<u32>) {
        let truth: Vec<f32> = (0..40_u8).map(|at| f32::from(at % 4 >= 2)).collect();
        let noise = |at: u8, step: u8| f64::from(at.wrapping_mul(step) % 17) / 17.0;
        let sick = |at: u8| f64::from(truth[usize::from(at)]);
        let sharp = (0..40_u8).map(|at| sick(at) * 0.8 + noise(at, 7)).collect();
        let blunt = (0..40_u8).map(|at| sick(at) * 0.1 + noise(at, 5)).collect();
        (sharp, blunt, truth, (0..40).map(|at| at / 2).collect())
    }

    #[test]
    fn a_model_equals_itself_and_beats_a_blunt_one() {
        let (sharp, blunt, truth, patients) = example();
        let scores = |values| Scores::new(values, &truth, 1).expect("valid");
        let same = compare(scores(&sharp), scores(&sharp), Some(&patients), 200, 1).expect("same records");
        assert_eq!((same.macro_auc.difference, same.macro_auc.p_value), (Some(0.0), None));
        assert_eq!((same.labels[0].interval, same.macro_auc.interval), (None, None));
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

    /// Every record twice, by the same patient, is no new evidence; as records it would look like some.
    #[test]
    fn copies_of_every_record_change_nothing_when_the_patient_is_known() {
        let (sharp, blunt, truth, patients) = example();
        let (sharp2, blunt2, truth2) = (sharp.repeat(2), blunt.repeat(2), truth.repeat(2));
        let once = |values| Scores::new(values, &truth, 1).expect("valid");
        let copied = |values| Scores::new(values, &truth2, 1).expect("valid");
        let patients2 = patients.repeat(2);
        for resamples in [500, 0] {
            let expected = compare(once(&sharp), once(&blunt), Some(&patients), resamples, 1).expect("same");
            let compared = |patients| {
                compare(copied(&sharp2), copied(&blunt2), patients, resamples, 1).expect("same records")
            };
            let found = compared(Some(&patients2[..]));
            assert_eq!((found.unit, found.units), (Unit::Patient, 20));
            assert_eq!(found.macro_auc, expected.macro_auc);
            let (found, expected) = (found.labels[0], expected.labels[0]);
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{resamples}: {a} is not {b}");
            let ends = |found: Difference| found.interval.expect("ten patients of each class");
            close(ends(found)[0], ends(expected)[0]);
            close(ends(found)[1], ends(expected)[1]);
            close(found.p_value.expect("they differ"), expected.p_value.expect("they differ"));
            let by_record = compared(None);
            let width = |found: Difference| ends(found)[1] - ends(found)[0];
            assert!(width(by_record.labels[0]) < 0.9 * width(expected), "{by_record:?}");
            assert!(by_record.labels[0].p_value < found.p_value, "{by_record:?}");
            assert_eq!(by_record.unit, Unit::Record);
        }
    }

    #[test]
    fn without_resamples_the_intervals_are_delongs_and_few_draws_have_none() {
        let (sharp, blunt, truth, patients) = example();
        let scores = |values| Scores::new(values, &truth, 1).expect("valid");
        let of = |resamples| {
            compare(scores(&sharp), scores(&blunt), Some(&patients), resamples, 1).expect("same records")
        };
        let delong = delong_difference(scores(&sharp), scores(&blunt), 0, Some(&patients));
        let delong = delong.expect("one patient per record").expect("they differ");
        assert_eq!(of(0).labels[0].interval, Some(delong.interval));
        assert_eq!((of(0).macro_auc.interval, of(0).macro_auc.p_value), (None, None));
        assert_eq!((of(99).labels[0].interval, of(99).macro_auc.p_value), (None, None));
        assert_eq!(of(99).labels[0].p_value, Some(delong.p_value));
        assert!(of(100).labels[0].interval.is_some());
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
