//! What the chosen run said of single records, once it is sure that the collected scores are of these.

use super::runs::Run;
use crate::present::{is_there, unreadable};
use crate::sweep_dir::SweepDir;
use crate::tables::{LabelRow, count};
use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};
use xray_artifacts::{Exit, Failure, Predictions, Split};
use xray_cli::say;
use xray_metrics::probability::brier;
use xray_metrics::{
    BySource, Comparison, FittedCalibrator, LabelCounts, Metadata, MetadataBaseline, Method, Scores,
    TestScores, ValidationScores, auc, by_source, calibrate, metadata_baseline,
};

/// What it said of the records that choose and of those that are reported.
pub(super) struct BothSplits {
    pub(super) val: Predictions,
    pub(super) test: Predictions,
}

/// Figures of one model are equal up to the order of a sum.
const TOLERANCE: f64 = 1e-9;

impl BothSplits {
    /// Reads both files of a run and holds them against the collected `rows`; in a sentence, why they cannot be shown,
    /// which stderr hears too where the run is here.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub(super) fn load(
        dir: &SweepDir,
        run: &Run,
        rows: &[LabelRow],
    ) -> Result<Result<BothSplits, String>, Failure> {
        let cell = &run.row.cell;
        let folder = dir.cell(cell).run();
        if let Err(error) = fs::metadata(&folder) {
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(Err(format!("the folder of cell {cell} is not here"))),
                _ => Err(unreadable(&folder, error).into()),
            };
        }
        let both = load(&folder, Split::Val, run, rows)?;
        let both = match both {
            Ok(val) => load(&folder, Split::Test, run, rows)?.map(|test| BothSplits { val, test }),
            Err(why) => Err(why),
        };
        if let Err(why) = &both {
            say(format_args!("warning: the report lacks the predictions of cell {cell}: {why}"));
        }
        Ok(both)
    }

    /// The scores that may choose.
    pub(super) fn validation(&self) -> ValidationScores<'_> {
        ValidationScores::new(scores(&self.val))
    }

    /// The scores that may only be reported.
    pub(super) fn test(&self) -> TestScores<'_> {
        TestScores::new(scores(&self.test))
    }

    /// The test scores, to count and to draw.
    pub(super) fn test_scores(&self) -> Scores<'_> {
        scores(&self.test)
    }

    /// Calibrations, one per label, fitted on validation; in a sentence, why there is none.
    pub(super) fn calibrations(&self, method: Method) -> Vec<Result<FittedCalibrator, String>> {
        let patients = self.val.patient_numbers();
        let fitted = calibrate(self.validation(), patients.as_deref(), method).expect("a patient per record");
        fitted.into_iter().map(|label| label.map_err(|why| why.to_string())).collect()
    }

    /// What calls count as independent: the patients of the test records, where they are named.
    pub(super) fn test_patients(&self) -> Option<Vec<u32>> {
        self.test.patient_numbers()
    }

    /// The validation scores, to count.
    pub(super) fn validation_scores(&self) -> Scores<'_> {
        scores(&self.val)
    }

    /// How often each label is positive in validation.
    pub(super) fn validation_counts(&self) -> Vec<LabelCounts> {
        scores(&self.val).counts()
    }

    /// The labels of these names: place and name.
    pub(super) fn places<'a>(&'a self, shown: &'a [String]) -> impl Iterator<Item = (usize, &'a String)> {
        self.test.labels.iter().enumerate().filter(|(_, label)| shown.contains(label))
    }

    /// What sex, age and view alone get, and the model beside it on the same test patients.
    pub(super) fn beside_metadata(&self) -> Option<(MetadataBaseline, Comparison)> {
        let (val, test) = ((self.validation(), metadata(&self.val)), (self.test(), metadata(&self.test)));
        let baseline = metadata_baseline(val, test)?;
        let patients = self.test.patient_numbers();
        let beside = baseline.beside(self.test(), patients.as_deref()).ok()?;
        Some((baseline, beside))
    }

    /// The test records by their sources; none where they are not of several.
    pub(super) fn by_source(&self) -> Option<BySource> {
        let Predictions { sources, labels, .. } = &self.test;
        if sources.is_empty() {
            return None;
        }
        let val = (!self.val.sources.is_empty()).then(|| (self.validation(), &self.val.sources[..]));
        let patients = self.test.patient_numbers();
        by_source(labels, (self.test(), sources), patients.as_deref(), val).expect("a source per record")
    }

    /// How many patients are in validation and in test; none where nobody names them.
    pub(super) fn shared_patients(&self) -> Option<usize> {
        let [val, test] = [&self.val, &self.test].map(|split| split.patients.iter().collect::<BTreeSet<_>>());
        (!val.is_empty() && !test.is_empty()).then(|| val.intersection(&test).count())
    }
}

/// One file of a run's folder.
fn load(
    folder: &Path,
    split: Split,
    run: &Run,
    rows: &[LabelRow],
) -> Result<Result<Predictions, String>, Failure> {
    let name = format!("predictions-{split}.safetensors");
    let path = folder.join(&name);
    if !is_there(&path)? {
        return Ok(Err(format!("{} is not there", path.display())));
    }
    let predictions = match Predictions::load(&path, split) {
        Ok(predictions) => predictions,
        Err(failure) if failure.exit == Exit::BadData => return Ok(Err(failure.message)),
        Err(failure) => return Err(failure),
    };
    Ok(match Scores::new(&predictions.logits, &predictions.truth, predictions.labels.len()) {
        Err(error) => Err(format!("{name} of cell {}: {error}", run.row.cell)),
        Ok(scores) => collected(&predictions, scores, run, rows).map(|()| predictions),
    })
}

fn scores(predictions: &Predictions) -> Scores<'_> {
    Scores::new(&predictions.logits, &predictions.truth, predictions.labels.len())
        .expect("they were checked when they were read")
}

fn metadata(of: &Predictions) -> Metadata<'_> {
    Metadata { sexes: &of.sexes, ages: &of.ages, views: &of.views }
}

/// That counts, AUCs and Brier scores are those of the tables: a run may have been repeated since, or its files are
/// another's.
fn collected(
    predictions: &Predictions,
    scores: Scores<'_>,
    run: &Run,
    rows: &[LabelRow],
) -> Result<(), String> {
    let counts = scores.counts();
    for (at, label) in predictions.labels.iter().enumerate() {
        let row = rows
            .iter()
            .find(|row| row.cell == run.row.cell && row.split == predictions.split && row.label == *label);
        let column = scores.column(at);
        let found = (count(counts[at].positives), count(counts[at].negatives));
        let differs = match row {
            None => Some("there is none"),
            Some(row) if found != (row.positives, row.negatives) => Some("its positives and negatives"),
            Some(row) if !same(auc(&column), row.auc) => Some("its AUC"),
            Some(row) if !same(brier(&column), row.brier) => Some("its Brier score"),
            Some(_) => None,
        };
        if let Some(differs) = differs {
            return Err(format!(
                "the {split} predictions of cell {cell}, predictions-{split}.safetensors, are not those that were \
                 collected ({label}: {differs}); collect again",
                split = predictions.split,
                cell = run.row.cell
            ));
        }
    }
    Ok(())
}

fn same(found: Option<f64>, collected: Option<f64>) -> bool {
    match (found, collected) {
        (Some(found), Some(collected)) => (found - collected).abs() <= TOLERANCE,
        (found, collected) => found.is_none() && collected.is_none(),
    }
}
