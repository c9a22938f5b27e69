//! `metrics.parquet`: curves over steps.

use super::Row;
use super::columns::columns;
use serde::{Deserialize, Serialize};
use xray_artifacts::Split;

columns! {
    /// What was measured at one step: of the step itself, of an evaluation, or of one label in it.
    #[derive(Default)]
    MetricRow {
        cell: String,
        fraction: f64,
        trial: i64,
        event: MetricEvent,
        split: Option<Split>,
        step: i64,
        epoch: Option<f64>,
        loss: Option<f32>,
        learning_rate: Option<f64>,
        gradient_norm: Option<f32>,
        macro_auc: Option<f64>,
        macro_log_loss: Option<f64>,
        is_best: Option<bool>,
        label: Option<String>,
        auc: Option<f64>,
    }
}

impl Row for MetricRow {
    const FILE: &'static str = "metrics.parquet";
}

/// What a row is of. Those of one step stand in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MetricEvent {
    /// An evaluation after the step.
    Evaluation,
    /// One label of an evaluation.
    Label,
    /// The step itself.
    #[default]
    Step,
}
