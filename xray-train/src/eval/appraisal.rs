//! All that can be said of one model: discrimination, operating points, calibration, subgroups, each beside what a
//! predictor gets that looks at no image.

use super::subgroups::{self, Subgroup, subgroups};
use super::subject::{Subject, failure, scores};
use super::text_table::{TextTable, number, with_interval};
use serde::Serialize;
use std::fmt::Write;
use xray_artifacts::{Failure, Predictions};
use xray_metrics::bootstrap::Unit;
use xray_metrics::probability::sigmoid;
use xray_metrics::threshold::{Fitted, fit};
use xray_metrics::{
    Binning, Calibrator, Column, Evaluation, Metadata, MetadataBaseline, Method, OperatingPoint, Proportion,
    Rule, Scores, TestScores, ValidationScores, calibrate, ece, evaluate, metadata_baseline,
    operating_points, reliability,
};

/// How to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How thresholds are chosen.
    pub rule: Rule,
    /// How probabilities are mended.
    pub calibration: Method,
    /// Of the bootstrap; 0 leaves intervals out.
    pub resamples: u32,
    /// Of the bootstrap.
    pub seed: u64,
}

/// What a model is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Appraisal {
    /// The format of this object.
    pub format: u32,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// On test.
    pub test: Evaluation,
    /// On validation.
    pub val: Option<Evaluation>,
    /// What sex, age and view alone get on test, fitted on validation; null where the records do not tell them.
    pub metadata_baseline: Option<MetadataBaseline>,
    /// Chosen on validation, reported on test; null without validation records.
    pub operating_points: Option<OperatingPoints>,
    /// One per label.
    pub reliability: Vec<LabelReliability>,
    /// Of the test records, where they say sex, age or view.
    pub subgroups: Vec<Subgroup>,
}

/// One threshold per label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatingPoints {
    /// How they were chosen.
    pub rule: Rule,
    /// In the order of the model's outputs.
    pub labels: Vec<LabelPoint>,
}

/// What a threshold does on the test records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelPoint {
    /// The finding.
    pub label: String,
    /// On the probability, before any calibration; null where there is none.
    pub threshold: Option<f64>,
    /// Why there is none.
    pub undefined: Option<String>,
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
    /// The same after calibration on validation; null where there is none.
    pub ece_calibrated: Option<f64>,
    /// Why there is none.
    pub uncalibrated: Option<String>,
}

/// Bins of the calibration error.
const BINS: u16 = 10;

const NO_VALIDATION: &str = "there are no validation records";

/// Looks at a subject.
pub fn appraise(subject: &Subject, settings: &Settings) -> Result<Appraisal, Failure> {
    let of = |predictions: &Predictions| evaluate_split(predictions, subject, settings);
    let groups = subgroups(&subject.test, settings.resamples, settings.seed)
        .map_err(|error| failure(subject.test.split, &error))?;
    Ok(Appraisal {
        format: 1,
        notes: subject.notes.clone(),
        test: of(&subject.test)?,
        val: subject.val.as_ref().map(of).transpose()?,
        metadata_baseline: subject
            .val
            .as_ref()
            .map(|val| metadata_of(val, &subject.test))
            .transpose()?
            .flatten(),
        operating_points: subject
            .val
            .as_ref()
            .map(|val| points(val, &subject.test, settings.rule))
            .transpose()?,
        reliability: reliability_of(subject, settings.calibration)?,
        subgroups: groups,
    })
}

fn evaluate_split(
    predictions: &Predictions,
    subject: &Subject,
    settings: &Settings,
) -> Result<Evaluation, Failure> {
    let patients = predictions.patient_numbers();
    let (labels, prevalence) = (&predictions.labels, &subject.train_prevalence);
    let Settings { resamples, seed, .. } = *settings;
    evaluate(labels, scores(predictions)?, prevalence, patients.as_deref(), resamples, seed)
        .map_err(|error| failure(predictions.split, &error))
}

fn metadata_of(val: &Predictions, test: &Predictions) -> Result<Option<MetadataBaseline>, Failure> {
    fn known(of: &Predictions) -> Metadata<'_> {
        Metadata { sexes: &of.sexes, ages: &of.ages, views: &of.views }
    }
    let (val_scores, test_scores) = (ValidationScores::new(scores(val)?), TestScores::new(scores(test)?));
    Ok(metadata_baseline((val_scores, known(val)), (test_scores, known(test))))
}

fn points(val: &Predictions, test: &Predictions, rule: Rule) -> Result<OperatingPoints, Failure> {
    let fitted = fit(ValidationScores::new(scores(val)?), rule);
    let test_scores = scores(test)?;
    let found = operating_points(TestScores::new(test_scores), &fitted)
        .map_err(|error| failure(test.split, &error))?;
    let prevalence: Vec<_> = test_scores.counts().iter().map(|counts| counts.prevalence()).collect();
    let label = |at: usize| LabelPoint {
        label: test.labels[at].clone(),
        threshold: fitted[at].threshold().map(|logit| sigmoid(f64::from(logit))),
        undefined: match &fitted[at] {
            Fitted::Undefined(why) => Some(why.to_string()),
            Fitted::Threshold(_) => None,
        },
        accuracy: found[at].as_ref().and_then(|point| point.confusion.accuracy()),
        point: found[at].clone(),
        accuracy_always_no: prevalence[at].map(|share| 1.0 - share),
    };
    Ok(OperatingPoints { rule, labels: (0..test.labels.len()).map(label).collect() })
}

