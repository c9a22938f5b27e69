//! All that can be said of one model: discrimination, operating points, calibration, subgroups, sources, each beside
//! a baseline that ignores the image.

use crate::by_source;
use crate::carried::{Carried, CarriedLabel};
use crate::net_benefit::{LabelNetBenefit, net_benefits};
use crate::subgroups::{Subgroup, subgroups};
use crate::subject::{Subject, failure, scores, test, validation};
use serde::Serialize;
use std::collections::HashSet;
use xray_artifacts::{Failure, Predictions, Split};
use xray_metrics::probability::brier_of_probabilities;
use xray_metrics::units::Unit;
use xray_metrics::{
    Binning, BySource, CalibrationError, Calibrator, Column, Comparison, DeLong, Evaluation, Metadata,
    MetadataBaseline, Method, NoInterval, OperatingPoint, Rule, Support, auc_intervals, calibration_error,
    delong, evaluate, metadata_baseline, operating_points,
};

/// How a subject is appraised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AppraiseOptions {
    /// How thresholds are chosen.
    pub rule: Rule,
    /// How probabilities are calibrated.
    pub calibration: Method,
}

/// What a model is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Appraisal {
    /// The format of this object.
    pub format: u32,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Scores on test.
    pub test: Evaluation,
    /// How many patients the test records are of; null where nobody names them.
    pub test_patients: Option<usize>,
    /// Labels whose AUC on test has no interval, and why.
    pub missing_intervals: Vec<MissingInterval>,
    /// Why the macro-AUC on test has no interval; null where it has one.
    pub missing_macro_interval: Option<NoInterval>,
    /// AUCs on test with standard errors, per label; null where there can be no interval.
    pub delong: Vec<Option<DeLong>>,
    /// Scores on validation.
    pub val: Option<Evaluation>,
    /// What sex, age and view alone get on test, fitted on validation; null where the records do not tell them.
    pub metadata_baseline: Option<MetadataBaseline>,
    /// The model (a) beside that (b) on the same test records, over the labels that both define.
    pub beside_metadata: Option<Comparison>,
    /// Whose share of positives the baseline says of every image, of each label: `train_prevalence` in `test` holds them.
    /// In a score file without training rows those of the validation rows, without those of the test rows themselves.
    pub prevalence_of: Split,
    /// Chosen on validation, reported on test; null without validation records.
    pub operating_points: Option<OperatingPoints>,
    /// One per label.
    pub reliability: Vec<LabelReliability>,
    /// One per label; null without validation records.
    pub net_benefit: Option<Vec<LabelNetBenefit>>,
    /// Groups of test records by sex, age, view and source, where these are known.
    pub subgroups: Vec<Subgroup>,
    /// Within the sources of the test records, beside the figures over all; null where they are not of several.
    pub by_source: Option<BySource>,
}

/// Why an AUC stands without an interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissingInterval {
    /// The finding.
    pub label: String,
    /// The reason.
    pub why: NoInterval,
}

/// One threshold per label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatingPoints {
    /// How they were chosen.
    pub rule: Rule,
    /// What the intervals count as independent: patients with all their records, or records where nobody names patients.
    pub unit: Unit,
    /// In the order of the model's outputs.
    pub labels: Vec<LabelPoint>,
}

/// What a threshold does on the test records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelPoint {
    /// The finding.
    pub label: String,
    /// Test records that have it.
    pub positives: u64,
    /// Test records that do not.
    pub negatives: u64,
    /// Threshold on the probability, before any calibration; null where there is none.
    pub threshold: Option<f64>,
    /// Why there is none.
    pub undefined: Option<String>,
    /// Why its calls say little: it calls nearly everybody the same, or is no better than chance.
    pub warning: Option<String>,
    /// Calls and their shares; null without a threshold or without known test records.
    pub point: Option<OperatingPoint>,
    /// Share of right calls.
    pub accuracy: Option<f64>,
    /// Share of right calls of whoever always says no.
    pub accuracy_always_no: Option<f64>,
}

