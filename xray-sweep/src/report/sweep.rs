//! Everything the sections speak of: the tables, the plan, and the predictions of the chosen run.

use super::groups::{Group, groups};
use super::labels::{self, LabelRow};
use super::runs::{self, Run};
use crate::plan::{Plan, read_plan};
use crate::sweep_dir::SweepDir;
use std::collections::HashMap;
use std::fs;
use xray_artifacts::{DatasetManifest, Failure, Predictions, Split, read_json};
use xray_metrics::{Metadata, MetadataBaseline, Scores, TestScores, ValidationScores, metadata_baseline};

/// A sweep as its report sees it.
pub(super) struct Sweep {
    pub(super) dir: SweepDir,
    pub(super) name: String,
    pub(super) runs: Vec<Run>,
    pub(super) labels: Vec<LabelRow>,
    /// The label that the report is about; none for all of them.
    pub(super) label: Option<String>,
    /// Absent where only the tables were kept.
    pub(super) plan: Option<Plan>,
    /// Absent where the data are not here.
    pub(super) dataset: Option<DatasetManifest>,
    pub(super) chosen: Option<Chosen>,
}

/// The run that validation chose.
pub(super) struct Chosen {
    pub(super) run: Run,
    /// Absent where its folder is not here.
    pub(super) predictions: Option<BothSplits>,
}

/// What it said of the records that choose and of those that are reported.
pub(super) struct BothSplits {
    pub(super) val: Predictions,
    pub(super) test: Predictions,
}

impl Sweep {
    /// Reads the collected tables, and whatever else is there.
    ///
    /// # Errors
    /// If the sweep was not collected, or there is no such label.
    pub(super) fn read(dir: &SweepDir, label: Option<&str>) -> Result<Sweep, Failure> {
        let (mut runs, labels) = (runs::read(dir)?, labels::read(dir)?);
        if let Some(label) = label {
            labels::check(&labels, label)?;
            of_label(&mut runs, &labels, label);
        }
        let plan = read_plan(dir).ok();
        let dataset = plan.as_ref().and_then(|plan| {
            let manifest = read_json::<DatasetManifest>(&plan.data.join(DatasetManifest::FILE_NAME)).ok()?;
            // The folder may hold other data by now.
            (manifest.id() == plan.dataset).then_some(manifest)
        });
        let chosen = choose(&runs).map(|run| Chosen { predictions: predictions(dir, run), run: run.clone() });
        let name = fs::canonicalize(dir.path()).ok().and_then(|path| Some(path.file_name()?.to_owned()));
        let name = name.map_or_else(|| "sweep".into(), |name| name.to_string_lossy().into_owned());
        Ok(Sweep {
            dir: dir.clone(),
            name,
            runs,
            labels,
            label: label.map(str::to_owned),
            plan,
            dataset,
            chosen,
        })
    }

    /// What the report is about: `macro-AUC` or `AUC of Mass`.
    pub(super) fn score_name(&self) -> String {
        self.label.as_ref().map_or_else(|| "macro-AUC".to_owned(), |label| format!("AUC of {label}"))
    }

    /// The trials of each fraction and combination.
    pub(super) fn groups(&self) -> Vec<Group<'_>> {
        groups(&self.runs)
    }

    pub(super) fn done(&self) -> usize {
        self.runs.iter().filter(|run| run.done()).count()
    }

    /// The labels that are drawn one by one.
    pub(super) fn shown_labels(&self) -> Vec<String> {
        self.label.as_ref().map_or_else(|| labels::names(&self.labels), |label| vec![label.clone()])
    }

    /// What sex, age and view alone get, of what the report is about.
    pub(super) fn metadata_baseline(&self) -> Option<f64> {
        let BothSplits { val, test } = self.chosen.as_ref()?.predictions.as_ref()?;
        let MetadataBaseline { macro_auc, labels, .. } = metadata_baseline(
            (ValidationScores::new(scores(val)?), metadata(val)),
            (TestScores::new(scores(test)?), metadata(test)),
        )?;
        match &self.label {
            Some(label) => labels[test.labels.iter().position(|name| name == label)?],
            None => macro_auc,
        }
    }
}

/// The best on validation. Test has no say: the best of many on test looks better than it is.
fn choose(runs: &[Run]) -> Option<&Run> {
    let done = runs.iter().filter(|run| run.done() && run.val_score.is_some());
    // Of equals the first, which has the smallest fraction.
    done.reduce(|best, run| if run.val_score > best.val_score { run } else { best })
}

fn predictions(dir: &SweepDir, run: &Run) -> Option<BothSplits> {
    let folder = dir.cell(&run.cell).run();
    let load = |split: Split| {
        Predictions::load(&folder.join(format!("predictions-{split}.safetensors")), split).ok()
    };
    let both = BothSplits { val: load(Split::Val)?, test: load(Split::Test)? };
    (scores(&both.val).is_some() && scores(&both.test).is_some()).then_some(both)
}

/// The scores of a split; none if they are no scores.
pub(super) fn scores(predictions: &Predictions) -> Option<Scores<'_>> {
    Scores::new(&predictions.logits, &predictions.truth, predictions.labels.len()).ok()
}

fn metadata(of: &Predictions) -> Metadata<'_> {
    Metadata { sexes: &of.sexes, ages: &of.ages, views: &of.views }
}

/// Puts a label's AUCs where the macro-AUCs stand.
fn of_label(runs: &mut [Run], rows: &[LabelRow], label: &str) {
    let mut by_cell: HashMap<(&str, &str), &LabelRow> = HashMap::new();
    by_cell.extend(
        rows.iter()
            .filter(|row| row.label == label)
            .map(|row| ((row.cell.as_str(), row.split.as_str()), row)),
    );
    for run in runs {
        let row = |split| by_cell.get(&(run.cell.as_str(), split));
        let (val, test) = (row("val"), row("test"));
        run.val_score = val.and_then(|row| row.auc);
        run.score = test.and_then(|row| row.auc);
        run.score_interval = test.and_then(|row| row.auc_interval);
    }
}
