//! What makes up the Brier score: how far probabilities are from what is observed, how well they tell
//! records apart, and how uncertain the label is anyway (Murphy, Journal of Applied Meteorology 12, 1973).

use crate::mean::mean;
use crate::reliability::{Group, grouped};
use crate::{Binning, Column, Result};
use serde::{Deserialize, Serialize};

/// `Brier score = reliability - resolution + uncertainty + residual`, where o is the share of positives, p
/// the mean probability, and b a bin of n_b of the n records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrierDecomposition {
    /// `Σ n_b/n (p_b - o_b)²`: 0 for calibrated bins.
    pub reliability: f64,
    /// `Σ n_b/n (o_b - o)²`: the more the better.
    pub resolution: f64,
    /// `o (1 - o)`: what the prevalence as the only probability gets.
    pub uncertainty: f64,
    /// What the bins do not see: the variance of the probabilities within their bins less twice their
    /// covariance with the outcomes (Stephenson, Coelho and Jolliffe, Weather and Forecasting 23, 2008).
    /// 0 if all records of a bin have one probability.
    pub residual: f64,
}

/// Takes apart the Brier score of one label's **probabilities**; none without a record.
///
/// ```
/// use xray_metrics::{Binning, Column, brier_decomposition};
///
/// let column = Column::new(vec![0.25, 0.25, 0.75, 0.75], vec![false, false, true, true])?;
/// let parts = brier_decomposition(&column, Binning::EqualWidth, 2)?.expect("records");
/// assert_eq!((parts.reliability, parts.resolution), (0.0625, 0.25));
/// assert_eq!((parts.uncertainty, parts.residual), (0.25, 0.0));
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If a probability is outside [0, 1] or there are no bins.
pub fn brier_decomposition(
    probabilities: &Column,
    binning: Binning,
    bins: u16,
) -> Result<Option<BrierDecomposition>> {
    let groups = grouped(probabilities, binning, bins)?;
    Ok(mean(probabilities.iter().map(|(_, positive)| outcome(positive))).map(|o| decompose(&groups, o)))
}

/// Adds up the bins, `prevalence` being the share of positives in all of them.
fn decompose(groups: &[Group], prevalence: f64) -> BrierDecomposition {
    let n: f64 = groups.iter().map(|group| group.records.len() as f64).sum();
    let mut sums = BrierDecomposition { reliability: 0.0, resolution: 0.0, uncertainty: 0.0, residual: 0.0 };
    for Group { records, .. } in groups {
        let n_b = records.len() as f64;
        let p_b = records.iter().map(|(p, _)| p).sum::<f64>() / n_b;
        let o_b = records.iter().map(|&(_, positive)| outcome(positive)).sum::<f64>() / n_b;
        let within = |&(p, positive): &(f64, bool)| {
            let (dp, d_o) = (p - p_b, outcome(positive) - o_b);
            dp * dp - 2.0 * dp * d_o
        };
        sums.reliability += n_b / n * (p_b - o_b).powi(2);
        sums.resolution += n_b / n * (o_b - prevalence).powi(2);
        sums.residual += records.iter().map(within).sum::<f64>() / n;
    }
    BrierDecomposition { uncertainty: prevalence * (1.0 - prevalence), ..sums }
}

fn outcome(positive: bool) -> f64 {
    f64::from(u8::from(positive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probability::brier_of_probabilities;
    use proptest::prelude::*;

    fn parts(rows: &[(f64, bool)], binning: Binning, bins: u16) -> Option<BrierDecomposition> {
        let (probabilities, positive) = rows.iter().copied().unzip();
        let column = Column::new(probabilities, positive).expect("finite");
        brier_decomposition(&column, binning, bins).expect("probabilities")
    }

    #[test]
    fn closed_forms() {
        let check = |rows: &[(f64, bool)], bins, expected: [f64; 4]| {
            let found = parts(rows, Binning::EqualWidth, bins).expect("records");
            let found = [found.reliability, found.resolution, found.uncertainty, found.residual];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
        };
        // The prevalence for everyone: all of it is uncertainty.
        check(&[(0.25, true), (0.25, false), (0.25, false), (0.25, false)], 10, [0.0, 0.0, 0.1875, 0.0]);
        // Certain and right: what was uncertain is resolved.
        check(&[(1.0, true), (0.0, false)], 10, [0.0, 0.25, 0.25, 0.0]);
        // Certain and wrong.
        check(&[(0.0, true), (1.0, false)], 10, [1.0, 0.25, 0.25, 0.0]);
        // The same two pairs in a single bin, which sees nothing of it.
        check(&[(1.0, true), (0.0, false)], 1, [0.0, 0.0, 0.25, -0.25]);
        check(&[(0.0, true), (1.0, false)], 1, [0.0, 0.0, 0.25, 0.75]);
        check(&[(0.5, true)], 10, [0.25, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_has_no_parts() {
        assert_eq!(parts(&[], Binning::EqualCount, 5), None);
    }

    fn rows() -> impl Strategy<Value = Vec<(f64, bool)>> {
        let p = prop_oneof![(0_u8..=10).prop_map(|p| f64::from(p) / 10.0), 0.0..=1.0_f64];
        prop::collection::vec((p, any::<bool>()), 1..80)
    }

    proptest! {
        #[test]
        fn the_parts_make_the_brier_score(rows in rows(), bins in 1_u16..20) {
            let (probabilities, positive) = rows.iter().copied().unzip();
            let column = Column::new(probabilities, positive).expect("finite");
            let brier = brier_of_probabilities(&column).expect("records");
            for binning in [Binning::EqualWidth, Binning::EqualCount] {
                let parts = parts(&rows, binning, bins).expect("records");
                let sum = parts.reliability - parts.resolution + parts.uncertainty + parts.residual;
                prop_assert!((sum - brier).abs() < 1e-14, "{sum} is not {brier}");
            }
        }

        /// Murphy's own case: as many probabilities as bins.
        #[test]
        fn bins_of_one_probability_leave_no_residual(
            rows in prop::collection::vec(((1_u8..=10).prop_map(|p| f64::from(p) / 10.0), any::<bool>()), 1..80)
        ) {
            let parts = parts(&rows, Binning::EqualWidth, 10).expect("records");
            prop_assert!(parts.residual.abs() < 1e-15);
        }
    }
}
