//! What can be wrong with scores and labels.

use thiserror::Error;

/// The result of a function that checks its input.
pub type Result<T> = std::result::Result<T, Error>;

/// Scores, labels or their companions that cannot be evaluated. `record` and `label` count from 0.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no label to score.
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
    #[error("`{text}` asks for a share that is not above 0 and at most 1")]
    RuleShare {
        /// The text.
        text: String,
    },
}

/// One of `what` per label, or [`Error::PerLabel`].
pub(crate) fn check_per_label(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::PerLabel { what, found, expected }) }
}
