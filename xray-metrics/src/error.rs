//! What can be wrong with scores and labels.

use crate::Column;
use thiserror::Error;

/// The result of a function that checks its input.
pub type Result<T> = std::result::Result<T, Error>;

/// Scores, labels or their companions that cannot be evaluated. `record` and `label` count from 0.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// No labels to score.
    #[error("the number of labels is 0")]
    NoLabels,
    /// Scores and labels are not of the same shape.
    #[error("{scores} scores for {labels} label values")]
    Lengths {
        /// How many scores.
        scores: usize,
        /// How many label values.
        labels: usize,
    },
    /// The values do not fill whole rows.
    #[error("{values} values do not make rows of {num_labels} labels")]
    Rows {
        /// How many scores.
        values: usize,
        /// Values per row.
        num_labels: usize,
    },
    /// A score that is infinite or not a number.
    #[error("record {record}, label {label}: the score is {value}")]
    Score {
        /// The row.
        record: usize,
        /// The column.
        label: usize,
        /// The score.
        value: f64,
    },
    /// A label that is not 0, 1 or NaN.
    #[error("record {record}, label {label}: the label is {value}, not 0, 1 or NaN for unknown")]
    Label {
        /// The row.
        record: usize,
        /// The column.
        label: usize,
        /// What stands in its place.
        value: f32,
    },
    /// Names, prevalences or counts that are not one per label.
    #[error("{found} {what} for {expected} labels")]
    PerLabel {
        /// What there should be one of per label.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many labels.
        expected: usize,
    },
    /// Patients that are not one per record.
    #[error("{found} patient ids for {expected} records")]
    PerRecord {
        /// How many there are.
        found: usize,
        /// How many records.
        expected: usize,
    },
    /// Two models that were not scored on the same records.
    #[error("the two models were scored on different records: they differ at record {record}, label {label}")]
    OtherRecords {
        /// The first row that differs.
        record: usize,
        /// The first column that differs.
        label: usize,
    },
    /// The name of no calibration method.
    #[error("unknown calibration `{text}`: use temperature, platt or isotonic")]
    Method {
        /// What was written.
        text: String,
    },
    /// A training prevalence outside [0, 1].
    #[error("label {label}: the training prevalence is {value}, outside 0 to 1")]
    Prevalence {
        /// The label.
        label: usize,
        /// What stands in its place.
        value: f64,
    },
    /// Text that names no threshold rule.
    #[error(
        "`{text}` is none of the threshold rules youden, max-f1, sensitivity>=S, specificity>=S, ppv>=S and \
         lowest-positive"
    )]
    Rule {
        /// The text.
        text: String,
    },
    /// A threshold rule that no threshold or every threshold meets.
    #[error("`{text}`: the share must be above 0 and at most 1")]
    RuleShare {
        /// The text.
        text: String,
    },
    /// A probability outside [0, 1].
    #[error("record {record}: the probability is {value}, outside 0 to 1")]
    Probability {
        /// The place among the known records.
        record: usize,
        /// What stands in its place.
        value: f64,
    },
    /// Probabilities are to be put into no bins.
    #[error("the number of bins is 0")]
    NoBins,
    /// A threshold probability at which no net benefit is defined.
    #[error("the threshold probability is {value}, not at least 0 and below 1")]
    ThresholdProbability {
        /// The probability.
        value: f64,
    },
}

/// One of `what` per label, or [`Error::PerLabel`].
pub(crate) fn check_per_label(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::PerLabel { what, found, expected }) }
}

/// That the scores are probabilities, or [`Error::Probability`].
pub(crate) fn check_probabilities(column: &Column) -> Result<()> {
    let wrong = column.iter().enumerate().find(|(_, (p, _))| !(0.0..=1.0).contains(p));
    wrong.map_or(Ok(()), |(record, (value, _))| Err(Error::Probability { record, value }))
}
