//! Test records of a run on which a finding scores highest, read from the run's data.

use crate::run_data;
use crate::subject::Subject;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use xray_artifacts::{Exit, Failure, Predictions, Split};
use xray_bundle::Card;

/// A record of the test split.
pub(crate) struct TestRecord {
    /// The image's name.
    pub(crate) id: String,
    /// The image file.
    pub(crate) file: Vec<u8>,
    /// Labels that it truly has.
    pub(crate) truth: Vec<String>,
}

/// The `count` records that the run scored highest for label number `label`, the highest first.
///
/// # Errors
/// If the run has no predictions, or its data are not where they were.
pub(crate) fn highest(
    run: &Path,
    card: &Card,
    label: usize,
    count: usize,
    data: Option<&Path>,
) -> Result<Vec<TestRecord>, Failure> {
    let predictions = Subject::of_run(run)?.test;
    let places = highest_places(&predictions, label, count);
    let config = run_data::config(run, data)?;
    let rescoring = run_data::open(&config, card)?;
    let dataset = rescoring.dataset();
    let mut files = HashMap::new();
    let wanted: HashSet<&str> = places.iter().map(|&place| predictions.ids[place].as_str()).collect();
    run_data::each_file(dataset, Split::Test, &wanted, |id, file| {
        files.insert(id.to_owned(), file.to_vec());
        Ok(())
    })?;
    let record = |&place: &usize| {
        let id = predictions.ids[place].clone();
        let file = files.get(&id).cloned().ok_or_else(|| {
            Failure::new(Exit::BadData, format!("{}: there is no test record {id}", dataset.path().display()))
        })?;
        Ok(TestRecord { file, truth: truth(&predictions, place), id })
    };
    places.iter().map(record).collect()
}

/// Places of the highest scores; among equal scores, the first.
fn highest_places(predictions: &Predictions, label: usize, count: usize) -> Vec<usize> {
    let classes = predictions.labels.len();
    let mut places: Vec<usize> = (0..predictions.ids.len()).collect();
    let score = |place: usize| predictions.logits[place * classes + label];
    places.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    places.truncate(count);
    places
}

fn truth(predictions: &Predictions, place: usize) -> Vec<String> {
    let classes = predictions.labels.len();
    let truth = &predictions.truth[place * classes..][..classes];
    predictions
        .labels
        .iter()
        .zip(truth)
        .filter(|(_, truth)| **truth == 1.0)
        .map(|(label, _)| label.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_scores_of_one_label_come_first() {
        let mut predictions = Predictions::empty(Split::Test, vec!["Mass".into(), "Edema".into()]);
        predictions.ids = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        predictions.logits = vec![0.0, 9.0, 2.0, -1.0, 1.0, 0.5, 2.0, 0.0];
        predictions.truth = vec![1.0, 1.0, 0.0, f32::NAN, 0.0, 1.0, 0.0, 0.0];
        assert_eq!(highest_places(&predictions, 0, 3), [1, 3, 2]);
        assert_eq!(highest_places(&predictions, 1, 9), [0, 2, 3, 1]);
        assert_eq!(truth(&predictions, 0), ["Mass", "Edema"]);
        assert!(truth(&predictions, 1).is_empty());
    }
}
