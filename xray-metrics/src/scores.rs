//! Scores beside the truth, checked once, and one label's part of them.

use crate::probability::sigmoid;
use crate::{Error, Result};

/// The scores of all labels on some records, with the truth. Every other function here takes it as valid.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    logits: &'a [f64],
    /// What the logits were made of; empty where a network gave them.
    probabilities: &'a [f64],
    labels: &'a [f32],
    num_labels: usize,
}

impl<'a> Scores<'a> {
    /// Takes `logits` and `labels` (0, 1, or NaN for unknown), both row-major `[records, num_labels]`.
    ///
    /// # Errors
    /// If the lengths disagree, a score is not finite, or a label is something else.
    pub fn new(logits: &'a [f64], labels: &'a [f32], num_labels: usize) -> Result<Self> {
        check_shape(logits.len(), labels.len(), num_labels)?;
        let place = |at: usize| (at / num_labels, at % num_labels);
        if let Some(at) = logits.iter().position(|logit| !logit.is_finite()) {
            let (record, label) = place(at);
            return Err(Error::Score { record, label, value: logits[at] });
        }
        if let Some(at) = labels.iter().position(|&label| !is_label(label)) {
            let (record, label) = place(at);
            return Err(Error::Label { record, label, value: labels[at] });
        }
        Ok(Scores { logits, probabilities: &[], labels, num_labels })
    }

    /// The same of probabilities, from which the logits were made: they rank the records, and Brier score and log loss
    /// are theirs. As logits, many of them would be equal, and 0 and 1 are none.
    ///
    /// # Errors
    /// If there are not as many as logits, or one is outside [0, 1].
    pub fn with_probabilities(self, probabilities: &'a [f64]) -> Result<Self> {
        check_shape(probabilities.len(), self.labels.len(), self.num_labels)?;
        match probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
            Some(at) => Err(Error::Probability { record: at / self.num_labels, value: probabilities[at] }),
            None => Ok(Scores { probabilities, ..self }),
        }
    }

    /// The same ranked by logits, for whatever is fitted on these.
    #[must_use]
    pub fn on_logits(self) -> Self {
        Scores { probabilities: &[], ..self }
    }

    /// The same scores beside other truths, of which some are not known.
    ///
    /// # Panics
    /// If there is not one for each.
    pub(crate) fn with_truth(self, labels: &'a [f32]) -> Self {
        assert_eq!(labels.len(), self.labels.len(), "a truth for each score");
        Scores { labels, ..self }
    }

    /// All scores, row-major: the probabilities if they are known, otherwise the logits.
    pub(crate) fn values(&self) -> &'a [f64] {
        if self.has_probabilities() { self.probabilities } else { self.logits }
    }

    /// Whether scores are probabilities.
    pub(crate) fn has_probabilities(&self) -> bool {
        !self.probabilities.is_empty()
    }

    /// All labels, row-major.
    pub(crate) fn truth(&self) -> &'a [f32] {
        self.labels
    }

    /// Rows.
    pub fn num_records(&self) -> usize {
        self.labels.len() / self.num_labels
    }

    /// Columns.
    pub fn num_labels(&self) -> usize {
        self.num_labels
    }

    /// The scores of a label on all records, also those where the truth is unknown: probabilities if they are known,
    /// otherwise logits. Empty if there is no such label.
    pub fn scores_of(&self, label: usize) -> impl Iterator<Item = f64> + use<'a> {
        every_nth(self.values(), label, self.num_labels)
    }

    /// The logits of a label on all records.
    pub fn logits_of(&self, label: usize) -> impl Iterator<Item = f64> + use<'a> {
        every_nth(self.logits, label, self.num_labels)
    }

    /// Score and truth of a label on all records, in order; no truth where it is unknown.
    pub fn rows_of(&self, label: usize) -> impl Iterator<Item = (f64, Option<bool>)> + use<'a> {
        self.scores_of(label).zip(self.truth_of(label))
    }

    /// The truth of a label on all records, in order; none where it is unknown.
    pub fn truth_of(&self, label: usize) -> impl ExactSizeIterator<Item = Option<bool>> + use<'a> {
        every_nth(self.labels, label, self.num_labels).map(truth)
    }

    /// The records where the label is known.
    pub fn column(&self, label: usize) -> Column {
        known(self.rows_of(label))
    }

    /// The same records with their logits.
    pub fn logits(&self, label: usize) -> Column {
        known(self.logits_of(label).zip(self.truth_of(label)))
    }

    /// The same records with their probabilities.
    pub fn probabilities(&self, label: usize) -> Column {
        let probabilities = self.scores_of(label).map(|score| self.as_probability(score));
        known(probabilities.zip(self.truth_of(label)))
    }

    /// The probability that a score stands for.
    pub fn as_probability(&self, score: f64) -> f64 {
        if self.has_probabilities() { score } else { sigmoid(score) }
    }

    /// The known pairs of all labels in one list, as micro-averages take them.
    pub fn pooled(&self) -> Column {
        known((0..self.num_labels).flat_map(|label| self.rows_of(label)))
    }

    /// How often each label is positive, negative and unknown.
    pub fn counts(&self) -> Vec<LabelCounts> {
        (0..self.num_labels)
            .map(|label| LabelCounts::of(self.rows_of(label).map(|(_, truth)| truth)))
            .collect()
    }
}

