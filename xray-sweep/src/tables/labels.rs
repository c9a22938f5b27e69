//! `labels.parquet`: one row per cell, split and label.

use super::Row;
use super::columns::columns;
use xray_artifacts::Split;

columns! {
    /// How one cell did on one label of one split.
    LabelRow {
        cell: String,
        fraction: f64,
        trial: i64,
        split: Split,
        label: String,
        positives: i64,
        negatives: i64,
        unknown: i64,
        prevalence: Option<f64>,
        train_prevalence: Option<f64>,
        auc: Option<f64>,
        auc_low: Option<f64>,
        auc_high: Option<f64>,
        average_precision: Option<f64>,
        brier: Option<f64>,
        log_loss: Option<f64>,
        logit_spread: Option<f64>,
    }
}

impl Row for LabelRow {
    const FILE: &'static str = "labels.parquet";
}
