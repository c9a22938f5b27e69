//! Everything the sections speak of: the tables, the plan, and the predictions of the chosen run.

use super::groups::{Group, by_combination, groups};
use super::labels;
use super::predictions::BothSplits;
use super::runs::Run;
use crate::cell::Cell;
use crate::plan::{Plan, plan_of, read_cells, read_spec};
use crate::present::{is_there, unreadable};
use crate::rungs::{Decision, decisions};
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use crate::tables::{AttemptRow, Collection, LabelRow, MetricRow, RunRow};
use crate::tally::Tally;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use xray_artifacts::{DatasetManifest, Failure, FileError, Split, one_line};
use xray_cli::say;
use xray_display::counted;
use xray_metrics::{Comparison, Difference, MetadataBaseline, mean};

/// A sweep as its report sees it.
pub(super) struct Sweep {
    pub(super) name: String,
    pub(super) runs: Vec<Run>,
    pub(super) labels: Vec<LabelRow>,
    /// Seconds that all starts of a cell kept its machines busy.
    pub(super) busy_seconds: HashMap<String, f64>,
    /// The label that the report is about; none for all of them.
    pub(super) label: Option<String>,
    /// Absent where only the tables were kept.
    pub(super) plan: Option<Plan>,
    /// What was asked; absent where only the tables were kept.
    pub(super) spec: Option<Spec>,
    /// What was decided at rungs; none where there are none, or only the tables were kept.
    pub(super) decisions: Vec<Decision>,
    /// Absent where the data are not here.
    pub(super) dataset: Option<DatasetManifest>,
    pub(super) chosen: Option<Chosen>,
}

/// The run that validation chose.
pub(super) struct Chosen {
    pub(super) run: Run,
    /// Or why they cannot be shown.
    pub(super) predictions: Result<BothSplits, String>,
    /// What sex, age and view alone get on its test records, and the run beside it.
    pub(super) metadata: Option<(MetadataBaseline, Comparison)>,
}

impl Chosen {
    fn load(dir: &SweepDir, run: &Run, rows: &[LabelRow]) -> Result<Chosen, Failure> {
        let predictions = BothSplits::load(dir, run, rows)?;
        let metadata = predictions.as_ref().ok().and_then(BothSplits::beside_metadata);
        Ok(Chosen { run: run.clone(), predictions, metadata })
    }
}