fn reliability_of(subject: &Subject, method: Method) -> Result<Vec<LabelReliability>, Failure> {
    let test = scores(&subject.test)?;
    let fitted = match &subject.val {
        Some(val) => {
            let fitted = calibrate(ValidationScores::new(scores(val)?), method).into_iter();
            fitted.map(|label| label.map_err(|why| why.to_string())).collect()
        }
        None => vec![Err(NO_VALIDATION.to_owned()); subject.test.labels.len()],
    };
    let label = |(at, fitted): (usize, Result<Calibrator, String>)| LabelReliability {
        label: subject.test.labels[at].clone(),
        ece: error_of(test, at, sigmoid),
        ece_calibrated: fitted
            .as_ref()
            .ok()
            .and_then(|fit| error_of(test, at, |logit| fit.probability(logit))),
        uncalibrated: fitted.err(),
    };
    Ok(fitted.into_iter().enumerate().map(label).collect())
}

fn error_of(test: Scores<'_>, label: usize, probability: impl Fn(f64) -> f64) -> Option<f64> {
    let rows = test.column(label);
    let (probabilities, truth) = rows.iter().map(|(logit, positive)| (probability(logit), positive)).unzip();
    let column = Column::new(probabilities, truth).ok()?;
    ece(&reliability(&column, Binning::EqualCount, BINS).ok()?)
}

impl Appraisal {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let whose = match &self.test.intervals {
            Some(method) if method.unit == Unit::Patient => format!(" of {} patients", method.units),
            Some(_) => ", taken as independent because no patients are named".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "\nDiscrimination on test, 95 % intervals; {} records{whose}\n",
            self.test.records
        );
        text += &self.discrimination();
        text += &self.fitted_text();
        if !self.subgroups.is_empty() {
            let _ = writeln!(text, "\nSubgroups of test\n");
            text += &subgroups::table(&self.subgroups);
        }
        text
    }

    /// Operating points and calibrations.
    pub(super) fn fitted_text(&self) -> String {
        let mut text = String::new();
        match &self.operating_points {
            Some(points) => {
                let _ =
                    writeln!(text, "\nOperating points: {} on validation, reported on test\n", points.rule);
                text += &points.table();
            }
            None => {
                text += "\nNo operating points and no calibration: there are no validation records to fit them on.\n"
            }
        }
        let _ = writeln!(text, "\nCalibration: expected error of the probabilities on test\n");
        text += &self.calibration();
        text
    }

    fn discrimination(&self) -> String {
        let test = &self.test;
        let mut table = TextTable::new(&["label", "positives", "AUC", "AP", "prevalence", "Brier"]);
        for label in &test.labels {
            table.row(vec![
                label.label.clone(),
                label.positives.to_string(),
                with_interval(label.auc, label.auc_interval),
                number(label.average_precision),
                number(label.prevalence),
                number(label.brier),
            ]);
        }
        table.row(vec![
            "macro".to_owned(),
            String::new(),
            with_interval(test.macro_auc, test.macro_auc_interval),
            number(test.macro_average_precision),
            number(test.macro_average_precision_baseline),
            number(test.macro_brier),
        ]);
        table.row(vec![
            "without a look".to_owned(),
            String::new(),
            number(test.macro_auc.map(|_| 0.5)),
            number(test.macro_average_precision_baseline),
            String::new(),
            number(test.macro_brier_baseline),
        ]);
        if let Some(metadata) = &self.metadata_baseline {
            let mut row = vec![String::new(); 6];
            row[0] = "sex, age and view alone".to_owned();
            row[2] = number(metadata.macro_auc);
            table.row(row);
        }
        let mut text = table.text();
        let _ = writeln!(
            text,
            "micro-AUC {}; a predictor that looks at no image gets {}",
            number(test.micro_auc),
            number(test.micro_auc_baseline)
        );
        if test.undefined_labels > 0 {
            let _ = writeln!(
                text,
                "{} of {} labels have no AUC: no positive or no negative record",
                test.undefined_labels,
                test.labels.len()
            );
        }
        if !test.collapsed_labels.is_empty() {
            let _ = writeln!(text, "the same score whatever the image: {}", test.collapsed_labels.join(", "));
        }
        text
    }

    fn calibration(&self) -> String {
        let mut table = TextTable::new(&["label", "as it is", "calibrated on validation"]);
        let mut whys = String::new();
        for label in &self.reliability {
            // Said once above, not for every label.
            if let Some(why) = label.uncalibrated.as_ref().filter(|why| *why != NO_VALIDATION) {
                let _ = writeln!(whys, "{}: {why}", label.label);
            }
            table.row(vec![label.label.clone(), number(label.ece), number(label.ece_calibrated)]);
        }
        table.text() + &whys
    }
}

impl OperatingPoints {
    fn table(&self) -> String {
        let header =
            ["label", "threshold", "sensitivity", "specificity", "PPV", "NPV", "F1", "accuracy", "always no"];
        let mut table = TextTable::new(&header);
        let mut whys = String::new();
        let share = |share: Option<Proportion>| {
            with_interval(share.map(|share| share.value), share.map(|share| share.interval))
        };
        for label in &self.labels {
            if let Some(why) = &label.undefined {
                let _ = writeln!(whys, "{}: {why}", label.label);
            }
            let point = label.point.as_ref();
            let value = |figure: fn(&OperatingPoint) -> Option<Proportion>| {
                number(point.and_then(figure).map(|share| share.value))
            };
            table.row(vec![
                label.label.clone(),
                number(label.threshold),
                share(point.and_then(|point| point.sensitivity)),
                share(point.and_then(|point| point.specificity)),
                value(|point| point.ppv),
                value(|point| point.npv),
                number(point.and_then(|point| point.f1)),
                number(label.accuracy),
                number(label.accuracy_always_no),
            ]);
        }
        table.text() + &whys
    }
}
