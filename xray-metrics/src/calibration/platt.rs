//! Scale and shift by Newton's method with a line search (Lin, Lin and Weng, Machine Learning 68, 2007). The
//! targets are Platt's, one made-up record of each class apart from 0 and 1, so that the fit exists even where the
//! scores separate the classes.

use super::{Calibrator, Uncalibrated};
use crate::Column;
use crate::probability::sigmoid;

/// Newton's steps double the correct digits; this many never come.
const STEPS: usize = 100;
/// Keeps the curvature invertible where nearly all scores are equal.
const RIDGE: f64 = 1e-12;

pub(super) fn fit(column: &Column, positives: u64, negatives: u64) -> Result<Calibrator, Uncalibrated> {
    let targets = Targets {
        positive: (positives as f64 + 1.0) / (positives as f64 + 2.0),
        negative: 1.0 / (negatives as f64 + 2.0),
    };
    let start = ((positives as f64 + 1.0) / (negatives as f64 + 1.0)).ln();
    let (scale, shift) = newton(column, &targets, (0.0, start));
    if scale > 0.0 { Ok(Calibrator::Platt { scale, shift }) } else { Err(Uncalibrated::Falling) }
}

struct Targets {
    positive: f64,
    negative: f64,
}

impl Targets {
    fn of(&self, positive: bool) -> f64 {
        if positive { self.positive } else { self.negative }
    }
}

fn newton(column: &Column, targets: &Targets, start: (f64, f64)) -> (f64, f64) {
    let (mut scale, mut shift) = start;
    let mut best = loss(column, targets, scale, shift);
    for _ in 0..STEPS {
        let (step_scale, step_shift) = step(column, targets, scale, shift);
        // The full step, or the largest half, quarter, … that gets lower.
        let lower = (0..40).map(|halvings| 0.5_f64.powi(halvings)).find_map(|share| {
            let to = (scale + share * step_scale, shift + share * step_shift);
            let found = loss(column, targets, to.0, to.1);
            (found < best).then_some((to, found))
        });
        let Some((to, found)) = lower else { break };
        ((scale, shift), best) = (to, found);
    }
    (scale, shift)
}

/// Newton's step: minus the gradient over the curvature.
fn step(column: &Column, targets: &Targets, scale: f64, shift: f64) -> (f64, f64) {
    let (mut gradient, mut curvature) = ([0.0; 2], [RIDGE, 0.0, RIDGE]);
    for (logit, positive) in column.iter() {
        let p = sigmoid(scale * logit + shift);
        let (error, weight) = (p - targets.of(positive), p * (1.0 - p));
        gradient = [gradient[0] + error * logit, gradient[1] + error];
        curvature =
            [curvature[0] + weight * logit * logit, curvature[1] + weight * logit, curvature[2] + weight];
    }
    let [a, b, c] = curvature;
    let determinant = a * c - b * b;
    ((b * gradient[1] - c * gradient[0]) / determinant, (b * gradient[0] - a * gradient[1]) / determinant)
}

/// Cross-entropy with the targets, in nats; exact for logits of any size.
fn loss(column: &Column, targets: &Targets, scale: f64, shift: f64) -> f64 {
    let of = |(logit, positive): (f64, bool)| {
        let z = scale * logit + shift;
        z.max(0.0) + (-z.abs()).exp().ln_1p() - targets.of(positive) * z
    };
    column.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, bool)]) -> Result<(f64, f64), Uncalibrated> {
        let positives = rows.iter().filter(|row| row.1).count() as u64;
        match fit(&Column::of_rows(rows), positives, rows.len() as u64 - positives)? {
            Calibrator::Platt { scale, shift } => Ok((scale, shift)),
            other => panic!("{other:?}"),
        }
    }

    /// Two points determine two numbers: the probabilities there are the mean targets.
    #[test]
    fn two_scores_have_a_closed_form() {
        let mut rows = vec![(5.0, true); 3];
        rows.extend([(5.0, false), (1.0, true)]);
        rows.extend([(1.0, false); 3]);
        let (scale, shift) = of(&rows).expect("rising");
        let (high, low) = (5.0 / 6.0, 1.0 / 6.0); // targets of four positives and four negatives
        let mean = (3.0 * high + low) / 4.0;
        let log_odds = |p: f64| (p / (1.0 - p)).ln();
        assert!((5.0 * scale + shift - log_odds(mean)).abs() < 1e-7, "{scale} {shift}");
        assert!((scale + shift - log_odds(1.0 - mean)).abs() < 1e-7, "{scale} {shift}");
    }

    #[test]
    fn perfect_scores_stay_finite_and_useless_ones_are_refused() {
        let (scale, shift) = of(&[(1e6, true), (-1e6, false), (2e6, true)]).expect("rising");
        assert!(scale.is_finite() && shift.is_finite());
        assert_eq!(of(&[(1.0, false), (-1.0, true)]), Err(Uncalibrated::Falling));
    }
}
