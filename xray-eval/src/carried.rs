//! What was chosen before the test records are looked at: a threshold and a calibration for each label, fitted on
//! validation records now, or carried over from a model's card, which was so before.

use crate::appraisal::NO_VALIDATION;
use crate::subject::{failure, scores, validation};
use xray_artifacts::{Calibration, Exit, Failure, Predictions, Split};
use xray_bundle::Card;
use xray_metrics::threshold::{self, Fitted};
use xray_metrics::units::Unit;
use xray_metrics::{
    Calibrator, Column, FittedCalibrator, Method, OperatingPoint, Rule, Support, Undefined, one_sided,
};

/// What is carried over to the test records.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// How thresholds were chosen.
    pub rule: Rule,
    /// One per label.
    pub labels: Vec<CarriedLabel>,
}

/// Threshold and calibration of one label.
#[derive(Clone, Debug, PartialEq)]
pub struct CarriedLabel {
    /// Threshold on the given scores: logits, or probabilities of a table.
    pub threshold: Fitted,
    /// Threshold on logits.
    pub logit: Fitted,
    /// From logits to probabilities, or why there is no calibration.
    pub calibration: Result<CarriedCalibration, String>,
    /// Share of positives among the records that chose.
    pub prevalence: Option<f64>,
    /// Why there is no threshold.
    pub undefined: Option<String>,
    /// What a card says of the threshold's calls.
    said: Option<String>,
    /// The scores that chose; empty where they are not at hand.
    chosen_on: Column,
}

/// A calibration and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct CarriedCalibration {
    /// The way from logits to probabilities.
    pub calibrator: Calibrator,
    /// How many patients, or records, taught it; none in old cards.
    pub support: Option<Support>,
    /// Why it is not of the method that was asked for.
    pub note: Option<String>,
}

impl Carried {
    /// Fitted on validation records.
    ///
    /// # Errors
    /// If scores or labels are none.
    pub(crate) fn of_validation(val: &Predictions, rule: Rule, method: Method) -> Result<Carried, Failure> {
        let thresholds = threshold::fit(validation(val)?, rule);
        let logits = threshold::fit(validation(val)?.on_logits(), rule);
        let calibrations = calibrations(val, method)?;
        let (chosen_on, counts) = (scores(val)?, scores(val)?.counts());
        let label = |(at, calibration): (usize, Result<CarriedCalibration, String>)| CarriedLabel {
            threshold: thresholds[at],
            logit: logits[at],
            calibration,
            prevalence: counts[at].prevalence(),
            undefined: match &thresholds[at] {
                Fitted::Undefined(why) => Some(why.to_string()),
                Fitted::Threshold(_) => None,
            },
            said: None,
            chosen_on: chosen_on.column(at),
        };
        Ok(Carried { rule, labels: calibrations.into_iter().enumerate().map(label).collect() })
    }

    /// Those of a card, where it was calibrated.
    ///
    /// # Errors
    /// A rule that is not known here.
    pub(crate) fn of_card(card: &Card) -> Result<Option<Carried>, Failure> {
        let Some(first) = card.thresholds.first() else { return Ok(None) };
        let rule = first.rule.parse().map_err(|error: xray_metrics::Error| {
            Failure::new(Exit::ModelMismatch, format!("the model's card: {error}"))
                .hint("another version of this program calibrated it: calibrate it again")
        })?;
        let prevalence = |at: usize| card.scores.get(&Split::Val)?.labels.get(at)?.prevalence;
        let label = |at: usize| {
            let threshold = card.thresholds.get(at);
            let fitted = match threshold.and_then(|threshold| threshold.logit) {
                Some(logit) => Fitted::Threshold(f64::from(logit)),
                // The reason stands beside it.
                None => Fitted::Undefined(Undefined::NoRecords),
            };
            CarriedLabel {
                threshold: fitted,
                logit: fitted,
                calibration: of_card(card, at),
                prevalence: prevalence(at),
                undefined: threshold.and_then(|threshold| threshold.undefined.clone()),
                said: threshold.and_then(|threshold| threshold.warning.clone()),
                chosen_on: Column::default(),
            }
        };
        Ok(Some(Carried { rule, labels: (0..card.labels.len()).map(label).collect() }))
    }

    /// Only those of some labels, by their places.
    #[must_use]
    pub(crate) fn of_labels(&self, places: &[usize]) -> Carried {
        Carried { rule: self.rule, labels: places.iter().map(|&at| self.labels[at].clone()).collect() }
    }

    /// The same thresholds with calibrations of other records.
    ///
    /// # Errors
    /// If scores or labels are none.
    pub(crate) fn recalibrated(self, on: &Predictions, method: Method) -> Result<Carried, Failure> {
        let labels = self.labels.into_iter().zip(calibrations(on, method)?);
        let labels = labels.map(|(label, calibration)| CarriedLabel { calibration, ..label }).collect();
        Ok(Carried { labels, ..self })
    }

    /// One per label.
    pub(crate) fn thresholds(&self) -> Vec<Fitted> {
        self.labels.iter().map(|label| label.threshold).collect()
    }
}

impl CarriedLabel {
    /// A sentence if the threshold's calls say little.
    pub(crate) fn warning(&self, point: Option<&OperatingPoint>) -> Option<String> {
        one_sided::warning(self.threshold, &self.chosen_on, point).or_else(|| self.said.clone())
    }
}

fn calibrations(
    val: &Predictions,
    method: Method,
) -> Result<Vec<Result<CarriedCalibration, String>>, Failure> {
    let patients = val.patient_numbers();
    let fitted = xray_metrics::calibrate(validation(val)?, patients.as_deref(), method)
        .map_err(|error| failure(val.split, &error))?;
    let carried = |fitted: FittedCalibrator| CarriedCalibration {
        note: fitted.note(),
        support: Some(fitted.support),
        calibrator: fitted.calibrator,
    };
    Ok(fitted.into_iter().map(|label| label.map(carried).map_err(|why| why.to_string())).collect())
}

/// A calibration chosen on validation, in the form of a card.
pub(crate) fn on_card(calibration: &Result<CarriedCalibration, String>) -> Calibration<Calibrator> {
    let fitted = calibration.as_ref().ok();
    let support = |support: Support| xray_artifacts::Support {
        unit: support.unit.to_string(),
        positives: support.positives,
        negatives: support.negatives,
    };
    Calibration {
        calibrator: fitted.map(|fitted| fitted.calibrator.clone()),
        left_as_it_is: calibration.as_ref().err().cloned(),
        fitted_on: Split::Val,
        support: fitted.and_then(|fitted| fitted.support).map(support),
        note: fitted.and_then(|fitted| fitted.note.clone()),
    }
}

fn of_card(card: &Card, at: usize) -> Result<CarriedCalibration, String> {
    let why = |why: Option<String>| why.unwrap_or_else(|| NO_VALIDATION.to_owned());
    if !card.members.is_empty() {
        return Err("it is the mean of its members' calibrated probabilities".to_owned());
    }
    let Some(found) = card.calibration.get(at).cloned() else { return Err(why(None)) };
    let Some(calibrator) = found.calibrator else { return Err(why(found.left_as_it_is)) };
    let support = found.support.map(|support| Support {
        unit: if support.unit == Unit::Patient.to_string() { Unit::Patient } else { Unit::Record },
        positives: support.positives,
        negatives: support.negatives,
    });
    Ok(CarriedCalibration { calibrator, support, note: found.note })
}
