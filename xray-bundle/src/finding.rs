//! What is said about one finding in one image.

use serde::Serialize;
use xray_artifacts::Calibration;
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

/// The probability of a logit, calibrated where there is a calibration.
pub fn probability(calibration: Option<&Calibration<Calibrator>>, logit: f64) -> f64 {
    match calibration.and_then(|calibration| calibration.calibrator.as_ref()) {
        Some(calibrator) => calibrator.probability(logit),
        None => sigmoid(logit),
    }
}
