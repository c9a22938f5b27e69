//! What is evaluated: a model's scores on test records, and on validation records where there are any. They come
//! from a run directory or from a score file.

use crate::carried::Carried;
use crate::score_file::{ScoreFile, ScoreKind};
use std::collections::HashSet;
use std::path::Path;
use xray_artifacts::{Exit, Failure, Predictions, RunResult, Split, State, read_json};
use xray_bundle::{CARD, read_card};
use xray_metrics::{Evaluation, Scores, TestScores, ValidationScores};

/// A model's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Those that are reported.
    pub test: Predictions,
    /// Those that choose thresholds and calibrations.
    pub val: Option<Predictions>,
    /// Thresholds and calibrations that were chosen before; none where validation chooses them.
    pub carried: Option<Carried>,
    /// Share of positives per label in the training records, or in the records that are nearest to them; NaN where
    /// nobody knows.
    pub train_prevalence: Vec<f64>,
    /// Whose shares those are. Test's own flatter the baseline.
    pub prevalence_of: Split,
    /// What a reader should know of the records.
    pub notes: Vec<String>,
    /// What a reader should know of all but ranks: baselines, thresholds, probabilities.
    pub beyond_ranks: Vec<String>,
}

impl Subject {
    /// A run directory's, or a score file's, of which only ranks count: what the scores are does not matter there.
    pub fn ranked(path: &Path) -> Result<Subject, Failure> {
        if path.is_dir() { Subject::of_run(path) } else { Subject::of_scores(path, Some(ScoreKind::Logits)) }
    }

    /// Reads the scores of a finished run.
    pub fn of_run(dir: &Path) -> Result<Subject, Failure> {
        let result = dir.join("result.json");
        if !result.is_file() {
            return Err(no_run(dir));
        }
        let outcome: RunResult<Evaluation> = read_json(&result)?;
        if outcome.scores.is_empty() {
            return Err(unfinished(dir, &outcome));
        }
        let load =
            |split: Split| Predictions::load(&dir.join(format!("predictions-{split}.safetensors")), split);
        let (val, test) = (load(Split::Val)?, load(Split::Test)?);
        if val.labels != test.labels {
            let message =
                format!("the predictions in {} have different labels for val and test", dir.display());
            return Err(Failure::new(Exit::ModelMismatch, message)
                .hint("the two files come from different runs; train again"));
        }
        let scored = outcome.scores.get(&Split::Test).or(outcome.scores.get(&Split::Val));
        let train_prevalence = scored.map_or_else(
            || vec![f64::NAN; test.labels.len()],
            |scores| scores.labels.iter().map(|label| label.train_prevalence.unwrap_or(f64::NAN)).collect(),
        );
        let beyond_ranks = shared_patients(&val, &test).into_iter().collect();
        let notes = Vec::new();
        Ok(Subject {
            test,
            val: Some(val),
            carried: None,
            train_prevalence,
            prevalence_of: Split::Train,
            notes,
            beyond_ranks,
        })
    }

    /// Reads a table of scores from any framework.
    pub fn of_scores(path: &Path, kind: Option<ScoreKind>) -> Result<Subject, Failure> {
        let ScoreFile { mut splits, kind_notes: mut beyond_ranks, notes, .. } = ScoreFile::read(path, kind)?;
        let test = splits.remove(&Split::Test).ok_or_else(|| {
            Failure::new(Exit::BadData, format!("{}: no row is in the test split", path.display()))
                .hint("rows without a split count as test; leave the column out, or write `test`")
        })?;
        let (train, val) = (splits.remove(&Split::Train), splits.remove(&Split::Val));
        let (nearest, prevalence_of, what) = match (&train, &val) {
            (Some(train), _) => (train, Split::Train, "the training rows"),
            (None, Some(val)) => (val, Split::Val, "the validation rows"),
            (None, None) => (&test, Split::Test, "the test rows themselves, which flatters the baseline"),
        };
        beyond_ranks.push(format!("the prevalence baseline comes from {what}"));
        beyond_ranks.extend(val.as_ref().and_then(|val| shared_patients(val, &test)));
        let train_prevalence = prevalence(nearest)?;
        Ok(Subject { test, val, carried: None, train_prevalence, prevalence_of, notes, beyond_ranks })
    }
}

