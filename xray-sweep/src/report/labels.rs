//! The rows of `labels.parquet` that the report speaks of.

use super::tables;
use crate::sweep_dir::SweepDir;
use polars::prelude::*;
use std::collections::BTreeSet;
use xray_artifacts::{Exit, Failure, nearest};

/// How one cell did on one label of one split.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LabelRow {
    pub(super) cell: String,
    pub(super) split: String,
    pub(super) label: String,
    pub(super) positives: i64,
    pub(super) negatives: i64,
    pub(super) unknown: i64,
    pub(super) train_prevalence: Option<f64>,
    pub(super) auc: Option<f64>,
    pub(super) auc_interval: Option<[f64; 2]>,
    pub(super) average_precision: Option<f64>,
    pub(super) brier: Option<f64>,
}

impl LabelRow {
    /// Share of positives among the records where it is known.
    pub(super) fn prevalence(&self) -> Option<f64> {
        let known = self.positives + self.negatives;
        (known > 0).then(|| self.positives as f64 / known as f64)
    }

    /// The Brier score of whoever says the training prevalence of every record.
    pub(super) fn brier_of_prevalence(&self) -> Option<f64> {
        let (here, train) = (self.prevalence()?, self.train_prevalence?);
        Some(here * (1.0 - train).powi(2) + (1.0 - here) * train.powi(2))
    }
}

/// Reads the table, in its order: cells as runs stand, splits, labels as the model has them.
pub(super) fn read(dir: &SweepDir) -> Result<Vec<LabelRow>, Failure> {
    tables::read(dir, "labels.parquet", rows)
}

/// All labels, as the model has them.
pub(super) fn names(rows: &[LabelRow]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    rows.iter().filter(|row| seen.insert(&row.label)).map(|row| row.label.clone()).collect()
}

/// That there is such a label.
pub(super) fn check(rows: &[LabelRow], label: &str) -> Result<(), Failure> {
    let names = names(rows);
    if names.iter().any(|name| name == label) {
        return Ok(());
    }
    let failure = Failure::new(Exit::Usage, format!("no cell was scored on a label {label}"));
    Err(match nearest(label, names.iter().map(String::as_str)) {
        Some(nearest) => failure.hint(format!("did you mean {nearest}?")),
        None => failure.hint("no cell is done yet"),
    })
}

fn rows(table: &DataFrame) -> PolarsResult<Vec<LabelRow>> {
    let text = |name: &str| table.column(name)?.str();
    let number = |name: &str| table.column(name)?.f64();
    let integer = |name: &str| table.column(name)?.i64();
    let (cell, split, label) = (text("cell")?, text("split")?, text("label")?);
    let (positives, negatives, unknown) = (integer("positives")?, integer("negatives")?, integer("unknown")?);
    let (train_prevalence, auc) = (number("train_prevalence")?, number("auc")?);
    let (low, high) = (number("auc_low")?, number("auc_high")?);
    let (average_precision, brier) = (number("average_precision")?, number("brier")?);
    let owned = |column: &StringChunked, at| column.get(at).unwrap_or_default().to_owned();
    let row = |at| LabelRow {
        cell: owned(cell, at),
        split: owned(split, at),
        label: owned(label, at),
        positives: positives.get(at).unwrap_or_default(),
        negatives: negatives.get(at).unwrap_or_default(),
        unknown: unknown.get(at).unwrap_or_default(),
        train_prevalence: train_prevalence.get(at),
        auc: auc.get(at),
        auc_interval: low.get(at).zip(high.get(at)).map(|(low, high)| [low, high]),
        average_precision: average_precision.get(at),
        brier: brier.get(at),
    };
    Ok((0..table.height()).map(row).collect())
}
