//! Scores as probabilities: Brier score and log loss, from logits.

use crate::Column;
use crate::mean::mean;

/// The probability that a logit stands for, without overflow at either end.
pub fn sigmoid(logit: f64) -> f64 {
    let small = (-logit.abs()).exp();
    if logit >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// Mean squared difference of probability and outcome (Brier, Monthly Weather Review 78, 1950), for one
/// label's **logits**; none without a record.
pub fn brier(column: &Column) -> Option<f64> {
    // Of a positive, 1 - sigmoid(z) is taken as sigmoid(-z), which does not cancel.
    mean(column.iter().map(|(logit, positive)| sigmoid(if positive { -logit } else { logit }).powi(2)))
}

/// The inverse of [`sigmoid`]; infinite for 0 and 1.
pub fn logit(probability: f64) -> f64 {
    probability.ln() - (-probability).ln_1p()
}

/// Mean negative log likelihood in nats, for one label's **logits**; none without a record. Exact for
/// logits of any size, so it is not clipped as [`log_loss_of_probabilities`] is.
pub fn log_loss(column: &Column) -> Option<f64> {
    mean(column.iter().map(|(logit, positive)| softplus(if positive { -logit } else { logit })))
}

/// Mean squared difference of **probabilities** in [0, 1] and outcomes; none without a record.
pub fn brier_of_probabilities(column: &Column) -> Option<f64> {
    mean(column.iter().map(|(p, positive)| squared_error(p, positive)))
}

/// Mean negative log likelihood in nats of **probabilities**, which are clipped to `[eps, 1 - eps]` with
/// the f64 epsilon as scikit-learn's `log_loss` does; none without a record.
pub fn log_loss_of_probabilities(column: &Column) -> Option<f64> {
    mean(column.iter().map(|(p, positive)| clipped_log_loss(p, positive)))
}

pub(crate) fn squared_error(p: f64, positive: bool) -> f64 {
    (p - f64::from(u8::from(positive))).powi(2)
}

pub(crate) fn clipped_log_loss(p: f64, positive: bool) -> f64 {
    let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    if positive { -p.ln() } else { -(-p).ln_1p() }
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(score: f64, positive: bool) -> Column {
        Column::new(vec![score], vec![positive]).expect("finite")
    }

    fn close(found: Option<f64>, expected: f64) {
        let found = found.expect("one record");
        assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn a_coin_costs_a_quarter_and_ln_2() {
        for positive in [true, false] {
            close(brier(&one(0.0, positive)), 0.25);
            close(log_loss(&one(0.0, positive)), 2_f64.ln());
            close(brier_of_probabilities(&one(0.5, positive)), 0.25);
            close(log_loss_of_probabilities(&one(0.5, positive)), 2_f64.ln());
        }
    }

    #[test]
    fn logits_of_any_size_keep_their_loss() {
        close(log_loss(&one(800.0, false)), 800.0);
        close(log_loss(&one(-1e30, true)), 1e30);
        assert_eq!(log_loss(&one(800.0, true)), Some(0.0));
        assert_eq!(brier(&one(-800.0, true)), Some(1.0));
        // A tiny loss survives: exp(-40) is far below the f64 epsilon.
        let tiny = log_loss(&one(40.0, true)).expect("one record");
        assert!((tiny / (-40_f64).exp() - 1.0).abs() < 1e-12, "{tiny}");
    }

    #[test]
    fn certain_and_wrong_probabilities_are_clipped() {
        close(log_loss_of_probabilities(&one(0.0, true)), -f64::EPSILON.ln());
        close(log_loss_of_probabilities(&one(1.0, false)), -f64::EPSILON.ln());
    }

    #[test]
    fn without_records_there_is_no_figure() {
        let empty = Column::new(vec![], vec![]).expect("valid");
        let figures = [brier, log_loss, brier_of_probabilities, log_loss_of_probabilities];
        assert!(figures.iter().all(|figure| figure(&empty).is_none()));
    }

    proptest! {
        #[test]
        fn logits_and_their_probabilities_agree(logit in -12.0..12.0_f64, positive: bool) {
            let (logits, probabilities) = (one(logit, positive), one(sigmoid(logit), positive));
            let check = |a: Option<f64>, b: Option<f64>| (a.unwrap_or(-1.0) - b.unwrap_or(-2.0)).abs() < 1e-9;
            prop_assert!(check(brier(&logits), brier_of_probabilities(&probabilities)));
            prop_assert!(check(log_loss(&logits), log_loss_of_probabilities(&probabilities)));
        }
    }
}
