//! `labels.parquet`: one row per cell, split and label.

use super::columns::Columns;
use crate::cell::Cell;
use crate::state::CellReport;
use polars::prelude::DataFrame;
use xray_artifacts::Split;
use xray_metrics::LabelEvaluation;

struct Row<'a> {
    cell: &'a Cell,
    split: Split,
    score: &'a LabelEvaluation,
}

pub(super) fn table(reports: &[&CellReport]) -> DataFrame {
    let rows: Vec<_> = reports.iter().flat_map(|report| rows_of(report)).collect();
    Columns::of(&rows)
        .text("cell", |r| Some(&r.cell.id))
        .number("fraction", |r| Some(r.cell.fraction))
        .integer("trial", |r| Some(r.cell.trial))
        .text("split", |r| Some(r.split.name()))
        .text("label", |r| Some(&r.score.label))
        .integer("positives", |r| Some(r.score.positives))
        .integer("negatives", |r| Some(r.score.negatives))
        .integer("unknown", |r| Some(r.score.unknown))
        .number("prevalence", |r| r.score.prevalence)
        .number("train_prevalence", |r| r.score.train_prevalence)
        .number("auc", |r| r.score.auc)
        .number("auc_low", |r| Some(r.score.auc_interval?[0]))
        .number("auc_high", |r| Some(r.score.auc_interval?[1]))
        .number("average_precision", |r| r.score.average_precision)
        .number("brier", |r| r.score.brier)
        .number("log_loss", |r| r.score.log_loss)
        .number("logit_spread", |r| r.score.logit_spread)
        .into_table()
}

fn rows_of(report: &CellReport) -> impl Iterator<Item = Row<'_>> {
    let scores = report.outcome.iter().flat_map(|outcome| &outcome.scores);
    scores.flat_map(move |(&split, evaluation)| {
        evaluation.labels.iter().map(move |score| Row { cell: &report.cell, split, score })
    })
}