/// Whether probabilities mean what they say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelReliability {
    /// The finding.
    pub label: String,
    /// Expected calibration error on test, ten bins of equal count; null without known records.
    pub ece: Option<f64>,
    /// ECE after calibration on validation; null where there is none.
    pub ece_calibrated: Option<f64>,
    /// Why there is none.
    pub uncalibrated: Option<String>,
    /// How many validation patients, or records, taught the calibration.
    pub support: Option<Support>,
    /// Why the calibration is not of the method that was asked for.
    pub calibration_note: Option<String>,
    /// `ece` beside what chance makes of it, and the records of each bin.
    pub error: Option<CalibrationError>,
    /// Parts of `ece_calibrated`.
    pub error_calibrated: Option<CalibrationError>,
    /// Mean squared difference of probability and outcome.
    pub brier: Option<f64>,
    /// Brier score after calibration.
    pub brier_calibrated: Option<f64>,
    /// What a constant gets; null where nobody knows it or the label of any test record.
    pub constant: Option<Constant>,
}

/// The prevalence of other records ([`Appraisal::prevalence_of`]), said of every test record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Constant {
    /// The probability.
    pub probability: f64,
    /// Its distance from the share of positives in test: all records are in one bin.
    pub ece: f64,
    /// Its Brier score.
    pub brier: f64,
}

/// Bins of the calibration error.
const BINS: u16 = 10;

pub(crate) const NO_VALIDATION: &str = "there are no validation records";

/// Looks at a subject.
pub fn appraise(subject: &Subject, options: &AppraiseOptions) -> Result<Appraisal, Failure> {
    let (val, test) = (subject.val.as_ref(), &subject.test);
    let of = |predictions: &Predictions| evaluate_split(predictions, subject);
    let patients = test.patient_numbers();
    let intervals = auc_intervals(scores(test)?, patients.as_deref());
    let intervals = intervals.map_err(|error| failure(test.split, &error))?;
    let carried = match (&subject.carried, val) {
        (Some(carried), _) => Some(carried.clone()),
        (None, Some(val)) => Some(Carried::of_validation(val, options.rule, options.calibration)?),
        (None, None) => None,
    };
    let carried = carried.as_ref();
    let whys: Vec<_> = intervals.labels.iter().map(|interval| interval.err()).collect();
    let metadata_baseline = val.map(|val| metadata_of(val, test)).transpose()?.flatten();
    Ok(Appraisal {
        format: 1,
        notes: [&subject.beyond_ranks[..], &subject.notes[..]].concat(),
        test: of(test)?,
        test_patients: patients.as_ref().map(|patients| patients.iter().collect::<HashSet<_>>().len()),
        delong: delong_of(test, patients.as_deref(), &whys)?,
        missing_intervals: missing(&test.labels, &whys),
        missing_macro_interval: intervals.macro_auc.err(),
        val: val.map(of).transpose()?,
        beside_metadata: metadata_baseline
            .as_ref()
            .map(|baseline| beside_metadata(test, baseline, patients.as_deref()))
            .transpose()?,
        metadata_baseline,
        prevalence_of: subject.prevalence_of,
        operating_points: carried.map(|carried| points(carried, test)).transpose()?,
        reliability: reliability_of(subject, carried)?,
        net_benefit: carried.map(|carried| net_benefits(carried, test)).transpose()?,
        subgroups: subgroups(test).map_err(|error| failure(test.split, &error))?,
        by_source: by_source::of_test(test, val)?,
    })
}

fn missing(labels: &[String], whys: &[Option<NoInterval>]) -> Vec<MissingInterval> {
    let missing = |(label, why): (&String, &Option<NoInterval>)| {
        Some(MissingInterval { label: label.clone(), why: (*why)? })
    };
    labels.iter().zip(whys).filter_map(missing).collect()
}

fn delong_of(
    test: &Predictions,
    patients: Option<&[u32]>,
    whys: &[Option<NoInterval>],
) -> Result<Vec<Option<DeLong>>, Failure> {
    let scores = scores(test)?;
    let of_label = |(label, why): (usize, &Option<NoInterval>)| match why {
        None => delong(scores, label, patients).map_err(|error| failure(test.split, &error)),
        Some(_) => Ok(None),
    };
    whys.iter().enumerate().map(of_label).collect()
}

