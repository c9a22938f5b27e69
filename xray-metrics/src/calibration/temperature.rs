//! One scale that minimises log loss. The loss is convex in the scale, so its slope has one root.

use super::{Calibrator, Uncalibrated};
use crate::Column;
use crate::probability::sigmoid;

pub(super) fn fit(column: &Column) -> Result<Calibrator, Uncalibrated> {
    if slope(column, 0.0) >= 0.0 {
        return Err(Uncalibrated::Falling);
    }
    if column.iter().all(|(logit, positive)| if positive { logit >= 0.0 } else { logit <= 0.0 }) {
        return Err(Uncalibrated::Separated);
    }
    // A record on the wrong side makes the slope positive in the end.
    let mut high = 1.0;
    while slope(column, high) < 0.0 {
        high *= 2.0;
    }
    Ok(Calibrator::Temperature { scale: root(column, high) })
}

/// Halves the bracket until no number lies between its ends.
fn root(column: &Column, mut high: f64) -> f64 {
    let mut low = 0.0;
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if slope(column, middle) < 0.0 { low = middle } else { high = middle }
    }
}

/// Of the summed log loss by the scale.
fn slope(column: &Column, scale: f64) -> f64 {
    column
        .iter()
        .map(|(logit, positive)| (sigmoid(scale * logit) - f64::from(u8::from(positive))) * logit)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, bool)]) -> Result<Calibrator, Uncalibrated> {
        fit(&Column::of_rows(rows))
    }

    /// Three of four positive at logit 6 (and the mirror image) call for log-odds ln 3.
    #[test]
    fn a_sure_model_is_cooled() {
        let mut rows = vec![(6.0, true); 3];
        rows.extend([(6.0, false), (-6.0, true)]);
        rows.extend([(-6.0, false); 3]);
        let Ok(Calibrator::Temperature { scale }) = of(&rows) else { panic!("fits") };
        assert!((scale - 3_f64.ln() / 6.0).abs() < 1e-15, "{scale}");
    }

    #[test]
    fn what_has_no_best_scale_says_so() {
        assert_eq!(of(&[(1.0, true), (-1.0, false)]), Err(Uncalibrated::Separated));
        assert_eq!(of(&[(-1.0, true), (1.0, false)]), Err(Uncalibrated::Falling));
        assert_eq!(of(&[(1.0, true), (1.0, false), (0.0, true)]), Err(Uncalibrated::Falling));
    }
}
