//! A model on another data set: does it do there what it does on its own? Thresholds and calibrations are carried over,
//! never fitted again, unless a recalibration on a part of the other data is asked for, which is said.

mod beside;
mod labels;
mod patients;
mod text;

pub use beside::LabelBeside;
pub use labels::{LabelMap, MatchedLabel, MatchedLabels};

use crate::appraisal::{Appraisal, AppraiseOptions, appraise};
use crate::carried::Carried;
use crate::labelled::{LabelledImages, Scored, nothing_of};
use crate::predict::{Device, Pace};
use crate::run_model::bundle_folder;
use crate::subject::Subject;
use beside::{Own, beside};
use patients::Known;
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Exit, Failure, Predictions, Split};
use xray_bundle::{Bundle, Card};
use xray_data::sources::{GivenImage, LabelledOptions};
use xray_metrics::{Method, Rule, Unpaired};
use xray_model::Backend;

/// What a model is tried on, and how.
#[derive(Clone, Debug)]
pub struct ExternalOptions {
    /// The other data: shards, TFRecords, a folder of images, a table.
    pub data: PathBuf,
    /// How they are read, and the table that says what is true.
    pub labelled: LabelledOptions,
    /// Which label is which.
    pub map: LabelMap,
    /// Only records of this split.
    pub split: Option<Split>,
    /// Calibrate again on the records of this split of the other data, and report on the others.
    pub recalibrate_on: Option<Split>,
    /// Equal patient identifiers are of different people, because the two places number their patients each on its own.
    pub other_patients: bool,
    /// How thresholds are chosen on the run's own validation records; where none, those of its card are taken, if there are.
    pub rule: Option<Rule>,
    /// How probabilities are calibrated; where none, as for the rule.
    pub calibration: Option<Method>,
    /// What computes: this processor, or a GPU of `xray-train-gpu` beside this program.
    pub backend: Backend,
    /// How fast.
    pub pace: Pace,
}

/// What a model is worth on another data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct External {
    /// The format of this object.
    pub format: u32,
    /// The other data.
    pub data: PathBuf,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Which label is which, and those without a counterpart.
    pub labels: MatchedLabels,
    /// Where thresholds and calibrations come from; null where there are none.
    pub carried_from: Option<String>,
    /// The split of the other data on which the calibrations were fitted again; null where they were carried over.
    pub recalibrated_on: Option<Split>,
    /// Records that cannot be read, and are left out.
    pub unread: usize,
    /// Figures of both sides; `a` is the model's own test records.
    pub beside: Vec<LabelBeside>,
    /// Mean AUC of the labels that both sides define.
    pub macro_auc: Unpaired,
    /// How many those are.
    pub macro_labels: usize,
    /// All that is found on the other data alone, with the baselines that ignore the image.
    pub appraisal: Appraisal,
}

/// Tries the model of a run or of a bundle on other data. The exit code of the signal that arrived meanwhile, where one
/// did.
///
/// # Errors
/// Data that cannot be read; no label that matches; a patient in both sets; choices that need validation records which a
/// bundle has not.
pub fn external(model: &Path, options: &ExternalOptions) -> Result<Result<External, Exit>, Failure> {
    xray_model::set_threads(options.pace.threads);
    let folder = bundle_folder(model)?;
    let bundle = Arc::new(Bundle::open(&folder)?);
    let card = &bundle.card;
    let own = if model.join("result.json").is_file() { Some(Subject::of_run(model)?) } else { None };
    if let Some(own) = own.as_ref().filter(|own| own.test.labels != card.labels) {
        let labels = own.test.labels.join(", ");
        return Err(Failure::new(
            Exit::ModelMismatch,
            format!("the run's predictions have other labels than its model: {labels}"),
        )
        .hint("the bundle and the predictions come from different runs; train again"));
    }
    let others = LabelledImages::read(&options.data, &options.labelled, &options.map, &card.labels)?;
    let others = of_split(others, options)?;
    let mut notes = others.notes.clone();
    let known = match &own {
        Some(own) => Known::of_run(model, own, card),
        None => Known::of_bundle(),
    };
    let named = others.images().iter().filter_map(|image| image.about.patient_id.as_deref());
    refuse_shared(&known, options, named)?;
    notes.extend(known.notes.iter().cloned());
    if options.other_patients {
        notes.push("patients of the two sets are taken for different people, as asked".to_owned());
    }
    let carried = Chosen::of(own.as_ref(), card, options)?;

    let mut device = Device::open(options.backend, &folder)?;
    let found = match others.scored(&bundle, &mut device, options.pace)? {
        Ok(found) => found,
        Err(stopped) => return Ok(Err(stopped)),
    };
    let unread = found.unread()?;
    refuse_shared(&known, options, found.patients())?;
    let places = others.places();
    let (test, recalibrated) = carried.apply(&found, options, &places)?;
    let own = own.as_ref().map(|own| restricted(own, &places, carried.before(&places)));
    let appraise_options = AppraiseOptions {
        rule: options.rule.unwrap_or(Rule::Youden),
        calibration: options.calibration.unwrap_or(Method::Platt),
    };
    let subject = Subject {
        test,
        val: own.as_ref().and_then(|own| own.val.clone()),
        carried: recalibrated,
        train_prevalence: own
            .as_ref()
            .map_or_else(|| train_prevalence(card, &places), |own| own.train_prevalence.clone()),
        prevalence_of: Split::Train,
        notes: Vec::new(),
        beyond_ranks: Vec::new(),
    };
    let appraisal = appraise(&subject, &appraise_options)?;
    let own_appraisal = own.as_ref().map(|own| appraise(own, &appraise_options)).transpose()?;
    let own_side = match (&own, &own_appraisal) {
        (Some(own), Some(appraisal)) => {
            Own::Scores { test: &own.test, appraisal, carried: own.carried.as_ref() }
        }
        _ => Own::Card(card),
    };
    let (beside, macro_auc, macro_labels) =
        beside(&others.labels.matched, &own_side, &subject.test, &appraisal, subject.carried.as_ref())?;
    Ok(Ok(External {
        format: 1,
        data: options.data.clone(),
        notes,
        labels: others.labels.clone(),
        carried_from: carried.from,
        recalibrated_on: options.recalibrate_on,
        unread,
        beside,
        macro_auc,
        macro_labels,
        appraisal,
    }))
}

