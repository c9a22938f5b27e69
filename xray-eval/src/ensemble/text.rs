//! An ensemble for a terminal.

use super::Ensemble;
use crate::comparison::{p_value, signed_with_interval, whose_records};
use crate::figures::number;
use xray_display::{TextTable, counted};
use xray_metrics::Difference;

impl Ensemble {
    /// For a terminal.
    pub fn text(&self) -> String {
        let bundle = self.bundle.as_ref().map_or(String::new(), |folder| {
            format!("bundle of all members, with thresholds chosen on validation: {}\n", folder.display())
        });
        let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
        let mut members = TextTable::new(&["member", "validation macro-AUC", "test macro-AUC"]);
        for (at, member) in self.members.iter().enumerate() {
            let best = if self.best == Some(at) { " (best)" } else { "" };
            members.row(vec![
                format!("{}{best}", member.path.display()),
                number(member.val_macro_auc),
                number(member.test_macro_auc),
            ]);
        }
        let mut table = TextTable::new(&[
            "test AUC",
            "ensemble",
            "mean member",
            "gain (95 % interval)",
            "p",
            "best member",
            "gain (95 % interval)",
            "p",
        ]);
        let best = |at: Option<usize>| {
            let of = self.beside_best.as_ref()?;
            Some(at.map_or(&of.macro_auc, |at| &of.labels[at]))
        };
        for (at, label) in self.labels.iter().enumerate() {
            table.row(row(label, &self.beside_mean.labels[at], best(Some(at))));
        }
        table.row(row("macro", &self.beside_mean.macro_auc, best(None)));
        format!(
            "{notes}mean of the calibrated probabilities of {}\n\n{}\n{}{}\n\n{}best: by validation macro-AUC; intervals \
             and p-values: {}\n{}: the ensemble's probabilities, for `xray-eval score` and `compare`\n{bundle}",
            counted(self.members.len(), "member"),
            members.text(),
            counted(self.records, "test record"),
            whose_records(&self.beside_mean),
            table.text(),
            self.beside_mean.method,
            self.out.display(),
        )
    }
}

fn row(name: &str, mean: &Difference, best: Option<&Difference>) -> Vec<String> {
    let of = |found: Option<&Difference>| {
        let found = found.copied().unwrap_or_default();
        [number(found.b), signed_with_interval(&found), p_value(found.p_value)]
    };
    [name.to_owned(), number(mean.a)].into_iter().chain(of(Some(mean))).chain(of(best)).collect()
}
