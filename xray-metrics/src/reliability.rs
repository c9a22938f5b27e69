//! Whether probabilities mean what they say: of the records that get 0.3, three in ten should be positive
//! (reliability diagrams; Bröcker and Smith, Weather and Forecasting 22, 2007).

use crate::clustered::check_patients;
use crate::error::check_probabilities;
use crate::mean::mean;
use crate::{Column, Error, Proportion, Result};
use serde::{Deserialize, Serialize};

/// Where one bin ends and the next begins. A probability on an edge belongs to the lower bin, as in Guo et
/// al. and in scikit-learn's `calibration_curve`, and so does 0 to the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binning {
    /// Edges at k/m. scikit-learn's (`strategy="uniform"`) are those of numpy's `linspace`, which may lie
    /// next to these in the last bit.
    EqualWidth,
    /// Edges at the quantiles k/m of the probabilities (`strategy="quantile"`). Equal probabilities stay in
    /// one bin, so that sizes differ by more than one where there are ties. The quantile's place among n
    /// records, k(n-1)/m, is whole arithmetic here; where numpy rounds a whole place, a record moves by one
    /// bin.
    EqualCount,
}

/// The records whose probability lies in `(low, high]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge, which belongs to the bin below if there is one.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
    /// How many records.
    pub records: u64,
    /// Mean of their probabilities.
    pub mean_predicted: f64,
    /// The share of positives among them, its interval by patient where patients are named.
    pub observed: Proportion,
}

/// The bins that hold a record, at most `bins`, in ascending order, for one label's **probabilities**. `patients` holds one
/// number per record of the column, equal for records of one patient.
///
/// ```
/// use xray_metrics::{Binning, Column, ece, reliability};
///
/// let column = Column::new(vec![0.1, 0.2, 0.9, 0.9], vec![false, true, true, true])?;
/// let bins = reliability(&column, None, Binning::EqualWidth, 10)?;
/// assert_eq!(bins.len(), 3);
/// assert_eq!((bins[2].records, bins[2].observed.value), (2, 1.0));
/// assert!((ece(&bins).expect("records") - (0.1 + 0.8 + 2.0 * 0.1) / 4.0).abs() < 1e-15);
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If a probability is outside [0, 1], there are no bins, or there is not one patient per record.
pub fn reliability(
    probabilities: &Column,
    patients: Option<&[u32]>,
    binning: Binning,
    bins: u16,
) -> Result<Vec<ReliabilityBin>> {
    check_patients(patients, probabilities.len())?;
    let bin = |group: &Group| {
        let patient_of = |place: usize| patients.map(|patients| patients[place]);
        let outcomes = group.places.iter().map(|&place| patient_of(place));
        Some(ReliabilityBin {
            low: group.low,
            high: group.high,
            records: group.records.len() as u64,
            mean_predicted: mean(group.records.iter().map(|record| record.0))?,
            observed: Proportion::of_trials(outcomes.zip(group.records.iter().map(|record| record.1)))?,
        })
    };
    Ok(grouped(probabilities, binning, bins)?.iter().filter_map(bin).collect())
}

/// Expected calibration error: mean distance of prediction and observation over the records, each taken as
/// its bin's, `Σ n_b/n |observed_b - predicted_b|`; none without a record.
///
/// Guo et al. (ICML 2017) define it for the probability of the class that is called; this is the usual form
/// for the probability of one label. It depends on the bins, and few records per bin raise it.
pub fn ece(bins: &[ReliabilityBin]) -> Option<f64> {
    let total: f64 = bins.iter().map(|bin| bin.records as f64).sum();
    let distance = |bin: &ReliabilityBin| (bin.observed.value - bin.mean_predicted).abs();
    let sum: f64 = bins.iter().map(|bin| bin.records as f64 * distance(bin)).sum();
    (total > 0.0).then(|| sum / total)
}