impl Sweep {
    /// Reads the tables collected in `folder`, the sweep's own if absent, and whatever else is there.
    ///
    /// # Errors
    /// If the sweep was not collected, its tables are damaged, there is no such label, or a file is there and cannot be
    /// read.
    pub(super) fn read(dir: &SweepDir, folder: Option<&Path>, label: Option<&str>) -> Result<Sweep, Failure> {
        let tables = Collection::open(dir, folder.unwrap_or(&dir.collected()))?;
        let mut runs: Vec<Run> = tables.read::<RunRow>()?.into_iter().map(Run::of).collect();
        let labels = tables.read::<LabelRow>()?;
        let attempts = tables.read::<AttemptRow>()?;
        tables.check::<MetricRow>()?;
        tables.warn();
        if let Some(cells) = if_there(&dir.cells(), || read_cells(dir))? {
            of_the_plan(&runs, &cells, &tables)?;
        }
        if let Some(label) = label {
            labels::check(&labels, label)?;
            of_label(&mut runs, &labels, label);
        }
        let plan = plan_of(dir)?;
        let dataset = plan.as_ref().map(dataset).transpose()?.flatten();
        let chosen = choose(&runs).map(|run| Chosen::load(dir, run, &labels)).transpose()?;
        Ok(Sweep {
            name: name(dir)?,
            runs,
            labels,
            busy_seconds: busy_seconds(&attempts),
            label: label.map(str::to_owned),
            spec: if_there(&dir.spec(), || read_spec(dir, plan.as_ref()))?,
            plan,
            decisions: decisions(dir)?,
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

    /// The groups that a question about fractions is asked of: those of the chosen run's combination.
    pub(super) fn chosen_groups(&self) -> Vec<Group<'_>> {
        let Some(chosen) = &self.chosen else { return Vec::new() };
        let all = self.groups();
        let lines = by_combination(&all);
        let own = lines.into_iter().find(|groups| groups[0].combination == chosen.run.combination);
        own.unwrap_or_default().to_vec()
    }

    /// Whether trials of one fraction were trained on the same images.
    pub(super) fn trials_share_data(&self) -> bool {
        self.groups().iter().all(|group| {
            let first = group.runs[0].row.fraction_offset;
            group.runs.iter().all(|run| run.row.fraction_offset == first)
        })
    }

    /// Its cells by state.
    pub(super) fn tally(&self) -> Tally {
        Tally::of(self.runs.iter().map(|run| run.row.state))
    }

    /// Said where a score should stand and there is none.
    pub(super) fn without_score(&self) -> &'static str {
        match self.tally().done() {
            0 => "no cell is done yet",
            _ => "no finished run has this AUC: its test records are all of one class",
        }
    }

    /// The labels that are drawn one by one.
    pub(super) fn shown_labels(&self) -> Vec<String> {
        self.label.as_ref().map_or_else(|| labels::names(&self.labels), |label| vec![label.clone()])
    }

    /// A row of the chosen run.
    pub(super) fn chosen_label(&self, split: Split, label: &str) -> Option<&LabelRow> {
        let cell = &self.chosen.as_ref()?.run.row.cell;
        self.labels.iter().find(|row| row.cell == *cell && row.split == split && row.label == label)
    }

    /// What sex, age and view alone get, of what the report is about.
    pub(super) fn metadata_baseline(&self) -> Option<f64> {
        self.beside_metadata()?.1.b
    }

    /// Number of records that the metadata baseline was fitted on, and the chosen run (A) compared with it (B) on the
    /// labels that both define.
    pub(super) fn beside_metadata(&self) -> Option<(u64, Difference)> {
        let Chosen { metadata, predictions, .. } = self.chosen.as_ref()?;
        let (baseline, beside) = metadata.as_ref()?;
        let difference = match &self.label {
            Some(label) => beside.labels[place(predictions.as_ref().ok()?, label)?],
            None => beside.macro_auc,
        };
        Some((baseline.fitted_on, difference))
    }

    /// What they get of one finding.
    pub(super) fn metadata_of(&self, label: &str) -> Option<f64> {
        let Chosen { metadata, predictions, .. } = self.chosen.as_ref()?;
        metadata.as_ref()?.0.labels[place(predictions.as_ref().ok()?, label)?]
    }
}

/// What is absent where only the tables were kept; what is there and cannot be read is an error.
fn if_there<T>(path: &Path, read: impl FnOnce() -> Result<T, Failure>) -> Result<Option<T>, Failure> {
    if is_there(path)? { read().map(Some) } else { Ok(None) }
}

/// What the sweep was trained on, if it is here: the folder may hold other data by now.
fn dataset(plan: &Plan) -> Result<Option<DatasetManifest>, Failure> {
    let manifest = match DatasetManifest::read(&plan.data) {
        Ok(manifest) => manifest,
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error @ FileError::Io { .. }) => return Err(error.into()),
        Err(error) => {
            say(format_args!("warning: the report lacks its data set: {}", one_line(&error)));
            return Ok(None);
        }
    };
    let is_same = manifest.id() == plan.dataset;
    if !is_same {
        let folder = plan.data.display();
        say(format_args!("warning: the report goes without its data: {folder} holds other data now"));
    }
    Ok(is_same.then_some(manifest))
}

/// That of its folder, wherever the report is called from.
fn name(dir: &SweepDir) -> Result<String, Failure> {
    let path = match fs::canonicalize(dir.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok("sweep".to_owned()),
        path => path.map_err(|source| unreadable(dir.path(), source))?,
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or_else(|| "sweep".to_owned()))
}