fn beside_metadata(
    of: &Predictions,
    baseline: &MetadataBaseline,
    patients: Option<&[u32]>,
) -> Result<Comparison, Failure> {
    baseline.beside(test(of)?, patients).map_err(|error| failure(of.split, &error))
}

fn evaluate_split(predictions: &Predictions, subject: &Subject) -> Result<Evaluation, Failure> {
    let patients = predictions.patient_numbers();
    let (labels, prevalence) = (&predictions.labels, &subject.train_prevalence);
    evaluate(labels, scores(predictions)?, prevalence, patients.as_deref())
        .map_err(|error| failure(predictions.split, &error))
}

fn metadata_of(val: &Predictions, of: &Predictions) -> Result<Option<MetadataBaseline>, Failure> {
    fn known(of: &Predictions) -> Metadata<'_> {
        Metadata { sexes: &of.sexes, ages: &of.ages, views: &of.views }
    }
    Ok(metadata_baseline((validation(val)?, known(val)), (test(of)?, known(of))))
}

fn points(carried: &Carried, of: &Predictions) -> Result<OperatingPoints, Failure> {
    let patients = of.patient_numbers();
    let found = operating_points(test(of)?, &carried.thresholds(), patients.as_deref())
        .map_err(|error| failure(of.split, &error))?;
    let of_test = scores(of)?;
    let counts = of_test.counts();
    let label = |(at, carried): (usize, &CarriedLabel)| LabelPoint {
        label: of.labels[at].clone(),
        positives: counts[at].positives,
        negatives: counts[at].negatives,
        threshold: carried.threshold.threshold().map(|score| of_test.as_probability(score)),
        undefined: carried.undefined.clone(),
        warning: carried.warning(found[at].as_ref()),
        accuracy: found[at].as_ref().and_then(|point| point.confusion.accuracy()),
        point: found[at].clone(),
        accuracy_always_no: counts[at].prevalence().map(|share| 1.0 - share),
    };
    let unit = if patients.is_some() { Unit::Patient } else { Unit::Record };
    let labels = carried.labels.iter().enumerate().map(label).collect();
    Ok(OperatingPoints { rule: carried.rule, unit, labels })
}

fn reliability_of(subject: &Subject, carried: Option<&Carried>) -> Result<Vec<LabelReliability>, Failure> {
    let test = scores(&subject.test)?;
    let counts = test.counts();
    let label = |at: usize| {
        let fitted = match carried {
            Some(carried) => carried.labels[at].calibration.as_ref().map_err(String::as_str),
            None => Err(NO_VALIDATION),
        };
        let before = test.probabilities(at);
        let after = fitted.ok().and_then(|fitted| calibrated(&test.logits(at), &fitted.calibrator));
        let error = error_of(&before);
        let error_calibrated = after.as_ref().and_then(error_of);
        LabelReliability {
            label: subject.test.labels[at].clone(),
            ece: error.as_ref().map(|error| error.ece),
            ece_calibrated: error_calibrated.as_ref().map(|error| error.ece),
            support: fitted.ok().and_then(|fitted| fitted.support),
            calibration_note: fitted.ok().and_then(|fitted| fitted.note.clone()),
            uncalibrated: fitted.err().map(str::to_owned),
            error,
            error_calibrated,
            brier: brier_of_probabilities(&before),
            brier_calibrated: after.as_ref().and_then(brier_of_probabilities),
            constant: counts[at].prevalence().and_then(|here| constant(subject.train_prevalence[at], here)),
        }
    };
    Ok((0..subject.test.labels.len()).map(label).collect())
}

/// Calibrated probabilities of these logits.
fn calibrated(logits: &Column, calibrator: &Calibrator) -> Option<Column> {
    let rows = logits.iter().map(|(logit, positive)| (calibrator.probability(logit), positive));
    let (probabilities, truth) = rows.unzip();
    Column::new(probabilities, truth).ok()
}

fn error_of(column: &Column) -> Option<CalibrationError> {
    calibration_error(column, Binning::EqualCount, BINS).ok()?
}

fn constant(said: f64, here: f64) -> Option<Constant> {
    (!said.is_nan()).then(|| Constant {
        probability: said,
        ece: (said - here).abs(),
        brier: here * (1.0 - said).powi(2) + (1.0 - here) * said.powi(2),
    })
}
