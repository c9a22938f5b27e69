//! Calibrations and thresholds, fitted on validation records and written into a bundle: on a run's own, or, of a bundle that
//! has no run, on those of other data.

use crate::appraisal::{Appraisal, AppraiseOptions, appraise};
use crate::external::LabelMap;
use crate::labelled::{LabelledImages, Scored, nothing_of};
use crate::predict::{Device, Pace};
use crate::run_model::{bundle_folder, card};
use crate::subject::{Subject, failure, shared_patients, validation};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Calibration, Exit, Failure, Predictions, Split, Support, Threshold, write_json};
use xray_bundle::{Bundle, CARD, Card, probability, refuse_several};
use xray_data::sources::LabelledOptions;
use xray_display::counted;
use xray_metrics::threshold::{Fitted, fit};
use xray_metrics::{Calibrator, FittedCalibrator, Proportion, Uncalibrated, calibrate};
use xray_model::Backend;

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

/// Other data for a bundle that was not trained here.
#[derive(Clone, Debug)]
pub struct CalibrationData {
    /// Where they are.
    pub data: PathBuf,
    /// How they are read, and the table that says what is true.
    pub labelled: LabelledOptions,
    /// Which label is which.
    pub map: LabelMap,
    /// What computes: this processor, or a GPU of `xray-train-gpu` beside this program.
    pub backend: Backend,
    /// How fast.
    pub pace: Pace,
}

/// Fits both on validation and replaces what the bundle of `run` had; all else in its card stays.
pub fn calibrate_bundle(run: &Path, options: &AppraiseOptions) -> Result<CalibratedBundle, Failure> {
    let subject = Subject::of_run(run)?;
    let (path, card) = card(run)?;
    let val = subject.val.as_ref().expect("a run has validation records");
    if card.labels != val.labels {
        return Err(Failure::new(
            Exit::ModelMismatch,
            format!("{} has other labels than the predictions beside it", path.display()),
        )
        .hint("the bundle and the predictions come from different runs; train again"));
    }
    let fitted = Chosen::on(&subject, val, options)?;
    fitted.written(path, card)
}

/// Fits both on the validation records of other data, and says what they do on its test records. The exit code of the
/// signal that arrived meanwhile, where one did.
///
/// # Errors
/// Data that cannot be read, have no validation or no test records, or none of the model's labels; a run, whose own records
/// are there for it.
pub fn calibrate_bundle_on(
    bundle: &Path,
    of: &CalibrationData,
    options: &AppraiseOptions,
) -> Result<Result<CalibratedBundle, Exit>, Failure> {
    if bundle.join("result.json").is_file() {
        let message =
            format!("{} is a run, which is calibrated on its own validation records", bundle.display());
        return Err(Failure::new(Exit::Usage, message).hint(
            "leave --data out; `xray-eval run RUN --data DATA --recalibrate-on val` tries it on other data",
        ));
    }
    xray_model::set_threads(of.pace.threads);
    let folder = bundle_folder(bundle)?;
    let bundle = Arc::new(Bundle::open(&folder)?);
    let instead = "its members are calibrated before they are averaged: `xray-eval ensemble` fits them on the runs' \
                   validation records";
    refuse_several(&bundle.card, "the bundle is not calibrated as a whole", instead)?;
    let labels = &bundle.card.labels;
    let images = LabelledImages::read(&of.data, &of.labelled, &of.map, labels)?
        .only(|image| matches!(image.split, Some(Split::Val | Split::Test)));
    for split in [Split::Val, Split::Test] {
        if images.images().iter().all(|image| image.split != Some(split)) {
            return Err(nothing_of(split, &of.data));
        }
    }
    let mut device = Device::open(of.backend, &folder)?;
    let found = match images.scored(&bundle, &mut device, of.pace)? {
        Ok(found) => found,
        Err(stopped) => return Ok(Err(stopped)),
    };
    let unread = found.unread()?;
    let mut notes = images.notes.clone();
    if unread > 0 {
        notes.push(format!("{} cannot be read and {} left out", counted(unread, "image"), are(unread)));
    }
    let missing = &images.labels.model_only;
    if !missing.is_empty() {
        let names = missing.join(", ");
        notes.push(format!("{names}: not calibrated, because the data do not have {}", which(missing.len())));
    }
    let subject = subject_of(&found, notes);
    let val = subject.val.as_ref().expect("validation records were selected");
    let fitted = Chosen::on(&subject, val, options)?;
    let why = format!("{} does not have this finding", of.data.display());
    let fitted = fitted.spread(&images.places(), labels.len(), &why, options);
    Ok(Ok(fitted.written(folder.join(CARD), bundle.card.clone())?))
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn which(count: usize) -> &'static str {
    if count == 1 { "it" } else { "them" }
}

