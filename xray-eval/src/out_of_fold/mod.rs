//! The runs of a cross-validation as one: every record of train and val with the score of the run that did not train on
//! it, and what these scores are worth. Nothing is predicted again.
//!
//! A record is compared with those that the same run scored. Scores of different runs differ in their level, and a run's
//! level goes against its own validation records: where those have more positives than others, its training records have
//! fewer. So the AUC of all scores in one pool lies below what the models are worth, and below 0.5 where they know nothing
//! (Parker, Günter and Bedo, BMC Bioinformatics 8, 2007; Airola et al., Computational Statistics & Data Analysis 55, 2011).

mod folds;
mod text;

use crate::figures::macro_auc;
use crate::subject::{failure, scores};
pub(crate) use folds::FoldRun;
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Predictions, Split};
use xray_metrics::units::Unit;
use xray_metrics::{Scores, Within, auc, within};

/// Where out-of-fold predictions go.
#[derive(Clone, Debug)]
pub struct OutOfFoldOptions {
    /// The file: as a run's `predictions-val.safetensors`.
    pub out: PathBuf,
    /// Replace it.
    pub overwrite: bool,
}

/// What a cross-validation is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutOfFold {
    /// The format of this object.
    pub format: u32,
    /// The file of all predictions.
    pub out: PathBuf,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Its runs, by fold.
    pub folds: Vec<FoldScores>,
    /// How many records all folds have together.
    pub records: usize,
    /// What intervals take for independent.
    pub unit: Unit,
    /// How many distinct ones there are.
    pub units: usize,
    /// One for each finding, in the order of the runs' outputs.
    pub labels: Vec<LabelOutOfFold>,
    /// The mean of the findings.
    pub macro_auc: OutOfFoldAuc,
}

/// One run on its own validation records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoldScores {
    /// Its fold, from 0.
    pub fold: u64,
    /// The run directory.
    pub run: PathBuf,
    /// How many records it validated on.
    pub records: usize,
    /// Number of patients; null where they are unknown.
    pub patients: Option<usize>,
    /// Mean over the findings that define an AUC there.
    pub macro_auc: Option<f64>,
    /// One AUC for each finding; null where its records are all of one class.
    pub aucs: Vec<Option<f64>>,
}

/// A finding out of fold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelOutOfFold {
    /// The finding.
    pub label: String,
    /// Records that have it.
    pub positives: u64,
    /// Records that have it not.
    pub negatives: u64,
    /// What the scores are worth.
    #[serde(flatten)]
    pub auc: OutOfFoldAuc,
}

/// An AUC of all folds, and those of each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutOfFoldAuc {
    /// Each positive record beside the negative ones of its own fold: the mean of the folds' AUCs, by their positives.
    pub within_folds: Option<f64>,
    /// What it could be on other patients, of these very runs; null with few patients.
    pub interval: Option<[f64; 2]>,
    /// Mean of the folds that define one, each counting alike.
    pub mean_of_folds: Option<f64>,
    /// The lowest of them.
    pub lowest: Option<f64>,
    /// The highest.
    pub highest: Option<f64>,
}

/// Takes the runs of all folds together and writes their predictions as one file.
///
/// # Errors
/// Runs that are not the folds of one cross-validation, each once: one that is missing or doubled, other data, labels or
/// settings, a patient or record in two folds; a file that is there already.
pub fn out_of_fold(runs: &[PathBuf], options: &OutOfFoldOptions) -> Result<OutOfFold, Failure> {
    check_place(&options.out, options.overwrite)?;
    let (folds, notes) = FoldRun::read_all(runs)?;
    let pool = pooled(&folds);
    let of_folds = folds.iter().map(FoldScores::of).collect::<Result<Vec<_>, _>>()?;
    let all = scores(&pool)?;
    let patients = pool.patient_numbers();
    let found = within_runs(all, folds.iter().map(|fold| fold.val.ids.len()), patients.as_deref())?;
    let of_label = |(at, label): (usize, &String)| LabelOutOfFold {
        label: label.clone(),
        positives: all.counts()[at].positives,
        negatives: all.counts()[at].negatives,
        auc: OutOfFoldAuc::of(
            found.labels[at].auc,
            found.labels[at].interval.ok(),
            of_folds.iter().filter_map(|fold| fold.aucs[at]),
        ),
    };
    let (unit, units) = match &patients {
        Some(numbers) => (Unit::Patient, distinct(numbers)),
        None => (Unit::Record, pool.ids.len()),
    };
    let labels = pool.labels.iter().enumerate().map(of_label).collect();
    let result = OutOfFold {
        format: 2,
        out: options.out.clone(),
        notes,
        records: pool.ids.len(),
        unit,
        units,
        labels,
        macro_auc: OutOfFoldAuc::of(
            found.macro_auc,
            found.macro_interval.ok(),
            of_folds.iter().filter_map(|fold| fold.macro_auc),
        ),
        folds: of_folds,
    };
    pool.save(&options.out)?;
    Ok(result)
}

/// AUCs of the records of several runs, so many of each one behind the other, compared with those of the same run only.
pub(crate) fn within_runs(
    scores: Scores<'_>,
    records: impl Iterator<Item = usize>,
    patients: Option<&[u32]>,
) -> Result<Within, Failure> {
    let runs: Vec<usize> =
        records.enumerate().flat_map(|(run, records)| std::iter::repeat_n(run, records)).collect();
    let count = runs.last().map_or(0, |last| last + 1);
    within(scores, &runs, count, patients).map_err(|error| failure(Split::Val, &error))
}

/// How many patients have numbers from 0 on.
fn distinct(numbers: &[u32]) -> usize {
    numbers.iter().max().map_or(0, |most| *most as usize + 1)
}

fn check_place(out: &Path, overwrite: bool) -> Result<(), Failure> {
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Failure::new(Exit::Usage, format!("{} is not named .safetensors", out.display()))
            .hint("the file is as a run's predictions-val.safetensors: --out out-of-fold.safetensors"));
    }
    if out.exists() && !overwrite {
        return Err(Failure::new(Exit::Usage, format!("{} is there already", out.display()))
            .hint("choose another --out, or replace it with --overwrite"));
    }
    Ok(())
}

/// The records of all folds, one fold behind the other. Where one of them does not know its patients, nobody's are kept.
fn pooled(folds: &[FoldRun]) -> Predictions {
    let mut pool = Predictions::empty(Split::Val, folds[0].val.labels.clone());
    for fold in folds {
        pool.append(&fold.val);
    }
    if folds.iter().any(|fold| fold.val.patients.is_empty()) {
        pool.patients.clear();
    }
    pool
}

impl FoldScores {
    fn of(run: &FoldRun) -> Result<FoldScores, Failure> {
        let scores = scores(&run.val)?;
        let patients = run.val.patient_numbers();
        Ok(FoldScores {
            fold: run.fold.index(),
            run: run.path.clone(),
            records: run.val.ids.len(),
            patients: patients.as_deref().map(distinct),
            macro_auc: macro_auc(scores),
            aucs: (0..scores.num_labels()).map(|label| auc(&scores.column(label))).collect(),
        })
    }
}

impl OutOfFoldAuc {
    fn of(within_folds: Option<f64>, interval: Option<[f64; 2]>, folds: impl Iterator<Item = f64>) -> Self {
        let folds: Vec<f64> = folds.collect();
        OutOfFoldAuc {
            within_folds,
            interval,
            mean_of_folds: xray_metrics::mean(folds.iter().copied()),
            lowest: folds.iter().copied().reduce(f64::min),
            highest: folds.iter().copied().reduce(f64::max),
        }
    }
}
