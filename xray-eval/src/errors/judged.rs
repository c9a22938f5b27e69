//! Records with what a model that did not train on them said, and with calls at thresholds: those that are looked for
//! mistakes.

use crate::carried::Carried;
use crate::out_of_fold::FoldRun;
use crate::subject::{Subject, checked, failure};
use std::path::PathBuf;
use xray_artifacts::{Failure, Predictions};
use xray_metrics::probability::sigmoid;
use xray_metrics::{Fitted, Method, Rule, Scores};

/// Records of one run, or of all folds of a cross-validation.
pub(super) struct Judged {
    /// The runs, and how many records each has scored.
    pub(super) runs: Vec<(PathBuf, usize)>,
    /// One run's records behind the other's; calibrated probabilities stand beside the logits.
    pub(super) records: Predictions,
    /// Whether the finding is called, row-major; none where validation chose no threshold.
    calls: Vec<Option<bool>>,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
}

impl Judged {
    /// The validation records of a run, or of the runs of all folds.
    pub(super) fn read(paths: &[PathBuf], rule: Rule) -> Result<Judged, Failure> {
        let (runs, notes) = match paths {
            [run] => {
                let val = Subject::of_run(run)?.val.expect("a run has validation records");
                (vec![(run.clone(), val)], Vec::new())
            }
            runs => {
                let (folds, notes) = FoldRun::read_all(runs)?;
                (folds.into_iter().map(|fold| (fold.path, fold.val)).collect(), notes)
            }
        };
        let mut judged = Judged {
            runs: Vec::new(),
            records: Predictions::empty(runs[0].1.split, runs[0].1.labels.clone()),
            calls: Vec::new(),
            notes,
        };
        for (run, val) in runs {
            judged.add(run, val, rule)?;
        }
        Ok(judged)
    }

    fn add(&mut self, run: PathBuf, mut val: Predictions, rule: Rule) -> Result<(), Failure> {
        let carried = Carried::of_validation(&val, rule, Method::Platt)?;
        let labels = carried.labels.len();
        for (at, &logit) in val.logits.iter().enumerate() {
            let of = &carried.labels[at % labels];
            val.probabilities.push(match &of.calibration {
                Ok(fitted) => fitted.calibrator.probability(logit),
                Err(_) => sigmoid(logit),
            });
            self.calls.push(match of.logit {
                Fitted::Threshold(threshold) => Some(logit >= threshold),
                Fitted::Undefined(_) => None,
            });
        }
        self.runs.push((run, val.ids.len()));
        self.records.append(&val);
        Ok(())
    }

    /// Logits with their probabilities.
    pub(super) fn scores(&self) -> Result<Scores<'_>, Failure> {
        checked(&self.records).map_err(|error| failure(self.records.split, &error))
    }

    /// Which run scored a record.
    pub(super) fn run_of(&self, record: usize) -> usize {
        let mut end = 0;
        let within = |(_, records): &(PathBuf, usize)| {
            end += records;
            record < end
        };
        self.runs.iter().position(within).expect("a record is a run's")
    }

    /// The calibrated probability of a finding.
    pub(super) fn probability(&self, record: usize, label: usize) -> f64 {
        self.records.probabilities[record * self.records.labels.len() + label]
    }

    /// Records without the finding that are called, or with it that are not; the worst first.
    pub(super) fn mistakes(&self, label: usize, called: bool) -> Vec<usize> {
        let classes = self.records.labels.len();
        let truth = if called { 0.0 } else { 1.0 };
        let is_mistake = |record: &usize| {
            let place = record * classes + label;
            self.calls[place] == Some(called) && self.records.truth[place] == truth
        };
        let mut found: Vec<usize> = (0..self.records.ids.len()).filter(is_mistake).collect();
        let probability = |record: &usize| self.probability(*record, label);
        found.sort_by(|a, b| probability(a).total_cmp(&probability(b)));
        if called {
            found.reverse();
        }
        found
    }

    /// Whether there is a threshold for a finding.
    pub(super) fn is_called(&self, label: usize) -> bool {
        let classes = self.records.labels.len();
        self.calls.iter().skip(label).step_by(classes).any(Option::is_some)
    }

    /// The findings that a record is labelled with.
    pub(super) fn truth(&self, record: usize) -> Vec<String> {
        let labels = &self.records.labels;
        let row = &self.records.truth[record * labels.len()..][..labels.len()];
        labels.iter().zip(row).filter(|(_, truth)| **truth == 1.0).map(|(label, _)| label.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_artifacts::Split;

    fn judged() -> Judged {
        let mut records = Predictions::empty(Split::Val, vec!["Mass".into(), "Edema".into()]);
        records.ids = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        records.probabilities = vec![0.9, 0.1, 0.2, 0.3, 0.8, 0.2, 0.1, 0.9, 0.95, 0.0];
        records.truth = vec![0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, f32::NAN, 0.0];
        let calls = records.probabilities.chunks_exact(2);
        let calls = calls.flat_map(|row| [Some(row[0] >= 0.5), None]).collect();
        let runs = vec![("x".into(), 2), ("y".into(), 3)];
        Judged { runs, records, calls, notes: Vec::new() }
    }

    #[test]
    fn the_worst_mistakes_come_first_and_unknown_labels_are_none() {
        let judged = judged();
        assert_eq!(judged.mistakes(0, true), [0, 2]);
        assert_eq!(judged.mistakes(0, false), [3, 1]);
        assert_eq!((judged.is_called(0), judged.is_called(1)), (true, false));
        assert!(judged.mistakes(1, true).is_empty() && judged.mistakes(1, false).is_empty());
        assert_eq!(judged.truth(1), ["Mass", "Edema"]);
    }

    #[test]
    fn a_record_is_its_own_runs() {
        assert_eq!((0..5).map(|record| judged().run_of(record)).collect::<Vec<_>>(), [0, 0, 1, 1, 1]);
    }
}