fn check_shape(scores: usize, labels: usize, num_labels: usize) -> Result<()> {
    if num_labels == 0 {
        return Err(Error::NoLabels);
    }
    if scores != labels {
        return Err(Error::Lengths { scores, labels });
    }
    if !scores.is_multiple_of(num_labels) {
        return Err(Error::Rows { values: scores, num_labels });
    }
    Ok(())
}

fn is_label(value: f32) -> bool {
    value == 0.0 || value == 1.0 || value.is_nan()
}

fn truth(label: f32) -> Option<bool> {
    (!label.is_nan()).then_some(label == 1.0)
}

fn every_nth<T: Copy>(values: &[T], first: usize, step: usize) -> impl ExactSizeIterator<Item = T> {
    // A label that does not exist must not show another row's value.
    let values = if first < step { values } else { &[] };
    values.iter().skip(first).step_by(step).copied()
}

fn known(rows: impl Iterator<Item = (f64, Option<bool>)>) -> Column {
    let (scores, positive) =
        rows.filter_map(|(score, truth)| truth.map(|positive| (score, positive))).unzip();
    Column { scores, positive }
}

/// The known records of one label: a finite score and the truth of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    scores: Vec<f64>,
    positive: Vec<bool>,
}

impl Column {
    /// Pairs scores with the truth.
    ///
    /// # Errors
    /// If the lengths disagree or a score is not finite.
    pub fn new(scores: Vec<f64>, positive: Vec<bool>) -> Result<Self> {
        if scores.len() != positive.len() {
            return Err(Error::Lengths { scores: scores.len(), labels: positive.len() });
        }
        match scores.iter().position(|score| !score.is_finite()) {
            Some(record) => Err(Error::Score { record, label: 0, value: scores[record] }),
            None => Ok(Column { scores, positive }),
        }
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Score and truth of each record.
    pub fn iter(&self) -> impl Iterator<Item = (f64, bool)> {
        self.scores.iter().copied().zip(self.positive.iter().copied())
    }

    /// Whether there are records, all with one score.
    pub(crate) fn has_one_score(&self) -> bool {
        self.scores.first().is_some_and(|first| self.scores.iter().all(|score| score == first))
    }

    /// The records in ascending order of score, tied ones counted together.
    pub(crate) fn ties(&self) -> Vec<LabelCounts> {
        let mut rows: Vec<_> = self.iter().collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        rows.chunk_by(|(a, _), (b, _)| a == b)
            .map(|tied| LabelCounts::of(tied.iter().map(|&(_, positive)| Some(positive))))
            .collect()
    }
}

#[cfg(test)]
impl Column {
    /// As tests write them.
    pub(crate) fn of_rows(rows: &[(f64, bool)]) -> Self {
        let (scores, positive) = rows.iter().copied().unzip();
        Column::new(scores, positive).expect("finite")
    }
}

/// How many records say what of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Records that have it.
    pub positives: u64,
    /// Records that do not.
    pub negatives: u64,
    /// Records where nobody knows.
    pub unknown: u64,
}

impl LabelCounts {
    /// Counts the truths.
    pub fn of(truths: impl Iterator<Item = Option<bool>>) -> Self {
        truths.fold(LabelCounts::default(), |mut counts, truth| {
            match truth {
                Some(true) => counts.positives += 1,
                Some(false) => counts.negatives += 1,
                None => counts.unknown += 1,
            }
            counts
        })
    }