/// The records of one bin, at least one.
pub(crate) struct Group {
    low: f64,
    high: f64,
    pub(crate) records: Vec<(f64, bool)>,
    /// Where these records stand in the column.
    places: Vec<usize>,
}

pub(crate) fn grouped(probabilities: &Column, binning: Binning, bins: u16) -> Result<Vec<Group>> {
    check_probabilities(probabilities)?;
    if bins == 0 {
        return Err(Error::NoBins);
    }
    let mut records: Vec<_> = probabilities.iter().zip(0_usize..).collect();
    records.sort_by(|((a, _), _), ((b, _), _)| a.total_cmp(b));
    let edges = inner_edges(&records, binning, bins);
    let bin_of = |p: f64| edges.partition_point(|&edge| edge < p);
    let group = |of_bin: &[Placed]| {
        let at = bin_of(of_bin[0].0.0);
        let low = at.checked_sub(1).map_or(0.0, |below| edges[below]);
        let high = edges.get(at).copied().unwrap_or(1.0);
        let (records, places) = of_bin.iter().copied().unzip();
        Group { low, high, records, places }
    };
    Ok(records.chunk_by(|a, b| bin_of(a.0.0) == bin_of(b.0.0)).map(group).collect())
}

/// A record and its place in the column.
type Placed = ((f64, bool), usize);

