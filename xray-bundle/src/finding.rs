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
    /// Calibrated where the bundle is.
    pub probability: f64,
    /// Where "positive" begins, in the same probability; null while none is chosen.
    pub threshold: Option<f64>,
    /// The call; null without a threshold.
    pub positive: Option<bool>,
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
            .hint("the weights do not belong to this model.json, or training went astray; train again")
    }
}

/// The probability of a logit, calibrated where there is a calibration.
pub fn probability(calibration: Option<&Calibration<Calibrator>>, logit: f64) -> f64 {
    match calibration.and_then(|calibration| calibration.calibrator.as_ref()) {
        Some(calibrator) => calibrator.probability(logit),
        None => sigmoid(logit),
    }
}
