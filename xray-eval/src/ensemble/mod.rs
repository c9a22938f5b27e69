//! Several models as one: the mean of their calibrated probabilities, from what they said of the same records, and whether
//! that is better than the best of them and than their mean. Nothing is predicted again. The members' networks may become
//! one bundle.

mod bundle;
mod members;
mod table;
mod text;

use crate::figures::macro_auc;
use crate::subject::{Subject, failure, scores};
use bundle::NewBundle;
use members::{Member, one_by_one};
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Predictions};
use xray_bundle::mean_probability;
use xray_metrics::{Comparison, Method, Rule, Scores, compare, compare_with_mean};

/// How members are taken together.
#[derive(Clone, Debug)]
pub struct EnsembleOptions {
    /// How each member's probabilities are calibrated on its validation records.
    pub calibration: Method,
    /// The table of the ensemble's probabilities, CSV.
    pub out: PathBuf,
    /// The folder for a bundle of all members, if one is wanted.
    pub bundle: Option<PathBuf>,
    /// How the bundle's thresholds are chosen on validation.
    pub rule: Rule,
    /// Replace them.
    pub overwrite: bool,
}

/// What an ensemble is worth beside its members.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ensemble {
    /// The format of this object.
    pub format: u32,
    /// The table of its probabilities, on validation and test.
    pub out: PathBuf,
    /// The bundle of all members; null where none was asked for.
    pub bundle: Option<PathBuf>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Those that it is made of.
    pub members: Vec<EnsembleMember>,
    /// Which of them is best on validation, from 0; null where no validation AUC is defined.
    pub best: Option<usize>,
    /// How many test records all have scored.
    pub records: usize,
    /// The findings, in the order of the members' outputs.
    pub labels: Vec<String>,
    /// The ensemble (a) and the member that is best on validation (b), on test; null where there is none.
    pub beside_best: Option<Comparison>,
    /// The ensemble (a) and the mean of its members' AUCs (b), on test.
    pub beside_mean: Comparison,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnsembleMember {
    /// The run directory or the table.
    pub path: PathBuf,
    /// Macro-AUC on validation; null where no label defines it.
    pub val_macro_auc: Option<f64>,
    /// Macro-AUC on test.
    pub test_macro_auc: Option<f64>,
}

/// Takes the scores of two or more runs, or tables of scores with validation rows, together, and writes the means as a table
/// that `xray-eval score` and `compare` read.
///
/// # Errors
/// Members that have not scored the same records and labels, or contradict each other in what is true of them; a member
/// without validation records, which calibrate it; a table that is there already.
pub fn ensemble(paths: &[PathBuf], options: &EnsembleOptions) -> Result<Ensemble, Failure> {
    table::check(&options.out, options.overwrite)?;
    options.bundle.iter().try_for_each(|folder| bundle::check(folder, options.overwrite))?;
    let members = Member::read(paths, options.calibration)?;
    let first = &members[0];
    let [val, test] = [Member::val, Member::test].map(|of| mean_of(&members, of));
    let of_mean = Scores::new(&test.probabilities, &test.truth, test.labels.len())
        .map_err(|error| failure(test.split, &error))?;
    let of_members = members.iter().map(|member| scores(&member.test)).collect::<Result<Vec<_>, _>>()?;
    let patients = test.patient_numbers();
    let compared = |error: xray_metrics::Error| failure(test.split, &error);
    let described = members.iter().map(Member::described).collect::<Result<Vec<_>, _>>()?;
    let best = best(&described);
    let beside_best = best
        .map(|best| compare(of_mean, of_members[best], patients.as_deref()))
        .transpose()
        .map_err(compared)?;
    let beside_mean = compare_with_mean(of_mean, &of_members, patients.as_deref()).map_err(compared)?;
    let new =
        options.bundle.as_ref().map(|_| NewBundle::of(&members, options.rule, &val, &test)).transpose()?;
    table::write(&options.out, &[&val, &test])?;
    if let Some((new, folder)) = new.zip(options.bundle.as_ref()) {
        new.write(folder)?;
    }
    Ok(Ensemble {
        format: 1,
        out: options.out.clone(),
        bundle: options.bundle.clone(),
        notes: one_by_one(&members),
        members: described,
        best,
        records: test.ids.len(),
        labels: first.test.labels.clone(),
        beside_best,
        beside_mean,
    })
}

/// The first of those with the highest figure on validation: test is only reported.
fn best(members: &[EnsembleMember]) -> Option<usize> {
    let known = members.iter().enumerate().filter_map(|(at, member)| Some((at, member.val_macro_auc?)));
    known.rev().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
}

/// The mean probability of each record and label, of one split.
fn mean_of(members: &[Member], of: fn(&Member) -> (&Predictions, &[f64])) -> Predictions {
    let all: Vec<&[f64]> = members.iter().map(|member| of(member).1).collect();
    let mean = |at: usize| mean_probability(all.iter().map(|probabilities| probabilities[at]));
    let (first, _) = of(&members[0]);
    Predictions {
        probabilities: (0..first.logits.len()).map(mean).collect(),
        logits: Vec::new(),
        ..first.clone()
    }
}

impl Member {
    fn described(&self) -> Result<EnsembleMember, Failure> {
        Ok(EnsembleMember {
            path: self.path.clone(),
            val_macro_auc: macro_auc(scores(&self.val)?),
            test_macro_auc: macro_auc(scores(&self.test)?),
        })
    }
}

fn subject(path: &Path) -> Result<Subject, Failure> {
    let subject = if path.is_dir() { Subject::of_run(path)? } else { Subject::of_scores(path, None)? };
    if subject.val.is_none() {
        let message = format!("{} has no validation records, which calibrate a member", path.display());
        return Err(Failure::new(Exit::NothingMatches, message)
            .hint("mark the rows of the validation split with `val` in a column `split`"));
    }
    Ok(subject)
}
