//! Logistic regression on a handful of features, by Newton's method with a line search.
//!
//! Minimises `Σ log loss + ½ · |weights|²` without a penalty on the intercept, which is what scikit-learn's
//! `LogisticRegression` does with its defaults; the penalty keeps the fit finite where a feature separates the
//! classes.

use crate::probability::sigmoid;

/// Newton's steps double the correct digits; this many never come.
const STEPS: usize = 100;

/// A fitted regression: logit = `intercept` + `weights` · features.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// The logit of a record whose features are all 0.
    pub intercept: f64,
    /// One per feature.
    pub weights: Vec<f64>,
}

impl Logistic {
    /// Fits `truth`, one per record, on `features`, row-major `[records, num_features]`. None where the records
    /// are all of one class, or there are none.
    ///
    /// # Panics
    /// If there is not one row per truth.
    pub fn fit(features: &[f64], truth: &[bool], num_features: usize) -> Option<Logistic> {
        assert_eq!(features.len(), truth.len() * num_features, "one row per truth");
        let positives = truth.iter().filter(|&&positive| positive).count();
        if positives == 0 || positives == truth.len() {
            return None;
        }
        let share = positives as f64 / truth.len() as f64;
        let mut fitted =
            Logistic { intercept: (share / (1.0 - share)).ln(), weights: vec![0.0; num_features] };
        let mut best = fitted.cost(features, truth);
        for _ in 0..STEPS {
            let step = fitted.newton_step(features, truth);
            // The full step, or the largest half, quarter, … that gets lower.
            let lower = (0..40).map(|halvings| 0.5_f64.powi(halvings)).find_map(|share| {
                let to = fitted.moved(&step, share);
                let cost = to.cost(features, truth);
                (cost < best).then_some((to, cost))
            });
            let Some(lower) = lower else { break };
            (fitted, best) = lower;
        }
        Some(fitted)
    }

    /// The logit of one record.
    pub fn logit(&self, features: &[f64]) -> f64 {
        self.intercept + self.weights.iter().zip(features).map(|(weight, x)| weight * x).sum::<f64>()
    }

    fn rows<'a>(&self, features: &'a [f64], truth: &'a [bool]) -> impl Iterator<Item = (&'a [f64], bool)> {
        let width = self.weights.len();
        truth
            .iter()
            .enumerate()
            .map(move |(at, &positive)| (&features[at * width..(at + 1) * width], positive))
    }

    fn cost(&self, features: &[f64], truth: &[bool]) -> f64 {
        let loss = |(row, positive): (&[f64], bool)| {
            let z = self.logit(row);
            z.max(0.0) + (-z.abs()).exp().ln_1p() - if positive { z } else { 0.0 }
        };
        let losses: f64 = self.rows(features, truth).map(loss).sum();
        losses + 0.5 * self.weights.iter().map(|weight| weight * weight).sum::<f64>()
    }

    /// Intercept first: minus the gradient over the curvature.
    fn newton_step(&self, features: &[f64], truth: &[bool]) -> Vec<f64> {
        let size = self.weights.len() + 1;
        let (mut curvature, mut descent) = (vec![0.0; size * size], vec![0.0; size]);
        for (row, positive) in self.rows(features, truth) {
            let p = sigmoid(self.logit(row));
            let (error, weight) = (p - f64::from(u8::from(positive)), p * (1.0 - p));
            let x = |at: usize| if at == 0 { 1.0 } else { row[at - 1] };
            for i in 0..size {
                descent[i] -= error * x(i);
                for j in 0..size {
                    curvature[i * size + j] += weight * x(i) * x(j);
                }
            }
        }
        for (at, weight) in self.weights.iter().enumerate() {
            descent[at + 1] -= weight;
            curvature[(at + 1) * (size + 1)] += 1.0;
        }
        solve(curvature, descent)
    }

    fn moved(&self, step: &[f64], share: f64) -> Logistic {
        Logistic {
            intercept: self.intercept + share * step[0],
            weights: self.weights.iter().zip(&step[1..]).map(|(weight, by)| weight + share * by).collect(),
        }
    }
}

/// Solves `matrix · x = right` for a symmetric positive definite matrix, by its Cholesky factor.
fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for row in 0..size {
        for column in 0..=row {
            let inner: f64 = (0..column).map(|k| matrix[row * size + k] * matrix[column * size + k]).sum();
            let rest = matrix[row * size + column] - inner;
            // Where a sum of weights has vanished to rounding, a small step is better than none.
            matrix[row * size + column] =
                if row == column { rest.max(1e-12).sqrt() } else { rest / matrix[column * (size + 1)] };
        }
    }
    for row in 0..size {
        let known: f64 = (0..row).map(|k| matrix[row * size + k] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row * (size + 1)];
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|k| matrix[k * size + row] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row * (size + 1)];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved() {
        // 4x + 2y = 2, 2x + 5y = 9
        let found = solve(vec![4.0, 2.0, 2.0, 5.0], vec![2.0, 9.0]);
        assert!((found[0] + 0.5).abs() < 1e-12 && (found[1] - 2.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn without_features_the_share_of_positives_is_all() {
        let fitted = Logistic::fit(&[], &[true, false, false, false], 0).expect("both classes");
        assert!((sigmoid(fitted.logit(&[])) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn one_class_alone_teaches_nothing_and_separated_ones_stay_finite() {
        assert_eq!(Logistic::fit(&[1.0, 2.0], &[true, true], 1), None);
        assert_eq!(Logistic::fit(&[], &[], 1), None);
        let fitted = Logistic::fit(&[-1e3, 1e3], &[false, true], 1).expect("both classes");
        assert!(fitted.weights[0] > 0.0 && fitted.weights[0].is_finite());
    }
}
