//! What the outputs of a bundle's networks say of a label: a logit and a probability.
//!
//! An ensemble's probability is the mean of its members' calibrated ones, and its logit the log-odds of that, in the digits
//! of a network's logits, so that thresholds between them are exact in a card.

use crate::Card;
use crate::finding::{Calibrated, probability};
use xray_metrics::probability::sigmoid;

/// What is said of one label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// What calls are made on.
    pub logit: f64,
    /// Before a calibration: the sigmoid of the logit, of an ensemble its probability.
    pub probability: f64,
    /// None where nothing is calibrated.
    pub calibrated: Option<f64>,
}

impl Said {
    /// The calibrated probability, or the other one.
    pub fn best(&self) -> f64 {
        self.calibrated.unwrap_or(self.probability)
    }
}

/// What the outputs of an image say of a label; a network's logits lie behind those of the one before it.
pub fn said(card: &Card, outputs: &[f64], label: usize) -> Said {
    if card.members.is_empty() {
        let (logit, calibration) = (outputs[label], card.calibration.get(label));
        let is_calibrated = calibration.is_some_and(|of| of.calibrator.is_some());
        let calibrated = is_calibrated.then(|| probability(calibration, logit));
        return Said { logit, probability: sigmoid(logit), calibrated };
    }
    let members = card.members.iter().zip(outputs.chunks_exact(card.labels.len()));
    let of_members =
        members.map(|(member, logits)| probability(member.calibration.get(label), logits[label]));
    let mean = mean_probability(of_members);
    let is_calibrated = calibration_of(card, label) != Calibrated::Uncalibrated;
    Said { logit: log_odds(mean), probability: mean, calibrated: is_calibrated.then_some(mean) }
}

/// The mean of what members say, added up in their order; whoever averages them otherwise gets other last digits.
pub fn mean_probability(members: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = members.len();
    members.sum::<f64>() / count as f64
}

/// The logit of an ensemble's probability, rounded as a network's logits are. Those of 0 and 1 are finite.
pub fn log_odds(probability: f64) -> f64 {
    if probability.is_nan() {
        return f64::NAN;
    }
    let bounded = probability.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
    f64::from((bounded / (1.0 - bounded)).ln() as f32)
}

/// Whether a label's probability can be read as one; of an ensemble no better than of its worst member.
pub(crate) fn calibration_of(card: &Card, label: usize) -> Calibrated {
    use Calibrated::{Shifted, Uncalibrated, Unknown};
    if card.members.is_empty() {
        return Calibrated::of(card.calibration.get(label));
    }
    let found: Vec<_> = card.members.iter().map(|of| Calibrated::of(of.calibration.get(label))).collect();
    let worst = [Uncalibrated, Unknown, Shifted].into_iter().find(|bad| found.contains(bad));
    worst.unwrap_or(Calibrated::Calibrated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ensembles_logit_is_finite_and_rises_with_its_probability() {
        let probabilities = [0.0, 1e-300, 1e-9, 0.25, 0.5, 0.75, 1.0 - 1e-12, 1.0];
        let logits: Vec<f64> = probabilities.iter().map(|&p| log_odds(p)).collect();
        assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
        assert!(logits.windows(2).all(|pair| pair[0] < pair[1]), "{logits:?}");
        assert_eq!(log_odds(0.5), 0.0);
        assert!((log_odds(0.75) - 3_f64.ln()).abs() < 1e-6);
        assert!(log_odds(f64::NAN).is_nan());
    }

    #[test]
    fn members_count_alike() {
        assert_eq!(mean_probability([0.1, 0.2, 0.6].into_iter()), (0.1 + 0.2 + 0.6) / 3.0);
    }
}
