//! What is said about one finding in one image.

use serde::Serialize;
use xray_artifacts::{Calibration, Exit, Failure};
use xray_metrics::Calibrator;
use xray_metrics::probability::sigmoid;

/// One finding in one image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Place of its label in the model's card; files and answers have the name alone.
    #[serde(skip)]
    pub index: usize,
    /// Its name.
    pub label: String,
    /// What the network said.
    pub logit: f64,
    /// What [`Finding::calibration`] says of it.
    pub probability: f64,
    /// Whether it can be read as a probability.
    pub calibration: Calibrated,
    /// Where "positive" begins, in the same probability; null while none is chosen.
    pub threshold: Option<f64>,
    /// The call; null without a threshold.
    pub positive: Option<bool>,
}

/// Whether the probability of a finding can be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibrated {
    /// Fitted on enough positive and negative patients.
    Calibrated,
    /// Only its mean was fitted, because positives or negatives were few.
    Shifted,
    /// A version fitted it that does not say on how many positives: it may rest on one.
    Unknown,
    /// The network's own, the sigmoid of the logit.
    Uncalibrated,
}

impl Calibrated {
    /// Of a label of a model's card.
    pub fn of(calibration: Option<&Calibration<Calibrator>>) -> Self {
        let fitted = calibration.and_then(|it| Some((it.calibrator.as_ref()?, it.support.as_ref())));
        match fitted {
            None => Calibrated::Uncalibrated,
            Some((Calibrator::Shift { .. }, _)) => Calibrated::Shifted,
            Some((_, None)) => Calibrated::Unknown,
            Some((_, Some(_))) => Calibrated::Calibrated,
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Calibrated::Calibrated => "calibrated",
            Calibrated::Shifted => "only shifted",
            Calibrated::Unknown => "calibration unknown",
            Calibrated::Uncalibrated => "not calibrated",
        }
    }
}

/// A logit that is NaN or infinite: neither positive nor negative can be said of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's score of {label} is not a finite number")]
pub struct NonFinite {
    /// The first such label.
    pub label: String,
}

impl From<NonFinite> for Failure {
    fn from(error: NonFinite) -> Self {
        Failure::new(Exit::ModelMismatch, error.to_string())
            .hint("the weights do not belong to this model.json, or training failed; train again")
    }
}

/// The probability of a logit, calibrated where there is a calibration.
pub fn probability(calibration: Option<&Calibration<Calibrator>>, logit: f64) -> f64 {
    match calibration.and_then(|calibration| calibration.calibrator.as_ref()) {
        Some(calibrator) => calibrator.probability(logit),
        None => sigmoid(logit),
    }
}
