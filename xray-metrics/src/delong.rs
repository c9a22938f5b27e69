//! The standard error of an AUC and of the difference of two, without resampling: DeLong, DeLong and
//! Clarke-Pearson (Biometrics 44, 1988), with the records of one patient taken together as Obuchowski does
//! (Biometrics 53, 1997). Placements come from ranks, as in Sun and Xu (IEEE Signal Processing Letters 21, 2014),
//! so it takes the time of sorting.

use crate::bootstrap::Units;
use crate::normal::two_sided_p;
use crate::wilson::Z;
use crate::{Error, Result, Scores};
use serde::{Deserialize, Serialize};

/// An AUC and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeLong {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// At 95 %, symmetric on the log-odds scale so that it stays between 0 and 1; none where the AUC is 0 or 1, or the
    /// standard error 0 because all scores are equal.
    pub interval: Option<[f64; 2]>,
}

/// How far two AUCs on the same records lie apart, where these records tell: two models that rank alike have a
/// standard error of 0, which is no certainty about other records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AucDifference {
    /// At 95 %, of the first less the second.
    pub(crate) interval: [f64; 2],
    /// Chance of a difference at least this large between equally good models.
    pub(crate) p_value: f64,
}

/// A standard error below this is rounding: placements are multiples of one over twice a class's records.
const ROUNDING: f64 = 1e-12;

/// The AUC of one label; none with fewer than two patients (records, without `patients`) of either class.
///
/// # Errors
/// If there is not one patient per record.
pub fn delong(scores: Scores<'_>, label: usize, patients: Option<&[u32]>) -> Result<Option<DeLong>> {
    let Some(placements) = Placements::of(scores, label, patients)? else { return Ok(None) };
    let auc = placements.auc();
    Ok(placements.variance().map(|variance| {
        let standard_error = variance.sqrt();
        let interval = on_log_odds(auc, standard_error).filter(|_| standard_error > ROUNDING);
        DeLong { auc, standard_error, interval }
    }))
}

fn on_log_odds(auc: f64, standard_error: f64) -> Option<[f64; 2]> {
    let spread = auc * (1.0 - auc);
    (spread > 0.0).then(|| {
        let (middle, half) = ((auc / (1.0 - auc)).ln(), Z * standard_error / spread);
        [middle - half, middle + half].map(crate::probability::sigmoid)
    })
}

/// The AUC of `a` less that of `b` for one label, for scores that are known to be of the same records
/// ([`check_same_truth`]); none with fewer than two patients of either class, or a standard error of 0.
///
/// # Errors
/// If there is not one patient per record.
pub(crate) fn delong_difference(
    a: Scores<'_>,
    b: Scores<'_>,
    label: usize,
    patients: Option<&[u32]>,
) -> Result<Option<AucDifference>> {
    let (a, b) = (Placements::of(a, label, patients)?, Placements::of(b, label, patients)?);
    let Some((a, b)) = a.zip(b) else { return Ok(None) };
    let apart = a.minus(&b);
    let difference = apart.auc();
    let standard_error = apart.variance().map(f64::sqrt).filter(|&error| error > ROUNDING);
    Ok(standard_error.map(|standard_error| {
        let half = Z * standard_error;
        AucDifference {
            interval: [difference - half, difference + half],
            p_value: two_sided_p(difference / standard_error),
        }
    }))
}

/// Two models are compared on the same records only.
pub(crate) fn check_same_truth(a: Scores<'_>, b: Scores<'_>) -> Result<()> {
    let shape = |scores: Scores<'_>| (scores.num_records(), scores.num_labels());
    if shape(a) != shape(b) {
        return Err(Error::OtherRecords { record: a.num_records().min(b.num_records()), label: 0 });
    }
    let differs = |label: &usize| a.rows_of(*label).zip(b.rows_of(*label)).any(|((_, a), (_, b))| a != b);
    match (0..a.num_labels()).find(differs) {
        None => Ok(()),
        Some(label) => {
            let record = a.rows_of(label).zip(b.rows_of(label)).position(|((_, a), (_, b))| a != b);
            Err(Error::OtherRecords { record: record.unwrap_or_default(), label })
        }
    }
}

/// For each known record, the share of the other class that it outranks, a tie counting one half; for negatives,
/// the share that outranks them. Either mean is the AUC.
struct Placements {
    positives: Vec<Placement>,
    negatives: Vec<Placement>,
    units: usize,
}

struct Placement {
    unit: usize,
    value: f64,
}

