//! Calibrations and thresholds, fitted on a run's validation records, written into its bundle.

use super::appraisal::{Appraisal, Settings, appraise};
use super::subject::{Subject, unfinished, validation};
use crate::run::Outcome;
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{
    Calibration, Exit, Failure, FileError, Split, Threshold, read_json, read_sealed, write_json,
};
use xray_bundle::{Bundle, Card, Seen, probability};
use xray_metrics::threshold::{Fitted, fit};
use xray_metrics::{Calibrator, Proportion, calibrate};

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

/// The folder of a run's bundle.
fn folder(run: &Path) -> Result<PathBuf, Failure> {
    let folder = run.join("model");
    if folder.join("model.json").is_file() {
        return Ok(folder);
    }
    Err(match read_sealed::<Outcome>(&run.join("result.json")) {
        Ok(outcome) if outcome.scores.is_empty() => unfinished(run, &outcome),
        _ => Failure::new(Exit::NothingMatches, format!("there is no bundle in {}", run.display()))
            .hint("name the folder of a finished run, which holds model/"),
    })
}

/// The card of a run's bundle.
pub(super) fn card(run: &Path) -> Result<(PathBuf, Card), Failure> {
    let path = folder(run)?.join("model.json");
    let card = read_json(&path)?;
    Ok((path, card))
}

/// A run's model.
pub(super) fn bundle(run: &Path) -> Result<Bundle, Failure> {
    Bundle::open(&folder(run)?)
}

/// An image file as the model sees it.
pub(super) fn seen(bundle: &Bundle, image: &Path) -> Result<Seen, Failure> {
    let io = |source| FileError::Io { path: image.to_owned(), action: "read", source };
    bundle.see(&std::fs::read(image).map_err(io)?).map_err(|problem| {
        Failure::new(Exit::BadData, format!("{}: {problem}", image.display()))
            .hint("JPEG and PNG files are read; `xray-data build` converts DICOM")
    })
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
    let on_test = appraisal.operating_points.iter().flat_map(|points| &points.labels);
    let on_test: Vec<_> = on_test.map(|label| label.point.as_ref()).collect();
    let share = |share: Option<Proportion>| share.map(|share| share.value);
    let threshold = |(at, (fitted, calibration)): (usize, (Fitted, &Calibration<Calibrator>))| Threshold {
        logit: fitted.threshold(),
        probability: fitted.threshold().map(|logit| probability(Some(calibration), f64::from(logit))),
        undefined: match fitted {
            Fitted::Undefined(why) => Some(why.to_string()),
            Fitted::Threshold(_) => None,
        },
        rule: settings.rule.to_string(),
        fitted_on: Split::Val,
        test_sensitivity: on_test.get(at).and_then(|point| share(point.as_ref()?.sensitivity)),
        test_specificity: on_test.get(at).and_then(|point| share(point.as_ref()?.specificity)),
    };
    let fitted = fit(val, settings.rule).into_iter().zip(&card.calibration);
    card.thresholds = fitted.enumerate().map(threshold).collect();
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
