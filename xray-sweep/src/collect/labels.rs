//! Rows of `labels.parquet`.

use crate::cell::Cell;
use crate::state::CellReport;
use crate::tables::{LabelRow, count};
use xray_artifacts::Split;
use xray_metrics::LabelEvaluation;

/// One row per split and label that the cell was scored on.
pub(super) fn rows(report: &CellReport) -> impl Iterator<Item = LabelRow> {
    let scores = report.outcome.iter().flat_map(|outcome| &outcome.scores);
    scores.flat_map(move |(&split, evaluation)| {
        evaluation.labels.iter().map(move |label| row(&report.cell, split, label))
    })
}

fn row(cell: &Cell, split: Split, score: &LabelEvaluation) -> LabelRow {
    LabelRow {
        cell: cell.id.clone(),
        fraction: cell.fraction,
        trial: cell.trial.into(),
        split,
        label: score.label.clone(),
        positives: count(score.positives),
        negatives: count(score.negatives),
        unknown: count(score.unknown),
        prevalence: score.prevalence,
        train_prevalence: score.train_prevalence,
        auc: score.auc,
        auc_low: score.auc_interval.map(|[low, _]| low),
        auc_high: score.auc_interval.map(|[_, high]| high),
        average_precision: score.average_precision,
        brier: score.brier,
        log_loss: score.log_loss,
        logit_spread: score.logit_spread,
    }
}