impl Placements {
    fn of(scores: Scores<'_>, label: usize, patients: Option<&[u32]>) -> Result<Option<Placements>> {
        let units = Units::new(scores.num_records(), patients)?;
        let known = |((score, truth), &unit): ((f64, Option<bool>), &usize)| Some((score, truth?, unit));
        let mut rows: Vec<_> = scores
            .rows_of(label)
            .zip(&units.of_record)
            .enumerate()
            .filter_map(|(at, row)| Some((at, known(row)?)))
            .collect();
        rows.sort_unstable_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        let count = |class: bool| rows.iter().filter(|(_, row)| row.1 == class).count() as f64;
        let (num_positives, num_negatives) = (count(true), count(false));
        if num_positives == 0.0 || num_negatives == 0.0 {
            return Ok(None);
        }
        let (mut below_positives, mut below_negatives) = (0.0, 0.0);
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        for tied in rows.chunk_by(|(_, a), (_, b)| a.0 == b.0) {
            let tied_positives = tied.iter().filter(|(_, row)| row.1).count() as f64;
            let tied_negatives = tied.len() as f64 - tied_positives;
            for &(at, (_, positive, unit)) in tied {
                if positive {
                    let value = (below_negatives + tied_negatives / 2.0) / num_negatives;
                    positives.push((at, Placement { unit, value }));
                } else {
                    let value = (num_positives - below_positives - tied_positives / 2.0) / num_positives;
                    negatives.push((at, Placement { unit, value }));
                }
            }
            (below_positives, below_negatives) =
                (below_positives + tied_positives, below_negatives + tied_negatives);
        }
        // In the order of the records, so that two models' placements stand side by side.
        let in_order = |mut placements: Vec<(usize, Placement)>| {
            placements.sort_unstable_by_key(|(at, _)| *at);
            placements.into_iter().map(|(_, placement)| placement).collect()
        };
        Ok(Some(Placements {
            positives: in_order(positives),
            negatives: in_order(negatives),
            units: units.count,
        }))
    }

    /// The placements of a difference are the differences of the placements.
    fn minus(&self, other: &Placements) -> Placements {
        let minus = |a: &[Placement], b: &[Placement]| {
            let apart =
                |(a, b): (&Placement, &Placement)| Placement { unit: a.unit, value: a.value - b.value };
            a.iter().zip(b).map(apart).collect()
        };
        Placements {
            positives: minus(&self.positives, &other.positives),
            negatives: minus(&self.negatives, &other.negatives),
            units: self.units,
        }
    }

    fn auc(&self) -> f64 {
        self.positives.iter().map(|placement| placement.value).sum::<f64>() / self.positives.len() as f64
    }

    /// Obuchowski's; DeLong's where every record is a unit of its own. None with fewer than two units of a class.
    fn variance(&self) -> Option<f64> {
        let auc = self.auc();
        let sums = |placements: &[Placement]| {
            let mut sums = vec![None; self.units];
            for placement in placements {
                *sums[placement.unit].get_or_insert(0.0) += placement.value - auc;
            }
            sums
        };
        let (of_positives, of_negatives) = (sums(&self.positives), sums(&self.negatives));
        let (m, n) = (self.positives.len() as f64, self.negatives.len() as f64);
        let squares = |sums: &[Option<f64>]| {
            let units = sums.iter().flatten().count() as f64;
            let sum: f64 = sums.iter().flatten().map(|sum| sum * sum).sum();
            (units > 1.0).then(|| units / (units - 1.0) * sum)
        };
        let (positives, negatives) = (squares(&of_positives)?, squares(&of_negatives)?);
        let units =
            of_positives.iter().zip(&of_negatives).filter(|(a, b)| a.is_some() || b.is_some()).count() as f64;
        let shared: f64 =
            of_positives.iter().zip(&of_negatives).filter_map(|(a, b)| Some((*a)? * (*b)?)).sum();
        let shared = units / (units - 1.0) * shared;
        // Rounding may leave less than nothing where all placements are equal.
        Some((positives / (m * m) + negatives / (n * n) + 2.0 * shared / (m * n)).max(0.0))
    }
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

        /// Every record twice, by the same patient, is no new evidence.
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