    /// The share of positives among the known; none where nothing is known.
    pub fn prevalence(&self) -> Option<f64> {
        let known = self.positives + self.negatives;
        (known > 0).then(|| self.positives as f64 / known as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    #[test]
    fn what_cannot_be_scored_is_refused_with_its_place() {
        let check = |scores: &[f64], labels: &[f32], num_labels, expected: &str| {
            let error = Scores::new(scores, labels, num_labels).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        };
        check(&[], &[], 0, "the number of labels is 0");
        check(&[1.0], &[1.0, 0.0], 1, "1 scores for 2 label values");
        check(&[1.0; 3], &[1.0; 3], 2, "3 values do not make rows of 2 labels");
        check(&[0.0, 0.0, 0.0, f64::NAN], &[1.0; 4], 2, "record 1, label 1: the score is NaN");
        check(&[0.0, f64::INFINITY], &[1.0; 2], 2, "record 0, label 1: the score is inf");
        let unknown = "record 1, label 0: the label is -1, not 0, 1 or NaN for unknown";
        check(&[0.0; 4], &[1.0, NAN, -1.0, 0.0], 2, unknown);
    }

    #[test]
    fn a_column_holds_the_known_records_of_its_label() {
        let scores = Scores::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 0.0, NAN, 1.0, 0.0, NAN], 2);
        let scores = scores.expect("valid");
        let pairs = |column: Column| column.iter().collect::<Vec<_>>();
        assert_eq!(pairs(scores.column(0)), [(1.0, true), (5.0, false)]);
        assert_eq!(pairs(scores.column(1)), [(2.0, false), (4.0, true)]);
        assert_eq!(pairs(scores.column(2)), [], "there is no third label");
        assert_eq!(pairs(scores.pooled()), [(1.0, true), (5.0, false), (2.0, false), (4.0, true)]);
        assert_eq!(scores.scores_of(1).collect::<Vec<_>>(), [2.0, 4.0, 6.0]);
        assert_eq!(scores.counts()[1], LabelCounts { positives: 1, negatives: 1, unknown: 1 });
        assert_eq!((scores.num_records(), scores.num_labels()), (3, 2));
    }

    #[test]
    fn probabilities_rank_and_logits_stay() {
        let (logits, truth) = ([-5.0, -5.0, 0.0, 5.0], [0.0, 1.0, NAN, 1.0]);
        let probabilities = [0.0, 1e-300, 0.5, 1.0];
        let scores = Scores::new(&logits, &truth, 1).expect("valid");
        let both = scores.with_probabilities(&probabilities).expect("valid");
        let pairs = |column: Column| column.iter().collect::<Vec<_>>();
        let given = [(0.0, false), (1e-300, true), (1.0, true)];
        assert_eq!((pairs(both.column(0)), pairs(both.probabilities(0))), (given.into(), given.into()));
        assert_eq!((pairs(both.pooled()), both.values()), (given.into(), &probabilities[..]));
        assert_eq!(both.logits_of(0).collect::<Vec<_>>(), logits);
        assert_eq!(pairs(both.logits(0)), pairs(scores.column(0)));
        assert_eq!(pairs(both.on_logits().column(0)), pairs(scores.column(0)));
        assert_eq!((both.as_probability(0.25), scores.as_probability(0.0)), (0.25, 0.5));
        assert_eq!(pairs(scores.probabilities(0))[2], (sigmoid(5.0), true));
        let refused = |probabilities: &[f64]| scores.with_probabilities(probabilities).expect_err("refused");
        assert_eq!(refused(&[0.5]), Error::Lengths { scores: 1, labels: 4 });
        assert_eq!(refused(&[0.5, 0.5, 1.5, 0.5]), Error::Probability { record: 2, value: 1.5 });
        assert!(matches!(refused(&[0.5, 0.5, 0.5, f64::NAN]), Error::Probability { record: 3, .. }));
    }

    #[test]
    fn ties_count_equal_scores_together_and_zero_has_no_sign() {
        let column = Column::new(vec![0.0, 2.0, -0.0, -1.0], vec![true, false, false, true]).expect("valid");
        let counts = |positives, negatives| LabelCounts { positives, negatives, unknown: 0 };
        assert_eq!(column.ties(), [counts(1, 0), counts(1, 1), counts(0, 1)]);
    }

    #[test]
    fn equal_scores_are_told_from_nearly_equal_ones() {
        let check = |scores: &[f64], expected| {
            let column = Column::new(scores.to_vec(), vec![true; scores.len()]).expect("valid");
            assert_eq!(column.has_one_score(), expected, "{scores:?}");
        };
        check(&[], false);
        check(&[-1.5], true);
        check(&[0.0, -0.0, 0.0], true);
        check(&[1.0, 1.0, 1.0 + f64::EPSILON], false);
    }

    #[test]
    fn a_column_refuses_scores_without_a_place_in_the_order() {
        assert_eq!(Column::new(vec![1.0], vec![]), Err(Error::Lengths { scores: 1, labels: 0 }));
        assert!(matches!(
            Column::new(vec![1.0, f64::NAN], vec![true; 2]),
            Err(Error::Score { record: 1, .. })
        ));
    }

    #[test]
    fn prevalence_counts_the_known_only() {
        let check = |positives, negatives, expected| {
            assert_eq!(LabelCounts { positives, negatives, unknown: 5 }.prevalence(), expected);
        };
        check(1, 3, Some(0.25));
        check(0, 3, Some(0.0));
        check(0, 0, None);
    }
}