/// That the tables are of this sweep. Cells that were planned since are told on stderr: the report does not know them.
fn of_the_plan(runs: &[Run], cells: &[Cell], tables: &Collection) -> Result<(), Failure> {
    let planned: HashSet<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
    if let Some(run) = runs.iter().find(|run| !planned.contains(run.row.cell.as_str())) {
        let message =
            format!("the collected tables are of another plan: cell {} is not planned here", run.row.cell);
        return Err(tables.again(message));
    }
    let collected: HashSet<&str> = runs.iter().map(|run| run.row.cell.as_str()).collect();
    let since = planned.difference(&collected).count();
    if since > 0 {
        say(format_args!(
            "warning: {} planned since the tables were collected; collect again",
            counted(since, "cell")
        ));
    }
    Ok(())
}

fn place(both: &BothSplits, label: &str) -> Option<usize> {
    both.test.labels.iter().position(|name| name == label)
}

/// The best on validation. Test has no say: the best of many on test looks better than it is. Folds validate on other
/// patients each, so between them the score would choose the easiest patients: what counts is the mean over the folds,
/// and the first of them is taken.
fn choose(runs: &[Run]) -> Option<&Run> {
    let done = || runs.iter().filter(|run| run.done() && run.val_score.is_some() && run.score.is_some());
    let crossing = |run: &Run| (run.settings.clone(), run.row.fraction.to_bits(), run.row.trial);
    let mut scores: HashMap<_, Vec<f64>> = HashMap::new();
    for run in done() {
        scores.entry(crossing(run)).or_default().extend(run.val_score);
    }
    let means: Vec<_> = done().map(|run| (run, mean(scores[&crossing(run)].iter().copied()))).collect();
    // Of equals the first, which has the smallest fraction.
    let best = means.into_iter().reduce(|best, run| if run.1 > best.1 { run } else { best });
    best.map(|(run, _)| run)
}

/// Puts a label's AUCs where the macro-AUCs stand.
fn of_label(runs: &mut [Run], rows: &[LabelRow], label: &str) {
    let own = rows.iter().filter(|row| row.label == label);
    let by_cell: HashMap<(&str, Split), &LabelRow> =
        own.map(|row| ((row.cell.as_str(), row.split), row)).collect();
    for run in runs {
        let row = |split| by_cell.get(&(run.row.cell.as_str(), split));
        let (val, test) = (row(Split::Val), row(Split::Test));
        run.val_score = val.and_then(|row| row.auc);
        run.score = test.and_then(|row| row.auc);
        run.score_interval = test.and_then(|row| row.auc_interval());
    }
}

/// Seconds from start to end of all starts of each cell; a start without an end is not counted.
fn busy_seconds(attempts: &[AttemptRow]) -> HashMap<String, f64> {
    let time = |text: &Option<String>| humantime::parse_rfc3339(text.as_deref()?).ok();
    let took = |row: &AttemptRow| time(&row.ended)?.duration_since(time(&row.started)?).ok();
    let mut seconds = HashMap::new();
    for row in attempts {
        if let Some(took) = took(row) {
            *seconds.entry(row.cell.clone()).or_default() += took.as_secs_f64();
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::CellState;
    use crate::tables::{Axes, RunRow};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn run(axes: &[(&str, i64)], val: f64) -> Run {
        let axis =
            Axes(axes.iter().map(|&(key, value)| (key.to_owned(), json!(value))).collect::<BTreeMap<_, _>>());
        let row = RunRow { axis, fraction: 1.0, state: CellState::Done, ..RunRow::default() };
        Run { val_score: Some(val), score: Some(0.5), ..Run::of(row) }
    }

    #[test]
    fn an_easy_fold_does_not_choose_its_settings() {
        let folds = |width, vals: [f64; 2]| {
            [0, 1].map(|fold| run(&[("data.fold", fold), ("model.width", width)], vals[fold as usize]))
        };
        let runs = [folds(8, [0.6, 0.9]), folds(16, [0.78, 0.8])].concat();
        assert_eq!(choose(&runs).map(|run| &*run.combination), Some("data.fold=0 model.width=16"));
        let without = [run(&[("model.width", 8)], 0.9), run(&[("model.width", 16)], 0.8)];
        assert_eq!(choose(&without).map(|run| &*run.combination), Some("model.width=8"));
        assert_eq!(choose(&[]), None);
    }
}