/// The name of a split in a sentence.
pub(crate) fn whose(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Val => "validation",
        Split::Test => "test",
    }
}

/// A sentence, if thresholds would be chosen on patients that they are reported on.
pub(crate) fn shared_patients(val: &Predictions, test: &Predictions) -> Option<String> {
    let chosen_on: HashSet<&String> = val.patients.iter().collect();
    let shared = test.patients.iter().collect::<HashSet<_>>().intersection(&chosen_on).count();
    (shared > 0).then(|| {
        format!("patients in validation and in test: {shared}; thresholds and calibrations look better than they are")
    })
}

fn prevalence(predictions: &Predictions) -> Result<Vec<f64>, Failure> {
    let counts = scores(predictions)?.counts();
    Ok(counts.iter().map(|label| label.prevalence().unwrap_or(f64::NAN)).collect())
}

/// Why a folder without a result has no scores: it is a bundle, or nothing that is known.
fn no_run(dir: &Path) -> Failure {
    let dir_is = |what: &str| Failure::new(Exit::NothingMatches, format!("{} is {what}", dir.display()));
    if !dir.join(CARD).is_file() {
        return dir_is("not a run directory")
            .hint("name the folder that `xray-train` printed, or a CSV file of scores");
    }
    match read_card(dir).map(|card| card.members.len()) {
        Ok(0) => dir_is("a bundle, which keeps no predictions of records")
            .hint("name the run directory that it comes from, or a CSV file of scores"),
        Ok(members) => {
            dir_is(&format!("the bundle of an ensemble of {members} networks, which keeps no predictions of records"))
                .hint("name the run directories that it was made of, or the CSV file of scores that was written with it")
        }
        Err(failure) => failure,
    }
}

/// Why a run has no scores, and what to do about it.
pub(crate) fn unfinished(dir: &Path, outcome: &RunResult<Evaluation>) -> Failure {
    let failure = |what: &str| {
        let reason = outcome.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        Failure::new(Exit::NothingMatches, format!("the run in {} {what}{reason}", dir.display()))
    };
    match outcome.state {
        State::Diverged => failure("diverged")
            .hint("it would diverge again; train with a lower learning rate in another folder"),
        State::Failed => failure("failed").hint("fix the cause and start it again; it continues"),
        _ => failure("is not finished").hint("start it again: it continues"),
    }
}

/// What may be fitted on. Only here and in [`test`] do predictions become one or the other.
///
/// # Panics
/// If these are the predictions of another split: files are checked when they are read.
pub(crate) fn validation(predictions: &Predictions) -> Result<ValidationScores<'_>, Failure> {
    assert_eq!(predictions.split, Split::Val, "fitted on validation records only");
    scores(predictions).map(ValidationScores::new)
}

/// What is reported on.
///
/// # Panics
/// If these are the predictions of another split.
pub(crate) fn test(predictions: &Predictions) -> Result<TestScores<'_>, Failure> {
    assert_eq!(predictions.split, Split::Test, "reported on test records only");
    scores(predictions).map(TestScores::new)
}

/// The scores of a split, checked.
pub(crate) fn scores(predictions: &Predictions) -> Result<Scores<'_>, Failure> {
    checked(predictions).map_err(|error| failure(predictions.split, &error))
}

/// The same, where the caller knows the split.
pub(crate) fn checked(predictions: &Predictions) -> xray_metrics::Result<Scores<'_>> {
    let Predictions { logits, probabilities, truth, labels, .. } = predictions;
    let scores = Scores::new(logits, truth, labels.len())?;
    if probabilities.is_empty() { Ok(scores) } else { scores.with_probabilities(probabilities) }
}

pub(crate) fn failure(split: Split, error: &xray_metrics::Error) -> Failure {
    Failure::new(Exit::BadData, format!("{split} split: {error}"))
}
