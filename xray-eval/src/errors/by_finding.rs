//! Mistakes by finding, as rows of the table that the terminal and the page show.

use super::LabelMistakes;
use crate::figures::with_interval;
use xray_display::DASH;

/// What stands in which column; the first is text, the others are numbers.
pub(super) const COLUMNS: [&str; 7] =
    ["finding", "with it", "missed", "without it", "called", "AUC (95 % interval)", "labels suspected"];

impl LabelMistakes {
    /// A cell for each column.
    pub(super) fn row(&self) -> Vec<String> {
        let count = |value: Option<usize>| value.map_or(DASH.to_owned(), |value| value.to_string());
        vec![
            self.label.clone(),
            self.positives.to_string(),
            count(self.false_negatives),
            self.negatives.to_string(),
            count(self.false_positives),
            with_interval(self.auc, self.auc_interval),
            count(self.suspected),
        ]
    }
}
