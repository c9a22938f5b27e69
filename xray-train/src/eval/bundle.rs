//! Calibrations and thresholds, fitted on a run's validation records, written into its bundle.

use super::appraisal::{Appraisal, Settings, appraise};
use super::subject::{Subject, unfinished, validation};
use crate::run::{Card, Outcome};
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{Calibration, Exit, Failure, Split, Threshold, read_json, read_sealed, write_json};
use xray_metrics::probability::sigmoid;
use xray_metrics::threshold::{Fitted, fit};
use xray_metrics::{Calibrator, calibrate};

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

/// The card of a run's bundle.
pub(super) fn card(run: &Path) -> Result<(PathBuf, Card), Failure> {
    let path = run.join("model/model.json");
    if !path.is_file() {
        return Err(match read_sealed::<Outcome>(&run.join("result.json")) {
            Ok(outcome) if outcome.scores.is_empty() => unfinished(run, &outcome),
            _ => Failure::new(Exit::NothingMatches, format!("there is no bundle in {}", run.display()))
                .hint("name the folder of a finished run, which holds model/"),
        });
    }
    let card = read_json(&path)?;
    Ok((path, card))
}

/// The probability of a logit, calibrated where there is a calibration.
pub(super) fn probability(calibration: Option<&Calibration<Calibrator>>, logit: f64) -> f64 {
    match calibration.and_then(|calibration| calibration.calibrator.as_ref()) {
        Some(calibrator) => calibrator.probability(logit),
        None => sigmoid(logit),
    }
}

/// Fits both on validation and replaces what the bundle of `run` had; all else in its card stays.
pub fn calibrate_bundle(run: &Path, settings: &Settings) -> Result<CalibratedBundle, Failure> {
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
    let appraisal = appraise(&subject, settings)?;
    let val = validation(val)?;
    let calibration = |fitted: Result<Calibrator, xray_metrics::Uncalibrated>| Calibration {
        left_as_it_is: fitted.as_ref().err().map(ToString::to_string),
        calibrator: fitted.ok(),
        fitted_on: Split::Val,
    };
    card.calibration = calibrate(val, settings.calibration).into_iter().map(calibration).collect();
    let threshold = |(fitted, calibration): (Fitted, &Calibration<Calibrator>)| Threshold {
        logit: fitted.threshold(),
        probability: fitted.threshold().map(|logit| probability(Some(calibration), f64::from(logit))),
        undefined: match fitted {
            Fitted::Undefined(why) => Some(why.to_string()),
            Fitted::Threshold(_) => None,
        },
        rule: settings.rule.to_string(),
        fitted_on: Split::Val,
    };
    card.thresholds = fit(val, settings.rule).into_iter().zip(&card.calibration).map(threshold).collect();
    write_json(&path, &card)?;
    let Card { calibration, thresholds, .. } = card;
    Ok(CalibratedBundle { format: 1, card: path, calibration, thresholds, appraisal })
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
