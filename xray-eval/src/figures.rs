//! Figures as evaluations show them: three decimals. And the first of them.

use xray_metrics::{Scores, auc, mean};

/// The mean AUC of the labels that define one.
pub(crate) fn macro_auc(scores: Scores<'_>) -> Option<f64> {
    mean((0..scores.num_labels()).filter_map(|label| auc(&scores.column(label))))
}

/// `0.812`, with a dash for what is not defined.
pub(crate) fn number(value: Option<f64>) -> String {
    xray_display::number(value, 3)
}

/// `0.812 (0.790–0.833)`, with a dash for what is not defined.
pub(crate) fn with_interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    xray_display::with_interval(value, interval, 3, "–")
}
