//! Calibrations and thresholds, fitted on a run's validation records, written into its bundle.

use crate::appraisal::{Appraisal, AppraiseOptions, appraise};
use crate::run_model::card;
use crate::subject::{Subject, failure, validation};
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{Calibration, Exit, Failure, Predictions, Split, Support, Threshold, write_json};
use xray_bundle::{Card, probability};
use xray_metrics::threshold::{Fitted, fit};
use xray_metrics::{Calibrator, FittedCalibrator, Proportion, Uncalibrated, calibrate};

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibratedBundle {
    /// The format of this object.
    pub format: u32,
    /// The card.
    pub card: PathBuf,
    /// One per label.
    pub calibration: Vec<Calibration<Calibrator>>,
    /// One per label.
    pub thresholds: Vec<Threshold>,
    /// What they do on test.
    pub appraisal: Appraisal,
}

/// Fits both on validation and replaces what the bundle of `run` had; all else in its card stays.
pub fn calibrate_bundle(run: &Path, options: &AppraiseOptions) -> Result<CalibratedBundle, Failure> {
    let subject = Subject::of_run(run)?;
    let (path, mut card) = card(run)?;
    let val = subject.val.as_ref().expect("a run has validation records");
    if card.labels != val.labels {
        return Err(Failure::new(
            Exit::ModelMismatch,
            format!("{} is of other labels than the predictions beside it", path.display()),
        )
        .hint("the bundle and the predictions come from different runs; train again"));
    }
    // First what may fail: a bundle is not left with half of what was asked for.
    let appraisal = appraise(&subject, options)?;
    let val = validation(val)?;
    let patients = subject.val.as_ref().and_then(Predictions::patient_numbers);
    let fitted = calibrate(val, patients.as_deref(), options.calibration)
        .map_err(|error| failure(Split::Val, &error))?;
    card.calibration = fitted.into_iter().map(calibration).collect();
    let points: Vec<_> = appraisal.operating_points.iter().flat_map(|points| &points.labels).collect();
    let on_test: Vec<_> = points.iter().map(|label| label.point.as_ref()).collect();
    let share = |share: Option<Proportion>| share.map(|share| share.value);
    let threshold = |(at, (fitted, calibration)): (usize, (Fitted, &Calibration<Calibrator>))| Threshold {
        // No rounding: a network's scores are f32, and so are thresholds between them.
        logit: fitted.threshold().map(|logit| logit as f32),
        probability: fitted.threshold().map(|logit| probability(Some(calibration), logit)),
        undefined: match fitted {
            Fitted::Undefined(why) => Some(why.to_string()),
            Fitted::Threshold(_) => None,
        },
        rule: options.rule.to_string(),
        fitted_on: Split::Val,
        test_sensitivity: on_test.get(at).and_then(|point| share(point.as_ref()?.sensitivity)),
        test_specificity: on_test.get(at).and_then(|point| share(point.as_ref()?.specificity)),
        warning: points.get(at).and_then(|label| label.warning.clone()),
    };
    let fitted = fit(val, options.rule).into_iter().zip(&card.calibration);
    card.thresholds = fitted.enumerate().map(threshold).collect();
    write_json(&path, &card)?;
    let Card { calibration, thresholds, .. } = card;
    Ok(CalibratedBundle { format: 1, card: path, calibration, thresholds, appraisal })
}

/// As a card has it.
fn calibration(fitted: Result<FittedCalibrator, Uncalibrated>) -> Calibration<Calibrator> {
    let support = |fitted: &FittedCalibrator| Support {
        unit: fitted.support.unit.to_string(),
        positives: fitted.support.positives,
        negatives: fitted.support.negatives,
    };
    Calibration {
        left_as_it_is: fitted.as_ref().err().map(ToString::to_string),
        support: fitted.as_ref().ok().map(support),
        note: fitted.as_ref().ok().and_then(FittedCalibrator::note),
        calibrator: fitted.ok().map(|fitted| fitted.calibrator),
        fitted_on: Split::Val,
    }
}

impl CalibratedBundle {
    /// For a terminal.
    pub fn text(&self) -> String {
        format!(
            "{}\nCalibrations are in {}, and the thresholds with their calibrated probabilities\n",
            self.appraisal.fitted_text(),
            self.card.display()
        )
    }
}
