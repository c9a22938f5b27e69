//! Average precision: precision times the step in recall, summed over the distinct scores from the highest
//! down, without interpolation. This is scikit-learn's `average_precision_score`.

use crate::Column;

/// The average precision of one label; none without a positive or without a negative record.
///
/// With positives only it would be 1 for any scores at all, which says nothing of a model, so such a label
/// has none (scikit-learn returns 1). Random scores get the prevalence.
pub fn average_precision(column: &Column) -> Option<f64> {
    let ties = column.ties();
    let positives: u64 = ties.iter().map(|tie| tie.positives).sum();
    let negatives: u64 = ties.iter().map(|tie| tie.negatives).sum();
    let (mut found, mut taken, mut sum) = (0, 0, 0.0);
    for tie in ties.iter().rev() {
        found += tie.positives;
        taken += tie.positives + tie.negatives;
        sum += tie.positives as f64 * (found as f64 / taken as f64);
    }
    (positives > 0 && negatives > 0).then(|| sum / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(rows: &[(f64, bool)]) -> Option<f64> {
        average_precision(&Column::of_rows(rows))
    }

    #[test]
    fn small_cases_by_hand() {
        let check = |rows: &[(f64, bool)], expected| assert_eq!(of(rows), expected);
        check(&[(3.0, true), (2.0, false), (1.0, true), (0.0, false)], Some((1.0 + 2.0 / 3.0) / 2.0));
        check(&[(1.0, true), (1.0, false), (1.0, false), (1.0, false)], Some(0.25)); // all tied: prevalence
        check(&[(2.0, false), (1.0, true)], Some(0.5));
        check(&[(2.0, true)], None);
        check(&[(2.0, false)], None);
    }

    /// The definition, one threshold at a time.
    fn by_thresholds(rows: &[(f64, bool)]) -> f64 {
        let positives = rows.iter().filter(|row| row.1).count() as f64;
        let mut thresholds: Vec<_> = rows.iter().map(|row| row.0).collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        let mut recall_before = 0.0;
        let mut sum = 0.0;
        for threshold in thresholds {
            let taken = rows.iter().filter(|row| row.0 >= threshold);
            let found = taken.clone().filter(|row| row.1).count() as f64;
            let recall = found / positives;
            sum += (recall - recall_before) * found / taken.count() as f64;
            recall_before = recall;
        }
        sum
    }

    proptest! {
        #[test]
        fn the_sum_agrees_with_the_definition(
            rows in prop::collection::vec(((-4_i32..4).prop_map(f64::from), any::<bool>()), 1..50)
        ) {
            if let Some(found) = of(&rows) {
                prop_assert!((found - by_thresholds(&rows)).abs() < 1e-12);
            }
        }
    }
}
