//! Logits moved until the mean probability is the share of positives ("calibration in the large": Steyerberg et al.,
//! Statistics in Medicine 23, 2004). One number, so a handful of positives can tell it.

use super::{Calibrator, Uncalibrated};
use crate::Column;
use crate::mean::mean;
use crate::probability::sigmoid;

pub(super) fn fit(column: &Column, positives: u64) -> Result<Calibrator, Uncalibrated> {
    let logits = |class: bool| column.iter().filter(move |row| row.1 == class).map(|row| row.0);
    if mean(logits(true)) <= mean(logits(false)) {
        return Err(Uncalibrated::Falling);
    }
    let share = positives as f64 / column.len() as f64;
    let log_odds = (share / (1.0 - share)).ln();
    let ends =
        column.iter().fold([f64::MAX, f64::MIN], |ends, (logit, _)| [ends[0].min(logit), ends[1].max(logit)]);
    // With all records at one end the mean would be too low or too high.
    let (mut low, mut high) = (log_odds - ends[1], log_odds - ends[0]);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return Ok(Calibrator::Shift { shift: middle });
        }
        let predicted: f64 = column.iter().map(|(logit, _)| sigmoid(logit + middle)).sum();
        if predicted < positives as f64 { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mean_probability_becomes_the_share() {
        let rows = [(1.0, true), (1.0, false), (-1.0, false), (-1.0, false)];
        let Ok(Calibrator::Shift { shift }) = fit(&Column::of_rows(&rows), 1) else { panic!("fits") };
        let expected = 2.0 * 0.25;
        assert!((sigmoid(1.0 + shift) + sigmoid(-1.0 + shift) - expected).abs() < 1e-14, "{shift}");
    }

    #[test]
    fn scores_that_fall_are_refused() {
        assert_eq!(fit(&Column::of_rows(&[(1.0, false), (-1.0, true)]), 1), Err(Uncalibrated::Falling));
    }

    proptest! {
        /// Of any finite scores, those far from 0 too.
        #[test]
        fn any_rising_scores_have_a_shift(
            rows in prop::collection::vec((-1e3..1e3_f64, any::<bool>()), 2..40), scale in 1e-6..1e3_f64,
        ) {
            let rows: Vec<_> = rows.iter().map(|row| (scale * row.0, row.1)).collect();
            let positives = rows.iter().filter(|row| row.1).count();
            prop_assume!(positives > 0 && positives < rows.len());
            if let Ok(Calibrator::Shift { shift }) = fit(&Column::of_rows(&rows), positives as u64) {
                let found: f64 = rows.iter().map(|row| sigmoid(row.0 + shift)).sum();
                prop_assert!((found - positives as f64).abs() < 1e-6 * rows.len() as f64, "{found} {positives}");
            }
        }
    }
}
