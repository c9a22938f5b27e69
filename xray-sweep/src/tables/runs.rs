//! `runs.parquet`: one row per planned cell, whatever became of it.

use super::columns::columns;
use super::{Axes, Row};
use crate::attempt::Launcher;
use crate::state::CellState;
use polars::prelude::DataType;
use xray_metrics::units::Unit;

columns! {
    /// A planned cell and what became of it.
    #[derive(Default)]
    RunRow {
        cell: String,
        fraction: f64,
        fraction_offset: f64,
        trial: i64,
        seed: u64,
        axis: Axes,
        state: CellState,
        reason: Option<String>,
        exit: Option<i64>,
        signal: Option<i64>,
        attempts: Option<i64>,
        started: Option<String>,
        ended: Option<String>,
        launcher: Option<Launcher>,
        host: Option<String>,
        slot: Option<String>,
        microarch: Option<String>,
        cpu: Option<String>,
        threads: Option<i64>,
        backend: Option<String>,
        device: Option<String>,
        requested_cpus: i64,
        requested_memory_mib: i64,
        allocated_memory_mib: Option<i64>,
        used_memory_mib: Option<i64>,
        peak_memory_mib: Option<i64>,
        requested_disk_mib: Option<i64>,
        used_disk_mib: Option<i64>,
        requested_seconds: Option<i64>,
        code: String,
        dataset: String,
        train_images: i64,
        steps: Option<i64>,
        examples: Option<i64>,
        epochs: Option<f64>,
        best_step: Option<i64>,
        stopped_by: Option<String>,
        /// Scores by the rung's number; a sweep without rungs has no such column.
        rung_auc: Axes,
        last_loss: Option<f32>,
        val: SplitScores,
        test: SplitScores,
        seconds: RunSeconds,
        images_per_second: Option<f64>,
    }
}

columns! {
    /// The scores of one split; nothing of a run that has none.
    #[derive(Default)]
    SplitScores {
        records: Option<i64>,
        macro_auc: Option<f64>,
        macro_auc_low: Option<f64>,
        macro_auc_high: Option<f64>,
        intervals_unit: Option<Unit>,
        undefined_labels: Option<i64>,
        macro_average_precision: Option<f64>,
        macro_average_precision_baseline: Option<f64>,
        macro_brier: Option<f64>,
        macro_brier_baseline: Option<f64>,
        macro_log_loss: Option<f64>,
        macro_log_loss_baseline: Option<f64>,
        micro_auc: Option<f64>,
        micro_auc_baseline: Option<f64>,
        collapsed_labels: Option<String>,
    }
}

columns! {
    /// Where a run's time went; nothing of a run without a result.
    #[derive(Default)]
    RunSeconds {
        data: Option<f64>,
        forward: Option<f64>,
        backward: Option<f64>,
        optimizer: Option<f64>,
        evaluation: Option<f64>,
        checkpoint: Option<f64>,
        total: Option<f64>,
    }
}

impl Row for RunRow {
    const FILE: &'static str = "runs.parquet";
    const ADDED: &'static [(&'static str, DataType)] = &[
        ("requested_disk_mib", DataType::Int64),
        ("used_disk_mib", DataType::Int64),
        ("requested_seconds", DataType::Int64),
    ];
}