    /// Obuchowski's formula for the difference of two models, placement by placement from the pairs.
    fn clustered_variance_by_pairs(rows: &[(f64, f64, bool)], patients: &[u32]) -> Option<f64> {
        let psi = |p: f64, n: f64| if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 };
        let count = |class: bool| rows.iter().filter(|row| row.2 == class).count() as f64;
        let (m, n) = (count(true), count(false));
        let placement = |row: &(f64, f64, bool)| {
            let others = rows.iter().filter(|other| other.2 != row.2);
            let wins = others.map(|other| {
                let (p, n) = if row.2 { (row, other) } else { (other, row) };
                psi(p.0, n.0) - psi(p.1, n.1)
            });
            wins.sum::<f64>() / if row.2 { n } else { m }
        };
        let auc = rows.iter().filter(|row| row.2).map(placement).sum::<f64>() / m;
        let (mut s10, mut s01, mut s11) = (0.0, 0.0, 0.0);
        let (mut with_positive, mut with_negative, mut with_any) = (0.0, 0.0, 0.0);
        for patient in 0..10 {
            let of = |class: bool| {
                let own = rows.iter().zip(patients).filter(|(row, p)| row.2 == class && **p == patient);
                own.map(|(row, _)| placement(row) - auc).collect::<Vec<_>>()
            };
            let (positives, negatives) = (of(true), of(false));
            let (p, q) = (positives.iter().sum::<f64>(), negatives.iter().sum::<f64>());
            (s10, s01, s11) = (s10 + p * p, s01 + q * q, s11 + p * q);
            with_positive += f64::from(u8::from(!positives.is_empty()));
            with_negative += f64::from(u8::from(!negatives.is_empty()));
            with_any += f64::from(u8::from(!positives.is_empty() || !negatives.is_empty()));
        }
        let scaled = |units: f64, sum: f64| units / (units - 1.0) * sum;
        (with_positive >= 2.0 && with_negative >= 2.0).then(|| {
            scaled(with_positive, s10) / (m * m)
                + scaled(with_negative, s01) / (n * n)
                + 2.0 * scaled(with_any, s11) / (m * n)
        })
    }

    proptest! {
        #[test]
        fn patients_of_both_classes_and_two_models_follow_the_formula(
            rows in prop::collection::vec(((-4_i8..4).prop_map(f64::from), (-4_i8..4).prop_map(f64::from), any::<bool>()), 4..30),
            patients in prop::collection::vec(0_u32..10, 30),
        ) {
            let patients = &patients[..rows.len()];
            let expected = clustered_variance_by_pairs(&rows, patients);
            prop_assume!(expected.is_some());
            let truth = truth_of(&rows);
            let (a, b): (Vec<_>, Vec<_>) = rows.iter().map(|row| (row.0, row.1)).unzip();
            let found = delong_difference(scores(&a, &truth), scores(&b, &truth), 0, Some(patients));
            let found = found.expect("one patient per record").map_or(0.0, |found| {
                (found.interval[1] - found.interval[0]) / (2.0 * Z)
            });
            let expected = expected.expect("assumed").max(0.0).sqrt();
            // The root of a variance of nothing but rounding.
            prop_assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
        }
    }

    fn scores<'a>(values: &'a [f64], truth: &'a [f32]) -> Scores<'a> {
        Scores::new(values, truth, 1).expect("valid")
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let (values, truth) = ([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.0, 1.0, 1.0]);
        let one = scores(&values, &truth);
        let difference = |a, b| delong_difference(a, b, 0, None).expect("as many records");
        assert_eq!(difference(one, one), None, "a standard error of 0 is no certainty");
        let [doubled, turned] = [[2.0, 4.0, 6.0, 8.0, 10.0], [5.0, 4.0, 3.0, 2.0, 1.0]];
        assert_eq!(difference(one, scores(&doubled, &truth)), None, "they rank alike");
        let found = difference(one, scores(&turned, &truth)).expect("enough");
        assert!(found.interval[1] > 0.0 && found.p_value < 1.0, "{found:?}");
        // A perfect model and a constant one differ by one half in every record.
        let truth = [0.0, 0.0, 0.0, 1.0, 1.0];
        assert_eq!(difference(scores(&values, &truth), scores(&[3.0; 5], &truth)), None);
    }

    #[test]
    fn equal_scores_have_an_auc_of_one_half_and_no_interval() {
        let found = delong(scores(&[-1.5; 7], &[0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]), 0, None);
        let found = found.expect("no patients to count").expect("two of each class");
        assert_eq!((found.auc, found.interval), (0.5, None));
    }

    #[test]
    fn other_records_are_refused_and_too_few_have_no_error() {
        let truth = [0.0, 1.0, 0.0];
        let (a, b) = (scores(&[1.0, 2.0, 3.0], &truth), scores(&[1.0, 2.0, 3.0], &[0.0, 1.0, 1.0]));
        assert_eq!(check_same_truth(a, b), Err(Error::OtherRecords { record: 2, label: 0 }));
        assert_eq!(delong(a, 0, None), Ok(None)); // one positive
    }
}
