//! ROC and precision-recall curves: one point for each distinct score taken as the threshold, from the
//! highest down, so that both curves begin where no record is called positive.
//!
//! [`crate::thin()`] makes them small enough to draw.

use crate::{Column, Confusion};
use serde::{Deserialize, Serialize};

/// A point of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// Scores of this or more are called positive; none for the first point, which calls nothing positive
    /// (infinity in scikit-learn, which JSON does not have).
    pub threshold: Option<f64>,
    /// Negatives called positive, among the negatives: 1 less the specificity.
    pub false_positive_rate: f64,
    /// Positives called positive, among the positives: the sensitivity.
    pub true_positive_rate: f64,
}

/// A point of the precision-recall curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrPoint {
    /// Scores of this or more are called positive; none for the first point, which calls nothing positive.
    pub threshold: Option<f64>,
    /// Positives among those called positive; 1 by convention at the first point.
    pub precision: f64,
    /// Positives called positive, among the positives.
    pub recall: f64,
}

/// The ROC curve from (0, 0) to (1, 1); none without a positive or without a negative record.
///
/// The points are those of scikit-learn's `roc_curve(drop_intermediate=False)`, in the same order.
///
/// ```
/// use xray_metrics::{Column, roc_curve};
///
/// let column = Column::new(vec![0.1, 0.4, 0.4, 0.8], vec![false, false, true, true])?;
/// let curve = roc_curve(&column).expect("both classes");
/// let points: Vec<_> = curve.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect();
/// assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
/// assert_eq!(curve[2].threshold, Some(0.4));
/// # Ok::<(), xray_metrics::Error>(())
/// ```
pub fn roc_curve(column: &Column) -> Option<Vec<RocPoint>> {
    let point = |threshold, calls: Confusion| {
        Some(RocPoint {
            threshold,
            false_positive_rate: calls.false_positives as f64 / calls.negatives() as f64,
            true_positive_rate: calls.sensitivity()?,
        })
    };
    walk(column, point)
}

/// The precision-recall curve from recall 0 to recall 1; none without a positive or without a negative
/// record, as for [`crate::average_precision()`].
///
/// The points are those of scikit-learn's `precision_recall_curve`, in reverse: its thresholds ascend, and
/// the point that calls nothing positive comes last. Precision between two points is not on the line that
/// joins them (Davis and Goadrich, ICML 2006).
pub fn precision_recall_curve(column: &Column) -> Option<Vec<PrPoint>> {
    let point = |threshold, calls: Confusion| {
        Some(PrPoint { threshold, precision: calls.ppv().unwrap_or(1.0), recall: calls.sensitivity()? })
    };
    walk(column, point)
}

/// A point for no calls at all, then one for each distinct score; none if a class is missing.
fn walk<P>(column: &Column, point: impl Fn(Option<f64>, Confusion) -> Option<P>) -> Option<Vec<P>> {
    let none = Confusion::at(column, f64::INFINITY);
    if none.positives() == 0 || none.negatives() == 0 {
        return None;
    }
    let calls = Confusion::at_each_score(column).into_iter().map(|(score, calls)| (Some(score), calls));
    [(None, none)].into_iter().chain(calls).map(|(threshold, calls)| point(threshold, calls)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auc, average_precision};
    use proptest::prelude::*;

    #[test]
    fn tied_records_are_called_together() {
        let rows = [(3.0, true), (2.0, false), (2.0, true), (1.0, false), (0.0, false)];
        let points = precision_recall_curve(&Column::of_rows(&rows)).expect("both classes");
        let points: Vec<_> = points.iter().map(|p| (p.threshold, p.precision, p.recall)).collect();
        let expected = [
            (None, 1.0, 0.0),
            (Some(3.0), 1.0, 0.5),
            (Some(2.0), 2.0 / 3.0, 1.0),
            (Some(1.0), 0.5, 1.0),
            (Some(0.0), 0.4, 1.0),
        ];
        assert_eq!(points, expected);
    }

    #[test]
    fn equal_scores_leave_the_two_ends() {
        let curve =
            roc_curve(&Column::of_rows(&[(7.0, true), (7.0, false), (7.0, false)])).expect("both classes");
        let point =
            |threshold, rate| RocPoint { threshold, false_positive_rate: rate, true_positive_rate: rate };
        assert_eq!(curve, [point(None, 0.0), point(Some(7.0), 1.0)]);
    }

    #[test]
    fn a_missing_class_has_no_curve() {
        let check = |rows: &[(f64, bool)]| {
            assert_eq!(roc_curve(&Column::of_rows(rows)), None);
            assert_eq!(precision_recall_curve(&Column::of_rows(rows)), None);
        };
        check(&[]);
        check(&[(1.0, true), (2.0, true)]);
        check(&[(1.0, false)]);
    }

    #[test]
    fn json_says_null_where_there_is_no_threshold() {
        let curve = roc_curve(&Column::of_rows(&[(0.5, true), (0.25, false)])).expect("both classes");
        let text = serde_json::to_string(&curve).expect("finite");
        assert!(text.starts_with(r#"[{"threshold":null,"false_positive_rate":0.0,"#), "{text}");
        assert_eq!(serde_json::from_str::<Vec<RocPoint>>(&text).expect("its own shape"), curve);
    }

    proptest! {
        /// Trapezia under the ROC curve and steps under the other are the two areas, which are counted
        /// elsewhere without a curve.
        #[test]
        fn the_areas_are_the_known_ones(
            rows in prop::collection::vec(((-6_i32..6).prop_map(f64::from), any::<bool>()), 0..60)
        ) {
            let column = Column::of_rows(&rows);
            let area: Option<f64> = roc_curve(&column).map(|curve| curve.windows(2).map(|pair| {
                let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
                width * (pair[0].true_positive_rate + pair[1].true_positive_rate) / 2.0
            }).sum());
            let steps: Option<f64> = precision_recall_curve(&column).map(|curve| {
                curve.windows(2).map(|pair| (pair[1].recall - pair[0].recall) * pair[1].precision).sum()
            });
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-12,
                (a, b) => a == b,
            };
            prop_assert!(close(area, auc(&column)), "{area:?}");
            prop_assert!(close(steps, average_precision(&column)), "{steps:?}");
        }
    }
}
