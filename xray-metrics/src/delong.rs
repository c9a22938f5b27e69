//! The standard error of an AUC without resampling: DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), by patient
//! ([`mod@crate::auc_interval`] says what the interval is).

use crate::auc_interval::interval_of;
use crate::placements::Placements;
use crate::units::Units;
use crate::{Result, Scores};
use serde::{Deserialize, Serialize};

/// An AUC and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeLong {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// At 95 %: that of [`crate::auc_intervals`]; none where it gives none, and none of a standard error of 0, which is
    /// that of an AUC of 0 or 1.
    pub interval: Option<[f64; 2]>,
}

/// The AUC of one label; none with fewer than two patients (records, without `patients`) of either class.
///
/// # Errors
/// If there is not one patient per record.
pub fn delong(scores: Scores<'_>, label: usize, patients: Option<&[u32]>) -> Result<Option<DeLong>> {
    let units = Units::new(scores.num_records(), patients)?;
    let placements = Placements::of(scores, label, &units);
    Ok(placements.and_then(|placements| {
        let found = placements.contributions();
        let standard_error = found.variance?.sqrt();
        let interval = interval_of(&placements, &found, &units).ok().filter(|_| standard_error > 0.0);
        Some(DeLong { auc: found.value, standard_error, interval })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn truth_of(rows: &[(f64, f64, bool)]) -> Vec<f32> {
        rows.iter().map(|row| f32::from(u8::from(row.2))).collect()
    }

    /// The definition, pair by pair.
    fn variance_by_pairs(scores: &[f64], truth: &[f32]) -> f64 {
        let of = |class: f32| scores.iter().zip(truth).filter(move |(_, t)| **t == class).map(|(s, _)| *s);
        let psi = |p: f64, n: f64| if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let variance = |values: Vec<f64>| {
            let middle = mean(&values);
            let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
            squares / (values.len() as f64 - 1.0) / values.len() as f64
        };
        let of_positives = of(1.0).map(|p| mean(&of(0.0).map(|n| psi(p, n)).collect::<Vec<_>>())).collect();
        let of_negatives = of(0.0).map(|n| mean(&of(1.0).map(|p| psi(p, n)).collect::<Vec<_>>())).collect();
        variance(of_positives) + variance(of_negatives)
    }

    proptest! {
        #[test]
        fn ranks_give_what_pairs_give(
            rows in prop::collection::vec(((-4_i8..4).prop_map(f64::from), (-4_i8..4).prop_map(f64::from), any::<bool>()), 4..40)
        ) {
            let truth = truth_of(&rows);
            let positives = rows.iter().filter(|row| row.2).count();
            prop_assume!(positives >= 2 && rows.len() - positives >= 2);
            let values: Vec<_> = rows.iter().map(|row| row.0).collect();
            let scores = Scores::new(&values, &truth, 1).expect("valid");
            let found = delong(scores, 0, None).expect("valid").expect("two of each class");
            prop_assert!((found.standard_error.powi(2) - variance_by_pairs(&values, &truth)).abs() < 1e-12);
            prop_assert!((found.auc - crate::auc(&scores.column(0)).expect("both classes")).abs() < 1e-12);
            // Singletons named as patients are the same units.
            let alone: Vec<_> = (0..rows.len() as u32).rev().collect();
            let clustered = delong(scores, 0, Some(&alone)).expect("valid").expect("two of each class");
            prop_assert!((clustered.standard_error - found.standard_error).abs() < 1e-12);
        }

        /// Every record twice, by the same patient, is not new evidence.
        #[test]
        fn copies_of_a_record_add_nothing_when_the_patient_is_known(
            rows in prop::collection::vec(((-4_i8..4).prop_map(f64::from), Just(0.0_f64), any::<bool>()), 6..30)
        ) {
            let positives = rows.iter().filter(|row| row.2).count();
            prop_assume!(positives >= 2 && rows.len() - positives >= 2);
            let twice: Vec<_> = rows.iter().chain(&rows).copied().collect();
            let patients: Vec<_> = (0..rows.len() as u32).chain(0..rows.len() as u32).collect();
            let of = |rows: &[(f64, f64, bool)], patients: Option<&[u32]>| {
                let (values, truth) = (rows.iter().map(|row| row.0).collect::<Vec<_>>(), truth_of(rows));
                let scores = Scores::new(&values, &truth, 1).expect("valid");
                delong(scores, 0, patients).expect("valid").expect("two of each class").standard_error
            };
            let (once, copied) = (of(&rows, None), of(&twice, Some(&patients)));
            prop_assert!((once - copied).abs() < 1e-12, "{once} {copied}");
            prop_assert!(of(&twice, None) <= copied + 1e-12);
        }
    }

    #[test]
    fn equal_scores_have_an_auc_of_one_half_and_no_interval() {
        let scores = Scores::new(&[-1.5; 7], &[0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0], 1).expect("valid");
        let found = delong(scores, 0, None).expect("no patients to count").expect("two of each class");
        assert_eq!((found.auc, found.standard_error, found.interval), (0.5, 0.0, None));
    }

    #[test]
    fn one_positive_has_no_standard_error() {
        let scores = Scores::new(&[1.0, 2.0, 3.0], &[0.0, 1.0, 0.0], 1).expect("valid");
        assert_eq!(delong(scores, 0, None), Ok(None));
    }
}
