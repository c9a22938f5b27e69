//! Out-of-fold figures for a terminal.

use super::{OutOfFold, OutOfFoldAuc};
use crate::figures::{number, with_interval};
use xray_display::{DASH, TextTable, counted};
use xray_metrics::units::Unit;

impl OutOfFold {
    /// For a terminal.
    pub fn text(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
        let whose = match self.unit {
            Unit::Patient => format!("of {}", counted(self.units, "patient")),
            Unit::Record => {
                "of unknown patients, so intervals are too narrow where patients recur".to_owned()
            }
        };
        format!(
            "{notes}{} {whose}, each scored by the run that did not train on it\n\n{}\n{}\nwithin folds: each \
             positive is compared with the negatives of its own fold, because scores of different runs differ in \
             level;\nintervals are by {}, of these very runs. Mean of folds: each fold counts equally.\n{}: the \
             predictions of all folds\n",
            counted(self.records, "record"),
            self.by_fold(),
            self.by_label(),
            self.unit,
            self.out.display(),
        )
    }

    fn by_fold(&self) -> String {
        let mut table = TextTable::new(&["fold", "run", "records", "patients", "macro-AUC"]);
        for fold in &self.folds {
            table.row(vec![
                fold.fold.to_string(),
                fold.run.display().to_string(),
                fold.records.to_string(),
                fold.patients.map_or(DASH.to_owned(), |patients| patients.to_string()),
                number(fold.macro_auc),
            ]);
        }
        table.text()
    }

    fn by_label(&self) -> String {
        let mut table = TextTable::new(&[
            "AUC",
            "positives",
            "within folds (95 % interval)",
            "mean of folds",
            "lowest",
            "highest",
        ]);
        for label in &self.labels {
            table.row(row(&label.label, label.positives.to_string(), &label.auc));
        }
        table.row(row("macro", String::new(), &self.macro_auc));
        table.text()
    }
}

fn row(name: &str, positives: String, auc: &OutOfFoldAuc) -> Vec<String> {
    vec![
        name.to_owned(),
        positives,
        with_interval(auc.within_folds, auc.interval),
        number(auc.mean_of_folds),
        number(auc.lowest),
        number(auc.highest),
    ]
}
