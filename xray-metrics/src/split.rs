//! Which records may decide and which may only be reported. Whatever is fitted (a threshold, a calibration)
//! takes [`ValidationScores`], whatever reports how good the fitted thing is takes [`TestScores`]; nothing
//! makes one of the other, so a figure on the records that chose the threshold does not compile.
//!
//! ```
//! use xray_metrics::{Rule, Scores, TestScores, ValidationScores, threshold};
//!
//! let scores = Scores::new(&[0.0, 1.0], &[0.0, 1.0], 1)?;
//! threshold::fit(ValidationScores::new(scores), Rule::Youden);
//! # Ok::<(), xray_metrics::Error>(())
//! ```
//!
//! ```compile_fail,E0308
//! use xray_metrics::{Rule, Scores, TestScores, ValidationScores, threshold};
//!
//! let scores = Scores::new(&[0.0, 1.0], &[0.0, 1.0], 1)?;
//! threshold::fit(TestScores::new(scores), Rule::Youden);
//! # Ok::<(), xray_metrics::Error>(())
//! ```

use crate::{Column, Scores};

/// Scores of the validation records: those that choose.
#[derive(Clone, Copy, Debug)]
pub struct ValidationScores<'a>(Scores<'a>);

impl<'a> ValidationScores<'a> {
    /// Says that these are the validation records.
    pub fn new(scores: Scores<'a>) -> Self {
        ValidationScores(scores)
    }

    /// Columns.
    pub fn num_labels(&self) -> usize {
        self.0.num_labels()
    }

    /// See [`Scores::on_logits`].
    #[must_use]
    pub fn on_logits(self) -> Self {
        ValidationScores(self.0.on_logits())
    }

    pub(crate) fn column(&self, label: usize) -> Column {
        self.0.column(label)
    }

    /// What the scores of a label on all records stand for.
    pub(crate) fn probabilities_of(&self, label: usize) -> impl Iterator<Item = f64> {
        self.0.scores_of(label).map(|score| self.0.as_probability(score))
    }

    pub(crate) fn has_probabilities(&self) -> bool {
        self.0.has_probabilities()
    }

    pub(crate) fn logits(&self, label: usize) -> Column {
        self.0.logits(label)
    }

    /// Rows.
    pub(crate) fn num_records(&self) -> usize {
        self.0.num_records()
    }

    /// The truth of a label on all records; none where it is unknown.
    pub(crate) fn truth_of(&self, label: usize) -> impl ExactSizeIterator<Item = Option<bool>> {
        self.0.truth_of(label)
    }
}

/// Scores of the test records: those that are looked at once, when all is chosen.
#[derive(Clone, Copy, Debug)]
pub struct TestScores<'a>(Scores<'a>);

impl<'a> TestScores<'a> {
    /// Says that these are the test records.
    pub fn new(scores: Scores<'a>) -> Self {
        TestScores(scores)
    }

    /// Columns.
    pub fn num_labels(&self) -> usize {
        self.0.num_labels()
    }

    pub(crate) fn column(&self, label: usize) -> Column {
        self.0.column(label)
    }

    /// Rows.
    pub(crate) fn num_records(&self) -> usize {
        self.0.num_records()
    }

    /// All of them, for figures that fit nothing.
    pub(crate) fn scores(&self) -> Scores<'a> {
        self.0
    }

    /// The truth of a label on all records; none where it is unknown.
    pub(crate) fn truth_of(&self, label: usize) -> impl ExactSizeIterator<Item = Option<bool>> {
        self.0.truth_of(label)
    }
}
