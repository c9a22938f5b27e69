//! The runs of a cross-validation, and the proof that they are its folds.

use crate::run_data;
use crate::subject::Subject;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Predictions, RunResult, read_json};
use xray_data::Fold;
use xray_metrics::Evaluation;
use xray_train::config::RunConfig;
use xray_train::run_dir::difference;

/// A run that was validated on one fold.
pub(crate) struct FoldRun {
    pub(crate) path: PathBuf,
    pub(crate) fold: Fold,
    pub(crate) val: Predictions,
    config: RunConfig,
    dataset: String,
}

impl FoldRun {
    /// Reads the runs of all folds, in the order of the folds, and what a reader should know of them.
    pub(crate) fn read_all(paths: &[PathBuf]) -> Result<(Vec<FoldRun>, Vec<String>), Failure> {
        let mut runs = paths.iter().map(|path| FoldRun::read(path)).collect::<Result<Vec<_>, _>>()?;
        let Some((first, others)) = runs.split_first() else {
            return Err(Failure::new(Exit::Usage, "no run is named").hint("name the runs of all folds"));
        };
        others.iter().try_for_each(|other| first.goes_with(other))?;
        runs.sort_by_key(|run| run.fold.index());
        each_fold_once(&runs)?;
        let mut notes = Vec::new();
        in_one_fold(&runs, "record", |run| &run.val.ids)?;
        if let Some(run) = runs.iter().find(|run| run.val.patients.is_empty()) {
            notes.push(format!(
                "{} does not name its patients: folds are checked to share no record, but a patient may be in two of \
                 them",
                run.path.display()
            ));
        } else {
            in_one_fold(&runs, "patient", |run| &run.val.patients)?;
        }
        Ok((runs, notes))
    }

    fn read(path: &Path) -> Result<FoldRun, Failure> {
        let subject = Subject::of_run(path)?;
        let outcome: RunResult<Evaluation> = read_json(&path.join("result.json"))?;
        let config = run_data::config(path, None)?;
        let fold = config.data.fold()?.ok_or_else(|| {
            Failure::new(
                Exit::NothingMatches,
                format!("{} is not a run of a cross-validation", path.display()),
            )
            .hint("train with data.folds=5 and data.fold=0 to 4, or in a sweep: --axis data.fold=0,1,2,3,4")
        })?;
        let val = subject.val.expect("a run has validation records");
        Ok(FoldRun { path: path.to_owned(), fold, val, config, dataset: outcome.dataset })
    }

    /// That the other is of the same data, labels and settings. Weights may be drawn by another seed.
    fn goes_with(&self, other: &FoldRun) -> Result<(), Failure> {
        let (a, b) = (self.path.display(), other.path.display());
        let refuse = |what: String| {
            Err(Failure::new(Exit::ModelMismatch, format!("{a} and {b} differ in {what}"))
                .hint("the folds of one cross-validation differ in data.fold only"))
        };
        if self.dataset != other.dataset {
            return refuse("their data".into());
        }
        if self.val.labels != other.val.labels {
            return refuse("their labels".into());
        }
        let mut like_other = other.config.clone();
        (like_other.seed, like_other.data.fold) = (self.config.seed, self.config.data.fold);
        match difference(&self.config, &like_other) {
            Some((key, here, there)) => refuse(format!("{key}: {here} and {there}")),
            None => Ok(()),
        }
    }
}

/// `runs` are in the order of their folds, and of as many folds each.
fn each_fold_once(runs: &[FoldRun]) -> Result<(), Failure> {
    if let Some(pair) = runs.windows(2).find(|pair| pair[0].fold == pair[1].fold) {
        let (a, b, fold) = (pair[0].path.display(), pair[1].path.display(), pair[0].fold.index());
        return Err(Failure::new(Exit::Usage, format!("{a} and {b} are both fold {fold}"))
            .hint("name one run for each fold, all of the same trial"));
    }
    let of = runs[0].fold.of();
    let missing = (0..of).find(|&index| runs.iter().all(|run| run.fold.index() != index));
    match missing {
        Some(missing) => {
            let message = format!("there is no run of fold {missing}: the cross-validation is of {of} folds");
            Err(Failure::new(Exit::NothingMatches, message)
                .hint("its patients would be missing from the pool: train that fold too"))
        }
        None => Ok(()),
    }
}

/// That nobody, or nothing, is in two folds.
fn in_one_fold(runs: &[FoldRun], what: &str, of: fn(&FoldRun) -> &Vec<String>) -> Result<(), Failure> {
    let mut places: HashMap<&str, &FoldRun> = HashMap::new();
    for run in runs {
        for name in of(run) {
            let first = *places.entry(name).or_insert(run);
            if first.fold != run.fold {
                let message = format!(
                    "{what} {name} is in fold {} ({}) and in fold {} ({})",
                    first.fold.index(),
                    first.path.display(),
                    run.fold.index(),
                    run.path.display()
                );
                return Err(Failure::new(Exit::BadData, message).hint(
                    "these folds were not cut together: train them all with one version of the program",
                ));
            }
        }
    }
    Ok(())
}
