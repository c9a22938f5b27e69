//! The labels that the report speaks of.

use super::runs::interval;
use crate::tables::LabelRow;
use std::collections::BTreeSet;
use xray_artifacts::{Exit, Failure, nearest};

impl LabelRow {
    /// The 95 % interval of its AUC.
    pub(super) fn auc_interval(&self) -> Option<[f64; 2]> {
        interval(self.auc_low, self.auc_high)
    }

    /// The Brier score of whoever says the training prevalence of every record.
    pub(super) fn brier_of_prevalence(&self) -> Option<f64> {
        let (here, train) = (self.prevalence?, self.train_prevalence?);
        Some(here * (1.0 - train).powi(2) + (1.0 - here) * train.powi(2))
    }

    /// Its expected calibration error, all records being in one bin.
    pub(super) fn ece_of_prevalence(&self) -> Option<f64> {
        Some((self.prevalence? - self.train_prevalence?).abs())
    }
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
