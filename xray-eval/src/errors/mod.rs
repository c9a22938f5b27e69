//! Where a model is wrong, and where its labels may be: the worst mistakes of each finding with their maps, and labels that
//! the scores contradict, on records that the model was not trained on.

mod by_finding;
mod judged;
mod page;
mod pictures;
mod text;

use crate::out_of_fold::within_runs;
use judged::Judged;
use pictures::Wanted;
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, write_bytes};
use xray_metrics::label_errors::label_errors;
use xray_metrics::{Rule, ValidationScores};

/// What the page shows.
#[derive(Clone, Debug)]
pub struct ErrorsOptions {
    /// The page to write: NAME.html.
    pub out: PathBuf,
    /// Replace it.
    pub overwrite: bool,
    /// How many false positives of each finding are shown, and as many false negatives.
    pub images: usize,
    /// How many labels that may be wrong are shown.
    pub suspects: usize,
    /// How thresholds are chosen on validation.
    pub rule: Rule,
    /// Where the data lie now, if elsewhere than in training.
    pub data: Option<PathBuf>,
}

/// Mistakes of a model, and labels that may be wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// The format of this object.
    pub format: u32,
    /// The page.
    pub out: PathBuf,
    /// One run on its validation records, or the runs of all folds.
    pub runs: Vec<PathBuf>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// How many records were looked at.
    pub records: usize,
    /// How thresholds were chosen.
    pub rule: String,
    /// One for each finding.
    pub labels: Vec<LabelMistakes>,
    /// Labels that are likely wrong, of all findings, the likeliest first.
    pub suspects: Vec<Suspect>,
}

/// Mistakes of one finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelMistakes {
    /// The finding.
    pub label: String,
    /// Records that are labelled with it.
    pub positives: u64,
    /// Records that are labelled without it.
    pub negatives: u64,
    /// How many are called without having it; null where validation chose no threshold.
    pub false_positives: Option<usize>,
    /// How many have it and are not called.
    pub false_negatives: Option<usize>,
    /// How well the scores tell it apart, among the records of the same run.
    pub auc: Option<f64>,
    /// What that could be on other patients; null with few of them.
    pub auc_interval: Option<[f64; 2]>,
    /// How many labels the scores contradict; null where that says nothing: few are labelled with it or without, or the
    /// interval reaches down to the 0.5 of scores that know nothing of it.
    pub suspected: Option<usize>,
    /// The worst of those that are called without having it.
    pub worst_false_positives: Vec<Mistake>,
    /// The worst of those that have it and are not called.
    pub worst_false_negatives: Vec<Mistake>,
}

/// A record that is called otherwise than it is labelled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mistake {
    /// The image's name.
    pub id: String,
    /// Calibrated where calibration was possible.
    pub probability: f64,
    /// The findings that it is labelled with.
    pub truth: Vec<String>,
    #[serde(skip)]
    record: usize,
}

/// A label that is likely wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// The image's name.
    pub id: String,
    /// The finding.
    pub label: String,
    /// What the label says of it.
    pub labelled: bool,
    /// What the model says.
    pub probability: f64,
    /// How far the model contradicts the label; the rank.
    pub margin: f64,
    #[serde(skip)]
    place: (usize, usize),
}

/// Finds the mistakes and writes the page.
///
/// # Errors
/// A run that is not finished, runs that are not all folds of a cross-validation, data that are not where they were, and a
/// page that is there already.
pub fn errors(runs: &[PathBuf], options: &ErrorsOptions) -> Result<Errors, Failure> {
    check_place(&options.out, options.overwrite)?;
    let judged = Judged::read(runs, options.rule)?;
    let found = find(&judged, options)?;
    let pictures = pictures::draw(&judged, &found.wanted(), options.data.as_deref())?;
    write_bytes(&options.out, page::page(&found, &pictures).as_bytes())?;
    Ok(found)
}

fn check_place(out: &Path, overwrite: bool) -> Result<(), Failure> {
    if out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("html")) {
        return Err(Failure::new(Exit::Usage, format!("{} is not named .html", out.display()))
            .hint("the result is a page: --out errors.html"));
    }
    if out.exists() && !overwrite {
        return Err(Failure::new(Exit::Usage, format!("{} is there already", out.display()))
            .hint("choose another --out, or replace it with --overwrite"));
    }
    Ok(())
}

fn find(judged: &Judged, options: &ErrorsOptions) -> Result<Errors, Failure> {
    let scores = judged.scores()?;
    let (counts, of_labels) = (scores.counts(), label_errors(ValidationScores::new(scores)));
    let records = judged.runs.iter().map(|(_, records)| *records);
    let ranks = within_runs(scores, records, judged.records.patient_numbers().as_deref())?.labels;
    let mut labels = Vec::new();
    let mut suspects = Vec::new();
    for (at, label) in judged.records.labels.iter().enumerate() {
        let [called, missed] = [true, false].map(|called| judged.mistakes(at, called));
        let number = |found: &[usize]| judged.is_called(at).then_some(found.len());
        let worst = |found: &[usize]| {
            found.iter().take(options.images).map(|&record| Mistake::of(judged, record, at)).collect()
        };
        let auc_interval = ranks[at].interval.ok();
        let errors = of_labels[at].as_ref().filter(|_| auc_interval.is_some_and(|[low, _]| low > 0.5));
        suspects.extend(errors.iter().flat_map(|errors| &errors.suspects).map(|suspect| Suspect {
            id: judged.records.ids[suspect.record].clone(),
            label: label.clone(),
            labelled: suspect.positive,
            probability: suspect.probability,
            margin: suspect.margin,
            place: (suspect.record, at),
        }));
        labels.push(LabelMistakes {
            label: label.clone(),
            positives: counts[at].positives,
            negatives: counts[at].negatives,
            false_positives: number(&called),
            false_negatives: number(&missed),
            auc: ranks[at].auc,
            auc_interval,
            suspected: errors.map(|errors| errors.suspects.len()),
            worst_false_positives: worst(&called),
            worst_false_negatives: worst(&missed),
        });
    }
    suspects.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    suspects.truncate(options.suspects);
    Ok(Errors {
        format: 1,
        out: options.out.clone(),
        runs: judged.runs.iter().map(|(run, _)| run.clone()).collect(),
        notes: judged.notes.clone(),
        records: judged.records.ids.len(),
        rule: options.rule.to_string(),
        labels,
        suspects,
    })
}

impl Errors {
    /// The records and findings that the page shows.
    fn wanted(&self) -> Wanted {
        let of_label = |(at, label): (usize, &LabelMistakes)| {
            let both = label.worst_false_positives.iter().chain(&label.worst_false_negatives);
            both.map(|mistake| (mistake.record, at)).collect::<Vec<_>>()
        };
        let mistakes = self.labels.iter().enumerate().flat_map(of_label);
        mistakes.chain(self.suspects.iter().map(|suspect| suspect.place)).collect()
    }
}

impl Mistake {
    fn of(judged: &Judged, record: usize, label: usize) -> Mistake {
        Mistake {
            id: judged.records.ids[record].clone(),
            probability: judged.probability(record, label),
            truth: judged.truth(record),
            record,
        }
    }
}