/// The edges between `bins` bins, in ascending order; none of no records.
fn inner_edges(sorted: &[Placed], binning: Binning, bins: u16) -> Vec<f64> {
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };
    let edge = |k: u16| match binning {
        Binning::EqualWidth => f64::from(k) / f64::from(bins),
        // A quantile between two records splits them as the lower one does.
        Binning::EqualCount => sorted[(last as u128 * u128::from(k) / u128::from(bins)) as usize].0.0,
    };
    (1..bins).map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bins(probabilities: &[f64], binning: Binning, bins: u16) -> Vec<ReliabilityBin> {
        let positive = (0..probabilities.len()).map(|at| at % 2 == 0).collect();
        let column = Column::new(probabilities.to_vec(), positive).expect("finite");
        reliability(&column, None, binning, bins).expect("probabilities")
    }

    #[test]
    fn an_edge_belongs_to_the_lower_bin() {
        let check = |probabilities: &[f64], expected: &[(f64, f64, u64)]| {
            let found = bins(probabilities, Binning::EqualWidth, 10);
            let found: Vec<_> = found.iter().map(|bin| (bin.low, bin.high, bin.records)).collect();
            assert_eq!(found, expected);
        };
        check(&[0.0, 0.1], &[(0.0, 0.1, 2)]);
        check(&[0.3, 0.300_000_1, 0.7], &[(0.2, 0.3, 1), (0.3, 0.4, 1), (0.6, 0.7, 1)]);
        check(&[1.0, 0.95, 0.9], &[(0.8, 0.9, 1), (0.9, 1.0, 2)]);
        check(&[], &[]);
    }

    #[test]
    fn equal_counts_keep_ties_together() {
        let check = |probabilities: &[f64], count, expected: &[(f64, f64, u64)]| {
            let found = bins(probabilities, Binning::EqualCount, count);
            let found: Vec<_> = found.iter().map(|bin| (bin.low, bin.high, bin.records)).collect();
            assert_eq!(found, expected);
        };
        check(&[0.1, 0.2, 0.3, 0.4], 2, &[(0.0, 0.2, 2), (0.2, 1.0, 2)]);
        check(&[0.1, 0.2, 0.2, 0.2], 2, &[(0.0, 0.2, 4)]);
        check(&[0.2, 0.2, 0.2, 0.4], 2, &[(0.0, 0.2, 3), (0.2, 1.0, 1)]);
        check(&[0.5], 3, &[(0.0, 0.5, 1)]);
        check(&[], 3, &[]);
    }

    #[test]
    fn a_calibrated_bin_has_no_error_and_a_certain_lie_has_all() {
        let check = |p, positives: usize, expected: f64| {
            let positive = (0..10).map(|at| at < positives).collect();
            let column = Column::new(vec![p; 10], positive).expect("finite");
            let bins = reliability(&column, None, Binning::EqualWidth, 5);
            let found = ece(&bins.expect("probabilities")).expect("records");
            assert!((found - expected).abs() < 1e-15, "{found}");
        };
        check(0.3, 3, 0.0);
        check(0.3, 10, 0.7);
        check(1.0, 0, 1.0);
        assert_eq!(ece(&[]), None);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let check = |p, count, expected: &str| {
            let column = Column::new(vec![0.5, p], vec![true, false]).expect("finite");
            let error = reliability(&column, None, Binning::EqualCount, count).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        };
        check(1.5, 10, "record 1: the probability is 1.5, outside 0 to 1");
        check(-2.0, 10, "record 1: the probability is -2, outside 0 to 1");
        check(1.0, 0, "the number of bins is 0");
        let column = Column::of_rows(&[(0.5, true)]);
        let error = reliability(&column, Some(&[1, 2]), Binning::EqualCount, 1);
        assert_eq!(error, Err(Error::PerRecord { found: 2, expected: 1 }));
    }

    /// Patients follow their records through the sorting.
    #[test]
    fn intervals_of_bins_are_by_patient() {
        let rows: Vec<_> = (0..40_u32).map(|at| (f64::from(at * 7 % 2), at / 8 % 2 == 0)).collect();
        let patients: Vec<_> = (0..40_u32).map(|at| at / 8).collect();
        let column = Column::of_rows(&rows);
        let of = |patients| reliability(&column, patients, Binning::EqualWidth, 2).expect("probabilities");
        let (plain, found) = (of(None), of(Some(&patients[..])));
        assert_eq!((plain.len(), found.len()), (2, 2));
        for (plain, found) in plain.iter().zip(&found) {
            let trials = rows.iter().zip(&patients).filter(|(row, _)| (row.0 > 0.0) == (found.low > 0.0));
            let expected = Proportion::by_patient(trials.map(|(row, &patient)| (patient, row.1)));
            assert_eq!(Some(found.observed), expected);
            assert!(found.observed.interval[0] < plain.observed.interval[0]);
        }
    }

    proptest! {
        #[test]
        fn every_record_is_in_one_bin(
            probabilities in prop::collection::vec((0_u16..=50).prop_map(|p| f64::from(p) / 50.0), 0..60),
            count in 1_u16..12,
        ) {
            for binning in [Binning::EqualWidth, Binning::EqualCount] {
                let found = bins(&probabilities, binning, count);
                prop_assert!(found.len() <= usize::from(count));
                prop_assert_eq!(found.iter().map(|bin| bin.records).sum::<u64>(), probabilities.len() as u64);
                for (at, bin) in found.iter().enumerate() {
                    let inside = |p: &&f64| (at == 0 || **p > bin.low) && **p <= bin.high;
                    let members: Vec<_> = probabilities.iter().filter(inside).copied().collect();
                    prop_assert_eq!(bin.records, members.len() as u64);
                    prop_assert!((bin.mean_predicted - mean(members).unwrap_or(-1.0)).abs() < 1e-12);
                }
            }
        }

        #[test]
        fn without_ties_counts_differ_by_one_at_most(records in 1_u16..200, count in 1_u16..20) {
            prop_assume!(records >= count);
            let probabilities: Vec<_> = (0..records).map(|at| f64::from(at) / f64::from(records)).collect();
            let sizes: Vec<_> = bins(&probabilities, Binning::EqualCount, count).iter().map(|b| b.records).collect();
            let (least, most) = (sizes.iter().min().expect("bins"), sizes.iter().max().expect("bins"));
            prop_assert!(sizes.len() == usize::from(count) && most - least <= 1, "{sizes:?}");
        }
    }
}