fn of_split(images: LabelledImages, options: &ExternalOptions) -> Result<LabelledImages, Failure> {
    let images = match options.split {
        Some(split) => images.only(|image| image.split == Some(split)),
        None => images,
    };
    if let Some(split) = options.split.filter(|_| images.images().is_empty()) {
        return Err(nothing_of(split, &options.data));
    }
    let mut splits = images.images().iter().map(|image| image.split);
    match options.recalibrate_on {
        Some(split) if splits.clone().all(|of| of != Some(split)) => Err(nothing_of(split, &options.data)),
        Some(split) if splits.all(|of| of == Some(split)) => {
            let message = format!(
                "all of {} is in the {split} split: nothing is left to report on",
                options.data.display()
            );
            Err(Failure::new(Exit::Usage, message).hint("recalibrate on a part of the data"))
        }
        _ => Ok(images),
    }
}

fn refuse_shared<'a>(
    known: &Known,
    options: &ExternalOptions,
    patients: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    if options.other_patients { Ok(()) } else { known.refuse(patients) }
}

/// Thresholds and calibrations that are carried over, and where they come from.
struct Chosen {
    carried: Option<Carried>,
    from: Option<String>,
}

impl Chosen {
    fn of(own: Option<&Subject>, card: &Card, options: &ExternalOptions) -> Result<Chosen, Failure> {
        let asked =
            options.rule.is_some() || options.calibration.is_some() && options.recalibrate_on.is_none();
        let val = own.and_then(|own| own.val.as_ref());
        if asked && val.is_none() {
            let message = "a bundle has no validation records, on which --rule and --calibration choose";
            return Err(Failure::new(Exit::Usage, message).hint(
                "name the run directory, or leave them out: what the bundle's card says is carried over",
            ));
        }
        if !asked && let Some(carried) = Carried::of_card(card)? {
            return Ok(Chosen { carried: Some(carried), from: Some("the model's card".to_owned()) });
        }
        let Some(val) = val else { return Ok(Chosen { carried: None, from: None }) };
        let rule = options.rule.unwrap_or(Rule::Youden);
        let carried = Carried::of_validation(val, rule, options.calibration.unwrap_or(Method::Platt))?;
        Ok(Chosen { carried: Some(carried), from: Some("the run's own validation records".to_owned()) })
    }

    /// What was chosen before, for the labels that match.
    fn before(&self, places: &[usize]) -> Option<Carried> {
        self.carried.as_ref().map(|carried| carried.of_labels(places))
    }

    /// The records to report on, and what is applied to them: calibrated again where that is asked for.
    fn apply(
        &self,
        found: &Scored<'_>,
        options: &ExternalOptions,
        places: &[usize],
    ) -> Result<(Predictions, Option<Carried>), Failure> {
        let before = self.before(places);
        let Some(split) = options.recalibrate_on else {
            return Ok((found.predictions(Split::Test, |_| true), before));
        };
        let of_split = |image: &GivenImage| image.split == Some(split);
        let (on, test) = (
            found.predictions(Split::Val, of_split),
            found.predictions(Split::Test, |image| !of_split(image)),
        );
        let reported: HashSet<&String> = test.patients.iter().collect();
        if let Some(patient) = on.patients.iter().find(|patient| reported.contains(patient)) {
            let message = format!("patient `{patient}` is in the {split} split and in another one");
            return Err(Failure::new(Exit::BadData, message)
                .hint("calibration and report must not share patients: split the data by patient"));
        }
        let Some(before) = before else {
            let message = "the model has no thresholds to carry over, so there is nothing to compare the \
                           recalibration with";
            return Err(Failure::new(Exit::Usage, message)
                .hint("calibrate it first: `xray-eval calibrate RUN`, or `calibrate BUNDLE --data DATA`"));
        };
        let method = options.calibration.unwrap_or(Method::Platt);
        Ok((test, Some(before.recalibrated(&on, method)?)))
    }
}

/// A run's own side, on some of its labels.
fn restricted(own: &Subject, places: &[usize], carried: Option<Carried>) -> Subject {
    Subject {
        test: own.test.of_labels(places),
        val: own.val.as_ref().map(|val| val.of_labels(places)),
        carried,
        train_prevalence: places.iter().map(|&at| own.train_prevalence[at]).collect(),
        ..own.clone()
    }
}

/// Training prevalences from the card.
fn train_prevalence(card: &Card, places: &[usize]) -> Vec<f64> {
    let scored = card.scores.get(&Split::Test).or(card.scores.get(&Split::Val));
    let of = |at: &usize| scored?.labels.get(*at)?.train_prevalence;
    places.iter().map(|at| of(at).unwrap_or(f64::NAN)).collect()
}