/// The records of both splits. Nobody knows what the model was trained on, so a baseline of its prevalences there is none.
fn subject_of(found: &Scored<'_>, notes: Vec<String>) -> Subject {
    let of = |split| found.predictions(split, |image| image.split == Some(split));
    let (val, test) = (of(Split::Val), of(Split::Test));
    Subject {
        train_prevalence: vec![f64::NAN; test.labels.len()],
        prevalence_of: Split::Train,
        carried: None,
        notes,
        beyond_ranks: shared_patients(&val, &test).into_iter().collect(),
        val: Some(val),
        test,
    }
}

/// What validation chose.
pub(crate) struct Chosen {
    calibration: Vec<Calibration<Calibrator>>,
    pub(crate) thresholds: Vec<Threshold>,
    appraisal: Appraisal,
}

impl Chosen {
    /// Fitted on `val`, the subject's validation records.
    pub(crate) fn on(
        subject: &Subject,
        val: &Predictions,
        options: &AppraiseOptions,
    ) -> Result<Chosen, Failure> {
        // First what may fail: a bundle is not left with half of what was asked for.
        let appraisal = appraise(subject, options)?;
        let patients = val.patient_numbers();
        let val = validation(val)?;
        let fitted = calibrate(val, patients.as_deref(), options.calibration)
            .map_err(|error| failure(Split::Val, &error))?;
        let calibration: Vec<_> = fitted.into_iter().map(calibration).collect();
        let points: Vec<_> = appraisal.operating_points.iter().flat_map(|points| &points.labels).collect();
        let on_test: Vec<_> = points.iter().map(|label| label.point.as_ref()).collect();
        let share = |share: Option<Proportion>| share.map(|share| share.value);
        let threshold =
            |(at, (fitted, calibration)): (usize, (Fitted, &Calibration<Calibrator>))| Threshold {
                // No rounding: a network's scores are f32, and so are thresholds between them.
                logit: fitted.threshold().map(|logit| logit as f32),
                probability: fitted.threshold().map(|logit| probability(Some(calibration), logit)),
                undefined: match fitted {
                    Fitted::Undefined(why) => Some(why.to_string()),
                    Fitted::Threshold(_) => None,
                },
                rule: options.rule.to_string(),
                fitted_on: Some(Split::Val),
                test_sensitivity: on_test.get(at).and_then(|point| share(point.as_ref()?.sensitivity)),
                test_specificity: on_test.get(at).and_then(|point| share(point.as_ref()?.specificity)),
                warning: points.get(at).and_then(|label| label.warning.clone()),
            };
        let fitted = fit(val, options.rule).into_iter().zip(&calibration);
        let thresholds = fitted.enumerate().map(threshold).collect();
        Ok(Chosen { calibration, thresholds, appraisal })
    }

    /// Spreads what was fitted for the labels at `places` over `all` labels.
    fn spread(self, places: &[usize], all: usize, why: &str, options: &AppraiseOptions) -> Chosen {
        let nothing = Calibration {
            calibrator: None,
            left_as_it_is: Some(why.to_owned()),
            fitted_on: Split::Val,
            support: None,
            note: None,
        };
        let nowhere = Threshold {
            logit: None,
            probability: None,
            undefined: Some(why.to_owned()),
            rule: options.rule.to_string(),
            fitted_on: Some(Split::Val),
            test_sensitivity: None,
            test_specificity: None,
            warning: None,
        };
        let (mut calibration, mut thresholds) = (vec![nothing; all], vec![nowhere; all]);
        for ((&place, fitted), threshold) in places.iter().zip(self.calibration).zip(self.thresholds) {
            calibration[place] = fitted;
            thresholds[place] = threshold;
        }
        Chosen { calibration, thresholds, ..self }
    }

    /// Puts both into the card at `path`.
    fn written(self, path: PathBuf, mut card: Card) -> Result<CalibratedBundle, Failure> {
        let Chosen { calibration, thresholds, appraisal } = self;
        (card.calibration, card.thresholds) = (calibration.clone(), thresholds.clone());
        write_json(&path, &card)?;
        Ok(CalibratedBundle { format: 1, card: path, calibration, thresholds, appraisal })
    }
}

/// The calibration in the form of a card.
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
        let notes: String = self.appraisal.notes.iter().map(|note| format!("note: {note}\n")).collect();
        format!(
            "{notes}{}\nCalibrations are in {}, and the thresholds with their calibrated probabilities\n",
            self.appraisal.fitted_text(),
            self.card.display()
        )
    }
}
